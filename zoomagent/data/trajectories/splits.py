"""Training or held out, by the picture's id alone: the same picture is on the same side in every data set made of it.

split_of(2370463, 0.1)      # "train"
"""

import hashlib
from collections.abc import Mapping
from typing import Literal

from zoomagent.errors import RunError

Split = Literal["train", "held-out"]
SPLITS: tuple[Split, ...] = ("train", "held-out")


def split_of(image_id: int, held_out: float) -> Split:
    """The side of a picture, of which about the share `held_out` is held out."""
    digest = hashlib.sha256(f"zoomagent split {image_id}".encode()).digest()
    return "held-out" if int.from_bytes(digest[:8]) < held_out * 2**64 else "train"


def check_leak(pictures: Mapping[Split, set[str]]) -> None:
    """Raise RunError when a picture (by its file or its id) is on both sides."""
    shared = pictures["train"] & pictures["held-out"]
    if shared:
        some = ", ".join(sorted(shared)[:3])
        text = f"{len(shared)} pictures are in both splits, {some} among them. Do not train on this; make it anew."
        raise RunError(text, code="split_leak")
