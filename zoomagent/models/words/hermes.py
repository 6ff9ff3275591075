"""The Hermes tool dialect, the one Qwen models are trained on: calls written as text between `<tool_call>`
tags.

Both directions live here: what is put into the prompt, and what is read out of a reply. Reading is strict
and takes linear time: orjson only, 64 kB a call, nothing is ever evaluated, and text that is not one JSON
object with a name and arguments is left alone as text. Whether the arguments fit a tool is judged by the
tool.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from zoomagent.models.base import ToolCall
from zoomagent.models.words.strict_json import strict_object as strict_object

OPEN, CLOSE = "<tool_call>", "</tool_call>"
MAX_CALL_BYTES = 64 * 1024
MAX_CALLS = 16

# A closing tag inside a JSON string does not end the call. Possessive throughout: no backtracking.
_BODY = re.compile(r'((?:[^"<]++|"(?:[^"\\]++|\\.)*+"|<(?!/tool_call>))*+)</tool_call>', re.DOTALL)

_BEFORE = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>"
)
_AFTER = (
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
    '<tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, "arguments": '
    "<args-json-object>}\n</tool_call>"
)


def tools_text(tools: Sequence[Mapping[str, Any]]) -> str:
    """The system text that offers `tools`, as Qwen's own chat templates write it."""
    return _BEFORE + "".join("\n" + json.dumps(tool, ensure_ascii=False) for tool in tools) + _AFTER


def calls_text(calls: Sequence[ToolCall]) -> str:
    """Calls as the assistant wrote them."""
    return "\n".join(
        f'{OPEN}\n{{"name": {json.dumps(call.name)}, "arguments": {call.arguments}}}\n{CLOSE}' for call in calls
    )


def response_text(text: str) -> str:
    """A tool's result as the model is told it."""
    return f"<tool_response>\n{text}\n</tool_response>"


def parse_calls(text: str, first_id: int = 0) -> tuple[str, tuple[ToolCall, ...]]:
    """The text outside calls, and the calls. What opens like a call but does not parse stays in the text."""
    calls: list[ToolCall] = []
    kept: list[str] = []
    position = 0
    for _ in range(MAX_CALLS):
        start = text.find(OPEN, position)
        found = _BODY.match(text, start + len(OPEN), start + len(OPEN) + MAX_CALL_BYTES) if start >= 0 else None
        if found is None:
            break
        call = strict_object(found.group(1)) or {}
        name, arguments = call.get("name"), call.get("arguments")
        is_call = len(call) == 2 and isinstance(name, str) and isinstance(arguments, dict)
        kept.append(text[position : start if is_call else found.end()])
        if is_call:
            calls.append(ToolCall(f"call_{first_id + len(calls)}", str(name), orjson.dumps(arguments).decode()))
        position = found.end()
    kept.append(text[position:])
    return ("".join(kept).strip() if calls else text), tuple(calls)
