"""Tags, where they are wanted: names of what the picture and its parts show, which later questions are told.

As in LION, the model is told that it may use them or not; a model that has a learned token for tags (`hint` in its
profile) sees it before them. The whole and its four quarters are tagged, each from its own original pixels, so that
tags name what the whole cannot show. Left out: tags for the first look, which may be
enough by itself, and for DualFocus.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, TypeVar

from zoomagent.errors import RunError
from zoomagent.geometry import Box
from zoomagent.graphs.asking import BudgetedModel, NodeRun
from zoomagent.graphs.context import Live
from zoomagent.graphs.endings import model_step, step_words
from zoomagent.graphs.state import ProblemRecord, TagRecord, Update
from zoomagent.tools.tagging import Tagger, call_tagger, names_of
from zoomagent.tools.verifying import sees
from zoomagent.tools.viewing import ViewStore

T = TypeVar("T")
LEAST = 0.5
"""The score from which a name of the model is a tag (ours); a name that could not be scored is one."""
MOST = 20
"""Tags of a run (ours)."""
SHARE = 3
"""Tags take at most one in so many of a run's calls (ours): a search needs the others."""
KEEP = 8
"""Calls that are kept for what follows in any case (ours)."""


@model_step
async def tag(run: NodeRun) -> Update:
    """Name what the whole and its quarters show."""
    views = run.bench.views
    whole = views.whole()
    tagger = run.context.tagger if isinstance(run.context, Live) else None
    limit = views.profile.whole_pixels or None
    parts = quarters(Box(*whole["box"]))
    shown = [whole, *(views.add(part, source=whole["id"], max_pixels=limit) for part in parts)]
    names = [view["id"] for view in shown]
    problems: list[ProblemRecord] = []
    found: list[TagRecord] = []
    try:
        if tagger is None:
            found = await tags_by_model(run, names)
        else:
            async for record in tags_by(tagger, views, names):
                found.append(record)
    except RunError as error:
        if error.code != "tagger_failed":
            raise
        problems = [ProblemRecord(id="tags", code=error.code, text=str(error), stops=False)]
    kept = list({record["id"]: record for record in reversed(found)}.values())[::-1][:MOST]
    words = f"Tags: {', '.join(record['label'] for record in kept)}." if kept else "No tags were found."
    return {"views": shown, "tags": kept, "problems": problems, "steps": step_words(words, names)}


async def tags_by(tagger: Tagger, views: ViewStore, shown: Sequence[str]) -> AsyncIterator[TagRecord]:
    """What a tagger of the caller's finds, view by view: it has a scale of its own, and says what it finds."""
    for view in shown:
        tags = await asyncio.to_thread(call_tagger, tagger, views.image(view), ())
        tags.sort(key=lambda one: -1.0 if one.score is None else one.score, reverse=True)
        for one in tags:
            yield TagRecord(id=one.label, view=view, label=one.label, score=one.score)


async def tags_by_model(run: NodeRun, shown: Sequence[str]) -> list[TagRecord]:
    """What the model names in each view, then each name asked for once, where it was named first. What the run's share
    for tags does not pay for is left out: they help a look, and do not take its calls away."""
    views, calls = run.bench.views, run.context.budget.calls
    model = BudgetedModel(run, keep=max(KEEP, calls - calls // SHARE))
    named = await all_paid([names_of(model, await views.pixels(view)) for view in shown])
    places: dict[str, str] = {}
    for number, view in enumerate(shown):
        for name in named.get(number, ()):
            places.setdefault(name, view)
    scores = await all_paid([sees(model, views, view, name) for name, view in places.items()])
    found = [
        TagRecord(id=name, view=view, label=name, score=scores[number])
        for number, (name, view) in enumerate(places.items())
        if number in scores and ((score := scores[number]) is None or score >= LEAST)
    ]
    return sorted(found, key=lambda one: -1.0 if one["score"] is None else one["score"], reverse=True)


async def all_paid(work: Sequence[Coroutine[Any, Any, T]]) -> dict[int, T]:
    """What came of each by its number, without those for which no calls were left."""
    done = await asyncio.gather(*work, return_exceptions=True)
    for one in done:
        if isinstance(one, BaseException) and not (isinstance(one, RunError) and one.code == "budget_calls"):
            raise one
    return {number: one for number, one in enumerate(done) if not isinstance(one, BaseException)}


def quarters(box: Box) -> list[Box]:
    """Its four quarters, row by row; none of a box that is too small to be quartered."""
    across, down = box.left + box.width // 2, box.top + box.height // 2
    if min(across - box.left, down - box.top) < 1:
        return []
    columns, rows = ((box.left, across), (across, box.right)), ((box.top, down), (down, box.bottom))
    return [Box(left, top, right, bottom) for top, bottom in rows for left, right in columns]
