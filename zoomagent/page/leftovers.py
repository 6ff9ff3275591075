"""What a killed page server left in its folder: pictures that no kept run names, and half-written files.

    with cleared(Path("zoomagent-runs")):      # for as long as the folder is served
        ...

Removed at the start, and only where no other server has the folder. Only files that are named as the gallery names its
own are looked at. Left out: runs; those are the user's to delete.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

OURS = re.compile(r"([0-9a-f]{64})|\.[0-9a-f]{64}\.\d+")
"""A picture's name; or a draft's, which is half-written."""
NAMED = re.compile(rb'"([0-9a-f]{64})"')


@contextlib.contextmanager
def cleared(folder: Path) -> Iterator[None]:
    """The folder without what is left over, and marked as in use until the end. Where it cannot be marked, or its runs
    cannot be read, nothing is removed."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            pictures = folder / "pictures"
            pictures.mkdir(parents=True, exist_ok=True)
            lock = os.open(pictures, os.O_RDONLY)
            stack.callback(os.close, lock)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # another server has the folder
            else:
                files = [path for path in pictures.iterdir() if path.is_file()]
                ours = {path: found[1] for path in files if (found := OURS.fullmatch(path.name))}
                answers = list(folder.glob("*/answer.json")) if ours else []
                named = {name.decode() for answer in answers for name in NAMED.findall(answer.read_bytes())}
                for path, name in ours.items():
                    if name not in named:
                        path.unlink(missing_ok=True)
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield
