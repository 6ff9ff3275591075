"""Batches: what is a row, where it goes, how answers are kept, when a run goes on, stops or refuses to."""

import asyncio
import json
import os
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from batch_kills import PICTURE
from fake_server import FakeServer, Status, serve
from PIL import Image

from zoomagent import ZoomAgent
from zoomagent.answer import Answer
from zoomagent.batch import rows
from zoomagent.batch.answers import AnswerFile
from zoomagent.batch.asking import Agents, Ask, Setup, ranked
from zoomagent.batch.records import RecordFile
from zoomagent.batch.rows import NoRow, Row, count_lines, read_rows
from zoomagent.batch.running import answer_all, record_of
from zoomagent.batch.tally import Tally
from zoomagent.errors import InputRefused, RunError, StoreError
from zoomagent.journal import Journal
from zoomagent.models.loading import load_model
from zoomagent.models.server.openai_server import OpenAIModel
from zoomagent.models.server.retrying import RetryPolicy
from zoomagent.run_record import Cost, Outcome
from zoomagent.training.calibration.collecting import collect

SETTINGS = {"models": ["m"], "strategy": "auto"}


def answer_of(row: Row, text: str = "yes", outcome: Outcome | None = None) -> Answer:
    cost = Cost(model_calls=2, prompt_tokens=10, completion_tokens=1)
    return Answer(question=row.question, text=text, outcome=outcome or Outcome(kind="answered"), cost=cost)


def failing(code: str) -> Outcome:
    return Outcome(kind="failed", code=code, reasons=("Because.",))


def rows_of(n: int, **more: Any) -> list[Row]:
    return [Row(f"r{i}", i + 1, "a.png", f"{i}?", **more) for i in range(n)]


def run(rows: list[Row | NoRow] | list[Row], ask: Ask, out: Path, concurrency: int = 4, **settings: Any) -> Tally:
    with AnswerFile(out, settings or SETTINGS) as file:
        return asyncio.run(answer_all(rows, ask, file, concurrency))


async def yes(row: Row) -> Answer:
    return answer_of(row)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# Rows


def written(tmp_path: Path, *lines: str | bytes | Mapping[str, Any]) -> Path:
    path = tmp_path / "questions.jsonl"
    parts = [json.dumps(line) if isinstance(line, Mapping) else line for line in lines]
    path.write_bytes(b"\n".join(part.encode() if isinstance(part, str) else part for part in parts))
    return path


def test_rows_are_read_with_all_they_may_have_and_the_rest_is_left_alone(tmp_path: Path) -> None:
    full = {"id": 7, "image": "a.png", "question": "?", "options": ["x", "y"], "answer": 21, "source": "gqa"}
    path = written(tmp_path, full, "", {"image": "b.png", "question": "?"})
    first, second = read_rows(path)
    assert first == Row("7", 1, "a.png", "?", ("x", "y"), "21")
    assert second == Row("line-3", 3, "b.png", "?") and count_lines(path) == 2


@pytest.mark.parametrize(
    "line",
    [b"{", b"[]", b"1", b'{"image": "a.png"}', b'{"question": "?"}', b'{"image": 1, "question": "?"}', b"\xff\xfe",
     b'{"image": "", "question": "?"}', b'{"image": "a", "question": "?", "options": "ab"}', b'{"a": NaN}',
     b'{"image": "a", "question": "?", "id": ""}', b'{"image": "a", "question": "?", "id": [1]}'],
)  # fmt: skip
def test_what_is_no_row_is_told_by_its_line(tmp_path: Path, line: bytes) -> None:
    _, found = read_rows(written(tmp_path, {"image": "a.png", "question": "?"}, line))
    assert isinstance(found, NoRow) and found.line == 2 and found.text


