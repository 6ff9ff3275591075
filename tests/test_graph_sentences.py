"""Every sentence that a person reads comes from what happened: runs of every kind, each held against the state."""

import re
from pathlib import Path
from typing import Any

import pytest
from fake_model import Call, FakeModel, Scripted
from test_graph_absence import NONE, NOT_THERE, SQUARES, THERE, believing
from truthful_model import last_text
from zoom_world import (
    ABSENT,
    BACKGROUND,
    FAR_LEFT_OF_NEAR,
    NEAR_LEFT_OF_ALSO,
    PROFILE,
    READ_FAR,
    READ_NEAR,
    Ran,
    arbiter,
    even,
    run,
    scripted,
    truthful,
)

from zoomagent import ZoomAgent, prompts
from zoomagent.cli.terminal import confidence_words, summary
from zoomagent.confidence.replies import abstains
from zoomagent.data.world.questions import Question
from zoomagent.errors import ModelUnavailable
from zoomagent.graphs.context import Budget
from zoomagent.graphs.sentences import looks_made
from zoomagent.page.words import no_confidence

QUESTIONS = [READ_NEAR, READ_FAR, BACKGROUND, ABSENT, NEAR_LEFT_OF_ALSO, FAR_LEFT_OF_NEAR]


def every_run(tmp_path: Path) -> list[Ran]:
    """Runs of all strategies and rules, with and without an arbiter, proof, budget, likelihoods and options."""
    judge = arbiter(tmp_path / "a.json")
    settings: list[dict[str, Any]] = [
        {"strategy": strategy, **more}
        for strategy in ("auto", "locate", "search", "tools")
        for more in ({}, {"arbiter": judge}, {"proof": False}, {"budget": Budget(calls=1)}, {"budget": Budget(calls=3)})
    ]
    settings += [{"rule": rule, "arbiter": judge} for rule in ("macro", "micro", "dualfocus")]
    settings += [{"target_error": 0.05}, {"target_error": 0.05, "arbiter": judge}, {"logprob": None}]
    ran = [truthful(question, **setting) for question in QUESTIONS for setting in settings]
    ran += [believing(question, tmp_path) for question in (THERE, NOT_THERE, SQUARES, NONE)]
    ran += [believing(SQUARES, tmp_path, budget=Budget(calls=n)) for n in (1, 2, 4, 8)]
    nonsense = scripted(lambda call: "neither", lambda call: even(call), strategy="locate")
    return [*ran, nonsense]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Ran]:
    return every_run(tmp_path_factory.mktemp("runs"))


def answered(runs: list[Ran]) -> list[Ran]:
    found = [ran for ran in runs if "verdict" in ran.state]
    assert len(found) > 100 and {ran.kind for ran in found} >= {"answered", "answered_degraded"}
    return found


def test_the_first_sentence_names_the_answer_s_own_view(runs: list[Ran]) -> None:
    for ran in answered(runs):
        verdict = ran.state["verdict"]
        reason = verdict["reason"]
        if verdict.get("withheld"):
            assert reason.startswith("Not answered: ")
            reason = reason[re.search(r"Read from|Measured by|The whole picture was|A part of", reason).start() :]  # type: ignore[union-attr]
        if verdict["perspective"] == "macro":
            assert reason.startswith("Read from the whole picture"), reason
        elif "searched" in ran.state:
            assert re.match(r"(The whole picture|A part of the picture) was searched", reason), reason
        else:
            placed = any(check["id"] == f"placed-{ran.state['closer']}" for check in ran.state["checks"])
            assert reason.startswith("Measured by the places of" if placed else "Read from a closer look"), reason


def test_no_closer_look_is_claimed_or_denied_against_the_facts(runs: list[Ran]) -> None:
    for ran in answered(runs):
        reason, looks = ran.state["verdict"]["reason"], looks_made(ran.state)
        said = re.search(r"; (\d+) closer looks? gave no other answer", reason)
        assert (said is None) or int(said[1]) == looks > 0
        assert "no closer look" not in reason or looks == 0
        assert "showed nothing more" not in reason


