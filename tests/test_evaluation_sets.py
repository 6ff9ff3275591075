"""Published sets: every loader reads what its authors publish, and refuses what is missing or damaged before asking."""

import asyncio
import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow
import pytest
from fake_server import FakeServer, images_of
from pyarrow import parquet
from typer.testing import CliRunner

from zoomagent.batch.gold import judge
from zoomagent.batch.rows import Row, read_rows
from zoomagent.cli.bench import app
from zoomagent.errors import InputRefused, ServerError, SettingInvalid
from zoomagent.evaluation.answerers import Way
from zoomagent.evaluation.contestants import Contestant, Given
from zoomagent.evaluation.public import Part, Plan, ask_all, measure, name_with_arbiter
from zoomagent.evaluation.public_table import Price, public_rows
from zoomagent.evaluation.results import Result, ResultFile, load
from zoomagent.evaluation.scoring import cluster_interval, wilson
from zoomagent.evaluation.sets.public import files
from zoomagent.evaluation.sets.public.catalogue import SETS, check, named_set
from zoomagent.evaluation.sets.public.drawing import draw_set
from zoomagent.evaluation.sets.public.exporting import export
from zoomagent.evaluation.sets.public.files import match_option, read_table, split_options, strip_letters, write_parquet
from zoomagent.evaluation.sets.public.own import own_set
from zoomagent.evaluation.sets.public.question import Rule, SetQuestion
from zoomagent.evaluation.sets.public.vstar import HINT
from zoomagent.evaluation.sets.public.worth import worth
from zoomagent.graphs.timing import timing_of
from zoomagent.media import Picture, Video
from zoomagent.models.base import Model
from zoomagent.models.loading import load_model, use_profile
from zoomagent.models.server.openai_server import OpenAIModel
from zoomagent.moments import Moment
from zoomagent.moments import iou as moment_iou

SIDE = 320
N = 6


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set of each format, in a folder of its name."""
    folder = tmp_path_factory.mktemp("sets")
    for name, kind in SETS.items():
        draw_set(kind, folder / name, N, SIDE)
    return folder


# Each set with a field that every row needs, and how its right answers are written.
FIELDS = {
    "vstar": "label", "hr-bench-4k": "answer", "hr-bench-8k": "answer", "mme-realworld-lite": "answer",
    "treebench": "target_instances", "zoombench": "response", "visualprobe": "solution", "textvqa": "answers",
    "gqa": "answer", "gqa-options": "question", "seed-bench": "choice_c", "mmbench-dev": "hint", "pope": "label",
    "mmvp": "Correct Answer", "blink-spatial": "choices", "refcoco": "bbox",
    "charades-sta": "##", "charades-timelens": "spans",
}  # fmt: skip


def files_of(folder: Path) -> list[Path]:
    """The files with questions."""
    kinds = (".json", ".jsonl", ".tsv", ".csv", ".parquet", ".txt")
    return [f for f in sorted(folder.rglob("*")) if f.suffix in kinds and not f.with_suffix(".jpg").exists()]


def cut(folder: Path, name: str) -> None:
    """A download that ended too early."""
    for file in files_of(folder):
        file.write_bytes(file.read_bytes()[: file.stat().st_size * 6 // 10])


def take_away(folder: Path, name: str) -> None:
    for file in files_of(folder):
        file.unlink()


def rename_field(folder: Path, name: str) -> None:
    """Files of another set, or of another version of this one."""
    for file in files_of(folder):
        if file.suffix == ".parquet":
            change_rows(file, lambda row: {("other" if field == FIELDS[name] else field): row[field] for field in row})
        else:
            quotes = b'"' if file.suffix in (".json", ".jsonl") else b""
            field = quotes + FIELDS[name].encode() + quotes
            file.write_bytes(file.read_bytes().replace(field, quotes + b"other" + quotes))


def spoil_pictures(folder: Path, name: str) -> None:
    """Pictures that were not unpacked, or that are no pictures."""
    for file in folder.rglob("*"):
        if file.suffix == ".parquet":
            change_rows(
                file, lambda row: row | {field: None for field in ("bytes", "image", "image_1") if field in row}
            )
        elif file.suffix == ".tsv":
            file.write_bytes(file.read_bytes().replace(b"/9j/", b"!9j!"))
        elif file.suffix in (".jpg", ".mp4") or file.parent.name == "SEED-Bench-image":
            file.unlink()


def change_rows(file: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    rows = [change(row) for row in parquet.read_table(file).to_pylist()]
    write_parquet(file, rows)


@pytest.mark.parametrize("damage", [cut, take_away, rename_field, spoil_pictures])
@pytest.mark.parametrize("name", SETS)
def test_a_set_that_is_damaged_is_refused_before_anything_is_asked(
    drawn: Path, tmp_path: Path, name: str, damage: Callable[[Path, str], None]
) -> None:
    folder = tmp_path / name
    shutil.copytree(drawn / name, folder)
    damage(folder, name)
    with pytest.raises(InputRefused) as caught:
        check(SETS[name], folder, part=True)
    assert caught.value.code in ("data_missing", "data_corrupt")
    assert str(tmp_path) not in str(caught.value)


DEEP = b"[" * 1000 + b"]" * 1000


@pytest.mark.parametrize("value", ["DEEP", {"a": 1}, True, "x" * 5000, [1e300, "inf", 1, 1]])
@pytest.mark.parametrize(
    "name",
    [
        "vstar",
        "visualprobe",
        "textvqa",
        "gqa",
        "gqa-options",
        "seed-bench",
        "pope",
        "mme-realworld-lite",
        "charades-timelens",
    ],
)
def test_any_value_in_any_field_is_read_or_refused(drawn: Path, tmp_path: Path, name: str, value: Any) -> None:
    folder = tmp_path / name
    shutil.copytree(drawn / name, folder)
    if name == "mme-realworld-lite":
        as_list(folder)
    for file in sorted(folder.rglob("*.json*")):
        content = file.read_bytes()
        is_lines = file.suffix == ".jsonl" or name == "pope"
        whole = [json.loads(line) for line in content.splitlines()] if is_lines else json.loads(content)
        for path in paths_of(whole):
            damaged = with_value(whole, path, value)
            lines = damaged if is_lines and isinstance(damaged, list) else [damaged]
            file.write_bytes(b"\n".join(map(dumped, lines)))
            try:
                check(SETS[name], folder, part=True)
            except InputRefused as error:
                assert error.code in ("data_missing", "data_corrupt") and len(str(error)) < 1000
        file.write_bytes(content)


def as_list(folder: Path) -> None:
    """The second form of MME-RealWorld-Lite: a list with its pictures beside it."""
    [table] = folder.rglob("*.parquet")
    rows = []
    for row in parquet.read_table(table).to_pylist():
        (folder / row["path"]).write_bytes(b"x" * 20)
        rows.append({
            "Question_id": row["index"], "Image": row["path"], "Text": row["question"],
            "Answer choices": row["multi-choice options"], "Ground truth": row["answer"], "Category": row["category"],
        })  # fmt: skip
    table.unlink()
    (folder / "MME_RealWorld_Lite.json").write_bytes(dumped(rows))


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode().replace(b'"DEEP"', DEEP)


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to what a value holds; of a list, to the first only."""
    inner = value.items() if isinstance(value, dict) else [(0, value[0])] if isinstance(value, list) and value else []
    return [path, *(place for key, one in inner for place in paths_of(one, (*path, key)))]


