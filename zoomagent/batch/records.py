"""Calibration records of a user's own questions: what each run knew, and which of its two answers were right.

    with RecordFile(Path("records.jsonl")) as records:
        records.add(row, answer)
    # zoomagent train calibrate records.jsonl --out arbiter.json

A row gives a record where its right answer is known and can be scored, and the whole picture was looked at. Records of
one picture are one group: a split never tears them apart. A row that has a record gets no second one, so that a batch
may go on where it was killed. Left out: fitting (`zoomagent/training/calibration/fitting.py`).
"""

import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from zoomagent.answer import Answer
from zoomagent.batch.gold import judge
from zoomagent.batch.rows import Row
from zoomagent.confidence.features import from_dict
from zoomagent.confidence.records import Record, kept_ids
from zoomagent.errors import StoreError
from zoomagent.journal import Journal

SETTINGS: dict[str, Any] = {"gate": 1.0, "arbiter": "none"}
"""How rows must be asked for records: both looks wherever a closer one can be, and no judge that was fitted before.
"none" is a name that no packaged arbiter has."""


class RecordFile:
    """An open file of records. `count` are those that it holds, `skipped` the rows of this run that gave none."""

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self.skipped = 0

    @property
    def count(self) -> int:
        return len(self._known)

    def __enter__(self) -> Self:
        try:
            self._journal.__enter__()
            self._known = kept_ids(self._journal.lines())
        except OSError as error:
            raise StoreError(f"The records cannot be kept: {error.strerror}.", code="store_io") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.close()

    def add(self, row: Row, answer: Answer) -> None:
        """Keep what a run knew; it is on disk when this returns."""
        record = record_of(row, answer)
        with self._lock:
            if record is None:
                self.skipped += 1
            elif record.id not in self._known:
                self._known.add(record.id)
                self._journal.add([record.model_dump_json().encode()])


def record_of(row: Row, answer: Answer) -> Record | None:
    """The record of one answer; None where there is nothing to learn from."""
    if answer.features is None or answer.macro is None or not answer.answered:
        return None
    macro = judge(row, answer.macro.text).right
    if macro is None:
        return None
    features = from_dict(answer.features)
    micro = judge(row, answer.micro.text).right if answer.micro is not None else None
    micro = macro if features.agree else micro
    return Record(id=row.key, group=row.image, features=features, macro_right=macro, micro_right=micro)
