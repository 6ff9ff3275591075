"""Files of the published sets, as the world writes them: all are read, every drop is counted, rows train and show."""

import pickle
import random
import re
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from encodings.aliases import aliases
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sudden_death import killed_at_draft
from typer.testing import CliRunner

from zoomagent.cli import data as cli
from zoomagent.data.grounding.annotation import Annotation, Kind
from zoomagent.data.grounding.pipeline import PICTURES, Settings, annotations, make
from zoomagent.data.grounding.plain_values import read_plain
from zoomagent.data.grounding.telling import sentence_row
from zoomagent.data.grounding.world_sets import SIDE, corners_of, name_of, named_once, write_set
from zoomagent.data.trajectories.showing import show
from zoomagent.data.trajectories.trajectory import read_parquet
from zoomagent.data.world.scene import SMALL, draw_scene
from zoomagent.errors import InputRefused, RunError, SettingInvalid
from zoomagent.geometry import Box, Size, View, box_from_model, coverage
from zoomagent.models.profiles import override, profile_for
from zoomagent.models.words.interleaved import parse_interleaved

SCENES = [draw_scene(SMALL, 1, index) for index in range(4)]
WHOLE_VIEW = View("", Box(0, 0, SIDE, SIDE), Size(SIDE, SIDE))
QWEN = profile_for("Qwen/Qwen3-VL-2B-Instruct")


def read(kind: Kind, folder: Path) -> tuple[list[Annotation], Counter[str]]:
    counts: Counter[str] = Counter()
    return list(annotations(kind, folder, counts)), counts


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_set_of_the_world_is_read_as_it_was_drawn(kind: Kind, tmp_path: Path) -> None:
    write_set(kind, tmp_path)
    found, counts = read(kind, tmp_path)
    assert found and all(one.boxes or one.shares or one.moments for one in found)
    assert sum(number for reason, number in counts.items() if reason.endswith(": read")) == len(found)
    if kind in ("refcoco", "flickr30k"):
        drawn = [corners_of(item) for scene in SCENES for item in named_once(scene)]
        assert [one.boxes[0] for one in found] == drawn and {one.size for one in found} == {(SIDE, SIDE)}
        assert all((tmp_path / one.file).is_file() for one in found)
    if kind == "activitynet":
        assert all(one.moments[0][1] <= (one.duration or 0) for one in found)
    if kind == "didemo":
        assert all(end - start >= 5000 and start % 5000 == 0 for one in found for start, end in one.moments)
    if kind == "vggss":
        assert counts["boxes: without area"] == counts["clips: without a good box"] == 1


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_set_becomes_rows_by_one_command_and_a_finished_folder_stays(kind: Kind, tmp_path: Path) -> None:
    folder, out = tmp_path / "set", tmp_path / "out"
    write_set(kind, folder)
    command = ["grounding", kind, str(folder), str(out)]
    first = CliRunner().invoke(cli.app, command)
    assert first.exit_code == 0, first.output
    before = {file.relative_to(out): file.read_bytes() for file in out.rglob("*") if file.is_file()}
    assert CliRunner().invoke(cli.app, command).output == first.output
    assert before == {file.relative_to(out): file.read_bytes() for file in out.rglob("*") if file.is_file()}
    with pytest.raises(SettingInvalid):
        make(kind, folder, out, Settings(folder, QWEN, limit=1))
    if kind not in ("refcoco", "flickr30k"):
        found, _ = read(kind, folder)
        lines = (out / "annotations.jsonl").read_bytes().splitlines()
        assert [orjson.loads(line)["phrase"] for line in lines] == [one.phrase for one in found]


