"""Sets of videos and sounds: Charades-STA, ActivityNet Captions, DiDeMo and VGGSS; only their annotations are read.

Quirks that are heeded: Charades' ids have no ending; ActivityNet's moments may end behind the video and its sentences
begin with a blank; DiDeMo counts chunks of five seconds, both ends included, and each annotator's choice is kept;
VGGSS has boxes in shares of the middle frame, some without area or outside. Every drop is counted by its reason.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoomagent.data.grounding.annotation import (
    MOST_SECONDS,
    Annotation,
    Counts,
    clean,
    identity,
    moment_of,
    number,
    read_file,
    read_json,
)
from zoomagent.errors import InputRefused

CHUNK = 5
"""Seconds of a chunk of DiDeMo."""


def split_of(file: Path) -> str:
    """The split that a file's name says."""
    return next((split for split in ("train", "val", "test") if split in file.stem), "train")


def files_in(folder: Path, pattern: str) -> list[Path]:
    """The set's files. Raises InputRefused where there is none."""
    files = sorted(folder.glob(pattern))
    if not files:
        raise InputRefused(f"There is no {pattern}. Give the folder of the set's files.", code="data_missing")
    return files


def read_charades(folder: Path, counts: Counts) -> Iterator[Annotation]:
    """Lines `3MSZA 24.3 30.4##person turn a light on.`"""
    for file in files_in(folder, "charades_sta_*.txt"):
        for line, raw in enumerate(read_file(file).splitlines(), 1):
            head, found, words = raw[:4096].decode("utf-8", "replace").partition("##")
            parts, phrase = head.split(), clean(words)
            try:
                video, start, end = parts[0], float(parts[1]), float(parts[2])
            except (IndexError, ValueError):
                counts["lines: not readable"] += bool(raw.strip())
                continue
            moment = moment_of(start, end, None, counts)
            if not found or not phrase or moment is None:
                counts["lines: without words"] += moment is not None
                continue
            counts["lines: read"] += 1
            name = f"{file.stem}-{line}"
            yield Annotation(name, "video", f"{video}.mp4", phrase, split_of(file), moments=(moment,))


def read_activitynet(folder: Path, counts: Counts) -> Iterator[Annotation]:
    """`{v_ID: {duration, timestamps, sentences}}`; val_1 and val_2 are two annotators."""
    for file in [
        one for pattern in ("train.json", "val_1.json", "val_2.json") for one in sorted(folder.glob(pattern))
    ] or (files_in(folder, "train.json")):
        videos = read_json(file)
        for video, told in videos.items() if isinstance(videos, dict) else []:
            try:
                duration = round(1000 * number(told["duration"], 0, MOST_SECONDS))
                pairs = list(zip(told["timestamps"], told["sentences"], strict=True))
            except (KeyError, TypeError, ValueError):
                counts["videos: without duration, moments or sentences"] += 1
                continue
            for place, (times, words) in enumerate(pairs):
                start, end = times if isinstance(times, list) and len(times) == 2 else (None, None)
                moment, phrase = moment_of(start, end, duration, counts), clean(words)
                if moment is None or not phrase:
                    counts["moments: without words"] += moment is not None
                    continue
                counts["moments: read"] += 1
                name = f"{file.stem}-{video}-{place}"
                yield Annotation(
                    name, "video", f"{video}.mp4", phrase, split_of(file), duration=duration, moments=(moment,)
                )


def read_didemo(folder: Path, counts: Counts) -> Iterator[Annotation]:
    """Every annotator's moment of each description; those who agree give the same one several times."""
    for file in files_in(folder, "*_data.json"):
        rows = read_json(file)
        for row in rows if isinstance(rows, list) else []:
            try:
                video, name, phrase = identity(row["video"]), identity(row["annotation_id"]), clean(row["description"])
                times = [(_chunk(start), _chunk(end)) for start, end in row["times"]]
                most = _chunk(row["num_segments"])
            except (KeyError, TypeError, ValueError):
                counts["descriptions: not readable"] += 1
                continue
            good = [(start, end) for start, end in times if 0 <= start <= end < most]
            counts["moments: outside the video"] += len(times) - len(good)
            if not good or not phrase:
                counts["descriptions: without words or moment"] += 1
                continue
            moments = tuple((1000 * CHUNK * start, 1000 * CHUNK * (end + 1)) for start, end in good)
            counts["descriptions: read"] += 1
            yield Annotation(f"didemo-{name}", "video", str(video), phrase, split_of(file), moments=moments)


def _chunk(value: Any) -> int:
    return int(number(value, -MOST_SECONDS, MOST_SECONDS))


def read_vggss(folder: Path, counts: Counts) -> Iterator[Annotation]:
    """Where what sounds is, in the middle frame of each clip."""
    clips = read_json(folder / "vggss.json")
    for clip in clips if isinstance(clips, list) else []:
        try:
            file, phrase, boxes = str(identity(clip["file"])), clean(clip["class"]), list(clip["bbox"])
        except (KeyError, TypeError):
            counts["clips: not readable"] += 1
            continue
        shares = []
        for box in boxes:
            if not isinstance(box, list) or len(box) != 4 or not all(type(n) in (int, float) for n in box):
                counts["boxes: not four numbers"] += 1
                continue
            if any(not 0 <= number <= 1 for number in box):
                counts["boxes: cut at the frame"] += 1
            left, top, right, bottom = (min(1.0, max(0.0, float(number))) for number in box)
            if left < right and top < bottom:
                shares.append((left, top, right, bottom))
            else:
                counts["boxes: without area"] += 1
        if not shares or not phrase:
            counts["clips: without a good box"] += 1
            continue
        counts["clips: read"] += 1
        yield Annotation(f"vggss-{file}", "sound", f"{file}.mp4", phrase, "test", shares=tuple(shares))
