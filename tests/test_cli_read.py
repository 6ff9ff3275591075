"""`zoomagent read`, its page, and `--ocr`: all text of a picture, without a model; a stranger's text harms nobody."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_model import FakeModel
from PIL import Image, ImageDraw
from sign_model import PROFILE, sign_model, sign_picture
from truthful_model import last_text

import zoomagent.tools.reading
from zoomagent import ZoomAgent, prompts
from zoomagent.cli import main as cli
from zoomagent.geometry import Box
from zoomagent.tools.lines import Line
from zoomagent.tools.reader import Pixels, Quad

NASTY = "<script>alert(1)</script> \x1b[31m\u202e 06221 4711"
BOX = "[500, 500, 600, 600]"
BAR = Box(100, 150, 300, 190)


class OneLine:
    """Finds the one black bar of a view, and spells what it was told to."""

    def __init__(self, text: str) -> None:
        self._text = text

    def find(self, pixels: Pixels) -> list[Quad]:
        ys, xs = np.nonzero(pixels.max(2) < 60)
        if not len(xs):
            return []
        left, top, right, bottom = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
        return [np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)]

    def spell(self, line: Pixels) -> tuple[str, float]:
        return self._text, 0.97


@pytest.fixture
def scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A page with one bar, which a reader without OCR spells as a nasty text."""
    pytest.importorskip("rapidocr")
    drawn = Image.new("RGB", (600, 400), "white")
    ImageDraw.Draw(drawn).rectangle((BAR.left, BAR.top, BAR.right - 1, BAR.bottom - 1), fill="black")
    path = tmp_path / "scan.png"
    drawn.save(path)
    monkeypatch.setattr(zoomagent.tools.reading, "rapid_reader", lambda models: OneLine(NASTY))
    return str(path)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["zoomagent", "read", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_lines_come_as_json_with_their_boxes_and_as_printable_text(
    scan: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, scan) == 0
    told = json.loads(capsys.readouterr().out)
    [line] = told["lines"]
    assert told["picture"] == [600, 400] and told["complete"] and line["text"] == NASTY
    assert line["box"] == BAR.as_list() and line["corners"][0] == [100, 150]
    assert line["readings"] == [{"text": NASTY, "score": 0.97, "shrink": 1}]
    assert run(monkeypatch, scan, "--format", "text") == 0
    words = capsys.readouterr().out
    assert "06221 4711" in words and "\x1b" not in words and "\u202e" not in words


@pytest.mark.parametrize(("what", "status", "lines"), [("06221", 0, 1), (r"/\d{5} \d{4}$/", 0, 1), ("moon", 1, 0)])
def test_a_text_or_a_pattern_is_looked_for(
    scan: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    what: str,
    status: int,
    lines: int,
) -> None:
    assert run(monkeypatch, scan, "--find", what, "--json") == status
    assert len(json.loads(capsys.readouterr().out)["lines"]) == lines


def test_what_cannot_be_is_told_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rapidocr")
    assert run(monkeypatch, str(tmp_path / "nothing.png"), "--find", "/(/") == 2
    assert "regular expression" in capsys.readouterr().err
    assert run(monkeypatch, str(tmp_path / "nothing.png"), "--rec-model", str(tmp_path / "no.onnx")) == 2
    assert "no.onnx" in capsys.readouterr().err
    Image.new("RGB", (90, 60), "white").save(tmp_path / "blank.png")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    for option in ("--det-model", "--rec-model"):
        assert run(monkeypatch, str(tmp_path / "blank.png"), option, str(tmp_path / "bad.onnx")) == 2
        assert "'bad.onnx' is no whole ONNX model" in " ".join(capsys.readouterr().err.split())
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    monkeypatch.setattr("zoomagent.cli.extras.find_spec", lambda name: None)
    assert run(monkeypatch, str(tmp_path / "nothing.png")) == 78
    assert 'pip install "zoomagent[ocr]"' in capsys.readouterr().err


def test_the_saved_page_shows_the_lines_and_runs_nothing_of_theirs(
    scan: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    assert run(monkeypatch, scan, "--save", str(folder)) == 0
    page = (folder / "page.html").read_text()
    assert "<script" not in page and "&lt;script&gt;alert(1)" in page and "script-src" not in page
    assert 'points="100,150 300,150 300,190 100,190"' in page
    assert json.loads((folder / "text.json").read_text())["lines"][0]["box"] == BAR.as_list()
    assert "06221 4711" in (folder / "text.txt").read_text()
    frame = np.asarray(Image.open(folder / "lines.png"))
    assert tuple(frame[150, 200]) == (255, 176, 32)
    assert run(monkeypatch, scan, "--save", str(folder)) == 0
    assert (tmp_path / "out-2" / "page.html").exists()


@pytest.mark.parametrize("strategy", ["macro", "micro", "dualfocus", "tools", "search", "auto"])
def test_ocr_reads_what_the_answer_rests_on_in_every_strategy(strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def read(views: object, view: str) -> list[Line]:
        asked.append(view)
        return [Line("Exit 12", Box(0, 0, 9, 9), 0.99)]

    monkeypatch.setattr("zoomagent.graphs.reading.read", read)
    # The sign is too small to be pointed at in the whole; these two look closer only where the model points.
    points = FakeModel(
        profile=PROFILE, respond=lambda call: BOX if last_text(call).startswith(prompts.BOX) else "Exit 12"
    )
    model = points if strategy in ("micro", "dualfocus") else sign_model()
    with ZoomAgent(model, strategy=strategy, ocr=True) as agent:  # type: ignore[arg-type]
        answer = agent.ask(sign_picture(), "What does the red sign say?")
        without = agent.using(ocr=False).ask(sign_picture(), "What does the red sign say?")
    [check] = [one for one in answer.checks if one.kind == "reads"]
    assert check.value == float("Exit 12" in answer.text) and list(check.views) == asked
    assert not any(one.kind == "reads" for one in without.checks)
