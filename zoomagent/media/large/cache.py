"""Where decoded levels of large pictures lie: a capped folder shared by runs, or files without a name.

`ZOOMAGENT_CACHE` names the folder (`off` for none; default `$XDG_CACHE_HOME/zoomagent` or `~/.cache/zoomagent`),
`ZOOMAGENT_CACHE_BYTES` its cap (default 4 GB; the least recently used go first). A cache that cannot be
written is done without. The folder may hold other things: files of other names are neither counted nor removed.
"""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from zoomagent.errors import SettingInvalid, StoreError

_SPARE = 64 << 20
_OURS = re.compile(r"[0-9a-f]{64}-\d\.rgb(\.draft-\w+)?")


Make = Callable[[IO[bytes]], None]


def cached(name: str, size: int, make: Make) -> IO[bytes]:
    """The file of `size` bytes called `name`, from the cache, or made by `make` and kept there if it can be.

    `make` may be called twice, with another file, when the first could not be written.
    """
    folder = _folder()
    if folder is not None:
        with contextlib.suppress(OSError):
            try:
                file = (folder / name).open("rb")
            except FileNotFoundError:
                return _fill_in(folder, name, size, make)
            if os.fstat(file.fileno()).st_size == size:
                os.utime(folder / name)
                return file
            file.close()
            return _fill_in(folder, name, size, make)
    if shutil.disk_usage(tempfile.gettempdir()).free < size + _SPARE:
        raise StoreError(
            "There is no room on the disk for the decoded picture. Free space or set TMPDIR.", code="store_full"
        )
    return _fill(tempfile.TemporaryFile(prefix="zoomagent-"), size, make)


def present(name: str, size: int) -> bool:
    """Whether the cache holds the file: nothing is made."""
    folder = _folder()
    if folder is None:
        return False
    try:
        return os.stat(folder / name).st_size == size
    except OSError:
        return False


def _folder() -> Path | None:
    chosen = os.environ.get("ZOOMAGENT_CACHE", "")
    if chosen.lower() in ("off", "0", "none"):
        return None
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(chosen) if chosen else Path(home) / "zoomagent"


def _cap() -> int:
    text = os.environ.get("ZOOMAGENT_CACHE_BYTES") or "4000000000"
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise SettingInvalid(f"ZOOMAGENT_CACHE_BYTES is a number of bytes like 4000000000, not {text[:40]!r}.")
    return int(text)


def _fill_in(folder: Path, name: str, size: int, make: Make) -> IO[bytes]:
    """Fill a file beside its place, then move it there: no reader ever sees half of it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Remove what was used longest ago, of ours alone, until `size` fits under the cap.
    if size > _cap():
        raise OSError("larger than the whole cache")
    ours = [entry for entry in os.scandir(folder) if _OURS.fullmatch(entry.name) and entry.is_file()]
    files = sorted((entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in ours)
    total = sum(entry[1] for entry in files)
    for _, length, path in files:
        if total + size <= _cap():
            break
        os.unlink(path)
        total -= length
    if shutil.disk_usage(folder).free < size + _SPARE:
        raise OSError("no room on the disk")
    handle, draft = tempfile.mkstemp(prefix=f"{name}.draft-", dir=folder)
    try:
        file = _fill(os.fdopen(handle, "w+b"), size, make)
        os.replace(draft, folder / name)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    return file


def _fill(file: IO[bytes], size: int, make: Make) -> IO[bytes]:
    try:
        make(file)
        file.flush()
        written = os.fstat(file.fileno()).st_size
    except BaseException:
        file.close()
        raise
    if written != size:
        file.close()
        raise StoreError("Decoded pixels could not be kept: the disk may be full. Free space.", code="store_full")
    return file
