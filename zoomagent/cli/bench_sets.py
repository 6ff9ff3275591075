"""`zoomagent bench run`, `compare`, `advise`, `sets`, `draw`: published sets, and what came of asking them."""

import math
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from zoomagent.cli.options import ArbiterName, ProfileName, Table, place_file

SetName = Annotated[
    str, typer.Option("--set", help="A published set, as vstar (all: zoomagent bench sets), or own:FILE.jsonl.")
]
PartName = Annotated[
    Literal["all", "held-out", "test"], typer.Option(help="A half to calibrate on, the other half, or both.")
]
MOST_DIGITS = 9
"""Of a seed or a limit: a file of results holds no longer numbers (ours)."""


Strategies = Annotated[
    str,
    typer.Option(
        help="Comma-separated: the agent's, zoomeye, p2r, vicrop, deepeyes, qwen-agent; macro is always there."
    ),
]
Seeds = Annotated[
    str | None, typer.Option(help="Orders of the options; 0: as published.  [1,2,3; 0 where none are shuffled]")
]
Calls = Annotated[str, typer.Option(help="Comma-separated limits of model calls, a row each; 0: the strategy's own.")]
Pixels = Annotated[
    str, typer.Option(help="Comma-separated limits of pixels of a view, rows for each; 0: the model's own.")
]
TokenPrice = Annotated[
    str | None, typer.Option(metavar="IN,OUT", help="What a million tokens cost, read and written: 0.3,1.2")
]
SetFolder = Annotated[
    Path | None, typer.Option(help="The folder with the set's files as they are published; own: where pictures lie.")
]


def run(
    set_: SetName,
    data: SetFolder = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="nano, a folder, or a server's base URL; repeat for more servers of it.  [nano]"),
    ] = None,
    strategy: Strategies = "macro,dualfocus,auto",
    seeds: Seeds = None,
    n: Annotated[int | None, typer.Option(min=1, help="So many questions of the set, always the same.")] = None,
    calls: Calls = "0",
    pixels: Pixels = "0",
    part: PartName = "all",
    at_once: Annotated[int, typer.Option(min=1, help="Questions that are asked at a time, of all servers.")] = 1,
    engine: Annotated[Literal["local", "ray"], typer.Option(help="In this process, or on a Ray cluster.")] = "local",
    workers: Annotated[int, typer.Option(min=1, help="Processes of the cluster, with --engine ray.")] = 2,
    price: TokenPrice = None,
    profile: ProfileName = None,
    arbiter: ArbiterName = None,
    results: Annotated[
        Path | None, typer.Option(help="Keep each result in this JSON-lines file, and go on.", callback=place_file)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write rows and settings as JSON here.", callback=place_file)] = None,
    format: Table = "text",
) -> None:
    """Ask the questions of a published set, beside the same model without zoom.

    Example: zoomagent bench run --set vstar --data vstar_bench --model URL#NAME --results runs/vstar.jsonl
    """
    from rich.progress import Progress

    from zoomagent.cli.bench import check_regular, json_bytes, names_in, print_table
    from zoomagent.cli.extras import need
    from zoomagent.evaluation.answerers import BASE, rows_of, shared_name
    from zoomagent.evaluation.contestants import AGENT
    from zoomagent.evaluation.public import Plan, measure, name_with_arbiter
    from zoomagent.evaluation.public_table import public_markdown, public_report
    from zoomagent.evaluation.results import ResultFile
    from zoomagent.evaluation.sets.public.catalogue import check, named_set
    from zoomagent.models.base import Model
    from zoomagent.models.loading import load_model, profile_fields, resolve

    strategies = names_in(strategy)
    check_regular(results)
    if engine == "ray":
        need("ray")
    cost, limits = _price(price), {"calls": _numbers(calls, "--calls"), "pixels": _numbers(pixels, "--pixels")}
    named = _numbers(seeds, "--seeds") if seeds else ()
    kind, folder = named_set(set_, data)
    if wrong := [name for name in strategies if name not in (*AGENT, *rows_of(kind.rule))]:
        text = f"{wrong[0]!r} cannot be asked {kind.title}; use {', '.join((BASE, *rows_of(kind.rule)))}"
        raise typer.BadParameter(text, param_hint="--strategy")
    orders = named or ((1, 2, 3) if kind.shuffled else (0,))
    servers, fields = [resolve(one) for one in model or ["nano"]], profile_fields(profile)
    models: dict[int, Model] = {}

    def named_and_fields(most: int) -> tuple[str, dict[str, Any]]:
        own = fields | ({"max_pixels": most} if most else {})
        return name_with_arbiter(shared_name(servers, own), arbiter), own

    def load(server: str, most: int) -> tuple[str, Model]:
        name, own = named_and_fields(most)
        loaded = load_model(server, profile=own)
        models.setdefault(most, loaded)
        return name, loaded

    with Progress(transient=True) as bar:
        reading = bar.add_task("reading", total=kind.count)
        contents = check(kind, folder, n is not None, lambda done: bar.update(reading, completed=done))
        plan = Plan(kind, folder, contents, strategies, orders, n=n, at_once=at_once, part=part, **limits)
        asking = bar.add_task("asking", total=plan.total)
        file, told = ResultFile(results), partial(_tell, bar, asking)
        if engine == "ray":
            from zoomagent.evaluation.public_cluster import Setup, measure_on_ray

            def setup(most: int) -> tuple[str, Setup]:
                name, own = named_and_fields(most)
                load(servers[0], most)
                return name, Setup(kind.rule, tuple(plan.ways(most)), tuple(servers), own, arbiter)

            found = measure_on_ray(plan, setup, workers, file, told)
        else:
            loads = [partial(load, server) for server in servers]
            found = measure(plan, loads[0], file, told, arbiter, loads[1:])
    content = public_report(plan, found, [one.profile for one in models.values()], cost)
    print_table(content, public_markdown(content), format)
    if out is not None:
        out.write_bytes(json_bytes(content))


