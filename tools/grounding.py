"""The ground tool: where is it? The model points, and its boxes come back in original pixels.

    boxes = await ground(model, views, whole["id"], "the red car")

A model that points at the whole view has not found it, so there is no box; the same for "Cannot tell" and for `[]`.
BoxInvalid and OutputTruncated say what is wrong with a reply; asking again is left to the caller.
"""

from zoomagent.confidence.replies import abstains
from zoomagent.errors import BoxInvalid, OutputTruncated
from zoomagent.geometry import Box, intersect, is_y_first
from zoomagent.models.base import Message, Model, Reply, Text
from zoomagent.models.words.parsing import parse_boxes
from zoomagent.models.words.unwrapping import unwrapped
from zoomagent.prompts import ground_prompt
from zoomagent.tools.cropping import locate
from zoomagent.tools.viewing import ViewStore, box_of

PRACTICALLY = 0.95
"""A box this wide and high is the whole view (ours)."""

MAX_BOXES = 16
"""Boxes of one reply that are read (ours)."""


async def ground(model: Model, views: ViewStore, view: str, phrase: str, *, deadline: float | None = None) -> list[Box]:
    """Where what `phrase` names is in `view`; no box when it was not located."""
    prompt = ground_prompt(phrase, model.profile.space)
    message = Message("user", (await views.pixels(view), Text(prompt)))
    [reply] = await model.generate([message], deadline=deadline, task="region")
    return boxes_in(reply, views, view)


def boxes_in(reply: Reply, views: ViewStore, view: str) -> list[Box]:
    """The boxes of `view` that a reply names, in original pixels, each once."""
    if reply.finish == "length":
        raise OutputTruncated("The reply was cut off before its box was complete. Reply the box only.")
    if abstains(reply.text) or unwrapped(reply.text) == "[]":
        return []
    numbers = parse_boxes(reply.text, y_first=is_y_first(views.profile.space))[:MAX_BOXES]
    if not numbers:
        raise BoxInvalid("The reply holds no box of four numbers.")
    boxes = dict.fromkeys(locate(views, view, four) for four in numbers)
    limit = box_of(views.record(view))
    return [box for box in boxes if not is_whole(box, limit)]


def is_whole(box: Box, limit: Box) -> bool:
    """Whether `box` covers practically all of `limit` in both directions."""
    common = intersect(box, limit)
    return common.width >= PRACTICALLY * limit.width and common.height >= PRACTICALLY * limit.height
