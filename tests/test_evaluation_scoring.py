"""Scores: exact, with honest intervals; the haystack's table counts gain, harm, price, abstentions and confidence."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.evaluation.plots import plots
from zoomagent.evaluation.results import Key, Result
from zoomagent.evaluation.scoring import clopper_pearson, gain_and_harm, same_answer, wilson
from zoomagent.evaluation.sets.haystack import Settings
from zoomagent.evaluation.table import markdown, report, rows, with_oracle


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


def result(strategy: str, group: str, right: bool, scene: int = 0, seed: int = 1) -> Result:
    key = Key("fake", 256, "small", 128, False, seed, scene, group, strategy)
    given = "a" if right else "b"
    return Result(key, "q", (), "a", given, right, False, "answered", strategy != "macro", 0.5, 2, 100, 0.1)


MIXED = [
    result("macro", "read", False),
    result("macro", "whole", True),
    replace(result("dualfocus", "whole", False), outcome="failed: no_answer"),
    result("dualfocus", "read", True),
]
"""The rows' order differs on purpose: they are matched by question."""


def test_rows_hold_every_column_and_count_errors() -> None:
    table = {(r["strategy"], r["kind"]): r for r in rows(MIXED)}
    both = table["dualfocus", "all"]
    assert (both["n"], both["accuracy"], both["gain"], both["harm"], both["errors"]) == (2, 0.5, 0.5, 0.5, 1)
    assert (both["calls"], both["visual_tokens"], both["seconds"]) == (2, 100, 0.1)
    assert table["dualfocus", "read"]["gain"] == 1 and table["dualfocus", "whole"]["harm"] == 1
    text = markdown(list(table.values()))
    assert "| dualfocus | read | 1 | 100.0%" in text and "1 runs ended without an answer" in text
    assert set(json.loads(json.dumps(report(Settings(), MIXED)))) == {"settings", "rows"}


def test_gain_is_not_told_where_macro_was_not_asked_everything() -> None:
    table = {(r["strategy"], r["kind"]): r for r in rows(MIXED[1:])}
    assert table["dualfocus", "all"]["gain"] is None and "| – | – |" in markdown(list(table.values()))


def test_abstentions_are_counted_apart_from_what_was_answered() -> None:
    told = [replace(result("auto", "absent", i == 0, i), abstained=i < 2) for i in range(4)]
    [row, _] = rows(told)
    assert (row["coverage"], row["abstained"], row["selective"], row["accuracy"]) == (0.5, 0.5, 0.0, 0.25)


def test_confidence_is_judged_by_calibration_and_by_ranking() -> None:
    sure = [replace(result("auto", "read", i < 3, i), confidence=0.9 if i < 3 else 0.1) for i in range(4)]
    [row, _] = rows(sure)
    assert row["ece"] == pytest.approx(0.1) and row["aurc"] == pytest.approx(1 / 16)
    [row, _] = rows([replace(r, confidence=None) for r in sure])
    assert row["ece"] is None and row["aurc"] is None


def test_only_close_views_that_were_looked_into_can_have_mattered() -> None:
    base = [result("macro", "read", False, i) for i in range(4)]
    mine = [
        replace(result("auto", "read", True, 0), mattered=True),
        replace(result("auto", "read", False, 1), mattered=False),
        replace(result("auto", "read", True, 2), mattered=None),
        replace(result("auto", "read", True, 3), mattered=False, zoomed=False),
    ]
    row = next(r for r in rows([*base, *mine]) if r["strategy"] == "auto")
    assert row["mattered"] == 0.5 and row["mattered_changed"] == 1.0


def test_each_seed_is_told_apart() -> None:
    [row, _] = rows([result("macro", "read", seed == 1, seed=seed) for seed in (1, 2)])
    assert row["by_seed"] == {"1": 1.0, "2": 0.0}


def test_the_oracle_is_right_where_either_is_and_pays_for_both() -> None:
    rights = [(False, False), (False, True), (True, False), (True, True)]
    macro = [result("macro", "read", a, i) for i, (a, _) in enumerate(rights)]
    micro = [result("micro", "read", b, i) for i, (_, b) in enumerate(rights)]
    oracle = [r for r in with_oracle([*macro, *micro]) if r.key.strategy == "oracle"]
    assert [r.right for r in oracle] == [False, True, True, True]
    assert {(r.calls, r.visual_tokens, r.seconds) for r in oracle} == {(4, 200, 0.2)}
    assert with_oracle(macro) == macro


def test_plots_are_drawn_with_and_without_confidences(tmp_path: Path) -> None:
    for confidence in (0.5, None):
        results = [replace(r, confidence=confidence) for r in MIXED]
        written = plots(rows(results), results, tmp_path / "haystack.json")
        assert [path.name for path in written] == ["haystack-calls.png", "haystack-risk.png"]
        assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)


def test_exact_intervals_match_published_ones() -> None:
    """0 of 10: (0, 1 - 0.025 ** 0.1); 5 of 10: (0.187, 0.813)."""
    assert clopper_pearson(0, 10) == pytest.approx((0, 1 - 0.025**0.1))
    assert clopper_pearson(10, 10) == pytest.approx((0.025**0.1, 1))
    assert clopper_pearson(5, 10) == pytest.approx((0.18709, 0.81291), abs=1e-5)
    assert clopper_pearson(0, 0) == (0, 1)
