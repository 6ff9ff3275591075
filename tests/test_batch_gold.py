"""Right answers as people keep them are scored as they mean, and what cannot be scored is said, never wrong."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from batch_kills import PICTURE
from fake_model import FakeModel
from PIL import Image
from typer.testing import CliRunner

from zoomagent import ZoomAgent
from zoomagent.answer import Answer
from zoomagent.batch.answers import AnswerFile
from zoomagent.batch.gold import judge, vqa_accuracy
from zoomagent.batch.records import SETTINGS, RecordFile, record_of
from zoomagent.batch.rows import NoRow, Row, read_rows, with_files
from zoomagent.batch.running import answer_all
from zoomagent.cli.batch import app
from zoomagent.confidence.records import read_records
from zoomagent.errors import StoreError
from zoomagent.run_record import Outcome


def row_of(tmp_path: Path, **fields: Any) -> Row | NoRow:
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps({"image": "a.png", "question": "?", **fields}))
    [row] = read_rows(path)
    return row


RB = ["red", "blue"]
SCORED = [
    ({"options": RB, "answer": "A"}, "red", True),
    ({"options": RB, "answer": "a"}, "red", True),
    ({"options": RB, "answer": "(B)"}, "red", False),
    ({"options": RB, "answer": "B."}, "blue", True),
    ({"options": RB, "answer": "Red."}, "red", True),
    ({"options": RB, "answer": "A. red"}, "red", True),
    ({"options": ["A. red", "B. blue"], "answer": "A"}, "red", True),
    ({"options": ["(A) red", "(B) blue"], "answer": "red"}, "red", True),
    ({"options": ["A. red", "B. blue"], "answer": "B. blue"}, "blue", True),
    ({"options": {"A": "red", "B": "blue"}, "answer": "B"}, "blue", True),
    ({"options": {"x": "red", "y": "blue"}, "answer": "y"}, "blue", True),
    ({"options": [1, 2, 3], "answer": 2}, "2", True),
    ({"options": [1.5, 2], "answer": 2.0}, "2", True),
    ({"options": ["B", "A"], "answer": "A"}, "A", True),
    ({"options": ["Yes", "No"], "answer": True}, "Yes", True),
    ({"options": RB, "answer": "Cannot tell"}, "Cannot tell", True),
    ({"options": RB, "answer": ["A"]}, "red", True),
    ({"options": RB, "answer": "A"}, "", False),
    ({"answer": 47}, "47", True),
    ({"answer": 47.0}, "４７.", True),
    ({"answer": 1000}, "1,000", True),
    ({"answer": "007"}, "7", False),
    ({"answer": False}, "no", True),
    ({"answer": ["red", "dark red"]}, "Dark  red", True),
    ({"answer": ["red", "dark red"]}, "blue", False),
    ({"answer": "红色"}, "红色。", True),
]


@pytest.mark.parametrize(("fields", "text", "right"), SCORED)
def test_a_right_answer_is_right_however_it_is_kept(
    tmp_path: Path, fields: dict[str, Any], text: str, right: bool
) -> None:
    row = row_of(tmp_path, **fields)
    assert isinstance(row, Row), row
    assert judge(row, text).right is right and judge(row, text).why == ""


@pytest.mark.parametrize(
    "fields",
    [
        {"options": RB, "answer": "green"},
        {"options": RB, "answer": "C"},
        {"options": RB, "answer": 0},
        {"options": RB, "answer": ["A", "B"]},
        {"options": {"x": "red", "y": "blue"}, "answer": "z"},
    ],
)
def test_what_is_no_option_is_said_and_is_never_wrong(tmp_path: Path, fields: dict[str, Any]) -> None:
    row = row_of(tmp_path, **fields)
    assert isinstance(row, Row) and judge(row, "red").right is None and judge(row, "red").why


def test_ten_answers_of_people_are_scored_by_the_rule_of_vqa(tmp_path: Path) -> None:
    people = ["two"] * 2 + ["2"] + ["three"] * 6 + ["a few"]
    row = row_of(tmp_path, answer=[{"answer": text, "answer_confidence": "yes"} for text in people])
    assert isinstance(row, Row)
    verdict = judge(row, "2")
    assert verdict.score == pytest.approx(0.9) and verdict.rule == "vqa"
    assert judge(row, "Three").score == 1 and judge(row, "").score == 0
    assert judge(row, "few").score == pytest.approx(0.3)
    assert vqa_accuracy("yes", ["yes"] * 10) == 1 and vqa_accuracy("the dog", ["dog"] * 3 + ["cat"] * 7) > 0.89


@pytest.mark.parametrize(
    "text",
    ['[{"image": "a.png", "question": "?"}, {"image": "b.png"}, {"id": 7, "image": "c.png", "question": "?"}]',
     '\ufeff\n[\n  {"image": "a.png",\n   "question": "?"},\n  7,\n  {"id": 7, "image": "c.png", "question": "?"}\n]'],
)  # fmt: skip
def test_a_json_array_is_a_file_of_questions(tmp_path: Path, text: str) -> None:
    path = tmp_path / "q.json"
    path.write_text(text, encoding="utf-8")
    first, second, third = read_rows(path)
    assert isinstance(first, Row) and isinstance(second, NoRow) and second.line == 2
    assert isinstance(third, Row) and (third.key, third.line) == ("7", 3)


@pytest.mark.parametrize("options", ["ab", [["a"]], {"A": ["a"]}, [None]])
def test_options_that_are_none_are_told(tmp_path: Path, options: Any) -> None:
    row = row_of(tmp_path, options=options)
    assert isinstance(row, NoRow) and "options" in row.text


def test_the_summary_says_what_was_not_scored_and_adds_parts_of_answers_up(tmp_path: Path) -> None:
    async def ask(row: Row) -> Answer:
        return Answer(question=row.question, text="red", outcome=Outcome(kind="answered"))

    rows = [
        Row("a", 1, "a.png", "?", ("red", "blue"), "A"),
        Row("b", 2, "a.png", "?", ("red", "blue"), "green"),
        Row("c", 3, "a.png", "?", answers=("red",) * 2 + ("pink",) * 8),
    ]
    with AnswerFile(tmp_path / "a.jsonl", {}) as file:
        summary = asyncio.run(answer_all(rows, ask, file, 2)).summary()
    assert (summary["judged"], summary["unscored"]) == (2, 1)
    assert summary["accuracy"] == pytest.approx((1 + vqa_accuracy("red", rows[2].answers)) / 2)
    lines = {line["id"]: line for line in map(json.loads, (tmp_path / "a.jsonl").read_text().splitlines())}
    assert (lines["a"]["wanted"], lines["a"]["right"]) == ("A", True)
    assert lines["b"]["right"] is None and "no option" in lines["b"]["unscored"]
    assert lines["c"]["scored_by"] == "vqa" and lines["c"]["wanted"] == list(rows[2].answers)


# Records


def written(folder: Path, *rows: Mapping[str, Any]) -> Path:
    path = folder / "q.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def asked(tmp_path: Path, texts: list[str]) -> Answer:
    model = FakeModel(
        respond=lambda call: texts[min(len(model.history) - 1, len(texts) - 1)], respond_score=lambda _: None
    )
    with ZoomAgent(model, strategy="locate", proof=False, check=False, **SETTINGS) as agent:
        return agent.ask(Image.new("RGB", (800, 600)), "What colour?", ["red", "blue"])


def test_a_record_holds_what_the_run_knew_and_which_look_was_right(tmp_path: Path) -> None:
    answer = asked(tmp_path, ["A", "sign", "[100, 100, 300, 300]", "B"])
    record = record_of(Row("a", 1, "x.png", "?", ("red", "blue"), "B"), answer)
    assert record is not None and (record.macro_right, record.micro_right) == (False, True)
    assert record.group == "x.png" and record.features.macro_options == 2 and record.features.agree is False
    assert record_of(Row("a", 1, "x.png", "?"), answer) is None
    assert record_of(Row("a", 1, "x.png", "?", ("red", "blue"), "green"), answer) is None


def test_a_row_gives_one_record_whatever_happens_between(tmp_path: Path) -> None:
    answer = asked(tmp_path, ["A", "whole picture"])
    rows = [Row(name, 1, "x.png", "?", ("red", "blue"), "A") for name in "ab"]
    path = tmp_path / "r.jsonl"
    for cut in (0, 5):
        with RecordFile(path) as records:
            for row in (*rows, Row("c", 3, "x.png", "?")):
                records.add(row, answer)
            assert (records.count, records.skipped) == (2, 1)
        path.write_bytes(path.read_bytes()[:-cut] if cut else path.read_bytes())
    with RecordFile(path) as records:
        assert records.count == 1
        records.add(rows[1], answer)
    assert [record.id for record in read_records(path)] == ["a", "b"]
    path.write_text("nonsense\n")
    with pytest.raises(StoreError, match="Line 1"), RecordFile(path):
        pass


def test_the_command_writes_records_that_calibration_reads(tmp_path: Path) -> None:
    questions = written(
        tmp_path,
        {"id": "a", "image": PICTURE, "question": "What colour is it?", "answer": "blue"},
        {"id": "b", "image": PICTURE, "question": "What colour is it?", "options": RB, "answer": "B"},
        {"id": "c", "image": PICTURE, "question": "What colour is it?", "options": RB, "answer": "green"},
    )
    records = tmp_path / "records.jsonl"
    done = CliRunner().invoke(app, [str(questions), "--out", str(tmp_path / "a.jsonl"), "--records", str(records)])
    summary = json.loads(done.stdout)
    assert (summary["rows"], summary["unscored"], summary["records"]) == (3, 1, 2), done.output
    assert "line 3 was not scored" in done.stderr
    assert {record.id for record in read_records(records)} == {"a", "b"}


def test_a_picture_that_is_another_now_is_noticed(tmp_path: Path) -> None:
    async def ask(row: Row) -> Answer:
        return Answer(question=row.question, text="red", outcome=Outcome(kind="answered"))

    def run() -> int:
        with AnswerFile(tmp_path / "a.jsonl", {}) as file:
            rows = with_files(read_rows(questions), tmp_path)
            return asyncio.run(answer_all(rows, ask, file, 2)).kept

    questions = written(
        tmp_path,
        {"image": "a.png", "question": "?"},
        {"image": "gone.png", "question": "?"},
        {"image": "data:,x", "question": "?"},
    )
    (tmp_path / "a.png").write_bytes(b"first" * 100_000)
    assert run() == run() == 3
    (tmp_path / "a.png").write_bytes(b"first" * 100_000)  # the same again, newer
    assert run() == 3
    (tmp_path / "a.png").write_bytes(b"other" * 100_000)
    with pytest.raises(StoreError, match="picture of line 1") as caught:
        run()
    assert caught.value.code == "run_mismatch"


@pytest.mark.parametrize("name", ["answers.jsonl", "link", "answers.jsonl.run.json"])
def test_records_are_not_kept_where_the_answers_are(name: str, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"image": "a.png", "question": "What?", "answer": "x"}\n')
    (tmp_path / "link").symlink_to("answers.jsonl")
    asked = [str(tmp_path / "q.jsonl"), "--out", str(tmp_path / "answers.jsonl")]
    ended = CliRunner().invoke(app, [*asked, "--records", str(tmp_path / name)])
    assert ended.exit_code == 2 and not (tmp_path / "answers.jsonl").exists()
