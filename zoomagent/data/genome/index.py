"""Visual Genome's tables joined by picture, on disk: one SQLite file a table, whatever the order of the released files.

    with GenomeIndex(build(find(place), Path("OUT/.work/index"))) as index:
        page = index.page(2)             # everything that is said about picture 2

A table is written under another name and renamed when it is whole, so a killed run begins that table again and
nothing else. Memory holds the pictures' sizes and the questions' ids, 250 MB for the full release; the disk holds
compressed rows. Left out: judging what a page says (`curation.py`).
"""

import sqlite3
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from zoomagent.data.genome.files import Source, pairs, rows
from zoomagent.data.genome.rows import (
    Counts,
    QuestionRow,
    Region,
    Relation,
    Shot,
    Thing,
    asked_of,
    attributes_of,
    image_id,
    objects_of,
    regions_of,
    relations_of,
    shot_of,
    whole_number,
)
from zoomagent.geometry import Size

Progress = Callable[[str, int, int], None]
"""Told the table, how many of its rows are read, and how many there are (0: not known)."""
BATCH = 500


@dataclass(frozen=True)
class Page:
    """What is said about one picture. `attributes` by object id; `regions_of_questions` by question id."""

    shot: Shot
    things: tuple[Thing, ...]
    attributes: Mapping[int, tuple[str, ...]]
    relations: tuple[Relation, ...]
    regions: tuple[Region, ...]
    asked: tuple[QuestionRow, ...]
    regions_of_questions: Mapping[int, int]


