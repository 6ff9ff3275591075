"""The command line as people and scripts meet it: speed, exit codes, JSON, and no traceback ever."""

import importlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import write_cli
from fake_model import FakeModel
from rich.console import Console
from sign_model import sign_model, sign_picture
from typer.testing import CliRunner

import zoomagent.agent
from zoomagent import Answer, Budget, Step, ZoomAgent
from zoomagent.cli import extras
from zoomagent.cli import main as cli
from zoomagent.cli.options import place_file
from zoomagent.cli.terminal import follow, print_answer, printable, summary
from zoomagent.errors import BadServerResponse, ModelNotFound, ModelUnavailable, RateLimited

HEAVY = ["torch", "transformers", "langgraph", "openai", "numpy", "PIL", "pydantic", "cv2"]

reads = pytest.mark.skipif(find_spec("rapidocr") is None, reason="needs the extra `ocr`")


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "photo.png"
    sign_picture().save(path)
    return str(path)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """Whatever model is named, this one answers."""
    fake = sign_model()
    monkeypatch.setattr(zoomagent.agent, "load_model", lambda spec, **_: fake)
    return fake


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["zoomagent", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("command", [" ".join(words) for words in write_cli.commands()])
def test_the_help_of_every_command_shows_how_it_is_typed_in_one_style(command: str) -> None:
    shown = CliRunner().invoke(cli.app, [*command.split(), "--help"])
    assert shown.exit_code == 0 and f"Example: zoomagent {command}".rstrip() in shown.stdout
    assert not any(character in shown.stdout for character in "│╭╰…")


def test_help_is_fast_and_imports_nothing_heavy() -> None:
    """Under half a second of processor time, which a busy machine does not stretch."""
    code = (
        "import sys; sys.argv = ['zoomagent', '--help']\n"
        "from zoomagent.cli.main import app\n"
        "try: app()\n"
        f"except SystemExit: print('HEAVY', [m for m in {HEAVY} if m in sys.modules])"
    )
    before = os.times()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = os.times()
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    assert "HEAVY []" in done.stdout
    for command in ("ask", "demo", "doctor", "data", "train", "bench"):
        assert f"  {command} " in done.stdout
    assert seconds < 0.5


@pytest.mark.parametrize("group", ["data", "train", "bench"])
def test_groups_are_imported_when_they_are_named(group: str) -> None:
    code = f"import sys; sys.argv = ['zoomagent', '{group}', '--help']; from zoomagent.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"zoomagent {group}" in done.stdout


def test_a_piped_answer_is_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: FakeModel, photo: str, tmp_path: Path
) -> None:
    assert run(monkeypatch, "ask", photo, "What is written?", "--save", str(tmp_path / "out")) == 0
    answer = Answer.model_validate_json(capsys.readouterr().out)
    assert answer.text == "Exit 12"
    assert (tmp_path / "out" / "page.html").exists()


def test_json_stays_in_ascii(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: FakeModel, photo: str
) -> None:
    run(monkeypatch, "ask", photo, "\u202eWas steht da? \x1b[31m", "--json")
    out = capsys.readouterr().out
    assert out.isascii() and "\x1b" not in out


def test_arguments_reach_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: FakeModel, photo: str
) -> None:
    arguments = ["--strategy", "macro", "--max-calls", "1", "--option", "Exit", "--option", "Car"]
    assert run(monkeypatch, "ask", photo, "What?", *arguments) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["strategy"] == "macro" and answer["options"] == ["Exit", "Car"]
    assert len(model.history) == 1


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        ([], "strategy", "auto"),
        (["--rule", "micro"], "rule", "micro"),
        (["--target-error", "0.1"], "target_error", 0.1),
        (["--no-proof"], "proof", False),
        (["--no-check"], "check", False),
        pytest.param(["--ocr"], "ocr", True, marks=reads),
        (["--max-calls", "9", "--max-depth", "2", "--deadline", "7"], "budget", Budget(calls=9, depth=2, seconds=7)),
        ([], "budget", Budget()),
    ],
)
def test_options_become_the_settings_of_the_run(
    monkeypatch: pytest.MonkeyPatch, photo: str, arguments: list[str], field: str, value: Any
) -> None:
    seen = []
    monkeypatch.setattr(cli, "_answer", lambda agent, *rest: seen.append(agent.context))
    run(monkeypatch, "ask", photo, "What?", *arguments)
    assert getattr(seen[0], field) == value


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ModelNotFound("no such model"), 69),
        (BadServerResponse("no choices"), 69),
        (RateLimited("later"), 75),
        (ModelUnavailable("gone"), 75),
    ],
)
def test_what_the_server_does_is_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], photo: str, error: Exception, code: int
) -> None:
    fake = FakeModel()
    fake.enqueue([error])
    monkeypatch.setattr(zoomagent.agent, "load_model", lambda spec, **_: fake)
    assert run(monkeypatch, "ask", photo, "What?") == code
    assert json.loads(capsys.readouterr().out)["outcome"]["kind"] == "failed"