def test_a_run_that_was_killed_ends_in_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoomagent.data.grounding.pipeline.SHARD", 5)
    write_set("refcoco", tmp_path / "set")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    make("refcoco", tmp_path / "set", whole, Settings(tmp_path / "set", QWEN))
    parts = iter(range(100))

    def write(rows: Any, file: Path) -> None:
        if next(parts) == 2:
            raise KeyboardInterrupt
        write_parquet(rows, file)

    from zoomagent.data.trajectories.trajectory import write_parquet

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("zoomagent.data.grounding.pipeline.write_parquet", write)
        make("refcoco", tmp_path / "set", broken, Settings(tmp_path / "set", QWEN))
    make("refcoco", tmp_path / "set", broken, Settings(tmp_path / "set", QWEN))
    files = sorted(file.relative_to(whole) for file in whole.rglob("*") if file.is_file())
    assert len(files) > 6 and all((whole / file).read_bytes() == (broken / file).read_bytes() for file in files)


@pytest.mark.skipif(sys.platform == "win32", reason="forks and SIGKILL")
@pytest.mark.parametrize("kind", ["refcoco", "charades-sta"])
def test_killed_at_any_file_it_leaves_nothing_beside_the_same_bytes(kind: Kind, tmp_path: Path) -> None:
    folder, whole = tmp_path / "set", tmp_path / "whole"
    write_set(kind, folder)
    make(kind, folder, whole, Settings(folder, QWEN))
    for number in range(2):  # the settings, the card
        broken = tmp_path / f"broken-{number}"
        assert killed_at_draft(partial(make, kind, folder, broken, Settings(folder, QWEN)), number)
        make(kind, folder, broken, Settings(folder, QWEN))
        files = {file.relative_to(broken) for file in broken.rglob("*") if file.is_file()}
        assert files == {file.relative_to(whole) for file in whole.rglob("*") if file.is_file()}
        assert all((whole / file).read_bytes() == (broken / file).read_bytes() for file in files)


def test_a_folder_belongs_to_its_annotations_and_to_the_profile(tmp_path: Path) -> None:
    one, other, out = tmp_path / "one", tmp_path / "other", tmp_path / "out"
    for kind in get_args(Kind):
        write_set(kind, one / kind)
        write_set(kind, other / kind, seed=2)
        card = make(kind, one / kind, out / kind, Settings(one, QWEN))
        with pytest.raises(SettingInvalid) as refused:
            make(kind, other / kind, out / kind, Settings(one, QWEN))
        assert refused.value.code == "run_mismatch"
        # The same files elsewhere are the same annotations.
        (one / kind).rename(tmp_path / "moved")
        assert make(kind, tmp_path / "moved", out / kind, Settings(one, QWEN)) == card
        (tmp_path / "moved").rename(one / kind)
    for profile in (override(QWEN, {"box_step": 10}), override(QWEN, {"whole_pixels": 300000})):
        with pytest.raises(SettingInvalid):
            make("refcoco", one / "refcoco", out / "refcoco", Settings(one, profile))


def test_a_set_with_a_picture_on_both_sides_leaves_nothing_behind(tmp_path: Path) -> None:
    folder, out = tmp_path / "set", tmp_path / "out"
    write_set("refcoco", folder, scenes=8)
    file = folder / "refs(unc).p"
    good = file.read_bytes()
    # Only the last ref changes its side, which a shard that is written early cannot know.
    file.write_bytes(b"train".join(good.rsplit(b"val", 1)).replace(b"\x03\x00\x00\x00train", b"\x05\x00\x00\x00train"))
    with pytest.raises(SettingInvalid) as refused:
        make("refcoco", folder, out, Settings(folder, QWEN))
    assert refused.value.code == "split_leak" and not out.exists()
    file.write_bytes(good)
    card = make("refcoco", folder, out, Settings(folder, QWEN))
    rows = [row for part in out.rglob("*.parquet") for row in read_parquet(part)]
    assert len(rows) == len({row.id for row in rows}) == sum(card["rows"].values())


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (("refs(google).p", "refs(unc).p"), "refs(unc).p"),
        (("refs(google).p", "refs(umd).p"), "refs(umd).p"),
        (("refs(unc).p", "refs(umd).p", "refs(google).p"), "refs(umd).p"),
        (("refs(google).p",), "refs(google).p"),
        (("refs(google).p", "refs(other).p"), ""),
        (("refs(unc).p", "refs(unc) (1).p"), ""),
    ],
)
def test_one_split_of_refcoco_is_read(names: tuple[str, ...], chosen: str, tmp_path: Path) -> None:
    write_set("refcoco", tmp_path)
    (tmp_path / "refs(unc).p").rename(tmp_path / "kept")
    for name in names:
        side = b"X\x03\x00\x00\x00val" if name == chosen else b"X\x04\x00\x00\x00test"
        (tmp_path / name).write_bytes((tmp_path / "kept").read_bytes().replace(b"X\x05\x00\x00\x00train", side))
    if chosen:
        found, counts = read("refcoco", tmp_path)
        assert "val" in {one.split for one in found} and "test" not in {one.split for one in found}
        assert counts["split files: not read"] == len(names) - 1
    else:
        with pytest.raises(InputRefused) as refused:
            read("refcoco", tmp_path)
        assert refused.value.code == "data_ambiguous" and names[0] in str(refused.value)


