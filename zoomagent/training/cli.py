"""`zoomagent train`: train the nano model; other policies follow the same command."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Train.", no_args_is_help=True)


@app.callback()
def train() -> None:
    """Train."""


@app.command()
def sft(
    preset: Annotated[str, typer.Option(help="nano, or nano-large (for a GPU).")] = "nano",
    out: Annotated[Path, typer.Option(help="Folder for checkpoints, curve and log; resumes from it.")] = Path(
        "runs/nano"
    ),
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps in all.")] = 12_000,
    dense_steps: Annotated[int, typer.Option(min=0, help="The first of them, for the vision tower alone.")] = 3_000,
    rows: Annotated[int, typer.Option(min=1, help="Scenes per step and process.")] = 8,
    rate: Annotated[float, typer.Option(min=0, help="Peak learning rate.")] = 1.2e-3,
    seed: Annotated[int, typer.Option(min=0, help="Which scenes, in which order.")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes that draw.")] = 1,
    level: Annotated[str, typer.Option(help="small or full.")] = "small",
    start_from: Annotated[Path | None, typer.Option(help="Weights of an earlier run's state folder.")] = None,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints and held-out scores.")] = 500,
) -> None:
    """Supervised training from random weights on the streamed instruction mix. Resumable."""
    from zoomagent.data.scene import LEVELS
    from zoomagent.training.nano_run import PRESETS, Settings
    from zoomagent.training.nano_run import train as run

    for name, given, known in (("--preset", preset, PRESETS), ("--level", level, LEVELS)):
        if given not in known:
            raise typer.BadParameter(f"{given!r} is not known; use one of {', '.join(known)}", param_hint=name)
    folder = run(
        Settings(
            out=out, preset=preset, level=level, steps=steps, dense_steps=dense_steps, rows=rows, rate=rate, seed=seed,
            workers=workers, start_from=start_from, save_every=save_every, evaluate_every=save_every,
        )
    )  # fmt: skip
    typer.echo(f"Weights in {folder}. Use them: zoomagent ask IMAGE QUESTION --model {folder}")


@app.command()
def calibrate(
    records: Annotated[
        Path, typer.Argument(help="JSON lines, one asked question each (zoomagent.confidence.records).")
    ],
    out: Annotated[Path, typer.Option(help="The arbiter, one JSON file.")],
    seed: Annotated[int, typer.Option(min=0, help="Which records are fitted on, certified on and held out.")] = 1,
    report: Annotated[Path | None, typer.Option(help="Write the figures as JSON too.")] = None,
    model: Annotated[str, typer.Option(help="Name of the model that was asked.")] = "",
    weights: Annotated[Path | None, typer.Option(help="Folder with its weights, to name them by hash.")] = None,
) -> None:
    """Fit how sure to be, and when to answer, from questions whose answers are known."""
    import json

    from zoomagent.confidence.arbiter import save
    from zoomagent.confidence.records import read_records, split
    from zoomagent.training.calibrate import fit, weights_hash
    from zoomagent.training.calibrate_report import evaluate, table

    kept, held_out = split(read_records(records), 0.25, f"held out {seed}")
    arbiter = fit(kept, seed, model, weights_hash(weights) if weights else "")
    figures = evaluate(arbiter, held_out)
    save(arbiter, out)
    if report:
        report.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    typer.echo(table(figures))
