"""Trajectories as one model is told them: the messages of a run, in its own coordinate space, with its own view sizes.

    messages = told(trajectory, profile, {view: image})         # for a chat template; images are Pillow images
    requests = views(trajectory, profile)                       # what to cut from the original, and how large

Everything goes through `arrange` as at run time. Boxes in calls and in tools' words are stored in thousandths of the
view they name and leave here in the profile's space; nowhere else are they converted. Left out: tokens
(`collating.py`), and opening pictures (`reading.py`).
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import orjson
from PIL import Image

from zoomagent.data.trajectories.trajectory import WHOLE, CallPart, ImagePart, Trajectory, Turn
from zoomagent.errors import BoxInvalid, SettingInvalid
from zoomagent.geometry import Box, Size, Space, between_spaces
from zoomagent.media.picture import Request
from zoomagent.models.base import Message, Pixels, Text, ToolCall
from zoomagent.models.profiles import Profile
from zoomagent.models.words.chat import arrange
from zoomagent.prompts import macro_prompt
from zoomagent.tools.definitions import definitions
from zoomagent.tools.viewing import view_size

BOX = "bbox_2d"
_SOURCE = re.compile(r" of img_idx (\d+)\.$")
_BOXES = re.compile(r"\[-?[\d.]+(?:, -?[\d.]+){3}\]")


def read(row: Mapping[str, Any]) -> Trajectory:
    """The trajectory of a row, its whole shown at the row's `resolution` where `select-resolution` gave it one. Raises
    SettingInvalid for a row that is none."""
    try:
        trajectory = Trajectory.from_row({name: value for name, value in row.items() if name != "resolution"})
    except (ValueError, KeyError, TypeError) as error:
        text = f"The row {str(row.get('id'))[:80]!r} is no trajectory. Write the trajectories again."
        raise SettingInvalid(text) from error
    whole, *crops = trajectory.views
    if not row.get("resolution"):
        return trajectory
    return trajectory.model_copy(update={"views": (whole.model_copy(update={"pixels": row["resolution"]}), *crops)})


def offered(profile: Profile) -> list[dict[str, Any]]:
    """The tools as the model is offered them at run time (OpenAI function definitions)."""
    return definitions(profile.tools, profile.space)


def views(trajectory: Trajectory, profile: Profile) -> dict[str, Request]:
    """Box in original pixels and rendered size of every view, by name."""
    return {
        view.id: (Box(*view.box), _size(profile, Box(*view.box), view.pixels, view.id == WHOLE))
        for view in trajectory.views
    }


def view_names(trajectory: Trajectory) -> list[str]:
    """The names of the views in the order of their placeholders; one that is shown again counts again."""
    return [part.view for turn in trajectory.messages for part in turn.content if isinstance(part, ImagePart)]


def learned(trajectory: Trajectory) -> list[bool]:
    """Whether each of the assistant's turns is to be imitated."""
    return [turn.learn for turn in trajectory.messages if turn.role == "assistant"]


def unusable(trajectory: Trajectory, profile: Profile) -> str | None:
    """Why this model cannot be told it, by a short name; None when it can."""
    called = {call.function.name for turn in trajectory.messages for call in turn.tool_calls}
    if not called <= set(profile.tools):
        return "calls a tool that the model is not offered"
    if len(view_names(trajectory)) > profile.max_images:
        return "shows more images than the model takes"
    if not any(learned(trajectory)):
        return "has no turn to learn"
    return None


