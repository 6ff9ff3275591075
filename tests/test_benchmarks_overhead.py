"""The hand-written loop that the agent is timed against really does the same: same prompts, same views, same calls."""

import asyncio
import base64
import io
import json
from typing import Any

import httpx2
import openai
import pytest
from by_hand import QUESTION, STRATEGIES, Beside, ByHand, Server, beside
from PIL import Image

from zoomagent.agent import ZoomAgent
from zoomagent.models.profiles import profile_for
from zoomagent.models.server.openai_server import OpenAIModel


class Listening(Server):
    """The server, with what it was asked: texts, and the sizes of the views between them."""

    def __init__(self) -> None:
        self.heard: list[list[Any]] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        messages = json.loads(await request.aread())["messages"]
        self.heard.append([_heard(part) for message in messages for part in _parts(message["content"])])
        return await super().handle_async_request(request)


def _parts(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _heard(part: dict[str, Any]) -> Any:
    if part["type"] == "text":
        return part["text"]
    content = base64.b64decode(part["image_url"]["url"].partition(",")[2])
    return Image.open(io.BytesIO(content)).size


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("model", ["nano", "qwen3-vl"])
def test_the_loop_by_hand_asks_what_the_agent_asks(strategy: Any, model: str) -> None:
    image, agents, hands = Image.linear_gradient("L").resize((1000, 600)).convert("RGB"), Listening(), Listening()
    with ZoomAgent(OpenAIModel("http://server/v1", model, transport=agents), strategy=strategy) as agent:
        agent.ask(image, QUESTION)  # The first time it finds out what the server can do.
        agents.heard.clear()
        answer = agent.ask(image, QUESTION)

    async def by_hand() -> str:
        async with httpx2.AsyncClient(transport=hands) as http:
            client = openai.AsyncOpenAI(base_url="http://server/v1", api_key="none", http_client=http)
            return await ByHand(client, profile_for(model), strategy).answer(image)

    assert asyncio.run(by_hand()) == answer.text == "47"
    assert sorted(hands.heard, key=str) == sorted(agents.heard, key=str)
    assert len(hands.heard) == answer.cost.model_calls, "every request is on the bill"


def test_figures_are_per_question_and_per_step() -> None:
    row = Beside("x", calls=2, steps=4, agent=20, by_hand=10, agent_processor=15, by_hand_processor=10)
    assert (row.ratio, row.per_step) == (1.5, 1.25)


def test_every_strategy_is_timed_beside_its_loop() -> None:
    rows = beside("nano", 256, 2)
    assert [(row.calls, row.name) for row in rows] == [
        (1, "nano macro"), (2, "nano micro"), (3, "nano dualfocus"), (5, "nano auto")
    ]  # fmt: skip
    assert all(row.agent > 0 and row.by_hand_processor > 0 for row in rows)
