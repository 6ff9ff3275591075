"""The search tool: find what is too small to be seen, best-first over a tree of regions.

    found = await search(model, views, whole["id"], "the red car")

One scored question asks a region's view which of its 3 by 3 parts shows the thing: ten single-digit answers, "0" for
none, so nine parts and the region itself are judged in one call that shows one view. A search begins with the largest
view of the whole that the model takes. The most probable region is looked at next; where the thing is surely here, the
model points at it, and what it points at is checked ("Can you see this?") before it counts. What was refuted takes its
probability along. A search in vain ends when nothing of ENOUGH of the picture's side can have been missed.

Best-first search over yes/no likelihoods is ZoomEye's (its eqs. for confidence and threshold decay), checking against
the parent CVSearch's, pruning what was seen RAP's; one question for nine regions is ours. What a search in vain is
worth, `least_seen` says: the size from which nothing can have been missed. Left out: several things at once (search for
each), all things of a name (`instances.py`)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from typing_extensions import TypedDict

from zoomagent.confidence.likelihood import usable
from zoomagent.errors import ToolError
from zoomagent.geometry import Box, intersect, moved_inside
from zoomagent.models.base import Message, Model, Text
from zoomagent.prompts import PARTS
from zoomagent.tools.grounding import ground
from zoomagent.tools.verifying import sees
from zoomagent.tools.viewing import ToolResult, ViewRecord, ViewStore, box_of
from zoomagent.tools.zooming import surroundings

DIGITS = tuple("0123456789")
PART = 0.45
"""Side of a part's region as a share of its parent's: a third and what lies around it, so that nothing is cut."""
QUARTER = 0.6
"""Side of a quarter as a share of its parent's: a half and what lies around it (ours)."""
SURE, DECAY, LEAST = 0.9, 0.1, 0.3
"""The thing counts as here from SURE on; DECAY less after every two looks, never under LEAST."""
SEEN = 0.5
"""Probability from which what was pointed at counts as found."""
DOUBT = 0.1
"""Share of the prior of a view that is too coarse which goes to its nine parts evenly whatever it says: such a look
rules no part out."""
WORTH = 0.005
"""Regions less probable than this are not looked at."""
LISTED = 0.03
"""Share from which a part is looked at for things of which there may be several: they divide the shares."""
DEPTH = 4
"""Zooms below the view searched, the one that shows the thing included."""
LOOKS = 12
"""Regions looked at in one search, parts of the whole that are left not counted."""
ONE_HOT = 0.7
"""What a part's number is worth when the model cannot score and only writes it."""
ENOUGH = 1 / 64
"""Things smaller than this share of the picture's longer side are looked for only where they are likely (ours)."""
GRID = 48
"""Points a side at which it is asked how closely a picture was looked at."""

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
class RegionLook:
    """What looking at one region gave: every record that is new or changed, and the box of what was found, with the
    probability that it can be seen in its close view (None: not to be measured). `several`: it is the first of some."""

    regions: list[RegionRecord]
    box: Box | None = None
    seen: float | None = None
    several: bool = False


def root(view: ViewRecord, phrase: str) -> RegionRecord:
    """The region that a search begins with."""
    return _region(phrase, view["id"], box_of(view), "", 0, 1.0)


def best(regions: Sequence[RegionRecord], phrase: str) -> RegionRecord | None:
    """The most probable region that was not looked at yet; None when the search is over. After LOOKS only the parts of
    the whole are still looked at: without them nothing could be said of what was not found."""
    mine = [region for region in regions if region["phrase"] == phrase]
    still = [region for region in mine if region["fate"] == "open" and region["prior"] >= WORTH]
    if _looks(mine) >= LOOKS:
        still = [region for region in still if region["depth"] == 1 and region["here"] is None]
    return max(still, key=lambda region: region["prior"], default=None)


