"""Lines of text as oriented boxes: joined where a view's border cut them, and chosen between where two readings clash.

    parts = join_parts([quads_of_one_view, quads_of_the_next])      # one quad for each line
    lines = choose_lines(macro, micro)                              # the likelier, with both kept

A quad has four corners (x, y), in original pixels. All functions are pure: no pixels, no reader.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from zoomagent.geometry import Box, Size, grow_to, intersect, whole
from zoomagent.tools.reader import Quad

TILT = math.radians(8)
"""Parts of one line point to the same direction, up to this."""
UPRIGHT = 1.5
"""A quad this many times higher than wide holds a line that runs up or down (as rapidocr takes it)."""
SURE = 0.9
"""A reading of at least this score is sure (ours)."""
SMEARED = 0.5
"""A smeared line counts so much beside what was read closer (ours)."""
COVERS = 1.1
"""Boxes of one line differ a little from view to view: this share less counts as all (ours)."""
SAME = 0.5
"""Two lines clash where they share this much of the smaller one."""


@dataclass(frozen=True)
class Reading:
    """One reading of a line: its text, how sure the reader is, and at how many original pixels for one of the view the
    line was found."""

    text: str
    score: float
    shrink: float


@dataclass(frozen=True)
class Line:
    """A line of text: the likeliest reading, where it stands in original pixels, and all that were made of it.

    `corners` go around it from its first letter's top, clockwise; `box` is the box around them. A line is `smeared`
    where its place holds finer strokes than letters of its height have: several lines may have been taken for one."""

    text: str
    box: Box
    score: float
    corners: tuple[tuple[float, float], ...] = ()
    readings: tuple[Reading, ...] = ()
    smeared: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "score": round(self.score, 4),
            "box": self.box.as_list(),
            "corners": [list(corner) for corner in self.corners],
            "readings": [
                {"text": one.text, "score": round(one.score, 4), "shrink": one.shrink} for one in self.readings
            ],
        }

    @property
    def quad(self) -> Quad:
        return np.asarray(self.corners, np.float64)

    @property
    def settled(self) -> bool:
        """Whether it need not be looked at closer."""
        return self.score >= SURE and not self.smeared


@dataclass(frozen=True)
class Axes:
    """A quad as an oriented box."""

    centre: NDArray[np.float64]
    along: NDArray[np.float64]
    length: float
    height: float

    @property
    def across(self) -> NDArray[np.float64]:
        return np.array([-self.along[1], self.along[0]])


def line_of(reading: Reading, quad: Quad, picture: Size, smeared: bool = False) -> Line:
    """A line that was read once."""
    corners = tuple((round(float(x), 1), round(float(y), 1)) for x, y in quad)
    return Line(reading.text, box_around(quad, picture), reading.score, corners, (reading,), smeared)


def box_around(quad: Quad, picture: Size) -> Box:
    """The box around a quad, inside the picture."""
    (left, top), (right, bottom) = np.floor(quad.min(0)).tolist(), np.ceil(quad.max(0)).tolist()
    inside = intersect(Box(int(left), int(top), int(right), int(bottom)), whole(picture))
    return grow_to(inside, picture, 1)


def axes_of(quad: Quad) -> Axes:
    """Centre, direction of reading, length and height."""
    top, side = quad[1] - quad[0] + quad[2] - quad[3], quad[3] - quad[0] + quad[2] - quad[1]
    width, height = float(np.linalg.norm(top)) / 2, float(np.linalg.norm(side)) / 2
    if height >= UPRIGHT * width:
        return Axes(quad.mean(0), side / max(height, 1e-9) / 2, height, width)
    return Axes(quad.mean(0), top / max(width, 1e-9) / 2, width, height)


def shared(a: Quad, b: Quad) -> float:
    """Area that two quads have in common."""
    area, _ = cv2.intersectConvexConvex(a.astype(np.float32), b.astype(np.float32))
    return float(area)


def area_of(quad: Quad) -> float:
    return float(abs(cv2.contourArea(quad.astype(np.float32))))


# Parts of one line


def are_parts(a: Quad, b: Quad) -> bool:
    """Whether two quads that were found in different views are parts of one line, or the same."""
    one, other = axes_of(a), axes_of(b)
    if not are_level(one, other) or max(one.height, other.height) > 1.7 * min(one.height, other.height):
        return False
    longer = one if one.length >= other.length else other
    return abs(float((other.centre - one.centre) @ longer.along)) < (one.length + other.length) / 2


def are_level(one: Axes, other: Axes) -> bool:
    """Whether two lines run in one direction and neither lies at the edge of the other, or beyond it."""
    if abs(float(one.across @ other.along)) > math.sin(TILT):
        return False
    longer = one if one.length >= other.length else other
    return abs(float((other.centre - one.centre) @ longer.across)) <= 0.4 * max(one.height, other.height)


def union_of(quads: Sequence[Quad]) -> Quad:
    """The oriented box around parts of a line, in the direction of the longest."""
    if len(quads) == 1:
        return quads[0]
    longest = max(quads, key=lambda quad: axes_of(quad).length)
    # Along the corners' own order, so that the first letter's top stays the first corner.
    across = longest[1] - longest[0] + longest[2] - longest[3]
    across = across / max(float(np.linalg.norm(across)), 1e-9)
    down = np.array([-across[1], across[0]])
    points = np.concatenate(quads)
    u, v = points @ across, points @ down
    ends = ((u.min(), v.min()), (u.max(), v.min()), (u.max(), v.max()), (u.min(), v.max()))
    return np.array([x * across + y * down for x, y in ends])


def join_parts(views: Sequence[Sequence[Quad]]) -> list[Quad]:
    """One quad for each line, out of what overlapping views found of it. What one view holds apart stays apart."""
    quads = [quad for one in views for quad in one]
    numbers = [number for number, one in enumerate(views) for _ in one]
    bounds = bounds_of(quads)
    group = list(range(len(quads)))
    members = {i: [i] for i in group}
    for i, quad in enumerate(quads):
        for j in meeting(bounds[:i], bounds[i]):
            mine, other = members[group[i]], members[group[j]]
            if {numbers[one] for one in mine} & {numbers[one] for one in other} or not are_parts(quad, quads[j]):
                continue
            gone = group[i]
            members[group[j]] = other + mine
            for one in mine:
                group[one] = group[j]
            del members[gone]
    return [union_of([quads[i] for i in one]) for one in members.values()]


def bounds_of(quads: Sequence[Quad]) -> NDArray[np.float64]:
    """The boxes around quads, as rows (left, top, right, bottom)."""
    if not quads:
        return np.zeros((0, 4))
    corners = np.array(quads)
    return np.concatenate([corners.min(1), corners.max(1)], 1)


def meeting(bounds: NDArray[np.float64], one: NDArray[np.float64]) -> list[int]:
    """Which boxes meet this one. Only these are measured exactly: pages have thousands of lines."""
    meets = (bounds[:, :2] < one[2:]).all(1) & (bounds[:, 2:] > one[:2]).all(1)
    return [int(i) for i in np.flatnonzero(meets)]


# Two readings of one line


def covered(line: Line, others: Sequence[Line]) -> float:
    """The share of a line's length beside which others stand. Not of its area: a coarse view's boxes are fatter."""
    axes, length = axes_of(line.quad), 0.0
    spans = [(one.quad - axes.centre) @ axes.along for one in others]
    end = -axes.length / 2
    for first, last in sorted((float(span.min()), float(span.max())) for span in spans):
        low, high = max(first, end), min(last, axes.length / 2)
        if high > low:
            length, end = length + high - low, high
    return min(1.0, COVERS * length / max(axes.length, 1e-9))


def choose_lines(macro: Sequence[Line], micro: Sequence[Line]) -> list[Line]:
    """The likelier of what was read from further off and from closer, with both kept, and each place read once.

    Each side counts by the share of the other's length that it covers, for a piece of a line is always surer than all
    of it; but what was found further off counts less only beside sure readings."""
    kept: list[Line] = []
    more: dict[int, list[Reading]] = {}
    """What else was read where a closer line won."""
    used: set[int] = set()
    bounds = bounds_of([one.quad for one in micro])
    for line in macro:
        area = max(area_of(line.quad), 1e-9)
        near = [
            i
            for i in meeting(bounds, bounds_of([line.quad])[0])
            if shared(micro[i].quad, line.quad) >= SAME * min(area_of(micro[i].quad), area)
        ]
        new = [i for i in near if i not in used]
        # Lines above and below may touch, as a coarse view's boxes are fat.
        won = [i for i in near if i in more and are_level(axes_of(micro[i].quad), axes_of(line.quad))]
        used.update(new)
        if new and not _is_likelier(line, [micro[i] for i in new], [micro[i] for i in won]):
            more.update({i: list(line.readings) for i in new})
        elif new:
            others = tuple(reading for i in new for reading in micro[i].readings)
            kept.append(replace(line, readings=(*line.readings, *others)))
        elif covered(line, [micro[i] for i in won]) >= SAME:
            # A part of what a closer line says in one.
            more[max(won, key=lambda i: shared(micro[i].quad, line.quad))] += line.readings
        else:
            kept.append(line)
    closer = [
        replace(one, readings=(*one.readings, *more.get(i, ())))
        for i, one in enumerate(micro)
        if i in more or i not in used
    ]
    return [*kept, *closer]


def _is_likelier(line: Line, clash: Sequence[Line], beside: Sequence[Line]) -> bool:
    """Whether a line from further off is likelier than what was read closer at its place; `beside` it other lines won
    already."""
    weight = sum(axes_of(one.quad).length for one in clash)
    closer = sum(one.score * axes_of(one.quad).length for one in clash) / weight * covered(line, [*clash, *beside])
    further = line.score * (SMEARED if line.smeared else 1.0)
    if min(one.score for one in clash) >= SURE:
        further *= min(covered(one, [line]) for one in clash)
    return further > closer


def reading_order(lines: Sequence[Line]) -> list[Line]:
    """From top to bottom, and from left to right where lines stand beside each other."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda one: one.box.top + one.box.bottom):
        middle = (line.box.top + line.box.bottom) / 2
        if (
            rows
            and rows[-1][0].box.top <= middle < rows[-1][0].box.bottom
            and line.box.height < 2 * rows[-1][0].box.height
        ):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda one: one.box.left)]
