"""Tags, where they are wanted: names of what the picture and its parts show, which later questions are told.

As in LION, the model is told that it may use them or not; a model that has a learned token for tags (`hint` in its
profile) sees it before them. The whole and its four quarters are tagged, each from its own original pixels, so that
tags name what the whole cannot show. Left out: tags for the first look, which may be
enough by itself, and for DualFocus.
"""

from zoomagent.errors import RunError
from zoomagent.geometry import Box
from zoomagent.graphs.asking import BudgetedModel, NodeRun
from zoomagent.graphs.context import Live
from zoomagent.graphs.endings import model_step, step_words
from zoomagent.graphs.state import ProblemRecord, TagRecord, Update
from zoomagent.tools.tagging import tag as tag_view

LEAST = 0.5
"""The score from which a name of the model is a tag (ours); a name that could not be scored is one."""
MOST = 20
"""Tags of a run (ours)."""
KEEP = 8
"""Calls that are kept for what follows (ours)."""


@model_step
async def tag(run: NodeRun) -> Update:
    """Name what the whole and its quarters show."""
    views = run.bench.views
    whole = views.whole()
    tagger = run.context.tagger if isinstance(run.context, Live) else None
    limit = views.profile.whole_pixels or None
    parts = quarters(Box(*whole["box"]))
    shown = [whole, *(views.add(part, source=whole["id"], max_pixels=limit) for part in parts)]
    found: dict[str, TagRecord] = {}
    problems: list[ProblemRecord] = []
    for view in shown:
        try:
            tags = await tag_view(BudgetedModel(run, keep=KEEP), views, view["id"], tagger=tagger)
        except RunError as error:
            # Tags help a look; they do not take its calls away, and without them it goes on.
            if error.code == "tagger_failed":
                problems = [ProblemRecord(id="tags", code=error.code, text=str(error), stops=False)]
            elif error.code != "budget_calls":
                raise
            break
        for one in tags:
            # A tagger of the caller's has a scale of its own, and says what it finds.
            if tagger or one.score is None or one.score >= LEAST:
                record = TagRecord(id=one.label, view=view["id"], label=one.label, score=one.score)
                found.setdefault(one.label, record)
    tags_kept = list(found.values())[:MOST]
    words = f"Tags: {', '.join(record['label'] for record in tags_kept)}." if tags_kept else "No tags were found."
    steps = step_words(words, [view["id"] for view in shown])
    return {"views": shown, "tags": tags_kept, "problems": problems, "steps": steps}


def quarters(box: Box) -> list[Box]:
    """Its four quarters, row by row; none of a box that is too small to be quartered."""
    across, down = box.left + box.width // 2, box.top + box.height // 2
    if min(across - box.left, down - box.top) < 1:
        return []
    columns, rows = ((box.left, across), (across, box.right)), ((box.top, down), (down, box.bottom))
    return [Box(left, top, right, bottom) for top, bottom in rows for left, right in columns]
