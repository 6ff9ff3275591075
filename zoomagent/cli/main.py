"""`zoomagent`: the command line. `zoomagent --help` imports nothing heavy; every command imports what it needs.

Exit codes: 0 answered, 2 wrong usage, 65 bad input, 69 the model or its server, 70 a bug, 75 try later,
78 refused weights or a missing extra, 130 stopped by Ctrl-C. Left out: what the groups (data, train …) do;
each lives in its own package.
"""

import json
import os
import re
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from zoomagent.cli import interruption
from zoomagent.cli.extras import advice, need
from zoomagent.cli.models import models
from zoomagent.cli.options import (
    AgentOptions,
    ArbiterName,
    ExtraBody,
    Format,
    HowTo,
    Json,
    MaxBytes,
    MaxPixels,
    MaxTokens,
    Model,
    Ocr,
    Page,
    ProfileName,
    place_file,
    takes,
)
from zoomagent.media.limits import OWN_BYTES, OWN_PIXELS
from zoomagent.strategy import DESCRIPTION_CALLS, MAX_TOKENS, SECONDS

if TYPE_CHECKING:
    from zoomagent.agent import ZoomAgent
    from zoomagent.answer import Answer

GROUPS = {
    "read": ("zoomagent.cli.read", "Read all text in a picture; no model is needed."),
    "batch": ("zoomagent.cli.batch", "Answer a file of questions."),
    "data": ("zoomagent.cli.data", "Draw pictures with questions; make training data."),
    "train": ("zoomagent.cli.train", "Train models, nano first of all."),
    "bench": ("zoomagent.cli.bench", "Measure strategies beside no zoom."),
    "serve": ("zoomagent.cli.serve", "Serve the agent to other programs."),
}
EXAMPLE = Path(__file__).parents[1] / "data" / "example"
BUG, MISSING = 70, 78
SERVERS_FAULT = ("model_unavailable", "model_not_found", "model_blind", "bad_server_response", "unauthorized")


class LazyGroup(TyperGroup):
    """A group that lists the sub-commands of GROUPS without importing them."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *(name for name in GROUPS if name not in self.commands)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in self.commands or cmd_name not in GROUPS:
            return super().get_command(ctx, cmd_name)
        # Stands for a group in the list of commands.
        stub = typer.Typer(help=GROUPS[cmd_name][1], add_completion=False)
        stub.callback(invoke_without_command=True)(lambda: None)
        return typer.main.get_command(stub)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] in GROUPS and args[0] not in self.commands:
            module = import_module(GROUPS[args[0]][0])
            self.add_command(typer.main.get_command(module.app), args[0])
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Save = Annotated[
    Path | None,
    typer.Option(help="Write answer.json, pictures and page.html into this folder, or FOLDER-2 where it is in use."),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        from zoomagent import __version__

        typer.echo(f"zoomagent {__version__}")
        raise typer.Exit


@app.callback()
def zoomagent(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Ask a question about a large picture; zoomagent looks closer before it answers.

    Example: zoomagent ask photo.jpg "What does the sign say?" --model URL#NAME
    """
    if ctx.invoked_subcommand == "config":
        return  # which says by itself what is wrong with them
    from zoomagent.cli.settings import defaults_of_commands, settings

    ctx.default_map = defaults_of_commands(settings())


