"""Served nano is the packaged nano: answers, boxes, calls, confidences and likelihoods, over every strategy."""

import asyncio
from typing import get_args

import pytest
from PIL import Image
from questions import Asked
from real_server import RealServer

from zoomagent import Answer, ZoomAgent
from zoomagent.models.base import Likelihood, Message, Model, Pixels, Text
from zoomagent.models.loading import load_model
from zoomagent.prompts import macro_prompt
from zoomagent.strategy import Strategy

pytest_plugins = ["servers"]
pytestmark = pytest.mark.served

SAME_LIKELIHOOD = 0.05
"""Nats by which a likelihood over the wire may differ."""
ALIKE = 0.85
"""Share of answers that must be the same where a server gives no likelihood of given text (ours)."""
TEXTS = [
    "Yes",
    "No",
    "red",
    "47",
    "Cannot tell",
    "Exit 21",
    "the red square is left of the blue circle",
    "½ × 3 °C",
    "出口 21",
    "naïve façade",
    "🙂 21",
    "क्षेत्र",
]


def facts(answer: Answer) -> tuple[object, ...]:
    """What must be the same wherever the weights are: every view and every step too. The bill is another thing: a
    score of several texts is one call here, and a request for each there."""
    confidence = None if answer.confidence is None else round(answer.confidence, 3)
    boxes = [tuple(box) for box in (item.box for item in answer.evidence)]
    outcome = (answer.outcome.kind, answer.outcome.code)
    looks = [(look.box, look.depth) for look in answer.views]
    steps = sorted(step.name for step in answer.steps)
    return answer.text, outcome, answer.perspective, confidence, answer.confidence_from, boxes, looks, steps


def answers(model: str, asked: list[Asked], strategy: Strategy) -> list[Answer]:
    profile = "nano" if model.startswith("http") else None
    with ZoomAgent(model, strategy=strategy, profile=profile) as agent:
        return agent.batch([(one.picture, one.question) for one in asked], concurrency=4)


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_every_strategy_gives_the_same_over_the_wire(
    server: RealServer, asked: list[Asked], strategy: Strategy
) -> None:
    before = server.counted()
    there, here = answers(server.url, asked, strategy), answers("nano", asked, strategy)
    if server.scores_given:
        assert [facts(answer) for answer in there] == [facts(answer) for answer in here]
        bill = [sum(part) for part in zip(*((a.cost.model_calls, a.cost.prompt_tokens) for a in there), strict=True)]
        assert [now - then for now, then in zip(server.counted(), before, strict=True)] == bill
        assert all(b.cost.model_calls >= a.cost.model_calls for a, b in zip(here, there, strict=True))
    else:
        same = [a.text == b.text for a, b in zip(here, there, strict=True)]
        assert sum(same) >= ALIKE * len(same)
        assert all(answer.answered for answer in there)


def likelihoods(model: Model, told: list[Message]) -> list[Likelihood | None]:
    """One text at a time, and short ones together too: they are read in another way."""

    async def score() -> list[Likelihood | None]:
        try:
            found: list[Likelihood | None] = []
            for texts in (*([text] for text in TEXTS), ["Yes", "No"]):
                scored = await model.score(told, texts)
                found += scored if scored is not None else [None] * len(texts)
            return found
        finally:
            await model.aclose()

    return asyncio.run(score())


def test_likelihoods_over_the_wire_are_those_of_the_weights(server: RealServer, asked: list[Asked]) -> None:
    compared = 0
    for one in asked[:4]:
        view = Pixels(one.question, one.picture.resize((128, 128), Image.Resampling.LANCZOS))
        told = [Message("user", (view, Text(macro_prompt(one.question))))]
        here = likelihoods(load_model("nano"), told)
        there = likelihoods(load_model(server.url, profile="nano"), told)
        for text, mine, its in zip([*TEXTS, "Yes", "No"], here, there, strict=True):
            if its is None and not server.scores_given:
                continue
            assert mine is not None and its is not None, text
            assert its.logprob == pytest.approx(mine.logprob, abs=SAME_LIKELIHOOD), text
            compared += 1
    assert compared >= (4 * (len(TEXTS) + 2) if server.scores_given else 4)


def test_a_server_alone_is_not_believed_to_have_the_certified_weights(server: RealServer, asked: list[Asked]) -> None:
    """Its name says nano; that its weights are nano's is the user's word, by --profile."""
    one = asked[0]
    with ZoomAgent(server.url) as agent:
        assert agent.ask(one.picture, one.question).confidence_from != "calibrated"
