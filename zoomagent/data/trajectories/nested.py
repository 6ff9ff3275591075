"""Boxes that suffice to answer, from the smallest to the widest, each holding the one before (LFPC, stage 2).

    nested((40, 30, 60, 50), Size(500, 375))      # target, DualFocus' crop, twice and four times its side

The second is DualFocus' crop of the target (its boxes.py: `expand_box`, then 25 pixels by `enlarge_box`).
"""

from zoomagent.data.trajectories.trajectory import Corners
from zoomagent.geometry import Box, Size, moved_inside, square_around, whole, with_margin
from zoomagent.tools.zooming import DUALFOCUS_PIXELS

WIDER = (2.0, 4.0)
"""Sides of the wider boxes, in sides of the second (ours)."""


def nested(target: Corners, picture: Size) -> tuple[Corners, ...]:
    """Boxes in original pixels; those that would be the same, or the whole picture, are left out."""
    inner = Box(*target)
    crop = with_margin(square_around(inner, picture), picture, pixels=DUALFOCUS_PIXELS)
    side = max(crop.width, crop.height)
    found = [inner, crop, *(_around(crop, round(side * factor), picture) for factor in WIDER)]
    kept = [box for i, box in enumerate(found) if box not in found[:i] and (i == 0 or box != whole(picture))]
    return tuple((box.left, box.top, box.right, box.bottom) for box in kept)


def _around(box: Box, side: int, picture: Size) -> Box:
    left, top = (box.left + box.right - side) // 2, (box.top + box.bottom - side) // 2
    return moved_inside(Box(left, top, left + side, top + side), picture)
