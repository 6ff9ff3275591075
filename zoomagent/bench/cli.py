"""`zoomagent bench`: measure strategies beside the same model without zoom."""

from pathlib import Path
from typing import Annotated

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

    settings = Settings(n, seed, size, level, tuple(part.strip() for part in strategy.split(",")))
    with Progress(transient=True) as bar:
        task = bar.add_task("asking", total=n)
        results = measure(settings, model, lambda done: bar.update(task, completed=done))
    content = report(settings, model, results, answers)
    typer.echo(markdown(content["rows"]))
    if json is not None:
        json.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
        plot(content["rows"], str(json.with_suffix(".png")))
