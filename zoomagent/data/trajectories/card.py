"""The card of a data set: what is in it, what was left out and why, and what it was made with.

`card.json` is for programs (`images`, the folder of pictures, is relative to the card's folder); `card.md` says the
same as tables. No times and no addresses: the same input gives the same card.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import orjson

from zoomagent.data.genome.rows import Counts
from zoomagent.data.trajectories.trajectory import FORMAT, KINDS
from zoomagent.errors import RunError, SettingInvalid
from zoomagent.files import write_whole

Split = Literal["train", "held-out"]


def make_card(
    settings: Mapping[str, Any], kinds: Mapping[Split, Mapping[str, int]], pictures: Mapping[Split, int], counts: Counts
) -> dict[str, Any]:
    """The card as plain JSON."""
    return {
        "format": FORMAT,
        "images": settings["images"],
        "rows": {side: sum(kinds[side].values()) for side in SPLITS},
        "pictures": dict(pictures),
        "kinds": {side: {kind: kinds[side].get(kind, 0) for kind in KINDS} for side in SPLITS},
        "counts": dict(sorted((+counts).items())),
        "settings": dict(settings),
    }


def write_card(card: Mapping[str, Any], out: Path) -> None:
    """Write card.md, then card.json: the second says that all is done."""
    heads = " | ".join(SPLITS)
    lines = ["# Trajectories", "", f"| kind | {heads} |", "|---|" + "--:|" * len(SPLITS)]
    for kind in KINDS:
        lines.append(f"| {kind} | " + " | ".join(str(card["kinds"][side][kind]) for side in SPLITS) + " |")
    lines.append("| all | " + " | ".join(str(card["rows"][side]) for side in SPLITS) + " |")
    lines.append("| pictures | " + " | ".join(str(card["pictures"][side]) for side in SPLITS) + " |")
    lines += ["", "| read, mended, left out | n |", "|---|--:|"]
    lines += [f"| {reason} | {n} |" for reason, n in card["counts"].items()]
    lines += ["", "Pictures are in `" + card["images"] + "`, seen from this folder. Made with:", "", "```json"]
    text = orjson.dumps(card["settings"], option=orjson.OPT_INDENT_2).decode()
    (out / "card.md").write_text(("\n".join([*lines, text, "```"]) + "\n"), encoding="utf-8")
    content = orjson.dumps(card, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    write_whole(out / "card.json", content, alone=True)


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


def read_card(file: Path) -> dict[str, Any]:
    """A card that was written before; SettingInvalid where it is damaged or names no folder of pictures."""
    try:
        card = orjson.loads(file.read_bytes())
    except (ValueError, OSError) as error:
        raise SettingInvalid("The card.json of these trajectories is damaged. Write them again.") from error
    images = card.get("images") if isinstance(card, dict) else None
    if not isinstance(images, str) or "\0" in images:
        raise SettingInvalid("The card.json of these trajectories names no folder of images. Write them again.")
    return dict(card)
