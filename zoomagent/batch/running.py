"""A batch: rows in, at most so many at a time, answers kept as they come.

    tally = await answer_all(rows, agents.ask, file, concurrency=8)

An answer counts when it is on disk; several that come together share one fsync. What failed for a reason that passes
(the server was away, or not the right one) is not kept, so the next run asks it again; nor is an answer that could not
look closer because the server went away. What no row can be answered with (no such model, one that takes no pictures, a
setting that cannot be) stops the batch. Left out: who answers (`asking.py`, `cluster.py`).
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from zoomagent.answer import Answer
from zoomagent.batch.answers import AnswerFile
from zoomagent.batch.asking import AWAY, Ask
from zoomagent.batch.gold import judge
from zoomagent.batch.rows import NoRow, Row
from zoomagent.batch.tally import Tally
from zoomagent.errors import (
    ModelBlind,
    ModelNotFound,
    PolicyFileRefused,
    RunError,
    ServerError,
    SettingInvalid,
    Unauthorized,
)
from zoomagent.plugins.offers.public import public_answer

_STOPPING: tuple[type[RunError], ...] = (ModelNotFound, ModelBlind, Unauthorized, SettingInvalid, PolicyFileRefused)
STOPS = {kind.code: kind for kind in _STOPPING}
LOST = "worker_lost"
"""A worker of a cluster died over a row more often than it may."""
PASSES = (*AWAY, ServerError.code, LOST)

Records = asyncio.Queue[dict[str, Any] | None]
Told = Callable[[int], None]
Learn = Callable[[Row, Answer], None]


async def answer_all(
    rows: Iterable[Row | NoRow],
    ask: Ask,
    file: AnswerFile,
    concurrency: int = 8,
    told: Told = lambda done: None,
    learn: Learn = lambda row, answer: None,
    passed: Told = lambda count: None,
) -> Tally:
    """Ask every row that has no answer yet. `told` hears how many are done, `learn` every answer before it counts,
    `passed` how many lines needed no asking. Raises StoreError when answers cannot be kept, RunError when no row can
    be answered."""
    due, records = _rows_to_ask(iter(rows), file, passed), Records(2 * concurrency)
    try:
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(_keep(records, file, told))
            async with asyncio.TaskGroup() as workers:
                for _ in range(concurrency):
                    workers.create_task(_work(due, ask, records, file.tally, told, learn))
            await records.put(None)
            await keeper
    except ExceptionGroup as errors:
        raise _first_error(errors) from None
    return file.tally


def _rows_to_ask(rows: Iterator[Row | NoRow], file: AnswerFile, passed: Told) -> Iterator[Row]:
    for row in rows:
        if isinstance(row, NoRow):
            file.tally.refuse(row)
            passed(1)
        elif file.has(row):
            passed(1)
        else:
            yield row


async def _work(due: Iterator[Row], ask: Ask, records: Records, tally: Tally, told: Told, learn: Learn) -> None:
    for row in due:
        answer = await ask(row)
        code = answer.outcome.code or ""
        if code in STOPS:
            raise STOPS[code](" ".join(answer.outcome.reasons))
        # Asking again may well give an answer, or a better one, where what stood in the way will pass. A run whose
        # time ended before the model replied once met a server that was away, or busy.
        passing = ""
        waited = code == "budget_seconds" and answer.macro is None and answer.micro is None
        if answer.outcome.kind == "answered_degraded":
            passing = next((code for code in answer.outcome.codes if code.startswith(PASSES)), "")
        elif answer.outcome.kind == "failed" and (waited or code.startswith((*PASSES, "store_"))):
            passing = code
        if passing:
            tally.put_off[passing] += 1
            told(1)
        else:
            await asyncio.to_thread(learn, row, answer)
            await records.put(record_of(row, answer))


async def _keep(records: Records, file: AnswerFile, told: Told) -> None:
    """Write what has come, all of it with one fsync, until nothing comes any more."""
    more = True
    while more:
        found = [await records.get()]
        while not records.empty():
            found.append(records.get_nowait())
        more = found[-1] is not None
        kept = [record for record in found if record is not None]
        if kept:
            await asyncio.to_thread(file.add, kept)
            told(len(kept))


def record_of(row: Row, answer: Answer) -> dict[str, Any]:
    """One line of the answers: the row's name, what was right, and the answer as every face gives it."""
    verdict = judge(row, answer.text if answer.answered else "")
    named = {"id": row.key, "line": row.line, "row": row.digest, "question": row.question}
    told: dict[str, Any] = {"wanted": list(row.answers) or row.answer, "right": verdict.right}
    if row.file:
        told["file"] = row.file
    if verdict.rule:
        told |= {"score": verdict.score, "scored_by": verdict.rule}
    if verdict.why:
        told["unscored"] = verdict.why
    return {**named, **told, **public_answer(answer).model_dump(mode="json")}


def _first_error(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first_error(first) if isinstance(first, BaseExceptionGroup) else first
