"""Pictures as people hand them to the command line: pages, standard input, limits; the same on every server."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner
from zoo import photo, png, saved

from zoomagent.batch.rows import Row, with_files
from zoomagent.cli import batch as batching
from zoomagent.cli import serve as serving
from zoomagent.cli.main import app
from zoomagent.errors import InputRefused
from zoomagent.media.limits import OWN_BYTES, OWN_PIXELS
from zoomagent.plugins.http.guard import body_for
from zoomagent.plugins.offers.inputs import Allowed, picture_opener

DEAD = "http://127.0.0.1:9/v1#m"
"""A model that is not there: what is refused before it is asked never gets this far."""


def asked(words: Sequence[str], given: bytes | None = None) -> dict[str, Any]:
    command = [sys.executable, "-m", "zoomagent.cli", "ask", *words, "--model", DEAD, "--json"]
    done = subprocess.run(command, input=given, capture_output=True, cwd=Path(__file__).parents[1])
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_a_picture_comes_on_standard_input() -> None:
    assert asked(["-", "What?"], png())["outcome"]["code"] == "model_unavailable"
    assert asked(["-", "What?", "--max-bytes", "50"], png())["outcome"]["code"] == "too_many_bytes"


def test_a_picture_comes_through_a_pipe_that_the_shell_names() -> None:
    assert asked(["/dev/stdin", "What?"], png())["outcome"]["code"] == "model_unavailable"
    assert asked(["/dev/fd/0", "What?", "--max-bytes", "50"], png())["outcome"]["code"] == "too_many_bytes"


def test_a_pipe_that_nobody_may_write_to_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert asked([str(tmp_path / "pipe.png"), "What?"])["outcome"]["code"] == "not_a_file"


@pytest.mark.parametrize(("given", "code"), [(b"no picture", "unsupported_image"), (b"", "unsupported_image")])
def test_what_comes_on_standard_input_may_be_refused(given: bytes, code: str) -> None:
    assert asked(["-", "What?"], given)["outcome"]["code"] == code


def test_a_page_is_chosen(tmp_path: Path) -> None:
    file = tmp_path / "scan.tif"
    file.write_bytes(saved(photo(), "TIFF", save_all=True, append_images=[photo(80, 90)]))
    small = ["--max-pixels", "8000"]  # the second page has 7,200
    assert asked([str(file), "What?", *small])["outcome"]["code"] == "too_many_pixels"
    assert asked([str(file), "What?", "--page", "2", *small])["outcome"]["code"] == "model_unavailable"
    assert asked([str(file), "What?", "--page", "3"])["outcome"]["code"] == "bad_frame"


@pytest.mark.parametrize(("flag", "code"), [("--max-pixels", "too_many_pixels"), ("--max-bytes", "too_many_bytes")])
def test_a_picture_above_a_limit_names_the_flag_that_lifts_it(flag: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    answer = asked([str(tmp_path / "a.png"), "What?", flag, "100"])
    assert answer["outcome"]["code"] == code and flag in " ".join(answer["reasons"])


PICTURES = (("ask",), ("batch",), ("serve", "mcp"), ("serve", "page"), ("serve", "openai"))


@pytest.mark.parametrize("command", PICTURES, ids=" ".join)
def test_every_command_that_opens_pictures_has_the_limits(command: tuple[str, ...]) -> None:
    words = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"}).output
    assert "--max-bytes" in words and "--max-pixels" in words


def test_a_batch_takes_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The opener of its agents refuses what is above them, and opens a person's own pictures by default."""
    seen: list[Any] = []

    async def caught(questions: Path, out: Path, setup: Any, *rest: Any) -> Any:
        seen.append(setup)
        raise InputRefused("seen", code="bad_input")

    monkeypatch.setattr(batching, "_run", caught)
    (tmp_path / "q.jsonl").write_text("{}\n")
    words = ["batch", str(tmp_path / "q.jsonl"), "--out", str(tmp_path / "a.jsonl"), "--model", DEAD]
    CliRunner().invoke(app, [*words, "--max-bytes", "5", "--max-pixels", "7"])
    CliRunner().invoke(app, words)
    assert [(setup.limits.max_bytes, setup.limits.max_pixels) for setup in seen] == [(5, 7), (OWN_BYTES, OWN_PIXELS)]
    with pytest.raises(InputRefused, match="--max-bytes"):
        seen[0].agent(DEAD)._opener(png())


def test_a_server_opens_within_its_limits(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    allowed = serving._allowed([str(tmp_path)], None, 10**6, 100)
    assert allowed == Allowed((str(tmp_path),), (), 10**6, 100)
    with pytest.raises(InputRefused, match="--max-pixels"):
        picture_opener(allowed)("a.png")


def test_a_body_may_hold_a_picture_of_the_largest_size_as_base64() -> None:
    assert body_for(300_000_000) >= 400_000_000 and body_for(1) == body_for(1000)


@pytest.mark.parametrize("form", ["file://{}", "~/a.png", "{}"])
def test_a_server_opens_files_below_its_root_by_every_name(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.png").write_bytes(png())
    (tmp_path / "inner").mkdir()
    opener = picture_opener(Allowed(roots=(str(tmp_path),)))
    assert opener(form.format(tmp_path / "a.png")).size.width == 160
    with pytest.raises(InputRefused) as refusal:
        picture_opener(Allowed(roots=(str(tmp_path / "inner"),)))(form.format(tmp_path / "a.png"))
    assert refusal.value.code == "path_not_allowed"


def test_rows_of_a_batch_name_files_as_people_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoomagent.batch.asking import Agents, Setup

    async def places() -> list[str]:
        async with Agents(Setup((DEAD,), tmp_path)) as agents:
            return [agents._place(name) for name in ("a.png", "file:///x/a.png", "~/a.png", "data:,x", "/x/a.png")]

    assert asyncio.run(places()) == [str(tmp_path / "a.png"), "file:///x/a.png", "~/a.png", "data:,x", "/x/a.png"]


def test_a_batch_knows_the_file_behind_every_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.png").write_bytes(png())
    names = ["a.png", "~/a.png", f"file://{tmp_path}/a.png", "file://other/a.png"]
    rows = [Row(str(n), n, name, "q", (), None) for n, name in enumerate(names)]
    files = [row.file for row in with_files(iter(rows), tmp_path) if isinstance(row, Row)]
    assert files[0] and files == [files[0]] * 3 + [""]