def with_value(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = with_value(value[path[0]], path[1:], new)
    return copy


@pytest.mark.parametrize("name", ["zoombench", "blink-spatial", "mme-realworld-lite"])
def test_a_damaged_page_of_a_parquet_file_is_refused(drawn: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(drawn / name, tmp_path / name)
    [file] = (tmp_path / name).rglob("*.parquet")
    content, refused = file.read_bytes(), 0
    text = content.index(b"?")
    for place in range(max(4, text - 90), text + 90, 5):
        damaged = bytearray(content)
        damaged[place : place + 4] = b"\xff\xfe\xc0\x80"
        file.write_bytes(damaged)
        try:
            check(SETS[name], tmp_path / name, part=True)
        except InputRefused as error:
            assert error.code in ("data_missing", "data_corrupt") and str(tmp_path) not in str(error)
            refused += file.name in str(error)
    assert refused


def one_value_in_many_rows() -> pyarrow.Array:
    return pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 8, pyarrow.int32()), pyarrow.array([b"x" * 60_000]))


def many_values_in_one_row(values: pyarrow.Array) -> pyarrow.Array:
    return pyarrow.ListArray.from_arrays(pyarrow.array([0, len(values)], pyarrow.int32()), values)


@pytest.mark.parametrize(
    ("column", "rows"),
    [(one_value_in_many_rows(), 8), (many_values_in_one_row(one_value_in_many_rows()), None),
     (many_values_in_one_row(pyarrow.nulls(3000, pyarrow.bool_())), None)],
)  # fmt: skip
def test_a_few_bytes_of_a_parquet_file_fill_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: pyarrow.Array, rows: int | None
) -> None:
    monkeypatch.setattr(files, "MOST_CELL", 100_000)
    monkeypatch.setattr(files, "MOST_VALUES", 1000)
    parquet.write_table(pyarrow.table({"image": column}), tmp_path / "a.parquet", store_schema=False)
    found = files.read_parquet([tmp_path / "a.parquet"], ["image"])
    if rows is not None:
        assert len(list(found)) == rows, "what all rows together take is in no memory"
        return
    with pytest.raises(InputRefused, match=r"row (1|\?): ") as refused:
        list(found)
    assert refused.value.code == "data_corrupt"


@pytest.mark.parametrize("index", ["9" * 5000, "9" * 19, "1.5", "", "-1"])
def test_an_index_is_a_number_that_a_table_can_have(drawn: Path, tmp_path: Path, index: str) -> None:
    shutil.copytree(drawn / "mmbench-dev", tmp_path / "set")
    file = tmp_path / "set" / "mmbench_dev_20230712.tsv"
    file.write_bytes(file.read_bytes().replace(b"\n0\t", f"\n{index}\t".encode(), 1))
    with pytest.raises(InputRefused, match="row 1: its index is no number"):
        check(SETS["mmbench-dev"], tmp_path / "set", part=True)


@pytest.mark.parametrize("image", ["a" * 5000, "a/" * 3000, "\0", "loop", "data:image/png;base64," + "A" * 9000])
def test_a_name_that_no_file_can_have_is_refused(drawn: Path, tmp_path: Path, image: str) -> None:
    shutil.copytree(drawn / "pope", tmp_path / "pope")
    (tmp_path / "pope" / "val2014" / "loop").symlink_to("loop")
    file = tmp_path / "pope" / "coco_pope_random.json"
    row = json.loads(file.read_bytes().splitlines()[0])
    file.write_text(json.dumps(row | {"image": image}) + "\n")
    with pytest.raises(InputRefused) as caught:
        check(SETS["pope"], tmp_path / "pope", part=True)
    assert caught.value.code == "data_corrupt" and "row 1" in str(caught.value)


def test_options_are_split_in_steps_that_grow_with_the_line() -> None:
    line = "A. red" + " " * 20_000 + "cup"
    begin = time.process_time()
    assert split_options(f"Which?\n{line}") == ("Which?", (line[3:],)) and strip_letters([line, " B)  x "]) == (
        line[3:],
        "x",
    )
    assert time.process_time() - begin < 2


def test_an_answer_that_is_none_of_the_options_is_refused(drawn: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn / "vstar", tmp_path / "vstar")
    file = tmp_path / "vstar" / "test_questions.jsonl"
    file.write_bytes(re.sub(rb'"label":"."', b'"label":"F"', file.read_bytes(), count=1))
    with pytest.raises(InputRefused, match="row 1: its answer 'F' names none of its 3 options"):
        check(SETS["vstar"], tmp_path / "vstar", part=True)


@pytest.mark.parametrize("image", ["../secret.jpg", "/etc/hostname", "direct_attributes/../../secret.jpg"])
def test_no_set_reaches_out_of_its_folder(drawn: Path, tmp_path: Path, image: str) -> None:
    shutil.copytree(drawn / "vstar", tmp_path / "vstar")
    (tmp_path / "secret.jpg").write_bytes(b"x")
    file = tmp_path / "vstar" / "test_questions.jsonl"
    row = json.loads(file.read_bytes().splitlines()[0])
    file.write_text(json.dumps(row | {"image": image}) + "\n")
    with pytest.raises(InputRefused, match="outside of the folder"):
        check(SETS["vstar"], tmp_path / "vstar", part=True)


def test_a_question_that_is_there_twice_is_refused(drawn: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn / "vstar", tmp_path / "vstar")
    file = tmp_path / "vstar" / "test_questions.jsonl"
    file.write_bytes(file.read_bytes() * 2)
    with pytest.raises(InputRefused, match="two questions '0'"):
        check(SETS["vstar"], tmp_path / "vstar", part=True)


@pytest.mark.parametrize("name", SETS)
def test_what_is_written_in_a_sets_format_is_read_again(drawn: Path, name: str) -> None:
    kind, folder = named_set(name, drawn / name)
    found = list(kind.read(folder))
    assert len({question.id for question in found}) == len(found) >= N
    for question in found:
        assert question.text.endswith("?") == (name != "refcoco") and question.answers and "\n" not in question.text
        assert not question.options or question.answers[0] in question.options
        for seed in (1, 2, 3):
            assert sorted(question.options_for(seed)) == sorted(question.options)


def test_options_stand_in_another_order_for_other_seeds(drawn: Path) -> None:
    found = list(SETS["vstar"].read(drawn / "vstar"))
    assert all(question.options_for(0) == question.options for question in found)
    orders = [tuple(question.options_for(seed) for question in found) for seed in (1, 2, 3)]
    assert len(set(orders)) == 3 and orders == [tuple(q.options_for(s) for q in found) for s in (1, 2, 3)]


def test_a_part_of_a_set_is_none_of_it_and_has_to_be_asked_for(drawn: Path) -> None:
    with pytest.raises(InputRefused, match=r"191 questions, the folder holds 6.*--n") as caught:
        check(SETS["vstar"], drawn / "vstar", part=False)
    assert caught.value.code == "data_missing"
    assert "No figure" in check(SETS["vstar"], drawn / "vstar", part=True).notes[0]


