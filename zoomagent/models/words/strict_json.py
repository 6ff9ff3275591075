"""JSON out of a model's text, read strictly: one value or nothing, in linear time, and nothing is evaluated.

Nothing means: no JSON, NaN or a number beyond floats, half characters, a key written twice, nested deeper than
`MAX_DEPTH`, or longer than `MAX_TEXT`. No text can exhaust the stack: orjson has a limit of its own, and depth is
counted before Python's parser looks for keys written twice.
`json_texts` finds the values that prose surrounds. Left out: what the values mean (`dialects.py`, `hermes.py`).
"""

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson

MAX_TEXT = 64 * 1024
"""Characters of the longest text that is read (ours): a call needs a few hundred."""

MAX_VALUES = 64
"""Values of one text that are looked at (ours)."""

MAX_DEPTH = 16
"""A box in a list of calls is three deep (ours)."""

# A string that is never closed takes the rest of the text. Possessive: no backtracking.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_OPENING = re.compile(r"[\[{]")
_FENCED = re.compile(r"```\w{0,16}\s*+((?:[^`]++|`(?!``))*+)```")


def strict_json(text: str) -> Any:
    """The JSON value in `text`; None when there is none, and for the word null."""
    if len(text) > MAX_TEXT:
        return None
    try:
        value = orjson.loads(text)
        depth = 0
        for match in _STRING_OR_BRACKET.finditer(text):
            depth += _step(match.group())
            if depth > MAX_DEPTH:
                return None
        json.loads(text, object_pairs_hook=_no_key_twice)
    except ValueError:
        return None
    return value


def strict_object(text: str) -> dict[str, Any] | None:
    """The JSON object in `text`, or None."""
    value = strict_json(text)
    return value if isinstance(value, dict) else None


def json_texts(text: str) -> Iterator[str]:
    """Everything in `text` that has the outline of a JSON list or object: in code fences first, then anywhere.
    What is never closed, or nested too deep, is left out, with all that follows it."""
    if len(text) > MAX_TEXT:
        return
    parts = [*(match.group(1) for match in islice(_FENCED.finditer(text), MAX_VALUES)), text]
    yield from islice((found for part in parts for found in _find_outlines(part)), MAX_VALUES)


def unfenced(text: str) -> str:
    """`text` without the byte order mark, the spaces and the code fence around it."""
    bare = text.strip("\ufeff \t\r\n")
    match = _FENCED.fullmatch(bare)
    return match.group(1).strip() if match else bare


def _find_outlines(text: str) -> Iterator[str]:
    opening = _OPENING.search(text)
    while opening:
        depth = 0
        for match in _STRING_OR_BRACKET.finditer(text, opening.start()):
            depth += _step(match.group())
            if depth > MAX_DEPTH:
                return
            if depth == 0:
                break
        else:  # the bracket is never closed
            return
        yield text[opening.start() : match.end()]
        opening = _OPENING.search(text, match.end())


def _step(piece: str) -> int:
    return {"[": 1, "{": 1, "]": -1, "}": -1}.get(piece, 0)


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key is written twice")
    return dict(pairs)
