"""The same rows on a Ray cluster: workers that make their agents themselves, one writer where the batch was started.

    zoomagent batch QUESTIONS.jsonl --out ANSWERS.jsonl --engine ray --workers 4

Joins the cluster that RAY_ADDRESS names, else starts one on this machine. A worker that dies is started again and its
rows are asked again, three times at most; an answer is written once, here. A picture goes to the same worker every
time. Paths must mean the same on every machine. Left out: Ray's own datasets and its engines for language models: a
run of the agent is many calls, and one file has one writer.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import ray

from zoomagent.answer import Answer
from zoomagent.batch.asking import Agents, Ask, Setup, ranked
from zoomagent.batch.rows import Row
from zoomagent.batch.running import LOST
from zoomagent.run_record import Outcome

AGAIN = 3
"""How often a row is asked again whose worker died (ours): one that kills every worker must not go on forever."""


class Worker:
    """Answers rows in a process of the cluster."""

    def __init__(self, setup: Setup) -> None:
        self._agents = Agents(setup)

    async def ask(self, row: Row) -> str:
        """The answer as JSON: its classes need not be the same on both sides."""
        return (await self._agents.ask(row)).model_dump_json()

    async def pid(self) -> int:
        return os.getpid()


@asynccontextmanager
async def on_ray(setup: Setup, workers: int, concurrency: int) -> AsyncIterator[Ask]:
    """How to ask a row while the workers are there."""
    async with cluster():
        yield asker(started(setup, workers, concurrency))


@asynccontextmanager
async def cluster() -> AsyncIterator[None]:
    """The cluster that is joined, or one of this machine that is ended again."""
    ours = not ray.is_initialized()
    if ours:
        ray.init(logging_level="warning", log_to_driver=False, configure_logging=False)
    try:
        yield
    finally:
        if ours:
            ray.shutdown()


def started(setup: Any, workers: int, concurrency: int, kind: type[Any] = Worker) -> list[Any]:
    """Workers that are started again when they die, each with at most `concurrency` rows at a time."""
    made = ray.remote(max_restarts=-1, max_task_retries=AGAIN, max_concurrency=concurrency)(kind)
    return [made.remote(setup) for _ in range(workers)]


def asker(workers: list[Any]) -> Ask:
    """Asks the worker that a picture belongs to."""
    numbered = {str(number): worker for number, worker in enumerate(workers)}

    async def ask(row: Row) -> Answer:
        worker = numbered[ranked(row.image, list(numbered))[0]]
        try:
            return Answer.model_validate_json(await worker.ask.remote(row))
        except ray.exceptions.RayActorError:
            text = f"The worker died {AGAIN + 1} times over this row. Run again, with more memory or fewer at a time."
            return Answer(question=row.question, outcome=Outcome(kind="failed", reasons=(text,), code=LOST))

    return ask
