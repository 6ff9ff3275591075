"""The rate of a batch is that of the rows it asks: what an earlier run answered is no speed."""

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from zoomagent.answer import Answer
from zoomagent.batch.answers import AnswerFile
from zoomagent.batch.pace import Pace
from zoomagent.batch.rows import NoRow, Row, read_rows
from zoomagent.batch.running import answer_all
from zoomagent.cli import batch as cli
from zoomagent.run_record import Outcome


def test_rows_that_were_answered_before_are_no_speed() -> None:
    """A thousand of them in no time, then two rows in eight seconds."""
    now = [0.0]
    pace = Pace(1010, lambda: now[0])
    pace.passed(1000)
    assert pace.rate is None and pace.seconds_left is None
    now[0] = 100.0
    pace.begin()
    now[0] = 104.0
    pace.begin()
    pace.answered(1)
    assert pace.rate == 0.25
    now[0] = 108.0
    pace.answered(1)
    assert pace.rate == 0.25 and pace.done == 1002 and pace.seconds_left == 32.0


def test_a_total_that_is_not_known_has_no_end() -> None:
    now = [0.0]
    pace = Pace(None, lambda: now[0])
    pace.begin()
    now[0] = 2.0
    pace.answered(4)
    assert pace.rate == 2.0 and pace.seconds_left is None


def test_a_run_that_goes_on_counts_only_what_it_asks(tmp_path: Path) -> None:
    questions = tmp_path / "q.jsonl"
    questions.write_text(
        "".join(f'{{"id": "{n}", "image": "a.png", "question": "q{n}"}}\n' for n in range(20)) + "no\n"
    )

    async def ask(row: Row) -> Answer:
        paces[-1].begin()
        now[0] += 5.0
        return Answer(question=row.question, text="x", outcome=Outcome(kind="answered"), strategy="macro", model="m")

    async def run(rows: list[Row | NoRow], pace: Pace) -> None:
        paces.append(pace)
        with AnswerFile(tmp_path / "a.jsonl", {}) as file:
            await answer_all(rows, ask, file, 1, pace.answered, passed=pace.passed)

    now, paces, rows = [0.0], list[Pace](), list(read_rows(questions))
    asyncio.run(run(rows[:18], Pace(18, lambda: now[0])))
    again = Pace(21, lambda: now[0])
    asyncio.run(run(rows, again))
    assert again.done == 21 and again.rate == pytest.approx(0.2)


def test_the_bar_shows_that_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    pace = Pace(1000, lambda: now[0])
    pace.passed(990)
    pace.begin()
    now[0] = 10.0
    pace.answered(5)
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: True))
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.capture() as shown:
        console.print(*cli._bar(pace).get_renderables())
    console.file.close()
    assert "995/1000" in shown.get() and "0.50 a second" in shown.get() and "0:00:10" in shown.get()
