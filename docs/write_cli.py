"""Write docs/cli.md: the help of every command, as the program prints it.

    python docs/write_cli.py            says whether the page is current
    python docs/write_cli.py --write    makes it so

Settings and variables of the person who runs it are left out, so that the page is the same everywhere.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import typer
from typer.testing import CliRunner

from zoomagent.cli.main import GROUPS, app

PAGE = Path(__file__).parent / "cli.md"
HEAD = """# The command line

Made by `docs/write_cli.py` from the program itself. `zoomagent COMMAND --help` prints the same.

**Defaults of your own.** `zoomagent config` shows the settings file and what it sets. It is TOML, at
`~/.config/zoomagent/config.toml` (`$XDG_CONFIG_HOME`, or the file that `ZOOMAGENT_CONFIG` names), and gives `ask`,
`demo`, `doctor`, `batch` and `serve` their defaults:

```toml
model = "http://localhost:8000/v1#Qwen/Qwen3-VL-8B-Instruct"
profile = "~/qwen.json"        # zoomagent doctor --save-profile ~/qwen.json
target_error = 0.05
```

What is typed goes first, then `ZOOMAGENT_MODEL`, then the file. Keys stay in the environment: [providers and
keys](providers.md).

**What is printed.** On a terminal, the steps and the answer in words. Piped, one line of JSON, which holds nothing
that was not looked at. `--format text` in a pipe is the answer's words alone: `code=$(zoomagent ask door.jpg "Which
code?" --format text)`.

**Where a run is kept.** `--save FOLDER` is looked at before anything is spent. A folder that holds a run already is
left alone, and the next free one of FOLDER-2, FOLDER-3 … is taken.

**Exit codes.** 0 answered, 2 usage or a setting, 65 bad input, 69 the model or its server, 70 a bug, 75 try later,
78 refused weights or a missing extra, 130 Ctrl-C (which says what is lost and what is kept).
"""


def commands() -> Iterator[tuple[str, ...]]:
    """Every command by its words, in the order of the help."""
    top = typer.main.get_command(app)
    assert isinstance(top, typer.core.TyperGroup)
    context = typer.Context(top)
    yield ()
    for name in top.list_commands(context):
        top.resolve_command(context, [name])  # which imports a group
        yield (name,)
        command: Any = top.get_command(context, name)
        if name in GROUPS and isinstance(command, typer.core.TyperGroup):
            yield from ((name, inner) for inner in command.list_commands(context))


def helped(words: tuple[str, ...]) -> str:
    """What `zoomagent WORDS --help` prints on 100 columns."""
    plain = {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "ZOOMAGENT_CONFIG": os.devnull}
    with mock.patch.dict(os.environ, plain):
        for name in ("ZOOMAGENT_MODEL", "ZOOMAGENT_RUNS"):
            os.environ.pop(name, None)
        done = CliRunner().invoke(app, [*words, "--help"], prog_name="zoomagent", terminal_width=100)
    assert done.exit_code == 0, done.output
    return "\n".join(line.rstrip() for line in done.output.strip("\n").splitlines())


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for words in commands():
        level = "##" if len(words) < 2 else "###"
        parts.append(f"{level} {' '.join(('zoomagent', *words))}\n\n```\n{helped(words)}\n```\n")
    return "\n".join(parts)


def main() -> None:
    fresh = page()
    if "--write" in sys.argv:
        PAGE.write_text(fresh, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != fresh:
        sys.exit("docs/cli.md is not current. Run: python docs/write_cli.py --write")


if __name__ == "__main__":
    main()
