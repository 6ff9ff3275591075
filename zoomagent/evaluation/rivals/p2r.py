"""P2R, Perceive-to-Reason (ZJU-REAL, 2026): two calls, one that points, one that answers.

The first call names every region that the answer needs, or none when the whole picture is needed. The second sees the
whole with these regions marked, and a crop of each. No loop, no check, no way back.

Where this differs: the first prompt is the model's own box prompt (theirs asks for a JSON list, which is read here
too), and the second goes on in the same dialogue, where the model knows such pictures from; crops have the surroundings
and the pixels of our crops (theirs: 10 % of padding, at most 600 pixels a side); perceiver and reasoner are one model
(theirs are trained in turn). A first reply without any box counts as the whole picture, as does a box around all of
it. Regions beyond what the model can be shown at once are left out.
"""

from collections.abc import Sequence

from zoomagent.errors import BoxInvalid
from zoomagent.evaluation.rivals.asking import Desk, RivalAnswer
from zoomagent.geometry import Box
from zoomagent.graphs.context import Budget
from zoomagent.models.base import Message, Model, Pixels, Text
from zoomagent.models.words.parsing import parse_boxes
from zoomagent.prompts import box_prompt, macro_prompt, several_prompt
from zoomagent.tools.cropping import locate
from zoomagent.tools.marking import marked
from zoomagent.tools.viewing import ViewStore
from zoomagent.tools.zooming import surroundings

WHOLE = 0.98
"""A box that covers this share of the picture is all of it."""


async def p2r(model: Model, views: ViewStore, question: str, options: Sequence[str], budget: Budget) -> RivalAnswer:
    """Answer in two calls."""
    desk = Desk(model, views, budget)
    asked = await desk.user([desk.whole], box_prompt(question, views.profile.space))
    pointed = await desk.generate([asked])
    boxes = regions(desk, pointed.text)
    if not boxes:
        return desk.tried(
            await desk.generate([await desk.user([desk.whole], macro_prompt(question, desk.offered(options)))]), options
        )
    shown = await evidence(desk, boxes, several_prompt(question, desk.offered(options)))
    reply = await desk.generate([asked, Message("assistant", (Text(pointed.text),)), shown])
    return desk.tried(reply, options, boxes, used_crop=True)


def regions(desk: Desk, text: str) -> list[Box]:
    """The regions that the model says it needs; those that name no part of the picture are left out."""
    boxes: list[Box] = []
    for numbers in parse_boxes(text):
        try:
            boxes.append(locate(desk.views, desk.whole, numbers))
        except BoxInvalid:
            continue
    everything = desk.views.picture.size.pixels
    part = [box for box in dict.fromkeys(boxes) if box.area < WHOLE * everything]
    return part[: max(1, desk.views.profile.max_images - 2)]


async def evidence(desk: Desk, boxes: Sequence[Box], text: str) -> Message:
    """The marked whole, a crop of every region, and the question."""
    whole = await desk.views.pixels(desk.whole)
    size, margin = desk.views.picture.size, desk.views.profile.crop_margin
    crops = [await desk.views.pixels(desk.beside(surroundings(box, size, margin, 0))) for box in boxes]
    across, down = size.width, size.height
    shares = [(box.left / across, box.top / down, box.right / across, box.bottom / down) for box in boxes]
    marks = Pixels(f"{whole.key} marked {[box.as_list() for box in boxes]}", marked(whole.image, shares))
    return Message("user", (marks, *crops, Text(text)))
