"""Boxes, views and the four coordinate spaces: one coordinate truth.

Every box lives in pixels of the upright original picture: integers, half-open, `0 <= left < right <= width`. A view is a
box of a picture rendered at a size. A model speaks of a view in its own space; the conversion happens here and is called
at the model's edge (zoomagent/tools) and nowhere else. All functions are pure. Time spans in videos are left out.
"""

import math
from dataclasses import dataclass
from typing import Literal

from zoomagent.errors import BoxInvalid

Space = Literal["pixels", "unit", "thousand", "square"]
"""How a model writes the corners `x0, y0, x1, y1` of a box in a view:
`pixels` of the rendered view (Qwen2.5-VL); `unit` 0-1 of the view (DualFocus, LION); `thousand` 0-1000 of the view
(Qwen3-VL); `square` 0-1 of the view padded to a centred square (LLaVA padding, GroundingGPT)."""


@dataclass(frozen=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        return self.width * self.height


@dataclass(frozen=True)
class Box:
    """A half-open rectangle in original pixels. Any ints may be given; `clamp` makes it lie inside a picture."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def area(self) -> int:
        return max(0, self.width) * max(0, self.height)

    def as_list(self) -> list[int]:
        return [self.left, self.top, self.right, self.bottom]


@dataclass(frozen=True)
class View:
    """What a model is shown: `box` of the picture named `source` (its content hash), rendered at `size`."""

    source: str
    box: Box
    size: Size


def whole(size: Size) -> Box:
    """The box of the whole picture."""
    return Box(0, 0, size.width, size.height)


def intersect(a: Box, b: Box) -> Box:
    """The common part; empty (area 0) when they do not meet."""
    return Box(max(a.left, b.left), max(a.top, b.top), min(a.right, b.right), min(a.bottom, b.bottom))


def iou(a: Box, b: Box) -> float:
    """Intersection over union, 0 to 1."""
    common = intersect(a, b).area
    union = a.area + b.area - common
    return common / union if union else 0.0


def coverage(inner: Box, outer: Box) -> float:
    """Share of `inner` that lies in `outer`, 0 to 1."""
    return intersect(inner, outer).area / inner.area if inner.area else 0.0


def clamp(box: Box, size: Size) -> Box:
    """The part of `box` inside the picture, at least one pixel.

    Raises BoxInvalid when less than half of it lies inside, or when it is reversed or empty.
    """
    if box.width <= 0 or box.height <= 0:
        raise BoxInvalid(f"The box {box.as_list()} has no area. Give left < right and top < bottom.")
    inside = intersect(box, whole(size))
    if inside.area * 2 < box.area or inside.area == 0:
        raise BoxInvalid(
            f"Less than half of the box {box.as_list()} lies in the picture of {size.width}x{size.height} pixels. "
            "Give a box inside it."
        )
    return inside
