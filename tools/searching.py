"""The search tool: find what is too small to be seen, best-first over a tree of regions.

    found = await search(model, views, whole["id"], "the red car")

One scored question asks a region's view which of its 3 by 3 parts shows the thing: ten single-digit answers, "0" for
none, so nine parts and the region itself are judged in one call that shows one view. The most probable region is
looked at next. Where the thing is surely here, the model points at it; what it points at is checked ("Can you see
this?") before it counts. What was refuted takes its probability along.

Best-first search over yes/no likelihoods is ZoomEye's (its eqs. for confidence and threshold decay), checking against
the parent CVSearch's, pruning what was seen RAP's; one question for nine regions is ours. Left out: several things at
once (search for each).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from typing_extensions import TypedDict

from zoomagent.confidence.likelihood import usable
from zoomagent.errors import ToolError
from zoomagent.geometry import Box, intersect, moved_inside
from zoomagent.models.base import Likelihood, Message, Model, Text
from zoomagent.prompts import PARTS
from zoomagent.tools.grounding import ground
from zoomagent.tools.verifying import sees
from zoomagent.tools.viewing import ToolResult, ViewStore, box_of
from zoomagent.tools.zooming import surroundings

DIGITS = tuple("0123456789")
PART = 0.45
"""Side of a part's region as a share of its parent's: a third and what lies around it, so that nothing is cut."""
SURE, DECAY, LEAST = 0.9, 0.1, 0.3
"""The thing counts as here from SURE on; DECAY less after every two looks, never under LEAST."""
SEEN = 0.5
"""Probability from which what was pointed at counts as found."""
DOUBT = 0.1
"""Share of a view's prior that goes to its nine parts evenly whatever it says, "none" included: no single look rules a
part out."""
WORTH = 0.005
"""Regions less probable than this are not looked at."""
DEPTH = 4
"""Zooms below the view searched, the one that shows the thing included."""
LOOKS = 12
"""Regions looked at in one search."""
ONE_HOT = 0.7
"""What a part's number is worth when the model can not score and only writes it."""

Fate = Literal["open", "split", "refuted", "found"]


class RegionRecord(TypedDict):
    """A region of the tree as plain JSON; `box` in original pixels. `prior` is the probability, by its parents'
    answers, that the thing is there; `here` the same by its own view, None before it was looked at."""

    id: str
    phrase: str
    view: str
    box: list[int]
    parent: str
    depth: int
    prior: float
    here: float | None
    fate: Fate


@dataclass(frozen=True)
class Looked:
    """What looking at one region gave: every record that is new or changed, and the box of what was found, with the
    probability that it can be seen in its close view (None: not to be measured)."""

    regions: list[RegionRecord]
    box: Box | None = None
    seen: float | None = None


def root(view: str, box: Box, phrase: str) -> RegionRecord:
    """The region that a search begins with."""
    return _region(phrase, view, box, "", 0, 1.0)


def best(regions: Sequence[RegionRecord], phrase: str) -> RegionRecord | None:
    """The most probable region that was not looked at yet; None when the search is over."""
    mine = [region for region in regions if region["phrase"] == phrase]
    still = [region for region in mine if region["fate"] == "open" and region["prior"] >= WORTH]
    if len(mine) - len([r for r in mine if r["fate"] == "open"]) >= LOOKS or not still:
        return None
    return max(still, key=lambda region: region["prior"])


