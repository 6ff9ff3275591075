"""Text whose phrases carry boxes and moments, read and written: one parser for all the forms that models write.

    a red sign[0.1,0.2,0.3,0.4][0.5,0.2,0.7,0.4] is there in {0.16,0.36}         GroundingGPT
    [{"bbox_2d": [1, 2, 3, 4], "label": "a red sign"}]                           Qwen; its labels are the words
    <ref>a red sign</ref>[1,2,3,4]    <|object_ref_start|>…<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>
    It is there from [[1.5, 2.5], [7, 9]]                                        TimeLens, moments in seconds

A phrase that is not marked is what was said since the last mark or stop, from its first article on. Numbers stay in the
model's own space and order: they are converted once, by who knows the view. What is written and read again is the same,
marks where it needs them. Linear in the text; nothing is evaluated; what was said in a thought is no phrase. Left out:
replies that are boxes alone (`parsing.py`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

import orjson

from zoomagent.models.words.parsing import parse_boxes
from zoomagent.models.words.strict_json import MAX_TEXT, json_texts, strict_json
from zoomagent.models.words.unwrapping import without_thoughts

Form = Literal["phrase", "json"]
MAX_PHRASES = 256
"""Phrases of one text that are read (ours)."""

_N = r"-?(?:\d{1,12}(?:\.\d{0,18})?|\.\d{1,18})"
_COMMA = r"\s{0,4},\s{0,4}"
_FOUR = rf"\[\s{{0,4}}{_N}(?:{_COMMA}{_N}){{3}}\s{{0,4}}\]"
_PAIR = rf"\[\s{{0,4}}{_N}{_COMMA}{_N}\s{{0,4}}\]"
_MARK = re.compile(
    rf"(?P<box>{_FOUR}|\[\s{{0,4}}{_FOUR}(?:{_COMMA}{_FOUR})*+\s{{0,4}}\]|<box>[^<>]{{1,400}}+</box>"
    r"|<\|box_start\|>[^<>]{1,400}+<\|box_end\|>)"
    rf"|(?P<moment>\{{\s{{0,4}}{_N}{_COMMA}{_N}\s{{0,4}}\}}|\[\s{{0,4}}{_PAIR}(?:{_COMMA}{_PAIR})*+\s{{0,4}}\])"
)
_REF = re.compile(r"<ref>|<\|object_ref_start\|>|<p>")
_REF_END = re.compile(r"(?:</ref>|<\|object_ref_end\|>|</p>)\s{0,4}$")
_NUMBER = re.compile(_N)
_STOP = re.compile(r"[.!?;:,\n()\u3002\uff0c\uff1b]")
_ARTICLE = re.compile(
    r"\b(?:an?|the|this|that|these|those|some|one|two|three|four|five|six|seven|eight|nine|ten|another|his|her|its|their)\b",
    re.IGNORECASE,
)
_LABELS = ("label", "phrase", "name", "object", "text")


@dataclass(frozen=True)
class Phrase:
    """Words from `start` to `end` of a text, and the boxes and moments that were written behind them."""

    start: int
    end: int
    boxes: tuple[tuple[float, ...], ...] = ()
    moments: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Interleaved:
    """A text without its numbers, and its phrases in order; none overlaps another."""

    words: str
    phrases: tuple[Phrase, ...] = ()

    def text(self, phrase: Phrase) -> str:
        """The words of a phrase."""
        return self.words[phrase.start : phrase.end]


def parse_interleaved(text: str, *, y_first: bool = False) -> Interleaved:
    """The words and phrases of a text; too long a text has none. `y_first` as for `parse_boxes`, which reads JSON."""
    said = without_thoughts(text[: MAX_TEXT + 1])
    if len(text) > MAX_TEXT:
        return Interleaved("")
    for outline in json_texts(said):
        labelled = list(islice(_read_labels(strict_json(outline), y_first), MAX_PHRASES))
        if labelled:
            listed = list[Phrase]()
            words = ", ".join(label for label, _ in labelled)
            for label, phrase in labelled:
                start = listed[-1].end + 2 if listed else 0  # after the comma
                listed.append(replace(phrase, start=start, end=start + len(label)))
            return Interleaved(words, tuple(listed))
    words, phrases, since, place = "", list[Phrase](), 0, 0
    for mark in islice(_MARK.finditer(said), 4 * MAX_PHRASES):
        between = said[place : mark.start()]
        place = mark.end()
        joined = bool(phrases) and not between.strip() and phrases[-1].end == len(words)
        if not joined:
            words, span = _with_phrase(words, between, since)
            phrases.append(Phrase(*span))
            since = len(words)
        numbers, phrase = [float(number) for number in _NUMBER.findall(mark.group())], phrases[-1]
        if mark["moment"]:
            pairs = tuple((numbers[i], numbers[i + 1]) for i in range(0, len(numbers), 2))
            phrases[-1] = replace(phrase, moments=(*phrase.moments, *pairs))
        elif len(numbers) % 4 == 0:
            fours = tuple(tuple(numbers[i : i + 4]) for i in range(0, len(numbers), 4))
            phrases[-1] = replace(phrase, boxes=(*phrase.boxes, *fours))
    return Interleaved(words + said[place:], tuple(phrases[:MAX_PHRASES]))


def _with_phrase(words: str, between: str, since: int) -> tuple[str, tuple[int, int]]:
    """The words with those up to a mark, and where its phrase is: what is marked, else what was said since the last
    stop or mark, from its first article on."""
    closed = _REF_END.search(between)
    openings = list(_REF.finditer(between)) if closed else []
    if closed and openings:
        first = openings[-1]
        before, inner = words + between[: first.start()], between[first.end() : closed.start()]
        return before + inner, (len(before), len(before) + len(inner))
    words += between
    chunk = words[since:]
    begin = since + max((stop.end() for stop in _STOP.finditer(chunk.rstrip())), default=0)
    article = _ARTICLE.search(words, begin)
    begin = article.start() if article else begin + len(words[begin:]) - len(words[begin:].lstrip())
    end = max(begin, len(words.rstrip()))
    # Spaces between a phrase and its numbers are no part of either.
    return words[:end] if end > since else words, (min(begin, end), end)


# JSON


def _read_labels(value: Any, y_first: bool) -> Iterator[tuple[str, Phrase]]:
    """Each object that has a label, in lists of objects: its label, and its boxes and moments."""
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, dict):
            continue
        label = next((one[key] for key in _LABELS if isinstance(one.get(key), str) and one[key].strip()), None)
        others = {key: item for key, item in one.items() if key not in (*_LABELS, "moments")}
        boxes = tuple(tuple(box) for box in parse_boxes(orjson.dumps(others).decode(), y_first=y_first))
        listed = one.get("moments")
        moments = tuple(
            (float(pair[0]), float(pair[1]))
            for pair in (listed if isinstance(listed, list) else [])
            if isinstance(pair, list) and len(pair) == 2 and all(type(number) in (int, float) for number in pair)
        )
        if label is not None and (boxes or moments):
            yield label, Phrase(0, 0, boxes, moments)


# Writing


def write_interleaved(value: Interleaved, form: Form = "phrase", *, y_first: bool = False) -> str:
    """The text that `parse_interleaved` reads as `value`; of the form "json" only labels, boxes and moments are kept.
    Raises ValueError for words that hold such numbers themselves."""
    if form == "json":
        objects = []
        for phrase in value.phrases:
            boxes: Any = [list(box) for box in phrase.boxes]
            one: dict[str, Any] = {"moments": phrase.moments} if phrase.moments else {}
            if boxes:
                one = {"box_2d" if y_first else "bbox_2d": boxes[0] if len(boxes) == 1 else boxes, **one}
            objects.append({**one, "label": value.text(phrase)})
        return orjson.dumps(objects).decode()
    for marks in (False, True):
        text = _write_phrases(value, marks)
        if parse_interleaved(text) == value:
            return text
    raise ValueError("words that read as numbers of a box, or as marks, cannot be written between boxes")


def _write_phrases(value: Interleaved, marks: bool) -> str:
    pieces, place = [], 0
    for phrase in value.phrases:
        words = value.text(phrase)
        numbers = "".join(f"[{','.join(map(_number, box))}]" for box in phrase.boxes)
        numbers += "".join(f"{{{','.join(map(_number, moment))}}}" for moment in phrase.moments)
        pieces += [value.words[place : phrase.start], f"<ref>{words}</ref>" if marks else words, numbers]
        place = phrase.end
    return "".join([*pieces, value.words[place:]])


def _number(number: float) -> str:
    return (
        str(int(number))
        if number == int(number)
        else f"{number:.18f}".rstrip("0")
        if "e" in repr(number)
        else repr(number)
    )
