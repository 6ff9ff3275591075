"""Boxes out of a reply to the question where something is: lists of four numbers.

Reads Qwen's JSON (`[{"bbox_2d": [..], "label": ".."}]`, fenced or not) and else every `[x0, y0, x1, y1]` and
`(x0, y0, x1, y1)`. Bare `x0, y0, x1, y1` (DualFocus) count where the reply is nothing else, or where a word for a box
stands before them: other numbers of a sentence are no box. Numbers come back as written, in the model's own
space: `geometry.box_from_model` judges them. Linear in the text, nothing is evaluated. Tool calls left out.
"""

import re
from collections.abc import Iterator
from itertools import islice

from zoomagent.models.strict_json import MAX_TEXT as MAX_TEXT
from zoomagent.models.strict_json import json_texts, strict_json

MAX_BOXES = 64
"""Lists and fences of one text that are looked at (ours)."""

_KEYS = ("bbox_2d", "bbox", "box_2d", "box")
_KEYED = re.compile(rf'"(?:{"|".join(_KEYS)})"\s{{0,4}}:')
_NUMBER = r"-?(?:\d{1,12}(?:\.\d{0,18})?|\.\d{1,18})"
_RUN = re.compile(rf"(?<![\w.-])({_NUMBER}(?:\s{{0,4}},\s{{0,4}}{_NUMBER})*+)(\.?\w?)")
_FENCE = re.compile(r"```(?:json)?([^`]*+)```")
# What may stand before bare numbers in a sentence: "The region is", "bounding box:".
_NAMED = re.compile(r"\b(?:region|area|box|bbox|bbox_2d|corners|coordinates?)\W{0,3}(?:is|are)?\W{0,3}$", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]")


def parse_boxes(text: str) -> list[list[float]]:
    """Every box in `text`, in order; an empty list when there is none. Three or five numbers are no box."""
    if len(text) > MAX_TEXT:
        return []
    for part in [*(match.group(1) for match in islice(_FENCE.finditer(text), MAX_BOXES)), text]:
        objects = [found for found in json_texts(part) if _KEYED.search(found)]
        if objects:
            return [box for found in objects for box in _from_json(found)]
    return list(islice(_from_numbers(text), MAX_BOXES))


def _from_numbers(text: str) -> Iterator[list[float]]:
    """The lists of exactly four numbers that are bracketed, named as a box, or all that the text says."""
    nothing_else = not _WORD.search(_RUN.sub("", text))
    for match in _RUN.finditer(text):
        numbers, tail = match.group(1).split(","), match.group(2)
        before = text[max(0, match.start() - 40) : match.start()].rstrip()
        bracketed = before.endswith(("[", "(")) and text[match.end() : match.end() + 4].lstrip()[:1] in ("]", ")")
        if len(numbers) != 4 or tail not in ("", ".") or before.endswith(","):
            continue
        if bracketed or nothing_else or _NAMED.search(before):
            yield [float(number) for number in numbers]


def _from_json(text: str) -> Iterator[list[float]]:
    """The boxes of a JSON object or of a list of them. A key written twice, or two keys that both mean the box, say
    nothing for sure."""
    value = strict_json(text)
    for item in value if isinstance(value, list) else [value]:
        given = [item[key] for key in _KEYS if key in item] if isinstance(item, dict) else []
        if len(given) == 1 and isinstance(given[0], list) and len(given[0]) == 4:
            numbers = [n for n in given[0] if isinstance(n, int | float) and not isinstance(n, bool)]
            if len(numbers) == 4:
                yield [float(n) for n in numbers]
