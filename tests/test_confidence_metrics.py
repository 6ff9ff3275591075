"""Calibration and ranking figures against values worked out by hand, and against what no order may change."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoomagent.confidence.metrics import aurc, brier, ece, reliability, risk_coverage

ANSWERS = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]), st.booleans()), min_size=1, max_size=40)


def test_expected_calibration_error_by_hand() -> None:
    """Two bins of equal mass: mean 0.3 against 0.5 right, mean 0.85 against 1.0 right."""
    confidence, right = [0.2, 0.4, 0.8, 0.9], [True, False, True, True]
    assert ece(confidence, right, bins=2) == pytest.approx(0.5 * 0.2 + 0.5 * 0.15)


def test_bins_of_equal_width_have_their_own_counts() -> None:
    """0.2, 0.3 and 0.4 in the lower half, 0.9 in the upper."""
    confidence, right = [0.2, 0.3, 0.4, 0.9], [True, False, False, True]
    table = reliability(confidence, right, bins=2, by="width")
    assert [row.n for row in table] == [3, 1]
    assert ece(confidence, right, bins=2, by="width") == pytest.approx(0.75 * abs(0.3 - 1 / 3) + 0.25 * 0.1)


def test_brier_by_hand() -> None:
    assert brier([0.8, 0.4], [True, True]) == pytest.approx((0.04 + 0.36) / 2)


def test_area_under_risk_coverage_by_hand() -> None:
    """Surest first: right, wrong, right. Risks 0, 1/2, 1/3."""
    coverage, risk = risk_coverage([0.5, 0.9, 0.7], [True, True, False])
    assert coverage == pytest.approx([1 / 3, 2 / 3, 1])
    assert risk == pytest.approx([0, 1 / 2, 1 / 3])
    assert aurc([0.5, 0.9, 0.7], [True, True, False]) == pytest.approx((1 / 2 + 1 / 3) / 3)


def test_equal_confidences_share_their_errors() -> None:
    """One of two equally sure answers is wrong: half an error each, whichever comes first."""
    _, risk = risk_coverage([0.7, 0.7], [True, False])
    assert risk == pytest.approx([0.5, 0.5])


def test_nothing_asked_gives_zeros_and_an_empty_table() -> None:
    assert (ece([], []), brier([], []), aurc([], []), reliability([], [])) == (0, 0, 0, [])


def test_one_confidence_per_answer_is_asked_for() -> None:
    with pytest.raises(ValueError, match="one confidence per answer"):
        ece([0.1, 0.2], [True])


def test_a_perfect_order_has_less_area_than_its_reverse() -> None:
    right = [True] * 8 + [False] * 2
    rising = np.linspace(0, 1, 10)
    assert aurc(rising[::-1], right) < aurc(rising, right)


@given(ANSWERS, st.randoms(use_true_random=False), st.sampled_from(["mass", "width"]))
def test_no_figure_depends_on_the_order_of_the_questions(answers: list[tuple[float, bool]], random, by) -> None:  # type: ignore[no-untyped-def]
    shuffled = random.sample(answers, len(answers))
    (c, y), (d, z) = zip(*answers, strict=True), zip(*shuffled, strict=True)
    assert ece(c, y, by=by) == pytest.approx(ece(d, z, by=by))
    assert aurc(c, y) == pytest.approx(aurc(d, z))
    assert sum(row.n for row in reliability(c, y, by=by)) == len(answers)


@given(ANSWERS)
def test_bins_do_not_overlap_and_keep_equal_confidences_together(answers: list[tuple[float, bool]]) -> None:
    c, y = zip(*answers, strict=True)
    table = reliability(c, y, bins=5)
    assert all(a.high < b.low for a, b in zip(table, table[1:], strict=False))
