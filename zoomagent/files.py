"""Files that appear whole or not at all, alone or several together."""

import os
from collections.abc import Mapping
from pathlib import Path


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
