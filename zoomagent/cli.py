"""`zoomagent`: the command line. `zoomagent --help` imports nothing heavy; every command imports what it needs.

Exit codes: 0 answered, 2 wrong usage, 65 bad input, 69 the model or its server, 70 a bug, 75 try later,
78 refused weights or a missing extra. Left out: what the groups (data, train …) do;
each lives in its own package.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from zoomagent.extras import advice, need
from zoomagent.media.limits import OWN_BYTES, OWN_PIXELS
from zoomagent.plugins.options import MAX_TOKENS, ExtraBody, MaxBytes, MaxPixels, MaxTokens, Page
from zoomagent.strategy import Rule, Strategy

if TYPE_CHECKING:
    from zoomagent.agent import ZoomAgent
    from zoomagent.answer import Answer
    from zoomagent.media import Picture

GROUPS = {
    "batch": ("zoomagent.batch.cli", "Answer a file of questions."),
    "data": ("zoomagent.data.cli", "Draw pictures with questions; make training data."),
    "train": ("zoomagent.training.cli", "Train models, nano first of all."),
    "bench": ("zoomagent.bench.cli", "Measure strategies beside no zoom."),
    "serve": ("zoomagent.plugins.cli", "Serve the agent to other programs."),
}
EXAMPLE = Path(__file__).parent / "data" / "example"
BUG, MISSING = 70, 78
CALLS, DEPTH, SECONDS, GATE = 32, 4, 120.0, 0.97
"""What a run may spend, and when it looks no closer, unless it is told otherwise; the same as the library's own."""


class LazyGroup(TyperGroup):
    """A group that lists the sub-commands of GROUPS without importing them."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *(name for name in GROUPS if name not in self.commands)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in self.commands or cmd_name not in GROUPS:
            return super().get_command(ctx, cmd_name)
        return typer.main.get_command(_stub(cmd_name))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in GROUPS and args[0] not in self.commands:
            module = import_module(GROUPS[args[0]][0])
            self.add_command(typer.main.get_command(module.app), args[0])
        return super().resolve_command(ctx, args)


def _stub(name: str) -> typer.Typer:
    """Stands for a group in the list of commands."""
    stub = typer.Typer(help=GROUPS[name][1], add_completion=False)
    stub.callback(invoke_without_command=True)(lambda: None)
    return stub


app = typer.Typer(
    cls=LazyGroup,
    help="Ask a question about a large picture; zoomagent looks closer before it answers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Model = Annotated[str, typer.Option(help="nano, a folder with weights, or the base URL of a server.")]
HowTo = Annotated[Strategy, typer.Option(help="How to look closer; auto takes the cheapest way that works.")]
Save = Annotated[Path | None, typer.Option(help="Write answer.json, pictures and page.html into this folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON; the default when piped.")]


@app.command()
def ask(
    image: Annotated[str, typer.Argument(help="The picture: a file, - for stdin, or a URL whose host is allowed.")],
    question: Annotated[str, typer.Argument(help="What to ask about it.")],
    options: Annotated[
        list[str] | None, typer.Option("--option", "--options", help="A possible answer; repeat for each.")
    ] = None,
    model: Model = "nano",
    strategy: HowTo = "auto",
    rule: Annotated[Rule, typer.Option(help="How macro's and micro's answer are weighed.")] = "learned",
    target_error: Annotated[
        float | None,
        typer.Option(min=0.001, max=0.999, help="Share of given answers that may be wrong; else: Cannot tell."),
    ] = None,
    max_calls: Annotated[int, typer.Option(min=1, help="Model calls the run may make.")] = CALLS,
    max_depth: Annotated[int, typer.Option(min=0, help="How often a zoom may go into a zoom.")] = DEPTH,
    deadline: Annotated[float, typer.Option(min=0.001, help="Seconds the run may take.")] = SECONDS,
    proof: Annotated[bool, typer.Option("--proof/--no-proof", help="Measure whether the crops mattered.")] = True,
    check: Annotated[bool, typer.Option("--check/--no-check", help="Measure whether the thing is in its crop.")] = True,
    ocr: Annotated[bool, typer.Option("--ocr", help="Read crops letter by letter too (extra ocr).")] = False,
    gate: Annotated[float, typer.Option(min=0.001, max=1, help="Confidence from which auto looks no closer.")] = GATE,
    arbiter: Annotated[Path | None, typer.Option(help="A file of zoomagent train calibrate, instead of none.")] = None,
    max_tokens: MaxTokens = MAX_TOKENS,
    extra_body: ExtraBody = None,
    save: Save = None,
    as_json: Json = False,
    allow_host: Annotated[list[str] | None, typer.Option(help="A host that IMAGE may be fetched from; repeat.")] = None,
    page: Page = None,
    max_bytes: MaxBytes = OWN_BYTES,
    max_pixels: MaxPixels = OWN_PIXELS,
) -> None:
    """Ask one question about one picture.

    Example: zoomagent ask photo.jpg "What does the sign say?" --save run
    """
    if ocr:
        need("ocr")
    settings: dict[str, Any] = {"rule": rule, "target_error": target_error, "proof": proof, "check": check, "ocr": ocr}
    settings |= {"max_tokens": max_tokens, "extra_body": extra_body, "gate": gate, "arbiter": arbiter}
    settings["opener"] = _opener(allow_host or [], page, max_bytes, max_pixels)
    with _agent(model, strategy, (max_calls, max_depth, deadline), **settings) as agent:
        _answer(agent, _piped(max_bytes) if image == "-" else image, question, options or [], save, as_json)


@app.command()
def demo(
    model: Model = "nano",
    strategy: HowTo = "auto",
    max_tokens: MaxTokens = MAX_TOKENS,
    extra_body: ExtraBody = None,
    save: Annotated[Path, typer.Option(help="Where the run is written.")] = Path("zoomagent-demo"),
    as_json: Json = False,
) -> None:
    """Ask about the 4K example that comes with the package.

    Example: zoomagent demo --strategy dualfocus
    """
    asked = json.loads((EXAMPLE / "question.json").read_text(encoding="utf-8"))
    scene, question = str(EXAMPLE / "scene.jpg"), str(asked["question"])
    with _agent(model, strategy, max_tokens=max_tokens, extra_body=extra_body) as agent:
        if as_json:
            _answer(agent, scene, question, [], save, as_json)
        typer.echo(f"{scene}\n{question}  (the right answer: {asked['answer']})\n")
        answer = _shown(agent, scene, question, [], save)
    raise typer.Exit(answer.outcome.exit_status)


@app.command()
def doctor(
    model: Model = "nano",
    extra_body: ExtraBody = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure what a model can do, and say what happens without the rest.

    Example: zoomagent doctor --model http://localhost:8000/v1
    """
    from zoomagent.models.doctor import doctor as examine

    examine(model, json_output=as_json, extra_body=extra_body)


