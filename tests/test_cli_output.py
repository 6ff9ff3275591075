"""What a run leaves on stdout, on disk, and after Ctrl-C."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_model import FakeModel
from sign_model import sign_model, sign_picture

import zoomagent.agent
from zoomagent import Answer, SettingInvalid, StoreError, ZoomAgent
from zoomagent.cli import main as cli
from zoomagent.cli.interruption import words_of
from zoomagent.files import free_folder


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "photo.png"
    sign_picture().save(path)
    return str(path)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    fake = sign_model()
    monkeypatch.setattr(zoomagent.agent, "load_model", lambda spec, **_: fake)
    return fake


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["zoomagent", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_piped_json_is_one_line_and_holds_nothing_that_was_not_looked_at(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: FakeModel, photo: str
) -> None:
    assert run(monkeypatch, "ask", photo, "What is written?", "--strategy", "search") == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    regions = Answer.model_validate_json(out).regions
    assert regions and all(region.here is not None for region in regions)
    with ZoomAgent(sign_model(), strategy="search") as agent:
        assert any(region.here is None for region in agent.ask(photo, "What is written?").regions), (
            "or nothing is tried"
        )


def test_text_in_a_pipe_is_the_words_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: FakeModel, photo: str
) -> None:
    assert run(monkeypatch, "ask", photo, "What is written?", "--format", "text") == 0
    assert capsys.readouterr().out == "Exit 12\n"
    assert run(monkeypatch, "ask", "no.png", "What is written?", "--format", "text") == 65
    told = capsys.readouterr()
    assert told.out == "\n" and "not_a_file" in told.err


def test_a_person_at_the_terminal_sees_the_steps_of_a_piped_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: FakeModel, photo: str
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert run(monkeypatch, "ask", photo, "What is written?") == 0
    assert Answer.model_validate_json(capsys.readouterr().out).text == "Exit 12"
    assert "look" in terminal.getvalue()


@pytest.mark.parametrize("command", ["ask", "demo", "doctor", "batch"])
def test_every_command_with_a_result_takes_a_format(command: str) -> None:
    from typer.testing import CliRunner

    assert "--format <text|json>" in CliRunner().invoke(cli.app, [command, "--help"]).stdout


# Saving


def test_a_folder_that_cannot_be_written_is_told_before_a_model_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: FakeModel, photo: str
) -> None:
    for folder in (photo, f"{photo}/below/it"):
        assert run(monkeypatch, "ask", photo, "What is written?", "--save", folder) == 2
        assert "cannot be written" in capsys.readouterr().err
    assert not model.history


def test_a_folder_in_use_is_left_alone_and_the_next_is_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: FakeModel, photo: str, tmp_path: Path
) -> None:
    for _ in range(3):
        assert run(monkeypatch, "ask", photo, "What is written?", "--save", str(tmp_path / "out")) == 0
    assert "goes into out-3" in capsys.readouterr().err
    for name in ("out", "out-2", "out-3"):
        assert (tmp_path / name / "page.html").exists()


@pytest.mark.parametrize("name", ["answer.json", "macro.png", "crop-1.png", "page.html"])
def test_any_file_of_a_run_marks_a_folder_as_in_use(tmp_path: Path, name: str) -> None:
    from zoomagent.page.saving import NAMES

    (tmp_path / "out").mkdir()
    assert free_folder(tmp_path / "out", NAMES) == tmp_path / "out"
    (tmp_path / "out" / name).touch()
    assert free_folder(tmp_path / "out", NAMES) == tmp_path / "out-2"


def test_looking_for_a_free_folder_makes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert free_folder(tmp_path / "a" / "b", ("x",)) == tmp_path / "a" / "b"
    assert not list(tmp_path.iterdir())
    (tmp_path / "x").touch()
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    assert free_folder(Path(), ("x",)).name == f"{tmp_path.name}-2"
    with pytest.raises(SettingInvalid):
        free_folder(tmp_path / "file" / "below", ("x",))


def test_saving_over_a_run_leaves_no_crop_of_the_run_before(photo: str, tmp_path: Path) -> None:
    with ZoomAgent(sign_model()) as agent:
        agent.ask(photo, "What is written?").save(tmp_path / "out")
        assert (tmp_path / "out" / "crop-1.png").exists()
        (tmp_path / "out" / "crop-me.png").touch()
        agent.using(strategy="macro").ask(photo, "What is written?").save(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").glob("crop*")) == ["crop-me.png"]


@pytest.mark.parametrize("content", ["{}", "[1]", "not json", '{"answer": 42}'])
def test_an_answer_json_of_another_program_is_never_overwritten(photo: str, tmp_path: Path, content: str) -> None:
    (tmp_path / "answer.json").write_text(content)
    with ZoomAgent(sign_model()) as agent:
        answer = agent.ask(photo, "What is written?")
    with pytest.raises(StoreError) as refused:
        answer.save(tmp_path)
    assert refused.value.code == "folder_in_use" and (tmp_path / "answer.json").read_text() == content


def test_a_saved_answer_says_what_it_was_made_of(photo: str, tmp_path: Path) -> None:
    from datetime import UTC, datetime

    before = datetime.now(UTC).replace(microsecond=0)
    with ZoomAgent(sign_model(), rule="micro", extra_body={"token": "hush"}) as agent:
        page = agent.ask(photo, "What is written?").save(tmp_path / "out")
    kept = json.loads((tmp_path / "out" / "answer.json").read_text())
    assert kept["picture"]["name"] == "photo.png" and kept["model"] and kept["strategy"] == "auto"
    assert kept["made"]["version"] == zoomagent.__version__ and kept["made"]["settings"]["rule"] == "micro"
    assert before <= datetime.fromisoformat(kept["made"]["at"]) <= datetime.now(UTC)
    text = page.read_text()
    for words in ("photo.png", zoomagent.__version__, kept["made"]["at"][:10], "micro"):
        assert words in text
    everything = "".join(file.read_text() for file in (tmp_path / "out").glob("*.[jh]*"))
    assert "hush" not in everything and str(tmp_path) not in everything


# Ctrl-C


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("ask a.png What?", "--save writes when it ends"),
        ("demo", "Nothing of this run is kept"),
        ("batch q.jsonl --out a.jsonl", "goes on after them"),
        ("train sft --out x", "last checkpoint is kept"),
        ("train calibrate x", "Nothing of this is kept"),
        ("bench haystack", "--results"),
        ("serve page", "finished ones are kept"),
        ("", "Nothing of this is kept"),
    ],
)
def test_ctrl_c_says_what_is_lost_and_what_is_kept(words: str, says: str) -> None:
    assert says in words_of(words.split())


def test_ctrl_c_in_a_run_leaves_with_130_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], photo: str
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_answer", interrupted)
    assert run(monkeypatch, "ask", photo, "What?") == 130
    assert capsys.readouterr().err.strip().endswith("--save writes when it ends.")


# Models that are not there


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("localhost:8401/v1", "begins with http://"),
        ("127.0.0.1:8000", "begins with http://"),
        ("api.openai.com/v1", "begins with http://"),
        ("runs/typo", "no such folder"),
        ("hf:nobody/nothing-at-all", "hf:nobody/nothing-at-all is not on this machine"),
    ],
)
def test_a_model_that_cannot_be_had_is_told_with_what_to_write(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], photo: str, model: str, says: str
) -> None:
    assert run(monkeypatch, "ask", photo, "What?", "--model", model, "--format", "text") == 69
    assert says in capsys.readouterr().err


def test_a_server_that_does_not_answer_is_named_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], photo: str
) -> None:
    named = "http://user:hush@127.0.0.1:9/v1?key=hush#any"
    assert run(monkeypatch, "ask", photo, "What?", "--model", named, "--format", "text") == 75
    told = capsys.readouterr().err
    assert "http://127.0.0.1:9," in told and "model_unavailable" in told and "hush" not in told


def test_calls_of_tools_may_come_as_the_text_that_models_write() -> None:
    from zoomagent import ToolError, read_offer

    given = {"image": "a.png", "box": [0.1, 0.1, 0.2, 0.2]}
    assert read_offer("crop", json.dumps(given)) == read_offer("crop", given)
    for wrong in ("", "[1]", "{", '"x"', "null"):
        with pytest.raises(ToolError):
            read_offer("crop", wrong)


@pytest.mark.skipif(sys.platform == "win32", reason="no shell that closes streams")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_changes_no_outcome(closed: str, tmp_path: Path) -> None:
    """As supervisors start programs. A file that was opened later would get what libraries print."""
    started = f'exec "$0" -m zoomagent.cli ask "$1" What {closed}'
    picture = str(tmp_path / "nothing.png")
    ended = subprocess.run(["sh", "-c", started, sys.executable, picture], check=False, capture_output=True)
    assert ended.returncode == 65, ended.stderr
