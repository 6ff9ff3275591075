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
import os
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from zoomagent.batch.rows import Row
from zoomagent.batch.tally import Tally
from zoomagent.errors import RunError, SettingInvalid, StoreError

CHUNK = 1 << 20


class AnswerFile:
    """An open file of answers. `done` and `tally` are what it held when it was opened, and what was added."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path, self._settings = path, dict(settings)
        self._file = -1
        self._lock = threading.Lock()
        self.done: dict[str, str] = {}
        self.files: dict[str, str] = {}
        self.tally = Tally()

    def __enter__(self) -> Self:
        with _told():
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o644)
        try:
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise SettingInvalid("Answers are kept in a regular file. Name one with --out.")
            with _told():
                self._open()
        except RunError:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

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
        with self._lock, _told():
            if self._file < 0:
                raise StoreError("The answers are closed already.", code="store_io")
            _write(self._file, b"".join(orjson.dumps(record) + b"\n" for record in records))
            os.fsync(self._file)
        for record in records:
            self._count(record)

    def _open(self) -> None:
        _only_process(self._file)
        _check_settings(Path(f"{self._path}.run.json"), self._settings, empty=os.fstat(self._file).st_size == 0)
        _cut_torn_line(self._file)
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                self._read(line, number)

    def _read(self, line: bytes, number: int) -> None:
        try:
            self._count(orjson.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            text = f"Line {number} of the answers is damaged. Take it out: its question is then asked again."
            raise StoreError(text, code="store_io") from error

    def _count(self, record: Mapping[str, Any]) -> None:
        """A line that is there twice, as after copies were put together, is one answer."""
        if record["id"] not in self.done:
            self.tally.add(record)
        self.done[record["id"]] = record["row"]
        if record.get("file"):
            self.files[record["id"]] = record["file"]

    def _close(self) -> None:
        with self._lock:
            file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def _check_settings(path: Path, settings: dict[str, Any], empty: bool) -> None:
    """Refuses to go on with other settings; writes them where nothing was answered yet."""
    if empty:
        _write_whole(path, orjson.dumps(settings, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
        return
    try:
        before = orjson.loads(path.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        before = None
    if not isinstance(before, dict):
        text = (
            "Nothing says with which settings these answers were made (FILE.run.json is missing or damaged). "
            "Name another file."
        )
        raise StoreError(text, code="run_mismatch")
    now = orjson.loads(orjson.dumps(settings))
    differs = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if differs:
        text = f"These answers were made with another {', '.join(differs)}. Name another file, or set it as it was."
        raise StoreError(text, code="run_mismatch")


def _write_whole(path: Path, content: bytes) -> None:
    """All of it or nothing, whenever the power goes."""
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _cut_torn_line(file: int) -> None:
    """Cut off what follows the last line's end."""
    size = end = os.fstat(file).st_size
    while end > 0:
        begin = max(0, end - CHUNK)
        at = os.pread(file, end - begin, begin).rfind(b"\n")
        if at >= 0:
            end = begin + at + 1
            break
        end = begin
    if end < size:
        os.ftruncate(file, end)
        os.fsync(file)


def _write(file: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file, rest) :]


def _only_process(file: int) -> None:
    """Hold the kernel's lock on the file, which a killed process gives back. Without fcntl (Windows) there is none."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        text = "Another process is adding to these answers. Wait for it, or name another file."
        raise StoreError(text, code="run_already_active") from error


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """The one place where what the system reports becomes a StoreError."""
    try:
        yield
    except OSError as error:
        code = "store_full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "store_io"
        raise StoreError(f"The answers can not be kept: {error.strerror}. Run the same again.", code=code) from error