@app.command()
@takes
def ask(
    image: Annotated[
        str,
        typer.Argument(help="The picture, clip or sound: a file, a pipe, - for stdin, or a URL whose host is allowed."),
    ],
    question: Annotated[str, typer.Argument(help="What to ask about it.")],
    *,
    options: Annotated[
        list[str] | None, typer.Option("--option", "--options", help="A possible answer; repeat for each.")
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="L,T,R,B", help="A box in original pixels the question is about, {0} in its words; repeat."
        ),
    ] = None,
    sound: Annotated[
        bool, typer.Option("--sound", help="Ask about the sound of a clip, not about its frames.")
    ] = False,
    model: Model = "nano",
    how: AgentOptions,
    ocr: Ocr = False,
    save: Save = None,
    format: Format = None,
    as_json: Json = False,
    allow_host: Annotated[list[str] | None, typer.Option(help="A host that IMAGE may be fetched from; repeat.")] = None,
    page: Page = None,
    max_bytes: MaxBytes = OWN_BYTES,
    max_pixels: MaxPixels = OWN_PIXELS,
) -> None:
    """Ask about a picture, clip or sound. nano, the default, knows its own synthetic world only: name your model.

    Example: zoomagent ask photo.jpg "What does it say?" --model URL#NAME --save run
    """
    if ocr:
        need("ocr")
    from zoomagent import UrlRules, ZoomAgent
    from zoomagent.media import open_media, open_sound
    from zoomagent.media.kinds import is_recording
    from zoomagent.media.limits import own_limits

    regions = [_read_region(text) for text in region or []]
    folder = _free(save)
    rules = UrlRules(tuple(allow_host)) if allow_host else None
    opener = partial(open_media, limits=own_limits(max_bytes, max_pixels), allow_urls=rules, page=page)
    with ZoomAgent(model, **how.settings, ocr=ocr, opener=open_sound if sound else opener) as agent:
        source = _piped(image, max_bytes) if image == "-" or _is_open_pipe(image) else image
        if is_recording(source):
            need("video")
        asked = Asked(source, question, options or [], regions)
        _answer(agent, asked, folder, _form(format, as_json))


@app.command()
def describe(
    image: Annotated[str, typer.Argument(help="The picture: a file, a pipe or - for stdin.")],
    *,
    grounded: Annotated[
        bool, typer.Option("--grounded/--plain", help="Phrases with boxes, each looked at; or the words alone.")
    ] = True,
    model: Model = "nano",
    profile: ProfileName = None,
    arbiter: ArbiterName = None,
    max_calls: Annotated[int, typer.Option(min=1, help="Model calls a description may cost.")] = DESCRIPTION_CALLS,
    deadline: Annotated[float, typer.Option(min=0.001, help="Seconds it may take.")] = SECONDS,
    check: Annotated[bool, typer.Option("--check/--no-check", help="Look whether each phrase is in its box.")] = True,
    max_tokens: MaxTokens = MAX_TOKENS,
    extra_body: ExtraBody = None,
    save: Save = None,
    format: Format = None,
    as_json: Json = False,
    page: Page = None,
    max_bytes: MaxBytes = OWN_BYTES,
    max_pixels: MaxPixels = OWN_PIXELS,
) -> None:
    """Describe a picture in words whose phrases carry boxes, each of them cut out and looked at.

    Example: zoomagent describe photo.jpg --model URL#NAME --save run
    """
    from zoomagent import Budget, ZoomAgent, open_picture
    from zoomagent.media.limits import own_limits

    folder, form = _free(save), _form(format, as_json)
    opener = partial(open_picture, limits=own_limits(max_bytes, max_pixels), page=page)
    settings: dict[str, Any] = {"max_tokens": max_tokens, "extra_body": extra_body, "profile": profile}
    settings |= {"arbiter": arbiter, "check": check, "budget": Budget(calls=max_calls, seconds=deadline)}
    with ZoomAgent(model, **settings, opener=opener) as agent:
        source = _piped(image, max_bytes) if image == "-" or _is_open_pipe(image) else image
        answer = agent.describe(source, grounded=grounded, calls=max_calls)
    if form == "json":
        typer.echo(_printed(answer))
    elif form == "words":
        typer.echo(_words(answer))
    else:
        from rich.console import Console

        from zoomagent.cli.terminal import print_answer

        print_answer(answer, Console(markup=False, highlight=False, emoji=False))
    _saved(answer, folder)
    raise typer.Exit(answer.outcome.exit_status)


@app.command()
def demo(
    model: Model = "nano",
    strategy: HowTo = "auto",
    profile: ProfileName = None,
    max_tokens: MaxTokens = MAX_TOKENS,
    extra_body: ExtraBody = None,
    save: Annotated[Path, typer.Option(help="Where the run is written, over the run before.")] = Path("zoomagent-demo"),
    format: Format = None,
    as_json: Json = False,
) -> None:
    """Ask about the 4K example that comes with the package. Prints all of the run, piped too.

    Example: zoomagent demo --strategy dualfocus
    """
    asked = json.loads((EXAMPLE / "question.json").read_text(encoding="utf-8"))
    scene, question = str(EXAMPLE / "scene.jpg"), str(asked["question"])
    from zoomagent import ZoomAgent

    settings: dict[str, Any] = {"max_tokens": max_tokens, "extra_body": extra_body, "profile": profile}
    example = Asked(scene, question)
    with ZoomAgent(model, strategy=strategy, **settings) as agent:
        if as_json or format == "json":
            _answer(agent, example, save, "json")
        typer.echo(f"{scene}\n{question}  (the right answer: {asked['answer']})\n")
        answer = _shown(agent, example, save)
    raise typer.Exit(answer.outcome.exit_status)


