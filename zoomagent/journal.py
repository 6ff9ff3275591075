"""A file of lines that is only ever added to, and survives a kill: what is whole is kept, a torn last line is cut off.

    with Journal(Path("answers.jsonl")) as journal:
        kept = [parse(line) for line in journal.lines()]
        journal.add([b'{"id": 1}'])         # one write; on disk when this returns

Left out: what the lines mean, and a lock against other processes (`files.only_process`).
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

CHUNK = 1 << 20
"""Bytes that are looked through at a time for the last line's end (ours)."""


class Journal:
    """An open journal; the file is made if need be. Raises OSError. Threads take turns by a lock of their own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def __enter__(self) -> Self:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        self._file = os.open(self._path, flags, 0o644)
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

    def lines(self) -> Iterator[bytes]:
        """Every whole line, without its end. What a kill left of a last one is cut off the file first."""
        size = end = os.fstat(self._file).st_size
        while end > 0:
            begin = max(0, end - CHUNK)
            at = os.pread(self._file, end - begin, begin).rfind(b"\n")
            if at >= 0:
                end = begin + at + 1
                break
            end = begin
        if end < size:
            os.ftruncate(self._file, end)
            os.fsync(self._file)
        with self._path.open("rb") as file:
            for line in file:
                yield line.rstrip(b"\n")

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