def test_a_set_that_is_not_known_is_told_which_are() -> None:
    with pytest.raises(SettingInvalid, match=r"vstar.*own:FILE"):
        named_set("vster", None)
    with pytest.raises(SettingInvalid, match="to be had at"):
        named_set("vstar", None)


# Each authors' own ways


def read(name: str, folder: Path) -> list[SetQuestion]:
    return list(SETS[name].read(folder / name))


def test_a_set_that_comes_in_two_forms_reads_the_same(drawn: Path, tmp_path: Path) -> None:
    table, packed = drawn / "hr-bench-4k" / "hr_bench_4k.tsv", tmp_path / "hr-bench-4k" / "hr_bench_4k.parquet"
    write_parquet(packed, [row for _, row in read_table(table, ())])
    assert read("hr-bench-4k", tmp_path) == read("hr-bench-4k", drawn)
    folder = tmp_path / "mme-realworld-lite"
    folder.mkdir()
    rows = []
    for question in (found := read("mme-realworld-lite", drawn)):
        assert isinstance(question.picture, bytes)
        (folder / f"{question.id}.png").write_bytes(question.picture)
        rows.append({
            "Question_id": question.id, "Image": f"{question.id}.png", "Text": question.text,
            "Answer choices": [f"({chr(65 + i)}) {option}" for i, option in enumerate(question.options)],
            "Ground truth": chr(65 + question.options.index(question.answers[0])), "Category": question.category,
        })  # fmt: skip
    (folder / "MME_RealWorld_Lite.json").write_text(json.dumps(rows))
    again = read("mme-realworld-lite", tmp_path)
    assert [replace(q, picture=b"") for q in again] == [replace(q, picture=b"") for q in found]


@pytest.mark.parametrize("name", ["hr-bench-4k", "mmbench-dev"])
def test_rotations_of_a_question_are_a_circle_and_are_not_shuffled(drawn: Path, name: str) -> None:
    circles: dict[str, list[SetQuestion]] = {}
    for question in read(name, drawn):
        circles.setdefault(question.circle, []).append(question)
    assert len(circles) == N and not SETS[name].shuffled
    for turns in circles.values():
        assert len({question.options for question in turns}) == len(turns[0].options) == len(turns)
        assert len({(question.text, question.answers, question.picture) for question in turns}) == 1


def test_boxes_are_corners_in_original_pixels(drawn: Path) -> None:
    boxes = {question.text: question.boxes for question in read("vstar", drawn) if question.boxes}
    assert boxes and boxes == {q.text: q.boxes for q in read("treebench", drawn) if q.boxes}
    assert all(
        0 <= left < right <= SIDE and 0 <= top < bottom <= SIDE
        for some in boxes.values()
        for left, top, right, bottom in some
    )


def test_a_question_whose_options_stand_in_its_words_is_asked_without_them(drawn: Path) -> None:
    [ocr, *_] = [question for question in read("treebench", drawn) if question.category == "Perception/OCR"]
    assert ocr.text == "What is written on the red circle?" and len(ocr.options) == 3
    open_ones = [question for question in read("zoombench", drawn) if not question.options]
    assert len(open_ones) == N // 3


@pytest.mark.parametrize(
    ("text", "question", "options"),
    [
        (f"Which?\n(A) red\n(B) blue\n{HINT}", "Which?", "red blue"),
        ("Which?\nA. red\nB. blue", "Which?", "red blue"),
        ("Which? (A) red (B) blue (C) green", "Which?", "red blue green"),
        ("Which?\nOptions:\nA: red\nB: blue", "Which?", "red blue"),
        ("What is (A) here?", "What is (A) here?", ""),
        ("Is it B. Smith?\nB. Smith", "Is it B. Smith?\nB. Smith", ""),
        ("Plain words?", "Plain words?", ""),
    ],
)  # fmt: skip
def test_options_are_told_from_the_question_they_stand_in(text: str, question: str, options: str) -> None:
    assert split_options(text) == (question, tuple(options.split()))


@pytest.mark.parametrize(
    ("answer", "option"),
    [
        ("A", "red"),
        ("(b)", "blue"),
        ("B.", "blue"),
        ("B. blue", "blue"),
        ("blue", "blue"),
        ("C", ""),
        ("", ""),
        ("AB", ""),
    ],
)
def test_an_answer_names_an_option_by_its_letter_or_its_words(answer: str, option: str) -> None:
    assert match_option(answer, ("red", "blue")) == option


