"""Trajectories on disk: the rows of a split, the folder of their pictures, and the views cut from them.

    rows = split(Path("OUT"), "train")                # datasets.Dataset; "held-out" may be None
    images = cut(pictures(Path("OUT")) / row["image"], {"view-0": (box, size)})

Arrow holds references only; a view is cut from the original when its batch is made. Left out: what the rows mean
(`zoomagent/data/trajectories/trajectory.py`).
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from zoomagent.data.trajectories.card import read_card
from zoomagent.data.trajectories.trajectory import FORMAT
from zoomagent.errors import SettingInvalid
from zoomagent.media.picture import Request
from zoomagent.training.sft.opened import opened


def split(data: Path, name: str) -> Any | None:
    """The rows of `data`/`name`, a `datasets.Dataset`; None when there are none."""
    from datasets import load_dataset

    files = sorted(str(file) for file in (data / name).glob("*.parquet"))
    return load_dataset("parquet", data_files=files, split="train") if files else None


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
