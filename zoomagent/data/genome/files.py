"""Visual Genome's released files, found and read one picture at a time: never a whole file in memory.

    files = find(Path("visual-genome"))              # a folder, or one .zip with everything in it
    for row in rows(files["objects"]):               # {"image_id": 1, "objects": [...]}
    for qa, region in pairs(files["qa_to_region_mapping"]):

`objects.json`, `objects.json.zip`, `objects.json.gz`, `objects_v1_2.json.zip` and the like are all known by their
table's name. Nothing is ever unpacked to disk. Parsing is ijson's (yajl). Left out: what the rows mean
(`rows.py`).
"""

import gzip
import hashlib
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from zoomagent.errors import InputRefused

TABLES = (
    "image_data",
    "objects",
    "attributes",
    "relationships",
    "region_descriptions",
    "question_answers",
    "qa_to_region_mapping",
)
REQUIRED = ("image_data", "question_answers")
_NAME = re.compile(r"(?P<table>[a-z_]+?)(?:_v?\d[\d._]*)?\.json(?P<packed>\.zip|\.gz)?")
_PACKED = re.compile(r"\.(jsonl?|ndjson|csv|parquet|zip|gz|tgz|tar|bz2|xz|zst|7z|rar)$")
BUFFER = 1 << 20
MAX_DEPTH = 64
"""Levels of objects and lists in one another (ours); the released tables have six."""
MAX_ROW = 16 << 20
"""Bytes of one picture's row (ours), which is held whole. A packed file may unfold a thousandfold."""


@dataclass(frozen=True)
class Source:
    """A table's JSON text: a file, or the `member` of a zip file."""

    table: str
    file: Path
    member: str = ""

    def open(self) -> AbstractContextManager[IO[bytes]]:
        if self.member:
            return _open_member(self.file, self.member)
        if self.file.suffix == ".gz":
            return cast("AbstractContextManager[IO[bytes]]", gzip.open(self.file))
        return self.file.open("rb", buffering=BUFFER)

    def digest(self) -> str:
        """Names the content without reading all of it: size, first and last megabyte of the stored file."""
        size = self.file.stat().st_size
        with self.file.open("rb") as stream:
            start = stream.read(BUFFER)
            stream.seek(max(0, size - BUFFER))
            end = stream.read(BUFFER)
        return hashlib.sha256(b"%d|%s|" % (size, self.member.encode()) + start + end).hexdigest()[:16]


def find(place: Path) -> dict[str, Source]:
    """The tables in a folder or a zip file. Raises InputRefused when one that is needed is missing or there twice."""
    if not (place.is_file() or place.is_dir()):
        raise InputRefused(
            "There is no such folder or file. Give the one that holds Visual Genome's tables.", code="not_a_file"
        )
    sources: list[Source] = []
    if place.is_file():
        sources += _members(place)
    for file in sorted(place.iterdir()) if place.is_dir() else ():
        named = _NAME.fullmatch(file.name)
        if named and named["table"] in TABLES and file.is_file():
            sources += _members(file) if named["packed"] == ".zip" else [Source(named["table"], file)]
    found: dict[str, Source] = {}
    for source in sources:
        if source.table in found:
            text = f"{source.table} is there twice: {found[source.table].file.name}, {source.file.name}. Leave one."
            raise InputRefused(text, code="data_ambiguous")
        found[source.table] = source
    if place.is_file():
        with zipfile.ZipFile(place) as archive:
            files = [name.rsplit("/", 1)[-1] for name in archive.namelist() if not name.startswith("__MACOSX")]
    else:
        files = [file.name for file in sorted(place.iterdir()) if file.is_file()]
    for name in (name for name in TABLES if name not in found):
        # A file that its name gives out as this table, and that was not read as it.
        other = next((file for file in files if file.lower().startswith(name) and _PACKED.search(file.lower())), "")
        if other:
            raise InputRefused(
                f"{other} looks like the table {name}, which is not found in it. Name it {name}.json, or a .zip that "
                "holds that; move it away where it is something else.",
                code="data_missing",
            )
    missing = [name for name in REQUIRED if name not in found]
    if missing or not {"objects", "region_descriptions"} & found.keys():
        need = ", ".join(missing) or "objects or region_descriptions"
        raise InputRefused(f"{need} is missing. Put the released .json or .json.zip there.", code="data_missing")
    return found