@pytest.mark.parametrize("name", ["missing.png", "text.png", "."])
def test_a_bad_picture_is_65(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: FakeModel, tmp_path: Path, name: str
) -> None:
    (tmp_path / "text.png").write_text("not a picture")
    assert run(monkeypatch, "ask", str(tmp_path / name), "What?") == 65
    assert json.loads(capsys.readouterr().out)["outcome"]["kind"] == "refused"


@pytest.mark.parametrize(
    "arguments",
    [
        ["ask"],
        ["ask", "a.png"],
        ["ask", "a.png", "b", "--max-calls", "0"],
        ["ask", "a.png", "b", "--strategy", "guess"],
        ["ask", "a.png", "b", "--deadline", "soon"],
        ["ask", "a.png", "b", "--target-error", "1.5"],
        ["ask", "a.png", "b", "--rule", "best"],
        ["ask", "a.png", "b", "--max-depth", "-1"],
        ["nonsense"],
    ],
)
def test_wrong_usage_is_2(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    assert run(monkeypatch, *arguments) == 2


def test_a_bug_is_one_line_and_70(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], photo: str
) -> None:
    fake = FakeModel()
    fake.enqueue([ZeroDivisionError("secret detail")])
    monkeypatch.setattr(zoomagent.agent, "load_model", lambda spec, **_: fake)
    assert run(monkeypatch, "ask", photo, "What?") == 70
    assert capsys.readouterr().err.count("\n") == 1


def test_the_demo_tells_the_whole_run_even_when_piped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: FakeModel, tmp_path: Path
) -> None:
    sign_picture().save(tmp_path / "scene.jpg", quality=95)
    (tmp_path / "question.json").write_text(json.dumps({"question": "What is written?", "answer": "Exit 12"}))
    monkeypatch.setattr(cli, "EXAMPLE", tmp_path)
    assert run(monkeypatch, "demo", "--save", str(tmp_path / "out")) == 0
    out = capsys.readouterr().out
    for words in ("macro answer", "micro answer", "chosen", "why", "confidence", "mattered", "cost", "page.html"):
        assert words in out.replace("\n", "")
    assert run(monkeypatch, "demo", "--json", "--save", str(tmp_path / "out")) == 0
    assert Answer.model_validate_json(capsys.readouterr().out).text == "Exit 12"


# On a terminal


def shown(photo: str, reply: str = "Exit 12", thing: str = "red sign", terminal: bool = True) -> str:
    console = Console(
        width=100, record=True, force_terminal=terminal, markup=False, highlight=False, file=io.StringIO()
    )
    with ZoomAgent(sign_model(reply, thing)) as agent:
        print_answer(follow(agent.stream(photo, "What?"), console), console)
    return console.export_text()


def test_the_end_of_a_run_says_all_there_is_to_say(photo: str) -> None:
    text = shown(photo)
    for words in ("macro answer", "Exit", "micro answer", "Exit 12", "chosen", "why", "confidence", "cost"):
        assert words in text
    assert "model calls" in text and "not calibrated" in text
    assert "mattered" in text and "5.8 nats" in text


def test_the_steps_of_a_run_can_be_followed(photo: str) -> None:
    lines = [line.split() for line in shown(photo, terminal=False).splitlines()]
    names = [line[0] for line in lines if line]
    steps = ["look", "name", "ground", "search", "search", "search", "answer", "prove", "arbitrate"]
    assert [name for name in names if name in set(steps)] == steps


def test_the_reason_is_said_once(photo: str) -> None:
    assert shown(photo).count("log-likelihood") == 1


def test_long_words_of_steps_stay_in_their_column(photo: str) -> None:
    thing = "a red sign with white letters beside the door of the old mill"
    lines = shown(photo, thing=thing, terminal=False).splitlines()
    assert all(len(line) <= 100 for line in lines)


def test_what_was_withheld_is_told(photo: str) -> None:
    with ZoomAgent(sign_model(), target_error=0.01) as agent:
        answer = agent.ask(photo, "What is written?")
    assert answer.text == "Cannot tell" and answer.withheld == "Exit 12"
    rows = dict(summary(answer))
    assert rows["withheld"].startswith("Exit 12") and "of the answer withheld" in rows["confidence"]


def test_text_of_strangers_can_not_move_hide_or_colour_anything(photo: str) -> None:
    text = shown(photo, reply="\x1b[2J\x1b]8;;http://x\x07\u202eevil\u200b [red]x[/red]\r\nnext\x7f\x9b31m")
    assert "\\x1b[2J" in text and "\\u202e" in text and "[red]x[/red]" in text and "\\r\\nnext" in text
    assert not any(character in text for character in "\x1b\x07\u202e\u200b\x7f\x9b\r")


