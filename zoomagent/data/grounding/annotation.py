"""One annotation of any grounding set: a phrase, and where or when it is. All readers give these.

Boxes are original pixels where the picture's size is known; of a set that gives shares only (VGGSS) they are
`shares`. Moments are pairs of integer milliseconds, half-open. Left out: what is asked about it (`telling.py`).
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from zoomagent.errors import InputRefused
from zoomagent.text import storable

Counts = Counter[str]
Kind = Literal["refcoco", "flickr30k", "charades-sta", "activitynet", "didemo", "vggss"]
Corners = tuple[int, int, int, int]
Moments = tuple[tuple[int, int], ...]
MOST_BYTES = 1 << 30
"""Bytes of one annotation file that is read whole (ours); the largest real one has 40 MB."""
MOST_NAME = 1000
"""Characters of a name (ours)."""
MOST_SIDE = 1 << 20
"""Pixels of a picture's side (ours); what is more is a damaged number."""
MOST_SECONDS = 1e6
"""Seconds of a video (ours)."""


@dataclass(frozen=True)
class Annotation:
    """A phrase with its boxes or moments. `sentence` is what it is a part of, from its character `start` on, and
    `sentence_id` the name of that; `duration` is in milliseconds."""

    id: str
    media: Literal["picture", "video", "sound"]
    file: str
    phrase: str
    split: str
    size: tuple[int, int] | None = None
    duration: int | None = None
    boxes: tuple[Corners, ...] = ()
    shares: tuple[tuple[float, float, float, float], ...] = ()
    moments: Moments = ()
    sentence: str = ""
    sentence_id: str = ""
    start: int | None = None


def read_file(path: Path) -> bytes:
    """A file of annotations. Raises InputRefused where it is missing or too large."""
    try:
        if not path.is_file():
            raise InputRefused(f"{path.name} is not there. Give the folder of the set's files.", code="data_missing")
        if path.stat().st_size > MOST_BYTES:
            raise InputRefused(f"{path.name} has more than {MOST_BYTES} bytes.", code="data_corrupt")
        return path.read_bytes()
    except OSError as error:
        raise InputRefused(f"{path.name} cannot be read ({error.strerror}).", code="data_missing") from error


def read_json(path: Path) -> Any:
    """The value of a JSON file. Raises InputRefused for what is none."""
    try:
        return orjson.loads(read_file(path))
    except orjson.JSONDecodeError as error:
        raise InputRefused(f"{path.name} is not JSON ({error}).", code="data_corrupt") from error


def clean(words: Any) -> str:
    """The words of a phrase, with single spaces; "" for what is no text."""
    return " ".join(storable(words).split()) if isinstance(words, str) else ""


def identity(value: Any) -> int | str:
    """A name or number by which a set knows a thing. Raises TypeError for anything else: what a file holds in its place
    may be as deep or as long as it likes."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError("no name or number")
    return storable(value, MOST_NAME) if isinstance(value, str) else value


def number(value: Any, least: float, most: float) -> int | float:
    """A number from `least` to `most`. Raises TypeError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise TypeError("no number, or none that can be")
    return value


def moment_of(start: Any, end: Any, duration: int | None, counts: Counts) -> tuple[int, int] | None:
    """A moment in milliseconds from seconds, cut where it ends behind the video; None, counted, for what is none."""
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < MOST_SECONDS for n in (start, end)):
        counts["moments: no numbers"] += 1
        return None
    first, last = round(1000 * start), round(1000 * end)
    if duration is not None and last > duration:
        counts["moments: cut at the video's end"] += 1
        last = duration
    if not 0 <= first < last:
        counts["moments: reversed or empty"] += 1
        return None
    return first, last
