"""Visual Genome in, trajectories out: index, curate, choose, tell, write the card. Every stage resumes.

    zoomagent data trajectories VG_DIR OUT

Work is cut into shards of `SHARD` pictures. A shard's result is written under another name and renamed, so a killed run
goes on at the shard it was killed in and ends in the same bytes. A folder that was begun with other settings or other
files is refused. Memory holds one shard and a line per candidate. Left out: what a stage does (its own module).
"""

import asyncio
import os
import shutil
import sqlite3
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from zoomagent.data.genome.files import Source, find
from zoomagent.data.genome.index import GenomeIndex, build
from zoomagent.data.genome.pictures import look_up
from zoomagent.data.genome.rows import Counts
from zoomagent.data.trajectories.card import SPLITS, Split, check_leak, make_card, read_card, split_of, write_card
from zoomagent.data.trajectories.choice import CAPPED, Donor, Entry, choose, donor_of, from_donors
from zoomagent.data.trajectories.curation import Candidate, Thresholds, as_line, curate, from_line
from zoomagent.data.trajectories.judging import teaches
from zoomagent.data.trajectories.telling import Teller
from zoomagent.data.trajectories.trajectory import FORMAT, KINDS, Kind, Trajectory, write_parquet
from zoomagent.errors import InputRefused, SettingInvalid, StoreError, ToolError
from zoomagent.files import write_whole
from zoomagent.media import open_picture
from zoomagent.media.limits import Limits, own_limits
from zoomagent.models.base import Model
from zoomagent.models.profiles import Profile

SHARD = 1000
"""Pictures of one shard."""
Chosen = list[dict[int, Kind]]
"""For each shard the kinds of the lines that were chosen."""
DONORS = 40
"""Questions of earlier pictures that a picture is tried with."""
SPARE = 4
"""Candidates that a model judges for each row that is wanted (ours)."""


class Choosable(TypedDict):
    """What of a candidate's line the choice looks at."""

    image_id: int
    qa: int
    kinds: tuple[Kind, ...]


class Judged(TypedDict):
    """The lines of a shard that the model needs, and what to count of all of them."""

    kept: list[int]
    counts: dict[str, int]


class Told(TypedDict):
    """A shard's rows by kind, their pictures, and what to count."""

    kinds: dict[Split, dict[str, int]]
    pictures: dict[Split, list[str]]
    counts: dict[str, int]


OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
COUNTS: TypeAdapter[dict[str, int]] = TypeAdapter(dict[str, int])
CHOOSABLE, JUDGED, TOLD = TypeAdapter(Choosable), TypeAdapter(Judged), TypeAdapter(Told)
T = TypeVar("T")
MOST_NUMBER = 1 << 63

Progress = Callable[[str, int, int], None]
"""Told the stage, how much of it is done, and how much there is (0: not known)."""


@dataclass(frozen=True)
class Settings:
    """What decides the result, besides the files. `images` is the folder of pictures; `check` looks whether they are
    there and whole. `held_out` is a share of the pictures. `model` keeps the questions that it needs the zoom for.
    `search_below`: things of fewer pixels of the whole view are searched for, not pointed at. `shrink`: the share of
    the rows that look closer whose whole is shown smaller. `limits`: larger pictures are left out."""

    images: Path
    profile: Profile
    kinds: tuple[Kind, ...] = KINDS
    limit: int | None = None
    seed: int = 1
    check: bool = True
    held_out: float = 0.1
    model: str = ""
    search_below: float = 0.0
    shrink: float = 0.0
    limits: Limits = field(default_factory=own_limits)
    thresholds: Thresholds = field(default_factory=Thresholds)

    def __post_init__(self) -> None:
        if max(self.seed, self.limit or 0) >= MOST_NUMBER:
            raise SettingInvalid("A seed or a limit is below 2**63: it is kept with the rows. Give a smaller one.")

    def as_json(self, files: Mapping[str, Source], out: Path) -> dict[str, Any]:
        """The settings as the card and the manifest keep them."""
        return {
            "format": FORMAT,
            "files": {name: source.digest() for name, source in sorted(files.items())},
            # As seen from `out`, so that both folders can be moved together.
            "images": Path(os.path.relpath(os.path.realpath(self.images), os.path.realpath(out))).as_posix(),
            "profile": {"family": self.profile.family, "margin": self.profile.crop_margin, "tools": self.profile.tools},
            "kinds": self.kinds,
            "limit": self.limit,
            "seed": self.seed,
            "check": self.check,
            "held_out": self.held_out,
            "model": self.model,
            "thresholds": asdict(self.thresholds),
            **({"search_below": self.search_below} if self.search_below else {}),
            **({"shrink": self.shrink} if self.shrink else {}),
            **({"limits": asdict(self.limits)} if self.limits != own_limits() else {}),
        }


