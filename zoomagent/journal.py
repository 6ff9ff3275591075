"""A file of lines that is only ever added to, and survives a kill: what is whole is kept, a torn last line is cut off.

    with Journal(Path("answers.jsonl")) as journal:
        kept = [parse(line) for line in journal.lines()]
        journal.add([b'{"id": 1}'])         # one write; on disk when this returns

Left out: what the lines mean, and a lock against other processes (`files.only_process`).
"""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from zoomagent.errors import SettingInvalid, StoreError

CHUNK = 1 << 20
"""Bytes that are looked through at a time for the last line's end (ours)."""


class Journal:
    """An open journal; the file is made if need be. Raises OSError, and SettingInvalid for what is no regular file:
    reading a device or a pipe may never end. Threads take turns by a lock of their own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def __enter__(self) -> Self:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        self._file = os.open(self._path, flags, 0o644)
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            self.close()
            raise SettingInvalid(f"{self._path.name!r} is no regular file. Name one to keep lines in.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def descriptor(self) -> int:
        """The open file; -1 where it is closed."""
        return self._file

    @property
    def is_empty(self) -> bool:
        return os.fstat(self._file).st_size == 0

    def lines(self, ours: bool = False) -> Iterator[bytes]:
        """Every whole line, without its end. What a kill left of a last one is cut off the file after the caller took
        all of them as its own. A file of bytes without one whole line may be anything: StoreError, and nothing is cut,
        but where the caller knows it to be `ours`."""
        size, end = os.fstat(self._file).st_size, self._whole()
        if size and not end and not ours:
            text = f"{self._path.name} holds something else: not one whole line. Name another file."
            raise StoreError(text, code="store_io")
        with self._path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line.rstrip(b"\n")
        if end < size:
            os.ftruncate(self._file, end)
            os.fsync(self._file)

    def _whole(self) -> int:
        """Where the last whole line ends."""
        end = os.fstat(self._file).st_size
        while end > 0:
            begin = max(0, end - CHUNK)
            at = os.pread(self._file, end - begin, begin).rfind(b"\n")
            if at >= 0:
                return begin + at + 1
            end = begin
        return 0

    def add(self, lines: Sequence[bytes]) -> None:
        """Put lines at the end; they are on disk when this returns."""
        rest = memoryview(b"".join(line + b"\n" for line in lines))
        while rest:
            rest = rest[os.write(self._file, rest) :]
        os.fsync(self._file)

    def close(self) -> None:
        """Close it; closing twice does nothing."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
