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
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

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
from zoomagent.evaluation.contestants import (
    AGENT,
    RIVALS,
    Contestant,
    Media,
    make_agent,
    of_agent,
    of_pointing,
    of_rival,
    of_seeking,
)
from zoomagent.evaluation.results import Key, Result, ResultFile
from zoomagent.evaluation.rivals.frames import IN_TIME, glance
from zoomagent.evaluation.sets.public.catalogue import Contents, questions
from zoomagent.evaluation.sets.public.question import PublicSet, SetQuestion
from zoomagent.evaluation.sets.public.worth import HALF, worth
from zoomagent.graphs.context import Budget
from zoomagent.media import open_picture, open_video
from zoomagent.models.base import Model
from zoomagent.models.loading import identify
from zoomagent.models.local.in_process import InProcessModel

Part = Literal["all", "held-out", "test"]
"""`held-out` is a half of a set to calibrate on, `test` the other; no picture is in both."""
BASE = "macro"
SEEKING = "auto"
STOPS: dict[str, type[ServerError]] = {
    error.code: error
    for error in (ModelUnavailable, ModelNotFound, ModelBlind, OutsideWorld, RateLimited, Unauthorized)
}
"""Errors of a run that are none of the model's answers."""


@dataclass(frozen=True)
class Way:
    """How questions are answered: a strategy or a rival, and its limits (0: its own)."""

    strategy: str
    calls: int = 0
    pixels: int = 0


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
        names = dict.fromkeys([BASE, *(name for name in self.strategies if name in rows_of(self.kind))])
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


def rows_of(kind: PublicSet) -> tuple[str, ...]:
    """What can be asked of a set, beside the model without zoom."""
    if kind.rule == "box":
        return ()
    return (SEEKING, *IN_TIME) if kind.rule == "moment" else (*AGENT, *RIVALS)


def measure(
    plan: Plan,
    load: Callable[[int], tuple[str, Model]],
    kept: ResultFile | None = None,
    progress: Callable[[int], None] = lambda done: None,
    arbiter: str | Path | None = None,
) -> list[Result]:
    """All results of the plan. `load` gives the model that looks with so many pixels, and its name. A model in this
    process is loaded once for each limit; others once for each row, as connections belong to one event loop."""
    kept = kept or ResultFile()
    results: list[Result] = []
    for pixels in plan.pixels:
        named, model = load(pixels)
        shared, ways = isinstance(model, InProcessModel), plan.ways(pixels)
        if shared and plan.at_once > 1:
            raise SettingInvalid("Several questions at once are for a server. This model runs here: leave that out.")
        budgets = {way: Budget(calls=way.calls) if way.calls else None for way in ways}
        is_of_time = plan.kind.rule == "moment"
        # No arbiter is fitted on clips.
        judge = arbiter or ("none" if is_of_time else None)
        agents = {
            way: make_agent(model if shared else load(pixels)[1], way.strategy, judge, budgets[way])
            for way in ways
            if way.strategy in AGENT and not (is_of_time and way.strategy == BASE)
        }
        asked = {"box": of_pointing, "moment": of_seeking}.get(plan.kind.rule, of_agent)
        rivals = RIVALS | IN_TIME | {BASE: glance}
        contestants = {
            way: asked(agents[way]) if way in agents else of_rival(rivals[way.strategy], model) for way in ways
        }

        def progress_in_all(done: int, before: int = len(results)) -> None:
            progress(before + done)

        try:
            results += asyncio.run(_with_model(model, plan, named, contestants, kept, progress_in_all))
        finally:
            for agent in agents.values():
                agent.close()
    return results


def name_with_arbiter(named: str, arbiter: Path | None) -> str:
    """The model's name with what judges its answers: under another arbiter other answers are given."""
    if arbiter is None or not arbiter.is_file():
        return named
    return f"{named} arbiter {hashlib.sha256(arbiter.read_bytes()).hexdigest()[:12]}"


async def _with_model(
    model: Model,
    plan: Plan,
    named: str,
    contestants: Mapping[Way, Contestant],
    kept: ResultFile,
    progress: Callable[[int], None],
) -> list[Result]:
    """Ask, with the model that rivals share known and, where it is a server's, given back in its own event loop."""
    if isinstance(model, InProcessModel):
        return await ask_all(plan, named, contestants, kept, progress, model.forget)
    try:
        await identify(model)
        return await ask_all(plan, named, contestants, kept, progress)
    finally:
        await model.aclose()


async def ask_all(
    plan: Plan,
    named: str,
    contestants: Mapping[Way, Contestant],
    kept: ResultFile,
    progress: Callable[[int], None] = lambda done: None,
    forget: Callable[[], None] = lambda: None,
) -> list[Result]:
    """Every question of every row; of a server, several questions at a time."""
    places, free, results = plan.places, asyncio.Semaphore(plan.at_once), list[list[Result]]()

    async def one(question: SetQuestion, found: list[Result]) -> None:
        try:
            found += await ask_one(plan, named, question, places[question.id], contestants, kept, forget)
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
        with await asyncio.to_thread(_open, plan, question) as picture:
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


def _open(plan: Plan, question: SetQuestion) -> Media:
    try:
        return open_video(question.picture) if plan.kind.rule == "moment" else open_picture(question.picture)
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
    code = given.outcome.partition(": ")[2]
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
