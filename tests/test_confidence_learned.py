"""The learned rule: what it looks at, what it takes, what it says, and what it does without an arbiter."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import confidence_world
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from zoomagent.confidence import selection
from zoomagent.confidence.arbiter import Arbiter, load, save
from zoomagent.confidence.features import FIELDS, GATE_FIELDS, Features, from_dict, observed, to_dict, vector
from zoomagent.confidence.learned import choose, gated, percent
from zoomagent.confidence.replies import ReadAnswer
from zoomagent.confidence.selection import Candidate, Comparison
from zoomagent.errors import SettingInvalid
from zoomagent.models.base import Likelihood
from zoomagent.training.calibration.fitting import fit, right_of

WHOLE = Candidate(ReadAnswer("blue", True), Likelihood(-0.2, 2))
CROP = Candidate(ReadAnswer("42", True), Likelihood(-0.4, 2))
SHARES = st.none() | st.floats(0, 1)
NATS = st.none() | st.floats(max_value=0, allow_nan=False, allow_infinity=False)
FLAGS = st.none() | st.booleans()
COUNTS = st.none() | st.integers(0, 10**9)
ANY = st.builds(
    Features,
    **dict.fromkeys(("macro_prob", "macro_votes", "micro_prob", "seen", "crop_share", "votes"), SHARES),
    **dict.fromkeys(("macro_mean", "micro_mean", "shared_macro", "shared_micro"), NATS),
    **dict.fromkeys(("macro_abstains", "macro_valid", "micro_abstains", "micro_valid", "agree", "reads"), FLAGS),
    **dict.fromkeys(("depth", "targets"), COUNTS),
    mattered=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
EVIDENCE = Features(
    macro_prob=0.9, macro_mean=-0.1, macro_abstains=False, macro_valid=True, micro_prob=0.9, micro_mean=-0.1,
    micro_abstains=False, micro_valid=True, agree=False, seen=0.99, mattered=5.2, crop_share=0.1, depth=1, targets=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def arbiter() -> Arbiter:
    return fit(confidence_world.records(1600, seed=1), seed=1, model="synthetic")


@given(ANY)
def test_every_row_is_finite_and_small(features: Features) -> None:
    row, names = vector(features)
    assert len(row) == len(names) == 2 * len(FIELDS)
    assert np.all(np.isfinite(row)) and np.all(np.abs(row) <= 10)


@given(ANY)
def test_features_are_the_same_after_json(features: Features) -> None:
    assert from_dict(to_dict(features)) == features


@given(ANY)
def test_what_is_missing_is_marked_missing(features: Features) -> None:
    row, names = vector(features)
    marked = {name[:-1] for name, value in zip(names, row, strict=True) if name.endswith("?") and value}
    assert marked - {"shared_gap"} == set(FIELDS) - {"shared_gap"} - set(to_dict(features))


@pytest.mark.parametrize(
    "values", [{"seen": 1.2}, {"seen": math.nan}, {"macro_mean": 0.1}, {"agree": 1}, {"depth": -1}, {"sure": 0.5}]
)
def test_values_that_can_not_be_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        from_dict(values)


@given(st.floats(), st.floats())
def test_measurements_that_are_no_numbers_count_as_not_known(seen: float, mattered: float) -> None:
    features = observed(WHOLE, CROP, None, seen=seen, mattered=mattered)
    assert features.mattered == (mattered if math.isfinite(mattered) else None)
    assert (features.seen is None) == (not math.isfinite(seen))


def test_features_come_from_candidates_and_their_weighing() -> None:
    words = (Likelihood(-3.0, 2), Likelihood(-0.4, 2))
    features = observed(WHOLE, CROP, Comparison("published", -2.0, -1.0, words))
    assert features.macro_prob == pytest.approx(math.exp(-0.2)) and features.macro_mean == pytest.approx(-0.1)
    assert (features.shared_macro, features.shared_micro) == (-1.5, -0.2)
    assert features.agree is False and features.votes is None
    voted = observed(WHOLE, CROP, Comparison("votes", 1, 4, None, 5))
    assert voted.votes == 0.8 and voted.shared_macro is None
    assert observed(WHOLE).agree is None


@given(ANY, ANY)
def test_the_gate_never_looks_at_the_closer_look(arbiter: Arbiter, one: Features, other: Features) -> None:
    macro = {name: getattr(one, name) for name in GATE_FIELDS}
    assert arbiter.gate_confidence(one) == arbiter.gate_confidence(replace(other, **macro))
    assert all(name.startswith("macro_") for name in arbiter.gate.columns)


@given(ANY)
def test_any_features_are_judged_with_a_probability(arbiter: Arbiter, features: Features) -> None:
    assert 0 < arbiter.judge(features).confidence < 1


def test_an_arbiter_is_the_same_after_its_file(arbiter: Arbiter, tmp_path: Path) -> None:
    save(arbiter, tmp_path / "one.json")
    assert load(tmp_path / "one.json") == arbiter


def test_the_better_answer_is_taken_where_the_evidence_says_which(arbiter: Arbiter) -> None:
    """Of those differing answers of which one alone is right, most are chosen right; likelihood alone does worse."""
    fresh = [r for r in confidence_world.records(3000, seed=2) if r.macro_right != r.micro_right]
    chosen = [choose(WHOLE, CROP, r.features, arbiter).perspective == "micro" for r in fresh]
    right = np.mean([right_of(r, micro) for r, micro in zip(fresh, chosen, strict=True)])
    assert right > 0.85
    assert right > max(np.mean([r.macro_right for r in fresh]), np.mean([bool(r.micro_right) for r in fresh])) + 0.15


def test_a_crop_that_mattered_wins_and_one_that_did_not_loses(arbiter: Arbiter) -> None:
    with_proof = choose(WHOLE, CROP, EVIDENCE, arbiter)
    without = choose(WHOLE, CROP, replace(EVIDENCE, mattered=0.0, seen=0.02, micro_prob=0.1), arbiter)
    assert (with_proof.perspective, without.perspective) == ("micro", "macro")


def test_the_reason_names_what_was_weighed_with_its_numbers(arbiter: Arbiter) -> None:
    choice = choose(WHOLE, CROP, EVIDENCE, arbiter)
    judged = arbiter.judge(EVIDENCE)
    assert choice.source == "calibrated" and choice.confidence == judged.micro
    assert choice.reason == (
        f"The answer with the crop is right with {percent(judged.micro or 0)} by calibration, "
        f"the one from the whole with {percent(judged.macro)}: the crop mattered (5.2 nats), "
        "the thing asked for is visible in it (0.99), the two differ."
    )


def test_equal_answers_have_one_joint_probability(arbiter: Arbiter) -> None:
    agreed = replace(EVIDENCE, agree=True)
    judged = arbiter.judge(agreed)
    assert judged.macro == judged.micro == judged.confidence
    assert "same answer" in choose(WHOLE, WHOLE, agreed, arbiter).reason


def test_without_a_closer_look_the_gate_is_asked(arbiter: Arbiter) -> None:
    features = observed(WHOLE)
    choice = choose(WHOLE, None, features, arbiter)
    assert (choice.perspective, choice.confidence) == ("macro", arbiter.gate_confidence(features))


def test_the_gate_opens_at_its_mark_and_not_below(arbiter: Arbiter) -> None:
    features = observed(WHOLE)
    sure = arbiter.gate_confidence(features)
    opened = gated(features, arbiter, at=sure)
    assert opened is not None and opened.confidence == sure and "no closer look" in opened.reason
    assert gated(features, arbiter, at=sure + 1e-6) is None
    assert gated(features, None, at=0.0) is None


def test_an_answer_that_names_no_option_never_beats_one_that_does(arbiter: Arbiter) -> None:
    assert arbiter.judge(replace(EVIDENCE, micro_valid=False)).perspective == "macro"
    assert arbiter.judge(replace(EVIDENCE, macro_valid=False, mattered=0.0, seen=0.0)).perspective == "micro"


@pytest.mark.parametrize("weighed", [None, Comparison("votes", 1, 4, None, 5)])
def test_without_an_arbiter_dualfocus_decides_and_says_uncalibrated(weighed: Comparison | None) -> None:
    choice, plain = choose(WHOLE, CROP, EVIDENCE, None, weighed), selection.choose(WHOLE, CROP, weighed)
    assert (choice.perspective, choice.confidence, choice.source) == (plain.perspective, plain.confidence, plain.source)
    assert choice.reason.startswith(plain.reason) and "not calibrated" in choice.reason
    assert "not calibrated" in choose(WHOLE, None, observed(WHOLE), None).reason


def test_a_model_without_an_arbiter_has_none() -> None:
    assert load("Qwen/Qwen3-VL-2B-Instruct") is None
    assert load("http://localhost:8000/v1") is None
    assert load("../nano") is None


@pytest.mark.parametrize("text", ["{}", "no json", '{"version": 2}'])
def test_a_file_that_is_no_arbiter_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(SettingInvalid, match=r"x\.json"):
        load(tmp_path / "x.json")
    with pytest.raises(SettingInvalid, match="no arbiter"):
        load(tmp_path / "y.json")


def test_an_arbiter_for_other_features_is_refused(arbiter: Arbiter, tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(arbiter.model_dump_json().replace('"mattered"', '"moved"'))
    with pytest.raises(SettingInvalid, match="fit it again"):
        load(tmp_path / "old.json")


def test_certainty_is_never_claimed() -> None:
    assert [percent(p) for p in (0.0, 0.04, 0.934, 0.9999)] == ["under 1 %", "4 %", "93 %", "over 99 %"]
