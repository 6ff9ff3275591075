"""How the agent's graph gets sure: gates, the evidence proof, the learned rule, silence, and no likelihoods at all."""

import math
from pathlib import Path
from typing import Any

import pytest
from fake_model import Call, FakeModel
from truthful_model import LIKELY
from zoom_world import (
    BACKGROUND,
    NEAR_SMALLER_THAN_ALSO,
    PROFILE,
    READ_BIG,
    READ_NEAR,
    Ran,
    arbiter,
    closer,
    even,
    scene,
    scripted,
    truthful,
)

from zoomagent import prompts
from zoomagent.agent import ZoomAgent
from zoomagent.confidence.learned import UNCALIBRATED
from zoomagent.graphs.context import Budget
from zoomagent.tools.viewing import BLANK


def proving(ran: Ran) -> Call:
    """The call of the proof: one continuation, scored."""
    [call] = [c for c in ran.model.history if c.method == "score" and len(c.options["continuations"]) == 1]
    return call


# The evidence proof


@pytest.mark.parametrize("question", [READ_NEAR, NEAR_SMALLER_THAN_ALSO], ids=lambda q: q.kind)
def test_the_proof_is_the_same_dialogue_with_the_crops_blanked(question: Any) -> None:
    ran = truthful(question, strategy="locate")
    proof = proving(ran)
    [answered] = [call for call in ran.model.history if closer(call) and call.method == "generate"]
    assert proof.text == answered.text and [m.role for m in proof.messages] == [m.role for m in answered.messages]
    assert proof.options["continuations"] == (ran.state["micro"]["reply"],)
    whole = ran.views.whole()["box"]
    for shown, blanked in zip(answered.views, proof.views, strict=True):
        assert shown.image.size == blanked.image.size
        if ran.views.record(shown.key)["box"] == whole:
            assert shown.key == blanked.key
        else:
            assert blanked.image.getcolors() == [(shown.image.width * shown.image.height, BLANK)]


def test_a_crop_that_was_needed_mattered_by_as_many_nats() -> None:
    ran = truthful(READ_NEAR, strategy="locate")
    [crop] = [item for item in ran.answer.evidence if item.perspective == "micro"]
    own = ran.state["micro"]["likelihood"]
    assert own and crop.delta == pytest.approx(own["logprob"] - ran.state["proof"]["blanked"])
    assert crop.delta is not None and crop.delta > 0.7
    assert crop.mattered is True
    assert [check["value"] for check in ran.state["checks"] if check["kind"] == "mattered"] == [crop.delta]


def test_a_crop_that_the_model_ignores_did_not_matter() -> None:
    ran = scripted(
        lambda call: "[100, 100, 300, 300]" if prompts.GROUND in call.text else "Exit",
        lambda call: [-0.1] * len(call.options["continuations"]),
        strategy="locate",
    )
    [crop] = [item for item in ran.answer.evidence if item.perspective == "micro"]
    assert crop.delta == pytest.approx(0.0) and crop.mattered is False


@pytest.mark.parametrize("strategy", ["locate", "search", "tools", "auto"])
def test_without_the_proof_there_is_one_call_less_and_no_claim(strategy: str) -> None:
    proven, unproven = truthful(READ_NEAR, strategy=strategy), truthful(READ_NEAR, strategy=strategy, proof=False)
    assert len(proven.model.history) - len(unproven.model.history) == 1
    assert unproven.text == proven.text == "47"
    assert all(item.mattered is None and item.delta is None for item in unproven.answer.evidence)


def test_a_proof_that_is_not_in_the_budget_is_left_out_and_said() -> None:
    needed = len(truthful(READ_NEAR, strategy="locate", proof=False).model.history) - 1
    ran = truthful(READ_NEAR, strategy="locate", budget=Budget(calls=needed))
    assert "proof" not in ran.state and ran.state["micro"]["text"] == "47"
    assert any("was not measured" in step["text"] for step in ran.state["steps"])


# Gate and learned rule


def test_a_sure_gate_looks_no_closer(tmp_path: Path) -> None:
    ran = truthful(BACKGROUND, arbiter=arbiter(tmp_path / "a.json", gate=0.98))
    assert len(ran.model.history) == 1 and ran.text == "gray"
    assert ran.state["verdict"]["confidence"] == pytest.approx(0.98) and "no closer look" in ran.state["settled"]
    assert ran.state["verdict"]["confidence_from"] == "calibrated"


@pytest.mark.parametrize(("gate", "looked"), [(0.5, False), (0.97, False), (0.981, True), (1.0, True)])
def test_the_gate_opens_at_the_confidence_asked_for(tmp_path: Path, gate: float, looked: bool) -> None:
    ran = truthful(BACKGROUND, arbiter=arbiter(tmp_path / "a.json", gate=0.98), gate=gate)
    assert (len(ran.model.history) > 1) is looked


@pytest.mark.parametrize("strategy", ["locate", "search", "tools"])
def test_a_policy_that_was_named_has_no_gate(tmp_path: Path, strategy: str) -> None:
    ran = truthful(READ_BIG, arbiter=arbiter(tmp_path / "a.json", gate=0.98), strategy=strategy)
    assert "micro" in ran.state


def test_without_an_arbiter_there_is_no_gate() -> None:
    ran = truthful(READ_BIG, gate=0.01)
    assert "micro" in ran.state and UNCALIBRATED in ran.state["verdict"]["reason"]