def _tell(bar: Any, task: Any, done: int) -> None:
    bar.update(task, completed=done)


def export(
    set_: SetName,
    out: Annotated[Path, typer.Option(help="A folder for questions.jsonl and pictures.")],
    data: Annotated[Path | None, typer.Option(help="The folder with the set's files as they are published.")] = None,
    part: PartName = "all",
    n: Annotated[int | None, typer.Option(min=1, help="So many questions, the same as of bench run.")] = None,
) -> None:
    """Write a published set, or a half, as questions for zoomagent batch --records and for other harnesses.

    Example: zoomagent bench export --set vstar --data vstar_bench --part held-out --out runs/vstar-half
    """
    from shlex import quote

    from zoomagent.evaluation.public import Plan
    from zoomagent.evaluation.sets.public.catalogue import check, named_set
    from zoomagent.evaluation.sets.public.exporting import FILE
    from zoomagent.evaluation.sets.public.exporting import export as exported

    kind, folder = named_set(set_, data)
    plan = Plan(kind, folder, check(kind, folder, n is not None), (), (0,), n=n, part=part)
    count = exported(kind, folder, plan.places, out)
    typer.echo(
        f"{count} questions in {out / FILE}. Ask them: zoomagent batch {quote(str(out / FILE))} --out answers.jsonl"
    )


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


def compare(
    a: Annotated[str, typer.Argument(metavar="FILE[#ROW]", help="Results of bench run, and which of their rows.")],
    b: Annotated[str, typer.Argument(metavar="FILE[#ROW]", help="The other row.")],
    out: Annotated[
        Path | None, typer.Option(help="Write a page with the questions that changed here.", callback=place_file)
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The set's folder, to show the pictures from.")] = None,
    set_: Annotated[str | None, typer.Option("--set", help="Which set it is; own:FILE.jsonl has to be named.")] = None,
    every: Annotated[bool, typer.Option("--every", help="Show questions that did not change, too.")] = False,
) -> None:
    """Two rows question by question: what was gained, what was lost, and whether that is chance.

    Example: zoomagent bench compare runs/vstar.jsonl#macro runs/vstar.jsonl#auto --data vstar_bench --out vstar.html
    """
    from zoomagent.cli.terminal import print_lines
    from zoomagent.evaluation.compare import compare_page, pairs, row_of, words_of
    from zoomagent.evaluation.sets.public.catalogue import named_set

    found = pairs(row_of(a), row_of(b))
    print_lines(words_of(found))
    if out is not None:
        kind, folder = named_set(set_ or found[0].a.key.set, data) if data or set_ else (None, None)
        out.write_text(compare_page(found, kind, folder, every), encoding="utf-8")


def advise(
    results: Annotated[Path, typer.Argument(help="Results of bench run, best of several --calls and --pixels.")],
    accuracy: Annotated[float | None, typer.Option(min=0, max=1, help="Share of right answers that is wanted.")] = None,
    error: Annotated[
        float | None, typer.Option(min=0.001, max=0.999, help="Share of given answers that may be wrong.")
    ] = None,
    coverage: Annotated[float, typer.Option(min=0, max=1, help="With --error: share that must be answered.")] = 0.5,
    by: Annotated[
        Literal["visual_tokens", "calls", "seconds"], typer.Option(help="What is to be spared.")
    ] = "visual_tokens",
    out: Annotated[
        Path | None, typer.Option(help="Draw accuracy over what it costs, as PNG, here.", callback=place_file)
    ] = None,
) -> None:
    """The cheapest measured setting for a wanted accuracy, or a wanted error.

    Example: zoomagent bench advise runs/sweep.jsonl --accuracy 0.85 --out sweep.png
    """
    from zoomagent.cli.terminal import print_lines
    from zoomagent.evaluation.advise import advice_table
    from zoomagent.evaluation.advise import advise as advised
    from zoomagent.evaluation.results import load

    if (accuracy is None) == (error is None):
        raise typer.BadParameter("give one of --accuracy and --error", param_hint="--accuracy")
    if not results.is_file():
        raise typer.BadParameter(f"there is no file {results}", param_hint="RESULTS")
    found = advised(load(results), accuracy, error, coverage, by)
    share = accuracy if error is None else error
    wanted = f"an accuracy of {share:.1%}" if error is None else f"at most {share:.1%} wrong answers"
    print_lines(advice_table(found, wanted))
    if out is not None:
        from zoomagent.evaluation.plots import accuracy_over_cost

        accuracy_over_cost(found, by, out)


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
    if not all(part.isdecimal() and len(part) <= MOST_DIGITS for part in parts) or len(set(parts)) < len(parts):
        text = f"{text[:80]!r} are no different numbers of at most {MOST_DIGITS} digits, as 1,2,3"
        raise typer.BadParameter(text, param_hint=hint)
    return tuple(int(part) for part in parts)


def _price(text: str | None) -> Any:
    from zoomagent.evaluation.public_table import Price

    if text is None:
        return None
    try:
        prompt, completion = (float(part) for part in text.split(","))
        if not 0 <= min(prompt, completion) <= max(prompt, completion) < math.inf:
            raise ValueError
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no price; write IN,OUT as 0.3,1.2", param_hint="--price") from None
    return Price(prompt, completion)
