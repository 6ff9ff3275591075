"""Boxes, views and the coordinate spaces: one coordinate truth.

Every box lives in pixels of the upright original picture: integers, half-open, `0 <= left < right <= width`.
A view is a box of a picture rendered at a size. A model speaks of a view in its own space; the conversion
happens here and is called at the model's edge (zoomagent/tools) and nowhere else. All functions are pure.
Time spans in videos are left out; reading boxes out of a model's text is `zoomagent/models/words/parsing.py`.

    box = box_from_model([120, 80, 410, 300], "thousand", view, picture.size)   # or BoxInvalid
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from zoomagent.errors import BoxInvalid

Space = Literal["pixels", "unit", "thousand", "square", "thousand-yx"]
"""How a model writes the corners `x0, y0, x1, y1` of a box in a view:
`pixels` of the rendered view (Qwen2.5-VL); `unit` 0-1 of the view (DualFocus, LION); `thousand` 0-1000 of the
view (Qwen3-VL); `square` 0-1 of the view padded to a centred square (LLaVA padding, GroundingGPT); `thousand-yx`
0-1000 of the view, written `y0, x0, y1, x1` (Gemini)."""

OVERSHOOT = 0.5
"""A corner this share of the scale outside it is clipped; further out, it is another scale (ours)."""

MIN_SIDE = 4
"""Boxes from a model are grown to this many original pixels a side (ours): a sliver shows nothing."""


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
    """A half-open rectangle in original pixels. Any ints may be given; `clamp` puts it inside a picture."""

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
    def size(self) -> Size:
        return Size(self.width, self.height)

    @property
    def area(self) -> int:
        return max(0, self.width) * max(0, self.height)

    @property
    def corners(self) -> tuple[int, int, int, int]:
        return self.left, self.top, self.right, self.bottom

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


def union(a: Box, b: Box) -> Box:
    """The least box that holds both."""
    return Box(min(a.left, b.left), min(a.top, b.top), max(a.right, b.right), max(a.bottom, b.bottom))


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
        raise BoxInvalid("The box has no area. Give left < right and top < bottom.")
    inside = intersect(box, whole(size))
    if inside.area * 2 < box.area or inside.area == 0:
        raise BoxInvalid(
            f"Less than half of the box lies in the picture of {size.width}x{size.height} pixels. Give a box inside it."
        )
    return inside


# Boxes around boxes


def square_around(box: Box, picture: Size) -> Box:
    """The square with the longer side of `box` and its centre, clipped (DualFocus `expand_box`)."""
    side = max(box.width, box.height)
    left, top = (box.left + box.right - side) // 2, (box.top + box.bottom - side) // 2
    return intersect(Box(left, top, left + side, top + side), whole(picture))


def moved_inside(box: Box, picture: Size) -> Box:
    """`box` shifted by the least that puts it inside the picture, cut where it is larger than the picture."""
    width, height = min(box.width, picture.width), min(box.height, picture.height)
    left = min(max(box.left, 0), picture.width - width)
    top = min(max(box.top, 0), picture.height - height)
    return Box(left, top, left + width, top + height)


def with_margin(box: Box, picture: Size, pixels: int = 0, share: float = 0.0) -> Box:
    """`box` with `pixels` plus `share` of its own width or height added on every side, clipped.

    DualFocus adds 25 pixels (`enlarge_box`); on large pictures a share is right: the model's rounding grows.
    """
    across, down = pixels + round(share * box.width), pixels + round(share * box.height)
    return intersect(Box(box.left - across, box.top - down, box.right + across, box.bottom + down), whole(picture))


def grow_to(box: Box, picture: Size, min_side: int) -> Box:
    """`box` grown around its centre to `min_side` a side, moved where it meets the picture's edge."""
    left, right = _grow(box.left, box.right, min_side, picture.width)
    top, bottom = _grow(box.top, box.bottom, min_side, picture.height)
    return Box(left, top, right, bottom)


