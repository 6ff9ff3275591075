"""Files and folders that appear whole or not at all; a free folder for them; settings that must stay; a lock.

Left out: files that grow line by line (`journal.py`), and files too large for memory (`media/large/cache.py`).
"""

import contextlib
import errno
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from zoomagent.errors import SettingInvalid, StoreError


def write_whole(path: Path, content: bytes, alone: bool = False) -> None:
    """Write beside it, then take its place. Raises OSError, and leaves nothing half-written but after a kill.

    `alone`: no other process writes this file, and the next one that does takes away what a killed one left."""
    write_together(path.parent, {path.name: content}, alone)


def write_together(folder: Path, files: Mapping[str, bytes], alone: bool = False) -> None:
    """Write all beside their places, then move them there: where the disk is full, none of them appears, and what
    appears is on disk whenever the power goes. Raises OSError where a place is no file's: a device that a file took
    the place of would be gone for every program."""
    for name in files:
        check_place(folder / name)
    drafts = {draft_of(folder / name, "draft" if alone else str(os.getpid())): folder / name for name in files}
    try:
        for draft, content in zip(drafts, files.values(), strict=True):
            draft.write_bytes(content)
            sync(draft)
        for draft, path in drafts.items():
            os.replace(draft, path)
        sync(folder)
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)


def check_place(path: Path) -> None:
    """Raise OSError where something lies that is no regular file: a folder, a device, a pipe, or a link to one."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "Not a regular file", path.name)


def draft_of(path: Path, writer: str = "draft") -> Path:
    """Where a file is written before it takes its place."""
    return path.with_name(f".{path.name}.{writer}")


def sync(path: Path) -> None:
    """Put a file's content on disk, or a folder's own entries."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A draft to fill, which takes the folder's place at the end, and the place of one that was there."""
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    yield draft
    for path in (*draft.iterdir(), draft):
        sync(path)
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


BLOCK, MOST_BLOCKS = 1 << 20, 1 << 10
"""Bytes of a text file that are read at a time, and how often (ours): what is read whole has 1 GB at most."""


def read_text(path: Path) -> str:
    """The text of a file or of a pipe. Raises OSError and ValueError, also for one that has no end, as devices have."""
    with path.open("rb") as file:
        if stat.S_ISCHR(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "Not a regular file", path.name)
        blocks = list[bytes]()
        while block := file.read(BLOCK):
            blocks.append(block)
            if len(blocks) > MOST_BLOCKS:
                raise ValueError(f"more than {MOST_BLOCKS * BLOCK} bytes")
    return b"".join(blocks).decode()


def read_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError for what is none, also where it is nested too deep to be read."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("JSON that is nested too deep") from error


def check_json(value: Any, what: str) -> None:
    """Raise SettingInvalid for what JSON cannot hold: it is to be sent, or kept."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise SettingInvalid(f"{what} cannot be written as JSON ({str(error)[:80]}). Give plain values.") from error


def changed_settings(file: Path, given: Mapping[str, Any], free: Collection[str] = ()) -> dict[str, tuple[Any, Any]]:
    """Which settings differ from those kept in `file`: by name, before and now; those in `free` may. Where none are
    kept yet, these are. Raises ValueError or OSError for a file that cannot be read."""
    now = json.loads(json.dumps(dict(given), default=str))
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, (json.dumps(now, indent=2) + "\n").encode())
        return {}
    if not file.is_file():
        raise ValueError("The settings are no file.")
    before = read_json(file.read_bytes())
    if not isinstance(before, dict):
        raise ValueError("The file holds no settings.")
    both = {name: (before.get(name), now.get(name)) for name in sorted({*before, *now} - {*free})}
    return {name: (was, now_is) for name, (was, now_is) in both.items() if was != now_is}


def check_settings(file: Path, given: Mapping[str, Any], free: Collection[str] = ()) -> None:
    """Raise SettingInvalid where work was begun with other settings, or nothing says with which; write these down where
    it begins."""
    try:
        changed = changed_settings(file, given, free)
    except (ValueError, OSError) as error:
        text = f"{file.name} of the run in this folder is damaged. Give another --out, or delete it to begin anew."
        raise SettingInvalid(text) from error
    if changed:
        was = ", ".join(f"{name} {before!r} (now {now!r})" for name, (before, now) in changed.items())
        raise SettingInvalid(f"The run in this folder has {was}. Give the same, or another --out.")


@contextlib.contextmanager
def only_process(path: Path, what: str) -> Iterator[None]:
    """Be the only process that has `path`, by a lock file beside it that ends with its process, even a killed one.

    Raises StoreError: run_already_active where another has it, store_read_only where no lock file can be made."""
    lock = FileLock(f"{path}.lock", timeout=0, mode=0o600)
    try:
        os.stat(path.parent)  # for the lock would make it
        lock.acquire()
    except Timeout as error:
        text = f"Another process is using {what}. Wait for it, or name another file."
        raise StoreError(text, code="run_already_active") from error
    except OSError as error:
        text = f"No lock file can be made beside {what}. Check its folder's permissions."
        raise StoreError(text, code="store_read_only") from error
    try:
        yield
    finally:
        lock.release()


def free_folder(folder: Path, names: Iterable[str]) -> Path:
    """`folder`, or, where it holds a file of these names already, the next free one of folder-2, folder-3 …

    Nothing is made. SettingInvalid where no file could be written there: better now than after the work."""
    taken, named = tuple(names), folder if folder.name not in ("", "..") else folder.resolve()
    for number in count(1):
        place = folder if number == 1 else named.parent / f"{named.name}-{number}"
        check_writable(place)
        if not any((place / name).exists() for name in taken):
            return place
    raise AssertionError("counting does not end")


def is_folder(path: Path) -> bool:
    """Whether there is a folder of that name. One that can be no name is none, whatever the system says of it."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def check_writable(folder: Path) -> None:
    """Whether the folder, or the nearest one above it that is there, takes a file."""
    above = next(place for place in (folder, *folder.absolute().parents) if place.exists() or place.is_symlink())
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        text = f"{folder.name!r} cannot be written ({error.strerror}). Name a folder that can be written to."
        raise SettingInvalid(text) from None
