"""Qwen-Agent's loop with its zoom tool for Qwen3-VL (qwen-agent 0.0.34: agents/fncall_agent.py and
tools/image_zoom_in_qwen3vl.py): the tool is offered, calls are run, and the first reply without a call is the answer.

The tool's name and arguments (`img_idx` counts over all pictures so far), the growth of what is smaller than 32 pixels
a side, when a call is refused and the twenty calls of the model are theirs. It is told again here because the package
cannot be what the row runs: installed alone it does not start (it imports NumPy, soundfile, tqdm and more, and names
none of them), it writes each crop to the working folder, and it opens paths and addresses of pictures by itself.

Where this differs: the sentences of the definition and of refusals are ours, which say the same; the question has the
words of our other rows, in one user turn without a system turn, as theirs; the tool is offered by the server's own
template (theirs writes the same Hermes text itself); a box is in the model's own space (theirs: 0 to 1000, which is
Qwen3-VL's); a crop has the pixels of our crops (theirs: 262,144 at least); a label is not required; and a picture that
would be one more than the model takes ends the run without an answer.
"""

from collections.abc import Sequence
from math import ceil, floor
from typing import Any

from zoomagent.errors import BoxInvalid
from zoomagent.evaluation.rivals.asking import Desk, RivalAnswer
from zoomagent.evaluation.rivals.deepeyes import box_in
from zoomagent.geometry import Box, Size
from zoomagent.graphs.context import Budget
from zoomagent.models.base import Message, Model, Text, ToolCall
from zoomagent.models.words.strict_json import strict_object
from zoomagent.prompts import macro_prompt
from zoomagent.tools.cropping import locate
from zoomagent.tools.definitions import ZOOM_IN
from zoomagent.tools.viewing import ViewStore

MOST_CALLS = 20
LEAST_SIDE = 32
DEFINITION: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": ZOOM_IN,
        "description": "Look closer at a part of a picture: the part inside a box is cut out and shown larger. What "
        "is in it can be named",
        "parameters": {
            "type": "object",
            "properties": {
                "bbox_2d": {
                    "type": "array",
                    "items": {"type": "number"},
                    "minItems": 4,
                    "maxItems": 4,
                    "description": "The part to look at, as [x1, y1, x2, y2]: its left and upper edge, then its right "
                    "and lower edge",
                },
                "label": {
                    "type": "string",
                    "description": "What the part shows, in a few words",
                },
                "img_idx": {"type": "number", "description": "Which picture so far, counted from 0"},
            },
            "required": ["bbox_2d", "label", "img_idx"],
        },
    },
}


async def qwen_agent(
    model: Model, views: ViewStore, question: str, options: Sequence[str], budget: Budget
) -> RivalAnswer:
    """Answer with the model driving."""
    desk = Desk(model, views, budget)
    messages = [await desk.user([desk.whole], macro_prompt(question, desk.offered(options)))]
    shown, boxes = [desk.whole], list[Box]()
    while desk.calls < MOST_CALLS:
        reply = await desk.generate(messages, [DEFINITION])
        if not reply.tool_calls:
            return desk.tried(reply, options, boxes, used_crop=bool(boxes))
        if len(shown) + len(reply.tool_calls) > views.profile.max_images:
            break
        messages.append(Message("assistant", (Text(reply.text),) if reply.text else (), reply.tool_calls))
        for call in reply.tool_calls:
            messages.append(await run(desk, call, shown, boxes))
    return desk.answer("", None, boxes, used_crop=False)


async def run(desk: Desk, call: ToolCall, shown: list[str], boxes: list[Box]) -> Message:
    """The tool's result: a crop without words, or what was wrong. `shown` and `boxes` get the crop."""
    arguments = strict_object(call.arguments) or {}
    index = arguments.get("img_idx")
    if call.name != ZOOM_IN:
        return Message("tool", (Text(f"There is no tool {call.name}."),), tool_call_id=call.id)
    if isinstance(index, bool) or not isinstance(index, int | float) or index not in range(len(shown)):
        text = f"There is no such picture. Give one of {list(range(len(shown)))} as img_idx."
        return Message("tool", (Text(text),), tool_call_id=call.id)
    try:
        box = locate(desk.views, shown[int(index)], box_in(arguments))
    except BoxInvalid as error:
        return Message("tool", (Text(str(error)),), tool_call_id=call.id)
    region = grown(box, desk.views.picture.size)
    shown.append(desk.beside(region))
    boxes.append(region)
    return Message("tool", (await desk.views.pixels(shown[-1]),), tool_call_id=call.id)


def grown(box: Box, picture: Size) -> Box:
    """A box with a side below 32 pixels is scaled around its centre until the shorter one has them, if it can be."""
    if min(box.width, box.height) >= LEAST_SIDE:
        return box
    ratio = LEAST_SIDE / min(box.width, box.height)
    across, down = ceil(box.width * ratio / 2), ceil(box.height * ratio / 2)
    x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    wider = Box(
        max(0, floor(x - across)),
        max(0, floor(y - down)),
        min(picture.width, ceil(x + across)),
        min(picture.height, ceil(y + down)),
    )
    return wider if min(wider.width, wider.height) > LEAST_SIDE else box
