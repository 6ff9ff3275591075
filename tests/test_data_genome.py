"""Visual Genome's files are read whatever their shape, and every quirk is counted."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from genome_quirks import COUNTS, tables, write_quirks
from PIL import Image
from zoo import exif

from zoomagent.data.genome.files import find
from zoomagent.data.genome.index import GenomeIndex, Page, build
from zoomagent.data.genome.pictures import look_up
from zoomagent.data.genome.rows import Shot, attributes_of, box_of, image_id, objects_of, relations_of, whole_number
from zoomagent.data.trajectories.pipeline import Settings, make
from zoomagent.errors import InputRefused
from zoomagent.geometry import Size
from zoomagent.media.limits import Limits
from zoomagent.models.profiles import QWEN3_VL


def page_of(folder: Path, index: Path) -> Page:
    with GenomeIndex(build(find(folder), index)) as genome:
        return genome.page(1)


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    folder = write_quirks(tmp_path_factory.mktemp("quirks") / "vg")
    counts: dict[str, int] = make(folder, folder.parent / "out", Settings(folder, QWEN3_VL))["counts"]
    return counts


@pytest.mark.parametrize("reason", COUNTS)
def test_a_quirk_is_counted_once_where_it_occurs_once(card: dict[str, int], reason: str) -> None:
    assert card.get(reason) == COUNTS[reason]


def test_no_quirk_is_counted_that_is_not_there(card: dict[str, int]) -> None:
    plain = ("entries kept", "in the file", "candidates", "questions read", "not chosen")
    assert {r for r in card if not any(word in r for word in plain)} == set(COUNTS)


def test_every_question_is_a_candidate_or_dropped_for_a_reason(card: dict[str, int]) -> None:
    dropped = sum(n for reason, n in card.items() if reason.startswith("curation: dropped"))
    assert card["curation: questions read"] == card["curation: candidates"] + dropped


@pytest.mark.parametrize("shape", [{"zipped": True}, {"suffix": "_v1_2"}, {"zipped": True, "suffix": "_v1.4.0"}])
def test_zipped_and_versioned_files_say_the_same(tmp_path: Path, shape: dict[str, object]) -> None:
    plain = page_of(write_quirks(tmp_path / "a"), tmp_path / "ia")
    assert page_of(write_quirks(tmp_path / "b", **shape), tmp_path / "ib") == plain  # type: ignore[arg-type]


def test_one_zip_with_all_tables_is_read_in_place(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name, content in tables().items():
            archive.writestr(f"../vg/{name}.json", json.dumps(content))
    plain = page_of(write_quirks(tmp_path / "a"), tmp_path / "ia")
    assert page_of(tmp_path / "all.zip", tmp_path / "ib") == plain
    assert not (tmp_path.parent / "vg").exists()


def test_the_order_of_the_pictures_in_a_file_does_not_matter(tmp_path: Path) -> None:
    """But for which of two rows of one id is taken: the first."""
    pages = []
    for name in ("a", "b"):
        folder = write_quirks(tmp_path / name, backwards=name == "b")
        rows = json.loads((folder / "image_data.json").read_text())
        (folder / "image_data.json").write_text(
            json.dumps([r for r in rows if r["image_id"] <= 5 and "1b" not in r["url"]])
        )
        pages.append(page_of(folder, tmp_path / f"i{name}"))
    assert pages[0] == pages[1]


def test_names_keep_their_accents_and_boxes_are_clipped(tmp_path: Path) -> None:
    things = {one.id: one for one in page_of(write_quirks(tmp_path / "a"), tmp_path / "i").things}
    assert things[12].names == ("café au lait",)
    assert things[4].box == (40, 40, 60, 60)
    assert things[5].box == (0, 10, 16, 30)
    assert things[6].box == (390, 10, 400, 30)


@pytest.mark.parametrize("text", ["[{", "[1]", '[{"image_id": NaN}]', "", "<html>", '[{"image_id": 1}'])
def test_a_file_that_is_no_json_or_cut_off_is_refused(tmp_path: Path, text: str) -> None:
    folder = write_quirks(tmp_path / "a")
    (folder / "objects.json").write_text(text)
    with pytest.raises(InputRefused) as refused:
        build(find(folder), tmp_path / "i")
    assert refused.value.code == "data_corrupt" and "objects" in str(refused.value)


def test_a_table_that_was_cut_off_leaves_no_index_of_it(tmp_path: Path) -> None:
    folder = write_quirks(tmp_path / "a")
    whole = (folder / "objects.json").read_text()
    (folder / "objects.json").write_text(whole[:-20])
    with pytest.raises(InputRefused):
        build(find(folder), tmp_path / "i")
    (folder / "objects.json").write_text(whole)
    assert page_of(folder, tmp_path / "i") == page_of(folder, tmp_path / "fresh")


def test_missing_and_ambiguous_tables_are_refused(tmp_path: Path) -> None:
    folder = write_quirks(tmp_path / "a")
    (folder / "objects_v1_2.json").write_text("[]")
    with pytest.raises(InputRefused, match="twice"):
        find(folder)
    (folder / "objects_v1_2.json").unlink()
    (folder / "question_answers.json").unlink()
    with pytest.raises(InputRefused, match="question_answers"):
        find(folder)


@pytest.mark.parametrize(
    ("value", "number"), [("7", 7), (7.4, 7), (True, None), ("x", None), (1e999, None), (None, None)]
)
def test_a_number_is_an_int_or_nothing(value: object, number: int | None) -> None:
    assert whole_number(value) == number


def test_a_row_names_its_picture_under_any_of_the_releases_names() -> None:
    assert [image_id(row) for row in ({"id": 3}, {"image_id": "3"}, {"image": 3}, {})] == [3, 3, 3, None]


def test_a_box_wholly_outside_is_dropped_on_every_side() -> None:
    for x, y in ((-20, 0), (0, -20), (50, 0), (0, 50)):
        counts: Counter[str] = Counter()
        row = {"x": x, "y": y, "w": 20, "h": 20}
        assert box_of(row, ("x", "y", "w", "h"), Size(50, 50), "t", counts) is None
        assert counts["t: outside the picture"] == 1


# Tables that are not where their names say


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("region_descriptions.json.zip", "region_annotations.json"),
        ("objects.json.zip", "data.json"),
        ("relationships.json.bz2", ""),
        ("attributes.jsonl", ""),
        ("Objects.json", ""),
        ("objects (1).json", ""),
        ("question_answers.tar.gz", ""),
    ],
)
def test_a_table_that_is_not_found_under_its_name_is_told(name: str, member: str, tmp_path: Path) -> None:
    """It was left out without a word: 26 rows, not 32."""
    import zipfile

    table = next(one for one in tables() if name.lower().startswith(one))
    folder = write_quirks(tmp_path / "vg")
    content = (folder / f"{table}.json").read_bytes()
    (folder / f"{table}.json").unlink()
    (folder / name).write_bytes(content)
    if member:
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr(member, content)
    with pytest.raises(InputRefused) as refusal:
        find(folder)
    assert refusal.value.code == "data_missing" and name in str(refusal.value) and table in str(refusal.value)


def test_a_table_packed_by_gzip_is_read(tmp_path: Path) -> None:
    import gzip

    plain = page_of(write_quirks(tmp_path / "a"), tmp_path / "ia")
    folder = write_quirks(tmp_path / "b")
    for file in list(folder.glob("*.json")):
        (folder / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert page_of(folder, tmp_path / "ib") == plain


def test_a_gzip_file_that_is_none_or_cut_off_is_refused(tmp_path: Path) -> None:
    import gzip

    changes: tuple[Callable[[bytes], bytes], ...] = (lambda data: b"no gzip", lambda data: data[: len(data) // 2])
    for number, change in enumerate(changes):
        folder = write_quirks(tmp_path / f"vg-{number}")
        file = folder / "objects.json"
        (folder / "objects.json.gz").write_bytes(change(gzip.compress(file.read_bytes())))
        file.unlink()
        with pytest.raises(InputRefused) as refusal:
            page_of(folder, tmp_path / f"index-{number}")
        assert refusal.value.code == "data_corrupt"


# Wrong types


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"attributes": [{"subject": {"object_id": 1}, "attributes": 3}]}, "attributes: words of another type"),
        ({"attributes": 5}, "attributes: no list"),
    ],
)
def test_attributes_of_a_wrong_type_are_counted(row: dict[str, Any], reason: str) -> None:
    counts: Counter[str] = Counter()
    attributes_of(row, counts)
    assert counts[reason] == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {"relationships": [{"subject": "man", "predicate": "on", "object": {"object_id": 2}}]},
            "relationships: of no object",
        ),
        ({"relationships": {"a": 1}}, "relationships: no list"),
        ({"relationships": ["man on horse"]}, "relationships: entry is no object"),
    ],
)
def test_relations_of_a_wrong_type_are_counted(row: dict[str, Any], reason: str) -> None:
    counts: Counter[str] = Counter()
    assert relations_of(row, counts) == [] and counts[reason] == 1


@pytest.mark.parametrize("names", [5, {"name": "cup"}, [5], ["cup", None], True])
def test_names_of_a_wrong_type_are_counted(names: object) -> None:
    counts: Counter[str] = Counter()
    objects_of({"objects": [{"object_id": 1, "x": 0, "y": 0, "w": 9, "h": 9, "names": names}]}, Size(99, 99), counts)
    assert counts["objects: name is no text"] == 1


@pytest.mark.parametrize(("turn", "side"), [(2, 50), (3, 50), (6, 80), (8, 80)])
def test_a_picture_that_exif_turns_and_no_size_tells_is_counted(turn: int, side: int, tmp_path: Path) -> None:
    """Square, mirrored or upside down: the tables' size fits both ways, their boxes only one."""
    Image.new("RGB", (80, side)).save(tmp_path / "1.jpg", exif=b"Exif\0\0" + exif(turn))
    assert "turned by EXIF" in look_up(tmp_path, Shot(1, "1.jpg", Size(80, side)), Limits())[1]