@pytest.mark.parametrize("kind", ["refcoco", "flickr30k", "didemo", "vggss"])
def test_what_is_there_twice_is_read_once(kind: Kind, tmp_path: Path) -> None:
    write_set(kind, tmp_path)
    before, _ = read(kind, tmp_path)
    names = {"refcoco": "refs(unc).p", "flickr30k": "train.txt", "didemo": "train_data.json", "vggss": "vggss.json"}
    file = tmp_path / names[kind]
    content = file.read_bytes()
    again = {".p": lambda: pickle.dumps(read_plain(content) * 2), ".txt": lambda: content * 2}
    file.write_bytes(again.get(file.suffix, lambda: orjson.dumps(orjson.loads(content) * 2))())
    found, counts = read(kind, tmp_path)
    assert found == before and counts["annotations: there twice"] > 0


def test_lines_of_several_files_are_apart(tmp_path: Path) -> None:
    write_set("charades-sta", tmp_path)
    before, _ = read("charades-sta", tmp_path)
    (tmp_path / "charades_sta_train_more.txt").write_text("OTHER 1.0 2.0##a dog appears.\n")
    found, counts = read("charades-sta", tmp_path)
    assert len({one.id for one in found}) == len(found) == len(before) + 1 and not counts["annotations: there twice"]


@pytest.mark.parametrize("kind", ["refcoco", "flickr30k"])
def test_rows_of_pictures_are_shown_and_their_boxes_are_those_of_the_set(kind: Kind, tmp_path: Path) -> None:
    folder, out = tmp_path / "set", tmp_path / "out"
    write_set(kind, folder)
    card = make(kind, folder, out, Settings(folder, QWEN))
    rows = [row for file in sorted(out.rglob("*.parquet")) for row in read_parquet(file)]
    assert len(rows) == sum(card["rows"].values()) and card["rows"]["train"] and card["rows"]["held-out"]
    for row in rows:
        if row.id.endswith("-where"):
            numbers = orjson.loads(row.answer)
            assert [round(n * SIDE / 1000) for n in numbers] == pytest.approx(row.targets[0], abs=1)
        if row.id.endswith("-said"):
            said = parse_interleaved(row.answer)
            assert said.phrases and all(phrase.boxes for phrase in said.phrases) and "notvisual" not in said.words
    assert show(out, 4, tmp_path / "page.html") == 4