def enough(regions: Sequence[RegionRecord], phrase: str) -> float:
    """How sure a view must be that it shows the thing, by now."""
    looks = _looks([region for region in regions if region["phrase"] == phrase and region["here"] is not None])
    return max(LEAST, SURE - DECAY * (looks // 2))


def _looks(regions: Sequence[RegionRecord]) -> int:
    """Regions that were looked at on their own."""
    return sum(region["fate"] != "open" for region in regions)


async def look_at(
    model: Model,
    views: ViewStore,
    regions: Sequence[RegionRecord],
    region: RegionRecord,
    *,
    expected: bool = False,
    depth: int = DEPTH,
    deadline: float | None = None,
) -> RegionLook:
    """Look at one region: how sure is it here, where; if sure enough, point at it and check. What is found is shown
    by a view at most `depth` zooms deep. Of what is `expected` to be there, the whole rules no part out."""
    phrase = region["phrase"]
    shares = await part_shares(model, views, region["view"], phrase, deadline=deadline)
    here = 1 - shares[0]
    if here >= enough(regions, phrase):
        try:
            boxes = await ground(model, views, region["view"], phrase, deadline=deadline)
        except ToolError:
            boxes = []
        if boxes:
            # What the model points at counts once it was checked in a close view.
            around = surroundings(boxes[0], views.picture.size, views.profile.crop_margin, 0)
            close = views.add(around, source=region["view"], max_pixels=views.profile.whole_pixels or None)
            seen = await sees(model, views, close["id"], phrase, deadline=deadline)
            if seen is None or seen >= SEEN:
                return RegionLook([{**region, "here": here, "fate": "found"}], boxes[0], seen, len(boxes) > 1)
    deeper = region["depth"] + 2 <= depth
    children = child_regions(views, regions, region, shares, expected) if deeper else []
    fate: Fate = "split" if children else "refuted"
    return RegionLook([{**region, "here": here, "fate": fate}, *children])


def child_regions(
    views: ViewStore,
    regions: Sequence[RegionRecord],
    region: RegionRecord,
    shares: Sequence[float],
    expected: bool = False,
) -> list[RegionRecord]:
    """The parts of a region as regions; none where the view shows every original pixel already, or of which a region at
    least as close has shown all but a fifth."""
    whole = Box(0, 0, views.picture.size.width, views.picture.size.height)
    box, children = box_of(views.record(region["view"])), []
    whole_rules_out = is_fine_enough(views, region) and not (expected and not region["parent"])
    doubt = 0.0 if whole_rules_out else DOUBT
    others = [Box(*r["box"]) for r in regions if r["phrase"] == region["phrase"] and r["here"] is not None]
    for number in range(1, 10) if part_boxes(views, region) else ():
        part = part_box(box, number, whole)
        closer = (other for other in others if other.area <= 1.5 * part.area)
        if not any(intersect(other, part).area >= 0.8 * part.area for other in closer):
            prior = region["prior"] * ((1 - doubt) * shares[number] + doubt / 9)
            children.append(_part(region, views.add(part, source=region["view"]), prior))
    return children


async def parts_to_list(
    model: Model, views: ViewStore, region: RegionRecord, *, quarters: bool = False, deadline: float | None = None
) -> tuple[float, list[RegionRecord]]:
    """How probably a region shows the thing, and its parts with the share that each has of it: nine of them, or four
    `quarters`. All are open where the region's view is too coarse to tell, else those that may show one."""
    shares = await part_shares(model, views, region["view"], region["phrase"], deadline=deadline)
    outer, size = box_of(views.record(region["view"])), views.picture.size
    whole = Box(0, 0, size.width, size.height)
    cells = [part_box(outer, number, whole) for number in range(1, 10)]
    parts = []
    for box in quarter_boxes(outer, whole) if quarters else dict.fromkeys(cells):
        share = 0.0 if quarters else shares[1 + cells.index(box)]
        for own, cell in zip(shares[1:], cells, strict=True) if quarters else ():
            across, down = (cell.left + cell.right) / 2, (cell.top + cell.bottom) / 2
            share += own if box.left <= across < box.right and box.top <= down < box.bottom else 0.0
        view = views.add(box, source=region["view"], max_pixels=views.profile.whole_pixels or None)
        part = _part(region, view, share)
        worth = share >= LISTED or not is_fine_enough(views, region)
        parts.append(part if worth else {**part, "fate": "refuted"})
    return 1 - shares[0], parts


def quarter_boxes(box: Box, picture: Box) -> list[Box]:
    """Four regions that overlap, one from each corner of `box`, so that what one cuts another shows whole."""
    width, height = max(1, round(box.width * QUARTER)), max(1, round(box.height * QUARTER))
    corners = [(x, y) for y in (box.top, box.bottom - height) for x in (box.left, box.right - width)]
    return list(dict.fromkeys(moved_inside(Box(x, y, x + width, y + height), picture.size) for x, y in corners))


def is_fine_enough(views: ViewStore, region: RegionRecord) -> bool:
    """Whether a region's view shows things of ENOUGH of the picture's side."""
    size = views.picture.size
    return smallest_in(views, region["view"]) <= ENOUGH * max(size.width, size.height)


def part_boxes(views: ViewStore, region: RegionRecord) -> list[Box]:
    """The nine parts of a region; none where its view shows every original pixel already."""
    record = views.record(region["view"])
    if record["size"][0] >= box_of(record).width:
        return []
    whole = Box(0, 0, views.picture.size.width, views.picture.size.height)
    return list(dict.fromkeys(part_box(box_of(record), number, whole) for number in range(1, 10)))


def smallest_in(views: ViewStore, view: str) -> int:
    """Side, in original pixels, from which a thing counts as seen in a view; smaller ones may be missed."""
    record = views.record(view)
    return max(1, round(views.profile.smallest_visible * box_of(record).width / record["size"][0]))


def least_seen(views: ViewStore, regions: Sequence[RegionRecord], phrase: str | None = None) -> float:
    """Side, in original pixels, of the least thing that must have been seen wherever it is: at every point of the
    picture the closest view counts of those that were asked about the thing, or the whole where none was."""
    size, least = views.picture.size, views.profile.smallest_visible
    whole = views.whole()
    looked_at = [r for r in regions if r["here"] is not None and phrase in (None, r["phrase"])]
    found = np.full((GRID, GRID), least * max(1.0, size.width / whole["size"][0]))
    across, down = ((np.arange(GRID) + 0.5) / GRID * side for side in (size.width, size.height))
    for region in looked_at:
        box = Box(*region["box"])
        width = views.record(region["view"])["size"][0]
        here = np.outer((down >= box.top) & (down < box.bottom), (across >= box.left) & (across < box.right))
        found[here] = np.minimum(found[here], least * max(1.0, box.width / width))
    return float(found.max())


async def part_shares(
    model: Model, views: ViewStore, view: str, phrase: str, *, deadline: float | None = None
) -> list[float]:
    """Ten probabilities that sum to 1: that the thing is not here, and that it is in part 1 to 9."""
    message = Message("user", (await views.pixels(view), Text(PARTS + phrase)))
    scored = await model.score([message], DIGITS, deadline=deadline, task="region")
    words = [word for likelihood in scored or [] if (word := usable(likelihood))]
    if len(words) == len(DIGITS):
        top = max(word.logprob for word in words)
        weights = [math.exp(word.logprob - top) for word in words]
        return [weight / sum(weights) for weight in weights]
    # Where the model cannot score, the one that it writes counts most.
    [reply] = await model.generate([message], max_tokens=4, deadline=deadline, task="region")
    digit = next((int(c) for c in reply.text if c in DIGITS), 0)
    rest = (1 - ONE_HOT) / (len(DIGITS) - 1)
    return [ONE_HOT if number == digit else rest for number in range(len(DIGITS))]


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
    regions = [root(views.largest(view), phrase)]
    while region := best(regions, phrase):
        look = await look_at(model, views, regions, region, depth=depth, deadline=deadline)
        regions = merged(regions, look.regions)
        if look.box is not None:
            around = surroundings(look.box, views.picture.size, margin, 0)
            record = views.add(around, source=region["view"], max_pixels=views.profile.crop_pixels or None)
            place = look.box.as_list()
            return ToolResult(f"Found {phrase} at {place} of the original picture.", (record,), look.box)
    least = round(least_seen(views, regions, phrase))
    return ToolResult(f"Not found: {phrase}. Nothing of at least {least} pixels was missed.")


def merged(regions: Sequence[RegionRecord], new: Sequence[RegionRecord]) -> list[RegionRecord]:
    """The tree after a look."""
    return list({region["id"]: region for region in [*regions, *new]}.values())


def _part(region: RegionRecord, view: ViewRecord, prior: float) -> RegionRecord:
    return _region(region["phrase"], view["id"], box_of(view), region["id"], region["depth"] + 1, prior)


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