def chat_messages(trajectory: Trajectory, profile: Profile, images: Mapping[str, Image.Image]) -> list[dict[str, Any]]:
    """The messages as a chat template takes them; `images` holds each view's pixels by name."""
    needed = views(trajectory, profile)
    sizes = [needed[name][1] for name in dict.fromkeys(view_names(trajectory))]
    words: dict[str, str] = {}
    if trajectory.options and not profile.letters:
        # A model that knows no letters is not shown the options, and answers in words.
        words = {macro_prompt(trajectory.question, trajectory.options): macro_prompt(trajectory.question)}
        words |= {chr(65 + i): option for i, option in enumerate(trajectory.options)}
    messages = [_message(turn, profile, sizes, images, words) for turn in trajectory.messages]
    turns = []
    for message in arrange(messages, replace(profile, tool_dialect="openai")):
        content = [
            {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image", "image": part.image}
            for part in message.parts
        ]
        calls = [
            {"type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in message.tool_calls
        ]
        turns.append({"role": message.role, "content": content, **({"tool_calls": calls} if calls else {})})
    return turns


@lru_cache(maxsize=65536)
def _size(profile: Profile, box: Box, pixels: int | None, is_whole: bool) -> Size:
    """As `ViewStore` chooses it for the whole and for a crop."""
    budget = pixels or (profile.whole_pixels if is_whole else profile.crop_pixels) or None
    return view_size(profile, box, budget)


def _message(
    turn: Turn,
    profile: Profile,
    sizes: Sequence[Size],
    images: Mapping[str, Image.Image],
    words: Mapping[str, str],
) -> Message:
    """A turn in the model's space; `words` stand for those that the model is asked otherwise."""
    parts: list[Text | Pixels] = []
    for part in turn.content:
        if isinstance(part, ImagePart):
            parts.append(Pixels(part.view, images[part.view]))
        else:
            text = words.get(part.text, part.text)
            parts.append(Text(_convert_words(text, profile, sizes) if turn.role == "tool" else text))
    calls = tuple(_call(call, profile, sizes) for call in turn.tool_calls)
    return Message(turn.role, tuple(parts), calls)


def _call(call: CallPart, profile: Profile, sizes: Sequence[Size]) -> ToolCall:
    """The call in the model's space. Nano writes JSON without spaces, as it was first taught; others as their chat
    templates do."""
    arguments = dict(call.function.arguments)
    index = arguments.get("img_idx")
    if BOX in arguments and isinstance(index, int) and 0 <= index < len(sizes):
        arguments[BOX] = _convert_box(_widen_box(arguments[BOX], profile.box_step), profile.space, sizes[index])
    compact = profile.family == "nano"
    text = orjson.dumps(arguments).decode() if compact else json.dumps(arguments, ensure_ascii=False)
    return ToolCall("", call.function.name, text)


def _widen_box(box: Sequence[float], step: int) -> list[float]:
    """A box in thousandths, widened to multiples of `step`: finer than a model can see is noise to learn. A call that
    names no box stays as wrong as it is."""
    if step == 1 or len(box) != 4 or not all(isinstance(n, int | float) for n in box):
        return list(box)
    x0, y0, x1, y1 = box
    low, high = ([math.floor(n / step) * step for n in (x0, y0)], [math.ceil(n / step) * step for n in (x1, y1)])
    return [*low, *(min(1000, n) for n in high)]


def _convert_words(text: str, profile: Profile, sizes: Sequence[Size]) -> str:
    """A tool's words with the boxes of their lines converted."""
    lines = []
    for line in text.split("\n"):
        source = _SOURCE.search(line)
        if source is not None and int(source[1]) < len(sizes):
            size = sizes[int(source[1])]

            def convert(found: re.Match[str], size: Size = size) -> str:
                box = _widen_box(json.loads(found[0]), profile.box_step)
                return str(_convert_box(box, profile.space, size))

            line = _BOXES.sub(convert, line)
        lines.append(line)
    return "\n".join(lines)


def _convert_box(box: Sequence[float], space: Space, size: Size) -> list[float]:
    """Thousandths of a view shown at `size` as the model writes them. A call that names no box stays as wrong as it
    is."""
    if space == "thousand":
        return list(box)
    try:
        numbers = between_spaces(box, "thousand", space, size)
    except BoxInvalid:
        return list(box)
    return [round(n) if space == "pixels" else round(n, 3) for n in numbers]
