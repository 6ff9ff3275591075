"""What a person sets once: the settings file and ZOOMAGENT_MODEL, and which of several words counts."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from zoomagent import SettingInvalid
from zoomagent.cli import main as cli
from zoomagent.cli.settings import COMMANDS, KINDS, defaults_of_commands, settings


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("ZOOMAGENT_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    path = tmp_path / "xdg" / "zoomagent" / "config.toml"
    path.parent.mkdir(parents=True)
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["zoomagent", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture
def contexts(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The context of every run that is asked for; nothing is run."""
    seen: list[Any] = []
    monkeypatch.setattr(cli, "_answer", lambda agent, *rest: seen.append(agent.context))
    return seen


def test_a_typed_option_goes_before_the_environment_the_file_and_the_default(
    monkeypatch: pytest.MonkeyPatch, file: Path, contexts: list[Any]
) -> None:
    asked = ["ask", "a.png", "What?"]
    run(monkeypatch, *asked)
    file.write_text('model = "http://file/v1"\nstrategy = "search"\nmax_calls = 7\n')
    run(monkeypatch, *asked)
    monkeypatch.setenv("ZOOMAGENT_MODEL", "http://environment/v1")
    run(monkeypatch, *asked)
    run(monkeypatch, *asked, "--model", "http://typed/v1", "--strategy", "macro")
    assert [context.model for context in contexts] == [
        "nano", "http://file/v1", "http://environment/v1", "http://typed/v1",
    ]  # fmt: skip
    assert [context.strategy for context in contexts] == ["auto", "search", "search", "macro"]
    assert [context.budget.calls for context in contexts] == [32, 7, 7, 7]


def test_every_setting_reaches_the_run(
    monkeypatch: pytest.MonkeyPatch, file: Path, contexts: list[Any], tmp_path: Path
) -> None:
    (tmp_path / "p.json").write_text('{"space": "pixels"}')
    lines = {
        "model": "http://a/v1", "strategy": "locate", "rule": "macro", "target_error": 0.1, "gate": 0.5,
        "arbiter": "~/mine.json", "profile": str(tmp_path / "p.json"), "max_calls": 3, "max_depth": 1, "deadline": 9,
        "max_tokens": 64, "tags": "auto",
    }  # fmt: skip
    text = "\n".join(f"{name} = {json.dumps(value)}" for name, value in lines.items())
    file.write_text(text + "\n[extra_body]\nenable_thinking = false\n")
    assert set(lines) | {"extra_body"} == set(KINDS)
    run(monkeypatch, "ask", "a.png", "What?")
    found = contexts[0]
    assert (found.rule, found.target_error, found.gate, found.max_tokens) == ("macro", 0.1, 0.5, 64)
    assert found.tags == "auto"
    assert (found.budget.calls, found.budget.depth, found.budget.seconds) == (3, 1, 9.0)
    assert found.arbiter == str(Path.home() / "mine.json")
    assert found.profile == {"space": "pixels"} and found.extra_body == {"enable_thinking": False}


def test_every_command_that_takes_a_model_heeds_the_setting(file: Path) -> None:
    file.write_text('model = "http://a/v1"\n')
    tree = defaults_of_commands(settings())
    for command in COMMANDS:
        group, _, name = command.rpartition(" ")
        given = (tree[group] if group else tree)[name]["model"]
        assert given == (["http://a/v1"] if name == "batch" else "http://a/v1")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("modell = 'x'", "modell"),
        ("max_calls = 'many'", "max_calls"),
        ("target_error = true", "target_error"),
        ("max_calls = 2.5", "max_calls"),
        ("model = [1]", "model"),
        ("model = ", "no TOML"),
        ("extra_body = " + "[" * 5000, "no TOML"),
        ("extra_body = {a = 1979-05-27}", "extra_body"),
        ("model = 0x" + "f" * 9000, "model"),
        ("deadline = 0x" + "f" * 9000, "deadline"),
        ("extra_body = {a = 0x" + "f" * 9000 + "}", "extra_body"),
        ("arbiter = '~no such user/a.json'", "arbiter"),
        ("strategy = 'guess'", "--strategy"),
        ("gate = 7.0", "--gate"),
    ],
)
def test_what_a_settings_file_cannot_say_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Path, text: str, named: str
) -> None:
    file.write_text(text)
    assert run(monkeypatch, "ask", "a.png", "What?") == 2
    assert named in capsys.readouterr().err


def test_a_file_that_is_named_and_not_there_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("ZOOMAGENT_CONFIG", str(tmp_path / "no.toml"))
    assert run(monkeypatch, "ask", "a.png", "What?") == 2
    assert "ZOOMAGENT_CONFIG" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["/dev/zero", "~no-such-user/config.toml"])
def test_a_setting_of_the_file_that_no_file_can_be_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOOMAGENT_CONFIG", name)
    with pytest.raises(SettingInvalid):
        settings()
    monkeypatch.setenv("ZOOMAGENT_CONFIG", "/dev/null")
    assert "gate" not in settings()


def test_config_shows_where_each_setting_comes_from_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Path
) -> None:
    file.write_text('strategy = "search"\n')
    monkeypatch.setenv("ZOOMAGENT_MODEL", "http://m/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    assert run(monkeypatch, "config") == 0
    said = capsys.readouterr().out
    assert str(file) in said and 'strategy = "search"\n' in said
    assert 'model = "http://m/v1"  # from ZOOMAGENT_MODEL' in said
    assert "OPENAI_API_KEY is set" in said and "sk-very" not in said


@pytest.mark.parametrize("mark", ["\x1b[31m", "\x9b", "\u202e", "\u200b", "\x85"])
def test_config_prints_nothing_that_moves_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Path, mark: str
) -> None:
    odd = file.with_name(f"a{mark}b.toml")
    odd.write_text(f"model = {json.dumps(chr(97) + mark)}\n")
    monkeypatch.setenv("ZOOMAGENT_CONFIG", str(odd))
    assert run(monkeypatch, "config") == 0
    assert mark not in capsys.readouterr().out


def test_the_version_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import zoomagent

    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"zoomagent {zoomagent.__version__}\n"
