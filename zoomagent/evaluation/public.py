"""Ask a model the questions of a published set, with several strategies and limits, beside the same model without zoom.

    zoomagent bench run --set vstar --data vstar_bench --model URL#NAME --results runs/vstar.jsonl

Every row answers the same questions about the same files with the same words, under the same limit of pixels; options
stand in an order that the seed decides. `macro`, the same model without a closer look, is always among the rows. Each
result is kept as it comes: what was asked before is not asked again. A server that fails stops the bench, for its
silence says nothing about the model. Left out: reading the sets (`sets/public`), the table (`public_table.py`).
"""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

from zoomagent.confidence.records import draw
from zoomagent.errors import (
    InputRefused,
    ModelBlind,
    ModelNotFound,
    ModelUnavailable,
    OutsideWorld,
    RateLimited,
    ServerError,
    SettingInvalid,
    Unauthorized,
)
from zoomagent.evaluation.answerers import BASE, Answerers, Way, rows_of
from zoomagent.evaluation.contestants import AGENT, Contestant, Media
from zoomagent.evaluation.results import Key, Result, ResultFile
from zoomagent.evaluation.sets.public.catalogue import Contents, questions
from zoomagent.evaluation.sets.public.question import PublicSet, Rule, SetQuestion
from zoomagent.evaluation.sets.public.worth import HALF, worth
from zoomagent.media import open_picture, open_video
from zoomagent.models.base import Model

Part = Literal["all", "held-out", "test"]
"""`held-out` is a half of a set to calibrate on, `test` the other; no picture is in both."""
Opened = Callable[["Plan", SetQuestion], AbstractContextManager[Any]]
"""Opens the picture of a question for who answers it."""
STOPS: dict[str, type[ServerError]] = {
    error.code: error
    for error in (ModelUnavailable, ModelNotFound, ModelBlind, OutsideWorld, RateLimited, Unauthorized)
}
"""Errors of a run that are none of the model's answers."""


@dataclass(frozen=True)
class Plan:
    """What is asked of whom. `n` questions, or so many more that circles are whole, are chosen by their ids alone, so
    that a larger bench holds those of a smaller one; `at_once` are asked of a server at a time."""

    kind: PublicSet
    folder: Path
    contents: Contents
    strategies: tuple[str, ...]
    seeds: tuple[int, ...]
    calls: tuple[int, ...] = (0,)
    pixels: tuple[int, ...] = (0,)
    n: int | None = None
    at_once: int = 1
    part: Part = "all"

    def ways(self, pixels: int) -> list[Way]:
        """The rows under one limit of pixels, the model without zoom first. Only strategies of the agent's have a
        limit of calls: a rival stops by itself. A box is pointed at in the whole. In a clip all strategies of the
        agent's seek alike; rivals that need a picture are left out there, and those in time elsewhere."""
        names = dict.fromkeys([BASE, *(name for name in self.strategies if name in rows_of(self.kind.rule))])
        return [
            Way(name, calls, pixels)
            for name in names
            for calls in (self.calls if name in AGENT and name != BASE else (0,))
        ]

    @cached_property
    def places(self) -> dict[str, int]:
        """The ids of the questions that are asked, each with its place: whole circles, until there are `n`."""
        groups = self.contents.groups
        sides = {name: "held-out" if draw(groups[name], "half") < HALF else "test" for name in groups}
        circles = {name: one for name, one in self.contents.circles.items() if self.part in ("all", sides[name])}
        chosen, count, size = set[str](), 0, Counter(circles.values())
        for circle in sorted(size, key=lambda name: draw(name, "part")):
            if self.n is None or count < self.n:
                chosen.add(circle)
                count += size[circle]
        return {name: place for place, name in enumerate(groups) if circles.get(name) in chosen}

    @property
    def total(self) -> int:
        """How many answers there will be."""
        seeds = len(self.seeds) if self.kind.shuffled else 1
        return len(self.places) * seeds * sum(len(self.ways(pixels)) for pixels in self.pixels)


Load = Callable[[int], tuple[str, Model]]


def measure(
    plan: Plan,
    load: Load,
    kept: ResultFile | None = None,
    progress: Callable[[int], None] = lambda done: None,
    arbiter: str | Path | None = None,
    others: Sequence[Load] = (),
) -> list[Result]:
    """All results of the plan. `load` gives the model that looks with so many pixels, and its name; `others` the same
    model on other servers."""
    kept = kept or ResultFile()
    results: list[Result] = []
    for pixels in plan.pixels:
        loads = [partial(one, pixels) for one in (load, *others)]
        found = [one() for one in loads]
        named, shared = found[0][0], [model for _, model in found]
        answerers = Answerers(
            plan.kind.rule, plan.ways(pixels), shared, [partial(_model, one) for one in loads], arbiter
        )
        if answerers.is_in_process and plan.at_once > 1:
            raise SettingInvalid("Several questions at once are for a server. This model runs here: leave that out.")

        def progress_in_all(done: int, before: int = len(results)) -> None:
            progress(before + done)

        try:
            results += asyncio.run(_ask_and_close(plan, named, answerers, kept, progress_in_all))
        finally:
            answerers.close()
    return results


