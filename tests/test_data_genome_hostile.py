"""Visual Genome's files when they are damaged or made to harm: refused or counted, in little memory, never a bug."""

import gzip
import json
import os
import random
import struct
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import pytest
from genome_quirks import tables, write_quirks

import zoomagent.data.genome.rows as rows_module
from zoomagent.data.genome.files import BUFFER, MAX_DEPTH, MAX_ROW, Shallow, Source, find, pairs, rows
from zoomagent.data.genome.index import GenomeIndex, build
from zoomagent.data.genome.pictures import look_up
from zoomagent.data.genome.rows import objects_of, shot_of, whole_number
from zoomagent.errors import InputRefused
from zoomagent.geometry import Size
from zoomagent.media.limits import Limits

ODD: list[Any] = [
    *(None, 5, -1, 1e308, 10**400, "x", "", [], {}, [1], [None], {"a": 1}, True, "\ud800", [[]], [{}]),
    *({"object_id": {}}, "9" * 5000, 2**63, float("nan"), "http://[", "http://x/" + "a" * 5000),
]


def read_all(folder: Path, index: Path) -> None:
    with GenomeIndex(build(find(folder), index)) as genome:
        page = genome.page(1)
        look_up(folder, page.shot, Limits())


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a table."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, below in entries for place in places(below, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    """A copy with something else in one place."""
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


@pytest.mark.parametrize("seed", range(40))
def test_a_field_of_another_type_is_left_out_or_refused(seed: int, tmp_path: Path) -> None:
    """Every table, anywhere in it; the first picture stays."""
    rng = random.Random(seed)
    for number in range(5):
        changed = tables()
        for name in rng.sample(sorted(changed), 2):
            deep = [place for place in places(changed[name]) if len(place) > 1 or name == "qa_to_region_mapping"]
            if name != "image_data" and deep:
                changed[name] = replaced(changed[name], rng.choice(deep), rng.choice(ODD))
        folder = tmp_path / f"{number}"
        folder.mkdir()
        for name, table in changed.items():
            (folder / f"{name}.json").write_text(json.dumps(table))
        try:
            read_all(folder, tmp_path / f"index-{number}")
        except InputRefused as refusal:
            assert refusal.code == "data_corrupt"


@pytest.mark.parametrize("field", ["names", "attributes", "subject", "object", "predicate", "phrase", "x", "object_id"])
@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_every_field_may_be_anything(field: str, odd: Any, tmp_path: Path) -> None:
    changed = tables()
    for name, table in changed.items():
        for place in reversed(places(table)):  # what lies deeper first
            if place and place[-1] == field:
                changed[name] = replaced(changed[name], place, odd)
    for name, table in changed.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(table))
    try:
        read_all(tmp_path, tmp_path / "index")
    except InputRefused as refusal:
        assert refusal.code == "data_corrupt"


DEEP: dict[str, Callable[[int], bytes]] = {
    "objects": lambda n: b'[{"id": 1, "a": ' + b'{"a": ' * n + b"1" + b"}" * n + b"}]",
    "lists": lambda n: b'[{"id": 1, "a": ' + b"[" * n + b"]" * n + b"}]",
    "both, never closed": lambda n: b'[{"id": 1, "a": ' + b'[{"a": ' * n,
    "after a text with brackets": lambda n: b'[{"id": "}}}]]]' + b"]" * n + b'", "a": ' + b"[" * n,
    "after an escaped quote": lambda n: b'[{"id": "\\"}}}]]]' + b"]" * n + b'", "a": ' + b"[" * n,
    "after a block's end": lambda n: b" " * (BUFFER - 17) + b'[{"id": "' + b"\\\\" * 500 + b'", "a": ' + b"[" * n,
}


@pytest.mark.parametrize("shape", DEEP)
@pytest.mark.parametrize("depth", [100, 50_000])
def test_deep_nesting_is_refused_before_it_takes_memory(shape: str, depth: int, tmp_path: Path) -> None:
    file = tmp_path / "objects.json"
    file.write_bytes(DEEP[shape](depth))
    tracemalloc.start()
    try:
        for read in (rows, pairs):
            with pytest.raises(InputRefused, match="nested") as refusal:
                list(read(Source("objects", file)))
            assert refusal.value.code == "data_corrupt"
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text", ["[" * 500, "{" * 500, '\\"' + "[" * 500, "\\\\" * 3 + "{" * 500, "]" * 500, "\\u005b" * 200]
)
@pytest.mark.parametrize("before", range(BUFFER - 12, BUFFER + 2))
def test_brackets_in_texts_are_no_depth(text: str, before: int, tmp_path: Path) -> None:
    """Wherever a block ends: in the text, before its quote, between a backslash and what it escapes."""
    file = tmp_path / "objects.json"
    file.write_text(" " * (before - 2) + f'[{{"t": "{text}"}}, {{"id": 2}}]')
    assert len(list(rows(Source("objects", file)))) == 2


def test_as_much_depth_as_is_allowed_is_read(tmp_path: Path) -> None:
    file = tmp_path / "objects.json"
    file.write_bytes(DEEP["lists"](MAX_DEPTH - 2))
    assert len(list(rows(Source("objects", file)))) == 1


def zipped(folder: Path, change: Callable[[bytearray], None], method: int = zipfile.ZIP_DEFLATED) -> None:
    """The tables, one of them in a zip file of which something is changed."""
    write_quirks(folder)
    table = (folder / "objects.json").read_bytes()
    (folder / "objects.json").unlink()
    with zipfile.ZipFile(folder / "objects.json.zip", "w", method) as archive:
        archive.writestr("objects.json", table)
    data = bytearray((folder / "objects.json.zip").read_bytes())
    change(data)
    (folder / "objects.json.zip").write_bytes(data)


def set_field(data: bytearray, local: int, central: int, value: int) -> None:
    """A field of two bytes, in the member's own head and in the archive's list."""
    at = data.rindex(b"PK\x01\x02")
    data[local : local + 2] = struct.pack("<H", value)
    data[at + central : at + central + 2] = struct.pack("<H", value)


def spoil(data: bytearray) -> None:
    data[60:90] = bytes(30)


ARCHIVES: dict[str, tuple[Callable[[bytearray], None], int]] = {
    "encrypted": (lambda data: set_field(data, 6, 8, 1), zipfile.ZIP_DEFLATED),
    "unknown method": (lambda data: set_field(data, 8, 10, 97), zipfile.ZIP_DEFLATED),
    "spoilt": (spoil, zipfile.ZIP_DEFLATED),
    "spoilt lzma": (spoil, zipfile.ZIP_LZMA),
    "spoilt bz2": (spoil, zipfile.ZIP_BZIP2),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_that_can_not_be_unpacked_is_refused(kind: str, tmp_path: Path) -> None:
    zipped(tmp_path / "vg", *ARCHIVES[kind])
    with pytest.raises(InputRefused) as refusal:
        read_all(tmp_path / "vg", tmp_path / "index")
    assert refusal.value.code == "data_corrupt"


@pytest.mark.parametrize(
    "url", ["http://x/" + "a" * 5000, "http://[", "http://x/a\0b", "http://x/" + "ä" * 200, "/" * 5000]
)
def test_an_address_that_can_be_no_file_is_none(url: str, tmp_path: Path) -> None:
    shot = shot_of({"image_id": 7, "width": 9, "height": 9, "url": url}, Counter())
    assert shot is not None and shot.path == "7.jpg"
    assert look_up(tmp_path, shot, Limits())[1] == "pictures: missing"


@pytest.mark.parametrize("value", [10**400, -(10**400), "9" * 5000, "1e999", "nan", float("inf"), True, None, [], {}])
def test_what_is_no_number_is_none(value: object) -> None:
    assert whole_number(value) is None


LONG_ROWS = {
    "a text": (b'[{"image_id":1,"a":"', b"a" * 1000, b'"}]'),
    "a text that is a row": (b'["', b"a," * 500, b'"]'),
    "a number": (b'[{"image_id":1,"a":', b"1" * 1000, b"}]"),
    "values": (b'[{"image_id":1,"a":[', b"1," * 500, b"1]}]"),
    "objects": (b'[{"image_id":1,"a":[', b"{}," * 333, b"{}]}]"),
    "nothing": (b'[{"image_id":1,"a":[', b" " * 1000, b"]}]"),
    "keys": (b'[{"image_id":1', b',"a":1' * 160, b"}]"),
}


@pytest.mark.parametrize("kind", LONG_ROWS)
def test_a_row_that_unfolds_without_end_is_refused_before_it_takes_memory(kind: str, tmp_path: Path) -> None:
    head, part, tail = LONG_ROWS[kind]
    file = tmp_path / "objects.json.gz"
    with gzip.open(file, "wb", 1) as packed:
        packed.write(head)
        packed.writelines([part * 1000] * 64)
        packed.write(tail)
    with gzip.open(file) as unfolded, pytest.raises(InputRefused, match="row has more than"):
        stream = Shallow(cast("IO[bytes]", unfolded))
        while stream.read(BUFFER):
            pass


def test_many_rows_are_no_long_row(tmp_path: Path) -> None:
    file = tmp_path / "qa_to_region_mapping.json"
    file.write_text("{" + ",".join(f'"{number:>20}":1' for number in range(700_000)) + "}")
    with file.open("rb") as opened:
        stream = Shallow(opened)
        while stream.read(BUFFER):
            pass
    assert file.stat().st_size > MAX_ROW


def test_a_picture_has_so_many_objects_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is compared with all others of its name."""
    monkeypatch.setattr(rows_module, "MOST_THINGS", 200)
    counts: Counter[str] = Counter()
    things = [
        {"object_id": n, "x": 2 * (n % 100), "y": 2 * (n // 100), "w": 1, "h": 1, "names": ["a"]} for n in range(250)
    ]
    assert len(objects_of({"objects": things}, Size(500, 500), counts)) == 200
    assert counts["objects: more than 200 in a picture"] == 50


@pytest.mark.parametrize("place", ["pipe", "/dev/null", "loop"])
def test_tables_lie_in_a_folder_or_a_file(place: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputRefused, match="no such folder or file"):
        find(tmp_path / place)
