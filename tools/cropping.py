"""The crop tool: show exactly the region that a box names, from the original pixels.

    views = ViewStore(picture, profile)
    result = crop(views, views.whole()["id"], [0.25, 0.25, 0.5, 0.5])

The box is in the model's declared space of the named view, which may be any earlier view: a crop of a crop is
composed to original pixels at once. A box that names no part of the view raises BoxInvalid, whose text is for
the model. `crop_all` takes several boxes; one unusable box and nothing is cropped. Left out: widening the region
(`zooming.py`).
"""

import math
from collections.abc import Callable, Sequence

from zoomagent.errors import BoxInvalid
from zoomagent.geometry import Box, View, box_from_model, box_to_model, intersect
from zoomagent.models.profiles import Profile
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
    return write_box(intersect(box, source.box), views.profile, source)


def write_box(box: Box, profile: Profile, view: View) -> list[float]:
    """`box` as a model of `profile` writes it in `view`, the one place where boxes are written for models: rounded, or
    widened where it was taught to write in steps, or nothing would be left of the box."""
    in_shares = profile.space in ("unit", "square")
    numbers = [1000 * n if in_shares else n for n in box_to_model(box, profile.space, view)]
    step = 1 if profile.space == "pixels" else profile.box_step
    written = [round(n) for n in numbers]
    if step > 1 or written[0] == written[2] or written[1] == written[3]:
        # What is a step but for the error of a division is one.
        low = [step * math.floor(n / step + 1e-6) for n in numbers[:2]]
        high = [step * math.ceil(n / step - 1e-6) for n in numbers[2:]]
        written = [*low, *high] if profile.space == "pixels" else [*low, *(min(1000, n) for n in high)]
    return [n / 1000 if in_shares else n for n in written]


def show(views: ViewStore, source: str, box: Box, target: Box) -> ToolResult:
    """The new view of `box`, made for `target`, with words that say what it is."""
    record = views.add(box, source=source, max_pixels=views.profile.crop_pixels or None)
    width, height = record["size"]
    return ToolResult(
        f"{record['id']} shows {box.as_list()} of the original picture at {width}x{height} pixels.",
        (record,),
        target,
    )
