"""What servers refuse by name stays away from then on, whatever the server's way to name it."""

import asyncio
import base64
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from fake_server import Action, FakeServer, Status, choice, completion, token_logprobs
from PIL import Image

from zoomagent import ZoomAgent
from zoomagent.errors import ContextTooLong, ServerError
from zoomagent.models.base import THINKING_ROOM, Message, Pixels, Text, ToolCall
from zoomagent.models.profiles import QWEN3_VL
from zoomagent.models.server.openai_server import OpenAIModel
from zoomagent.models.server.retrying import RetryPolicy
from zoomagent.models.server.server_errors import refused_parameters

QUESTION = [Message("user", (Text("Is it red?"),))]
TOOL = {"type": "function", "function": {"name": "zoom", "parameters": {"type": "object"}}}
Answer = Callable[[dict[str, Any]], Any]


class Server(FakeServer):
    """Answers a request with what a function gives: text, a message, or a status with a body."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._given = answer

    def decide(self, path: str, body: bytes) -> Action:
        if path.endswith("/models"):
            return {"data": [{"id": "m"}]}
        request = json.loads(body)
        self.requests.append(request)
        given = self._given(request)
        if isinstance(given, tuple):
            return Status(given[0], body=given[1])
        if isinstance(given, dict):
            return completion([{"index": 0, "finish_reason": "stop", **given}])
        said = token_logprobs(given) if request.get("logprobs") else None
        return completion([choice(i, given, said) for i in range(request.get("n", 1))])


def model_of(answer: Answer, **options: Any) -> tuple[OpenAIModel, Server]:
    server = Server(answer)
    options.setdefault("profile", QWEN3_VL)
    return OpenAIModel("http://x/v1", "m", transport=server.transport(), retries=RetryPolicy(1), **options), server


def said(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


EXTRA = {
    "detail": [{"type": "extra_forbidden", "loc": ["body", "temperature"], "msg": "Extra inputs are not permitted"}]
}
REFUSALS = [
    ("temperature", 400, said("Unsupported value: 'temperature' does not support 0.0.", param="temperature")),
    ("temperature", 422, EXTRA),
    ("temperature", 400, said("Invalid request", param="Temperature")),
    ("temperature", 400, {"message": "`temperature` and reasoning cannot be used together"}),
    ("logprobs", 400, said("Logprobs is not enabled for this model")),
    ("logprobs", 403, said("You are not allowed to request logprobs: not supported", param=None)),
    ("logprobs", 500, said("LogProbs not supported")),
    ("logprobs", 501, "log probabilities are not implemented"),
    ("logprobs", 400, said("logprobs is not supported when using the backend", code=400)),
    ("max_tokens", 400, said("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens'.", param="max_tokens")),
]


@pytest.mark.parametrize(("name", "status", "body"), REFUSALS)
def test_a_named_parameter_stays_away_from_then_on(name: str, status: int, body: Any) -> None:
    model, server = model_of(lambda q: (status, body) if name in q else "red")
    for _ in range(2):
        [reply] = asyncio.run(model.generate(QUESTION))
        assert reply.text == "red"
    assert [name in request for request in server.requests] == [True, False, False]
    assert (name == "max_tokens") == ("max_completion_tokens" in server.requests[-1])


@pytest.mark.parametrize(
    "body",
    [
        {"detail": [{"type": "extra_forbidden", "loc": ["body", "n"], "msg": "Extra inputs are not permitted"}]},
        said("Only one completion choice is allowed"),
        said("'n' > 1 is not supported", param="n"),
        said("Multiple candidates is not enabled for this model"),
    ],
)
def test_votes_come_one_by_one_where_one_choice_is_allowed(body: Any) -> None:
    model, server = model_of(lambda q: (400, body) if "n" in q else "red")
    assert [reply.text for reply in asyncio.run(model.generate(QUESTION, n=5, temperature=0.7))] == ["red"] * 5
    assert len(server.requests) == 6 and not any("n" in request for request in server.requests[1:])
    asyncio.run(model.generate(QUESTION))
    assert "n" not in server.requests[-1]


def test_a_reasoning_model_of_a_hosted_api_is_asked_as_it_wants() -> None:
    def gpt(request: dict[str, Any]) -> Any:
        for name in ("max_tokens", "temperature", "logprobs", "top_logprobs"):
            if name in request:
                return 400, said(f"Unsupported parameter: '{name}' is not supported with this model.", param=name)
        return "red"

    model, server = model_of(gpt)
    assert asyncio.run(model.generate(QUESTION))[0].text == "red"
    assert asyncio.run(model.score(QUESTION, ["Yes", "No"])) is None
    assert set(server.requests[-1]) == {"model", "messages", "max_completion_tokens"} or len(server.requests) < 8


def test_fewer_alternatives_are_asked_for_where_twenty_are_too_many() -> None:
    def answer(request: dict[str, Any]) -> Any:
        if "prompt_logprobs" in request:
            return 400, said("unknown field")
        if request.get("top_logprobs", 0) > 5:
            return 400, said("top_logprobs must be at most 5", param="top_logprobs")
        top = [{"token": text, "logprob": -0.5, "bytes": None} for text in ("Yes", "No")]
        first = {"token": "Yes", "logprob": -0.5, "bytes": None, "top_logprobs": top}
        return {"message": {"content": "Yes"}, "logprobs": {"content": [first]}}

    model, _ = model_of(answer)
    assert [one.logprob for one in asyncio.run(model.score(QUESTION, ["Yes", "No"])) or []] == [-0.5, -0.5]


LIMITS = [
    "Requested sample logprobs of 20, which is greater than max allowed: 3",
    "top_logprobs must be at most 3",
    "Invalid value for 'top_logprobs': must be less than or equal to 3, got 20",
    "top_logprobs: Input should be in range 0 <= value <= 3",
    "logprobs must be between 0 and 3",
    "The number of logprobs (20) exceeds the limit of 3",
]


@pytest.mark.parametrize("message", LIMITS)
@pytest.mark.parametrize("status", [400, 422])
def test_as_many_alternatives_are_asked_for_as_a_server_allows(message: str, status: int) -> None:
    def answer(request: dict[str, Any]) -> Any:
        if request.get("top_logprobs", 0) > 3:
            return status, said(message)
        return "Yes"

    model, server = model_of(answer)
    asyncio.run(model.score(QUESTION, ["Yes", "No"]))
    asyncio.run(model.generate(QUESTION))
    assert [q.get("top_logprobs") for q in server.requests if "top_logprobs" in q] == [20, 3]
    assert server.requests[-1]["logprobs"] is True, "its replies still come with their likelihoods"


def test_a_refusal_of_what_was_not_sent_is_told() -> None:
    model, server = model_of(lambda q: (400, said("enable_thinking must be false for non-streaming calls")))
    with pytest.raises(ServerError, match="--extra-body"):
        asyncio.run(model.generate(QUESTION))
    assert len(server.requests) == 1


def test_extra_fields_reach_the_server_from_the_model_and_from_its_profile() -> None:
    from dataclasses import replace

    profile = replace(QWEN3_VL, extra_body={"reasoning_effort": "low", "top_k": 1})
    model, server = model_of(lambda q: "red", extra_body={"enable_thinking": False, "top_k": 2}, profile=profile)
    asyncio.run(model.generate(QUESTION))
    sent = server.requests[0]
    assert (sent["enable_thinking"], sent["reasoning_effort"], sent["top_k"]) == (False, "low", 2)


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("Unexpected role 'user' after role 'tool'", set()),
        ("Tool call id was call_0 but must be a-z, A-Z, 0-9, with a length of 9.", set()),
        ("An assistant message with tool_calls must be followed by tool messages", set()),
        ("The toolbox picture cannot be read", set()),
        ('"auto" tool choice requires --enable-auto-tool-choice to be set', {"tools"}),
        ("registry/gemma3:4b does not support tools", {"tools"}),
        ("tools param requires --jinja flag", {"tools"}),
        ("Function calling is not enabled for this model", {"tools"}),
        ("an image only", set()),
        ("Unsupported parameters: temperature, logprobs", {"temperature", "logprobs"}),
    ],
)
def test_words_name_a_parameter_or_they_do_not(message: str, names: set[str]) -> None:
    assert refused_parameters(said(message)) == names


def test_a_refusal_that_contains_the_word_tool_does_not_change_the_dialect() -> None:
    model, _ = model_of(lambda q: (400, said("The tool message is broken")))
    with pytest.raises(ServerError):
        asyncio.run(model.generate(QUESTION, tools=[TOOL]))
    assert model.profile.tool_dialect == "openai"


def test_where_roles_must_alternate_the_dialogue_is_told_as_text_with_roles_that_do() -> None:
    def gemma(request: dict[str, Any]) -> Any:
        roles = [turn["role"] for turn in request["messages"] if turn["role"] != "system"]
        if roles != ["user", "assistant"] * (len(roles) // 2) + ["user"] * (len(roles) % 2):
            return 400, said("Conversation roles must alternate user/assistant/user/assistant/...")
        return "red"

    view = Pixels("v", Image.new("RGB", (64, 64)))
    told = [
        *QUESTION,
        Message("assistant", (), (ToolCall("c", "zoom", "{}"), ToolCall("d", "zoom", "{}"))),
        Message("tool", (Text("zoomed"), view), tool_call_id="c"),
        Message("tool", (Text("zoomed"), view), tool_call_id="d"),
        Message("user", (Text("Go on."),)),
    ]
    model, server = model_of(gemma)
    assert asyncio.run(model.generate(told, tools=[TOOL]))[0].text == "red"
    assert len(server.requests) == 2 and sum("image_url" in json.dumps(t) for t in server.requests[-1]["messages"]) == 1


# Thinking


def test_a_model_that_thinks_gets_room_by_itself_once_and_for_all() -> None:
    def thinking(request: dict[str, Any]) -> Any:
        if request["max_tokens"] < 1000:
            return {"message": {"content": None, "reasoning_content": "Let me see …"}, "finish_reason": "length"}
        return {"message": {"content": "<think>red?</think>\n\nred"}}

    model, server = model_of(thinking)
    assert asyncio.run(model.generate(QUESTION))[0].text == "red"
    asyncio.run(model.generate(QUESTION))
    assert [r["max_tokens"] for r in server.requests] == [128, 128 + THINKING_ROOM, 128 + THINKING_ROOM]


def test_room_that_does_not_fit_is_given_up() -> None:
    def small(request: dict[str, Any]) -> Any:
        if request["max_tokens"] > 300:
            return 400, said("This model's maximum context length is 1000 tokens")
        return {"message": {"content": "<think>red?</think>red"}}

    model, server = model_of(small)
    for _ in range(2):
        assert asyncio.run(model.generate(QUESTION))[0].text == "red"
    with pytest.raises(ContextTooLong):
        asyncio.run(model.generate(QUESTION, max_tokens=400))
    assert server.requests[-1]["max_tokens"] == 400


def test_the_likelihood_of_a_reply_is_that_of_its_words_without_the_thought() -> None:
    text = "<think> it may be red </think> blue"
    model, _ = model_of(lambda q: text)
    [reply] = asyncio.run(model.generate(QUESTION))
    assert reply.text == "blue" and reply.tokens and [token.text.strip() for token in reply.tokens] == ["blue"]


PNG = io.BytesIO()
Image.effect_noise((400, 300), 50).convert("RGB").save(PNG, "PNG")
URL = f"data:image/png;base64,{base64.b64encode(PNG.getvalue()).decode()}"


def test_a_run_that_ends_inside_a_thought_says_so() -> None:
    model, server = model_of(
        lambda q: {"message": {"content": None, "reasoning_content": "Hm."}, "finish_reason": "length"}
    )
    answer = ZoomAgent(model, strategy="macro").ask(URL, "What colour?")
    assert answer.outcome.kind == "failed" and answer.outcome.code == "cut_in_thought"
    assert "while thinking" in answer.outcome.reasons[0] and "--max-tokens" in answer.outcome.reasons[0]
    assert len(server.requests) == 2


def test_extra_fields_are_for_servers_only_and_are_a_setting_of_the_run() -> None:
    agent = ZoomAgent("nano", extra_body={"enable_thinking": False})
    assert agent.context.extra_body == {"enable_thinking": False}
    with agent:
        answer = agent.ask(URL, "What colour?")
    assert answer.outcome.kind == "failed" and answer.outcome.code == "setting_invalid"


@pytest.mark.parametrize(
    "text", ["[1]", "enable_thinking=false", "3", '{"a": NaN}', '{"a": [1e999]}', '{"a": "\\ud800"}']
)
def test_what_is_no_json_object_is_refused_at_the_command_line(text: str) -> None:
    from typer.testing import CliRunner

    from zoomagent.cli.main import app

    result = CliRunner().invoke(app, ["ask", "x.png", "?", "--extra-body", text])
    assert result.exit_code == 2 and "JSON" in result.output
