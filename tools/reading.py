"""Reading: every line of text in a picture, found by recursive zoom, without any language model.

    text = read_text(picture)                   # PictureText: lines with their boxes in original pixels, and scores
    lines = await read(views, crop["id"])       # the same for a view of a run

First the whole at a scale that fits one view. Then, scale by scale, only the places where closer pixels can say more:
those with strokes too fine for the views so far (`detail.py`), and the lines that were read unsurely. Wherever a line
was found, it is spelt from original pixels. What two scales say of one line is chosen between, with both kept
(`lines.py`). Left out: what the text means.
"""

import asyncio
import math
import re
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from zoomagent.errors import RunError, SettingInvalid
from zoomagent.geometry import Box, Size, intersect, whole, with_margin
from zoomagent.media import Picture
from zoomagent.media.picture import MAX_VIEW_PIXELS
from zoomagent.tools.areas import split_box, views_over
from zoomagent.tools.detail import CELL, POOL, SHRINKS, Detail, Mask, measure_detail
from zoomagent.tools.lines import (
    SURE,
    Line,
    Reading,
    are_parts,
    area_of,
    axes_of,
    bounds_of,
    box_around,
    choose_lines,
    join_parts,
    line_of,
    meeting,
    reading_order,
    shared,
    union_of,
)
from zoomagent.tools.reader import LINE_HEIGHT, Pixels, Quad, Reader, ReaderModels, rapid_reader
from zoomagent.tools.viewing import ViewStore, box_of

OVERVIEW_SIDE = 1600
"""Pixels of the first view's longer side at most (ours)."""
COARSEST = 32
"""Original pixels a side in one pixel of the first view, at most: larger pictures have several first views."""
MAX_VIEWS = 320
"""Views that one reading may cost (ours): twice what 100 megapixels need where all is fine text."""
RUN_VIEWS = 24
"""The same within a run, where reading is one step of many."""
MAGNIFIED = 0.5
"""Original pixels a side in one pixel of the closest views, which are for lines of small letters read unsurely."""
SMALL = 20
"""Lines of at most so many pixels are magnified (ours)."""
FURTHER = 12
"""A line that a view's border cuts is followed for so many times its height (ours)."""
TALL = 64
"""Lines that are higher in a view were seen whole further off, if they are lines (ours)."""
LETTERS = 16
"""A view in which a line is so many pixels high keeps what letters are made of (ours)."""
LEAST_SCORE = 0.5
"""Lines of a lower score are no text (rapidocr's own limit)."""


@dataclass(frozen=True)
class Progress:
    """How far a reading is: the scale it looks at, views of that scale done and planned, lines so far."""

    shrink: float
    done: int
    planned: int
    lines: int


@dataclass(frozen=True)
class PictureText:
    """The text of a picture, or of a region of it, from top to bottom.

    `views` counts what was looked at. Not `complete`: the views were used up before every fine place was seen."""

    lines: tuple[Line, ...]
    size: Size
    region: Box
    views: int
    complete: bool
    looked: tuple[tuple[float, Box], ...] = ()

    def find(self, what: str) -> tuple[Line, ...]:
        """The lines that hold `what`, whatever the case and the spaces; between slashes, `/[0-9]{4}/`, it is a regular
        expression. SettingInvalid for one that cannot be read."""
        pattern = check_wanted(what)
        if pattern is not None:
            return tuple(line for line in self.lines if pattern.search(line.text))
        return tuple(line for line in self.lines if _plain(what) in _plain(line.text))

    def as_json(self) -> dict[str, Any]:
        """Plain JSON: every box and corner in original pixels."""
        return {
            "picture": [self.size.width, self.size.height],
            "region": self.region.as_list(),
            "complete": self.complete,
            "views": self.views,
            "lines": [line.as_json() for line in self.lines],
        }


def check_wanted(what: str) -> re.Pattern[str] | None:
    """The regular expression of a text to find, where it is one. SettingInvalid for what cannot be looked for."""
    if len(what) > 2 and what[0] == what[-1] == "/":
        try:
            with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of what may mean more one day
                return re.compile(what[1:-1], re.IGNORECASE)
        except (re.error, OverflowError, RecursionError) as error:
            raise SettingInvalid(
                f"{what!r} is no regular expression: {error}. Leave the slashes out to look for the text itself."
            ) from None
    if not _plain(what):
        raise SettingInvalid("There is nothing to look for. Name a text, or a regular expression between slashes.")
    return None


def _plain(text: str) -> str:
    return "".join(text.casefold().split())


Tell = Callable[[Progress], None]


