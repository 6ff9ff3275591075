"""Trajectories on disk: the rows of a split, the folder of their pictures, and the views cut from them.

    rows = split(Path("OUT"), "train")                # datasets.Dataset; "held-out" may be None
    images = cut(pictures(Path("OUT")) / row["image"], {"view-0": (box, size)})

Arrow holds references only; a view is cut from the original when its batch is made, and pictures stay open for the next
view within a bound of bytes. Left out: what the rows mean
(`zoomagent/data/trajectories/trajectory.py`).
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from PIL import Image

from zoomagent.data.trajectories.card import read_card
from zoomagent.data.trajectories.trajectory import FORMAT, Trajectory
from zoomagent.errors import SettingInvalid
from zoomagent.media import Picture, open_picture
from zoomagent.media.limits import own_limits
from zoomagent.media.picture import Request


def split(data: Path, name: str) -> Any | None:
    """The rows of `data`/`name`, a `datasets.Dataset`; None when there are none. Raises SettingInvalid where the files
    are damaged, or are no trajectories."""
    from datasets import load_dataset
    from datasets.exceptions import DatasetGenerationError

    files = sorted(str(file) for file in (data / name).glob("*.parquet"))
    try:
        rows = load_dataset("parquet", data_files=files, split="train") if files else None
    except (DatasetGenerationError, ValueError, OSError) as error:
        text = f"The rows in {name} cannot be read ({type(error).__name__}). Write the trajectories again."
        raise SettingInvalid(text) from error
    if rows is not None and (lacking := sorted({*Trajectory.model_fields} - {*rows.column_names})):
        raise SettingInvalid(f"The rows in {name} are no trajectories: they have no {lacking[0]}. Write them again.")
    return rows


def card(data: Path) -> dict[str, Any]:
    """What `zoomagent data trajectories` noted; raises SettingInvalid when `data` was not written by it."""
    file = data / "card.json"
    if not file.is_file():
        raise SettingInvalid(f"{data} holds no card.json. Write trajectories: zoomagent data trajectories VG_DIR OUT.")
    content = read_card(file)
    if content.get("format") != FORMAT:
        raise SettingInvalid(
            f"{data} holds rows of format {content.get('format')!r}, and {FORMAT} is read. Write them again."
        )
    return content


def pictures(data: Path) -> Path:
    """The folder that rows' `image` is relative to."""
    images: str = card(data)["images"]
    return data / images


def digest(data: Path) -> str:
    """The data's content, as a run remembers it: the card and the names and sizes of the files."""
    told = hashlib.sha256(json.dumps(card(data), sort_keys=True).encode())
    for file in sorted(data.glob("*/*.parquet")):
        told.update(f"{file.parent.name}/{file.name} {file.stat().st_size}\n".encode())
    return told.hexdigest()[:16]


def cut(file: Path, requests: Mapping[str, Request]) -> dict[str, Image.Image]:
    """The requested views of a picture, by name, each from original pixels."""
    return dict(zip(requests, opened(str(file)).views(list(requests.values())), strict=True))


MOST_BYTES = 192_000_000
"""64 megapixels decoded (ours): a hundred and more of Visual Genome's pictures, or four of 4,000 x 4,000."""


class ByteCache:
    """A least-recently-used cache bounded by bytes. May be called from several threads."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._kept: OrderedDict[str, Picture] = OrderedDict()
        self._lock = Lock()

    def __call__(self, path: str) -> Picture:
        """The picture in a file. Raises InputRefused when it cannot be opened."""
        with self._lock:
            found = self._kept.pop(path, None)
        picture = found or open_picture(Path(path), limits=own_limits())
        with self._lock:
            self._kept[path] = picture
            while len(self._kept) > 1 and self.bytes > self._most:
                self._kept.popitem(last=False)
        return picture

    @property
    def bytes(self) -> int:
        """What the kept pictures hold decoded: three bytes a pixel, those that lie in files too."""
        return sum(3 * picture.size.pixels for picture in self._kept.values())


opened = ByteCache()
