"""`zoomagent data`: make pictures and files to ask about, train on and measure with."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Make and read data sets.", no_args_is_help=True)


@app.callback()
def data() -> None:
    """Make and read data sets."""


@app.command()
def world(
    out: Annotated[Path, typer.Argument(help="Folder to write into.")],
    scenes: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 1,
    size: Annotated[int, typer.Option(min=256, max=8192, help="Side of a picture in pixels.")] = 4096,
    level: Annotated[str, typer.Option(help="full, or small (what nano knows).")] = "full",
    split: Annotated[str, typer.Option(help="train, held-out or test: disjoint seeds.")] = "train",
) -> None:
    """Write a synthetic world: pictures and Visual Genome's own JSON files."""
    from rich.progress import Progress

    from zoomagent.data.scene import LEVELS, SPLITS
    from zoomagent.data.world import write_world

    if level not in LEVELS:
        raise typer.BadParameter(f"{level!r} is no level; use one of {', '.join(LEVELS)}", param_hint="--level")
    if split not in SPLITS:
        raise typer.BadParameter(f"{split!r} is no split; use one of {', '.join(SPLITS)}", param_hint="--split")
    with Progress(transient=True) as bar:
        task = bar.add_task("drawing", total=scenes)
        files = write_world(
            out, LEVELS[level], SPLITS[split] + seed, scenes, size, lambda n: bar.update(task, completed=n)
        )
    asked = sum(len(row["qas"]) for row in files.question_answers)
    typer.echo(f"{scenes} pictures of {size}x{size}, {asked} questions in {out}")