def read_text(
    picture: Picture,
    region: Box | None = None,
    *,
    models: ReaderModels | None = None,
    reader: Reader | None = None,
    max_views: int = MAX_VIEWS,
    progress: Tell = lambda step: None,
) -> PictureText:
    """All lines of text in `picture`, or in a region of it. A ToolError says when the extra `ocr` is missing."""
    reader = reader or rapid_reader(models or ReaderModels())
    region = region or whole(picture.size)
    shrink = 1  # original pixels a side for one of the first view
    while shrink < COARSEST and max(region.width, region.height) > OVERVIEW_SIDE * shrink:
        shrink *= 2
    detail = measure_detail(picture, region) if shrink > 1 else None
    look = _Look(picture, region, reader, detail, max_views, progress)
    lines = look.at(split_box(region, shrink, OVERVIEW_SIDE), shrink, [])
    while detail is not None and shrink > 1:
        closer = shrink // 2
        places = places_for(detail, lines, shrink, closer)
        lines = look.at(views_over(places, look.region, closer), closer, lines)
        shrink = closer
    lines = look.at(magnified_views(lines, look.region, picture.size), MAGNIFIED, lines)
    found = [line for line in lines if line.score >= LEAST_SCORE]
    return PictureText(
        tuple(reading_order(found)), picture.size, look.region, len(look.looked), look.complete, tuple(look.looked)
    )


def places_for(detail: Detail, lines: Sequence[Line], shrink: int, closer: int) -> Mask:
    """Where views at `closer` may say more than those at `shrink` did: what these lose, unless it is a settled line,
    once it is large enough to be seen at `closer`; and what was read unsurely."""
    settled = [line for line in lines if line.settled]
    unsure = [line for line in lines if line.score < SURE]
    fine = detail.fine(shrink, _drawn(settled, detail))
    again = _drawn(unsure, detail)
    rows, columns = fine.shape
    read_unsurely = again.reshape(rows, POOL, columns, POOL).any((1, 3))
    return np.asarray((fine if closer == 1 else fine & detail.fits(closer)) | read_unsurely)


def magnified_views(lines: Sequence[Line], region: Box, picture: Size) -> list[Box]:
    """Boxes in `region` around the lines of small letters that were read unsurely."""
    boxes: list[Box] = []
    for line in lines:
        height = axes_of(line.quad).height
        if LEAST_SCORE <= line.score < SURE and height <= SMALL:
            around = intersect(with_margin(line.box, picture, round(height)), region)
            # A line's box may lie a pixel beside the region: its corners are rounded.
            boxes += split_box(around, MAGNIFIED) if min(around.width, around.height) > 0 else []
    return boxes


def is_smeared(quad: Quad, shrink: float, detail: Detail) -> bool:
    """Whether what a view at `shrink` took for a line holds finer strokes than letters of its height have."""
    axes = axes_of(quad)
    # One letter alone may be the picture of several lines: a paragraph looks like a sign.
    letters = LETTERS if axes.length >= 2 * axes.height else LETTERS / 2
    fine_enough = max((scale for scale in SHRINKS if scale <= axes.height / letters), default=1)
    return shrink > 1 and not detail.keeps(quad, fine_enough)


def _drawn(lines: Sequence[Line], detail: Detail) -> Mask:
    """The cells that lines touch."""
    canvas = np.zeros(detail.shape, np.uint8)
    for line in lines:
        corners = (line.quad - (detail.region.left, detail.region.top)) / CELL
        cv2.fillPoly(canvas, [np.floor(corners).astype(np.int32)], 1)
    return canvas.astype(bool)