def test_ways_to_write_the_same_are_read_alike(drawn: Path, tmp_path: Path) -> None:
    """Tuples for boxes, and answers between tags, as other releases of these sets have them."""
    for name, file, found, written in (
        ("treebench", "TreeBench.tsv", r"\[(\d+,\d+,\d+,\d+)\]", r"(\1)"),
        ("visualprobe", "VisualProbe_Hard/val.json", r'"solution":"(.*?)"', r'"solution":"<answer> \1 </answer>"'),
    ):
        shutil.copytree(drawn / name, tmp_path / name)
        before = (tmp_path / name / file).read_text()
        (tmp_path / name / file).write_text(re.sub(found, written, before))
        assert re.search(found, before)
        assert [(q.answers, q.boxes) for q in read(name, tmp_path)] == [(q.answers, q.boxes) for q in read(name, drawn)]


def test_a_users_own_file_is_a_set(tmp_path: Path) -> None:
    draw_set(own_set(tmp_path / "q"), tmp_path / "q", N, SIDE)
    kind, folder = named_set(f"own:{tmp_path / 'q' / 'questions.jsonl'}", None)
    assert len(check(kind, folder, part=False).circles) == N and check(kind, folder, part=False).notes == ()
    file = tmp_path / "q" / "questions.jsonl"
    file.write_text(file.read_text().replace('"answer":', '"comment":', 1))
    with pytest.raises(InputRefused, match="row 1: it has no right answer"):
        check(kind, folder, part=False)


def test_a_question_about_a_region_is_not_asked_without_it(tmp_path: Path) -> None:
    draw_set(own_set(tmp_path / "q"), tmp_path / "q", N, SIDE)
    file = tmp_path / "q" / "questions.jsonl"
    file.write_text(file.read_text().replace('"answer":', '"regions": [[0, 0, 9, 9]], "answer":', 1))
    with pytest.raises(InputRefused, match="row 1: it is about regions"):
        check(*named_set(f"own:{file}", None), part=False)


@pytest.mark.parametrize("question", ["", "x" * 8001])
def test_what_no_model_can_be_asked_is_noted_as_that(question: str, tmp_path: Path) -> None:
    draw_set(own_set(tmp_path / "q"), tmp_path / "q", N, SIDE)
    file = tmp_path / "q" / "questions.jsonl"
    rows = [json.loads(line) for line in file.read_bytes().splitlines()]
    file.write_text(json.dumps({**rows[0], "question": question}))
    [note] = check(*named_set(f"own:{file}", None), part=False).notes
    assert note.startswith("1 questions cannot be asked and count as wrong; the first is '0'")


PEOPLE = ("7", "7", "7", "seven", "seven", "8", "eight", "9", "9", "the 7")


@pytest.mark.parametrize(
    ("rule", "answers", "options", "given", "value"),
    [
        ("option", ("red",), ("red", "blue"), "Red.", 1),
        ("option", ("red",), ("red", "blue"), "blue", 0),
        ("option", ("red",), ("red", "blue"), "", 0),
        ("words", ("2,000",), (), "2000", 1),
        ("words", ("the Bakery",), (), "Bakery", 0),
        ("yes or no", ("Yes",), (), "Yes, there is. No doubt.", 1),
        ("yes or no", ("No",), (), "There is not any dog", 1),
        ("yes or no", ("No",), (), "It cannot be said", 0),
        ("yes or no", ("Yes",), (), "Cannot tell", 0),
        ("yes or no", ("Yes",), (), "", 0),
        ("vqa", PEOPLE, (), "seven", 1),
        ("vqa", PEOPLE, (), "9", 0.6),
        ("vqa", PEOPLE, (), "4", 0),
        ("box", ("[0, 0, 10, 10]",), (), "[0, 0, 10, 20]", 1),
        ("box", ("[0, 0, 10, 10]",), (), "[0, 0, 10, 21]", 0),
        ("moment", ("[1000, 3000]",), (), "[2000, 4000]", 1 / 3),
        ("moment", ("[1000, 3000]",), (), "Never", 0),
    ],
)
def test_an_answer_is_worth_what_the_authors_rule_says(
    rule: Rule, answers: tuple[str, ...], options: tuple[str, ...], given: str, value: float
) -> None:
    question = SetQuestion("1", b"", "?", answers, options, boxes=((0, 0, 10, 10),))
    assert worth(rule, question, given) == pytest.approx(value)


# Asking


def plan_of(drawn: Path, n: int | None = None, seeds: tuple[int, ...] = (1, 2, 3)) -> Plan:
    folder = drawn / "vstar"
    return Plan(SETS["vstar"], folder, check(SETS["vstar"], folder, part=True), ("auto",), seeds, n=n)


def saying(text: str, asked: list[tuple[str, ...]], outcome: str = "answered") -> Contestant:
    """Names the first option where `text` is "first", else says the text."""

    async def contestant(picture: Picture | Video, question: str, options: Sequence[str]) -> Given:
        asked.append((question, *options))
        return Given(options[0] if text == "first" else text, outcome, False, 0.5, 1, 64, prompt_tokens=100)

    return contestant


