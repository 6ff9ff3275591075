"""`zoomagent train lion`: LION's stages on trajectories."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def lion(
    stage: Annotated[Literal["image", "region", "both", "tags"], typer.Option(help="What learns; in this order.")],
    model: Annotated[str, typer.Option(help="nano, a Qwen3-VL name, or the checkpoint of the stage before.")],
    data: Annotated[Path, typer.Option(help="What zoomagent data trajectories wrote.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints and log; resumes from it.")],
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps in all.")] = 300,
    adapters: Annotated[
        Literal["poly", "parallel"],
        typer.Option(help="poly: low rank, for servers too; parallel: LION's own, here only."),
    ] = "poly",
    size: Annotated[int, typer.Option(min=1, help="Rank of poly, bottleneck of parallel (LION: 64).")] = 8,
    aggregator: Annotated[
        Literal["none", "level", "attention"],
        typer.Option(help="Region and both: one more DeepStack level, or LION's own cross-attention, here only."),
    ] = "none",
    rows: Annotated[int, typer.Option(min=1, help="Lessons a step and process.")] = 8,
    rate: Annotated[float | None, typer.Option(min=0, help="Peak learning rate.  [2e-3; tags: 2e-4]")] = None,
    objects: Annotated[Path | None, typer.Option(help="Tags: Visual Genome's objects.json.")] = None,
    wrong: Annotated[float, typer.Option(min=0, max=1, help="Tags: the share that is replaced by wrong ones.")] = 0.3,
    vary: Annotated[
        bool, typer.Option(help="Flip and crop pictures, each in one way, with all that is said about them.")
    ] = False,
    by_task: Annotated[bool, typer.Option(help="Every batch of one task.")] = False,
    checkpointing: Annotated[bool, typer.Option(help="Recompute activations: less memory.")] = False,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Order of rows, and what is varied.")] = 1,
) -> None:
    """Train adapters for image and region tasks, a router, an aggregator and tags, stage by stage. Resumable.

    Example: zoomagent train lion --stage image --model nano --data runs/trajectories --out runs/lion-image
    """
    from zoomagent.training.lion.run import LEARNS, Settings, train

    settings = Settings(
        stage, model, data, out, steps, adapters, size, aggregator, rows, rate, objects, wrong, vary, by_task,
        checkpointing, save_every, seed,
    )  # fmt: skip
    typer.echo(f"Learned: {LEARNS[stage]}. The checkpoint: {train(settings)}")
