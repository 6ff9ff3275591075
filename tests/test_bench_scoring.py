"""Scores: exact, with honest intervals; the haystack's table counts gain, harm and price."""

import json

import pytest

from zoomagent.bench.haystack import KINDS_OF, Result, Settings, markdown, questions, report, rows
from zoomagent.bench.scoring import gain_and_harm, same_answer, wilson
from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.geometry import Size


@pytest.mark.parametrize(
    ("given", "wanted", "equal"),
    [
        ("47", "47", True),
        (" Left.", "left", True),
        ("４７", "47", True),
        ("147", "47", False),
        ("47 or 48", "47", False),
        ("", "47", False),
        ("I cannot tell", CANNOT_TELL, False),
    ],
)
def test_only_the_same_words_are_the_same_answer(given: str, wanted: str, equal: bool) -> None:
    assert same_answer(given, wanted) is equal


def test_wilson_gives_the_published_interval() -> None:
    low, high = wilson(8, 10)
    assert low == pytest.approx(0.4902, abs=1e-4) and high == pytest.approx(0.9433, abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 20)[0] == 0.0 and wilson(20, 20)[1] == 1.0


def test_gain_and_harm_are_counted_question_by_question() -> None:
    assert gain_and_harm([True, True, False, False], [True, False, True, True]) == (0.5, 0.25)


def result(strategy: str, group: str, right: bool, outcome: str = "answered") -> Result:
    return Result(strategy, group, "q", "a", "a", right, outcome, "macro", 0.5, 2, 100, 0.1)


def test_rows_hold_every_column_and_count_errors() -> None:
    results = [
        result("macro", "close", False),
        result("macro", "global", True),
        result("dualfocus", "close", True),
        result("dualfocus", "global", False, "failed"),
    ]
    table = {(r["strategy"], r["kind"]): r for r in rows(results)}
    both = table["dualfocus", "all"]
    assert (both["n"], both["accuracy"], both["gain"], both["harm"], both["errors"]) == (2, 0.5, 0.5, 0.5, 1)
    assert (both["calls"], both["visual_tokens"], both["seconds"]) == (2, 100, 0.1)
    assert table["macro", "close"]["accuracy"] == 0
    assert "| dualfocus | close | 1 | 100.0%" in markdown(list(table.values()))
    assert set(json.loads(json.dumps(report(Settings(), "nano", results)))) == {"settings", "rows"}


def test_questions_come_in_equal_shares_and_the_same_every_time() -> None:
    settings = Settings(n=13, seed=4, size=256)
    asked = [(group, q.text, q.answer, q.kind) for _, group, q in questions(settings)]
    assert asked == [(group, q.text, q.answer, q.kind) for _, group, q in questions(settings)]
    groups = [group for group, *_ in asked]
    assert sorted(groups.count(g) for g in KINDS_OF) == [3, 3, 3, 4]
    assert all(kind in KINDS_OF[group] for group, _, _, kind in asked)


def test_the_picture_handed_over_is_the_scene_at_full_size() -> None:
    picture, _, _ = next(questions(Settings(n=4, size=300)))
    assert picture.size == Size(300, 300)
