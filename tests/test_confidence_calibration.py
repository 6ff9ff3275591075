"""Calibrators: never falling, always a probability, the same after JSON, and right about what they were fitted on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from zoomagent.confidence.calibration import Calibrator, Isotonic, Platt, sigmoid
from zoomagent.confidence.metrics import ece
from zoomagent.training.calibration.fitting import fit_isotonic, fit_platt

Array = NDArray[np.float64]
STORED: TypeAdapter[Calibrator] = TypeAdapter(Calibrator)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def calibrators(draw: st.DrawFn) -> Platt | Isotonic:
    kind = draw(st.sampled_from(["platt", "isotonic"]))
    if kind == "platt":
        return Platt(slope=draw(st.floats(0, 1e6)), intercept=draw(FINITE))
    scores = sorted(draw(st.sets(st.floats(-500, 500), min_size=1, max_size=12)))
    values = sorted(draw(st.lists(st.floats(0, 1), min_size=len(scores), max_size=len(scores))))
    return Isotonic(scores=tuple(scores), values=tuple(values))


def overconfident(n: int, seed: int) -> tuple[Array, NDArray[np.bool_]]:
    """Scores that are three times the true log-odds, and shifted."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0.5, 1.2, n)
    return 3 * truth + 1, rng.random(n) < sigmoid(truth)


@given(calibrators(), st.lists(FINITE, min_size=2, max_size=20))
def test_a_higher_score_never_gets_a_lower_probability(calibrator: Calibrator, scores: list[float]) -> None:
    p = calibrator.probabilities(np.sort(np.asarray(scores)))
    assert np.all(np.diff(p) >= -1e-12)


@given(calibrators(), st.lists(FINITE, min_size=1, max_size=20))
def test_any_finite_score_gives_a_probability(calibrator: Calibrator, scores: list[float]) -> None:
    p = calibrator.probabilities(np.asarray(scores))
    assert np.all((p >= 0) & (p <= 1))


@given(calibrators())
def test_a_calibrator_is_the_same_after_json(calibrator: Calibrator) -> None:
    assert STORED.validate_json(STORED.dump_json(calibrator)) == calibrator


@settings(deadline=None)  # the first example imports scikit-learn
@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.booleans()), min_size=2, max_size=60))
def test_a_fitted_table_rises(answers: list[tuple[float, bool]]) -> None:
    scores, right = (np.asarray(column) for column in zip(*answers, strict=True))
    table = fit_isotonic(scores.astype(float), right)
    assert list(table.values) == sorted(table.values)
    assert np.all(np.diff(table.probabilities(np.linspace(-1e3, 1e3, 50))) >= -1e-12)


@pytest.mark.parametrize("fit", [fit_platt, fit_isotonic])
def test_calibration_brings_the_error_below_three_percent(fit) -> None:  # type: ignore[no-untyped-def]
    calibrator = fit(*overconfident(4000, 1))
    scores, right = overconfident(20_000, 2)
    assert ece(sigmoid(scores), list(right)) > 0.1
    for by in ("mass", "width"):
        assert ece(calibrator.probabilities(scores), list(right), by=by) < 0.03


def test_scores_that_point_the_wrong_way_give_the_base_rate() -> None:
    scores, right = overconfident(2000, 4)
    p = fit_platt(-scores, right).probabilities(np.asarray([-5.0, 5.0]))
    assert p == pytest.approx([right.mean()] * 2)


@pytest.mark.parametrize("scores", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0, 2.0)])
def test_a_table_that_does_not_rise_is_refused(scores: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        Isotonic(scores=scores, values=(0.2, 0.8))


def test_a_table_is_straight_in_between_and_flat_outside() -> None:
    table = Isotonic(scores=(0.0, 2.0), values=(0.2, 0.8))
    assert table.probabilities(np.asarray([-9.0, 0.0, 1.0, 2.0, 9.0])) == pytest.approx([0.2, 0.2, 0.5, 0.8, 0.8])
