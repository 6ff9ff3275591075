"""`zoomagent bench`: measure strategies beside the same model without zoom, and beside rival procedures."""

from pathlib import Path
from shlex import quote
from typing import Annotated, Any, Literal, get_args

import typer

from zoomagent.cli import bench_lion, bench_sets
from zoomagent.cli.options import ArbiterName, OldOut, ProfileName, Table, out_of, place_file

OWN_WORLDS = "small,deep,fine,varied,other"
WORLDS = f"{OWN_WORLDS},foreign"
app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


app.command("run")(bench_sets.run)
app.command("lion")(bench_lion.lion)
app.command("compare")(bench_sets.compare)
app.command("advise")(bench_sets.advise)
app.command("export")(bench_sets.export)
app.command("draw")(bench_sets.draw)
app.command("sets")(bench_sets.list_sets)


@app.callback()
def bench() -> None:
    """Measure strategies beside no zoom.

    Example: zoomagent bench haystack --n 60
    """


@app.command()
def haystack(
    n: Annotated[int, typer.Option(min=6, help="Questions in all, in equal shares per kind and seed.")] = 500,
    seeds: Annotated[str, typer.Option(help="Which unseen scenes: comma-separated numbers.")] = "1",
    size: Annotated[int, typer.Option(min=256, max=8192, help="Side of a picture in pixels.")] = 4096,
    strategy: Annotated[
        str, typer.Option(help="Comma-separated: the agent's, and tiling, oracle, zoomeye, p2r, vicrop.")
    ] = "macro,dualfocus,tools,search,auto",
    model: Annotated[str, typer.Option(help="nano, a folder with weights, or the base URL of a server.")] = "nano",
    profile: ProfileName = None,
    arbiter: ArbiterName = None,
    level: Annotated[
        str, typer.Option(help="small, deep (things too small to be seen in the whole), fine (smaller still), full.")
    ] = "small",
    style: Annotated[str, typer.Option(help="Wordings: plain, trained, or kept back.")] = "plain",
    options: Annotated[
        bool,
        typer.Option("--options/--no-options", help="Offer shuffled options; nano answers in words, others by letter."),
    ] = False,
    results: Annotated[
        Path | None, typer.Option(help="Keep each result in this JSON-lines file, and go on.", callback=place_file)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write rows and settings as JSON here, plots beside it.", callback=place_file)
    ] = None,
    old_out: OldOut = None,
    answers: Annotated[bool, typer.Option(help="Keep every answer in the JSON.")] = False,
    format: Table = "text",
) -> None:
    """Questions about unseen scenes: accuracy by kind, gain and harm against no zoom, and what it cost.

    Example: zoomagent bench haystack --n 60 --size 4096 --level deep --strategy macro,auto
    """
    strategies, numbers, out = names_in(strategy), _numbers(seeds), out_of(out, old_out)
    _check(strategies, level, style, results, out)
    from rich.progress import Progress

    from zoomagent.evaluation.contestants import ORACLE
    from zoomagent.evaluation.results import ResultFile
    from zoomagent.evaluation.run import measure
    from zoomagent.evaluation.sets.haystack import Settings
    from zoomagent.evaluation.table import markdown, report, with_oracle
    from zoomagent.models.loading import fingerprint, load_model, profile_fields, resolve

    model, fields = resolve(model), profile_fields(profile)
    named = fingerprint(model, fields)
    settings = Settings(n, numbers, size, level, strategies, options, model=named, style=style)  # type: ignore[arg-type]
    with Progress(transient=True) as bar:
        task = bar.add_task("asking", total=n)
        settings, found = measure(
            settings,
            lambda: load_model(model, profile=fields),
            ResultFile(results),
            lambda done: bar.update(task, completed=done),
            arbiter,
        )
    found = with_oracle(found) if ORACLE in strategies else found
    content = report(settings, found, answers)
    print_table(content, markdown(content["rows"]), format)
    if out is not None:
        from zoomagent.evaluation.plots import plots

        out.write_bytes(json_bytes(content))
        plots(content["rows"], found, out)