def test_a_line_that_is_too_long_is_told_by_its_number_and_the_next_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "CHUNK", 64)
    row = {"image": "a.png", "question": "?"}
    monkeypatch.setattr(rows, "MAX_LINE", len(json.dumps(row)))
    path = written(tmp_path, row, {**row, "question": "x" * 500}, row, json.dumps(row) + " ")
    first, long, third, last = read_rows(path)
    assert isinstance(first, Row) and isinstance(third, Row) and third.line == 3
    assert isinstance(long, NoRow) and long.line == 2 and "longer than" in long.text
    assert isinstance(last, NoRow) and count_lines(path) == 4


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_LINE", 1 << 20)
    path = written(tmp_path, b"x" * (40 << 20), {"image": "a.png", "question": "?"})
    tracemalloc.start()
    try:
        assert count_lines(path) == 2 and [type(row) for row in read_rows(path)] == [NoRow, Row]
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_an_id_that_was_there_before_makes_no_row(tmp_path: Path) -> None:
    twice = {"id": "x", "image": "a.png", "question": "?"}
    named_like_a_line = {"id": "line-3", "image": "a.png", "question": "?"}
    found = list(read_rows(written(tmp_path, twice, twice, {"image": "a.png", "question": "?"}, named_like_a_line)))
    assert [isinstance(row, NoRow) for row in found] == [False, True, False, True]


def test_a_file_that_can_not_be_read_is_refused(tmp_path: Path) -> None:
    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(InputRefused):
            list(read_rows(missing))


# Routing


def test_a_picture_goes_to_one_server_and_pictures_are_spread() -> None:
    servers = ["http://a/v1", "http://b/v1", "http://c/v1"]
    homes = {f"{i}.jpg": ranked(f"{i}.jpg", servers)[0] for i in range(600)}
    assert all(150 < count < 250 for count in Counter(homes.values()).values())
    assert all(ranked(image, servers[::-1])[0] == home for image, home in homes.items())


def test_a_server_less_moves_only_its_own_pictures() -> None:
    servers = ["http://a/v1", "http://b/v1", "http://c/v1"]
    for i in range(200):
        first, second, _ = ranked(f"{i}.jpg", servers)
        left = [server for server in servers if server != "http://c/v1"]
        assert ranked(f"{i}.jpg", left)[0] == (second if first == "http://c/v1" else first)


def test_each_picture_is_asked_about_at_its_server_and_at_the_next_when_that_is_away(tmp_path: Path) -> None:
    servers = [FakeServer(lambda seen: "a cat"), FakeServer(lambda seen: "a cat")]

    async def asked() -> list[Answer]:
        async with serve(servers[0]) as one, serve(servers[1]) as two:
            names = {f"{one}#qwen3-vl": servers[0], f"{two}#qwen3-vl": servers[1]}
            away = "http://127.0.0.1:9/v1#qwen3-vl"
            rows = _rows_with_one_at(away, [*names, away], tmp_path)
            setup = Setup((*names, away), tmp_path, settings={"strategy": "macro"})
            async with Agents(setup) as agents:
                answers = [await agents.ask(row) for row in rows]
            for name, server in names.items():
                firsts = [next(s for s in ranked(row.image, [*names, away]) if s != away) for row in rows]
                assert len(server.requests) == firsts.count(name)
            return answers

    answers = asyncio.run(asked())
    assert [answer.text for answer in answers] == ["a cat"] * 9 and all(server.requests for server in servers)


def _rows_with_one_at(away: str, servers: list[str], folder: Path) -> list[Row]:
    """Two questions about each of four pictures of servers that are there, two of each whatever its port, and one about
    one of the server that is not: finding that out takes seconds."""
    names = [f"{i}.png" for i in range(200)]
    present = [server for server in servers if server != away]
    there = [name for server in present for name in [n for n in names if ranked(n, servers)[0] == server][:2]]
    missed = next(name for name in names if ranked(name, servers)[0] == away)
    for name in (*there, missed):
        Image.new("RGB", (64, 64)).save(folder / name)
    return [Row(f"{name} {i}", 1, name, f"What is it? {i}") for i, name in enumerate((*there, *there, missed))]


def test_named_servers_may_change_between_runs_and_the_model_may_not() -> None:
    one, other = (Setup((f"http://{host}/v1#qwen",)).kept for host in ("a", "b"))
    assert one == other and one["models"] == ["qwen"]
    assert Setup(("http://a/v1",)).kept != Setup(("http://b/v1",)).kept
    assert Setup(settings={"strategy": "macro"}).kept != Setup().kept