def ask(plan: Plan, contestants: dict[str, Contestant], kept: ResultFile | None = None) -> list[Result]:
    ways = {Way(name): contestant for name, contestant in contestants.items()}
    return asyncio.run(ask_all(plan, "scripted", ways, kept or ResultFile()))


def test_every_row_is_asked_the_same_words_under_every_seed(drawn: Path) -> None:
    asked: dict[str, list[tuple[str, ...]]] = {"macro": [], "auto": []}
    results = ask(plan_of(drawn), {name: saying("first", log) for name, log in asked.items()})
    assert asked["macro"] == asked["auto"] and len(results) == 2 * 3 * N
    assert {r.right for r in results} == {r.options[0] == r.wanted for r in results} == {True, False}


def test_a_smaller_bench_holds_questions_of_a_larger_one(drawn: Path) -> None:
    small, large = plan_of(drawn, 3).places, plan_of(drawn, 5).places
    assert small.keys() < large.keys() and len(small) == 3
    assert all(large[name] == place for name, place in small.items())


def test_a_part_of_a_set_holds_whole_circles(drawn: Path) -> None:
    kind, folder = SETS["mmbench-dev"], drawn / "mmbench-dev"
    contents = check(kind, folder, part=True)
    for n in (1, 4, 7):
        places = Plan(kind, folder, contents, (), (0,), n=n).places
        asked = Counter(contents.circles[name] for name in places)
        assert n <= len(places) and asked == {c: Counter(contents.circles.values())[c] for c in asked}


def test_a_killed_run_asks_only_what_is_missing(drawn: Path, tmp_path: Path) -> None:
    file, log = tmp_path / "results.jsonl", list[tuple[str, ...]]()
    whole = ask(plan_of(drawn), {"macro": saying("first", log)}, ResultFile(file))
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:7]) + lines[7][:50])
    log.clear()
    again = ask(plan_of(drawn), {"macro": saying("first", log)}, ResultFile(file))
    assert len(log) == 3 * N - 7
    assert [replace(r, seconds=0) for r in again] == [replace(r, seconds=0) for r in whole]
    assert {r.key: r for r in load(file)} == {r.key: r for r in again}


def test_answers_under_another_arbiter_are_not_taken_up(tmp_path: Path) -> None:
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for file in files:
        file.write_text(file.name)
    assert len({name_with_arbiter("m", None), *(name_with_arbiter("m", file) for file in files)}) == 3
    assert name_with_arbiter("m", files[0]) == name_with_arbiter("m", files[0]) and name_with_arbiter("m", None) == "m"


@pytest.mark.parametrize(
    ("code", "advice"),
    [("model_unavailable", "go on"), ("outside_world", "Name a model"), ("model_blind", "Name a model")],
)
def test_a_model_that_cannot_be_asked_stops_the_run_and_is_no_wrong_answer(
    drawn: Path, tmp_path: Path, code: str, advice: str
) -> None:
    kept, log = ResultFile(tmp_path / "results.jsonl"), list[tuple[str, ...]]()
    with pytest.raises(ServerError, match=f"{code}.*{advice}") as caught:
        ask(plan_of(drawn), {"macro": saying("", log, f"failed: {code}")}, kept)
    assert caught.value.code == code
    assert len(log) == 1 and not (tmp_path / "results.jsonl").exists()


def test_an_answer_that_did_not_come_counts_as_wrong(drawn: Path) -> None:
    results = ask(plan_of(drawn), {"macro": saying("", [], "failed: budget_calls")})
    [row] = [row for row in public_rows(results, []) if row["kind"] == "all"]
    assert row["accuracy"] == 0 and row["errors"] == 3 * N


def served(server: FakeServer, pixels: int) -> tuple[str, Model]:
    model = OpenAIModel("http://fake/v1", "qwen3-vl", transport=server.transport())
    use_profile(model, {"max_pixels": pixels} if pixels else {})
    return f"fake {pixels}", model


def test_a_server_is_asked_several_questions_at_a_time_with_letters_and_its_tokens_are_counted(drawn: Path) -> None:
    server = FakeServer(brain=lambda seen: "A")
    plan = replace(plan_of(drawn, 3), strategies=("p2r",), at_once=3)
    results = measure(plan, lambda pixels: served(server, pixels))
    assert {r.key.row for r in results} == {"macro", "p2r"} and len(results) == 2 * 3 * 3
    assert all(r.given == r.options[0] and r.reply and r.prompt_tokens and r.completion_tokens for r in results)
    [macro] = [row for row in public_rows(results, [], Price(1, 0)) if row["strategy"] == "macro"]
    assert macro["price"] == pytest.approx(1000 * 11 / 1e6)