@app.command()
def doctor(
    model: Model = "nano",
    extra_body: ExtraBody = None,
    profile: ProfileName = None,
    save_profile: Annotated[
        Path | None, typer.Option(help="Write what was measured into this file, for --profile.", callback=place_file)
    ] = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Minutes more: every strategy, limits, load, keys, cancelling.")
    ] = False,
    format: Format = None,
    as_json: Json = False,
) -> None:
    """Measure what a model can do, and say what happens without the rest.

    Example: zoomagent doctor --model URL#NAME --save-profile profile.json
    """
    from zoomagent.models.doctor import doctor as examine
    from zoomagent.models.loading import resolve

    wants_json, model, more = as_json or format == "json", resolve(model), {}
    if thorough:
        from zoomagent.checkup import thorough_checks

        more = thorough_checks(model, extra_body, profile)
    examine(model, wants_json, extra_body, profile, save_profile, more)


app.command()(models)


@app.command()
def schema(
    format: Annotated[Literal["openai", "anthropic", "json"], typer.Option(help="Whose definitions.")] = "openai",
) -> None:
    """Print the tools as definitions for a model of yours to call.

    Example: zoomagent schema --format anthropic
    """
    from zoomagent.plugins.offers.offers import tool_schemas

    typer.echo(json.dumps(tool_schemas(format), indent=2))


@app.command()
def config() -> None:
    """Show the settings file, what it sets, and which variables of the environment are set.

    Example: zoomagent config
    """
    from zoomagent.cli.settings import KINDS, SECRETS, config_file, settings
    from zoomagent.text import printable

    path = config_file()
    typer.echo(f"# {printable(str(path))}{'' if path.exists() else ' (not there; make it to set defaults)'}")
    found = settings()
    for name in KINDS:
        setting = found.get(name)
        line = (
            f"# {name} is not set" if setting is None else f"{name} = {json.dumps(setting.value, ensure_ascii=False)}"
        )
        line = line if setting is None or setting.source == "file" else f"{line}  # from {setting.source}"
        typer.echo(printable(line))
    for name in SECRETS:
        typer.echo(f"# {name} is {'set' if os.environ.get(name) else 'not set'}")


