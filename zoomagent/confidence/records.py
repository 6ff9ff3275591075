"""What calibration learns from: one asked question per line of a JSON-lines file, with what was right.

    {"id": "scene-7/close", "group": "scene-7", "features": {"macro_prob": 0.8, "agree": false, "mattered": 5.2},
     "macro_right": false, "micro_right": true}

`features` as `features.to_dict` writes them; `micro_right` null where no closer look came about. Questions of one
`group` (a picture) are never torn apart by a split; without it each question is a group. Reading is strict: the first
bad line ends it, by its number. Left out: asking the questions.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, model_validator

from zoomagent.confidence.features import Features, to_dict
from zoomagent.errors import SettingInvalid, StoreError
from zoomagent.files import read_text


class Record(BaseModel):
    """One question, asked once."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    id: str = Field(min_length=1)
    group: str = ""
    question: str = ""
    features: Features
    macro_right: bool
    micro_right: bool | None = None
    kind: str = Field(default="", max_length=64)
    """What kind of picture it is, where an error rate must hold for each kind on its own."""
    foreign: bool = False
    """The picture is of a kind that nothing is promised for: it teaches what is outside, and nothing else."""

    @model_validator(mode="after")
    def _two_looks_or_one(self) -> "Record":
        if (self.features.agree is None) != (self.micro_right is None):
            raise ValueError("features.agree and micro_right are both given (there was a closer look) or both null")
        if self.features.agree and self.macro_right != self.micro_right:
            raise ValueError("the answers agree, yet only one of them is said to be right")
        return self

    @field_serializer("features")
    def _known_only(self, features: Features) -> dict[str, Any]:
        return to_dict(features)


def read_records(path: Path) -> list[Record]:
    """Every record of the file, in order. Raises SettingInvalid naming the first bad line."""
    try:
        lines = read_text(path).split("\n")
    except (OSError, ValueError) as error:
        raise SettingInvalid(f"There is no JSON-lines text file {path.name!r} to read records from.") from error
    records: list[Record] = []
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            records.append(Record.model_validate_json(line))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "record"
            raise SettingInvalid(f"Line {number}: {where}: {first['msg']}. Write records as Record does.") from error
    for record in records:
        if record.id in seen:
            raise SettingInvalid(f"The id {record.id!r} is there twice; every question needs an id of its own.")
        seen.add(record.id)
    return records


def kept_ids(lines: Iterable[bytes]) -> set[str]:
    """The ids of the records in a file that is gone on with. Raises StoreError at the first line that is none: the file
    is somebody else's."""
    known = set[str]()
    for number, line in enumerate(lines, 1):
        try:
            known.add(Record.model_validate_json(line).id)
        except ValidationError as error:
            raise StoreError(f"Line {number} of the records is none. Name another file.", code="store_io") from error
    return known


def write_records(records: Iterable[Record], path: Path) -> None:
    """The inverse of `read_records`."""
    path.write_text("".join(f"{record.model_dump_json()}\n" for record in records), encoding="utf-8")


def split(records: Sequence[Record], share: float, salt: str) -> tuple[list[Record], list[Record]]:
    """(the rest, about `share` of the records), by the hash of their group: the same whatever else is in the file."""
    chosen = [draw(record.group or record.id, salt) < share for record in records]
    return (
        [record for record, taken in zip(records, chosen, strict=True) if not taken],
        [record for record, taken in zip(records, chosen, strict=True) if taken],
    )


def folds(records: Sequence[Record], k: int, salt: str) -> list[int]:
    """Which of `k` folds each record is in, by the hash of its group."""
    return [int(draw(record.group or record.id, salt) * k) for record in records]


def draw(group: str, salt: str) -> float:
    """A number from 0 up to 1 that only the two texts decide."""
    digest = hashlib.sha256(f"{salt}\n{group}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
