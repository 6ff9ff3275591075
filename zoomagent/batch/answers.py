"""The answers of a batch: JSON lines that are only ever added to, on disk before they count, by one process at a time.

    with AnswerFile(Path("answers.jsonl"), settings) as file:
        file.done                     # what was asked already: row -> digest of what it asked
        file.add([record, …])         # one write, one fsync

Beside it lies `answers.jsonl.run.json` with the settings; a run with others is refused, and so are answers without
them. A last line that a kill cut off is taken away; damage anywhere else is an error with its line. A row that has a
line and now asks something else is refused too. Left out: changing or sorting lines; whoever wants order has `line`.
"""

import contextlib
import errno
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from zoomagent.batch.rows import Row
from zoomagent.batch.tally import Tally
from zoomagent.errors import StoreError
from zoomagent.files import changed_settings, only_process
from zoomagent.journal import Journal

UNKNOWN = (
    "Nothing says with which settings these answers were made (FILE.run.json is missing or damaged). Name another file."
)


class AnswerFile:
    """An open file of answers. `done` and `tally` are what it held when it was opened, and what was added."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path, self._settings = path, dict(settings)
        self._journal = Journal(path)
        self._stack = contextlib.ExitStack()
        self._lock = threading.Lock()
        self.done: dict[str, str] = {}
        self.files: dict[str, str] = {}
        self.tally = Tally()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            with _store_errors():
                stack.enter_context(self._journal)
                stack.enter_context(only_process(self._path, "these answers"))
                # Settings are written down where nothing was answered yet; to go on with others is refused.
                path = Path(f"{self._path}.run.json")
                if self._journal.is_empty:
                    path.unlink(missing_ok=True)
                elif not path.exists():
                    raise StoreError(UNKNOWN, code="run_mismatch")
                try:
                    differs = changed_settings(path, self._settings)
                except ValueError as error:
                    raise StoreError(UNKNOWN, code="run_mismatch") from error
                if differs:
                    text = f"These answers were made with another {', '.join(differs)}."
                    raise StoreError(f"{text} Name another file, or set it as it was.", code="run_mismatch")
                for number, line in enumerate(self._journal.lines(ours=True), 1):
                    try:
                        self._count(orjson.loads(line))
                    except (ValueError, KeyError, TypeError) as error:
                        text = (
                            f"Line {number} of the answers is damaged. Take it out: its question is then asked again."
                        )
                        raise StoreError(text, code="store_io") from error
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._stack.close()

    def has(self, row: Row) -> bool:
        """Whether the row was answered. Raises StoreError (run_mismatch) when it asked something else then."""
        before = self.done.get(row.key)
        if before not in (None, row.digest):
            text = f"Line {row.line} asks something else than when it was answered. Give it another id."
            raise StoreError(text, code="run_mismatch")
        if row.file and self.files.get(row.key) not in (None, row.file):
            text = f"The picture of line {row.line} is another than when it was answered. Give the row another id."
            raise StoreError(text, code="run_mismatch")
        return before is not None

    def add(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Keep lines; they are on disk when this returns. Raises StoreError."""
        with self._lock, _store_errors():
            if self._journal.descriptor < 0:
                raise StoreError("The answers are closed already.", code="store_io")
            self._journal.add([orjson.dumps(record) for record in records])
        for record in records:
            self._count(record)

    def _count(self, record: Mapping[str, Any]) -> None:
        """A line that is there twice, as after copies were put together, is one answer."""
        if record["id"] not in self.done:
            self.tally.add(record)
        self.done[record["id"]] = record["row"]
        if record.get("file"):
            self.files[record["id"]] = record["file"]


@contextlib.contextmanager
def _store_errors() -> Iterator[None]:
    """The one place where what the system reports becomes a StoreError."""
    try:
        yield
    except OSError as error:
        code = "store_full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "store_io"
        raise StoreError(f"The answers cannot be kept: {error.strerror}. Run the same again.", code=code) from error
