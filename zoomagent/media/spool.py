"""Spool: one private copy of an input's bytes, read once, hashed once, capped.

Whatever happens to the file or stream afterwards, every later step sees these bytes.
"""

import hashlib
import os
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol, runtime_checkable

from zoomagent.errors import InputRefused
from zoomagent.media.limits import Limits
from zoomagent.media.patience import seconds_left

_CHUNK = 1 << 20
_IN_MEMORY = 32 << 20


@runtime_checkable
class Readable(Protocol):
    """A binary file object, or whatever reads like one."""

    def read(self, count: int, /) -> bytes: ...


class Spool:
    """Bytes that can be read at any offset from several threads, and handed to a worker as a file descriptor."""

    def __init__(self, file: IO[bytes], size: int, digest: str) -> None:
        self._file = file
        self.size = size
        self.digest = digest
        self._turn = threading.Lock()

    @property
    def fd(self) -> int:
        return self._file.fileno()

    def at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`; fewer at the end."""
        return os.pread(self.fd, count, offset)

    @contextmanager
    def lent(self) -> Iterator[int]:
        """A descriptor for another process. Processes must not share one read position: on Linux each gets its
        own; elsewhere they take turns."""
        if sys.platform != "linux":
            with self._turn:
                yield self.fd
            return
        fd = os.open(f"/proc/self/fd/{self.fd}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)

    def close(self) -> None:
        self._file.close()


def spool_bytes(data: bytes, limits: Limits) -> Spool:
    """The spool of bytes at hand."""
    limits.check_bytes(len(data))
    file = _scratch(len(data))
    file.write(data)
    file.flush()
    return Spool(file, len(data), hashlib.sha256(data).hexdigest())


def spool_stream(stream: Readable, limits: Limits, expected: int = 0) -> Spool:
    """Copy and hash a binary stream, stopping one byte past the limit."""
    return spool_blocks(_read_blocks(stream, limits.max_bytes + 1), limits, expected)


def _read_blocks(stream: Readable, left: int) -> Iterator[bytes]:
    while True:
        try:
            block = stream.read(min(_CHUNK, left))
        except Exception as error:  # whose object this is nobody knows, nor what it raises
            text = f"The file object cannot be read ({type(error).__name__}). Give one that is open for reading."
            raise InputRefused(text, code="not_a_file") from error
        if not block:
            return
        if not isinstance(block, bytes):
            raise InputRefused("The file object gives text. Open it in binary mode.", code="not_a_file")
        left -= len(block)
        yield block


def spool_blocks(blocks: Iterator[bytes], limits: Limits, expected: int = 0) -> Spool:
    """Copy and hash what comes part by part, until it is over the limit."""
    file, digest, size = _scratch(expected or _IN_MEMORY + 1), hashlib.sha256(), 0
    try:
        for block in blocks:
            seconds_left()
            size += len(block)
            limits.check_bytes(size)
            digest.update(block)
            file.write(block)
        file.flush()
    except BaseException:
        file.close()
        raise
    return Spool(file, size, digest.hexdigest())


def spool_path(path: Path, limits: Limits) -> Spool:
    """Copy a regular file, without waiting on pipes or devices and without leaving the allowed folders."""
    fd = regular_file(path, limits.roots)
    with os.fdopen(fd, "rb") as stream:
        size = os.fstat(fd).st_size
        limits.check_bytes(size)
        return spool_stream(stream, limits, size)


def regular_file(path: Path, roots: tuple[str, ...] | None) -> int:
    """The descriptor of a regular file inside the allowed folders. Raises InputRefused for anything else."""
    text = os.fspath(path)
    if "\0" in text or len(text) > 4096:
        raise _refused("that is no file name")
    try:
        real = os.path.realpath(text) if roots is not None else text
        if roots is not None and not any(_within(real, root) for root in roots):
            raise InputRefused(
                "The file lies outside the allowed folders. Move it there, or allow its folder: --root of the command, "
                "Limits.roots in Python.",
                code="path_not_allowed",
            )
        # Outside, nothing is told of what exists. The real path holds no link, and O_NOFOLLOW refuses one put in its
        # last place meanwhile.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (os.O_NOFOLLOW if roots is not None else 0)
        fd = os.open(real, flags)
    except (OSError, ValueError) as error:
        raise _refused("it does not exist or cannot be read") from error
    # The descriptor, if it is a regular file and (asked of the kernel, after opening) inside the roots.
    is_file = stat.S_ISREG(os.fstat(fd).st_mode)
    opened = f"/proc/self/fd/{fd}"
    if is_file and roots is not None and os.path.exists(opened):
        is_file = any(_within(os.readlink(opened), root) for root in roots)
    if not is_file:
        os.close(fd)
        raise _refused("it is not a regular file")
    return fd


def _within(path: str, root: str) -> bool:
    real = os.path.realpath(root)
    return os.path.commonpath([path, real]) == real


def _refused(why: str) -> InputRefused:
    return InputRefused(f"The picture cannot be opened: {why}. Give a picture file.", code="not_a_file")


def _scratch(size: int) -> IO[bytes]:
    """A file without a name: in memory while small, else on disk."""
    if size <= _IN_MEMORY and sys.platform == "linux":
        return os.fdopen(os.memfd_create("zoomagent", os.MFD_CLOEXEC), "w+b")
    return tempfile.TemporaryFile(prefix="zoomagent-")