def _open_standard_streams() -> None:
    """Who starts us may have closed some (`>&-`, a supervisor). Then the next file that is opened would take such a
    number, and what libraries print there would be written into it."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)  # the lowest free number: mostly this one
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))


def main() -> None:
    """The entry point. What is no outcome of a run is a bug, told in one line (in full with ZOOMAGENT_DEBUG=1)."""
    _open_standard_streams()
    try:
        app()
    except SystemExit as left:
        if left.code == interruption.EXIT:
            from zoomagent.cli.terminal import complain

            complain(interruption.words_of(sys.argv[1:]))
        raise
    except BrokenPipeError:
        os._exit(0)
    except Exception as error:
        if os.environ.get("ZOOMAGENT_DEBUG"):
            raise
        from zoomagent.cli.terminal import complain
        from zoomagent.errors import ZoomAgentError

        if missing := advice(error):
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


def _is_open_pipe(image: str) -> bool:
    """Whether this is a pipe that the shell opened, as `<(cat a.png)`. One in a folder may have nobody who writes."""
    if not re.fullmatch(r"/dev/stdin|/(dev|proc/self)/fd/\d{1,9}", image):
        return False
    try:
        return stat.S_ISFIFO(os.stat(image).st_mode)
    except OSError:
        return False


def _piped(image: str, max_bytes: int) -> bytes:
    """The picture that comes through a pipe, read once: it is looked at again when the run is saved."""
    if image != "-":
        with open(image, "rb") as pipe:
            return pipe.read(max_bytes + 1)
    if sys.stdin.isatty():
        raise typer.BadParameter("- reads a picture from standard input: cat photo.jpg | zoomagent ask - ...")
    return sys.stdin.buffer.read(max_bytes + 1)


def _form(format: str | None, as_json: bool) -> Literal["text", "words", "json"]:
    """Asked for, or by what stdout is: "words" are the answer alone, for a pipe that asked for text."""
    if as_json or format == "json":
        return "json"
    if sys.stdout.isatty():
        return "text"
    return "words" if format == "text" else "json"


def _free(save: Path | None) -> Path | None:
    """Where the run is saved, looked for before anything is spent."""
    if save is None:
        return None
    from zoomagent.cli.terminal import complain
    from zoomagent.files import free_folder
    from zoomagent.page.saving import NAMES

    folder = free_folder(save, NAMES)
    if folder != save:
        complain(f"{save.name} holds a run already, so this one goes into {folder.name}.")
    return folder


@dataclass(frozen=True)
class Asked:
    """A question at the command line: what `ZoomAgent.ask` takes."""

    image: str | bytes
    question: str
    options: Sequence[str] = ()
    regions: Sequence[Sequence[int]] = ()


def _read_region(text: str) -> list[int]:
    """The four whole numbers of --region."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4:
        raise typer.BadParameter(f"{text!r} is no region; write left,top,right,bottom in pixels, as 120,80,410,300")
    return numbers


def _answer(agent: "ZoomAgent", asked: Asked, save: Path | None, form: Literal["text", "words", "json"]) -> None:
    """Run, show, save, and leave with the outcome's exit code."""
    from rich.console import Console

    from zoomagent.cli.terminal import complain, follow

    if form == "text":
        answer = _shown(agent, asked, save)
    else:
        if sys.stderr.isatty():
            # A person at the terminal sees the steps beside what is piped.
            items = agent.stream(asked.image, asked.question, asked.options, regions=asked.regions)
            answer = follow(items, Console(stderr=True, markup=False, highlight=False, emoji=False))
        else:
            answer = agent.ask(asked.image, asked.question, asked.options, regions=asked.regions)
        typer.echo(_printed(answer) if form == "json" else _words(answer))
        _saved(answer, save)
    if answer.outcome.code in SERVERS_FAULT:
        # Where a model was asked for that did not answer: a person at the terminal may know what is wrong there. No
        # name, key or path of the address is shown.
        from urllib.parse import urlsplit

        parts = urlsplit(agent.context.model)
        if parts.scheme in ("http", "https") and parts.hostname:
            place = parts.netloc.rpartition("@")[2]
            complain(f"The model's server is {parts.scheme}://{place}, by --model or the settings.")
    raise typer.Exit(answer.outcome.exit_status)


def _printed(answer: "Answer") -> str:
    """The answer as JSON in ASCII: one line where it is piped, and nothing that was not looked at."""
    looked = answer.model_copy(update={"regions": tuple(r for r in answer.regions if r.here is not None)})
    content = looked.model_dump(mode="json")
    if sys.stdout.isatty():
        return json.dumps(content, indent=2)
    return json.dumps(content, separators=(",", ":"))


def _words(answer: "Answer") -> str:
    """The answer's words alone. Why there are none goes to stderr."""
    from zoomagent.cli.terminal import complain, printable

    if not answer.answered:
        complain(f"{answer.outcome.code}: {' '.join(answer.reasons)}")
    return printable(answer.text)


def _shown(agent: "ZoomAgent", asked: Asked, save: Path | None) -> "Answer":
    from rich.console import Console
    from rich.text import Text

    from zoomagent.cli.terminal import follow, print_answer

    console = Console(markup=False, highlight=False, emoji=False)
    answer = follow(agent.stream(asked.image, asked.question, asked.options, regions=asked.regions), console)
    print_answer(answer, console)
    page = _saved(answer, save)
    if page is not None:
        console.print(Text(f"page          {page}"), soft_wrap=True)
    return answer


def _saved(answer: "Answer", folder: Path | None) -> Path | None:
    return answer.save(folder) if folder is not None and answer.picture is not None else None
