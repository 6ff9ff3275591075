"""`zoomagent data`: make pictures and files to ask about, train on and measure with."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from zoomagent.cli.options import MaxBytes, MaxPixels, place_file
from zoomagent.media.limits import OWN_BYTES, OWN_PIXELS, own_limits

if TYPE_CHECKING:
    from zoomagent.data.trajectories.trajectory import Kind
    from zoomagent.models.profiles import Profile

GroundingSet = Literal["refcoco", "flickr30k", "charades-sta", "activitynet", "didemo", "vggss"]
"""The same names as `data.grounding.annotation.Kind`, which would import more than help needs."""

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def data() -> None:
    """Draw pictures with questions; make training data.

    Example: zoomagent data world WORLD --scenes 20
    """


@app.command()
def world(
    out: Annotated[Path, typer.Argument(help="Folder to write into.")],
    scenes: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 1,
    size: Annotated[int, typer.Option(min=256, max=8192, help="Side of a picture in pixels.")] = 4096,
    level: Annotated[
        str,
        typer.Option(help="small (what nano knows), deep (too small to be seen whole), fine (smaller still), full."),
    ] = "full",
    split: Annotated[str, typer.Option(help="train, held-out or test: disjoint seeds.")] = "train",
    sounds: Annotated[int, typer.Option(min=0, help="How many sounds beside them, with their moments.")] = 0,
) -> None:
    """Write a synthetic world: pictures and Visual Genome's own JSON files; sounds with their moments.

    Example: zoomagent data world WORLD --scenes 200 --level small --size 2048
    """
    from rich.progress import Progress

    from zoomagent.data.world.scene import LEVELS, SPLITS
    from zoomagent.data.world.writing import write_world

    if level not in LEVELS:
        raise typer.BadParameter(f"{level!r} is no level; use one of {', '.join(LEVELS)}", param_hint="--level")
    if split not in SPLITS:
        raise typer.BadParameter(f"{split!r} is no split; use one of {', '.join(SPLITS)}", param_hint="--split")
    with Progress(transient=True) as bar:
        task = bar.add_task("drawing", total=scenes)
        files = write_world(
            out, LEVELS[level], SPLITS[split] + seed, scenes, size, lambda n: bar.update(task, completed=n)
        )
    if sounds:
        from zoomagent.data.world.sounds import write_sounds

        write_sounds(out, SPLITS[split] + seed, sounds)
    asked = sum(len(row["qas"]) for row in files.question_answers)
    heard = f", {sounds} sounds" if sounds else ""
    typer.echo(f"{scenes} pictures of {size}x{size}, {asked} questions{heard} in {out}")


@app.command()
def trajectories(
    genome: Annotated[Path, typer.Argument(help="Folder with Visual Genome's .json or .json.zip files, or one .zip.")],
    out: Annotated[Path, typer.Argument(help="Folder to write into; goes on there when it was begun before.")],
    images: Annotated[Path | None, typer.Option(help="Folder of the pictures. Default: where the files are.")] = None,
    kinds: Annotated[str, typer.Option(help="Comma-separated kinds of trajectories; default all seven.")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many rows.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which questions are chosen, and how they are told.")] = 1,
    profile: Annotated[str, typer.Option(help="Whose tools and margins: nano, a folder, a model's name.")] = "qwen3-vl",
    held_out: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the pictures that is held out.")] = 0.1,
    check: Annotated[bool, typer.Option(help="Look whether every picture is there, whole, and of its size.")] = True,
    search_below: Annotated[
        float,
        typer.Option(min=0, help="Search for what has fewer pixels than this in the whole view; 0: point at all."),
    ] = 0.0,
    shrink: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the rows that look closer whose whole is shown smaller.")
    ] = 0.0,
    model: Annotated[str, typer.Option(help="Keep what this model needs the zoom for: nano, a folder, a URL.")] = "",
    max_bytes: MaxBytes = OWN_BYTES,
    max_pixels: MaxPixels = OWN_PIXELS,
) -> None:
    """Turn Visual Genome into conversations that zoom.

    Example: zoomagent data trajectories visual-genome OUT --limit 20000
    """
    from zoomagent.data.trajectories.pipeline import Settings, make

    folder = images or (genome if genome.is_dir() else genome.parent)
    settings = Settings(
        folder, _profile(profile), _kinds(kinds), limit=limit, seed=seed, check=check, held_out=held_out, model=model,
        search_below=search_below, shrink=shrink, limits=own_limits(max_bytes, max_pixels),
    )  # fmt: skip
    with _Bar() as bar:
        card = make(genome, out, settings, bar.told)
    typer.echo(f"{card['rows']['train']} rows to train on, {card['rows']['held-out']} held out: {out / 'card.md'}")


@app.command()
def grounding(
    kind: Annotated[GroundingSet, typer.Argument(help="Which set's files these are.")],
    folder: Annotated[Path, typer.Argument(help="Folder of the set's annotations.")],
    out: Annotated[Path, typer.Argument(help="Folder to write into; goes on there when it was begun before.")],
    images: Annotated[Path | None, typer.Option(help="Folder of the pictures. Default: where the files are.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many annotations.")] = None,
    profile: Annotated[str, typer.Option(help="Whose boxes: nano, a folder, a model's name.")] = "qwen3-vl",
    model: Annotated[str, typer.Option(help="Have this language model word the dialogues: a URL, or a folder.")] = "",
) -> None:
    """Turn phrases with boxes or moments into rows to train on.

    Example: zoomagent data grounding refcoco refcoco+ OUT --images train2014
    """
    from zoomagent.data.grounding.pipeline import Settings, make

    card = make(kind, folder, out, Settings(images or folder, _profile(profile), limit, model))
    read = sum(number for reason, number in card["counts"].items() if reason.endswith(": read"))
    rows = f"{card['rows']['train']} rows to train on, {card['rows']['held-out']} held out"
    if model:
        written, worded = (card["counts"].get(f"dialogues: {what}", 0) for what in ("told", "in the model's words"))
        rows += f", {worded} of {written} dialogues in the model's words"
    typer.echo(f"{read} annotations read, {rows}: {out / 'card.md'}")


@app.command()
def view(
    folder: Annotated[Path, typer.Argument(help="What `data trajectories` wrote.")],
    n: Annotated[int, typer.Option(min=1, help="How many; kinds are mixed.")] = 6,
    out: Annotated[Path, typer.Option(help="Page (.html) or picture (.png) to write.", callback=place_file)] = Path(
        "trajectories.html"
    ),
    max_bytes: MaxBytes = OWN_BYTES,
    max_pixels: MaxPixels = OWN_PIXELS,
) -> None:
    """Draw some trajectories to look at.

    Example: zoomagent data view OUT --n 12 --out look.html
    """
    from zoomagent.data.trajectories.showing import show

    if out.suffix not in (".html", ".png"):
        raise typer.BadParameter(f"{out.suffix!r} is neither .html nor .png", param_hint="--out")
    typer.echo(f"{show(folder, n, out, own_limits(max_bytes, max_pixels))} trajectories in {out}")


def _kinds(text: str) -> "tuple[Kind, ...]":
    from zoomagent.data.trajectories.trajectory import KINDS, Kind

    named = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in named if name not in get_args(Kind)]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is no kind; use {', '.join(KINDS)}", param_hint="--kinds")
    return tuple(kind for kind in KINDS if not named or kind in named)


def _profile(name: str) -> "Profile":
    """The profile by which crops are cut, tools offered and sizes judged: a checkpoint's own, or that of its family;
    then ZOOMAGENT_PROFILE."""
    from zoomagent.models.loading import NANO_WEIGHTS
    from zoomagent.models.profiles import profile_for

    folder = NANO_WEIGHTS if name == "nano" else Path(name)
    if not folder.is_dir():
        return profile_for(name)
    from zoomagent.models.local.checkpoint import folder_profile

    return folder_profile(folder)


class _Bar:
    """A progress bar with a line for every stage."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self._bar = Progress(console=Console(stderr=True), transient=True)
        self._tasks: dict[str, int] = {}

    def __enter__(self) -> "_Bar":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def told(self, stage: str, done: int, of: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = int(self._bar.add_task(stage.replace("_", " ")))
        self._bar.update(self._tasks[stage], completed=done, total=of or None)  # type: ignore[arg-type]
