"""What a run spends at a server is what it sends there: every request is in the budget and on the bill."""

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Any, cast

import pytest
from fake_model import FAKE_PROFILE, FakeModel
from fake_server import FakeServer, Guise, Seen, error, images_of
from langgraph.runtime import Runtime
from PIL import Image, ImageDraw

from zoomagent import Budget, ZoomAgent, open_picture
from zoomagent.errors import BadServerResponse
from zoomagent.graphs.asking import BudgetedModel, NodeRun
from zoomagent.graphs.context import Bench, Context, Live
from zoomagent.graphs.endings import model_step
from zoomagent.graphs.state import State, Update
from zoomagent.models.base import Message, Reply, Text
from zoomagent.models.metering import current_meter
from zoomagent.models.server.openai_server import OpenAIModel
from zoomagent.models.server.retrying import RetryPolicy
from zoomagent.tools.viewing import ViewStore

PICTURE = Image.new("RGB", (4000, 3000), "grey")
ImageDraw.Draw(PICTURE).rectangle((3000, 2000, 3200, 2150), fill="red")

DIGITS = {str(i): -0.3 * (i + 1) for i in range(10)}


class ListsDigits(FakeServer):
    """A server whose alternatives hold every digit, as servers with 20 alternatives mostly do."""

    def _choice(self, index: int, text: str, request: dict[str, Any]) -> dict[str, Any]:
        made = super()._choice(index, text, request)
        if request.get("top_logprobs"):
            listed = [{"token": token, "logprob": value, "bytes": None} for token, value in DIGITS.items()]
            made["logprobs"]["content"][0]["top_logprobs"] += listed
        return made


def brain(seen: Seen) -> str:
    if seen.tools:
        calls = [{"name": "image_search_tool", "arguments": {"img_idx": 0, "label": f"sign {i}"}} for i in range(150)]
        return "".join(f"<tool_call>{json.dumps(call)}</tool_call>" for call in calls)
    if re.search(r"\[x1, y1, x2, y2\]", seen.text):
        return "[700, 600, 850, 750]"
    return "Exit 12" if len(seen.images) > 1 else "red sign"


@pytest.mark.parametrize("strategy", ["auto", "search", "tools", "locate", "dualfocus", "macro"])
@pytest.mark.parametrize("calls", [3, 12, 32])
@pytest.mark.parametrize("kind", [FakeServer, ListsDigits])
@pytest.mark.parametrize("given", [True, False])
def test_every_request_of_a_run_is_in_its_budget_and_on_its_bill(
    strategy: Any, calls: int, kind: type[FakeServer], given: bool
) -> None:
    server = kind(brain, Guise(given=given, tools="text"))
    model = OpenAIModel("http://fake/v1", "qwen3-vl", transport=server.transport(), retries=RetryPolicy(attempts=1))
    with ZoomAgent(model, strategy=strategy, budget=Budget(calls=calls)) as agent:
        answer = agent.ask(PICTURE, "What does the red sign say?")
        again = agent.ask(PICTURE, "What does the red sign show?")
    assert answer.answered, answer.outcome
    assert len(server.requests) == answer.cost.model_calls + again.cost.model_calls
    assert answer.cost.model_calls <= calls and again.cost.model_calls <= calls


@pytest.mark.parametrize("calls", [2, 8, 32])
def test_samples_that_a_server_gives_one_by_one_are_billed_one_by_one(calls: int) -> None:
    server = FakeServer(brain, Guise(n=False, logprobs=False, given=False))
    model = OpenAIModel("http://fake/v1", "qwen3-vl", transport=server.transport(), retries=RetryPolicy(attempts=1))
    with ZoomAgent(model, strategy="dualfocus", budget=Budget(calls=calls)) as agent:
        answer = agent.ask(PICTURE, "What does the red sign say?")
    assert answer.answered and len(server.requests) == answer.cost.model_calls <= calls


