"""All things of a name: where each of them is, and how many there are.

    boxes = await instances_in(model, views, tile["id"], "circle")
    things = distinct([*boxes, *more])

The model lists boxes in one view; views that overlap list the same thing twice, and `distinct` tells. Left out: which
views to look at (`searching.py`, graphs/).
"""

from collections.abc import Sequence

from zoomagent.geometry import Box, intersect
from zoomagent.models.base import Message, Model, Text
from zoomagent.prompts import every_prompt
from zoomagent.tools.grounding import boxes_in
from zoomagent.tools.viewing import ViewStore, box_of

SAME = 0.5
"""Share of the smaller box that lies in the other one from which both are of one thing."""
CUT = 2
"""A box this near to its view's border, in pixels of the view, may be of a thing that goes on behind it."""
LONG = 256
"""Tokens of a list of boxes."""


async def instances_in(
    model: Model, views: ViewStore, view: str, phrase: str, *, deadline: float | None = None
) -> list[Box]:
    """The box of every thing in `view` that `phrase` fits, in original pixels. Raises BoxInvalid and
    OutputTruncated."""
    prompt = every_prompt(phrase, model.profile.space)
    message = Message("user", (await views.pixels(view), Text(prompt)))
    [reply] = await model.generate([message], max_tokens=LONG, deadline=deadline, task="region")
    return boxes_in(reply, views, view)


def distinct(boxes: Sequence[Box]) -> list[Box]:
    """The boxes of different things, the largest of each: one that lies half inside a larger one is of the same thing,
    seen in another view or cut by its border."""
    things: list[Box] = []
    for box in sorted(boxes, key=lambda box: (-box.area, box.left, box.top)):
        if all(intersect(box, other).area < SAME * box.area for other in things):
            things.append(box)
    return sorted(things, key=lambda box: (box.top, box.left))


def whole_things(boxes: Sequence[Box], views: ViewStore, view: str) -> list[Box]:
    """The boxes that do not touch a border of their view inside the picture: a neighbour shows the others whole."""
    record, size = views.record(view), views.picture.size
    outer = box_of(record)
    near = CUT * outer.width / record["size"][0]

    def inside(box: Box) -> bool:
        return (
            (box.left - outer.left > near or outer.left == 0)
            and (box.top - outer.top > near or outer.top == 0)
            and (outer.right - box.right > near or outer.right == size.width)
            and (outer.bottom - box.bottom > near or outer.bottom == size.height)
        )

    return [box for box in boxes if inside(box)]