def _model(load: Callable[[], tuple[str, Model]]) -> Model:
    return load()[1]


async def _ask_and_close(
    plan: Plan, named: str, answerers: Answerers, kept: ResultFile, progress: Callable[[int], None]
) -> list[Result]:
    try:
        return await ask_all(plan, named, answerers.contestants, kept, progress, answerers.forget)
    finally:
        await answerers.aclose()


def name_with_arbiter(named: str, arbiter: Path | None) -> str:
    """The model's name with what judges its answers: under another arbiter other answers are given."""
    if arbiter is None or not arbiter.is_file():
        return named
    return f"{named} arbiter {hashlib.sha256(arbiter.read_bytes()).hexdigest()[:12]}"


async def ask_all(
    plan: Plan,
    named: str,
    contestants: Mapping[Way, Contestant],
    kept: ResultFile,
    progress: Callable[[int], None] = lambda done: None,
    forget: Callable[[], None] = lambda: None,
    opened: Opened | None = None,
) -> list[Result]:
    """Every question of every row; of a server, several questions at a time."""
    places, free, results = plan.places, asyncio.Semaphore(plan.at_once), list[list[Result]]()

    async def one(question: SetQuestion, found: list[Result]) -> None:
        try:
            found += await ask_one(
                plan, named, question, places[question.id], contestants, kept, forget, opened or _open
            )
            progress(sum(map(len, results)))
        finally:
            free.release()

    try:
        async with asyncio.TaskGroup() as group:
            for question in questions(plan.kind, plan.folder, frozenset(places)):
                await free.acquire()
                results.append([])
                group.create_task(one(question, results[-1]))
    except ExceptionGroup as errors:
        # What stopped the first question ends the others; they are asked again.
        raise errors.exceptions[0] from None
    return [result for found in results for result in found]


async def ask_one(
    plan: Plan,
    named: str,
    question: SetQuestion,
    place: int,
    contestants: Mapping[Way, Contestant],
    kept: ResultFile,
    forget: Callable[[], None],
    opened: Opened,
) -> list[Result]:
    """One question under every seed and by every row; its picture is opened once."""
    seeds = plan.seeds if plan.kind.shuffled else plan.seeds[:1]
    asked = [
        (way, options, key_of(plan, named, question, place, way, seed))
        for seed in seeds
        for options in [question.options_for(seed) if plan.kind.shuffled else question.options]
        for way in contestants
    ]
    missing = [(way, options, key) for way, options, key in asked if key not in kept]
    if missing:
        with await asyncio.to_thread(opened, plan, question) as picture:
            for way, options, key in missing:
                forget()
                kept.add(await _answer(plan.kind, question, options, key, contestants[way], picture))
    return [kept[key] for _, _, key in asked]


def key_of(plan: Plan, named: str, question: SetQuestion, place: int, way: Way, seed: int) -> Key:
    return Key(
        model=named,
        size=0,
        level="",
        macro_side=0,
        with_options=bool(question.options),
        seed=seed,
        scene=place,
        group=question.category,
        strategy=way.strategy,
        set=plan.kind.name,
        question=question.id,
        data=question.digest,
        calls=way.calls,
        pixels=way.pixels,
    )


def open_source(rule: Rule, source: Path | bytes) -> Media:
    """The picture or clip of a question."""
    return open_video(source) if rule == "moment" else open_picture(source)


def _open(plan: Plan, question: SetQuestion) -> Media:
    try:
        return open_source(plan.kind.rule, question.picture)
    except InputRefused as error:
        text = f"The picture or clip of question {question.id[:80]!r} of {plan.kind.title} cannot be opened: {error}"
        raise InputRefused(text, code=error.code) from error


async def _answer(
    kind: PublicSet,
    question: SetQuestion,
    options: Sequence[str],
    key: Key,
    contestant: Contestant,
    picture: Media,
) -> Result:
    start = time.perf_counter()
    given = await contestant(picture, question.text, options)
    seconds = time.perf_counter() - start
    code = given.code
    if code in STOPS:
        advice = "Run the same again to go on" if STOPS[code].retryable else "Name a model that can be asked"
        raise STOPS[code](f"Question {question.id[:80]!r} was not answered ({code}). What was, is kept. {advice}.")
    value = worth(kind.rule, question, given.text) if given.answered else 0.0
    return replace(
        given.result(key, question.text, options, question.answers[0], value >= HALF, seconds),
        answers=question.answers,
        reply=given.reply,
        boxes=given.boxes,
        prompt_tokens=given.prompt_tokens,
        completion_tokens=given.completion_tokens,
        worth=value,
        circle=question.circle,
        picture=question.picture_name,
        targets=question.boxes,
    )
