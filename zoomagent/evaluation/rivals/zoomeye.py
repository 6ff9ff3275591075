"""ZoomEye (om-ai-lab, EMNLP 2025): best-first search through a tree of regions, by yes/no likelihoods, no training.

The model names what must be seen. For each of these cues the picture is a quad-tree: from a priority queue the most
promising region is taken; if the model says that it can answer there, the region is kept, else its parts are rated
by "is it here" (existence) and "could it be here, seen closer" (latent) and put into the queue. The deeper a part
lies, the more existence counts. Too many regions taken lower the threshold, ever faster. The answer comes from the
whole and one crop around all regions kept.

Where this differs: a region is shown alone, not with a red box on the whole picture beside it, as the model is asked
yes/no questions about single views; cues come from one prompt of ours without worked examples; with several cues a
region is kept for existence (theirs asks what each cue looks like); cues of the sort "all X" are not searched
exhaustively. Regions are split down to the size of one view, where zooming shows nothing new (theirs: 448 pixels).
The last crop has as many pixels as the regions had in the search, so that what was judged legible there still is.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

from zoomagent.evaluation.rivals.asking import Desk, Procedure, RivalAnswer, around, padded
from zoomagent.geometry import Box, whole
from zoomagent.graphs.context import Budget
from zoomagent.models.base import Model
from zoomagent.prompts import CLOSER, CUES, SEE, VISIBLE, WHOLE_PICTURE, macro_prompt
from zoomagent.tools.viewing import ViewStore, size_of

PER_ROUND = 9
"""Calls that one region costs: can it be answered here, and two questions about each of its four parts."""


@dataclass(frozen=True)
class Search:
    """The published numbers. `upper` is the confidence at which a region is kept (0.95 for Qwen, 0.6 for LLaVA),
    `lower` where the search is given up; `smallest` the side in pixels below which nothing is split (0: a view's)."""

    upper: float = 0.95
    lower: float = 0.0
    scale: float = 1.2
    first_weight: float = 0.6
    pops_per_depth: int = 3
    patience: int = 2
    step: float = 0.05
    smallest: int = 0


@dataclass(frozen=True)
class Region:
    """A node of the tree."""

    box: Box
    depth: int


async def zoomeye(
    model: Model,
    views: ViewStore,
    question: str,
    options: Sequence[str],
    budget: Budget,
    *,
    search: Search = Search(),  # noqa: B008  # frozen
) -> RivalAnswer:
    """Answer by tree search."""
    desk = Desk(model, views, budget)
    cues = await name_cues(desk, question)
    if not cues:
        return desk.tried(
            await desk.generate([await desk.user([desk.whole], macro_prompt(question, desk.offered(options)))]), options
        )
    test = VISIBLE + question if len(cues) == 1 else None
    found = [await find(desk, cue, test or SEE + cue, search) for cue in cues]
    box = padded(around(found), views.picture.size, search.scale)
    reply = await desk.generate(await desk.closer(box, desk.alone(box), question, options))
    return desk.tried(reply, options, found, used_crop=True)


async def name_cues(desk: Desk, question: str) -> list[str]:
    """What the model says must be seen; nothing when the whole picture decides."""
    reply = await desk.generate([await desk.user([desk.whole], CUES + question)])
    names = [name.strip().rstrip(".").strip() for name in reply.text.split(",")]
    return [name for name in dict.fromkeys(names) if name and name.casefold() != WHOLE_PICTURE]


async def find(desk: Desk, cue: str, test: str, search: Search) -> Box:
    """The first region that passes the test, or the best of those that were taken from the queue."""
    root = Region(whole(desk.views.picture.size), 0)
    # The picture is split until its parts are as small as one view.
    size, shown = desk.views.picture.size, size_of(desk.views.record(desk.whole))
    smallest = search.smallest or max(shown.width, shown.height)
    deepest = max(1, math.floor(math.log2(max(size.width, size.height) / smallest)))
    order = count()
    queue = [(0.0, next(order), root)]
    best, pops, threshold, step = (-math.inf, root), 0, search.upper, search.step
    while queue and desk.left > (PER_ROUND if pops else 1):
        region = heapq.heappop(queue)[2]
        pops += 1
        confidence = await certainty(desk, region.box, test, search)
        best = max(best, (confidence, region), key=lambda pair: pair[0])
        if confidence >= threshold:
            break
        beyond = pops - search.pops_per_depth * deepest
        if beyond > 0 and beyond % search.patience == 0:
            threshold, step = threshold - step, 2 * step
        if threshold < search.lower:
            break
        if region.depth < deepest and desk.left > PER_ROUND - 1:
            for part in parts(region):
                heapq.heappush(queue, (-await promise(desk, part, cue, deepest, search), next(order), part))
    return best[1].box


async def certainty(desk: Desk, box: Box, prompt: str, search: Search) -> float:
    """How sure the model is of Yes about a region: -1 to 1."""
    view = desk.alone(padded(box, desk.views.picture.size, search.scale))
    return 2 * (await desk.yes(view, prompt) - 0.5)


async def promise(desk: Desk, region: Region, cue: str, deepest: int, search: Search) -> float:
    """The region's priority: existence weighs more the deeper it lies."""
    existence = await certainty(desk, region.box, SEE + cue, search)
    latent = await certainty(desk, region.box, CLOSER + cue, search)
    weight = search.first_weight + (1 - search.first_weight) * (region.depth / deepest) ** 2
    return weight * existence + (1 - weight) * latent


def parts(region: Region) -> list[Region]:
    """Four parts: two by two, or four in a row where the region is more than twice as long as wide."""
    box = region.box
    columns = 4 if box.width > 2 * box.height else 1 if box.height > 2 * box.width else 2
    rows = 4 // columns
    across = [box.left + box.width * i // columns for i in range(columns + 1)]
    down = [box.top + box.height * i // rows for i in range(rows + 1)]
    boxes = (Box(across[i], down[j], across[i + 1], down[j + 1]) for j in range(rows) for i in range(columns))
    return [Region(part, region.depth + 1) for part in boxes if part.area]


def zoomeye_with(search: Search) -> Procedure:
    """ZoomEye with other numbers."""
    return partial(zoomeye, search=search)
