"""The zoom-out tool: from a close view back to a wider region around it.

    result = zoom_out(views, crop["id"])

The region grows around its centre, but not beyond the view it was cut from; where it would fill that one, that one is
shown again. So a few steps lead to the whole picture, which is the end. Left out: choosing where to go instead.
"""

from zoomagent.errors import ToolArgsInvalid
from zoomagent.geometry import Box, coverage, moved_inside, whole
from zoomagent.tools.cropping import show
from zoomagent.tools.viewing import ToolResult, ViewStore, box_of

FACTOR = 2.0
"""How much wider and higher the region gets (ours)."""

FULL = 0.8
"""A region that fills this share of the view it lies in shows hardly less than it (ours)."""


def zoom_out(views: ViewStore, view: str, *, factor: float = FACTOR) -> ToolResult:
    """A view of the region `factor` times as wide and high around `view`."""
    record, box = views.record(view), box_of(views.record(view))
    if box == whole(views.picture.size):
        raise ToolArgsInvalid("This is the whole picture: there is nothing around it. Zoom in, or answer.")
    # The nearest view on the way back to the whole that holds all of this one and clearly more.
    outer = views.whole()
    while record["source"]:
        record = views.record(record["source"])
        if coverage(box, box_of(record)) == 1.0 and box.area < FULL * box_of(record).area:
            outer = record
            break
    limit = box_of(outer)
    across, down = round(box.width * (factor - 1) / 2), round(box.height * (factor - 1) / 2)
    wider = Box(box.left - across, box.top - down, box.right + across, box.bottom + down)
    # Moved into the outer view as into a picture of its own, cut where it is larger.
    wider = shifted(moved_inside(shifted(wider, -limit.left, -limit.top), limit.size), limit.left, limit.top)
    if coverage(limit, wider) >= FULL:
        return ToolResult(f"{outer['id']} shows {outer['box']} of the original picture.", (outer,), limit)
    return show(views, outer["id"], wider, wider)


def shifted(box: Box, right: int, down: int) -> Box:
    return Box(box.left + right, box.top + down, box.right + right, box.bottom + down)
