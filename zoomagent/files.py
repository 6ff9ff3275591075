"""Files that appear whole or not at all, alone or several together; and a folder for them that is free."""

import os
import tempfile
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path

from zoomagent.errors import SettingInvalid


def write_whole(path: Path, content: bytes) -> None:
    """Write beside it, then take its place. Raises OSError, and leaves nothing half-written but after a kill."""
    write_together(path.parent, {path.name: content})


def write_together(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write all beside their places, then move them there: where the disk is full, none of them appears."""
    drafts = {folder / f".{name}.{os.getpid()}": folder / name for name in files}
    try:
        for draft, content in zip(drafts, files.values(), strict=True):
            draft.write_bytes(content)
        for draft, path in drafts.items():
            os.replace(draft, path)
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)


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


def check_writable(folder: Path) -> None:
    """Whether the folder, or the nearest one above it that is there, takes a file."""
    above = next(place for place in (folder, *folder.absolute().parents) if place.exists() or place.is_symlink())
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        text = f"{folder.name!r} cannot be written ({error.strerror}). Name a folder that can be written to."
        raise SettingInvalid(text) from None