@app.command()
def collect(
    out: Annotated[
        Path, typer.Option(help="JSON lines, one asked question each; goes on where it ends.", callback=place_file)
    ],
    n: Annotated[int, typer.Option(min=15, help="Questions in all, in equal shares per world and wording.")] = 1500,
    worlds: Annotated[str, typer.Option(help=f"Comma-separated: {WORLDS}.")] = WORLDS,
    model: Annotated[str, typer.Option(help="nano, a folder with weights, or the base URL of a server.")] = "nano",
    profile: ProfileName = None,
    fonts: Annotated[Path | None, typer.Option(help="A folder of fonts to draw varied and other scenes with.")] = None,
    photographs: Annotated[Path | None, typer.Option(help="A folder of pictures to lay behind them.")] = None,
    ocr: Annotated[bool, typer.Option("--ocr", help="Read crops letter by letter in every fourth run.")] = False,
) -> None:
    """Ask held-out questions and keep what the runs knew: the records of `zoomagent train calibrate`.

    Example: zoomagent bench collect --model runs/box/checkpoint --n 1500 --out runs/records.jsonl
    """
    from rich.progress import Progress

    from zoomagent.data.world.varied import Variety
    from zoomagent.evaluation.sets.other_world import Materials
    from zoomagent.models.loading import load_model
    from zoomagent.training.calibration.collecting import collect_all

    names = names_in(worlds)
    if wrong := [name for name in names if name not in WORLDS.split(",")]:
        raise typer.BadParameter(f"{wrong[0]!r} is not known; use {WORLDS}", param_hint="--worlds")
    materials = Materials.packaged().with_folders(fonts, photographs)
    with Progress(transient=True) as bar:
        task = bar.add_task("asking", total=n)
        kept = collect_all(
            load_model(model, profile=profile), n, names, out, materials, Variety.of(fonts, photographs), ocr,  # type: ignore[arg-type]
            lambda at: bar.update(task, completed=at),
        )  # fmt: skip
    typer.echo(f"{kept} records in {out}. Fit with: zoomagent train calibrate {quote(str(out))} --out arbiter.json")


@app.command()
def looks(
    out: Annotated[Path, typer.Option(help="JSON lines, one picture each.", callback=place_file)],
    worlds: Annotated[str, typer.Option(help="Comma-separated: small,deep,fine,varied,other; or none.")] = OWN_WORLDS,
    n: Annotated[int, typer.Option(min=8, help="Scenes of each world; other: an eighth.")] = 800,
    own: Annotated[list[Path] | None, typer.Option(help="A folder of pictures that belong; repeat.")] = None,
    foreign: Annotated[list[Path] | None, typer.Option(help="A folder of pictures that do not; repeat.")] = None,
    held_out: Annotated[
        list[Path] | None, typer.Option(help="A folder of foreign pictures to report on only; repeat.")
    ] = None,
    parts: Annotated[int, typer.Option(min=0, help="Parts of each file beside the whole.")] = 4,
    model: Annotated[str, typer.Option(help="Whose whole views: nano, a folder with weights, or a server.")] = "nano",
    profile: ProfileName = None,
    fonts: Annotated[Path | None, typer.Option(help="A folder of fonts to draw varied and other scenes with.")] = None,
    photographs: Annotated[Path | None, typer.Option(help="A folder of pictures to lay behind them.")] = None,
    split: Annotated[Literal["held-out", "test"], typer.Option(help="Of scenes; test: reported only.")] = "held-out",
) -> None:
    """Write what pictures look like, own and foreign ones, for `zoomagent train scope`. No model is asked.

    Example: zoomagent bench looks --foreign photographs --out runs/looks.jsonl
    """
    from zoomagent.data.world.varied import Variety
    from zoomagent.evaluation.looks import every_look
    from zoomagent.evaluation.sets.other_world import Materials
    from zoomagent.models.loading import load_model

    names = () if worlds == "none" else names_in(worlds)
    if wrong := [name for name in names if name not in OWN_WORLDS.split(",")]:
        raise typer.BadParameter(f"{wrong[0]!r} is not known; use {OWN_WORLDS}, or none", param_hint="--worlds")
    files = [(folder, False, False) for folder in own or ()]
    files += [(folder, True, False) for folder in foreign or ()] + [(folder, True, True) for folder in held_out or ()]
    materials, variety = Materials.packaged().with_folders(fonts, photographs), Variety.of(fonts, photographs)
    kept = 0
    with out.open("w", encoding="utf-8") as handle:
        for look in every_look(
            load_model(model, profile=profile).profile, names, n, files, parts, variety, materials, split
        ):
            handle.write(look.model_dump_json() + "\n")
            kept += 1
    typer.echo(f"{kept} pictures in {out}. Fit with: zoomagent train scope nano {quote(str(out))} --out arbiter.json")


