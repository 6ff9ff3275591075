"""Visual Genome's rows as plain values: one shape for all releases, every quirk counted by its reason.

    counts = Counter()
    objects_of(row, Size(500, 375), counts)      # [Thing(7, (10, 4, 60, 54), ("cup",))]
    counts                                       # {"objects: negative corner, clipped": 1}

Releases differ: `id` or `object_id`, `names` or `name`, a region's row under `id` or `image_id`, numbers as texts,
boxes that begin before the picture or end after it. What can be mended is mended and counted; what cannot is left out
and counted. Left out: the join of the tables (`index.py`).
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from zoomagent.data.trajectories.trajectory import Corners
from zoomagent.geometry import Box, Size, iou

Counts = Counter[str]
Row = Mapping[str, Any]
MAX_NAME = 255
"""Bytes of a file's name that systems take."""
MOST_THINGS, MOST_NAMES = 1000, 4
"""Objects of a picture, and names of one that are compared (ours): each is compared with all others of its name."""
TWICE = 0.9
"""Two boxes of one name that overlap by this much (IoU) are one thing that was marked twice (ours)."""


@dataclass(frozen=True)
class Shot:
    """A picture as image_data has it: `path` is its address' last two parts, `VG_100K/2.jpg`."""

    id: int
    path: str
    size: Size


@dataclass(frozen=True)
class Thing:
    """An object of a picture, its box in original pixels."""

    id: int
    box: Corners
    names: tuple[str, ...]


@dataclass(frozen=True)
class Region:
    id: int
    box: Corners
    phrase: str


@dataclass(frozen=True)
class Relation:
    """`subject` and `target` are object ids."""

    subject: int
    predicate: str
    target: int


@dataclass(frozen=True)
class QuestionRow:
    """A question; `about` are the objects that the file says it names, `given` those that its answer names."""

    id: int
    question: str
    answer: str
    about: tuple[Thing, ...]
    given: tuple[Thing, ...]


def shot_of(row: Row, counts: Counts) -> Shot | None:
    """A row of image_data."""
    number, width, height = image_id(row), whole_number(row.get("width")), whole_number(row.get("height"))
    try:
        path = urlsplit(str(row.get("url", ""))).path
    except ValueError:
        path = ""
    parts = [part for part in path.split("/") if part not in ("", ".", "..")][-2:]
    if any(len(part.encode(errors="replace")) > MAX_NAME or "\0" in part for part in parts):
        parts = []  # these can be no file's name
    if number is None or width is None or height is None or min(width, height) < 1:
        counts["image_data: no id or size"] += 1
        return None
    return Shot(number, "/".join(parts) or f"{number}.jpg", Size(width, height))


def image_id(row: Row) -> int | None:
    """The picture that a row of any table is about."""
    return whole_number(_first(row, "image_id", "id", "image"))


def objects_of(row: Row, size: Size, counts: Counts) -> list[Thing]:
    """The objects of a row, each once."""
    kept: dict[int, Thing] = {}
    named: dict[str, list[Box]] = {}
    for thing in _things(_dicts(row.get("objects"), "objects", counts), "objects", size, counts):
        box = Box(*thing.box)
        if thing.id in kept:
            counts["objects: id used twice"] += 1
        elif len(kept) == MOST_THINGS:
            counts[f"objects: more than {MOST_THINGS} in a picture"] += 1
        elif any(iou(box, other) >= TWICE for name in thing.names[:MOST_NAMES] for other in named.get(name, ())):
            counts["objects: marked twice"] += 1
        else:
            kept[thing.id] = thing
            for name in thing.names:
                named.setdefault(name, []).append(box)
    return list(kept.values())


def attributes_of(row: Row, counts: Counts) -> dict[int, list[str]]:
    """What the objects of a row are like, by object id."""
    found: dict[int, list[str]] = {}
    for one in _dicts(row.get("attributes"), "attributes", counts):
        subject = one.get("subject")
        whose = whole_number(_first(subject if isinstance(subject, dict) else one, "object_id", "id"))
        words = one.get("attributes", one.get("attribute"))
        if whose is None:
            counts["attributes: of no object"] += 1
            continue
        counts["attributes: words of another type"] += words is not None and not isinstance(words, list | str)
        for word in _listed(words):
            if (text := text_of(word).casefold()) and text not in found.setdefault(whose, []):
                found[whose].append(text)
    return found