# Answers on disk


def test_a_run_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    out, asked = tmp_path / "a.jsonl", []

    async def ask(row: Row) -> Answer:
        asked.append(row.key)
        return answer_of(row)

    run(rows_of(3), ask, out)
    tally = run(rows_of(5), ask, out)
    assert sorted(asked) == [f"r{i}" for i in range(5)] and tally.kept == 5
    assert sorted(line["id"] for line in lines_of(out)) == sorted(asked)


def test_a_last_line_cut_anywhere_is_taken_away_and_asked_again(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    run(rows_of(2), yes, out, concurrency=1)
    whole = out.read_bytes()
    last = whole[:-1].rfind(b"\n") + 1
    for cut in [*range(last, last + 40), len(whole) - 2, len(whole) - 1]:
        out.write_bytes(whole[:cut])
        tally = run(rows_of(2), yes, out, concurrency=1)
        assert tally.kept == 2 and out.read_bytes() == whole


def test_damage_before_the_end_is_an_error_with_its_line(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    run(rows_of(3), yes, out, concurrency=1)
    first, second, third = out.read_bytes().splitlines(keepends=True)
    for broken in (b"\0" * 50 + b"\n", b"{}\n", second[: len(second) // 2] + b"\n", b"\n"):
        out.write_bytes(first + broken + third)
        with pytest.raises(StoreError, match="Line 2"):
            run(rows_of(3), yes, out)


def test_other_settings_a_missing_sidecar_and_another_question_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    run(rows_of(1), yes, out)
    with pytest.raises(StoreError, match="another strategy"):
        run(rows_of(1), yes, out, models=["m"], strategy="macro")
    with pytest.raises(StoreError, match="Line 1 asks something else"):
        run([Row("r0", 1, "a.png", "Another?")], yes, out)
    Path(f"{out}.run.json").unlink()
    with pytest.raises(StoreError) as caught:
        run(rows_of(1), yes, out)
    assert caught.value.code == "run_mismatch" and len(lines_of(out)) == 1


def test_an_answer_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    run(rows_of(3), yes, out)
    out.write_bytes(out.read_bytes() * 2)
    with AnswerFile(out, SETTINGS) as file:
        assert file.tally.kept == 3 and file.tally.calls == 6 and len(file.done) == 3


def test_a_corrected_right_answer_does_not_ask_again(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    run(rows_of(1), yes, out)
    assert run(rows_of(1, answer="yes"), yes, out).kept == 1


def test_two_processes_do_not_add_to_one_file(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    script = f"from pathlib import Path; from zoomagent.batch.answers import AnswerFile; AnswerFile(Path({str(out)!r})"
    with AnswerFile(out, SETTINGS):
        done = subprocess.run([sys.executable, "-c", f"{script}, {{}}).__enter__()"], capture_output=True, text=True)
    assert done.returncode != 0 and "Another process" in done.stderr
    with AnswerFile(out, SETTINGS):
        pass


def test_a_line_is_on_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    out, fsync = tmp_path / "a.jsonl", os.fsync
    with AnswerFile(out, SETTINGS) as file:

        def noted(fd: int) -> None:
            synced.append(out.stat().st_size)
            fsync(fd)

        monkeypatch.setattr(os, "fsync", noted)
        asyncio.run(answer_all(rows_of(4), yes, file, 1, lambda n: synced.append(-n)))
    sizes = [size for size in synced if size > 0]
    assert synced[0] > 0 and sizes == sorted(sizes) and sizes[-1] == out.stat().st_size
    assert sum(n for n in synced if n < 0) == -4


def test_a_full_disk_stops_the_batch_with_a_code(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with AnswerFile(tmp_path / "a.jsonl", SETTINGS) as file:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, file._journal.descriptor)
        os.close(full)
        with pytest.raises(StoreError) as caught:
            asyncio.run(answer_all(rows_of(50), yes, file, 4))
    assert caught.value.code == "store_full"


# A run


def test_never_more_are_asked_at_a_time_than_may_be(tmp_path: Path) -> None:
    now, most = 0, 0

    async def ask(row: Row) -> Answer:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await asyncio.sleep(0.001)
        now -= 1
        return answer_of(row)

    run(rows_of(40), ask, tmp_path / "a.jsonl", concurrency=5)
    assert most == 5


def test_rows_are_read_as_they_are_needed(tmp_path: Path) -> None:
    read = 0

    def endless() -> Any:
        nonlocal read
        for row in rows_of(1000):
            read += 1
            yield row

    async def ask(row: Row) -> Answer:
        if row.line == 20:
            raise RunError("enough", code="enough")
        return answer_of(row)

    with AnswerFile(tmp_path / "a.jsonl", SETTINGS) as file, pytest.raises(RunError):
        asyncio.run(answer_all(endless(), ask, file, 4))
    assert read < 40


def test_what_fails_for_a_time_is_asked_again_by_the_next_run_and_the_rest_is_not(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    outcomes = {
        "r0": failing("model_unavailable"),
        "r1": failing("rate_limited"),
        "r2": failing("context"),
        "r3": Outcome(kind="refused", code="unsupported_image", reasons=("No picture.",)),
        "r4": failing("budget_calls"),
        "r5": failing("worker_lost"),
        "r6": failing("budget_seconds"),
    }
    asked: list[str] = []

    async def ask(row: Row) -> Answer:
        asked.append(row.key)
        answer = answer_of(row, "", outcomes[row.key])
        return answer.model_copy(update={"cost": Cost()}) if row.key == "r6" else answer

    tally = run(rows_of(7), ask, out)
    assert tally.put_off == Counter(model_unavailable=1, rate_limited=1, worker_lost=1, budget_seconds=1)
    assert tally.without == Counter(
        {"failed (context)": 1, "refused (unsupported_image)": 1, "failed (budget_calls)": 1}
    )
    asked.clear()
    tally = run(rows_of(7), yes, out)
    assert tally.answered == 4 and tally.kept == 7 and not tally.put_off


@pytest.mark.parametrize("code", ["model_unavailable", "rate_limited", "bad_server_response"])
def test_an_answer_that_a_dying_server_cut_short_is_asked_again_by_the_next_run(tmp_path: Path, code: str) -> None:
    out, short = tmp_path / "a.jsonl", Outcome(kind="answered_degraded", codes=("box", code), reasons=("Away.",))

    async def ask(row: Row) -> Answer:
        return answer_of(row, "Cannot tell", short if row.key == "r1" else None)

    tally = run(rows_of(3), ask, out)
    passes = code != "bad_server_response"
    assert tally.kept == (2 if passes else 3) and tally.put_off == (Counter({code: 1}) if passes else Counter())
    tally = run(rows_of(3), yes, out)
    assert tally.kept == 3 and tally.degraded == (0 if passes else 1)


class DiesAfterTheFirstLook(FakeServer):
    """Answers about the whole, and then no more."""

    def decide(self, path: str, body: bytes) -> Any:
        answer = super().decide(path, body)
        return answer if len(self.requests) < 2 or not path.endswith("completions") else Status(503)


def test_a_run_says_which_code_kept_it_from_a_closer_look(tmp_path: Path) -> None:
    server = DiesAfterTheFirstLook()
    model = OpenAIModel("http://fake/v1", "qwen3-vl", transport=server.transport(), retries=RetryPolicy(attempts=1))
    with ZoomAgent(model) as agent:
        answer = agent.ask(Image.new("RGB", (2000, 1500)), "What does the sign say?")
    assert answer.outcome.kind == "answered_degraded" and answer.outcome.codes == ("model_unavailable",)


def test_a_row_whose_server_dies_under_it_is_answered_by_the_next(tmp_path: Path) -> None:
    dying, well = DiesAfterTheFirstLook(), FakeServer(lambda seen: "a cat")

    async def asked() -> tuple[Answer, Answer]:
        async with serve(dying) as one, serve(well) as two:
            models = (f"{one}#qwen3-vl", f"{two}#qwen3-vl")
            name = next(name for name in (f"{i}.png" for i in range(200)) if ranked(name, models)[0] == models[0])
            Image.new("RGB", (2000, 1500)).save(tmp_path / name)
            row = Row("r", 1, name, "What does the sign say?")
            async with Agents(Setup(models, tmp_path)) as agents, Agents(Setup(models[1:], tmp_path)) as others:
                return await agents.ask(row), await others.ask(row)

    answer, undisturbed = asyncio.run(asked())
    assert dying.requests and answer.text == "a cat" and answer.outcome == undisturbed.outcome
    assert "model_unavailable" not in answer.outcome.codes


@pytest.mark.parametrize("code", ["model_not_found", "model_blind", "setting_invalid", "policy_file_refused"])
def test_what_no_row_can_be_answered_without_stops_the_batch(tmp_path: Path, code: str) -> None:
    async def ask(row: Row) -> Answer:
        return answer_of(row, "", failing(code))

    with pytest.raises(RunError, match="Because") as caught:
        run(rows_of(100), ask, tmp_path / "a.jsonl")
    assert caught.value.code == code and lines_of(tmp_path / "a.jsonl") == []


def test_the_summary_counts_everything_once_over_all_runs(tmp_path: Path) -> None:
    def told(row: Row) -> Answer:
        return answer_of(row, {"r0": "Yes.", "r1": "no", "r2": "Cannot tell"}.get(row.key, "yes"))

    async def ask(row: Row) -> Answer:
        return told(row)

    rows: list[Row | NoRow] = [*rows_of(3, answer="yes"), Row("r3", 4, "a.png", "?"), NoRow(5, "not JSON")]
    for _ in range(2):
        summary = run(rows, ask, tmp_path / "a.jsonl").summary()
        assert (summary["rows"], summary["answered"], summary["cannot_tell"]) == (4, 3, 1)
        assert (summary["judged"], summary["accuracy"]) == (3, 1 / 3)
        assert (summary["model_calls"], summary["prompt_tokens"], summary["no_rows"]) == (8, 40, 1)
        assert summary["first_no_rows"] == [{"line": 5, "text": "not JSON"}]


def test_a_line_says_what_was_asked_and_what_was_right() -> None:
    row = Row("a", 3, "x.png", "What?", answer="Blue")
    record = orjson.loads(orjson.dumps(record_of(row, answer_of(row, "blue"))))
    assert (record["id"], record["line"], record["wanted"], record["right"], record["answer"]) == (
        "a", 3, "Blue", True, "blue",
    )  # fmt: skip
    assert record_of(row, answer_of(row, "Blue", failing("context")))["right"] is False


# The command


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    return written(tmp_path, {"image": PICTURE, "question": "What colour is it?", "answer": "blue"}, "no row")


def command(questions: Path, *more: str) -> subprocess.CompletedProcess[str]:
    out = questions.parent / "answers.jsonl"
    called = [sys.executable, "-m", "zoomagent.cli", "batch", str(questions), "--out", str(out), *more]
    return subprocess.run(called, capture_output=True, text=True, timeout=300)


def test_the_command_answers_with_the_packaged_model_and_tells_lines_that_are_none(questions: Path) -> None:
    done = command(questions, "--strategy", "macro", "--arbiter", "none")
    summary = json.loads(done.stdout)
    assert (done.returncode, summary["rows"], summary["no_rows"]) == (65, 1, 1), done.stderr
    assert "line 2 is no question: not JSON" in done.stderr
    [line] = lines_of(questions.parent / "answers.jsonl")
    assert line["strategy"] == "macro" and line["outcome"] == "answered" and line["cost"]["model_calls"] == 1
    refused = command(questions, "--strategy", "auto", "--arbiter", "none")
    assert refused.returncode == 75 and "run_mismatch" in refused.stderr


def test_a_batch_whose_server_is_away_says_so_and_keeps_nothing(questions: Path) -> None:
    done = command(questions, "--model", "http://127.0.0.1:9/v1#qwen3-vl", "--deadline", "3")
    assert done.returncode == 75 and "Run the same command again" in done.stderr, done.stderr
    assert lines_of(questions.parent / "answers.jsonl") == []


PRECIOUS = ['{"precious": "one line, no line end"}', "x", "a\x00b", "x" * (3 << 20)]


@pytest.mark.parametrize("text", PRECIOUS, ids=len)
def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    file = tmp_path / "model.json"
    file.write_text(text)
    with Journal(file) as journal, pytest.raises(StoreError):
        list(journal.lines())
    with pytest.raises(StoreError), RecordFile(file):
        pass
    assert file.read_text() == text


QUESTIONS = '{"id": "a", "image": "a.png", "question": "?"}\n{"id": "b", "image": "b.png", "question": "?"}'


@pytest.mark.parametrize("text", ["# Notes\n\nof a user", '{"a": 1}\n{"b": 2', "\n\nx", QUESTIONS])
def test_lines_of_somebody_else_are_left_as_they_are(tmp_path: Path, text: str) -> None:
    file = tmp_path / "notes.md"
    file.write_text(text)
    with pytest.raises(StoreError), RecordFile(file):
        pass
    assert file.read_text() == text


def test_collecting_cuts_nothing_off_a_file_of_questions(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(QUESTIONS)
    with pytest.raises(StoreError, match="Line 1"):
        asyncio.run(collect(load_model("nano"), [], file))
    assert file.read_text() == QUESTIONS


@pytest.mark.parametrize(
    "field", ['"options": [{}]', '"options": {{{}}}', '"regions": [{}]', '"regions": [[{}]]', '"answer": [{}]']
)
def test_a_row_of_many_wrong_values_is_refused_without_an_error_for_each(tmp_path: Path, field: str) -> None:
    item = '"{}": null' if "{{" in field else "null"
    values = ", ".join(item.format(number) if "{{" in field else item for number in range(100_000))
    file = tmp_path / "questions.jsonl"
    file.write_text(f'{{"image": "a.png", "question": "?", {field.format(values)}}}\n')
    (row,) = read_rows(file)
    assert isinstance(row, NoRow) and "values" in row.text


def test_fields_that_nobody_reads_may_hold_many_values(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(f'{{"image": "a.png", "question": "?", "embedding": {[0.5] * 50_000}}}\n')
    assert [type(row) for row in read_rows(file)] == [Row]


def test_a_torn_last_line_is_cut_after_the_others_were_read(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"1\n2\n3")
    with Journal(file) as journal:
        lines = journal.lines()
        assert next(lines) == b"1" and file.read_bytes() == b"1\n2\n3"
        assert list(lines) == [b"2"] and file.read_bytes() == b"1\n2\n"


DEEP = "[" * 260 + "]" * 260
TOO_DEEP = [f'"meta": {DEEP}', f'"meta": {DEEP}, "options": ["a", "b"]', f'"image": {DEEP}']


@pytest.mark.parametrize("field", TOO_DEEP)
def test_a_row_of_an_array_that_is_nested_too_deep_loses_no_other_row(tmp_path: Path, field: str) -> None:
    good = '{"id": "%s", "image": "a.png", "question": "good?"}'
    file = tmp_path / "q.json"
    file.write_text(f'[{good % 1}, {{"id": "2", "image": "a.png", "question": "q", {field}}}, {good % 3}]')
    first, second, third = read_rows(file)
    assert isinstance(first, Row) and isinstance(second, NoRow) and isinstance(third, Row)
    assert (second.line, third.line) == (2, 3)


@pytest.mark.parametrize("deep", ["[" * 100_000, '{"a":' * 100_000])
def test_settings_that_are_nested_without_end_are_damaged_settings(deep: str, tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_bytes(b"{}\n")
    (tmp_path / "answers.jsonl.run.json").write_text(deep)
    with pytest.raises(StoreError) as told, AnswerFile(tmp_path / "answers.jsonl", {"model": "m"}):
        pass
    assert told.value.code == "run_mismatch"
