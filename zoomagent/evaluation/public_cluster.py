"""A published set on a Ray cluster: workers that make their models and agents themselves, one file of results here.

    zoomagent bench run --set vstar --data FOLDER --model URL#NAME --engine ray --workers 4 --at-once 64

Joins the cluster that RAY_ADDRESS names, else starts one on this machine. A picture goes to the same worker every time;
a worker that dies is started again and asked again. One that dies over a question every time ends the bench: what was
answered is kept. Paths must mean the same on every machine. Left out: how a cluster is made (`batch/cluster.py`).
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import ray

from zoomagent.batch.asking import ranked
from zoomagent.batch.cluster import AGAIN, cluster, started
from zoomagent.errors import ServerError
from zoomagent.evaluation.answerers import Answerers, Way
from zoomagent.evaluation.contestants import Contestant, Given
from zoomagent.evaluation.public import Plan, ask_all, open_source
from zoomagent.evaluation.results import Result, ResultFile
from zoomagent.evaluation.sets.public.question import Rule
from zoomagent.models.base import Model
from zoomagent.models.loading import load_model


@dataclass(frozen=True)
class Setup:
    """What a worker makes its answerers of; plain, so that it can travel."""

    rule: Rule
    ways: tuple[Way, ...]
    models: tuple[str, ...]
    fields: Mapping[str, Any]
    arbiter: Path | None = None

    def load(self, model: str) -> Model:
        return load_model(model, profile=dict(self.fields))


class Worker:
    """Answers questions in a process of the cluster."""

    def __init__(self, setup: Setup) -> None:
        loads = [partial(setup.load, model) for model in setup.models]
        self._rule, self._answerers = (
            setup.rule,
            Answerers(setup.rule, setup.ways, [load() for load in loads], loads, setup.arbiter),
        )

    async def ask(self, way: Way, source: Path | bytes, question: str, options: Sequence[str]) -> dict[str, Any]:
        """What was given, field by field."""
        self._answerers.forget()
        with await asyncio.to_thread(open_source, self._rule, source) as picture:
            return asdict(await self._answerers.contestants[way](picture, question, options))

    async def pid(self) -> int:
        return os.getpid()


def measure_on_ray(
    plan: Plan,
    setup_of: Callable[[int], tuple[str, Setup]],
    workers: int,
    kept: ResultFile,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Result]:
    """All results of the plan. `setup_of` gives the name and the setup for a limit of pixels."""

    async def asked() -> list[Result]:
        results: list[Result] = []
        async with cluster():
            for pixels in plan.pixels:
                named, setup = setup_of(pixels)
                made = started(setup, workers, max(1, plan.at_once // workers), Worker)
                contestants = {way: remote(made, way) for way in setup.ways}
                before = len(results)
                results += await ask_all(
                    plan,
                    named,
                    contestants,
                    kept,
                    lambda done, before=before: progress(before + done),  # type: ignore[misc]
                    opened=lambda plan, question: nullcontext(question.picture),
                )
        return results

    return asyncio.run(asked())


def remote(workers: Sequence[Any], way: Way) -> Contestant:
    """Asks the worker that a picture belongs to."""
    numbered = {str(place): worker for place, worker in enumerate(workers)}

    async def contestant(source: Any, question: str, options: Sequence[str]) -> Given:
        named = str(source) if isinstance(source, Path) else sha256(source).hexdigest()
        worker = numbered[ranked(named, list(numbered))[0]]
        try:
            return Given(**await worker.ask.remote(way, source, question, options))
        except ray.exceptions.RayActorError as error:
            text = f"A worker died {AGAIN + 1} times over one question. What was answered is kept. Give it more memory."
            raise ServerError(text) from error

    return contestant
