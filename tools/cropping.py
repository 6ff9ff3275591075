"""The crop tool: show exactly the region that a box names, from the original pixels.

    views = ViewStore(picture, profile)
    result = crop(views, views.whole()["id"], [0.25, 0.25, 0.5, 0.5])

The box is in the model's declared space of the named view, which may be any earlier view: a crop of a crop is
composed to original pixels at once. A box that names no part of the view raises BoxInvalid, whose text is for
the model. Left out: widening the region (`zooming.py`).
"""

from collections.abc import Sequence

from zoomagent.geometry import Box, box_from_model
from zoomagent.tools.viewing import ToolResult, ViewStore, as_view


def crop(views: ViewStore, view: str, box: Sequence[float]) -> ToolResult:
    """A new view of `box` in `view`."""
    target = locate(views, view, box)
    return show(views, view, target, target)


def locate(views: ViewStore, view: str, box: Sequence[float]) -> Box:
    """Where in the original picture the model's `box` lies. The one place where boxes of models are
    converted."""
    source = as_view(views.record(view))
    return box_from_model(list(box), views.profile.space, source, views.picture.size)


def show(views: ViewStore, source: str, box: Box, target: Box) -> ToolResult:
    """The new view of `box`, made for `target`, with words that say what it is."""
    record = views.add(box, source=source, max_pixels=views.profile.crop_pixels or None)
    width, height = record["size"]
    return ToolResult(
        f"{record['id']} shows {box.as_list()} of the original picture at {width}x{height} pixels.",
        (record,),
        target,
    )