def test_every_row_of_a_sweep_sees_no_more_pixels_and_makes_no_more_calls(drawn: Path) -> None:
    server = FakeServer(brain=lambda seen: "A")
    plan = replace(plan_of(drawn, 2, (0,)), strategies=("search", "p2r"), calls=(2, 5), pixels=(65536, 131072))
    results = measure(plan, lambda pixels: served(server, pixels))
    rows = {
        f"{name}, {pixels} px"
        for pixels in plan.pixels
        for name in ("macro", "search, 2 calls", "search, 5 calls", "p2r")
    }
    assert {r.key.row for r in results} == rows
    assert all(r.calls <= r.key.calls for r in results if r.key.calls)
    most = max(image.width * image.height for request in server.requests for image in images_of(request))
    assert 65536 < most <= 131072
    assert {row["gain"] for row in public_rows(results, []) if row["strategy"].startswith("macro")} == {0.0}


def test_a_phrase_is_pointed_at_and_right_where_boxes_overlap_by_half(drawn: Path) -> None:
    kind, folder = SETS["refcoco"], drawn / "refcoco"
    plan = Plan(kind, folder, check(kind, folder, part=True), ("auto",), (0,), n=4)
    [first, *_] = [question for question in kind.read(folder) if question.id in plan.places]
    left, top, right, bottom = (round(1000 * side / 512) for side in first.boxes[0])
    server = FakeServer(brain=lambda seen: f"[{left}, {top}, {right}, {bottom}]")
    results = measure(plan, lambda pixels: served(server, pixels))
    assert {r.key.row for r in results} == {"macro"} and {r.calls for r in results} == {1}
    assert {r.key.question for r in results if r.right} == {first.id} and all(r.boxes and r.targets for r in results)
    silent = measure(plan, lambda pixels: served(FakeServer(brain=lambda seen: "Cannot tell"), pixels))
    assert {(r.right, r.outcome) for r in silent} == {(False, "failed: no_answer")}


@pytest.mark.parametrize(
    "line",
    ["", "A 1 2 person sits.", "A 1##person sits.", "A 3 1##person sits.", "A x 2##sits.", "A 1 nan##sits.", "A 1 2##.",
     "../A 1 2##person sits.", "A 1 2 3##person sits.", "A 1 1e9##person sits.", "A -1 2##person sits.",
     f"CLIP0 1 2##{301 * 'a'}."],
)  # fmt: skip
def test_a_line_that_names_no_moment_is_refused(drawn: Path, tmp_path: Path, line: str) -> None:
    shutil.copytree(drawn / "charades-sta", tmp_path / "set")
    (tmp_path / "set" / "charades_sta_test.txt").write_text(f"{line}\n")
    with pytest.raises(InputRefused) as caught:
        check(SETS["charades-sta"], tmp_path / "set", part=True)
    assert caught.value.code in ("data_missing", "data_corrupt")


def test_words_of_a_moment_are_looked_for_whole(drawn: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn / "charades-sta", tmp_path / "set")
    words = "a person, who has “sat down”,  turns on the light before they leave."
    (tmp_path / "set" / "charades_sta_test.txt").write_text(f"CLIP0 1.5 2.25##{words}\n")
    [question] = SETS["charades-sta"].read(tmp_path / "set")
    assert question.answers == ("[1500, 2250]",)
    phrase = "a person, who has 'sat down', turns on the light before they leave"
    assert timing_of(question.text) == ("when", [phrase])


def test_both_labels_of_a_clip_are_read_alike(drawn: Path) -> None:
    one, other = ({q.picture_name: (q.text, q.answers) for q in read(f"charades-{name}", drawn)}
                  for name in ("sta", "timelens"))  # fmt: skip
    assert one == other and len(one) == N