@app.command()
def moments(
    n: Annotated[int, typer.Option(min=1, help="Clips of each length, and of each kind of question.")] = 36,
    seed: Annotated[int, typer.Option(min=0, help="Which unseen clips.")] = 5,
    level: Annotated[str, typer.Option(help="small, deep, fine or full.")] = "small",
    side: Annotated[int, typer.Option(min=256, max=4096, help="Side of a frame in pixels.")] = 1024,
    contestants: Annotated[
        str, typer.Option(help="Comma-separated: seek, frames-9, frames-18, frames-81, window, macro.")
    ] = "seek,frames-9,frames-18,frames-81,window,macro",
    model: Annotated[str, typer.Option(help="nano, a folder with weights, or the base URL of a server.")] = "nano",
    profile: ProfileName = None,
    out: Annotated[Path | None, typer.Option(help="Write rows and answers as JSON here.", callback=place_file)] = None,
    format: Table = "text",
) -> None:
    """When something is there in drawn clips, how exactly that is found, and at what price.

    Example: zoomagent bench moments --n 36 --out runs/moments.json
    """
    names = names_in(contestants)
    from rich.progress import Progress

    from zoomagent.data.world.scene import LEVELS
    from zoomagent.evaluation.moments import RIVALS, markdown, measure, report
    from zoomagent.evaluation.sets.moments import LENGTHS, Settings
    from zoomagent.models.loading import load_model

    for name, given, known in (("--contestants", names, RIVALS), ("--level", (level,), tuple(LEVELS))):
        if wrong := [value for value in given if value not in known]:
            raise typer.BadParameter(f"{wrong[0]!r} is not known; use {', '.join(known)}", param_hint=name)
    settings = Settings(n, seed, level, side, model, names)
    with Progress(transient=True) as bar:
        task = bar.add_task("asking", total=n * (2 * len(LENGTHS) + 1))
        found = measure(load_model(model, profile=profile), settings, lambda at: bar.update(task, completed=at))
    content = report(settings, found)
    print_table(content, markdown(content["rows"]), format)
    if out is not None:
        out.write_bytes(json_bytes(content))


@app.command()
def sounds(
    n: Annotated[int, typer.Option(min=1, help="Sounds of each kind of question.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Which unseen sounds.")] = 5,
    model: Annotated[str, typer.Option(help="nano, a folder with weights, or the base URL of a server.")] = "nano",
    profile: ProfileName = None,
    out: Annotated[Path | None, typer.Option(help="Write rows and answers as JSON here.", callback=place_file)] = None,
    format: Table = "text",
) -> None:
    """When something sounds in drawn sounds, how exactly that is found, and what is said of a muted one.

    Example: zoomagent bench sounds --n 24 --model runs/sounds/checkpoint
    """
    from rich.progress import Progress

    from zoomagent.evaluation.moments import markdown, report
    from zoomagent.evaluation.sounds import SoundSettings, measure
    from zoomagent.models.loading import load_model

    settings = SoundSettings(n, seed, model)
    with Progress(transient=True) as bar:
        task = bar.add_task("asking", total=5 * n)
        found = measure(load_model(model, profile=profile), settings, lambda at: bar.update(task, completed=at))
    content = report(settings, found)
    print_table(content, markdown(content["rows"]), format)
    if out is not None:
        out.write_bytes(json_bytes(content))