def build(files: Mapping[str, Source], folder: Path, progress: Progress = lambda table, done, of: None) -> Path:
    """Write the index of all tables that are not yet there. Returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in ("image_data", *(name for name in files if name != "image_data")):
        target = folder / f"{table}.sqlite"
        if not target.exists():
            part = folder / f"{table}.part"
            part.unlink(missing_ok=True)
            sizes: dict[int, Size] = {}
            if table != "image_data":
                with closing(sqlite3.connect(folder / "image_data.sqlite")) as base:
                    for number, body in base.execute("SELECT id, value FROM body"):
                        sizes[number] = Size(**orjson.loads(body)["size"])
            _write_table(part, files[table], sizes, progress)
            part.replace(target)
    return folder


def _write_table(file: Path, source: Source, sizes: Mapping[int, Size], progress: Progress) -> None:
    counts: Counts = Counter()
    with closing(sqlite3.connect(file)) as base, base:
        base.execute("PRAGMA journal_mode=OFF")
        base.execute("PRAGMA synchronous=OFF")
        base.execute("CREATE TABLE body (id INTEGER PRIMARY KEY, value BLOB)")
        base.execute("CREATE TABLE counts (reason TEXT PRIMARY KEY, n INTEGER)")
        entries: Iterator[tuple[int, Any]]
        match source.table:
            case "image_data":
                entries = _picture_bodies(source, counts)
            case "qa_to_region_mapping":
                entries = _mapped(source, counts)
            case _:
                entries = _row_bodies(source, sizes, counts)
        twice = (
            f"{source.table}: {'question mapped' if source.table == 'qa_to_region_mapping' else 'picture listed'} twice"
        )
        done = 0
        while batch := [entry for _, entry in zip(range(BATCH), entries, strict=False)]:
            before = base.total_changes
            base.executemany("INSERT OR IGNORE INTO body VALUES (?, ?)", batch)
            counts[twice] += len(batch) - (base.total_changes - before)
            done += len(batch)
            progress(source.table, done, 0 if source.table == "qa_to_region_mapping" else len(sizes))
        base.executemany("INSERT INTO counts VALUES (?, ?)", sorted((+counts).items()))


def _mapped(source: Source, counts: Counts) -> Iterator[tuple[int, int]]:
    for question, region in pairs(source):
        ids = whole_number(question), whole_number(region)
        if ids[0] is None or ids[1] is None:
            counts["qa_to_region_mapping: no ids"] += 1
            continue
        yield ids[0], ids[1]


def _picture_bodies(source: Source, counts: Counts) -> Iterator[tuple[int, bytes]]:
    paths: set[str] = set()
    for row in rows(source):
        counts["image_data: pictures in the file"] += 1
        shot = shot_of(row, counts)
        if shot is None:
            continue
        if shot.path in paths:
            counts["image_data: one file under two ids"] += 1
            continue
        paths.add(shot.path)
        yield shot.id, orjson.dumps(shot)


def _row_bodies(source: Source, sizes: Mapping[int, Size], counts: Counts) -> Iterator[tuple[int, bytes]]:
    asked: set[int] = set()
    for row in rows(source):
        number = image_id(row)
        size = sizes.get(number) if number is not None else None
        if number is None or size is None:
            counts[f"{source.table}: of no known picture"] += 1
            continue
        found: Any
        match source.table:
            case "objects":
                found = objects_of(row, size, counts)
            case "attributes":
                found = attributes_of(row, counts)
            case "relationships":
                found = relations_of(row, counts)
            case "region_descriptions":
                found = regions_of(row, size, counts)
            case _:
                found = []
                for one in asked_of(row, size, counts):
                    if one.id in asked:
                        counts["question_answers: id used twice"] += 1
                    else:
                        asked.add(one.id)
                        found.append(one)
        counts[f"{source.table}: entries kept"] += len(found)
        yield number, zlib.compress(orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS), 1)


class GenomeIndex:
    """Reads what `build` wrote."""

    def __init__(self, folder: Path) -> None:
        self._bases = {file.stem: sqlite3.connect(file) for file in sorted(folder.glob("*.sqlite"))}

    def close(self) -> None:
        for base in self._bases.values():
            base.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def counts(self) -> Counts:
        """What was mended or left out while reading, by reason."""
        total: Counts = Counter()
        for base in self._bases.values():
            total.update(dict(base.execute("SELECT reason, n FROM counts")))
        return total

    def ids(self) -> list[int]:
        """The pictures' ids, ascending."""
        return [number for (number,) in self._bases["image_data"].execute("SELECT id FROM body ORDER BY id")]

    def page(self, number: int) -> Page:
        """Everything about the picture with this id."""
        row = orjson.loads(
            self._bases["image_data"].execute("SELECT value FROM body WHERE id = ?", (number,)).fetchone()[0]
        )
        shot = Shot(row["id"], row["path"], Size(**row["size"]))
        asked = tuple(
            QuestionRow(
                one["id"],
                one["question"],
                one["answer"],
                about=tuple(map(_thing, one["about"])),
                given=tuple(map(_thing, one["given"])),
            )
            for one in self._body("question_answers", number)
        )
        return Page(
            shot=shot,
            things=tuple(map(_thing, self._body("objects", number))),
            attributes={int(key): tuple(words) for key, words in dict(self._body("attributes", number)).items()},
            relations=tuple(Relation(**one) for one in self._body("relationships", number)),
            regions=tuple(
                Region(one["id"], _corners(one["box"]), one["phrase"])
                for one in self._body("region_descriptions", number)
            ),
            asked=asked,
            regions_of_questions=self._mapped([one.id for one in asked]),
        )

    def _body(self, table: str, number: int) -> Any:
        found = (
            self._bases[table].execute("SELECT value FROM body WHERE id = ?", (number,)).fetchone()
            if table in self._bases
            else None
        )
        return orjson.loads(zlib.decompress(found[0])) if found else []

    def _mapped(self, questions: list[int]) -> dict[int, int]:
        base = self._bases.get("qa_to_region_mapping")
        if base is None or not questions:
            return {}
        marks = ",".join("?" * len(questions))
        return dict(base.execute(f"SELECT id, value FROM body WHERE id IN ({marks})", questions))


def _corners(box: list[int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    return left, top, right, bottom


def _thing(one: Mapping[str, Any]) -> Thing:
    return Thing(one["id"], _corners(one["box"]), tuple(one["names"]))