def test_what_is_said_of_the_whole_was_said_by_the_whole(runs: list[Ran]) -> None:
    for ran in answered(runs):
        reason = ran.state["verdict"]["reason"]
        if "too small to tell" in reason:
            assert abstains(ran.state["macro"]["text"])
        if "says the same" in reason:
            assert ran.state["macro"]["text"].casefold() == ran.state["micro"]["text"].casefold()


def test_numbers_of_a_search_are_those_of_the_search(runs: list[Ran]) -> None:
    seen = 0
    for ran in answered(runs):
        match = re.search(r"searched for things of at least (\d+) pixels: (.*?)\. ", ran.state["verdict"]["reason"])
        if match:
            seen += 1
            record = ran.state["searched"]
            assert int(match[1]) == round(record["least"])
            for name, number in record["found"]:
                assert (f"{number} × {name}" if number else "no ") in match[2] and name in match[2]
    assert seen >= 3


def test_a_calibrated_number_comes_from_an_arbiter_and_is_said_to(runs: list[Ran]) -> None:
    for ran in answered(runs):
        verdict = ran.state["verdict"]
        if verdict["confidence_from"] == "calibrated":
            assert "by calibration" in verdict["reason"] and verdict["confidence"] is not None
        assert (verdict["confidence"] is None) == (verdict["confidence_from"] is None)


def test_mattered_is_said_as_it_was_measured(runs: list[Ran]) -> None:
    for ran in answered(runs):
        proof, reason = ran.state.get("proof"), ran.state["verdict"]["reason"]
        if re.search(r"the crop (hardly )?mattered", reason):
            assert proof is not None
            enough = proof["shown"] - proof["blanked"] >= 0.7
            assert ("hardly mattered" in reason) != enough
            assert all(item.mattered is enough for item in ran.answer.evidence if item.mattered is not None)
        for step in ran.state["steps"]:
            assert not re.search(r"-\d+\.\d+ (times|nats) less likely", step["text"]), step["text"]


def test_a_budget_that_ended_is_told_with_its_number(runs: list[Ran]) -> None:
    for ran in runs:
        for reason in ran.state["outcome"]["reasons"]:
            budget = re.search(r"budget of (\d+) model calls is spent", reason)
            if budget:
                assert len(ran.state["calls"]) <= int(budget[1])


def test_why_there_is_no_confidence_is_true(runs: list[Ran]) -> None:
    for ran in runs:
        answer = ran.answer
        if answer.confidence is None:
            words = no_confidence(answer)
            given = any(call["kind"] == "generate" for call in ran.state.get("calls", []))
            if words == "the model gives no likelihoods":
                assert given and answer.answered
            assert words in confidence_words(answer)


def test_a_run_that_never_asked_does_not_speak_of_the_model() -> None:
    def fail(call: Call) -> Scripted:
        raise ModelUnavailable("The server is down. Start it.")

    with ZoomAgent(FakeModel(profile=PROFILE, respond=fail), strategy="macro") as agent:
        refused = agent.ask(b"no picture", "What is this?")
    assert refused.outcome.kind == "refused" and no_confidence(refused) == "there is no answer"
    assert "likelihoods" not in str(summary(refused))


def test_an_answer_that_is_none_of_the_options_is_said_to_be(tmp_path: Path) -> None:
    def reply(call: Call) -> Scripted:
        last = last_text(call)
        if prompts.BOX in last or prompts.GROUND in last:
            return "[100, 100, 400, 400]"
        return "21" if prompts.MICRO in last else "47"

    model = FakeModel(profile=PROFILE, respond=reply, respond_score=even)
    ran = run(model, READ_NEAR, ("47", "33"), arbiter=arbiter(tmp_path / "a.json", micro=0.99, macro=0.01))
    assert ran.text == "47" and "names none of the options" in ran.state["verdict"]["reason"]


def test_no_reply_at_all_is_not_called_an_answer() -> None:
    model = FakeModel(profile=PROFILE, respond=lambda call: "", respond_score=even)
    ran = run(model, Question("What colour is it?", "red", "colour"), strategy="locate")
    assert ran.kind == "failed" and ran.state["outcome"]["code"] == "no_answer"
