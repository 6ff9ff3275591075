"""`zoomagent bench run`, `draw`: published sets, asked with several strategies beside no zoom."""

from pathlib import Path
from typing import Annotated, Any

import typer

from zoomagent.cli.options import ArbiterName, ProfileName, Table

SetName = Annotated[
    str, typer.Option("--set", help="A published set, as vstar (all: zoomagent bench sets), or own:FILE.jsonl.")
]


def run(
    set_: SetName,
    data: Annotated[
        Path | None,
        typer.Option(help="The folder with the set's files as they are published; own: where pictures lie."),
    ] = None,
    model: Annotated[str, typer.Option(help="nano, a folder with weights, or the base URL of a server.")] = "nano",
    strategy: Annotated[
        str, typer.Option(help="Comma-separated: the agent's, and zoomeye, p2r, vicrop; macro is always among them.")
    ] = "macro,dualfocus,auto",
    seeds: Annotated[
        str | None, typer.Option(help="Orders of the options; 0: as published.  [1,2,3; 0 where none are shuffled]")
    ] = None,
    n: Annotated[int | None, typer.Option(min=1, help="So many questions of the set, always the same.")] = None,
    calls: Annotated[
        str, typer.Option(help="Comma-separated limits of model calls, a row each; 0: the strategy's own.")
    ] = "0",
    pixels: Annotated[
        str, typer.Option(help="Comma-separated limits of pixels of a view, rows for each; 0: the model's own.")
    ] = "0",
    at_once: Annotated[int, typer.Option(min=1, help="Questions that are asked of a server at a time.")] = 1,
    price: Annotated[
        str | None, typer.Option(metavar="IN,OUT", help="What a million tokens cost, read and written: 0.3,1.2")
    ] = None,
    profile: ProfileName = None,
    arbiter: ArbiterName = None,
    results: Annotated[Path | None, typer.Option(help="Keep each result in this JSON-lines file, and go on.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write rows and settings as JSON here.")] = None,
    format: Table = "text",
) -> None:
    """Ask the questions of a published set, beside the same model without zoom.

    Example: zoomagent bench run --set vstar --data vstar_bench --model URL#NAME --results runs/vstar.jsonl
    """
    from rich.progress import Progress

    from zoomagent.cli.bench import check_folders, names_in, print_table, write_json
    from zoomagent.evaluation.public import ROWS, Plan, measure
    from zoomagent.evaluation.public_table import public_markdown, public_report
    from zoomagent.evaluation.results import ResultFile
    from zoomagent.evaluation.sets.public.catalogue import check, named_set
    from zoomagent.models.base import Model
    from zoomagent.models.loading import fingerprint, load_model, profile_fields, resolve
    from zoomagent.models.profiles import Profile

    strategies = names_in(strategy)
    if wrong := [name for name in strategies if name not in ROWS]:
        raise typer.BadParameter(f"{wrong[0]!r} is not known; use {', '.join(ROWS)}", param_hint="--strategy")
    check_folders(out, results)
    cost, limits = _price(price), {"calls": _numbers(calls, "--calls"), "pixels": _numbers(pixels, "--pixels")}
    kind, folder = named_set(set_, data)
    orders = _numbers(seeds or ("1,2,3" if kind.shuffled else "0"), "--seeds")
    model, fields = resolve(model), profile_fields(profile)
    profiles: dict[int, Profile] = {}

    def load(most: int) -> tuple[str, Model]:
        own = fields | ({"max_pixels": most} if most else {})
        loaded = load_model(model, profile=own)
        profiles[most] = loaded.profile
        return fingerprint(model, own), loaded

    with Progress(transient=True) as bar:
        reading = bar.add_task("reading", total=kind.count)
        contents = check(kind, folder, n is not None, lambda done: bar.update(reading, completed=done))
        plan = Plan(kind, folder, contents, strategies, orders, n=n, at_once=at_once, **limits)
        asking = bar.add_task("asking", total=plan.total)
        found = measure(plan, load, ResultFile(results), lambda done: bar.update(asking, completed=done), arbiter)
    content = public_report(plan, found, list(profiles.values()), cost)
    print_table(content, public_markdown(content), format)
    if out is not None:
        write_json(content, out)


def draw(
    set_: SetName,
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    n: Annotated[int, typer.Option(min=1, max=300, help="How many questions.")] = 12,
    side: Annotated[int, typer.Option(min=256, max=8192, help="Side of a picture in pixels.")] = 1536,
    seed: Annotated[int, typer.Option(min=0, help="Which questions.")] = 1,
) -> None:
    """Write a small set of nano's own world in the format of a published one, to rehearse with.

    Example: zoomagent bench draw --set vstar --out runs/vstar --n 12
    """
    from zoomagent.evaluation.sets.public.catalogue import OWN, SETS, named_set
    from zoomagent.evaluation.sets.public.drawing import draw_set
    from zoomagent.evaluation.sets.public.own import own_set

    kind = own_set(Path(set_)) if set_.startswith(OWN) else SETS.get(set_) or named_set(set_, None)[0]
    draw_set(kind, out, n, side, seed)
    typer.echo(f"{n} drawn questions in the format of {kind.title} in {out}. No figure on them is one of {kind.title}.")


def list_sets() -> None:
    """Which published sets can be asked, where they are to be had, and how they are scored.

    Example: zoomagent bench sets
    """
    from zoomagent.evaluation.sets.public.catalogue import SETS

    for kind in SETS.values():
        count = "" if kind.count is None else f", {kind.count} questions"
        typer.echo(f"{kind.name:16} {kind.title}{count}\n{'':16} {kind.source}\n{'':16} {kind.scoring}")


def _numbers(text: str, hint: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise typer.BadParameter(f"{text!r} are no different numbers, as 1,2,3", param_hint=hint)
    return tuple(int(part) for part in parts)


def _price(text: str | None) -> Any:
    from zoomagent.evaluation.public_table import Price

    if text is None:
        return None
    try:
        prompt, completion = (float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no price; write IN,OUT as 0.3,1.2", param_hint="--price") from None
    return Price(prompt, completion)
