"""The zoom tool: look closer at what a box names, with surroundings, as DualFocus crops.

    result = zoom(views, views.whole()["id"], [0.25, 0.25, 0.5, 0.5], margin=0.25)

The box becomes a square around its centre (`expand_box`), gets a margin (`enlarge_box`), and is cut from the
original. DualFocus' margin is 25 pixels whatever the picture's size; at 4K that is less than the rounding of
a box with two decimals, so here it is a share of the square's side, and the fixed pixels are an argument. Where
DualFocus clips at the picture's border, the square is moved inside instead, unless `clip` asks for theirs.
`zoom_all` looks closer at several boxes. Left out: the way back (`zooming_out.py`).
"""

from collections.abc import Sequence

from zoomagent.geometry import Box, Size, moved_inside, square_around, with_margin
from zoomagent.tools.cropping import each, locate, show
from zoomagent.tools.viewing import ToolResult, ViewStore

MARGIN = 0.25
"""Share of the square's side added on every side (ours)."""

DUALFOCUS_PIXELS = 25
"""What DualFocus adds on every side, in original pixels."""


def zoom(
    views: ViewStore,
    view: str,
    box: Sequence[float],
    *,
    margin: float = MARGIN,
    margin_pixels: int = 0,
    clip: bool = False,
) -> ToolResult:
    """A new view of the square around `box` in `view`, widened by the margins."""
    target = locate(views, view, box)
    return show(views, view, surroundings(target, views.picture.size, margin, margin_pixels, clip), target)


def zoom_all(
    views: ViewStore, view: str, boxes: Sequence[Sequence[float]], *, margin: float = MARGIN, margin_pixels: int = 0
) -> ToolResult:
    """A new view of the square around each of `boxes`; one unusable box and there is none."""
    return each(lambda box: zoom(views, view, box, margin=margin, margin_pixels=margin_pixels), boxes)


def surroundings(box: Box, picture: Size, margin: float, margin_pixels: int, clip: bool = False) -> Box:
    """The region shown for `box`: squared, widened, and moved inside the picture (or clipped, as DualFocus does)."""
    if clip:
        return with_margin(square_around(box, picture), picture, pixels=margin_pixels, share=margin)
    side = max(box.width, box.height)
    side += 2 * (margin_pixels + round(margin * side))
    left, top = (box.left + box.right - side) // 2, (box.top + box.bottom - side) // 2
    return moved_inside(Box(left, top, left + side, top + side), picture)
