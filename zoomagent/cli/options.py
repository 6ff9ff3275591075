"""Options that several commands share: words, bounds and default of each once; and how a command takes a group of them.

    @app.command()
    @takes
    def ask(image: str, how: AgentOptions) -> None:     # --strategy, --gate … become options of the command

Left out: options of one command, and the defaults that a settings file gives (`settings.py`).
"""

import inspect
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from zoomagent.files import is_folder, read_json
from zoomagent.media.limits import PARTS_CEILING
from zoomagent.strategy import CALLS, DEPTH, GATE, MAX_TOKENS, SECONDS, Rule, Strategy

if TYPE_CHECKING:
    from zoomagent.graphs.context import Budget

EXTRA_BODY = '{"enable_thinking": false}'


def read_object(text: str) -> dict[str, Any]:
    """The JSON object of an option. BadParameter for what is none."""
    try:
        value = read_json(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text[:200]!r} is no JSON ({error}); write an object like {EXTRA_BODY}") from None
    if not isinstance(value, dict) or not _is_plain(value):
        raise typer.BadParameter(f"{text[:200]!r} is no JSON object; write one like {EXTRA_BODY}")
    return value


def _is_plain(value: Any) -> bool:
    """Whether JSON can hold it: Python reads NaN and Infinity, which are no numbers there, and halves of characters."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return False
    return True


MODEL_WORDS = "nano, a folder with weights, hf:NAME of the hub, a server's base URL (#NAME picks its model), or auto"
Model = Annotated[str, typer.Option(help=f"{MODEL_WORDS}; default also from ZOOMAGENT_MODEL.")]
HowTo = Annotated[Strategy, typer.Option(help="How to look closer; auto takes the cheapest way that works.")]
ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="FILE|FOLDER|FAMILY",
        help="What the model takes: a file of doctor --save-profile, a checkpoint's folder, or a family (qwen3-vl).",
    ),
]
ArbiterName = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A file of zoomagent train calibrate, for this very model; none: without."),
]
MaxTokens = Annotated[int, typer.Option(min=1, help="Length of one reply; a model that thinks gets more by itself.")]
ExtraBody = Annotated[
    Any,
    typer.Option(parser=read_object, metavar="JSON", help=f"What the model's server needs besides, as {EXTRA_BODY}."),
]
Ocr = Annotated[bool, typer.Option("--ocr", help="Read what the answer rests on letter by letter too (extra ocr).")]
Format = Annotated[
    Literal["text", "json"] | None, typer.Option(help="How it is printed.  [text; json where it is piped]")
]
Json = Annotated[bool, typer.Option("--json", help="The same as --format json.")]
Table = Annotated[Literal["text", "json"], typer.Option(help="How the table is printed.")]


def place_file(path: Path | None) -> Path | None:
    """A file to write later. The folder it goes to is made now; BadParameter where no file can be: better before the
    work than after it."""
    if path is None:
        return None
    try:
        if path.exists():
            if path.is_dir() or not os.access(path, os.W_OK):
                raise typer.BadParameter(f"{path} is a folder, or cannot be written; name another")
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=path.parent):
            pass
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise typer.BadParameter(f"{path} cannot be written ({error}); name another") from error
    return path


OldOut = Annotated[Path | None, typer.Option("--json", hidden=True, callback=place_file)]
"""What `--out` of a table was called before; elsewhere `--json` is a switch."""
MaxBytes = Annotated[int, typer.Option(min=1, help="Largest picture file that is opened.")]
MaxPixels = Annotated[
    int,
    typer.Option(min=1, max=PARTS_CEILING, help="Largest picture opened; above 178,956,970: TIFF in tiles."),
]
Page = Annotated[int | None, typer.Option(min=1, help="Which page of a PDF or TIFF, counted from 1.")]


def check_tags(value: str) -> str:
    """Off, auto, or a folder that is there. BadParameter for anything else."""
    # Path's own expanduser raises for a user that is not there.
    if value not in ("off", "auto") and not (value and is_folder(Path(os.path.expanduser(value)))):
        raise typer.BadParameter(f"{value!r} is no folder; give off, auto, or the folder of a SigLIP 2")
    return value


@dataclass(frozen=True)
class AgentOptions:
    """How a question is answered, whoever asks it: an agent's settings, but for its model."""

    strategy: HowTo = "auto"
    rule: Annotated[Rule, typer.Option(help="How macro's and micro's answer are weighed.")] = "learned"
    target_error: Annotated[
        float | None,
        typer.Option(min=0.001, max=0.999, help="Share of given answers that may be wrong; else: Cannot tell."),
    ] = None
    gate: Annotated[float, typer.Option(min=0.001, max=1, help="Confidence from which auto looks no closer.")] = GATE
    arbiter: ArbiterName = None
    profile: ProfileName = None
    max_calls: Annotated[int, typer.Option(min=1, help="Model calls a question may cost.")] = CALLS
    max_depth: Annotated[int, typer.Option(min=0, help="How often a zoom may go into a zoom.")] = DEPTH
    deadline: Annotated[float, typer.Option(min=0.001, help="Seconds a question may take.")] = SECONDS
    tags: Annotated[
        str,
        typer.Option(
            callback=check_tags,
            metavar="off|auto|FOLDER",
            help="Name what the picture shows first: by the model, or by a SigLIP 2 and its names.txt.",
        ),
    ] = "off"
    proof: Annotated[bool, typer.Option("--proof/--no-proof", help="Measure whether the crops mattered.")] = True
    check: Annotated[bool, typer.Option("--check/--no-check", help="Measure whether the thing is in its crop.")] = True
    max_tokens: MaxTokens = MAX_TOKENS
    extra_body: ExtraBody = None

    @property
    def budget(self) -> "Budget":
        """What a question may cost."""
        from zoomagent.graphs.context import Budget

        return Budget(calls=self.max_calls, depth=self.max_depth, seconds=self.deadline)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings as ZoomAgent takes them."""
        bounds = ("max_calls", "max_depth", "deadline")
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in bounds}
        return {**own, "budget": self.budget}


def out_of(out: Path | None, old: Path | None) -> Path | None:
    """The file to write, whichever of its two names was used."""
    if old is None:
        return out
    from zoomagent.cli.terminal import complain

    complain("--json FILE is called --out FILE here; the old name will go.")
    return out or old


def takes(command: Callable[..., None]) -> Callable[..., None]:
    """The command with every parameter that is a dataclass spread out into that class's fields, for typer to read."""
    signature = inspect.signature(command)
    groups: dict[str, Any] = {
        name: one.annotation for name, one in signature.parameters.items() if is_dataclass(one.annotation)
    }
    spread: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        if name not in groups:
            spread.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        spread += (
            inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
            for field in fields(groups[name])
        )

    def called(**given: Any) -> None:
        values = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**given, **values)

    called.__name__, called.__doc__ = command.__name__, command.__doc__
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in spread}
    called.__signature__ = signature.replace(parameters=spread)  # type: ignore[attr-defined]
    return called
