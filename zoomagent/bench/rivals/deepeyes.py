"""DeepEyes (Visual-Agent, 2025): the model calls the zoom tool itself, until it answers.

The zoom tool is offered with the question. A reply with calls is answered with a crop each, always cut from the first
image; a reply without calls is the answer. After five turns the run ends, with or without an answer: none is asked
for. A run that ends so has an empty text and counts as wrong.

Where this differs: the tool is described by our definition (theirs requires a property that it does not have), boxes
are in the model's own space (theirs: pixels), and a call that can not be done is told to the model (theirs stops).
The model must have learnt to call tools; others simply answer from the whole.
"""

from collections.abc import Sequence

from zoomagent.bench.rivals.asking import Desk, Tried
from zoomagent.errors import BoxInvalid, ToolArgsInvalid, ToolError
from zoomagent.geometry import Box
from zoomagent.graphs.context import Budget
from zoomagent.models.base import Message, Model, Reply, Text, ToolCall
from zoomagent.models.hermes import strict_object
from zoomagent.prompts import macro_prompt
from zoomagent.tools.cropping import locate
from zoomagent.tools.definitions import ZOOM_IN, shown, zoom_in_definition
from zoomagent.tools.viewing import ViewStore
from zoomagent.tools.zooming import surroundings

TURNS = 5


async def deepeyes(
    model: Model, views: ViewStore, question: str, options: Sequence[str], budget: Budget, *, turns: int = TURNS
) -> Tried:
    """Answer with the model driving."""
    desk = Desk(model, views, budget)
    tools = [zoom_in_definition(views.profile.space)]
    messages = [await desk.user([desk.whole], macro_prompt(question, desk.offered(options)))]
    boxes: list[Box] = []
    for _ in range(min(turns, budget.calls)):
        reply = await desk.generate(messages, tools)
        if not reply.tool_calls:
            return desk.tried(reply, options, boxes, used_crop=bool(boxes))
        messages.append(Message("assistant", (Text(reply.text),) if reply.text else (), reply.tool_calls))
        messages += [await respond(desk, call, boxes) for call in _that_fit(desk, messages, reply)]
    return desk.answer("", None, boxes, used_crop=False)


async def respond(desk: Desk, call: ToolCall, boxes: list[Box]) -> Message:
    """The tool's result: the crop, or what was wrong. `boxes` gets the region."""
    try:
        target = locate(desk.views, desk.whole, _numbers(call))
    except ToolError as error:
        return Message("tool", (Text(str(error)),), tool_call_id=call.id)
    boxes.append(target)
    size, profile = desk.views.picture.size, desk.views.profile
    region = surroundings(target, size, profile.crop_margin, 0)
    pixels = await desk.views.pixels(desk.beside(region))
    return Message("tool", (Text(shown(len(boxes), desk.numbers(region), 0)), pixels), tool_call_id=call.id)


def _that_fit(desk: Desk, messages: Sequence[Message], reply: Reply) -> tuple[ToolCall, ...]:
    """As many of the calls as the model can still be shown pictures for, at least the first."""
    pictures = sum(not isinstance(part, Text) for message in messages for part in message.parts)
    return reply.tool_calls[: max(1, desk.views.profile.max_images - pictures)]


def _numbers(call: ToolCall) -> list[float]:
    """The box of a call, strictly read; `img_idx` is ignored, as the first image is always meant."""
    arguments = strict_object(call.arguments)
    if call.name != ZOOM_IN or arguments is None:
        raise ToolArgsInvalid(f"There is one tool, {ZOOM_IN}. Call it with a JSON object.")
    box = arguments.get("bbox_2d")
    if not isinstance(box, list) or len(box) != 4:
        raise BoxInvalid("Give bbox_2d as exactly four numbers.")
    return box
