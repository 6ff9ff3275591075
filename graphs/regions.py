"""Regions that a question is asked about: `{0}` in its words is the first box that was given with it.

    check_regions([(120, 80, 410, 300)], "What is written in {0}?")        # [Box(120, 80, 410, 300)], or InputRefused
    written_question("What is written in {0}?", boxes, views, [whole])     # What is written in [120, 80, 410, 300]?

Boxes are given in pixels of the upright original. Whenever the question is asked, they are written in the model's own
space of the view it is asked about: that happens as a turn is sent, so no dialogue mixes spaces. `{{0}}` is `{0}` as it
stands. A region that the words do not name is looked at all the same. Left out: looking at them (`deciding.py`,
`locating.py`).
"""

import logging
import operator
import re
from collections.abc import Mapping, Sequence, Set
from itertools import islice
from typing import Any

from zoomagent.errors import InputRefused
from zoomagent.geometry import Box, Size, intersect, whole
from zoomagent.tools.cropping import written
from zoomagent.tools.viewing import ViewStore, box_of

log = logging.getLogger(__name__)

MAX_REGIONS = 16
"""Regions of one question (ours)."""
MOST_EDGE = 2**31
"""Of a region's numbers (ours): no picture is so large, and every store takes them."""
_NAMED = re.compile(r"\{\{(\d{1,9})\}\}|\{(\d{1,9})\}")


def check_regions(regions: object, question: str) -> list[Box]:
    """The regions as boxes. Raises InputRefused (bad_region) for what is none, for too many, and for a question that
    names one which was not given."""
    given = items_of(regions, MAX_REGIONS)
    if given is None:
        raise bad_region(f"Regions are a list of at most {MAX_REGIONS} boxes.")
    boxes = [_read_region(number, region) for number, region in enumerate(given)]
    named = [int(match[2]) for match in _NAMED.finditer(question) if match[2]]
    missing = next((number for number in named if number >= len(boxes)), None)
    if missing is not None:
        raise bad_region(
            f"The question names the region {{{missing}}}, and {len(boxes)} were given, counted from 0. Give it as a "
            f"region, or write {{{{{missing}}}}} where no region is meant."
        )
    return boxes


def items_of(value: object, most: int) -> list[Any] | None:
    """The items of a caller's sequence; None for what is none, has more, or cannot be read."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        return None
    try:
        items = list(islice(iter(value), most + 1))
    except Exception:  # whose class this is nobody knows, nor what it raises
        log.info("a list that was given cannot be read", exc_info=True)
        return None
    return items if len(items) <= most else None


def _read_region(number: int, region: Any) -> Box:
    try:
        corners = region.as_list() if isinstance(region, Box) else region
        if isinstance(corners, str | bytes | bytearray | Set | Mapping):
            raise TypeError("nothing with an order")
        # One more is looked at than there may be: a caller's own class may never end.
        given = list(islice(iter(corners), 5))
        if any(isinstance(one, bool) for one in given):
            raise TypeError("no number")
        left, top, right, bottom = (operator.index(one) for one in given)
    except Exception as error:  # as above: arrays and numbers of any library, or of the caller's own
        text = f"Region {number} is not four whole numbers: left, top, right, bottom in pixels of the original."
        raise bad_region(text) from error
    if not 0 <= left < right <= MOST_EDGE or not 0 <= top < bottom <= MOST_EDGE:
        raise bad_region(f"Region {number} has no area in the picture. Give 0 <= left < right and 0 <= top < bottom.")
    return Box(left, top, right, bottom)


def check_inside(regions: Sequence[Box], size: Size) -> None:
    """Raises InputRefused (bad_region) for a region that is not wholly in the picture."""
    for number, box in enumerate(regions):
        if intersect(box, whole(size)) != box:
            raise bad_region(
                f"Region {number} is not inside the picture of {size.width}x{size.height} pixels. Give it in pixels "
                "of the upright original."
            )


def bad_region(text: str) -> InputRefused:
    return InputRefused(text, code="bad_region")


def as_words(text: str, count: int) -> str:
    """`text` whose `{n}` name none but the first `count` regions: the others are its own words."""
    return _NAMED.sub(lambda m: f"{{{{{m[2]}}}}}" if m[2] and int(m[2]) >= count else m[0], text)


def without_names(text: str) -> str:
    """`text` without the names of regions, which are no words."""
    return _NAMED.sub(lambda match: f"{{{match[1]}}}" if match[1] else "", text)


def name_of_region(number: int) -> str:
    """How a region is called in the record of a run."""
    return f"given region {number}"


def written_question(text: str, regions: Sequence[Box], views: ViewStore, shown: Sequence[str]) -> str:
    """`text` with its regions in the model's space: of the first view shown that holds the region, else of the
    whole."""

    def numbers(match: re.Match[str]) -> str:
        if match[1] or int(match[2]) >= len(regions):
            return f"{{{match[1] or match[2]}}}"
        box = regions[int(match[2])]
        holding = (view for view in shown if intersect(box, box_of(views.record(view))) == box)
        return str(written(views, next(holding, None) or views.whole()["id"], box))

    return _NAMED.sub(numbers, text)
