"""The questions of a batch: JSON lines of {"id"?, "image", "question", "options"?, "answer"?}, read one by one.

    for row in read_rows(Path("questions.jsonl")):      # Row, or NoRow with its line and what is wrong with it

Further fields are left alone. A row without an `id` is named after its line. An id that was there before makes no row:
its answers could not be told apart. Left out: opening the picture, and whether the question can be asked; that is the
agent's, and its refusal is an answer like any other.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zoomagent.errors import InputRefused


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
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _first(_read(line, number), seen)
    except OSError as error:
        raise InputRefused(f"The questions can not be read: {error.strerror}.", code="not_a_file") from error


def count_lines(path: Path) -> int:
    """How many lines are not blank, at the price of reading the file once."""
    try:
        with path.open("rb") as file:
            return sum(1 for line in file if line.strip())
    except OSError as error:
        raise InputRefused(f"The questions can not be read: {error.strerror}.", code="not_a_file") from error


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
