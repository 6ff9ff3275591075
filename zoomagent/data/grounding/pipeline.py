"""A grounding set in, training rows out: read, tell, write shards and the card. A killed run goes on at its shard.

Everything is read twice: before the first shard is written, it is known that no picture is on both sides, and that the
annotations are those that the folder was begun with.

    zoomagent data grounding refcoco FOLDER OUT

Pictures become rows as `data trajectories` writes them, for the same trainer and viewer; a set's test and validation
splits are held out. Clips and sounds become `annotations.jsonl`. Left out: opening pictures, which the trainer does.
"""

import asyncio
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson

from zoomagent.data.grounding.annotation import Annotation, Counts, Kind
from zoomagent.data.grounding.clips import read_activitynet, read_charades, read_didemo, read_vggss
from zoomagent.data.grounding.pictures import read_flickr30k, read_refcoco
from zoomagent.data.grounding.telling import line_of, rows_of, sentence_row
from zoomagent.data.grounding.wording import Dialogue, dialogue_of, reword
from zoomagent.data.trajectories.card import SPLITS, Split, make_card, read_card, write_card
from zoomagent.data.trajectories.trajectory import FORMAT, Trajectory, read_parquet, write_parquet
from zoomagent.errors import SettingInvalid
from zoomagent.files import draft_of, write_whole
from zoomagent.models.profiles import Profile

SHARD = 5000
"""Annotations from which a shard is full (ours)."""
PICTURES: tuple[Kind, ...] = ("refcoco", "flickr30k")
NUMBERS = (
    "family", "space", "box_step", "multiple", "min_pixels", "max_pixels", "max_aspect", "min_side", "max_side",
    "whole_pixels",
)  # fmt: skip
"""What of a profile decides the numbers of a box."""


@dataclass(frozen=True)
class Settings:
    """What decides the rows besides the files: the folder of the pictures, and the model they are made for. `model`
    words the dialogues; templates do where there is none."""

    images: Path
    profile: Profile
    limit: int | None = None
    model: str = ""


def annotations(kind: Kind, folder: Path, counts: Counts) -> Iterator[Annotation]:
    """The annotations of a set, each once. Raises InputRefused for files that are missing or no such set."""
    known: set[tuple[str, str]] = set()
    for one in read_set(kind, folder, counts):
        # On another side it is a leak, which is not hidden here.
        if (one.split, one.id) in known:
            counts["annotations: there twice"] += 1
            continue
        known.add((one.split, one.id))
        yield one


def read_set(kind: Kind, folder: Path, counts: Counts) -> Iterator[Annotation]:
    """The annotations as the files hold them."""
    match kind:
        case "refcoco":
            return read_refcoco(folder, counts)
        case "flickr30k":
            return read_flickr30k(folder, counts)
        case "charades-sta":
            return read_charades(folder, counts)
        case "activitynet":
            return read_activitynet(folder, counts)
        case "didemo":
            return read_didemo(folder, counts)
        case "vggss":
            return read_vggss(folder, counts)


def make(kind: Kind, folder: Path, out: Path, settings: Settings) -> dict[str, Any]:
    """Write the rows of a set into `out`, or go on where it was left; its card."""
    given = {
        "format": FORMAT,
        "set": kind,
        "images": Path(os.path.relpath(os.path.realpath(settings.images), os.path.realpath(out))).as_posix(),
        "annotations": digest(kind, folder, settings.limit),
        "profile": {name: getattr(settings.profile, name) for name in NUMBERS},
        "limit": settings.limit,
        "model": settings.model,
    }
    _claim(out, given)
    if (out / "card.json").exists():
        return read_card(out / "card.json")
    counts: Counts = Counter()
    found = sentences_in(kind, folder, settings.limit, counts)
    if kind in PICTURES:
        kinds, pictures = _write_rows(kind, found, out, settings, counts)
    else:
        kinds, pictures = _write_lines(found, out)
    card = make_card(given, kinds, pictures, counts)
    write_card(card, out)
    return card


@dataclass(frozen=True)
class Sentence:
    """Annotations that belong together; not `whole` where the limit has cut some off."""

    told: list[Annotation]
    whole: bool


def sentences_in(kind: Kind, folder: Path, limit: int | None, counts: Counts) -> Iterator[Sentence]:
    """The first `limit` annotations of a set, sentence by sentence; what is part of none stands alone."""
    left = sys.maxsize if limit is None else limit
    for _, several in groupby(annotations(kind, folder, counts), key=lambda one: one.sentence_id or one.id):
        told = list(several)
        yield Sentence(told[:left], len(told) <= left)
        left -= len(told)
        if left <= 0:
            return


