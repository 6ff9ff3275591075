"""`zoomagent train`: train the nano model; other policies follow the same command."""

from pathlib import Path
from typing import Annotated

import typer

from zoomagent.cli import train_lion, train_rl, train_sft
from zoomagent.cli.options import place_file

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def train() -> None:
    """Train models, nano first of all.

    Example: zoomagent train sft --preset nano --steps 200 --out runs/nano
    """


app.command(name="sft")(train_sft.sft)
app.command(name="lion")(train_lion.lion)


@app.command()
def calibrate(
    records: Annotated[
        Path, typer.Argument(help="JSON lines, one asked question each (zoomagent.confidence.records).")
    ],
    out: Annotated[Path, typer.Option(help="The arbiter, one JSON file.", callback=place_file)],
    seed: Annotated[int, typer.Option(min=0, help="Which records are fitted on, certified on and held out.")] = 1,
    report: Annotated[Path | None, typer.Option(help="Write the figures as JSON too.")] = None,
    model: Annotated[str, typer.Option(help="Name of the model that was asked.")] = "",
    weights: Annotated[Path | None, typer.Option(help="Folder with its weights, to name them by hash.")] = None,
    world: Annotated[str, typer.Option(help="What the model knows at all, where it is one world only.")] = "",
    looks: Annotated[Path | None, typer.Option(help="More pictures, own and foreign ones: of bench looks.")] = None,
) -> None:
    """Fit how sure to be, and when to answer, from questions whose answers are known.

    Example: zoomagent train calibrate runs/records.jsonl --weights runs/box/checkpoint --out runs/arbiter.json
    """
    import json

    from zoomagent.cli.terminal import print_lines
    from zoomagent.confidence.arbiter import save
    from zoomagent.confidence.records import read_records, split
    from zoomagent.errors import SettingInvalid
    from zoomagent.training.calibration.fitting import NEEDED, fit, weights_hash
    from zoomagent.training.calibration.report import evaluate, table
    from zoomagent.training.calibration.scope import read_looks

    learned = read_records(records)
    if len(learned) < NEEDED:
        raise SettingInvalid(f"{len(learned)} records are fewer than the {NEEDED} that are needed. Ask more questions.")
    kept, held_out = split(learned, 0.25, f"held out {seed}")
    named = weights_hash(weights) if weights else ""
    arbiter = fit(kept, seed, model, named, world, read_looks(looks) if looks else ())
    figures = evaluate(arbiter, [record for record in held_out if not record.foreign])
    save(arbiter, out)
    if report:
        report.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print_lines(table(figures))


app.command(name="select-resolution")(train_rl.select_resolution)
app.command(name="rl")(train_rl.rl)
app.command(name="probe")(train_rl.probe)


@app.command()
def scope(
    arbiter: Annotated[str, typer.Argument(help="An arbiter's file, or nano: the packaged one.")],
    looks: Annotated[Path, typer.Argument(help="JSON lines of zoomagent bench looks.")],
    out: Annotated[Path, typer.Option(help="The same arbiter with its pictures, one JSON file.", callback=place_file)],
    records: Annotated[
        list[Path] | None, typer.Option(help="Records whose pictures are of its own kinds too; repeat.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which pictures are in which fold.")] = 1,
) -> None:
    """Teach an arbiter which pictures it was certified on; its heads stay as they are.

    Example: zoomagent train scope nano runs/looks.jsonl --out arbiter.json
    """
    from zoomagent.cli.terminal import print_lines
    from zoomagent.confidence.arbiter import load, save
    from zoomagent.confidence.records import read_records
    from zoomagent.errors import SettingInvalid
    from zoomagent.training.calibration.scope import ENOUGH, fit_scope, looks_in, read_looks, report

    judge = load(arbiter)
    found = [*looks_in([record for file in records or [] for record in read_records(file)]), *read_looks(looks)]
    if judge is None:
        raise SettingInvalid(f"There is no arbiter {arbiter!r}. Fit one with zoomagent train calibrate.")
    fitted = fit_scope(found, seed)
    if fitted is None:
        raise SettingInvalid(f"{looks.name!r} holds fewer than {ENOUGH} pictures of the model's own. Add some.")
    save(judge.model_copy(update={"scope": fitted}), out)
    print_lines(report(fitted, found))
