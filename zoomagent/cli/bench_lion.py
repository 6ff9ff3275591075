"""`zoomagent bench lion`: what adapters, aggregator and tags are worth, taught and asked here."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from zoomagent.cli.options import Table

PARTS = ("conflict", "aggregator", "tags", "agent", "switching")
TAUGHT = PARTS[:3]


def lion(
    out: Annotated[Path, typer.Option(help="Folder: every arm is kept as it ends, and none is done twice.")],
    parts: Annotated[str, typer.Option(help=f"Comma-separated: {', '.join(PARTS)}.")] = ",".join(TAUGHT),
    model: Annotated[str, typer.Option(help="nano, a folder with weights, or a Qwen3-VL name.")] = "nano",
    lion: Annotated[
        str | None, typer.Option("--lion", help="Agent and switching: a checkpoint of zoomagent train lion.")
    ] = None,
    steps: Annotated[
        int, typer.Option(min=1, help="Conflict, aggregator: steps of each task; an arm of both makes twice as many.")
    ] = 120,
    tag_steps: Annotated[int, typer.Option(min=1, help="Tags: steps of an arm.")] = 150,
    seeds: Annotated[
        str, typer.Option(help="Comma-separated numbers: adapters' starts, and orders of rows.")
    ] = "1,2,3",
    tested: Annotated[int, typer.Option(min=1, help="Unseen pictures that every arm is asked about.")] = 150,
    scenes: Annotated[int, typer.Option(min=1, help="Pictures to learn from.")] = 800,
    size: Annotated[int, typer.Option(min=1, help="Rank of the adapter of one task.")] = 4,
    rate: Annotated[float, typer.Option(min=0, help="Conflict, aggregator: peak learning rate.")] = 2e-2,
    order: Annotated[
        Literal["mixed", "stages"], typer.Option(help="Rows of both tasks together, or the image tasks first.")
    ] = "mixed",
    forgetting: Annotated[
        int, typer.Option(min=0, help="Steps on image tasks alone that all text weights make first; 0: none.")
    ] = 0,
    n: Annotated[int, typer.Option(min=6, help="Agent: questions; switching: pictures.")] = 60,
    format: Table = "text",
) -> None:
    """What LION's adapters, aggregator and tags are worth: arms of equal size, taught alike and asked alike.

    Example: zoomagent bench lion --out runs/lion-bench --parts conflict --steps 120 --seeds 1,2,3
    """
    from zoomagent.cli.bench import _numbers, names_in, print_table

    chosen, numbers = names_in(parts), _numbers(seeds)
    if wrong := [name for name in chosen if name not in PARTS]:
        raise typer.BadParameter(f"{wrong[0]!r} is not known; use {', '.join(PARTS)}", param_hint="--parts")
    if lion is None and (needy := [name for name in chosen if name not in TAUGHT]):
        raise typer.BadParameter(f"{needy[0]} needs --lion, a checkpoint of zoomagent train lion", param_hint="--parts")
    from zoomagent.evaluation.lion.conflict import Settings
    from zoomagent.evaluation.lion.tags import TagSettings

    settings = Settings(model, out, steps, numbers, scenes=scenes, tested=tested, size=size, rate=rate, order=order,
                        forgetting=forgetting)  # fmt: skip
    tags = TagSettings(model, out, tag_steps, numbers, scenes=scenes, tested=tested)
    tables: dict[str, Any] = {}
    texts = []
    for part in chosen:
        made, text = _part(part, settings, tags, model, lion or "", n)
        tables[part] = made
        texts.append(f"{part}\n\n{text}")
    print_table(tables, "\n\n".join(texts), format)


def _part(part: str, settings: Any, tags: Any, model: str, lion: str, n: int) -> tuple[list[dict[str, Any]], str]:
    """The rows of one table, and the table."""
    from zoomagent.evaluation.lion import conflict, inside
    from zoomagent.evaluation.lion import tags as tagged
    from zoomagent.evaluation.lion.questions import KINDS
    from zoomagent.evaluation.lion.results import markdown, plain_markdown, rows_of
    from zoomagent.evaluation.results import ResultFile
    from zoomagent.evaluation.sets.haystack import Settings as Haystack

    match part:
        case "conflict" | "aggregator":
            taught = conflict.STAGED if settings.order == "stages" else conflict.CONFLICT
            arms = taught if part == "conflict" else conflict.AGGREGATORS
            rows = rows_of(conflict.measure(settings, arms, _say), KINDS)
            return rows, markdown(rows, KINDS)
        case "tags":
            rows = rows_of(tagged.measure(tags, _say), tagged.KINDS)
            return rows, markdown(rows, tagged.KINDS)
        case "agent":
            asked = Haystack(n=n, level="deep", size=4096)
            settings.out.mkdir(parents=True, exist_ok=True)
            kept = ResultFile(settings.out / "agent.jsonl")
            rows = inside.rows(inside.measure(model, lion, asked, kept))
        case _:
            rows = inside.switching(model, lion, n)
    return rows, plain_markdown(rows)


def _say(text: str) -> None:
    typer.echo(text, err=True)