def digest(kind: Kind, folder: Path, limit: int | None) -> str:
    """Names what the annotations say, wherever their files lie. Raises SettingInvalid (split_leak) for pictures on both
    sides."""
    counts: Counts = Counter()
    files: dict[Split, set[str]] = {side: set() for side in SPLITS}
    content = hashlib.sha256()
    for sentence in sentences_in(kind, folder, limit, counts):
        files[_side(sentence.told[0])].add(sentence.told[0].file)
        content.update(orjson.dumps(sentence, option=orjson.OPT_APPEND_NEWLINE))
    shared = files["train"] & files["held-out"]
    if shared and kind in PICTURES:
        text = f"{len(shared)} pictures are on both sides, as {min(shared)}. Give a split that keeps pictures apart."
        raise SettingInvalid(text, code="split_leak")
    content.update(orjson.dumps(counts, option=orjson.OPT_SORT_KEYS))
    return content.hexdigest()[:16]


def _claim(out: Path, given: dict[str, Any]) -> None:
    """`out` is ours: empty, or begun with the same settings."""
    begun = out / "settings.json"
    content = orjson.dumps(given, option=orjson.OPT_SORT_KEYS)
    if begun.exists():
        if begun.read_bytes() != content:
            text = "The folder was begun with other settings. Give the same, or another folder."
            raise SettingInvalid(text, code="run_mismatch")
        return
    if out.exists() and any(item != draft_of(begun) for item in out.iterdir()):
        raise SettingInvalid("The folder to write into holds other files. Give an empty one.", code="folder_in_use")
    out.mkdir(parents=True, exist_ok=True)
    write_whole(begun, content, alone=True)


def _write_rows(
    kind: Kind, found: Iterable[Sentence], out: Path, settings: Settings, counts: Counts
) -> tuple[dict[Split, Counter[str]], dict[Split, int]]:
    """Shards of rows: a shard that is there is not written again, for equal annotations give equal rows."""
    kinds: dict[Split, Counter[str]] = {side: Counter() for side in SPLITS}
    pictures: dict[Split, set[str]] = {side: set() for side in SPLITS}
    numbers: dict[str, int] = {}
    profile = settings.profile
    for shard, sentences in enumerate(_shards(found)):
        sides: dict[Split, list[Trajectory]] = {side: [] for side in SPLITS}
        for sentence in sentences:
            told = sentence.told
            number = numbers.setdefault(told[0].file, len(numbers))
            rows = [row for one in told for row in rows_of(one, number, profile, kind)]
            if told[0].sentence_id:
                row = sentence_row(told, number, profile, kind) if sentence.whole else None
                rows += [row] if row else []
                left_out = "words like numbers of a box" if sentence.whole else "cut by the limit"
                counts["sentences: told" if row else f"sentences: {left_out}"] += 1
            sides[_side(told[0])] += rows
        for side, rows in sides.items():
            file = out / side / f"part-{shard:05d}.parquet"
            rows = _with_dialogues(rows, settings.model, file)
            counts["dialogues: told"] += sum(row.provenance["asks"] == "dialogue" for row in rows)
            if settings.model:
                counts["dialogues: in the model's words"] += sum("words" in row.provenance for row in rows)
            kinds[side].update(row.kind for row in rows)
            pictures[side] |= {row.image for row in rows}
            if rows and not file.exists():
                file.parent.mkdir(exist_ok=True)
                write_parquet(rows, file.with_suffix(".part"))
                file.with_suffix(".part").replace(file)
    return kinds, {side: len(names) for side, names in pictures.items()}


def _with_dialogues(rows: list[Trajectory], model: str, file: Path) -> list[Trajectory]:
    """The rows of a shard's side and a dialogue for each picture. What a model worded before is taken from the shard's
    file: another time it may say something else."""
    if model and file.exists():
        return list(read_parquet(file))
    of_picture: dict[str, list[Trajectory]] = {}
    for row in rows:
        of_picture.setdefault(row.image, []).append(row)
    dialogues = [one for one in map(dialogue_of, of_picture.values()) if one]
    if not model or not dialogues:
        return [*rows, *(one.row for one in dialogues)]
    return [*rows, *asyncio.run(_reworded(model, dialogues))]


async def _reworded(name: str, dialogues: Sequence[Dialogue]) -> list[Trajectory]:
    from zoomagent.models.loading import load_model

    model = load_model(name)
    try:
        return await reword(model, dialogues)
    finally:
        await model.aclose()


def _shards(sentences: Iterable[Sentence]) -> Iterator[list[Sentence]]:
    """As many sentences at a time as fill a shard."""
    shard, number = list[Sentence](), 0
    for sentence in sentences:
        shard.append(sentence)
        number += len(sentence.told)
        if number >= SHARD:
            yield shard
            shard, number = [], 0
    if shard:
        yield shard


def _side(one: Annotation) -> Split:
    return "train" if one.split == "train" else "held-out"


def _write_lines(found: Iterable[Sentence], out: Path) -> tuple[dict[Split, Counter[str]], dict[Split, int]]:
    files: dict[Split, set[str]] = {side: set() for side in SPLITS}
    part = out / "annotations.part"
    with part.open("wb") as file:
        for one in (one for sentence in found for one in sentence.told):
            file.write(orjson.dumps(line_of(one), option=orjson.OPT_APPEND_NEWLINE))
            files[_side(one)].add(one.file)
    part.replace(out / "annotations.jsonl")
    return {side: Counter() for side in SPLITS}, {side: len(names) for side, names in files.items()}