def test_boxes_of_rows_are_as_coarse_as_their_model_was_taught(tmp_path: Path) -> None:
    nano = profile_for("nano")
    assert nano.box_step == 10
    for kind in PICTURES:
        write_set(kind, tmp_path / kind)
        make(kind, tmp_path / kind, tmp_path / "out" / kind, Settings(tmp_path, nano))
    for row in (row for file in (tmp_path / "out").rglob("*.parquet") for row in read_parquet(file)):
        told = row.question if row.id.endswith("-what") else row.answer
        numbers = [int(n) for four in re.findall(r"\[(\d[\d, ]*)\]", told) for n in four.split(",")]
        assert numbers and all(n % 10 == 0 for n in numbers)
        if row.id.endswith("-where"):
            assert (
                coverage(Box(*row.targets[0]), box_from_model(numbers, "thousand", WHOLE_VIEW, Size(SIDE, SIDE))) == 1
            )


def sentences_of(folder: Path, out: Path, limit: int | None = None) -> dict[str, list[str]]:
    """The phrases with boxes of each sentence that became a row."""
    make("flickr30k", folder, out, Settings(folder, QWEN, limit))
    rows = [row for file in sorted(out.rglob("*.parquet")) for row in read_parquet(file)]
    assert len({row.id for row in rows}) == len(rows)
    assert limit is None or sum(row.id.endswith("-where") for row in rows) <= limit
    said = [parse_interleaved(row.answer) for row in rows if row.id.endswith("-said")]
    assert len({one.words for one in said}) == len(said)
    return {one.words: [one.text(phrase) for phrase in one.phrases] for one in said}


def test_a_sentence_is_one_row_with_all_its_phrases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "set"
    write_set("flickr30k", folder)
    whole = sentences_of(folder, tmp_path / "whole")
    assert len(whole) == 4 and all(len(phrases) > 3 for phrases in whole.values())
    for limit in range(1, 12):
        cut = sentences_of(folder, tmp_path / f"limit-{limit}", limit)
        assert cut.items() <= whole.items()
    for shard in (1, 2, 5):
        monkeypatch.setattr("zoomagent.data.grounding.pipeline.SHARD", shard)
        assert sentences_of(folder, tmp_path / f"shard-{shard}") == whole


@pytest.mark.parametrize(
    ("line", "places"),
    [
        ("A cart beside [/EN#1/o a car] .", [14]),
        ("[/EN#1/o A car] and [/EN#1/o a car] .", [0, 10]),
        ("  the  carpet of [/EN#1/o  car] cars", [14]),
        ("un[/EN#1/o man] a man", [2]),
        ("a car [/EN#0/notvisual a car] by [/EN#1/o a  car] , [/EN#2/o a car]", [15]),
        ("[/EN#1/o a [/EN#1/o car] park] beside [/EN#1/o   ]", []),
    ],
)
def test_a_phrase_is_where_it_was_marked(line: str, places: list[int], tmp_path: Path) -> None:
    write_set("flickr30k", tmp_path, scenes=1)
    name = name_of("flickr30k", 0)
    (tmp_path / "Sentences" / f"{name}.txt").write_text(line)
    (tmp_path / "Annotations" / f"{name}.xml").write_text(XML.format("utf-8", SIDE, SIDE, 1))
    found, counts = read("flickr30k", tmp_path)
    assert [one.start for one in found] == places
    assert all(one.sentence[one.start :].startswith(one.phrase) for one in found)
    row = sentence_row(found, 0, QWEN, "flickr30k") if found else None
    if row is not None:
        said = parse_interleaved(row.answer)
        assert [phrase.start for phrase in said.phrases] == places and said.words == found[0].sentence
    assert row is not None or not places


PLAIN = some.recursive(
    some.none()
    | some.booleans()
    | some.integers(-(2**70), 2**70)
    | some.floats(allow_nan=False)
    | some.text()
    | some.binary(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner) | some.tuples(inner, inner),
    max_leaves=8,
)


