"""Questions that come through a pipe: kept in a file without a name, for they are read twice (counted, then asked).

    with as_file(Path("/dev/stdin")) as file:       # a path to what came; a regular file is its own

A pipe is read to its end before the first question is asked. Left out: devices, folders and sockets; they are refused.
"""

import contextlib
import os
import select
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from zoomagent.errors import InputRefused

MAX_BYTES = 16_000_000_000
"""Bytes that come through a pipe (ours): what never ends is not kept until the disk is full."""
WRITER_SECONDS = 10.0
"""How long a pipe with a name may have nobody who writes into it (ours)."""
_CHUNK = 1 << 20


def is_pipe(path: Path) -> bool:
    """Whether the questions come through a pipe. Raises InputRefused where they cannot be read at all."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        raise _refused("there is no such file") from error
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise _refused("it is neither a file nor a pipe")
    return stat.S_ISFIFO(mode)


@contextlib.contextmanager
def as_file(path: Path) -> Iterator[Path]:
    """The path of a regular file with the questions."""
    if not is_pipe(path):
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="zoomagent-") as kept:
        try:
            pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe with a name would wait for a writer for ever
            with os.fdopen(pipe, "rb", buffering=0) as source:
                # Until something comes, or the last writer has left. A pipe without a name has its writer already.
                waiting = select.poll()
                waiting.register(source.fileno(), select.POLLIN)
                named = os.path.exists(os.path.realpath(path))
                if not waiting.poll(1000 * WRITER_SECONDS if named else None):
                    raise _refused("nobody writes into this pipe")
                os.set_blocking(source.fileno(), True)
                size = 0
                while block := source.read(_CHUNK):
                    size += len(block)
                    if size > MAX_BYTES:
                        raise InputRefused(
                            f"More than {MAX_BYTES} bytes came. Write them to a file.", code="too_many_bytes"
                        )
                    kept.write(block)
                kept.flush()
        except OSError as error:
            raise _refused(str(error.strerror)) from error
        yield Path(kept.name)


def _refused(why: str) -> InputRefused:
    return InputRefused(f"The questions cannot be read: {why}. Give a file, or a pipe.", code="not_a_file")
