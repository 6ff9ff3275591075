"""Boxes out of a reply to the question where something is: four numbers, in the shapes that models write.

    [{"bbox_2d": [1, 2, 3, 4], "label": "sign"}]       Qwen; fenced, nested or in the middle of prose
    {"x1": 1, "y1": 2, "x2": 3, "y2": 4}               corners by name, in whatever order
    [{"box_2d": [2, 1, 4, 3]}]                          Gemini: y first, so only for models that are known to write so
    [1, 2, 3, 4]  (1, 2, 3, 4)  (1,2),(3,4)  [[1, 2], [3, 4]]  <box>1 2 3 4</box>  <|box_start|>(1,2),(3,4)<|box_end|>

Bare `1, 2, 3, 4` (DualFocus) count where the reply is nothing else, or where a word for a box stands before them: other
numbers of a sentence are no box. Numbers come back in the model's own space and order, which
`geometry.box_from_model` judges. What is said in a thought is no box. Linear in the text, nothing is evaluated. Left
out: tool calls.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from zoomagent.models.words.strict_json import MAX_TEXT as MAX_TEXT
from zoomagent.models.words.strict_json import json_texts, strict_json
from zoomagent.models.words.unwrapping import without_thoughts

MAX_BOXES = 64
"""Lists and fences of one text that are looked at (ours)."""

_Y_FIRST = "box_2d"
"""The name under which Gemini and its pupils write y before x."""
_X_FIRST = "bbox_2d"
_KEYS = (_X_FIRST, "bbox", _Y_FIRST, "box", "bounding_box", "boundingbox", "coordinates", "coords")
_CORNERS = (
    ("x0", "y0", "x1", "y1"),
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
)
_SIDES = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
_KEYED = re.compile(
    rf'"(?:{"|".join((*_KEYS, *(name for names in (*_CORNERS, *_SIDES[:2]) for name in names)))})"\s{{0,4}}:',
    re.IGNORECASE,
)
_NUMBER = r"-?(?:\d{1,12}(?:\.\d{0,18})?|\.\d{1,18})"
_NUMBERS = re.compile(_NUMBER)
_RUN = re.compile(rf"(?<![\w.-])({_NUMBER}(?:\s{{0,4}},\s{{0,4}}{_NUMBER})*+)(\.?\w?)")
_SPACED = re.compile(rf"[\[(]\s{{0,4}}({_NUMBER}(?:\s{{1,4}}{_NUMBER})*+)\s{{0,4}}[\])]")
_PAIRS = re.compile(
    rf"(?:[\[(]\s{{0,4}}{_NUMBER}\s{{0,4}},\s{{0,4}}{_NUMBER}\s{{0,4}}[\])]\s{{0,3}}(?:[,;-]|to\b|and\b)?\s{{0,3}})++"
)
_TAGGED = re.compile(r"<box>([^<>]{0,400}+)</box>|<\|box_start\|>([^<>]{0,400}+)<\|box_end\|>")
_FENCE = re.compile(r"```(?:json)?([^`]*+)```")
# What may stand before bare numbers in a sentence: "The region is", "bounding box:".
_NAMED = re.compile(r"\b(?:region|area|box|bbox|bbox_2d|corners|coordinates?)\W{0,3}(?:is|are)?\W{0,3}$", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]")


def parse_boxes(text: str, *, y_first: bool = False) -> list[list[float]]:
    """Every box in `text`, in order; an empty list when there is none. Three or five numbers are no box. `y_first` says
    that the model writes y before x; a box in a shape whose order is the other one, or not known, is none."""
    if len(text) > MAX_TEXT:
        return []
    said = without_thoughts(text)
    for part in [*(match.group(1) for match in islice(_FENCE.finditer(said), MAX_BOXES)), said]:
        objects = [found for found in json_texts(part) if _KEYED.search(found)]
        if objects:
            found = (box for one in objects for box in _from_json(strict_json(one), y_first))
            return list(islice(found, MAX_BOXES))
    if f'"{_X_FIRST if y_first else _Y_FIRST}"' in said:
        return []  # JSON that is torn, with numbers in the other order
    tagged = [next(inner for inner in match.groups() if inner is not None) for match in _TAGGED.finditer(said)]
    boxes: list[list[float]] = []
    for inner in tagged[:MAX_BOXES]:
        # Between the tokens of a box stand four numbers, however they are set apart, or several boxes.
        numbers = _NUMBERS.findall(inner)
        if len(numbers) == 4 and not _NUMBERS.sub("", inner).strip(" ,;()[]\n\t"):
            boxes.append([float(number) for number in numbers])
        else:
            boxes += list(_from_numbers(inner)) or list(_from_pairs(inner))
    if tagged:
        return boxes
    return list(islice(_from_numbers(said), MAX_BOXES)) or list(islice(_from_pairs(said), MAX_BOXES))


def _from_numbers(text: str) -> Iterator[list[float]]:
    """The lists of exactly four numbers that are bracketed, named as a box, or all that the text says."""
    runs = [match for match in _RUN.finditer(text) if match.group(1).count(",") == 3]
    nothing_else = bool(runs) and not _WORD.search(_RUN.sub("", text))
    for match in runs:
        tail, before = match.group(2), text[max(0, match.start() - 40) : match.start()].rstrip()
        bracketed = before.endswith(("[", "(")) and text[match.end() : match.end() + 4].lstrip()[:1] in ("]", ")")
        if tail not in ("", ".") or before.endswith(","):
            continue
        if bracketed or nothing_else or _NAMED.search(before):
            yield [float(number) for number in match.group(1).split(",")]
    for match in _SPACED.finditer(text):
        numbers = match.group(1).split()
        if len(numbers) == 4:
            yield [float(number) for number in numbers]


def _from_pairs(text: str) -> Iterator[list[float]]:
    """Two corners, each in brackets of its own; three and more are a polygon."""
    for match in _PAIRS.finditer(text):
        numbers = _NUMBERS.findall(match.group())
        if len(numbers) == 4:
            yield [float(number) for number in numbers]


def _from_json(value: Any, y_first: bool) -> Iterator[list[float]]:
    """The boxes of an object, and of everything in it. Two keys that both mean the box say nothing for sure."""
    if isinstance(value, list):
        for item in value:
            yield from _from_json(item, y_first)
    if not isinstance(value, dict):
        return
    named = {str(key).casefold(): item for key, item in value.items()}
    given = [key for key in _KEYS if key in named]
    if len(given) == 1:
        wrong_order = _X_FIRST if y_first else _Y_FIRST
        yield from () if given[0] == wrong_order else _from_value(named[given[0]], y_first)
    elif not given:
        corners = _from_corners(named)
        if corners:
            yield [corners[1], corners[0], corners[3], corners[2]] if y_first else corners
            return
        for item in value.values():
            yield from _from_json(item, y_first)


def _from_value(value: Any, y_first: bool) -> Iterator[list[float]]:
    """The box under a key that means one: four numbers, two corners, corners by name, or a list of those."""
    if isinstance(value, dict):
        yield from _from_json(value, y_first)
    if not isinstance(value, list):
        return
    if len(value) == 2 and all(isinstance(corner, list) and len(corner) == 2 for corner in value):
        value = [*value[0], *value[1]]
    if _are_numbers(value, 4):
        yield [float(number) for number in value]
    elif all(isinstance(item, list | dict) for item in value):
        for item in value:
            yield from _from_value(item, y_first)


def _from_corners(named: dict[str, Any]) -> list[float]:
    """Corners by name, x before y; else a corner and two sides."""
    for names in _CORNERS:
        corners = [named.get(name) for name in names]
        if _are_numbers(corners, 4):
            return [float(number) for number in corners if number is not None]
    for names in _SIDES:
        sides = [named.get(name) for name in names]
        if _are_numbers(sides, 4):
            x, y, width, height = (float(number) for number in sides if number is not None)
            return [x, y, x + width, y + height]
    return []


def _are_numbers(values: list[Any], count: int) -> bool:
    return len(values) == count and all(isinstance(n, int | float) and not isinstance(n, bool) for n in values)
