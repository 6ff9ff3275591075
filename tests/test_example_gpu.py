"""The script for one GPU: every line it runs is one that zoomagent takes, and it goes on where it was broken off."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

from zoomagent.cli.main import app

SCRIPT = Path(__file__).parent.parent / "examples" / "gpu" / "table.py"


@pytest.fixture
def table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_table", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Shell:
    """Takes the place of the commands: keeps each line, and leaves the files that it would."""

    def __init__(self, breaks_at: str = "") -> None:
        self.lines: list[list[str]] = []
        self.breaks_at = breaks_at

    def run(self, command: list[str], quiet: bool = False) -> str:
        if self.breaks_at and self.breaks_at in command:
            raise SystemExit("broken off")
        self.lines.append(command)
        options = dict(zip(command, command[1:], strict=False))
        for name in ("venv", "--local-dir"):
            Path(options.get(name, ".")).mkdir(parents=True, exist_ok=True)
        if "export" in command:
            write(Path(options["--out"]) / "questions.jsonl", "")
        if "batch" in command:
            write(Path(options["--records"]), json.dumps({"id": "1", "group": "a/b.jpg"}) + "\n")
        for name in ("--save-profile", "--out"):
            if name in options and "export" not in command:
                row = {"kind": "all", "seconds": 0.5, "n": 8}
                write(Path(options[name]), json.dumps({"rows": [row], "published": 191, "questions": 8}))
        return "a table" if quiet else ""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def runs(table: ModuleType, monkeypatch: pytest.MonkeyPatch, shell: Shell, *arguments: str) -> None:
    class Server:
        returncode = None

        def __init__(self, command: list[str], **_: object) -> None:
            shell.lines.append(command)

        def poll(self) -> None: ...
        def terminate(self) -> None: ...
        def wait(self) -> None: ...

    monkeypatch.setattr(table, "run", shell.run)
    monkeypatch.setattr(table, "wait_for", lambda server, log: None)
    monkeypatch.setattr(table, "models_at", list)
    monkeypatch.setattr(table.signal, "signal", lambda *_: None)
    monkeypatch.setattr(table.subprocess, "Popen", Server)
    monkeypatch.setattr(sys, "argv", ["table.py", *arguments])
    table.main()


def parsed(arguments: list[str]) -> str:
    """The command's name. Raises a usage error for what the command line does not take. Nothing is run."""
    command: Any = typer.main.get_command(app)
    while isinstance(command, TyperGroup):
        context = command.make_context(command.name, list(arguments))
        name, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
    command.make_context(command.name, list(arguments))
    return str(command.name)


@pytest.mark.parametrize("rehearse", [False, True])
def test_every_line_is_one_that_zoomagent_takes(
    table: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rehearse: bool
) -> None:
    monkeypatch.delenv("ZOOMAGENT_TEST_VLLM", raising=False)
    shell = Shell()
    runs(table, monkeypatch, shell, "--work", str(tmp_path / "work"), *(["--rehearse"] if rehearse else []))
    own = [line[3:] for line in shell.lines if line[1:3] == ["-m", "zoomagent.cli"]]
    commands = {parsed(line) for line in own}
    assert commands == {"export", "batch", "calibrate", "run", "compare", *(["draw"] if rehearse else ["doctor"])}
    servers = [line for line in shell.lines if "serve" in line]
    assert len(servers) == (0 if rehearse else 2)
    assert "a table" in (tmp_path / "work" / "report.md").read_text()
    assert ("no figure here is one of these sets" in (tmp_path / "work" / "report.md").read_text()) == rehearse


@pytest.mark.parametrize("at", ["download", "doctor", "batch", "calibrate", "run", "compare"])
def test_what_was_done_is_not_done_again(
    table: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, at: str
) -> None:
    arguments = ("--work", str(tmp_path / "work"), "--model", "Qwen/Qwen3-VL-4B-Instruct")
    whole, broken, rest = Shell(), Shell(at), Shell()
    with pytest.raises(SystemExit, match="broken off"):
        runs(table, monkeypatch, broken, *arguments)
    runs(table, monkeypatch, rest, *arguments)
    runs(table, monkeypatch, whole, "--work", str(tmp_path / "other"), *arguments[2:])
    done = {tuple(line) for line in broken.lines if "serve" not in line and "batch" not in line}
    again = {tuple(line) for line in rest.lines}
    assert not done & again  # but for the server, and batches, which go on by themselves
    every = [" ".join(line).replace(str(tmp_path / "other"), str(tmp_path / "work")) for line in whole.lines]
    assert set(every) == {" ".join(line) for line in [*broken.lines, *rest.lines]}


def test_a_server_that_a_killed_run_left_is_used_and_another_models_is_told(
    table: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(table, "models_at", lambda: ["Qwen/Qwen3-VL-4B-Instruct"])
    with table.served("Qwen/Qwen3-VL-4B-Instruct", tmp_path, tmp_path) as url:
        assert url.endswith("#Qwen/Qwen3-VL-4B-Instruct")
    with pytest.raises(SystemExit, match="Stop that server"), table.served("other", tmp_path, tmp_path):
        pass


@pytest.mark.slow
def test_the_rehearsal_writes_its_report_and_is_short_the_second_time(tmp_path: Path) -> None:
    """All of it with nano: minutes. With a vLLM for the CPU, where ZOOMAGENT_TEST_VLLM names one."""
    root = SCRIPT.parents[2]
    command = [sys.executable, str(SCRIPT), "--work", str(tmp_path / "work"), "--rehearse"]
    settings = {**os.environ, "PYTHONPATH": str(root)}
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
    assert "bench run" not in done.stdout and "batch" not in done.stdout
    report = (tmp_path / "work" / "report.md").read_text()
    assert report.count("\n| auto |") == 2 and report.count("exact sign test") == 2
    results = (tmp_path / "work" / "nano" / "vstar.jsonl").read_bytes().splitlines()
    assert len(results) == 16 * 5