@app.command()
def schema(
    format: Annotated[Literal["openai", "anthropic", "json"], typer.Option(help="Whose definitions.")] = "openai",
) -> None:
    """Print the tools as definitions for a model of yours to call.

    Example: zoomagent schema --format anthropic
    """
    from zoomagent.plugins.schema import tool_schemas

    typer.echo(json.dumps(tool_schemas(format), indent=2))


def main() -> None:
    """The entry point. What is no outcome of a run is a bug, told in one line (in full with ZOOMAGENT_DEBUG=1)."""
    try:
        app()
    except BrokenPipeError:
        os._exit(0)
    except Exception as error:
        if os.environ.get("ZOOMAGENT_DEBUG"):
            raise
        _fail(error)


def _fail(error: Exception) -> None:
    from zoomagent.errors import ZoomAgentError
    from zoomagent.terminal import complain

    missing = advice(error)
    if missing:
        complain(missing)
        sys.exit(MISSING)
    if isinstance(error, OSError):
        complain(f"store_io: {error.strerror}. Give a folder that can be written.")
        sys.exit(75)
    if isinstance(error, ZoomAgentError):
        complain(error.public)
        sys.exit(error.exit_status)
    complain(f"a bug: {type(error).__name__}. Run again with ZOOMAGENT_DEBUG=1 and report what it prints.")
    sys.exit(BUG)


def _agent(
    model: str,
    strategy: Strategy,
    bounds: tuple[int, int, float] = (CALLS, DEPTH, SECONDS),
    **settings: Any,
) -> "ZoomAgent":
    """The agent that was asked for; `bounds` are calls, depth and seconds."""
    from zoomagent import Budget, ZoomAgent

    calls, depth, seconds = bounds
    return ZoomAgent(model, strategy=strategy, budget=Budget(calls=calls, depth=depth, seconds=seconds), **settings)


def _opener(hosts: list[str], page: int | None, max_bytes: int, max_pixels: int) -> "Callable[[Any], Picture]":
    """How the picture is opened."""
    from zoomagent.media import UrlRules, open_picture
    from zoomagent.media.limits import own_limits

    rules = UrlRules(tuple(hosts)) if hosts else None
    return partial(open_picture, limits=own_limits(max_bytes, max_pixels), allow_urls=rules, page=page)


def _piped(max_bytes: int) -> bytes:
    """The picture that comes on standard input, read once: it is looked at again when the run is saved."""
    if sys.stdin.isatty():
        raise typer.BadParameter("- reads a picture from standard input: cat photo.jpg | zoomagent ask - ...")
    return sys.stdin.buffer.read(max_bytes + 1)


def _wants_json(as_json: bool) -> bool:
    return as_json or not sys.stdout.isatty()


def _answer(
    agent: "ZoomAgent", image: str | bytes, question: str, options: list[str], save: Path | None, as_json: bool
) -> None:
    """Run, show, save, and leave with the outcome's exit code."""
    if _wants_json(as_json):
        answer = agent.ask(image, question, options)
        typer.echo(json.dumps(answer.model_dump(mode="json"), indent=2))
        _saved(answer, save)
    else:
        answer = _shown(agent, image, question, options, save)
    raise typer.Exit(answer.outcome.exit_status)


def _shown(agent: "ZoomAgent", image: str | bytes, question: str, options: list[str], save: Path | None) -> "Answer":
    from rich.console import Console
    from rich.text import Text

    from zoomagent.terminal import follow, print_answer

    console = Console(markup=False, highlight=False, emoji=False)
    answer = follow(agent.stream(image, question, options), console)
    print_answer(answer, console)
    page = _saved(answer, save)
    if page is not None:
        console.print(Text(f"page          {page}"), soft_wrap=True)
    return answer


def _saved(answer: "Answer", folder: Path | None) -> Path | None:
    return answer.save(folder) if folder is not None and answer.picture is not None else None


if __name__ == "__main__":
    main()