def _grow(low: int, high: int, least: int, limit: int) -> tuple[int, int]:
    side = min(max(least, high - low), limit)
    start = min(max((low + high - side) // 2, 0), limit - side)
    return start, start + side


# Between a model's numbers and original pixels


def box_from_model(values: object, space: Space, view: View, picture: Size, *, min_side: int = MIN_SIDE) -> Box:
    """The box in original pixels that a model meant by four numbers in its declared `space` of `view`.

    Nothing is guessed: numbers on another scale, reversed corners and boxes less than half inside the view
    raise BoxInvalid, whose text can be sent to the model. The rest is clipped to the view and grown to
    `min_side` and to a hundredth of its longer side.
    """
    numbers = _x_first(_four_numbers(values), space)
    width, height = _extent(space, view.size)
    sides = (width, height, width, height)
    far = any(not -OVERSHOOT * side <= n <= (1 + OVERSHOOT) * side for n, side in zip(numbers, sides, strict=True))
    tiny = min(width, height) > 2 and all(n <= 1 for n in numbers)
    if far or tiny:
        raise BoxInvalid(f"These numbers are on another scale. Give {_scale_text(space, view.size)}.")
    x0, y0, x1, y1 = _to_shares(numbers, space, view.size)
    if x1 < x0 or y1 < y0:
        order = "[y0, x0, y1, x1]" if is_y_first(space) else "[x0, y0, x1, y1]"
        raise BoxInvalid(f"The box is reversed. Give {order} with x0 < x1 and y0 < y1.")
    if _share_inside(x0, x1) * _share_inside(y0, y1) < 0.5:
        raise BoxInvalid(f"Less than half of the box lies in the view. Give {_scale_text(space, view.size)}.")
    left, right = _to_original(x0, x1, view.box.left, view.box.width, picture.width)
    top, bottom = _to_original(y0, y1, view.box.top, view.box.height, picture.height)
    least = max(min_side, math.ceil(max(right - left, bottom - top) / 100))
    return grow_to(Box(left, top, right, bottom), picture, least)


def box_to_model(box: Box, space: Space, view: View) -> tuple[float, float, float, float]:
    """The four numbers by which a model would write `box` in `space` of `view`.

    The inverse of `box_from_model`.
    """
    x0, x1 = ((x - view.box.left) / view.box.width for x in (box.left, box.right))
    y0, y1 = ((y - view.box.top) / view.box.height for y in (box.top, box.bottom))
    (x_scale, x_offset), (y_scale, y_offset) = _scales(space, view.size)
    written = (x0 * x_scale + x_offset, y0 * y_scale + y_offset, x1 * x_scale + x_offset, y1 * y_scale + y_offset)
    return _x_first(written, space)


def between_spaces(values: Sequence[float], space: Space, other: Space, size: Size) -> tuple[float, ...]:
    """Four numbers in `space` of a view rendered at `size`, as a model of the space `other` would write them.

    They must be numbers (BoxInvalid); where they lie is not checked, and nothing is rounded."""
    shares = _to_shares(_x_first(_four_numbers(list(values)), space), space, size)
    scales = _scales(other, size) * 2
    x0, y0, x1, y1 = (share * scale + offset for share, (scale, offset) in zip(shares, scales, strict=True))
    return _x_first((x0, y0, x1, y1), other)


def is_y_first(space: Space) -> bool:
    """Whether numbers in this space are written y before x."""
    return space == "thousand-yx"


def _x_first(numbers: tuple[float, float, float, float], space: Space) -> tuple[float, float, float, float]:
    """The numbers of a space that is written y first, x first; and back."""
    a, b, c, d = numbers
    return (b, a, d, c) if is_y_first(space) else numbers


def _four_numbers(values: object) -> tuple[float, float, float, float]:
    if not isinstance(values, list | tuple) or len(values) != 4:
        raise BoxInvalid("A box is exactly four numbers: [x0, y0, x1, y1].")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
            raise BoxInvalid("A box is four plain finite numbers: [x0, y0, x1, y1]. One of them is not.")
    x0, y0, x1, y1 = (float(value) for value in values)
    return x0, y0, x1, y1


def _extent(space: Space, size: Size) -> tuple[float, float]:
    if space == "pixels":
        return size.width, size.height
    return (1000, 1000) if space in ("thousand", "thousand-yx") else (1, 1)


def _scale_text(space: Space, size: Size) -> str:
    width, height = _extent(space, size)
    whose = "the view padded to a centred square" if space == "square" else "the view"
    return f"x from 0 to {width:g} and y from 0 to {height:g} of {whose}"


def _scales(space: Space, size: Size) -> tuple[tuple[float, float], tuple[float, float]]:
    """Per axis `(scale, offset)`: a share of the view times scale plus offset is the model's number."""
    if space == "square":
        side = max(size.width, size.height)
        x, y = size.width / side, size.height / side
        return (x, (1 - x) / 2), (y, (1 - y) / 2)
    width, height = _extent(space, size)
    return (width, 0.0), (height, 0.0)


def _to_shares(numbers: tuple[float, float, float, float], space: Space, size: Size) -> tuple[float, ...]:
    scales = _scales(space, size) * 2
    return tuple((n - offset) / scale for n, (scale, offset) in zip(numbers, scales, strict=True))


def _share_inside(low: float, high: float) -> float:
    """Share of the span that lies in 0 to 1. A point counts as all inside or all outside."""
    if low == high:
        return float(0 <= low <= 1)
    return max(0.0, min(high, 1.0) - max(low, 0.0)) / (high - low)


def _to_original(low: float, high: float, start: int, length: int, limit: int) -> tuple[int, int]:
    ends = (math.floor(start + min(max(share, 0.0), 1.0) * length + 0.5) for share in (low, high))
    first, last = (min(max(end, 0), limit) for end in ends)
    return first, last


# The size to render a view at


@functools.lru_cache(maxsize=4096)
def fit_size(
    aspect_of: Size,
    *,
    multiple: int,
    min_pixels: int,
    max_pixels: int,
    min_side: int = 1,
    max_side: int = 1 << 16,
    max_aspect: float = 100.0,
) -> Size:
    """The largest size of about this aspect that a model's own resize leaves as it is.

    Sides are multiples of `multiple` and all limits hold, so Qwen's `smart_resize` with the same numbers is
    the identity on it. Where aspect and limits disagree the limits win and the view is stretched. Only the
    aspect of `aspect_of` is used: to avoid magnifying a small box, give a smaller `max_pixels`.
    """
    aspect = aspect_of.width / aspect_of.height
    area = multiple * multiple
    least, most = math.ceil(min_side / multiple), max_side // multiple
    best, worth = (0, 0), 0.0
    for rows in range(max(1, least), most + 1):
        low = max(1, least, math.ceil(min_pixels / (rows * area)), math.ceil(rows / max_aspect))
        high = min(most, max_pixels // (rows * area), math.floor(rows * max_aspect))
        # The whole numbers next to the ideal one, as far as the limits allow.
        ideal = aspect * rows
        for columns in (min(max(near, low), high) for near in (math.floor(ideal), math.ceil(ideal)) if low <= high):
            # More visual tokens are better, a wrong aspect is worse (the fourth power is ours).
            ratio = columns / rows / aspect
            value = columns * rows * min(ratio, 1 / ratio) ** 4
            if value > worth:
                best, worth = (columns, rows), value
    if not worth:
        raise ValueError("These limits leave no size. Raise max_pixels or max_side, or lower the minimum.")
    return Size(best[0] * multiple, best[1] * multiple)
