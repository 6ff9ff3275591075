"""`zoomagent batch`: answer a file of questions, and go on where a killed run stopped."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from zoomagent.cli.extras import need
from zoomagent.cli.options import AgentOptions, Format, Json, MaxBytes, MaxPixels, Ocr, place_file, takes
from zoomagent.media.limits import OWN_BYTES, OWN_PIXELS
from zoomagent.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress

    from zoomagent.answer import Answer
    from zoomagent.batch.asking import Ask, Setup
    from zoomagent.batch.pace import Pace
    from zoomagent.batch.rows import Row
    from zoomagent.batch.tally import Tally

app = typer.Typer(help="Answer a file of questions.", rich_markup_mode=None)

BAD_ROWS, LATER = 65, 75


@app.command()
@takes
def batch(
    questions: Annotated[Path, typer.Argument(help='Lines of {"id"?, "image", "question", "options"?, "answer"?}.')],
    out: Annotated[Path, typer.Option(help="Answers, a line each; goes on where it ends.", callback=place_file)],
    *,
    model: Annotated[
        list[str] | None,
        typer.Option(help="nano, a folder, a server's base URL, or auto; repeat for more servers of it."),
    ] = None,
    how: AgentOptions,
    ocr: Ocr = False,
    records: Annotated[
        Path | None,
        typer.Option(
            help="Keep what train calibrate learns from here; looks twice at everything, without an arbiter.",
            callback=place_file,
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=4096, help="Questions at the same time.")] = 8,
    root: Annotated[Path | None, typer.Option(help="Where paths of pictures begin. Default: beside QUESTIONS.")] = None,
    allow_host: Annotated[list[str] | None, typer.Option(help="A host that pictures may come from; repeat.")] = None,
    max_bytes: MaxBytes = OWN_BYTES,
    max_pixels: MaxPixels = OWN_PIXELS,
    engine: Annotated[Literal["local", "ray"], typer.Option(help="In this process, or on a Ray cluster.")] = "local",
    workers: Annotated[int, typer.Option(min=1, help="Processes of the cluster, with --engine ray.")] = 2,
    format: Format = None,
    as_json: Json = False,
) -> None:
    """Answer a file of questions; the same command goes on where a killed run stopped.

    Example: zoomagent batch questions.jsonl --out answers.jsonl --concurrency 32
    """
    import asyncio

    for extra, wanted in (("ocr", ocr), ("ray", engine == "ray")):
        if wanted:  # what is missing is said before a file is made or a question asked
            need(extra)
    from zoomagent.batch.asking import Setup
    from zoomagent.batch.piped import as_file, is_pipe
    from zoomagent.media.limits import own_limits
    from zoomagent.models.loading import resolve

    settings = {**how.settings, "ocr": ocr}
    if records is not None:
        from zoomagent.batch.records import SETTINGS

        if os.path.realpath(records) in (os.path.realpath(out), f"{os.path.realpath(out)}.run.json"):
            raise typer.BadParameter("answers are kept there; name another file", param_hint="--records")
        settings |= SETTINGS
    beside = Path() if is_pipe(questions) else questions.parent
    models, hosts, limits = (
        tuple(map(resolve, model or ["nano"])),
        tuple(allow_host or ()),
        own_limits(max_bytes, max_pixels),
    )
    setup = Setup(models, (root or beside).absolute(), hosts, concurrency, settings, limits)
    with as_file(questions) as file:
        tally = asyncio.run(_run(file, out, setup, concurrency, workers if engine == "ray" else 0, records))
    _tell(tally, as_json or format == "json" or (format is None and not sys.stdout.isatty()))
    raise typer.Exit(LATER if tally.put_off else BAD_ROWS if tally.no_rows else 0)


async def _run(
    questions: Path, out: Path, setup: "Setup", concurrency: int, workers: int, records: Path | None
) -> "Tally":
    """`workers` are a cluster's; none is this process."""
    from contextlib import nullcontext

    from zoomagent.batch.answers import AnswerFile
    from zoomagent.batch.asking import Agents
    from zoomagent.batch.pace import Pace
    from zoomagent.batch.records import RecordFile
    from zoomagent.batch.rows import count_lines, is_array, read_rows, with_files
    from zoomagent.batch.running import answer_all

    async def answered(ask: "Ask") -> "Tally":
        learn = kept.add if kept is not None else lambda row, answer: None

        async def asked(row: "Row") -> "Answer":
            pace.begin()
            return await ask(row)

        pace = Pace(count_lines(questions) if not is_array(questions) else None)
        with _bar(pace):
            rows = with_files(read_rows(questions), setup.folder)
            tally = await answer_all(rows, asked, file, concurrency, pace.answered, learn, pace.passed)
        tally.records = None if kept is None else kept.count
        return tally

    with AnswerFile(out, setup.kept) as file, RecordFile(records) if records else nullcontext() as kept:
        if workers:
            from zoomagent.batch.cluster import on_ray

            async with on_ray(setup, workers, concurrency) as ask:
                return await answered(ask)
        async with Agents(setup) as agents:
            return await answered(agents.ask)


def _bar(pace: "Pace") -> "Progress":
    """A bar with the rate and the time that is left, on stderr, where that is a terminal."""
    from datetime import timedelta

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    class Bar(Progress):
        def get_renderables(self) -> Any:
            left = pace.seconds_left
            rate = "" if pace.rate is None else f"{pace.rate:.2f} a second"
            time = "" if left is None else str(timedelta(seconds=round(left)))
            for task in self.task_ids:
                self.update(task, completed=pace.done, rate=rate, left=time)
            yield from super().get_renderables()

    columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[left]}")
    bar = Bar(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
    bar.add_task("asking", total=pace.total, rate="", left="")
    return bar


def _tell(tally: "Tally", as_json: bool) -> None:
    import json

    from zoomagent.cli.terminal import complain

    for row in tally.first_no_rows:
        complain(f"line {row.line} is no question: {row.text}")
    if tally.no_rows > len(tally.first_no_rows):
        complain(f"and {tally.no_rows - len(tally.first_no_rows)} more lines are none")
    for row in tally.first_unscored:
        complain(f"line {row.line} was not scored: {row.text}")
    if tally.unscored > len(tally.first_unscored):
        complain(f"and {tally.unscored - len(tally.first_unscored)} more were not scored")
    for code, count in tally.put_off.items():
        complain(f"{count} questions have no answer yet ({code}). Run the same command again.")
    summary = tally.summary()
    if as_json:
        typer.echo(json.dumps(summary, indent=2))
        return
    for name, value in summary.items():
        if value in ([], {}) or name in ("first_no_rows", "first_unscored"):
            continue
        if isinstance(value, dict):
            words = ", ".join(f"{count} {code}" for code, count in value.items())
        elif isinstance(value, float):
            words = f"{value:.3f}"
        else:
            words = "not known" if value is None else str(value)
        typer.echo(f"{name.replace('_', ' '):18} {printable(words)}")
