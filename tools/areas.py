"""Areas to views: the few rectangles that cover all places to look at, each small enough for one view.

    for box in views_over(mask, region, shrink=2): ...

A reader pays for pixels, and a little for every call: places that lie close together share a view, if that costs less.
Left out: which places (`detail.py`).
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from zoomagent.geometry import Box, intersect
from zoomagent.tools.detail import AREA, Mask

VIEW_SIDE = 1280
"""Pixels of a view's side at most (ours): what bounds the reader's memory."""
OVERLAP = 128
"""Pixels of a view that neighbours share (ours): a line that one cuts is whole enough in the other to be joined."""
MARGIN = 24
"""Pixels of a view around what is looked at (ours): the reader misses what touches a border."""
CALL_PIXELS = 10_000
"""What a call costs beside its pixels, in pixels (measured)."""


def views_over(mask: Mask, region: Box, shrink: float) -> list[Box]:
    """Boxes in original pixels that cover the cells of `mask` with a margin, each at most VIEW_SIDE at `shrink`."""
    if not mask.any():
        return []
    reach = 2 * math.ceil(MARGIN * shrink / AREA) + 1
    near = cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(near, connectivity=8)
    found = stats[1:, :4].astype(np.int64)
    found[:, 2:] += found[:, :2]
    boxes = []
    for left, top, right, bottom in merge_boxes(found * AREA, shrink).tolist():
        box = Box(region.left + left, region.top + top, region.left + right, region.top + bottom)
        boxes += split_box(intersect(box, region), shrink)
    return boxes


def merge_boxes(boxes: NDArray[np.int64], shrink: float) -> NDArray[np.int64]:
    """Rows (left, top, right, bottom), put together wherever one view is cheaper than two."""
    kept: list[NDArray[np.int64]] = []
    left = list(boxes)
    while left:
        box = left.pop()
        if left:
            others = np.array(left)
            union = np.concatenate([np.minimum(box[:2], others[:, :2]), np.maximum(box[2:], others[:, 2:])], 1)
            saved = _price(box[None], shrink) + _price(others, shrink) - _price(union, shrink)
            best = int(saved.argmax())
            if saved[best] >= 0:
                left[best] = union[best]
                # What was kept before may now be close enough.
                left += kept
                kept = []
                continue
        kept.append(box)
    return np.array(kept).reshape(-1, 4)


def split_box(box: Box, shrink: float, side: int = VIEW_SIDE) -> list[Box]:
    """The box, or as few equal parts as a view can hold, which overlap."""
    across, down = (_cuts(low, high, shrink, side) for low, high in ((box.left, box.right), (box.top, box.bottom)))
    return [Box(left, top, right, bottom) for top, bottom in down for left, right in across]


def _cuts(low: int, high: int, shrink: float, view_side: int) -> list[tuple[int, int]]:
    side, overlap = round(view_side * shrink), round(OVERLAP * shrink)
    if high - low <= side:
        return [(low, high)]
    count = -(-(high - low - overlap) // (side - overlap))
    step = (high - low - overlap) / count
    return [(low + round(i * step), min(high, low + round((i + 1) * step) + overlap)) for i in range(count)]


def _price(boxes: NDArray[np.int64], shrink: float) -> NDArray[np.float64]:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / shrink**2 + CALL_PIXELS)
