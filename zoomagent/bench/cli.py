"""`zoomagent bench`: measure strategies beside the same model without zoom."""

from pathlib import Path
from typing import Annotated, get_args

import typer

app = typer.Typer(help="Measure.", no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure."""


@app.command()
def haystack(
    n: Annotated[int, typer.Option(min=4, help="Questions, in equal shares per kind.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Which unseen scenes.")] = 1,
    size: Annotated[int, typer.Option(min=256, max=8192, help="Side of a picture in pixels.")] = 4096,
    strategy: Annotated[str, typer.Option(help="Comma-separated strategies.")] = "macro,micro,dualfocus",
    model: Annotated[str, typer.Option(help="nano, a folder with weights, or the base URL of a server.")] = "nano",
    level: Annotated[str, typer.Option(help="small (what nano knows) or full.")] = "small",
    json: Annotated[Path | None, typer.Option(help="Write rows and settings here, and a plot beside it.")] = None,
    answers: Annotated[bool, typer.Option(help="Keep every answer in the JSON.")] = False,
) -> None:
    """Questions about unseen scenes: accuracy by kind, gain and harm against no zoom, and what it cost."""
    import orjson
    from rich.progress import Progress

    from zoomagent.bench.haystack import Settings, markdown, measure, plot, report
    from zoomagent.data.scene import LEVELS
    from zoomagent.models.loading import load_model
    from zoomagent.strategy import Strategy

    strategies = tuple(part.strip() for part in strategy.split(","))
    for name, given, known in (("--level", (level,), tuple(LEVELS)), ("--strategy", strategies, get_args(Strategy))):
        if wrong := [value for value in given if value not in known]:
            raise typer.BadParameter(f"{wrong[0]!r} is not known; use {', '.join(known)}", param_hint=name)
    if json is not None:
        if not json.parent.is_dir():
            raise typer.BadParameter(f"there is no folder {json.parent}", param_hint="--json")
        import matplotlib  # noqa: F401  # wanted for the plot: better missed now than after an hour
    settings, loaded = Settings(n, seed, size, level, strategies), load_model(model)
    with Progress(transient=True) as bar:
        task = bar.add_task("asking", total=n)
        settings, results = measure(settings, loaded, lambda done: bar.update(task, completed=done))
    content = report(settings, model, results, answers)
    typer.echo(markdown(content["rows"]))
    if json is not None:
        json.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
        plot(content["rows"], str(json.with_suffix(".png")))
