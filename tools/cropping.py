"""The crop tool: show exactly the region that a box names, from the original pixels.

    views = ViewStore(picture, profile)
    result = crop(views, views.whole()["id"], [0.25, 0.25, 0.5, 0.5])

The box is in the model's declared space of the named view, which may be any earlier view: a crop of a crop is
composed to original pixels at once. A box that names no part of the view raises BoxInvalid, whose text is for
the model. `crop_all` takes several boxes; one unusable box and nothing is cropped. Left out: widening the region
(`zooming.py`).
"""

from collections.abc import Callable, Sequence

from zoomagent.errors import BoxInvalid
from zoomagent.geometry import Box, box_from_model, box_to_model, intersect
from zoomagent.tools.viewing import ToolResult, ViewStore, as_view


def crop(views: ViewStore, view: str, box: Sequence[float]) -> ToolResult:
    """A new view of `box` in `view`."""
    target = locate(views, view, box)
    return show(views, view, target, target)


def crop_all(views: ViewStore, view: str, boxes: Sequence[Sequence[float]]) -> ToolResult:
    """A new view of each of `boxes` in `view`."""
    return each(lambda box: crop(views, view, box), boxes)


def each(cut: Callable[[Sequence[float]], ToolResult], boxes: Sequence[Sequence[float]]) -> ToolResult:
    """The results of `cut` for all `boxes` as one; BoxInvalid says which box it is about."""
    if not boxes:
        raise BoxInvalid("There is no box. Give at least one.")
    results = []
    for number, box in enumerate(boxes, 1):
        try:
            results.append(cut(box))
        except BoxInvalid as error:
            raise BoxInvalid(f"Box {number} of {len(boxes)}: {error}") from None
    text = "\n".join(result.text for result in results)
    return ToolResult(text, tuple(view for result in results for view in result.views))


def locate(views: ViewStore, view: str, box: Sequence[float]) -> Box:
    """Where in the original picture the model's `box` lies. The one place where boxes of models are
    converted."""
    source = as_view(views.record(view))
    return box_from_model(list(box), views.profile.space, source, views.picture.size)


def written(views: ViewStore, view: str, box: Box) -> list[float]:
    """The part of `box` that lies in `view`, as the model would write it: the inverse of `locate`, rounded."""
    source = as_view(views.record(view))
    space = views.profile.space
    numbers = box_to_model(intersect(box, source.box), space, source)
    return [round(n) if space in ("pixels", "thousand", "thousand-yx") else round(n, 3) for n in numbers]


def show(views: ViewStore, source: str, box: Box, target: Box) -> ToolResult:
    """The new view of `box`, made for `target`, with words that say what it is."""
    record = views.add(box, source=source, max_pixels=views.profile.crop_pixels or None)
    width, height = record["size"]
    return ToolResult(
        f"{record['id']} shows {box.as_list()} of the original picture at {width}x{height} pixels.",
        (record,),
        target,
    )