@pytest.mark.parametrize(("micro", "perspective"), [(0.8, "micro"), (0.2, "macro")])
def test_the_arbiter_decides_between_two_answers_and_says_why(tmp_path: Path, micro: float, perspective: str) -> None:
    ran = truthful(READ_NEAR, arbiter=arbiter(tmp_path / "a.json", micro=micro, macro=0.3), strategy="locate")
    verdict = ran.state["verdict"]
    assert verdict["perspective"] == perspective
    if perspective == "micro":
        assert verdict["confidence"] == pytest.approx(micro) and verdict["confidence_from"] == "calibrated"
    else:
        assert verdict["confidence"] is None, "Cannot tell was not earned by a search"
    for words in (f"{100 * micro:.0f} %", "30 %", "the crop mattered", "visible in it", "the two differ"):
        assert words in verdict["reason"]
    assert "weigh" not in ran.nodes, "calibrated probabilities need no shared scoring"


@pytest.mark.parametrize("feature", ["mattered", "seen", "crop_share", "depth", "targets", "macro_prob", "micro_prob"])
def test_what_was_measured_reaches_the_arbiter(tmp_path: Path, feature: str) -> None:
    """A weight on "is missing" changes nothing where it is known, and a weight on the value does."""
    weights: tuple[dict[str, float], ...] = ({}, {f"{feature}?": 3.0}, {feature: 0.2})
    plain, absent, weighed = (
        truthful(READ_NEAR, strategy="locate", arbiter=arbiter(tmp_path / f"{i}.json", micro=0.6, weights=some))
        for i, some in enumerate(weights)
    )
    assert absent.state["verdict"]["confidence"] == plain.state["verdict"]["confidence"]
    assert weighed.state["verdict"]["confidence"] != plain.state["verdict"]["confidence"]


@pytest.mark.parametrize("rule", ["macro", "micro"])
def test_a_rule_that_names_a_side_takes_it(tmp_path: Path, rule: str) -> None:
    ran = truthful(READ_NEAR, rule=rule, arbiter=arbiter(tmp_path / "a.json"))
    assert ran.state["verdict"]["perspective"] == rule


def test_the_rule_of_dualfocus_scores_both_in_one_dialogue(tmp_path: Path) -> None:
    ran = truthful(READ_NEAR, rule="dualfocus", arbiter=arbiter(tmp_path / "a.json"))
    assert ran.text == "47" and ran.state["weighing"]["how"] == "shared"
    assert ran.state["verdict"]["confidence"] == pytest.approx(math.exp(LIKELY))


@pytest.mark.parametrize("name", ["missing.json", "broken.json"])
def test_a_file_that_is_no_arbiter_ends_in_an_outcome(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.json").write_text('{"version": 7}')
    ran = truthful(READ_NEAR, arbiter=str(tmp_path / name))
    assert (ran.kind, ran.state["outcome"]["code"], ran.state["outcome"]["exit_status"]) == (
        "failed",
        "setting_invalid",
        2,
    )
    assert "arbiter" in ran.state["outcome"]["reasons"][0]


# Silence


def test_an_error_rate_that_can_not_be_promised_is_cannot_tell(tmp_path: Path) -> None:
    ran = truthful(READ_NEAR, target_error=0.05, arbiter=arbiter(tmp_path / "a.json", micro=0.8))
    assert (ran.text, ran.state["verdict"]["withheld"]) == ("Cannot tell", "47")
    assert ran.kind == "answered" and ran.answer.abstained and ran.answer.withheld == "47"
    assert ran.state["verdict"]["reason"].startswith("Not answered")


def test_without_an_arbiter_no_error_rate_is_promised() -> None:
    ran = truthful(READ_NEAR, target_error=0.05)
    assert (ran.text, ran.state["verdict"]["withheld"]) == ("Cannot tell", "47")
    assert "without an arbiter" in ran.state["verdict"]["reason"]


@pytest.mark.parametrize(("micro", "given"), [(0.95, True), (0.55, False)])
def test_what_is_sure_enough_is_given_and_the_rest_is_not(tmp_path: Path, micro: float, given: bool) -> None:
    """500 certified questions, wrong below 0.6."""
    made = arbiter(tmp_path / "a.json", micro=micro, macro=0.3, certified=500)
    ran = truthful(READ_NEAR, target_error=0.05, arbiter=made)
    assert (ran.text == "47") is given and ("withheld" in ran.state["verdict"]) is not given


# No likelihoods


@pytest.mark.parametrize("strategy", ["locate", "search", "tools", "auto"])
@pytest.mark.parametrize("with_arbiter", [True, False])
def test_a_model_without_likelihoods_is_answered_by(strategy: str, with_arbiter: bool, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"arbiter": arbiter(tmp_path / "a.json")} if with_arbiter else {}
    ran = truthful(READ_NEAR, logprob=None, strategy=strategy, **settings)
    assert ran.kind in ("answered", "answered_degraded") and ran.state["macro"]["likelihood"] is None
    assert "proof" not in ran.state
    if strategy in ("locate", "auto"):
        assert ran.text == "47"


def test_samples_vote_where_nothing_else_can(tmp_path: Path) -> None:
    ran = truthful(READ_NEAR, logprob=None, strategy="locate", samples=7)
    assert ran.state["weighing"]["how"] == "votes" and ran.state["weighing"]["asked"] == 7
    assert (ran.state["verdict"]["confidence"], ran.state["verdict"]["confidence_from"]) == (1.0, "agreement")


def test_the_agent_asks_by_this_graph_unless_told_otherwise() -> None:
    model = FakeModel(profile=PROFILE, respond=lambda call: "gray", respond_score=even)
    with ZoomAgent(model) as agent:
        answer = agent.ask(scene(), "What colour is the background?")
    assert answer.answered and answer.cost.model_calls == len(model.history)
    assert {step.name for step in answer.steps} >= {"look", "decide", "name", "arbitrate"}
