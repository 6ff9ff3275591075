"""Every strategy on every kind of server: what can be read only up close is answered from up close."""

from typing import Any

import pytest
from fake_server import KINDS
from sign_model import sign_picture
from sign_server import SAID, SignServer

from zoomagent import Budget, ZoomAgent

STRATEGIES = ["auto", "locate", "search", "tools", "dualfocus"]
QUESTIONS = ["What does the red sign say?", "What is written on the red sign?"]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_only_a_crop_shows_is_answered_on_every_kind_of_server(kind: str, strategy: Any) -> None:
    server = SignServer(KINDS[kind])
    with ZoomAgent(server.model(), strategy=strategy, budget=Budget(calls=64)) as agent:
        answers = [agent.ask(sign_picture(), question) for question in QUESTIONS]
    assert [answer.text for answer in answers] == [SAID] * len(QUESTIONS), answers[0].steps
    assert all(answer.outcome.kind == "answered" for answer in answers), answers[0].outcome
    assert len(server.requests) == sum(answer.cost.model_calls for answer in answers)
    assert server.prompt_tokens == sum(answer.cost.prompt_tokens for answer in answers)
    assert not any("its own dialogue" in answer.steps[-1].text for answer in answers)
