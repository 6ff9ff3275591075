"""Boxes out of a model's text: lists of four numbers, wherever the text holds them.

Reads Qwen's JSON (`[{"bbox_2d": [..], "label": ".."}]`, fenced or not) and else every `[x0, y0, x1, y1]`,
`(x0, y0, x1, y1)` or bare `x0, y0, x1, y1` (DualFocus). Numbers come back as written, in the model's own
space: `geometry.box_from_model` judges them. Linear in the text, nothing is evaluated. Tool calls left out.
"""

import re

import orjson

MAX_TEXT = 64 * 1024
"""Longer text holds no box: a model that writes this much is not answering (64 kB, ours)."""

_KEYS = ("bbox_2d", "bbox", "box_2d", "box")
_NUMBER = r"-?(?:\d{1,12}(?:\.\d{0,18})?|\.\d{1,18})"
_RUN = re.compile(rf"(?<![\w.-])({_NUMBER}(?:\s{{0,4}},\s{{0,4}}{_NUMBER})*+)(\.?\w?)")
_FENCE = re.compile(r"```(?:json)?([^`]*)```")


def parse_boxes(text: str) -> list[list[float]]:
    """Every box in `text`, in order; an empty list when there is none. Three or five numbers are no box."""
    if len(text) > MAX_TEXT:
        return []
    for part in [*_FENCE.findall(text), text]:
        found = _from_json(part)
        if found:
            return found
    return [box for match in _RUN.finditer(text) if (box := _from_run(text, match))]


def _from_run(text: str, match: re.Match[str]) -> list[float]:
    """The four numbers of a run of numbers; none when it is longer, or part of something else."""
    numbers, tail = match.group(1).split(","), match.group(2)
    before = text[max(0, match.start() - 4) : match.start()].rstrip()
    if len(numbers) != 4 or tail not in ("", ".") or before.endswith(","):
        return []
    return [float(number) for number in numbers]


def _from_json(text: str) -> list[list[float]]:
    try:
        value = orjson.loads(text.strip())
    except orjson.JSONDecodeError:
        return []
    items = value if isinstance(value, list) else [value]
    return [box for item in items if (box := _box_of(item))]


def _box_of(item: object) -> list[float]:
    if not isinstance(item, dict):
        return []
    value = next((item[key] for key in _KEYS if key in item), None)
    if not isinstance(value, list) or len(value) != 4:
        return []
    if any(isinstance(n, bool) or not isinstance(n, int | float) for n in value):
        return []
    return [float(n) for n in value]
