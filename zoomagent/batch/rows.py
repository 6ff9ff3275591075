"""The questions of a batch: JSON lines of {"id"?, "image", "question", "options"?, "answer"?}, read one by one.

    for row in read_rows(Path("questions.jsonl")):      # Row, or NoRow with its line and what is wrong with it

Further fields are left alone. A row without an `id` is named after its line. An id that was there before makes no row:
its answers could not be told apart. A line of more than MAX_LINE bytes is none either, and is never held whole. Left
out: opening the picture, and whether the question can be asked; that is the agent's, and its refusal is an answer like
any other.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoomagent.errors import InputRefused

MAX_LINE = 48 * 1024 * 1024
"""Bytes of a line (ours): the largest picture that is opened, as a data: URL, and all that can be asked about it."""
CHUNK = 1 << 20


@dataclass(frozen=True)
class Row:
    """One question. `key` names it in the answers; `answer` is the right one, where it is known."""

    key: str
    line: int
    image: str
    question: str
    options: tuple[str, ...] = ()
    answer: str | None = None

    @property
    def digest(self) -> str:
        """What is asked, whatever it is called: an answer belongs to this. `answer` may be corrected later."""
        asked = orjson.dumps([self.image, self.question, self.options])
        return hashlib.sha256(asked).hexdigest()[:16]


@dataclass(frozen=True)
class NoRow:
    """A line that is no question. `text` says why and repeats nothing of it."""

    line: int
    text: str


class _Fields(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)

    id: Annotated[str, Field(min_length=1, max_length=512)] | int | None = None
    image: Annotated[str, Field(min_length=1)]
    question: str
    options: list[str] | None = None
    answer: str | int | float | None = None


def read_rows(path: Path) -> Iterator[Row | NoRow]:
    """The lines of a file, blank ones left out. Raises InputRefused (not_a_file) when it can not be read."""
    seen: dict[str, int] = {}
    try:
        with path.open("rb") as file:
            for number, line in enumerate(_lines(file), 1):
                if line is None:
                    yield NoRow(number, f"longer than {MAX_LINE} bytes; name a large picture by its path")
                elif line.strip():
                    yield _first(_read(line, number), seen)
    except OSError as error:
        raise InputRefused(f"The questions can not be read: {error.strerror}.", code="not_a_file") from error


def count_lines(path: Path) -> int:
    """How many lines are not blank, at the price of reading the file once."""
    try:
        with path.open("rb") as file:
            return _filled(file)
    except OSError as error:
        raise InputRefused(f"The questions can not be read: {error.strerror}.", code="not_a_file") from error


def _lines(file: IO[bytes]) -> Iterator[bytes | None]:
    """The lines; None for one that is too long."""
    while line := file.readline(MAX_LINE + 1):
        yield line if len(line.rstrip(b"\n")) <= MAX_LINE else None
        while line and not line.endswith(b"\n"):
            line = file.readline(CHUNK)


def _filled(file: IO[bytes]) -> int:
    lines, filled = 0, False
    while part := file.readline(CHUNK):
        filled = filled or bool(part.strip())
        if part.endswith(b"\n"):
            lines, filled = lines + filled, False
    return lines + filled


def _read(line: bytes, number: int) -> Row | NoRow:
    try:
        fields = _Fields.model_validate(orjson.loads(line.removeprefix(b"\xef\xbb\xbf")))
    except orjson.JSONDecodeError:
        return NoRow(number, "not JSON")
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[0]
        field = str(found["loc"][0]) if found["loc"] else "the line"
        return NoRow(number, f"{field}: {found['msg']}")
    answer = None if fields.answer is None else str(fields.answer)
    key = f"line-{number}" if fields.id is None else str(fields.id)
    return Row(key, number, fields.image, fields.question, tuple(fields.options or ()), answer)


def _first(row: Row | NoRow, seen: dict[str, int]) -> Row | NoRow:
    if isinstance(row, NoRow):
        return row
    before = seen.setdefault(row.key, row.line)
    return row if before == row.line else NoRow(row.line, f"its id is that of line {before}")
