"""DeepEyes (Visual-Agent, 2025): the model thinks, calls the zoom tool in its text, and answers between tags.

The order of turns, the tags, the tool's name and arguments, and the eleven tries are those of their evaluation
(github.com/Visual-Agent/DeepEyes, eval/eval_vstar.py): a system turn that describes the tool, the whole picture with
the question, then after each call a crop of the *first* picture with the same request again, until a reply holds an
answer.

Where this differs: the sentences are ours, which say the same in the same order; a box is in the model's own space
(theirs: pixels of the file, which a model of another family does not write), a crop has the pixels of our crops, the
definition of the tool requires `bbox_2d` (theirs requires `bbox`, which it does not have), and a reply with neither a
call nor an answer is taken as the answer at once (theirs asks the same again, ten times). A call that cannot be done
ends the run without an answer, as theirs does; so does the picture that would be one more than the model takes. A model
that was not trained so, as nano, says nothing about DeepEyes.
"""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from zoomagent.confidence.replies import read
from zoomagent.errors import BoxInvalid
from zoomagent.evaluation.rivals.asking import Desk, RivalAnswer
from zoomagent.geometry import Box
from zoomagent.graphs.context import Budget
from zoomagent.models.base import Message, Model, Reply, Text
from zoomagent.models.words.strict_json import strict_object
from zoomagent.tools.cropping import locate
from zoomagent.tools.definitions import ZOOM_IN
from zoomagent.tools.viewing import ViewStore

TRIES = 11
DEFINITION = {
    "type": "function",
    "function": {
        "name": ZOOM_IN,
        "description": "Look closer at a part of the picture: the part inside a box is cut out and shown larger. What "
        "is in it can be named.",
        "parameters": {
            "type": "object",
            "properties": {
                "bbox_2d": {
                    "type": "array",
                    "items": {"type": "number"},
                    "minItems": 4,
                    "maxItems": 4,
                    "description": "The part to look at, as [x1, y1, x2, y2]: its left and upper edge, then its right "
                    "and lower edge.",
                },
                "label": {
                    "type": "string",
                    "description": "What the part shows, in a few words (may be left out).",
                },
            },
            "required": ["bbox_2d"],
        },
    },
}
SYSTEM = f"""You answer questions about a picture, and have a tool for it.

# Tools
What it does, and what it takes:
<tools>
{orjson.dumps(DEFINITION).decode()}
</tools>

# How to call a tool
Write its name and arguments as one JSON object between these tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>

**Example**:
<tool_call>
{{"name": "{ZOOM_IN}", "arguments": {{"bbox_2d": [40, 60, 180, 240], "label": "the cup beside the lamp"}}}}
</tool_call>"""
FORMAT = (
    f"\nBegin with your thoughts. Use **{ZOOM_IN}** where you have to look closer, and answer last. Write in just this "
    "form:  <think>...</think>  <tool_call>...</tool_call> (where you look closer)  <answer>...</answer> "
)
_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|$)", re.DOTALL)
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


async def deepeyes(
    model: Model, views: ViewStore, question: str, options: Sequence[str], budget: Budget
) -> RivalAnswer:
    """Answer with the model driving."""
    desk = Desk(model, views, budget)
    messages = [Message("system", (Text(SYSTEM),)), await desk.user([desk.whole], words_of(question, options))]
    boxes: list[Box] = []
    while desk.calls < TRIES:
        reply = await desk.generate(messages)
        answer, call = _ANSWER.search(reply.text), call_in(reply)
        if answer or call is None:
            said = answer[1].strip() if answer else reply.text
            return desk.answer(read(said, options).text, None, boxes, used_crop=bool(boxes))
        try:
            box = locate(views, desk.whole, box_in((strict_object(call) or {}).get("arguments")))
        except BoxInvalid:
            break
        if len(boxes) + 2 > views.profile.max_images:
            break
        boxes.append(box)
        crop = await views.pixels(desk.beside(box))
        shown = (Text("<tool_response>"), crop, Text(FORMAT), Text("</tool_response>"))
        messages += [
            Message("assistant", (Text(reply.text or f"<tool_call>{call}</tool_call>"),)),
            Message("user", shown),
        ]
    return desk.answer("", None, boxes, used_crop=False)


def words_of(question: str, options: Sequence[str]) -> str:
    """The question with its options, lettered, as theirs."""
    lines = "".join(f"{chr(ord('A') + place)}. {option}\n" for place, option in enumerate(options))
    return f"Question: {question}\n" + (f"Options: \n{lines}\n" if options else "") + FORMAT


def call_in(reply: Reply) -> str | None:
    """The first call of a reply; a model in this process reads it out of the text."""
    if reply.tool_calls:
        first = reply.tool_calls[0]
        return orjson.dumps({"name": first.name, "arguments": strict_object(first.arguments)}).decode()
    found = _CALL.search(reply.text)
    return found[1].strip() if found else None


def box_in(arguments: Any) -> list[float]:
    """The four numbers of a call's arguments. BoxInvalid where there are none."""
    box = arguments.get("bbox_2d") if isinstance(arguments, dict) else None
    if not isinstance(box, list) or len(box) != 4 or not all(type(side) in (int, float) for side in box):
        raise BoxInvalid("Give bbox_2d as exactly four numbers.")
    return box