def make(
    place: Path, out: Path, settings: Settings, progress: Progress = lambda stage, done, of: None
) -> dict[str, Any]:
    """Write the data set of the Visual Genome files in `place` into `out`, or go on where it was left; its card.

    Raises InputRefused for files that cannot be read, SettingInvalid for a folder of other settings.
    """
    files = find(place)
    given: dict[str, Any] = orjson.loads(orjson.dumps(settings.as_json(files, out)))
    finished = _claim(out, given)
    if finished is not None:
        return finished
    work = out / ".work"
    try:
        counts, shards = _curate(files, work, settings, progress)
    except (sqlite3.Error, zlib.error, orjson.JSONDecodeError) as error:
        text = f"The index in the folder's .work cannot be read or written ({error}). Free space, or delete .work."
        raise StoreError(text, code="store_io") from error
    if settings.model:
        asyncio.run(_judge(work, shards, settings, progress))
    chosen = _choose(work, shards, settings)
    for number in range(shards):
        file = work / f"told-{number:05d}.json"
        if not file.exists():
            write_whole(file, asyncio.run(_tell_shard(work, out, number, chosen, settings)))
        progress("telling", number + 1, shards)
    return _finish(out, work, given, counts, shards)


def _claim(out: Path, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """The card when all is done; else `out` is ours to write into. SettingInvalid when it belongs to other settings."""
    manifest, card = out / ".work" / "settings.json", out / "card.json"
    known = None
    if card.exists():
        known = _parse(orjson.dumps(read_card(card).get("settings")), OBJECT, card.name)
    elif manifest.exists():
        known = _read(manifest, OBJECT)
    if known is None:
        if out.exists() and any(item.name != ".work" for item in out.iterdir()):
            raise SettingInvalid("The folder to write into holds other files. Give an empty one.", code="folder_in_use")
        manifest.parent.mkdir(parents=True, exist_ok=True)
        write_whole(manifest, orjson.dumps(given))
    elif known != given:
        changed = ", ".join(sorted(name for name in {*known, *given} if known.get(name) != given.get(name)))
        text = f"The folder was begun with other settings ({changed}). Give the same, or another folder."
        raise SettingInvalid(text, code="run_mismatch")
    elif card.exists():
        shutil.rmtree(out / ".work", ignore_errors=True)
        return read_card(card)
    return None


def _read(file: Path, shape: TypeAdapter[T]) -> T:
    return _parse(file.read_bytes(), shape, file.name)


def _parse(content: bytes, shape: TypeAdapter[T], name: str) -> T:
    """What a file of ours, of that name, holds. SettingInvalid where it was damaged since."""
    try:
        return shape.validate_json(content)
    except ValidationError as error:
        text = f"{name} in the folder to write into is damaged. Delete the folder's .work and card.json, or the folder."
        raise SettingInvalid(text) from error


def _curate(files: Mapping[str, Source], work: Path, settings: Settings, progress: Progress) -> tuple[Counts, int]:
    """Index the tables and curate every shard; what was counted while reading, and how many shards there are."""
    with GenomeIndex(build(files, work / "index", progress)) as index:
        every = index.ids()
        shards = [every[start : start + SHARD] for start in range(0, len(every), SHARD)]
        for number, ids in enumerate(shards):
            file = work / f"curated-{number:05d}.jsonl"
            if not file.exists():
                write_whole(file, _curate_shard(index, ids, settings))
            progress("curating", number + 1, len(shards))
        return index.counts(), len(shards)


def _curate_shard(index: GenomeIndex, ids: Sequence[int], settings: Settings) -> bytes:
    """The counts of a shard on the first line, then its candidates, one a line."""
    counts: Counts = Counter()
    donors: list[Donor] = []
    lines = []
    for number in ids:
        page = index.page(number)
        own = curate(page, settings.thresholds, counts)
        absent = from_donors(page, donors[-DONORS:])
        found = [*own, absent] if absent else own
        donors += [donor for candidate in own if (donor := donor_of(candidate))]
        if not found:
            continue
        path, problem = look_up(settings.images, page.shot, settings.limits) if settings.check else (page.shot.path, "")
        if settings.check:
            counts[problem or "pictures: usable"] += 1
        if problem:
            counts["curation: candidates lost with their picture"] += len(found)
        else:
            lines += [as_line(Candidate(**{**vars(candidate), "path": path})) for candidate in found]
    return b"".join([orjson.dumps(dict(+counts), option=orjson.OPT_APPEND_NEWLINE), *lines])


def _candidates(work: Path, shard: int) -> Iterator[bytes]:
    """The lines of a shard's candidates."""
    with (work / f"curated-{shard:05d}.jsonl").open("rb") as stream:
        next(stream, None)
        yield from stream


async def _judge(work: Path, shards: int, settings: Settings, progress: Progress) -> None:
    """Ask the model about the likeliest candidates, and write which lines of each shard are worth telling."""
    from zoomagent.models.loading import load_model

    more = None if settings.limit is None else settings.limit * SPARE
    asked = _choose(work, shards, replace(settings, limit=more, model=""))
    model = load_model(settings.model)
    try:
        for shard in range(shards):
            file = work / f"judged-{shard:05d}.json"
            if not file.exists():
                write_whole(file, await _judge_shard(work, shard, asked, settings, model))
            progress("judging", shard + 1, shards)
    finally:
        await model.aclose()


async def _judge_shard(work: Path, shard: int, asked: Chosen, settings: Settings, model: Model) -> bytes:
    counts: Counts = Counter()
    kept: list[int] = []
    lines = ((n, from_line(text)) for n, text in enumerate(_candidates(work, shard)) if n in asked[shard])
    for path, group in groupby(lines, key=lambda entry: entry[1].path):
        try:
            with open_picture(settings.images / path, limits=settings.limits) as picture:
                for line, candidate in group:
                    taught = await teaches(model, picture, candidate)
                    purpose = candidate.kinds[0] if candidate.kinds[0] in CAPPED else "zoom"
                    counts[f"judging: {purpose}, {'kept' if taught else 'dropped'}"] += 1
                    if taught:
                        kept.append(line)
        except InputRefused as error:
            counts[f"judging: picture refused, {error.code}"] += 1
    return orjson.dumps({"kept": kept, "counts": dict(counts)}, option=orjson.OPT_SORT_KEYS)


def _choose(work: Path, shards: int, settings: Settings) -> Chosen:
    """The chosen candidates by shard and line; where a model judged, only of those that it needs."""
    entries: list[Entry] = []
    places: list[list[int]] = []
    known: dict[tuple[Kind, ...], tuple[Kind, ...]] = {}
    for shard in range(shards):
        needed = set(_read(work / f"judged-{shard:05d}.json", JUDGED)["kept"]) if settings.model else None
        lines = []
        for line, text in enumerate(_candidates(work, shard)):
            if needed is None or line in needed:
                row = _parse(text, CHOOSABLE, f"curated-{shard:05d}.jsonl")
                kinds = row["kinds"]
                entries.append(Entry(row["image_id"], row["qa"], known.setdefault(kinds, kinds)))
                lines.append(line)
        places.append(lines)
    kept = choose(entries, settings.kinds, settings.limit, settings.seed)
    chosen: Chosen = []
    start = 0
    for lines in places:
        chosen.append({line: kept[start + i] for i, line in enumerate(lines) if start + i in kept})
        start += len(lines)
    return chosen


async def _tell_shard(work: Path, out: Path, shard: int, chosen: Chosen, settings: Settings) -> bytes:
    """Write a shard's trajectories, and return what to count of them."""
    teller = Teller(settings.profile, settings.seed, settings.search_below, settings.shrink)
    told: list[Trajectory] = []
    counts: Counts = Counter()
    for line, text in enumerate(_candidates(work, shard)):
        kind = chosen[shard].get(line)
        if kind is None:
            counts["choice: not chosen (balance, limit or kinds)"] += 1
            continue
        try:
            told.append(await teller.tell(from_line(text), kind))
        except ToolError as error:
            counts[f"telling: dropped, {kind}: {error}"] += 1
    sides: dict[Split, list[Trajectory]] = {side: [] for side in SPLITS}
    for one in told:
        sides[split_of(one.image_id, settings.held_out)].append(one)
    for side, rows in sides.items():
        if rows:
            (out / side).mkdir(exist_ok=True)
            part = out / ".work" / f"{side}.part"
            write_parquet(rows, part)
            part.replace(out / side / f"part-{shard:05d}.parquet")
    kinds = {side: Counter(one.kind for one in rows) for side, rows in sides.items()}
    pictures = {side: sorted({f"{one.image_id} {one.image}" for one in rows}) for side, rows in sides.items()}
    return orjson.dumps({"kinds": kinds, "pictures": pictures, "counts": dict(counts)}, option=orjson.OPT_SORT_KEYS)


def _finish(out: Path, work: Path, given: Mapping[str, Any], counts: Counts, shards: int) -> dict[str, Any]:
    """Sum up, check that no picture is on both sides, write the card, and take the work folder away."""
    kinds: dict[Split, Counter[str]] = {side: Counter() for side in SPLITS}
    pictures: dict[Split, set[str]] = {side: set() for side in SPLITS}
    for shard in range(shards):
        told = _read(work / f"told-{shard:05d}.json", TOLD)
        if given["model"]:
            counts.update(_read(work / f"judged-{shard:05d}.json", JUDGED)["counts"])
        with (work / f"curated-{shard:05d}.jsonl").open("rb") as stream:
            tally: dict[str, int] = _parse(next(stream, b""), COUNTS, f"curated-{shard:05d}.jsonl")
            counts.update(tally)
        counts.update(told["counts"])
        for side in SPLITS:
            kinds[side].update(told["kinds"].get(side, {}))
            pictures[side].update(told["pictures"].get(side, ()))
    for part in (0, 1):
        check_leak({side: {name.split(" ", 1)[part] for name in names} for side, names in pictures.items()})
    card = make_card(given, kinds, {side: len(names) for side, names in pictures.items()}, counts)
    write_card(card, out)
    shutil.rmtree(work)
    return card