def test_printable_leaves_ordinary_text_alone() -> None:
    for text in ("Straße 12", "出口", "Ünïcödé – “quotes”", "emoji 🙂", "عربي"):
        assert printable(text) == text


def test_steps_without_boxes_print(photo: str) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    with ZoomAgent(sign_model(), strategy="macro") as agent:
        answer = agent.ask(photo, "What?")
    follow([Step(id="step-1", name="look", text="Looked"), answer], console)
    assert "look" in console.export_text()


# Mistakes of users


@pytest.mark.parametrize(
    "arguments", [["--level", "bogus"], ["--strategy", "macro,bogus"], ["--out", "/dev/null/such/x.json"]]
)
def test_a_bench_refuses_what_it_does_not_know_before_it_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert run(monkeypatch, "bench", "haystack", "--n", "6", *arguments) == 2
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.parametrize("command", [["haystack", "--n", "6"], ["promise", "--n", "8"]])
def test_a_table_is_written_to_out_which_is_still_known_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert run(monkeypatch, "bench", *command, "--json", "/dev/null/such/x.json") == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "'--json'" in told and "cannot be written" in told


def options_of(group: Any, names: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every option of every command."""
    for name in group.list_commands(click.Context(group)):
        with group.make_context(name, [name], resilient_parsing=True) as context:
            _, command, _ = group.resolve_command(context, [name])  # loads what is only listed
        if isinstance(command, typer.core.TyperGroup):
            yield from options_of(command, (*names, name))
        else:
            yield from ((" ".join((*names, name, option.opts[0])), option) for option in command.params)


def test_the_folder_of_every_file_to_write_is_made_before_the_work() -> None:
    to_write = {
        where: option.callback
        for where, option in options_of(typer.main.get_command(cli.app))
        if where.endswith((" --results", " --save-profile", "batch --records"))
        or (where.endswith(" --out") and "older" not in option.help)
    }
    assert len(to_write) >= 19 and all(to_write.values()), to_write


def test_a_file_to_write_is_refused_where_none_can_be(tmp_path: Path) -> None:
    assert place_file(None) is None
    path = place_file(tmp_path / "new" / "er" / "x.json")
    assert path is not None and path.parent.is_dir() and not path.exists()
    (tmp_path / "file").write_text("")
    for wrong in (tmp_path / "file" / "x.json", tmp_path, Path("/proc/x/y.json"), tmp_path / "a\0b" / "x"):
        with pytest.raises(typer.BadParameter):
            place_file(wrong)


def test_an_answer_is_printed_before_a_disk_that_filled_up_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], photo: str, model: FakeModel, tmp_path: Path
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zoomagent.page.saving.write_together", full)
    assert run(monkeypatch, "ask", photo, "What is written?", "--save", str(tmp_path / "out")) == 75
    shown = capsys.readouterr()
    assert Answer.model_validate_json(shown.out).text == "Exit 12" and "store_io" in shown.err


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(cli, "app", lambda: importlib.import_module("matplotlib"))
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 78 and "zoomagent[train]" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["rapidocr", "onnxruntime"])
def test_reading_without_its_extra_is_told_before_a_model_is_asked(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    model: FakeModel,
    photo: str,
    missing: str,
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert run(monkeypatch, "ask", photo, "What?", "--ocr") == 78
    told = capsys.readouterr()
    assert f"{missing} is missing" in told.err and 'pip install "zoomagent[ocr]"' in told.err
    assert not told.out and not model.history


@pytest.mark.parametrize(
    ("arguments", "missing", "extra"),
    [(["--engine", "ray"], "ray", "ray"), (["--ocr"], "rapidocr", "ocr"), (["--ocr"], "onnxruntime", "ocr")],
)
def test_a_batch_that_lacks_an_extra_says_so_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    photo: str,
    tmp_path: Path,
    arguments: list[str],
    missing: str,
    extra: str,
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    (tmp_path / "questions.jsonl").write_text(json.dumps({"image": photo, "question": "What?"}))
    before = sorted(tmp_path.iterdir())
    asked = ["batch", str(tmp_path / "questions.jsonl"), "--out", str(tmp_path / "answers.jsonl"), *arguments]
    assert run(monkeypatch, *asked) == 78
    assert f'pip install "zoomagent[{extra}]"' in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_an_extra_that_is_there_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "EXTRAS", {"json": "here", "no_such_module": "gone"})
    extras.need("here")
    with pytest.raises(ModuleNotFoundError) as caught:
        extras.need("gone")
    assert caught.value.name == "no_such_module"


def test_a_folder_that_is_not_there_is_no_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], photo: str
) -> None:
    assert run(monkeypatch, "ask", photo, "What?", "--model", "runs/typo") == 69
    assert "no such folder" in capsys.readouterr().out
