"""Tool calls as other zooming models write them, read into `ToolCall`s of our zoom tool, and written back.

Mini-o3 zooms with `<grounding>{"bbox_2d": [0.1, 0.2, 0.3, 0.4], "source": "observation_1"}</grounding>`, numbers
from 0 to 1 of the source (profile space `unit`); observation 1 is the first crop. P2R answers where to look with a
list, `[{"bbox_2d": [100, 200, 300, 400], "label": "sign"}]`, numbers from 0 to 1000 of the whole picture (space
`thousand`); `[]` says that the whole picture is needed. Boxes stay as written: `geometry.box_from_model` judges them.

    calls = mini_o3_calls(reply.text)
    calls = p2r_calls(reply.text)          # None: no such list; (): the whole picture

As strict as `hermes.py`: a call that is cut short, has another shape or another key is no call. Left out: OpenAI's
and Hermes' calls (`wire.py`, `hermes.py`), the spellings of other families (`calls.py`), and running anything.
"""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from zoomagent.models.base import ToolCall
from zoomagent.models.words.calls import find_calls
from zoomagent.models.words.hermes import calls_text
from zoomagent.models.words.strict_json import MAX_TEXT, json_texts, strict_json, strict_object, unfenced

ZOOM_IN = "image_zoom_in_tool"
MAX_CALLS = 16
"""Calls of one reply that are read (ours)."""

MOST_BODY = 512
"""Characters of a call of Mini-o3, which holds four numbers and a name (ours)."""

_OPEN, _CLOSE = "<grounding>", "</grounding>"
# A closing tag inside a JSON string does not end the call. Possessive throughout: no backtracking.
_BODY = re.compile(r'((?:[^"<]++|"(?:[^"\\]++|\\.)*+"|<(?!/?grounding>))*+)</grounding>', re.DOTALL)
_OBSERVATION = re.compile(r"observation_([1-9]\d{0,3})")


def read_calls(dialect: str, text: str) -> tuple[str, tuple[ToolCall, ...]]:
    """The words before the calls, and the calls, of a reply in the model's own dialect, else in any spelling that
    servers may have left in it."""
    if dialect == "mini-o3" and (calls := mini_o3_calls(text)):
        return text.split(_OPEN)[0].strip(), calls
    if dialect == "p2r" and (calls := p2r_calls(text) or ()):
        return "", calls
    return find_calls(text)


def write_calls(dialect: str, calls: Sequence[ToolCall]) -> str:
    """Calls as the model wrote them, for the dialogue that goes on."""
    if dialect == "mini-o3":
        return "\n".join(mini_o3_text(call) for call in calls)
    return p2r_text(calls) if dialect == "p2r" else calls_text(calls)


def mini_o3_calls(text: str, first_id: int = 0) -> tuple[ToolCall, ...]:
    """The calls in a reply of Mini-o3, in order."""
    calls: list[ToolCall] = []
    position = text.find(_OPEN) if len(text) <= MAX_TEXT else -1
    while position >= 0 and len(calls) < MAX_CALLS:
        start = position + len(_OPEN)
        # Bounded: a string without an end holds every tag after it, and each would be read to the end of the text.
        body = _BODY.match(text, start, start + MOST_BODY)
        found = strict_object(unfenced(body.group(1))) if body else None
        if found is not None and set(found) == {"bbox_2d", "source"} and _is_box(found["bbox_2d"]):
            source = found["source"]
            match = _OBSERVATION.fullmatch(source) if isinstance(source, str) else None
            if match or source == "original_image":
                index = int(match.group(1)) if match else 0
                arguments = {"bbox_2d": found["bbox_2d"], "label": "", "img_idx": index}
                calls.append(_call(first_id + len(calls), arguments))
        position = text.find(_OPEN, body.end() if body else start)
    return tuple(calls)


def mini_o3_text(call: ToolCall) -> str:
    """A zoom call as Mini-o3 writes it; its label is lost."""
    arguments = orjson.loads(call.arguments)
    index = arguments["img_idx"]
    written = {"bbox_2d": arguments["bbox_2d"], "source": f"observation_{index}" if index else "original_image"}
    return f"{_OPEN}{orjson.dumps(written).decode()}{_CLOSE}"


def p2r_calls(text: str, first_id: int = 0) -> tuple[ToolCall, ...] | None:
    """The boxes of the first well-formed list in a reply of P2R as zoom calls; None when there is no such list."""
    for found in json_texts(text):
        boxes = strict_json(found)
        if isinstance(boxes, list) and all(
            isinstance(item, dict)
            and set(item) == {"bbox_2d", "label"}
            and isinstance(item["label"], str)
            and _is_box(item["bbox_2d"])
            for item in boxes
        ):
            return tuple(
                _call(first_id + i, {"bbox_2d": item["bbox_2d"], "label": item["label"], "img_idx": 0})
                for i, item in enumerate(boxes[:MAX_CALLS])
            )
    return None


def p2r_text(calls: Sequence[ToolCall]) -> str:
    """Zoom calls into the whole picture as P2R writes them."""
    arguments = [orjson.loads(call.arguments) for call in calls]
    return orjson.dumps([{"bbox_2d": a["bbox_2d"], "label": a["label"]} for a in arguments]).decode()


def _is_box(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 4:
        return False
    return all(isinstance(n, int | float) and not isinstance(n, bool) for n in value)


def _call(number: int, arguments: dict[str, Any]) -> ToolCall:
    return ToolCall(f"call_{number}", ZOOM_IN, orjson.dumps(arguments).decode())
