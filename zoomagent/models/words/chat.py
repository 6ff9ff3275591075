"""Conversations as models are really told them: what happens to our messages before any wire format.

1. Text that spells a model's special tokens is made inert (`<|image_pad|>` becomes `< |image_pad|>`),
   whoever wrote it.
2. Views of tool results move into the next user message, unless the profile says they may stay; the time of a frame
   stands before it.
3. For dialects that are text (`hermes`, `mini-o3`, `p2r`), calls and results are written as text, and for `hermes`
   the tools too; other servers do that themselves.
4. Turns of one role that follow each other become one (profiles whose models are told them apart: in this process).

Training, the in-process model and servers all go through `arrange`, so they cannot see different
conversations.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from zoomagent.models.base import Message, Pixels, Text
from zoomagent.models.profiles import Profile, ToolDialect
from zoomagent.models.words.dialects import write_calls
from zoomagent.models.words.hermes import response_text, strict_object, tools_text

Part = Text | Pixels

# Qwen, Llama 3, Phi, DeepSeek (full-width bar), InternVL, LLaVA, Gemma, Mistral and Llama 2 spellings.
_ANGLED = (
    "s|pad|unk|bos|eos|image|video|audio|img|box|ref|quad|IMG_CONTEXT|tool_call|tool_response|tools?|think|"
    "start_of_turn|end_of_turn|start_of_image|end_of_image|image_soft_token|im_start|im_end|im_patch"
)
_SPECIAL = re.compile(
    rf"<(?=[|\uff5c]|/?(?:{_ANGLED})>)|\[(?=/?(?:INST|IMG|IMG_BREAK|IMG_END|TOOL_CALLS|SYSTEM_PROMPT)\])"
)


def neutral(text: str) -> str:
    """`text` with a space put into everything that spells a special token."""
    return _SPECIAL.sub(lambda match: match.group() + " ", text)


def arrange(messages: Sequence[Message], profile: Profile, tools: Sequence[Mapping[str, Any]] = ()) -> list[Message]:
    """The conversation as `profile`'s model is told it."""
    arranged = [_neutral_message(message, profile.hint) for message in messages]
    if not profile.images_in_tool_messages:
        arranged = _move_views(arranged)
    arranged = [replace(message, parts=_with_times(message.parts)) for message in arranged]
    if profile.tool_dialect != "openai":
        arranged = _write_calls_as_text(arranged, profile.tool_dialect)
    if tools and profile.tool_dialect == "hermes":
        # The system message offers the tools.
        offer = Text(tools_text(tools))
        if arranged and arranged[0].role == "system":
            arranged[0] = replace(arranged[0], parts=(*arranged[0].parts, Text("\n\n"), offer))
        else:
            arranged.insert(0, Message("system", (offer,)))
    return _join_turns(arranged) if profile.alternates else arranged


def _join_turns(messages: Sequence[Message]) -> list[Message]:
    """Turns of one role that follow each other as one turn: many templates refuse two. Each result of a tool keeps the
    turn that names its call."""
    told: list[Message] = []
    for message in messages:
        before = told[-1] if told else None
        if before is None or before.role != message.role or message.role == "tool" or before.tool_calls:
            told.append(message)
            continue
        after_text = isinstance(before.parts[-1], Text) if before.parts else False
        between = (Text("\n"),) if after_text and message.parts else ()
        told[-1] = replace(before, parts=(*before.parts, *between, *message.parts), tool_calls=message.tool_calls)
    return told


def _neutral_message(message: Message, hint: str) -> Message:
    parts: list[Part] = []
    for part in message.parts:
        if not isinstance(part, Text):
            parts.append(part)
            continue
        ours = part.ours and bool(hint) and part.text == hint
        said = part.text if ours else neutral(part.text)
        # Servers put lines between parts: the sentence around the hint stays one.
        before = parts[-1] if parts else None
        if isinstance(before, Text) and (ours or before.ours):
            parts[-1] = Text(before.text + said, ours=ours or before.ours)
        else:
            parts.append(Text(said, ours=ours))
    calls = []
    for call in message.tool_calls:
        # Arguments that are no JSON object make servers refuse every later turn, so an empty object stands for them.
        arguments = call.arguments if strict_object(call.arguments) is not None else "{}"
        escaped = _SPECIAL.sub(lambda match: f"\\u{ord(match.group()):04x}", arguments)
        calls.append(replace(call, arguments=escaped))
    return replace(message, parts=tuple(parts), tool_calls=tuple(calls))


def _with_times(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The words that stand before a view as a part of their own."""
    told: list[Part] = []
    for part in parts:
        if isinstance(part, Pixels) and part.before:
            told.append(Text(neutral(part.before)))
            part = replace(part, before="")
        told.append(part)
    return tuple(told)


def _move_views(messages: Sequence[Message]) -> list[Message]:
    """Views of tool results go in front of the next user message, or into a user message of their own."""
    moved: list[Message] = []
    waiting: tuple[Part, ...] = ()
    for message in messages:
        if message.role == "tool":
            waiting += tuple(part for part in message.parts if isinstance(part, Pixels))
            message = replace(message, parts=tuple(part for part in message.parts if isinstance(part, Text)))
        elif waiting and message.role == "user":
            message, waiting = replace(message, parts=waiting + message.parts), ()
        elif waiting:
            moved.append(Message("user", waiting))
            waiting = ()
        moved.append(message)
    return [*moved, Message("user", waiting)] if waiting else moved


def _write_calls_as_text(messages: Sequence[Message], dialect: ToolDialect) -> list[Message]:
    """Calls and results as text; results that follow each other share one user message, as Qwen's template
    has it."""
    written: list[Message] = []
    previous = ""
    for message in messages:
        if message.role == "tool":
            parts: tuple[Part, ...] = message.parts
            if dialect in ("hermes", "none"):
                before, after = response_text("\0").split("\0")
                parts = (Text(before), *parts, Text(after))
            if previous == "tool":
                parts = (*written.pop().parts, Text("\n"), *parts)
            written.append(Message("user", parts))
        elif message.tool_calls:
            text = "\n" if any(not isinstance(part, Text) or part.text for part in message.parts) else ""
            text += write_calls(dialect, message.tool_calls)
            written.append(Message("assistant", (*message.parts, Text(text))))
        else:
            written.append(message)
        previous = message.role
    return written