class _Look:
    """Looks at views of one picture with one reader, and counts them."""

    def __init__(
        self, picture: Picture, region: Box, reader: Reader, detail: Detail | None, max_views: int, progress: Tell
    ) -> None:
        self.picture, self.region, self.complete = picture, region, True
        self._reader, self._detail, self._max_views, self._progress = reader, detail, max_views, progress
        self.looked: list[tuple[float, Box]] = []

    def at(self, boxes: Sequence[Box], shrink: float, lines: list[Line]) -> list[Line]:
        """`lines`, and those that the views of `boxes` at `shrink` add or read better."""
        views = self._found_in(boxes, shrink, len(lines))
        seen = [box for box, _ in views]
        # A line that goes on where no view was: the views were laid over places, and a place may be part of a line.
        ends = [
            box for quad in join_parts([q for _, q in views]) for box in ends_beyond(quad, seen, self.region, shrink)
        ]
        views += self._found_in(ends, shrink, len(lines))
        new = []
        bounds = bounds_of([line.quad for line in lines])
        for quad in join_parts([quads for _, quads in views]):
            known = [lines[i] for i in meeting(bounds, bounds_of([quad])[0])]
            if any(line.settled and shared(quad, line.quad) > 0.6 * area_of(quad) for line in known):
                continue
            # What another scale read of the same line.
            parts = [line.quad for line in known if line.settled and are_parts(quad, line.quad)]
            grown = union_of([quad, *parts])
            text, score = self._reader.spell(level(self.picture, grown))
            if text and score >= LEAST_SCORE / 2:
                smeared = self._detail is not None and is_smeared(grown, shrink, self._detail)
                new.append(line_of(Reading(text, score, shrink), grown, self.picture.size, smeared))
        self._progress(Progress(shrink, len(boxes), len(boxes), len(lines) + len(new)))
        return choose_lines(lines, new)

    def _found_in(self, boxes: Sequence[Box], shrink: float, lines: int) -> list[tuple[Box, list[Quad]]]:
        """What the reader finds in each view, as long as there are views left."""
        room = self._max_views - len(self.looked)
        self.complete = self.complete and len(boxes) <= room
        found = []
        for done, box in enumerate(boxes[:room]):
            self._progress(Progress(shrink, done, min(room, len(boxes)), lines))
            size = Size(max(1, round(box.width / shrink)), max(1, round(box.height / shrink)))
            pixels = np.asarray(self.picture.view(box, size).convert("RGB"))
            scale = np.array([box.width / size.width, box.height / size.height])
            found.append((box, [quad * scale + (box.left, box.top) for quad in self._reader.find(pixels)]))
            self.looked.append((shrink, box))
        return found


def ends_beyond(quad: Quad, views: Sequence[Box], region: Box, shrink: float) -> list[Box]:
    """Boxes over the ends of a line that reach the border of what was viewed, where more of it may follow."""
    axes = axes_of(quad)
    boxes: list[Box] = []
    if axes.height > TALL * shrink or axes.length < 2 * axes.height:
        return boxes
    for side in (-1, 1):
        end = axes.centre + side * axes.along * (axes.length / 2)
        beyond = end + side * axes.along * max(3 * shrink, axes.height / 4)
        x, y = (int(value) for value in beyond)
        inside = region.left <= x < region.right and region.top <= y < region.bottom
        if inside and not any(box.left <= x < box.right and box.top <= y < box.bottom for box in views):
            far = end + side * axes.along * FURTHER * axes.height
            near_end = end - side * axes.along * 2 * axes.height
            points, reach = np.array([near_end, far]), 1.5 * axes.height
            left, top = (points.min(0) - reach).astype(int).tolist()
            right, bottom = (points.max(0) + reach).astype(int).tolist()
            boxes += split_box(intersect(Box(left, top, right, bottom), region), shrink)
    return boxes


def level(picture: Picture, quad: Quad) -> Pixels:
    """The pixels of a line, turned to run from left to right; shrunk where it is higher than the reader needs, or where
    the box around it, of a long line that leans, is more than one view."""
    axes = axes_of(quad)
    box = box_around(quad, picture.size)
    # Sides are rounded to whole pixels, so a little less than the most.
    shrink = max(1.0, axes.height / (1.5 * LINE_HEIGHT), math.sqrt(box.area / (0.99 * MAX_VIEW_PIXELS)))
    size = Size(max(1, round(box.width / shrink)), max(1, round(box.height / shrink)))
    pixels = np.asarray(picture.view(box, size).convert("RGB"))
    scale = np.array([size.width / box.width, size.height / box.height])
    corners = (quad - (box.left, box.top)) * scale
    width = max(1, round(float(np.linalg.norm(corners[1] - corners[0]))))
    height = max(1, round(float(np.linalg.norm(corners[3] - corners[0]))))
    flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    turn = cv2.getPerspectiveTransform(corners.astype(np.float32), flat)
    line = cv2.warpPerspective(pixels, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    upright = height >= 1.5 * width
    return np.ascontiguousarray(np.rot90(line) if upright else line, np.uint8)


# In a run


async def read(views: ViewStore, view: str) -> list[Line]:
    """The lines of text in `view`, from top to bottom. A ToolError says when nothing is there to read with."""
    return list((await read_view(views, view, RUN_VIEWS)).lines)


async def read_view(views: ViewStore, view: str, max_views: int = MAX_VIEWS) -> PictureText:
    """The text of what `view` shows, from the original pixels; who waits no longer stops it at its next view."""
    record = views.record(view)
    region = box_of(record)
    if record.get("blank"):
        return PictureText((), views.picture.size, region, 0, True)
    left = threading.Event()

    def check(step: Progress) -> None:
        if left.is_set():
            raise RunError("Nobody waits for this reading any more.", code="cancelled")

    try:
        return await asyncio.to_thread(read_text, views.picture, region, max_views=max_views, progress=check)
    finally:
        left.set()
