"""Answering only when sure enough: the promised error is kept as often as promised, and not without the correction."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from zoomagent.confidence.abstention import (
    KIND_DELTA,
    Cutoff,
    binomial_cdf,
    grid_from,
    learn_then_test,
    p_value,
)
from zoomagent.errors import SettingInvalid

Array = NDArray[np.float64]
ALPHA, DELTA, SETS = 0.1, 0.1, 300


def drawn(n: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.bool_]]:
    """Confidence c is 1 - u ** 2 for a uniform u; the answer is right with probability c."""
    confidence = 1 - rng.random(n) ** 2
    return confidence, rng.random(n) < confidence


def true_error(threshold: float) -> float:
    """P(wrong | confidence >= threshold) in the world of `drawn`: the mean of u ** 2 below its root."""
    return (1 - threshold) / 3


def naive(confidence: Array, right: NDArray[np.bool_]) -> Cutoff:
    """What one would do without the theory: the laxest threshold whose counted error is at most alpha."""
    fine = [t for t in np.linspace(0.98, 0, 50) if np.mean(~right[confidence >= t]) <= ALPHA]
    return Cutoff(min(fine), 0.0, ALPHA, "")


def certified(confidence: Array, right: NDArray[np.bool_]) -> Cutoff:
    reference = 1 - np.linspace(0, 1, 201) ** 2
    return learn_then_test(confidence, list(right), grid_from(reference, 500, ALPHA, DELTA), ALPHA, DELTA)


def broken_promises(rule: Callable[[Array, NDArray[np.bool_]], Cutoff]) -> int:
    """In how many of SETS calibration sets the rule's threshold lets more than alpha errors through."""
    rng = np.random.default_rng(7)
    thresholds = [rule(*drawn(500, rng)).threshold for _ in range(SETS)]
    return sum(t is not None and true_error(t) > ALPHA for t in thresholds)


def test_the_error_is_above_alpha_in_at_most_a_share_delta_of_calibration_sets() -> None:
    slack = 2.5 * math.sqrt(SETS * DELTA * (1 - DELTA))
    assert broken_promises(certified) <= SETS * DELTA + slack


def test_without_the_correction_the_promise_is_broken_far_more_often() -> None:
    """So the test above can fail."""
    assert broken_promises(naive) > 0.3 * SETS


def test_the_promise_is_not_kept_by_never_answering() -> None:
    rng = np.random.default_rng(8)
    found = [certified(*drawn(500, rng)) for _ in range(50)]
    possible = math.sqrt(3 * ALPHA)
    assert np.mean([cutoff.coverage for cutoff in found]) > 0.6 * possible


def test_few_questions_promise_nothing_and_say_so() -> None:
    few = [0.99] * 20
    cutoff = learn_then_test(few, [True] * 20, [0.5], 0.05)
    assert cutoff.threshold is None
    assert "abstain always" in cutoff.reason
    assert "abstain always" in (cutoff.refusal(1.0) or "")


def test_more_certainty_costs_answers() -> None:
    confidence, right = drawn(3000, np.random.default_rng(10))
    grid = np.linspace(0, 0.85, 86)
    coverage = [learn_then_test(confidence, list(right), grid, 0.1, d).coverage for d in (0.4, 0.01)]
    assert coverage[0] > coverage[1] > 0


def two_kinds(n: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.bool_], list[str]]:
    """Questions of an easy kind, whose confidences are too low, and a quarter of a hard kind, whose are too high."""
    confidence, hard = 1 - rng.random(n) ** 2, np.arange(n) % 4 == 0
    right = rng.random(n) < np.where(hard, confidence - 0.25 * (1 - confidence) - 0.03, (2 + confidence) / 3)
    return confidence, right, ["hard" if each else "easy" for each in hard]


def error_in(kind: str, threshold: float) -> float:
    """The share of wrong answers among those given, in a kind of `two_kinds`."""
    confidence, right, kinds = two_kinds(200_000, np.random.default_rng(9))
    chosen = (np.asarray(kinds) == kind) & (confidence >= threshold)
    return float(np.mean(~right[chosen]))


def test_a_promise_for_all_that_breaks_for_one_kind_is_not_made_where_kinds_are_named() -> None:
    rng, reference = np.random.default_rng(11), 1 - np.linspace(0, 1, 201) ** 2
    grid, errors = grid_from(reference, 6000, ALPHA, DELTA), []
    for _ in range(20):
        confidence, right, kinds = two_kinds(6000, rng)
        one = learn_then_test(confidence, right, grid, ALPHA, DELTA)
        each = learn_then_test(confidence, right, grid, ALPHA, DELTA, kinds)
        assert one.threshold is not None and each.threshold is not None and each.threshold > one.threshold
        assert error_in("hard", one.threshold) > ALPHA + 0.03 and error_in("easy", each.threshold) < ALPHA
        assert "in each of 2 kinds" in each.reason and "kinds" not in one.reason
        errors.append(error_in("hard", each.threshold))
    slack = 2.5 * math.sqrt(20 * KIND_DELTA * (1 - KIND_DELTA))
    assert np.mean(errors) < ALPHA and sum(error > ALPHA for error in errors) <= 20 * KIND_DELTA + slack


@pytest.mark.parametrize("error", [0.101, 0.11])
def test_a_kind_with_more_errors_than_promised_passes_no_more_often_than_it_may(error: float) -> None:
    """Wrong as often at every confidence: whichever threshold is taken breaks the promise for this kind."""
    rng, reference = np.random.default_rng(12), 1 - np.linspace(0, 1, 201) ** 2
    grid, kinds, trials = grid_from(reference, 960, ALPHA, DELTA), ["a"] * 600 + ["b"] * 360, 150
    passed = 0
    for _ in range(trials):
        confidence = 1 - rng.random(960) ** 2
        right = np.concatenate([np.ones(600, bool), rng.random(360) >= error])
        passed += learn_then_test(confidence, right, grid, ALPHA, DELTA, kinds).threshold is not None
    assert passed <= trials * KIND_DELTA + 2.5 * math.sqrt(trials * KIND_DELTA * (1 - KIND_DELTA))


def test_an_unknown_confidence_is_not_answered() -> None:
    cutoff = Cutoff(0.5, 1.0, 0.05, "Promise.")
    assert not cutoff.answers(None) and cutoff.answers(0.5) and cutoff.refusal(0.5) is None
    assert "0.400" in (cutoff.refusal(0.4) or "") and "unknown" in (cutoff.refusal(None) or "")


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.001, 0.999))
def test_the_binomial_tail_is_the_sum_of_its_terms(k: int, n: int, p: float) -> None:
    exact = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(min(k, n) + 1))
    assert binomial_cdf(k, n, p) == pytest.approx(min(exact, 1.0), abs=1e-9)


def test_large_counts_do_not_overflow() -> None:
    assert binomial_cdf(5_000, 10_000, 0.5) == pytest.approx(0.504, abs=1e-3)
    assert p_value(0, 45, 0.05) == pytest.approx(0.95**45)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 5.0])
def test_a_share_that_is_none_is_refused(alpha: float) -> None:
    with pytest.raises(SettingInvalid, match="alpha"):
        learn_then_test([0.5], [True], [0.5], alpha)
