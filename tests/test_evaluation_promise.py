"""The promise is tried where it could break, and what is counted is what a run would have given."""

from dataclasses import replace
from pathlib import Path

import pytest
from fake_model import FAKE_PROFILE, Call, FakeModel, Scripted
from truthful_model import last_text
from zoom_world import arbiter, even

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.evaluation.promise import SETS, Given, markdown, measure, report
from zoomagent.evaluation.sets.other_world import Materials

PROFILE = replace(FAKE_PROFILE, max_pixels=128 * 128, crop_pixels=80 * 80, multiple=16, min_pixels=16 * 16, min_side=16)
GIVEN = Given("a: the world, unseen", "x", "read", 3.0, "What?", "47", "47", True, 0.9, 4)


def reply(call: Call) -> Scripted:
    return "[100, 100, 300, 300]" if "bounding box" in last_text(call) else "red"


def test_every_set_is_asked_and_answers_are_kept_and_taken_up(tmp_path: Path) -> None:
    kept, judge = tmp_path / "kept.jsonl", arbiter(tmp_path / "a.json", certified=300)
    models = [FakeModel(profile=PROFILE, respond=reply, respond_score=even) for _ in range(2)]
    first, again = (measure(m, 4, 5, Materials.packaged(), 128, judge, kept) for m in models)
    assert first == again and {given.set for given in first} == set(SETS) and len(first) == 16
    assert models[0].history and not models[1].history
    content = report(first, judge)
    assert len(content["rows"]) == 4 * len(SETS) and "| b: another hand | 5% |" in markdown(content)


@pytest.mark.parametrize(("wrong", "kept"), [(0, True), (5, True), (40, False)])
def test_a_promise_is_kept_where_its_interval_reaches_it(tmp_path: Path, wrong: int, kept: bool) -> None:
    judge = arbiter(tmp_path / "a.json", certified=400)
    found = [replace(GIVEN, name=str(i), right=i >= wrong) for i in range(100)]
    [row] = [r for r in report(found, judge)["rows"] if r["set"] == GIVEN.set and r["promised"] == 0.05]
    assert (row["given"], row["wrong"], row["kept"]) == (100, wrong, kept)


def test_cannot_tell_and_what_is_not_calibrated_are_never_counted_as_given(tmp_path: Path) -> None:
    judge = arbiter(tmp_path / "a.json", certified=400)
    found = [replace(GIVEN, name="1", text=CANNOT_TELL), replace(GIVEN, name="2", confidence=None, right=False)]
    rows = [r for r in report(found, judge)["rows"] if r["set"] == GIVEN.set]
    assert all(row["given"] == 0 and row["wrong"] == 0 for row in rows)
    [quality] = [q for q in report(found, judge)["quality"] if q["set"] == GIVEN.set]
    assert quality["ece"]["n"] == 1 and quality["right"] == 0.5
