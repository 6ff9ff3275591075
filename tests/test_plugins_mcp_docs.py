"""Every configuration in docs/mcp.md parses, and the command it gives is one that exists."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from zoomagent.cli.serve import app

PAGE = (Path(__file__).parent.parent / "docs" / "mcp.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(json|toml)\n(.*?)```", PAGE, re.DOTALL)


def parsed(kind: str, text: str) -> dict[str, Any]:
    """The one server that a configuration names."""
    settings = json.loads(text) if kind == "json" else tomllib.loads(text)
    [servers] = settings.values()
    server: dict[str, Any] = servers["zoomagent"]
    return server


@pytest.mark.parametrize(("kind", "text"), BLOCKS)
def test_a_configuration_gives_a_command_that_exists_or_the_address_of_the_server(kind: str, text: str) -> None:
    server = parsed(kind, text)
    if "url" in server:
        assert server["url"] == "http://127.0.0.1:8765/mcp"
        return
    assert server["command"] == "zoomagent" and server["args"][:1] == ["serve"]
    _accepted(server["args"][1:])


def test_commands_in_the_text_are_accepted_too() -> None:
    commands = re.findall(r"zoomagent serve (mcp[^`\n]*)", PAGE)
    assert len(commands) >= 4 and len(BLOCKS) >= 4
    for command in commands:
        _accepted(command.split())


def _accepted(arguments: list[str]) -> None:
    """The options are known and their values of the right kind; nothing is run."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    with group.make_context("serve", [*arguments]) as context:
        name, command, rest = group.resolve_command(context, arguments)
        assert name == "mcp" and command is not None
        command.make_context("mcp", rest, parent=context).close()


def test_a_root_that_is_no_folder_is_wrong_usage() -> None:
    done = CliRunner().invoke(app, ["mcp", "--root", "no-such-folder"])
    assert done.exit_code == 2 and "no-such-folder" in done.output
