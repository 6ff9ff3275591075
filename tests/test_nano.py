"""The packaged nano model, for real: weights, the shipped 4K example, the command line, and what zooming buys."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zoomagent
from zoomagent import Budget, ZoomAgent
from zoomagent.confidence.arbiter import load
from zoomagent.data.world.questions import ask
from zoomagent.data.world.render import drawn_picture
from zoomagent.data.world.scene import DEEP, draw_scene
from zoomagent.evaluation.contestants import of_agent
from zoomagent.evaluation.run import run
from zoomagent.evaluation.sets.haystack import Settings
from zoomagent.evaluation.table import rows
from zoomagent.geometry import Box, coverage
from zoomagent.graphs.reading import UNREAD
from zoomagent.models.base import Model
from zoomagent.models.loading import NANO_WEIGHTS, load_model
from zoomagent.tools.reader import rapid_reader
from zoomagent.training.calibration.fitting import weights_hash

EXAMPLE = Path(zoomagent.__file__).parent / "data" / "example"


@pytest.fixture(scope="module")
def nano() -> Iterator[Model]:
    model = load_model("nano")
    yield model
    asyncio.run(model.aclose())


@pytest.fixture(scope="module")
def asked() -> dict[str, Any]:
    question: dict[str, Any] = json.loads((EXAMPLE / "question.json").read_text())
    return question


def test_the_weights_are_small_and_hold_no_code() -> None:
    files = list(NANO_WEIGHTS.iterdir())
    assert {f.suffix for f in files} <= {".safetensors", ".json", ".jinja", ".md"}
    assert max(f.stat().st_size for f in files) <= 15e6
    assert sum(f.stat().st_size for f in files) <= 45e6


def test_the_example_is_read_only_up_close(nano: Model, asked: dict[str, Any]) -> None:
    with ZoomAgent(nano, strategy="macro") as agent:
        assert agent.ask(EXAMPLE / "scene.jpg", asked["question"]).text != asked["answer"]
    with ZoomAgent(nano) as agent:
        answer = agent.ask(EXAMPLE / "scene.jpg", asked["question"])
    assert (answer.text, answer.perspective, answer.outcome.kind) == (asked["answer"], "micro", "answered")
    assert answer.confidence is not None and 0 < answer.confidence <= 1
    assert max(item.depth for item in answer.evidence) >= 2, "a zoom inside a zoom"
    assert any(
        coverage(Box(*asked["box"]), Box(*evidence.box)) > 0.9 for evidence in answer.evidence if evidence.chosen
    )


def test_the_command_line_answers_the_example_as_json(asked: dict[str, Any]) -> None:
    command = [sys.executable, "-m", "zoomagent.cli", "ask", str(EXAMPLE / "scene.jpg"), asked["question"], "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == asked["answer"]


def test_zooming_reads_what_the_whole_view_can_not(nano: Model) -> None:
    settings = Settings(n=48, seeds=(5,), size=1024, strategies=("macro", "dualfocus"))
    agents = {name: of_agent(ZoomAgent(nano, strategy=name)) for name in ("macro", "dualfocus")}
    table = {(r["strategy"], r["kind"]): r for r in rows(asyncio.run(run(settings, agents)))}
    assert table["dualfocus", "read"]["accuracy"] >= table["macro", "read"]["accuracy"] + 0.4
    assert all(row["errors"] == 0 for row in table.values())


def test_the_card_says_what_it_can_do() -> None:
    card = (NANO_WEIGHTS / "README.md").read_text()
    assert "with the true crop" in card and "IoU 0.5" in card and "cannot tell" in card


def test_the_packaged_arbiter_was_fitted_on_the_packaged_weights() -> None:
    arbiter = load("nano")
    assert arbiter is not None and arbiter.provenance.weights == weights_hash(NANO_WEIGHTS)


def test_confidence_is_calibrated_and_the_crop_is_proven(nano: Model, asked: dict[str, Any]) -> None:
    with ZoomAgent(nano) as agent:
        answer = agent.ask(EXAMPLE / "scene.jpg", asked["question"])
    assert answer.confidence_from == "calibrated"
    assert [item.mattered for item in answer.evidence if item.perspective == "micro"] == [True]


def test_an_error_rate_that_can_not_be_promised_is_answered_with_silence(nano: Model, asked: dict[str, Any]) -> None:
    with ZoomAgent(nano, target_error=1e-6) as agent:
        answer = agent.ask(EXAMPLE / "scene.jpg", asked["question"])
    assert answer.abstained and answer.withheld == asked["answer"]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_no_view_lies_deeper_than_the_budget_allows(nano: Model, depth: int) -> None:
    for index in range(6):
        scene = draw_scene(DEEP, 31, index)
        picture = drawn_picture(scene, 8192, f"scene-{index}")
        question = ask("read", scene, DEEP, np.random.default_rng(index))
        assert question is not None
        with ZoomAgent(nano, strategy="search", budget=Budget(depth=depth)) as agent:
            answer = agent.ask(picture, question.text)
        assert answer.answered and max(view.depth for view in answer.views) <= depth


def test_reading_letter_by_letter_agrees_with_the_answer(nano: Model, asked: dict[str, Any]) -> None:
    pytest.importorskip("rapidocr", reason="the extra `ocr` is not installed")
    with ZoomAgent(nano, ocr=True) as agent:
        answer = agent.ask(EXAMPLE / "scene.jpg", asked["question"])
    [read] = [check for check in answer.checks if check.kind == "reads"]
    assert read.value == 1.0 and asked["answer"] in read.text


def test_without_a_reader_the_answer_of_the_crop_stays_and_what_to_install_is_said(
    nano: Model, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rapid_reader.cache_clear()
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with ZoomAgent(nano, ocr=True) as agent:
        answer = agent.ask(EXAMPLE / "scene.jpg", asked["question"])
        same = agent.using(ocr=False).ask(EXAMPLE / "scene.jpg", asked["question"])
    assert (answer.text, answer.perspective, answer.outcome.kind) == (asked["answer"], "micro", "answered_degraded")
    assert (answer.confidence, answer.cost.model_calls) == (same.confidence, same.cost.model_calls)
    assert [reason for reason in answer.outcome.reasons if "zoomagent[ocr]" in reason] == [UNREAD]
    assert not any(check.kind == "reads" for check in answer.checks)