def _members(file: Path) -> Iterator[Source]:
    try:
        with zipfile.ZipFile(file) as archive:
            names = sorted(name for name in archive.namelist() if not name.endswith("/"))
    except zipfile.BadZipFile as error:
        raise InputRefused(
            f"{file.name} is no readable zip file ({error}). Fetch it again.", code="data_corrupt"
        ) from None
    for name in names:
        named = _NAME.fullmatch(name.rsplit("/", 1)[-1])
        if named and named["table"] in TABLES and not name.startswith("__MACOSX"):
            yield Source(named["table"], file, name)


@contextmanager
def _open_member(file: Path, member: str) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(file) as archive, archive.open(member) as stream:
        yield stream


def rows(source: Source) -> Iterator[dict[str, Any]]:
    """The rows of a table that is a list. Raises InputRefused for what is no JSON, or cut off."""
    import ijson

    with _readable(source), source.open() as stream:
        for row in ijson.items(Shallow(stream), "item", use_float=True, buf_size=BUFFER):
            if not isinstance(row, dict):
                raise InputRefused(f"{source.table} must be a list of objects, one a picture.", code="data_corrupt")
            yield row


def pairs(source: Source) -> Iterator[tuple[str, Any]]:
    """The entries of a table that is one object."""
    import ijson

    with _readable(source), source.open() as stream:
        yield from ijson.kvitems(Shallow(stream), "", use_float=True, buf_size=BUFFER)


class Shallow:
    """JSON text as it is read, refused before a parser sees a row of more than MAX_ROW bytes, or what is nested deeper
    than MAX_DEPTH: what is built of that would take memory by the square of its depth."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._depth, self._row = 0, 0
        self._in_text, self._escaped = False, False

    def read(self, count: int = -1) -> bytes:
        block = self._stream.read(count)
        if block:
            # Follow the depth, brackets in texts left out. A quote after a backslash ends no text.
            plain = (b" " + block[1:]) if self._escaped else block
            plain = _ESCAPE.sub(b"  ", plain)
            self._escaped = plain.endswith(b"\\")
            signs = np.frombuffer(plain, np.uint8)
            in_text = (np.cumsum(signs == ord('"')) + self._in_text) % 2 == 1
            steps = ((signs | 32) == ord("{")).astype(np.int8) - ((signs | 32) == ord("}"))
            depths = self._depth + np.cumsum(np.where(in_text, 0, steps))
            if depths.max() > MAX_DEPTH:
                raise InputRefused(
                    f"JSON is nested deeper than {MAX_DEPTH} levels. Fetch the file again.", code="data_corrupt"
                )
            # A row ends with a comma or bracket of the table itself.
            ends = np.flatnonzero(~in_text & (depths <= 1) & ((signs == ord(",")) | (steps != 0)))
            if self._row + (int(ends[0]) if ends.size else len(signs)) > MAX_ROW:
                raise InputRefused(f"A row has more than {MAX_ROW} bytes. Fetch the file again.", code="data_corrupt")
            self._row = len(signs) - int(ends[-1]) if ends.size else self._row + len(signs)
            self._depth, self._in_text = int(depths[-1]), bool(in_text[-1])
        return block


_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
    NotImplementedError,
)
"""What is raised for JSON and archives that are cut off, changed, encrypted, or packed in an unknown way."""


@contextmanager
def _readable(source: Source) -> Iterator[None]:
    """The one place where a parser's and a decompressor's errors become ours."""
    import ijson

    try:
        yield
    except (ijson.JSONError, *_DAMAGE) as error:
        text = f"{source.table} cannot be read to its end ({type(error).__name__}: {str(error)[:200]}). Fetch it again."
        raise InputRefused(text, code="data_corrupt") from error