def relations_of(row: Row, counts: Counts) -> list[Relation]:
    found = []
    for one in _dicts(row.get("relationships"), "relationships", counts):
        named = [one.get(end) for end in ("subject", "object")]
        ends = [whole_number(_first(end if isinstance(end, dict) else {}, "object_id", "id")) for end in named]
        predicate = text_of(one.get("predicate", "")).casefold()
        if ends[0] is None or ends[1] is None or not predicate:
            counts["relationships: of no object"] += 1
            continue
        found.append(Relation(ends[0], predicate, ends[1]))
    return found


def regions_of(row: Row, size: Size, counts: Counts) -> list[Region]:
    """The regions of a row."""
    kept: dict[int, Region] = {}
    for one in _dicts(row.get("regions"), "region_descriptions", counts):
        number = whole_number(_first(one, "region_id", "id"))
        box = box_of(one, ("x", "y", "width", "height"), size, "region_descriptions", counts)
        if number is None or box is None:
            counts["region_descriptions: no id"] += number is None
        elif number in kept:
            counts["region_descriptions: id used twice"] += 1
        else:
            kept[number] = Region(number, box, text_of(one.get("phrase", "")))
    return list(kept.values())


def asked_of(row: Row, size: Size, counts: Counts) -> list[QuestionRow]:
    """The questions of a row, each once."""
    kept: dict[str, QuestionRow] = {}
    for one in _dicts(row.get("qas"), "question_answers", counts):
        number = whole_number(_first(one, "qa_id", "id"))
        question, answer = text_of(one.get("question", "")), text_of(one.get("answer", "")).rstrip(" .")
        if number is None or not question or not answer:
            counts["question_answers: no id, question or answer"] += 1
            continue
        if question.casefold() in kept:
            counts["question_answers: asked twice"] += 1
            continue
        sides = (_dicts(one.get(side), "question_answers", counts) for side in ("q_objects", "a_objects"))
        about, given = (tuple(_things(side, "question_answers", size, counts)) for side in sides)
        kept[question.casefold()] = QuestionRow(number, question, answer, about, given)
    return list(kept.values())


def _things(rows: Iterable[Row], table: str, size: Size, counts: Counts) -> Iterator[Thing]:
    for one in rows:
        number = whole_number(_first(one, "object_id", "id"))
        given = one.get("names", one.get("name"))
        counts[f"{table}: name is no text"] += any(not isinstance(n, str) for n in _listed(given)) or (
            given is not None and not isinstance(given, list | str)
        )
        words = tuple(dict.fromkeys(text_of(n).casefold() for n in _listed(given)))
        box = box_of(one, ("x", "y", "w", "h"), size, table, counts)
        if number is None or not any(words):
            counts[f"{table}: object without id or name"] += 1
        elif box is not None:
            yield Thing(number, box, tuple(word for word in words if word))


def box_of(row: Row, fields: tuple[str, str, str, str], size: Size, table: str, counts: Counts) -> Corners | None:
    """The box of x, y, width and height, clipped to the picture; None, counted, when nothing of it is left."""
    raw = [row.get(name) for name in fields]
    numbers = [whole_number(value) for value in raw]
    counts[f"{table}: numbers as text"] += any(isinstance(value, str) for value in raw)
    if any(value is None for value in numbers):
        counts[f"{table}: box is no numbers"] += 1
        return None
    x, y, w, h = (value or 0 for value in numbers)
    if w <= 0 or h <= 0:
        counts[f"{table}: zero size"] += 1
        return None
    if x >= size.width or y >= size.height or x + w <= 0 or y + h <= 0:
        counts[f"{table}: outside the picture"] += 1
        return None
    counts[f"{table}: negative corner, clipped"] += x < 0 or y < 0
    counts[f"{table}: past the border, clipped"] += x + w > size.width or y + h > size.height
    return max(x, 0), max(y, 0), min(x + w, size.width), min(y + h, size.height)


def whole_number(value: object) -> int | None:
    """An int of an int, a finite float or a text of one; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return int(round(number)) if math.isfinite(number) and abs(number) < 2**53 else None


def text_of(value: object) -> str:
    """Text on one line, half characters (lone surrogates) made whole."""
    text = value if isinstance(value, str) else ""
    return " ".join(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").split())


def _listed(value: object) -> list[object]:
    """A list, or one text that stands for a list; of anything else, nothing."""
    return value if isinstance(value, list) else [value] if isinstance(value, str) else []


def _first(row: Row, *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _dicts(value: object, table: str, counts: Counts) -> Iterator[Row]:
    """The objects in a list; whatever else is in it, or instead of it, is counted."""
    counts[f"{table}: no list"] += value is not None and not isinstance(value, list)
    for one in value if isinstance(value, list) else []:
        if isinstance(one, dict):
            yield one
        else:
            counts[f"{table}: entry is no object"] += 1