def enough(regions: Sequence[RegionRecord], phrase: str) -> float:
    """How sure a view must be that it shows the thing, by now."""
    looks = sum(region["phrase"] == phrase and region["here"] is not None for region in regions)
    return max(LEAST, SURE - DECAY * (looks // 2))


async def look_at(
    model: Model,
    views: ViewStore,
    regions: Sequence[RegionRecord],
    region: RegionRecord,
    *,
    depth: int = DEPTH,
    deadline: float | None = None,
) -> Looked:
    """Look at one region: how sure is it here, where; if sure enough, point at it and check. What is found is shown
    by a view at most `depth` zooms deep."""
    phrase = region["phrase"]
    shares = await part_shares(model, views, region["view"], phrase, deadline=deadline)
    here = 1 - shares[0]
    if here >= enough(regions, phrase):
        box, seen = await _pointed(model, views, region, deadline)
        if box is not None:
            return Looked([{**region, "here": here, "fate": "found"}], box, seen)
    deeper = region["depth"] + 2 <= depth
    children = _children(views, regions, region, shares) if deeper else []
    fate: Fate = "split" if children else "refuted"
    return Looked([{**region, "here": here, "fate": fate}, *children])


async def part_shares(
    model: Model, views: ViewStore, view: str, phrase: str, *, deadline: float | None = None
) -> list[float]:
    """Ten probabilities that sum to 1: that the thing is not here, and that it is in part 1 to 9."""
    message = Message("user", (await views.pixels(view), Text(PARTS + phrase)))
    scored = await model.score([message], DIGITS, deadline=deadline)
    words = [usable(likelihood) for likelihood in scored or []]
    if len(words) == len(DIGITS) and all(words):
        return _softmax([word for word in words if word is not None])
    [reply] = await model.generate([message], max_tokens=4, deadline=deadline)
    said = next((int(c) for c in reply.text if c in DIGITS), 0)
    rest = (1 - ONE_HOT) / (len(DIGITS) - 1)
    return [ONE_HOT if number == said else rest for number in range(len(DIGITS))]


def part_box(box: Box, number: int, picture: Box) -> Box:
    """The region looked at for part `number` (1 to 9, row by row) of `box`: larger than a third, moved inside."""
    row, column = divmod(number - 1, 3)
    width, height = max(1, round(box.width * PART)), max(1, round(box.height * PART))
    left = round(box.left + box.width * (2 * column + 1) / 6 - width / 2)
    top = round(box.top + box.height * (2 * row + 1) / 6 - height / 2)
    return moved_inside(Box(left, top, left + width, top + height), picture.size)


async def search(
    model: Model,
    views: ViewStore,
    view: str,
    phrase: str,
    *,
    margin: float = 0.25,
    depth: int = DEPTH,
    deadline: float | None = None,
) -> ToolResult:
    """Search a view to the end and show what was found, at most `depth` zooms below it; no views when it was not."""
    regions = [root(view, box_of(views.record(view)), phrase)]
    while region := best(regions, phrase):
        looked = await look_at(model, views, regions, region, depth=depth, deadline=deadline)
        regions = merged(regions, looked.regions)
        if looked.box is not None:
            return _shown(views, region, looked.box, margin)
    return ToolResult(f"Not found: {phrase}.")


def merged(regions: Sequence[RegionRecord], new: Sequence[RegionRecord]) -> list[RegionRecord]:
    """The tree after a look."""
    return list({region["id"]: region for region in [*regions, *new]}.values())


async def _pointed(
    model: Model, views: ViewStore, region: RegionRecord, deadline: float | None
) -> tuple[Box | None, float | None]:
    """The box the model points at and how surely it shows the thing; no box when it does not."""
    try:
        boxes = await ground(model, views, region["view"], region["phrase"], deadline=deadline)
    except ToolError:
        return None, None
    if not boxes:
        return None, None
    close = views.add(surroundings(boxes[0], views.picture.size, views.profile.crop_margin, 0), source=region["view"])
    seen = await sees(model, views, close["id"], region["phrase"], deadline=deadline)
    return (boxes[0], seen) if seen is None or seen >= SEEN else (None, seen)


def _children(
    views: ViewStore, regions: Sequence[RegionRecord], region: RegionRecord, shares: Sequence[float]
) -> list[RegionRecord]:
    """The parts of a region as regions; none where the view shows every original pixel already, or was seen before."""
    record = views.record(region["view"])
    box = box_of(record)
    if record["size"][0] >= box.width:
        return []
    whole = Box(0, 0, views.picture.size.width, views.picture.size.height)
    parts = []
    for number in range(1, 10):
        part = part_box(box, number, whole)
        if not _seen_before(regions, region["phrase"], part):
            view = views.add(part, source=region["view"])
            prior = region["prior"] * ((1 - DOUBT) * shares[number] + DOUBT / 9)
            parts.append(_region(region["phrase"], view["id"], part, region["id"], region["depth"] + 1, prior))
    return parts


def _seen_before(regions: Sequence[RegionRecord], phrase: str, part: Box) -> bool:
    """Whether a region at least as close has shown all but a fifth of this one already."""
    for region in regions:
        box = Box(*region["box"])
        if region["phrase"] != phrase or region["here"] is None or box.area > 1.5 * part.area:
            continue
        if intersect(box, part).area >= 0.8 * part.area:
            return True
    return False


def _region(phrase: str, view: str, box: Box, parent: str, depth: int, prior: float) -> RegionRecord:
    return RegionRecord(
        id=f"{view}|{phrase}",
        phrase=phrase,
        view=view,
        box=box.as_list(),
        parent=parent,
        depth=depth,
        prior=prior,
        here=None,
        fate="open",
    )


def _shown(views: ViewStore, region: RegionRecord, box: Box, margin: float) -> ToolResult:
    around = surroundings(box, views.picture.size, margin, 0)
    record = views.add(around, source=region["view"], max_pixels=views.profile.crop_pixels or None)
    return ToolResult(f"Found {region['phrase']} at {box.as_list()} of the original picture.", (record,), box)


def _softmax(words: Sequence[Likelihood]) -> list[float]:
    top = max(word.logprob for word in words)
    weights = [math.exp(word.logprob - top) for word in words]
    return [weight / sum(weights) for weight in weights]