@settings(max_examples=60)
@given(PLAIN, some.integers(0, 5))
def test_plain_values_are_read_without_unpickling(value: Any, protocol: int) -> None:
    content = pickle.dumps(value, protocol)
    try:
        assert read_plain(content) == value
    except InputRefused:
        # Old protocols write bytes and sets as calls of code, which are refused.
        assert protocol < 3 and (b"_codecs" in content or b"bytes" in content)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(print),
        pickle.dumps(Path("a")),
        b"",
        b"(",
        b"a.",
        b"(l",
        b"]" * 9,
        b"t.",
        b"q\x00.",
        b"(.",
        b"cos\nsystem\n(S'x'\ntR.",
    ],
)
def test_what_is_more_than_plain_values_is_refused(content: bytes) -> None:
    with pytest.raises(InputRefused):
        read_plain(content)


def test_keys_and_members_are_single_values_and_deep_ones_end_no_process() -> None:
    # A tuple in a tuple in a tuple …: to hash it would end the process, so a process of its own tries.
    program = """
from zoomagent.data.grounding.plain_values import read_plain
from zoomagent.errors import InputRefused

deep = b")" + b"\\x85" * 200_000
for content in (
    b"}" + deep + b"Ns.", b"}(" + deep + b"Nu.", b"(" + deep + b"Nd.", b"\\x8f(" + deep + b"\\x90.",
    b"(" + deep + b"\\x91.", b"})Ns.", b"}]Ns.", b"}(](Nd.", b"\\x8f()\\x90.", b"()\\x91.",
):
    try:
        read_plain(content)
    except InputRefused as error:
        assert error.code == "data_corrupt"
    else:
        raise AssertionError(content[:9])
assert read_plain(b"(" + deep + b"t.") and read_plain(deep + b".")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    good = {1: 2, "a": 3, b"b": [(1, (2,))], None: 4, 1.5: 5}
    assert read_plain(pickle.dumps([good, {"a", 1}, frozenset({b"c"})], 4)) == [good, {"a", 1}, {b"c"}]


HOSTILE: some.SearchStrategy[Any] = some.sampled_from([
    1e308, -1e308, 2**62, -1, 0, 0.5, True, None, "", " ", "inf", "nan", "1e308", "²", "9" * 30, "\0", "a" * 5000,
    [], {}, [[]], ["x"], {"a": 1},
    [1e308, 0, 1e308, 5], [0, 0, 2**62, 2**62], ["nan", 0, 5, 5], ["inf", 0, 5, 5], [None, 1], [1, 2, 3], 4 * [[0, 0]],
])  # fmt: skip
PICKLED: some.SearchStrategy[Any] = some.sampled_from(
    [float("inf"), float("nan"), "\ud800", b"bytes", 2**200, ((((1,),),),), b"cyclic", b"deep", b"wide"]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to everything that a value holds."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in inner for place in places(one, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def pickled(value: Any) -> Any:
    """What only a pickle can hold."""
    if value == b"cyclic":
        endless: list[Any] = []
        endless.append(endless)
        return endless
    if value == b"wide":
        shared: Any = ["words"]
        for _ in range(60):
            shared = [shared, shared]
        return shared
    return value


@pytest.mark.parametrize("kind", ["refcoco", "activitynet", "didemo", "vggss"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.data())
def test_any_value_in_any_place_is_dropped_or_refused(kind: Kind, tmp_path: Path, data: some.DataObject) -> None:
    folder = tmp_path / "set"
    if not folder.exists():
        write_set(kind, folder)
    file = data.draw(some.sampled_from(sorted([*folder.glob("*.json"), *folder.glob("*.p")])))
    content = file.read_bytes()
    value = read_plain(content) if file.suffix == ".p" else orjson.loads(content)
    path = data.draw(some.sampled_from(places(value)))
    new = data.draw(HOSTILE | PICKLED if file.suffix == ".p" else HOSTILE)
    if new == b"deep":
        marker = pickle.dumps(replaced(value, path, "MARKER"), 2).split(b"X\x06\x00\x00\x00MARKER")
        damaged = (b")" + b"\x85" * 100_000).join(marker)
    elif file.suffix == ".p":
        damaged = pickle.dumps(replaced(value, path, pickled(new)), 4)
    else:
        damaged = orjson.dumps(replaced(value, path, new))
    file.write_bytes(damaged)
    try:
        made_or_refused(kind, folder, tmp_path)
    finally:
        file.write_bytes(content)


def made_or_refused(kind: Kind, folder: Path, tmp_path: Path) -> None:
    """Rows that can be read again and hold a good box, or a refusal with its code."""
    with TemporaryDirectory(dir=tmp_path) as out:
        try:
            make(kind, folder, Path(out), Settings(folder, QWEN))
        except (InputRefused, SettingInvalid) as error:
            assert error.code in ("data_missing", "data_corrupt", "split_leak")
        else:
            assert all(row.targets for part in Path(out).rglob("*.parquet") for row in read_parquet(part))


@pytest.mark.parametrize("kind", get_args(Kind))
def test_missing_and_damaged_files_end_typed(kind: Kind, tmp_path: Path) -> None:
    def refused_or_read() -> None:
        try:
            read(kind, tmp_path)
        except InputRefused as error:
            assert error.code in ("data_missing", "data_corrupt")

    with pytest.raises(InputRefused):
        read(kind, tmp_path)
    write_set(kind, tmp_path)
    for file in [file for file in tmp_path.rglob("*") if file.suffix in (".json", ".p", ".xml", ".txt")]:
        content = file.read_bytes()
        for damaged in (content[: len(content) // 2], b"\xff\x00" * 40, b"[]", b"{}"):
            file.write_bytes(damaged)
            refused_or_read()
        file.unlink()
        file.mkdir()
        refused_or_read()
        file.rmdir()
        file.write_bytes(content)


@pytest.mark.parametrize("place", ["folder", "out", "images"])
def test_a_link_that_leads_to_itself_is_told(place: str, tmp_path: Path) -> None:
    write_set("refcoco", tmp_path / "set")
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    named = {"folder": tmp_path / "set", "out": tmp_path / "out", "images": tmp_path / "set"} | {place: loop}
    with suppress(RunError, OSError):
        make("refcoco", named["folder"], named["out"], Settings(named["images"], profile_for("qwen3-vl")))


XML = (
    "<?xml version='1.0' encoding='{}'?><annotation><size><width>{}</width><height>{}</height></size><object>"
    "<name>1</name><bndbox><xmin>{}</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
)


def test_an_annotation_in_any_encoding_is_read_or_counted(tmp_path: Path) -> None:
    write_set("flickr30k", tmp_path, scenes=1)
    file = tmp_path / "Annotations" / f"{name_of('flickr30k', 0)}.xml"
    for encoding in sorted({*aliases.values(), "foo", "undefined", "idna", "punycode", "x" * 500}):
        file.write_text(XML.format(encoding, SIDE, SIDE, 1))
        found, counts = read("flickr30k", tmp_path)
        assert (counts["pictures: data_corrupt"] == 1) != bool(found), encoding


def test_numbers_of_an_annotation_are_digits(tmp_path: Path) -> None:
    write_set("flickr30k", tmp_path, scenes=1)
    file = tmp_path / "Annotations" / f"{name_of('flickr30k', 0)}.xml"
    for number in ("²", "٣", "1e308", "inf", "-5", "", "9" * 30, "0", "1.5", "&#178;"):
        for values in ((number, SIDE, 1), (SIDE, number, 1), (SIDE, SIDE, number)):
            file.write_text(XML.format("utf-8", *values), encoding="utf-8")
            found, counts = read("flickr30k", tmp_path)
            good = number == "0" and values[2] == "0"
            assert bool(found) == good and (
                good or counts["pictures: data_corrupt"] or counts["phrases: without a box"]
            )


def test_an_annotation_gives_no_more_boxes_than_it_holds(tmp_path: Path) -> None:
    write_set("flickr30k", tmp_path, scenes=1)
    file = tmp_path / "Annotations" / f"{name_of('flickr30k', 0)}.xml"
    box = "<name>1</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    head = f"<annotation><size><width>{SIDE}</width><height>{SIDE}</height></size>"
    for objects in (
        f"<object>{box}" * 50 + "</object>" * 50,
        f"<object>{box}<part><object>{box}</object></part></object>",
        f"<object>{box}</object>" * 300,
        f"<object>{'<name>1</name>' * 300}{box}</object>",
    ):
        file.write_text(f"{head}{objects}</annotation>")
        found, counts = read("flickr30k", tmp_path)
        assert not found and counts["pictures: data_corrupt"] == 1
    file.write_text(f"{head}{f'<object>{box}</object>' * 20}</annotation>")
    assert {len(one.boxes) for one in read("flickr30k", tmp_path)[0]} == {20}


def test_a_picture_that_is_listed_again_is_read_once(tmp_path: Path) -> None:
    write_set("flickr30k", tmp_path, scenes=1)
    once, _ = read("flickr30k", tmp_path)
    lists = list(tmp_path.glob("*.txt"))
    listed = sum(len(file.read_text().splitlines()) for file in lists)
    for file in lists:
        file.write_text(file.read_text() * 9)
    again, counts = read("flickr30k", tmp_path)
    assert again == once and counts["annotations: there twice"] == 8 * listed > 0


def test_what_a_pickle_names_from_many_places_is_read_no_oftener_than_the_file_is_long(tmp_path: Path) -> None:
    write_set("refcoco", tmp_path)
    [file] = tmp_path.glob("refs*.p")
    refs = read_plain(file.read_bytes())
    sentence = refs[0]["sentences"][0]
    shared = {**refs[0], "sentences": [sentence] * 400}
    long = {**refs[0], "sentences": [{**sentence, "sent": "word " * 4000}] * 40}
    for repeated in ([shared] * 400, [{**shared} for _ in range(400)], [long] * 40):
        file.write_bytes(pickle.dumps(repeated, 2))
        with pytest.raises(InputRefused, match="repeats its refs") as caught:
            read("refcoco", tmp_path)
        assert caught.value.code == "data_corrupt" and file.name in str(caught.value)
    apart = [{**refs[0], "ref_id": n, "sentences": [{**sentence, "sent": f"cup {n}"}]} for n in range(400)]
    file.write_bytes(pickle.dumps(apart, 2))
    assert len(read("refcoco", tmp_path)[0]) == 400
    keys = {n * (2**61 - 1) for n in range(2**30, 2**30 + 9)}
    with pytest.raises(InputRefused, match="too long for a key"):
        read_plain(pickle.dumps(keys, 4))


def test_places_in_a_sentence_are_counted_once_and_its_length_is_bounded(tmp_path: Path) -> None:
    write_set("flickr30k", tmp_path, scenes=1)
    first = read("flickr30k", tmp_path)[0][0]
    mark = re.search(r"\[/EN#(\d+)/(\S+) ", (tmp_path / "Sentences" / f"{first.file[:-4]}.txt").read_text())
    assert mark is not None
    file = tmp_path / "Sentences" / f"{first.file[:-4]}.txt"
    source = random.Random(1)
    for _ in range(50):
        line = ""
        for number in range(source.randrange(1, 8)):
            blanks = source.choice(["", " ", "  "])
            line += source.choice(["", " ", " \t", "a", " a  b ", "é,"]) + source.choice([
                f"{mark[0]}{blanks}thing{number} x{blanks}]", f"{mark[0]}  ]", f"[/EN#0/people one{blanks}]",
            ])  # fmt: skip
        file.write_text(line)
        for one in read("flickr30k", tmp_path)[0]:
            assert one.start is not None and one.sentence[one.start :].startswith(one.phrase), line
    file.write_text(f"{mark[0]}a] " * 2000)
    found, counts = read("flickr30k", tmp_path)
    assert not found and counts["sentences: too long"] == 1
