"""The questions of a batch: JSON lines of {"id"?, "image", "question", "options"?, "regions"?, "answer"?}, read one by
one, or one JSON array of such objects.

    for row in read_rows(Path("questions.jsonl")):      # Row, or NoRow with its line and what is wrong with it

Options are a list or an object ({"A": "red"}), of texts or numbers, with letters before them or not; the right answer
is a text, a letter, a number, true or false, or a list of texts (`gold.py`). Further fields are left alone. A row
without an `id` is named after its line. An id that was there before makes no row: its answers could not be told apart.
A line of more than MAX_LINE bytes is none either, and is never held whole; an array is. Left out: opening the picture,
and whether the question can be asked; that is the agent's, and its refusal is an answer like any other.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoomagent.bounds import within
from zoomagent.errors import InputRefused
from zoomagent.media.paths import local_path

MAX_LINE = 48 * 1024 * 1024
"""Bytes of a line (ours): the largest picture that is opened, as a data: URL, and all that can be asked about it."""
MAX_VALUES = 10_000
"""Values of what a row asks (ours): each wrong one would be an error of its own."""
CHUNK = 1 << 20
EDGE = 1 << 16
"""Bytes at either end of a picture's file by which it is known again, beside its size (ours)."""
_LETTERED = re.compile(r"\s*\(?([A-Za-z])[).:\uff0e\u3001]\s*(\S.*)", re.DOTALL)


@dataclass(frozen=True)
class Row:
    """One question. `key` names it in the answers; `answer` is the right one, where it is known, as the row has it;
    `answers` are several. `keys` are the names of the options, where they have some; `file` says which picture
    lies at the path."""

    key: str
    line: int
    image: str
    question: str
    options: tuple[str, ...] = ()
    answer: str | None = None
    answers: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    file: str = ""
    regions: tuple[tuple[int, ...], ...] = ()

    @property
    def digest(self) -> str:
        """What is asked, whatever it is called: an answer belongs to this. `answer` may be corrected later."""
        # Rows without regions keep the digest that they have always had.
        asked = orjson.dumps([self.image, self.question, self.options, *([self.regions] if self.regions else [])])
        return hashlib.sha256(asked).hexdigest()[:16]


@dataclass(frozen=True)
class NoRow:
    """A line that is no question. `text` says why and repeats nothing of it."""

    line: int
    text: str


Said = str | int | float
"""A text, or a number that stands for its text."""


class _Told(BaseModel):
    """One of the answers of people, as VQA keeps them."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    answer: str


class _Fields(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)

    id: Annotated[str, Field(min_length=1, max_length=512)] | int | None = None
    image: Annotated[str, Field(min_length=1)]
    question: str
    options: list[Said | bool] | dict[str, Said | bool] | None = None
    regions: list[list[int]] | None = None
    answer: Said | bool | list[Said | bool | _Told] | None = None


def is_array(path: Path) -> bool:
    """Whether the file is one JSON array, and not a line a row."""
    try:
        with path.open("rb") as file:
            return file.read(CHUNK).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["
    except OSError as error:
        raise InputRefused(f"The questions cannot be read: {error.strerror}.", code="not_a_file") from error


def read_rows(path: Path) -> Iterator[Row | NoRow]:
    """The rows of a file, blank lines left out. Raises InputRefused (not_a_file) when it cannot be read. Of an array
    the `line` of a row is its number."""
    seen: dict[str, int] = {}
    try:
        array = None
        if is_array(path):
            with contextlib.suppress(orjson.JSONDecodeError):  # a file may begin like an array, and be lines
                array = orjson.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
        if isinstance(array, list):
            for number, item in enumerate(array, 1):
                try:
                    yield _check_id(_read(orjson.dumps(item), number), seen)
                except TypeError:  # deeper than any row, or a number that no store takes
                    yield NoRow(number, "nested too deep, or with a number that is too large")
            return
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if len(line.rstrip(b"\n")) > MAX_LINE:
                    while line and not line.endswith(b"\n"):
                        line = file.readline(CHUNK)
                    yield NoRow(number, f"longer than {MAX_LINE} bytes; name a large picture by its path")
                elif line.strip():
                    yield _check_id(_read(line, number), seen)
    except OSError as error:
        raise InputRefused(f"The questions cannot be read: {error.strerror}.", code="not_a_file") from error


def with_files(rows: Iterator[Row | NoRow], folder: Path) -> Iterator[Row | NoRow]:
    """The rows, with what lies at the path of each picture: an answer belongs to that, too."""

    @lru_cache(4096)
    def seen(image: str) -> str:
        try:
            path = folder / local_path(image)
            if not path.is_file():  # a pipe would never end
                return ""
            with path.open("rb") as file:
                size = file.seek(0, 2)
                parts = [file.read(EDGE) for start in (0, max(0, size - EDGE)) if file.seek(start) == start]
        except (OSError, ValueError, InputRefused):
            return ""
        return hashlib.sha256(b"".join([str(size).encode(), *parts])).hexdigest()[:16]

    for row in rows:
        if isinstance(row, NoRow) or row.image[:8].lower().startswith(("data:", "http://", "https://")):
            yield row
        else:
            yield replace(row, file=seen(row.image))


def count_lines(path: Path) -> int:
    """How many lines are not blank, at the price of reading the file once."""
    try:
        with path.open("rb") as file:
            lines, filled = 0, False
            while part := file.readline(CHUNK):
                filled = filled or bool(part.strip())
                if part.endswith(b"\n"):
                    lines, filled = lines + filled, False
            return lines + filled
    except OSError as error:
        raise InputRefused(f"The questions cannot be read: {error.strerror}.", code="not_a_file") from error


def _read(line: bytes, number: int) -> Row | NoRow:
    try:
        given = orjson.loads(line.removeprefix(b"\xef\xbb\xbf"))
        if isinstance(given, dict):
            given = {name: given[name] for name in _Fields.model_fields if name in given}
            if not within(given, MAX_VALUES):
                return NoRow(number, f"more than {MAX_VALUES} values")
        fields = _Fields.model_validate(given)
    except orjson.JSONDecodeError:
        return NoRow(number, "not JSON")
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[0]
        field = str(found["loc"][0]) if found["loc"] else "the line"
        return NoRow(number, f"{field}: {found['msg']}")
    key = f"line-{number}" if fields.id is None else str(fields.id)
    named = fields.options if isinstance(fields.options, dict) else {}
    options = tuple(_text(option) for option in (named.values() if named else fields.options or ()))
    # Letters that all options have before them, in order, are left out: questions are asked with ours.
    lettered = [match for option in options if (match := _LETTERED.fullmatch(option))]
    if len(lettered) == len(options) and all(match[1].upper() == chr(65 + i) for i, match in enumerate(lettered)):
        options = tuple(match[2] for match in lettered)
    several = isinstance(fields.answer, list)
    answers = tuple(_text(one) for one in fields.answer) if isinstance(fields.answer, list) else ()
    answer = None if several or fields.answer is None else _text(fields.answer)
    regions = tuple(tuple(region) for region in fields.regions or ())
    return Row(key, number, fields.image, fields.question, options, answer, answers, tuple(named), regions=regions)


def _text(value: Any) -> str:
    """A value as the text that it stands for; 3.0 is 3."""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, _Told):
        return value.answer
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _check_id(row: Row | NoRow, seen: dict[str, int]) -> Row | NoRow:
    if isinstance(row, NoRow):
        return row
    before = seen.setdefault(row.key, row.line)
    return row if before == row.line else NoRow(row.line, f"its id is that of line {before}")