@pytest.mark.parametrize("tokens", [4000, 20_000])
def test_visual_tokens_of_every_request_are_in_the_budget(tokens: int) -> None:
    server = FakeServer(brain)
    model = OpenAIModel("http://fake/v1", "qwen3-vl", transport=server.transport(), retries=RetryPolicy(attempts=1))
    with ZoomAgent(model, strategy="search", budget=Budget(calls=99, visual_tokens=tokens)) as agent:
        answer = agent.ask(PICTURE, "What does the red sign say?")
    shown = sum(-(-image.width // 32) * -(-image.height // 32) for r in server.requests for image in images_of(r))
    assert answer.answered and answer.cost.visual_tokens == shown <= tokens


def test_a_search_of_a_server_that_lists_digits_takes_one_request_a_look() -> None:
    server = ListsDigits(brain)
    model = OpenAIModel("http://fake/v1", "qwen3-vl", transport=server.transport(), retries=RetryPolicy(attempts=1))
    with ZoomAgent(model, strategy="search", budget=Budget(calls=32)) as agent:
        answer = agent.ask(PICTURE, "What does the red sign say?")
    scores = [request for request in server.requests if request.get("top_logprobs")]
    given = [r["messages"][-1]["content"] for r in server.requests if "prompt_logprobs" in r]
    assert scores and not DIGITS.keys() & set(given)
    assert len(server.requests) == answer.cost.model_calls <= 32


@pytest.mark.parametrize("calls", [1, 2, 9])
def test_a_request_that_does_not_fit_is_a_call_that_showed_nothing(calls: int) -> None:
    server = FakeServer(brain)
    server.enqueue([error(400, "This model's maximum context length is 1000 tokens")])
    model = OpenAIModel("http://fake/v1", "qwen3-vl", transport=server.transport(), retries=RetryPolicy(attempts=1))
    with ZoomAgent(model, strategy="macro", budget=Budget(calls=calls)) as agent:
        answer = agent.ask(PICTURE, "What does the red sign say?")
    assert len(server.requests) == answer.cost.model_calls == min(calls, 2)
    assert answer.answered if calls > 1 else answer.outcome.code == "budget_calls"
    images = [image for request in server.requests[1:] for image in images_of(request)]
    assert answer.cost.visual_tokens == sum(-(-one.width // 32) * -(-one.height // 32) for one in images)
    assert len(answer.views) == len(images), "nobody was shown the view that did not fit"


class SentInVain(FakeModel):
    """Every call sends a request, and fails while other calls run."""

    async def generate(self, messages: Sequence[Message], **_: Any) -> list[Reply]:
        current_meter().count()
        await asyncio.sleep(0)
        raise BadServerResponse("This is no answer.")


@model_step
async def ask_twice(run: NodeRun) -> Update:
    """A node that asks, goes on after a failure, and breaks off at the second."""
    question = [Message("user", (Text("What?"),))]
    with pytest.raises(BadServerResponse):
        await BudgetedModel(run).generate(question)
    await BudgetedModel(run).generate(question)
    raise AssertionError("it goes on")


def test_nodes_that_run_at_the_same_time_have_a_bill_each_even_where_they_break_off() -> None:
    async def both() -> list[Update]:
        with open_picture(PICTURE) as picture:
            context: Context = Live(bench=Bench(ViewStore(picture, FAKE_PROFILE), SentInVain()))
            states = [
                cast(State, {"image": "", "question": "What?", "macro": {}, "sent": f"target-{number}"})
                for number in (1, 2)
            ]
            return await asyncio.gather(*(ask_twice(state, Runtime(context=context)) for state in states))

    first, second = asyncio.run(both())
    assert [call["id"] for call in first["calls"]] == ["call-1-target-1", "call-2-target-1"]
    assert [call["id"] for call in second["calls"]] == ["call-1-target-2", "call-2-target-2"]
    assert first["problems"][0]["code"] == BadServerResponse.code
    assert [step["name"] for step in first["steps"]] == ["ask_twice"]