def test_nano_finds_moments_that_nine_frames_of_the_clip_do_not_bound(drawn: Path, tmp_path: Path) -> None:
    command = ["run", "--set", "charades-timelens", "--data", str(drawn / "charades-timelens"), "--n", "3"]
    command += [
        "--strategy",
        "auto,frames-9",
        "--results",
        str(tmp_path / "r.jsonl"),
        "--out",
        str(tmp_path / "r.json"),
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0 and "| row | mIoU [95 %] |" in done.output and "R@1 0.7" in done.output
    rows = {row["strategy"]: row for row in json.loads((tmp_path / "r.json").read_text())["rows"]}
    assert rows["auto"]["accuracy"] > rows["macro"]["accuracy"] and (
        rows["macro"]["calls"],
        rows["frames-9"]["calls"],
    ) == (1, 9)
    results = load(tmp_path / "r.jsonl")
    for result in results:
        wanted = Moment(*json.loads(result.wanted))
        again = moment_iou(Moment(*json.loads(result.given)), wanted) if result.given[0] == "[" else 0
        assert result.score == pytest.approx(again) and result.right == (again >= 0.5)
    mine = [r.score for r in results if r.key.strategy == "auto"]
    assert [rows["auto"][f"r{n}"] for n in (30, 50, 70)] == [sum(s >= n / 100 for s in mine) / 3 for n in (30, 50, 70)]


@pytest.mark.parametrize(("name", "row"), [("vstar", "frames-18"), ("charades-sta", "zoomeye"), ("refcoco", "p2r")])
def test_a_rival_that_cannot_be_asked_a_set_is_refused(drawn: Path, name: str, row: str) -> None:
    refused = CliRunner().invoke(app, ["run", "--set", name, "--data", str(drawn / name), "--strategy", f"auto,{row}"])
    assert refused.exit_code == 2 and row in refused.output


def test_moments_are_no_batch_to_calibrate_on(drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match="moments"):
        export(SETS["charades-sta"], drawn / "charades-sta", {"1": 0}, tmp_path / "out")


def test_a_model_of_this_process_is_asked_one_question_at_a_time(drawn: Path) -> None:
    with pytest.raises(SettingInvalid, match="for a server"):
        measure(replace(plan_of(drawn), at_once=2), lambda pixels: ("nano", load_model("nano")))


def test_the_halves_of_a_set_share_no_picture_and_hold_all_of_it(drawn: Path) -> None:
    for name in ("pope", "mmbench-dev", "mmvp"):
        kind, folder = SETS[name], drawn / name
        contents, found = check(kind, folder, part=True), list(kind.read(folder))
        parts = [Plan(kind, folder, contents, (), (0,), part=part).places for part in get_args(Part)]
        assert parts[0].keys() == parts[1].keys() | parts[2].keys() and not parts[1].keys() & parts[2].keys()
        sides = {q.group: q.id in parts[1] for q in found}
        assert all((question.id in parts[1]) == sides[question.group] for question in found)


@pytest.mark.parametrize("name", ["vstar", "hr-bench-4k", "textvqa", "zoombench"])
def test_an_exported_set_is_a_batch_whose_answers_can_be_scored(drawn: Path, tmp_path: Path, name: str) -> None:
    kind, folder = SETS[name], drawn / name
    found = {question.id: question for question in kind.read(folder)}
    places = Plan(kind, folder, check(kind, folder, part=True), (), (0,)).places
    assert export(kind, folder, places, tmp_path) == len(found)
    rows = list(read_rows(tmp_path / "questions.jsonl"))
    for row in rows:
        assert isinstance(row, Row)
        question = found[row.key]
        assert (tmp_path / row.image).read_bytes() == (
            question.picture if isinstance(question.picture, bytes) else question.picture.read_bytes()
        )
        assert judge(row, question.answers[0]).right and (row.question, row.options) == (
            question.text,
            question.options,
        )


def test_the_command_asks_nano_and_goes_on(drawn: Path, tmp_path: Path) -> None:
    """Through the packaged model: once it asks, the second time nothing is left to ask."""
    command = ["run", "--set", "vstar", "--data", str(drawn / "vstar"), "--n", "2", "--strategy", "macro", "--seeds"]
    command += ["1,2", "--results", str(tmp_path / "r.jsonl"), "--out", str(tmp_path / "r.json"), "--price", "1,2"]
    first = CliRunner().invoke(app, command)
    content = (tmp_path / "r.jsonl").read_bytes()
    again = CliRunner().invoke(app, command)
    assert first.exit_code == again.exit_code == 0 and first.output == again.output
    assert (tmp_path / "r.jsonl").read_bytes() == content and len(content.splitlines()) == 4
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["questions"] == 2 and report["seeds"] == [1, 2] and report["rows"][0]["price"] > 0
    assert "No figure here is one of V*Bench" in first.output and report["prompt"] in first.output
    refused = CliRunner().invoke(app, command[:5])
    assert isinstance(refused.exception, InputRefused)


# Figures


def test_seeds_of_one_question_are_not_so_many_questions() -> None:
    right = [True, False] * 20
    alone = cluster_interval([float(r) for r in right], range(40))
    thrice = cluster_interval([float(r) for r in right * 3], [*range(40)] * 3)
    assert thrice == pytest.approx(alone, abs=0.01) and alone == pytest.approx(wilson(20, 40), abs=0.01)


def test_questions_that_agree_by_chance_only_are_worth_their_number() -> None:
    scores = np.random.default_rng(1).integers(2, size=900).astype(float).tolist()
    low, high = cluster_interval(scores, [number // 3 for number in range(900)])
    assert high - low == pytest.approx(wilson(450, 900)[1] - wilson(450, 900)[0], rel=0.25)


def test_all_right_is_worth_one_question_a_cluster() -> None:
    assert cluster_interval([1.0] * 30, [0, 1, 2] * 10) == pytest.approx(wilson(3, 3), abs=1e-9)