@app.command()
def promise(
    n: Annotated[int, typer.Option(min=8, help="Questions of each of the four sets.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Which unseen scenes.")] = 41,
    model: Annotated[str, typer.Option(help="nano, a folder with weights, or the base URL of a server.")] = "nano",
    profile: ProfileName = None,
    arbiter: Annotated[str | None, typer.Option(help="A file of train calibrate; default: the model's own.")] = None,
    fonts: Annotated[Path | None, typer.Option(help="A folder of more fonts for the other scenes.")] = None,
    photographs: Annotated[
        Path | None, typer.Option(help="A folder of more pictures: grounds, and foreign ones.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Keep each answer in this JSON-lines file, and go on.", callback=place_file)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write rows as JSON here.", callback=place_file)] = None,
    old_out: OldOut = None,
    sets: Annotated[str, typer.Option(help="Which of the sets a, b, c, d.")] = "abcd",
    format: Table = "text",
) -> None:
    """Ask under error rates of 2, 5, 10 and 20 per cent, and count what was wrong, where the promise could break.

    Example: zoomagent bench promise --n 400 --out runs/promise.json
    """
    from rich.progress import Progress

    from zoomagent.evaluation.promise import LETTERS, markdown, measure, report
    from zoomagent.evaluation.sets.other_world import Materials
    from zoomagent.models.loading import load_model
    from zoomagent.models.profiles import whole_side

    if not sets or not set(sets) <= set(LETTERS):
        raise typer.BadParameter(f"{sets!r} names no sets; use some of {LETTERS}", param_hint="--sets")
    out = out_of(out, old_out)
    check_regular(results)
    loaded = load_model(model, profile=profile)
    side = whole_side(loaded.profile, 4096)
    materials = Materials.packaged().with_folders(fonts, photographs)
    with Progress(transient=True) as bar:
        task = bar.add_task("asking", total=n * len(sets))
        found = measure(
            loaded, n, seed, materials, side, arbiter, results, lambda at: bar.update(task, completed=at), sets
        )
    content = report(found, arbiter or loaded.name)
    print_table(content, markdown(content), format)
    if out is not None:
        out.write_bytes(json_bytes(content))


@app.command()
def ground(
    scenes: Annotated[int, typer.Option(min=1, help="How many unseen pictures.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Which pictures.")] = 1,
    level: Annotated[str, typer.Option(help="small, deep, fine or full.")] = "small",
    model: Annotated[str, typer.Option(help="nano, a folder with weights, or the base URL of a server.")] = "nano",
    profile: ProfileName = None,
    arbiter: ArbiterName = None,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON here.", callback=place_file)] = None,
    format: Table = "text",
) -> None:
    """How well a model points, describes with boxes, and denies what is not there.

    Example: zoomagent bench ground --scenes 40
    """
    import asyncio

    from zoomagent.agent import ZoomAgent
    from zoomagent.data.world.scene import LEVELS
    from zoomagent.evaluation.ground import measure, table

    if level not in LEVELS:
        raise typer.BadParameter(f"{level!r} is not known; use {', '.join(LEVELS)}", param_hint="--level")
    from rich.progress import Progress

    with ZoomAgent(model, profile=profile, arbiter=arbiter) as agent, Progress(transient=True) as bar:
        task = bar.add_task("asking", total=scenes)
        content = asyncio.run(
            measure(agent, LEVELS[level], scenes, seed, lambda done: bar.update(task, completed=done))
        )
    print_table(content, table(content), format)
    if out is not None:
        out.write_bytes(json_bytes(content))


def names_in(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _numbers(text: str) -> tuple[int, ...]:
    parts = names_in(text)
    if not all(part.isdecimal() for part in parts) or len(set(parts)) < len(parts):
        raise typer.BadParameter(f"{text!r} are no seeds; give different numbers, as 1,2,3", param_hint="--seeds")
    return tuple(int(part) for part in parts)


def _check(strategies: tuple[str, ...], level: str, style: str, results: Path | None, out: Path | None) -> None:
    """Refuse before an hour of asking what would be refused after it."""
    from zoomagent.data.world.scene import LEVELS
    from zoomagent.data.world.wordings import Style
    from zoomagent.evaluation.contestants import NAMES, ORACLE

    known_values: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
        ("--level", (level,), tuple(LEVELS)),
        ("--strategy", strategies, NAMES),
        ("--style", (style,), get_args(Style)),
    )
    for name, given, known in known_values:
        if wrong := [value for value in given if value not in known]:
            raise typer.BadParameter(f"{wrong[0]!r} is not known; use {', '.join(known)}", param_hint=name)
    if ORACLE in strategies and not {"macro", "micro"} <= set(strategies):
        raise typer.BadParameter("oracle chooses between macro and micro; name them too", param_hint="--strategy")
    check_regular(results)
    if out is not None:
        import matplotlib  # noqa: F401  # wanted for the plots: better missed now than after an hour


def check_regular(results: Path | None) -> None:
    if results is not None and results.exists() and not results.is_file():
        raise typer.BadParameter(f"{results} is no regular file; name another", param_hint="--results")


def print_table(content: dict[str, Any], table: str, format: str) -> None:
    from zoomagent.cli.terminal import print_lines

    print_lines(json_bytes(content).decode() if format == "json" else table)


def json_bytes(content: dict[str, Any]) -> bytes:
    import orjson

    return orjson.dumps(content, option=orjson.OPT_INDENT_2)
