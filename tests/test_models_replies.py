"""Row 18, S7 and S8: 24 reply shapes, each asked by `generate` and by `score`, each with a defined outcome.

None of them may end in an IndexError or a KeyError. Replies are not streamed, so shapes of streams do not
arise; a server that streams unasked is garbage (test_models_faults.py).
"""

import asyncio
import json
import math
from typing import Any

import pytest
from fake_server import Body, FakeServer, choice, completion, token_logprobs

from zoomagent.errors import BadServerResponse, ModelUnavailable, RateLimited, ServerError
from zoomagent.models.base import Likelihood, Message, Text
from zoomagent.models.server.completion import FLOOR, first_token_likelihoods, given_likelihood, read_json, read_replies
from zoomagent.models.server.openai_server import OpenAIModel
from zoomagent.models.server.retrying import RetryPolicy

QUESTION = [Message("user", (Text("Is it red?"),))]
TEXT_ONLY = "the text stands, without likelihoods"


def shape(text: Any = "Yes", logprobs: Any = None, **more: Any) -> dict[str, Any]:
    made = choice(0, text, logprobs)
    made.update({key: value for key, value in more.items() if key in made})
    body = completion([made])
    body.update({key: value for key, value in more.items() if key not in made})
    return body


def with_values(*values: Any) -> dict[str, Any]:
    return {"content": [{"token": "Yes", "logprob": value, "bytes": None} for value in values]}


def without(body: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in keys}


SHAPES: dict[str, tuple[dict[str, Any], Any]] = {
    "no choices": (without(shape(), "choices"), BadServerResponse),
    "empty choices": (shape(choices=[]), BadServerResponse),
    "choices is a dict": (shape(choices={"0": {}}), BadServerResponse),
    "choice is null": (shape(choices=[None]), BadServerResponse),
    "no message": (shape(choices=[{"index": 0, "text": "Yes"}]), BadServerResponse),
    "message is text": (shape(message="Yes"), BadServerResponse),
    "content null": (shape(None), ""),
    "content missing": (shape(message={"role": "assistant"}), ""),
    "content is a number": (shape(7), BadServerResponse),
    "content is parts": (shape([{"type": "text", "text": "Ye"}, {"type": "text", "text": "s"}]), "Yes"),
    "refusal": (shape(message={"content": None, "refusal": "I will not"}), "I will not"),
    "no usage, id, model": (without(shape(), "usage", "id", "model", "object", "created"), "Yes"),
    "usage is null": (shape(usage=None), "Yes"),
    "finish null": (shape(finish_reason=None), "Yes"),
    "finish unknown": (shape(finish_reason="repetition"), "Yes"),
    "logprobs content null": (shape(logprobs={"content": None}), "Yes"),
    "logprobs content empty": (shape(logprobs={"content": []}), "Yes"),
    "fewer logprobs": (shape("Yes it is", with_values(-0.1)), "Yes it is"),
    "logprob null": (shape(logprobs=with_values(None)), "Yes"),
    "logprob NaN": (shape(logprobs=with_values(math.nan)), "Yes"),
    "tool call without a name": (shape(message={"content": "", "tool_calls": [{"id": "x"}]}), BadServerResponse),
    "error with 200": ({"error": {"message": "overloaded", "code": 429}}, RateLimited),
    "error text with 200": ({"error": "model crashed"}, BadServerResponse),
    "error 503 with 200": ({"error": {"message": "loading", "code": 503}}, ModelUnavailable),
}


def asked(body: dict[str, Any]) -> OpenAIModel:
    server = FakeServer()
    server.enqueue([Body(json.dumps(body).encode())] * 4)
    return OpenAIModel("http://fake/v1", "qwen3-vl", transport=server.transport(), retries=RetryPolicy(attempts=1))


@pytest.mark.parametrize("name", SHAPES)
def test_generate_has_an_outcome_for_every_shape(name: str) -> None:
    body, outcome = SHAPES[name]
    if isinstance(outcome, str):
        [reply] = asyncio.run(asked(body).generate(QUESTION))
        assert reply.text == outcome and reply.tokens is None
    else:
        with pytest.raises(outcome):
            asyncio.run(asked(body).generate(QUESTION))


@pytest.mark.parametrize("name", SHAPES)
def test_score_has_an_outcome_for_every_shape(name: str) -> None:
    body, outcome = SHAPES[name]
    if isinstance(outcome, str):
        assert asyncio.run(asked(body).score(QUESTION, ["Yes", "a red car"])) is None
    else:
        with pytest.raises(ServerError):
            asyncio.run(asked(body).score(QUESTION, ["Yes", "a red car"]))


def test_there_are_24_shapes() -> None:
    assert len(SHAPES) == 24


def read(body: dict[str, Any]) -> Any:
    [reply] = read_replies(read_json(json.dumps(body).encode()), 0)
    return reply


@pytest.mark.parametrize("value", [-math.inf, -9999.0, -1e308])
def test_likelihoods_of_never_are_clipped(value: float) -> None:
    assert read(shape(logprobs=with_values(value))).tokens[0].logprob == FLOOR


def test_a_likelihood_above_certainty_is_certainty() -> None:
    assert read(shape(logprobs=with_values(1e-7))).tokens[0].logprob == 0.0


def test_reasoning_before_the_answer_is_not_its_likelihood() -> None:
    reply = read(shape("Yes", token_logprobs("<think> hm </think>\nYes")))
    assert [token.text for token in reply.tokens] == ["Yes"]


def test_characters_split_over_tokens_are_matched_by_their_bytes() -> None:
    raw = "é".encode()
    content = [{"token": f"\\x{byte:02x}", "logprob": -0.5, "bytes": [byte]} for byte in raw]
    assert len(read(shape("é", {"content": content})).tokens) == 2


def test_lone_surrogates_do_not_leave_the_reader() -> None:
    assert read(shape("a\ud800b")).text == "a\ufffdb"


def test_likelihood_of_given_text_is_none_unless_the_last_tokens_spell_it() -> None:
    def place(text: str, value: float = -0.5) -> dict[str, Any]:
        return {"7": {"decoded_token": text, "logprob": value}}

    spelled = {"prompt_logprobs": [None, place("assistant"), place("\n"), place("a"), place(" car")]}
    found = given_likelihood(spelled, "a car")
    assert found is not None and (found.logprob, found.tokens) == (-1.0, 2)
    for continuation in ("the car", "ar", "n\na car", "a car "):
        assert given_likelihood(spelled, continuation) is None, continuation
    torn: list[Any] = [[], [None], ["x"], [{}], [{"7": None}], [{"7": {"logprob": -1}}], [place("a car", math.nan)]]
    for places in torn:
        assert given_likelihood({"prompt_logprobs": places}, "a car") is None


def test_alternatives_of_a_wrong_shape_give_no_likelihood() -> None:
    shapes: list[Any] = [None, {}, {"content": []}, {"content": [None]}, {"content": [{"top_logprobs": [None, 3]}]}]
    for logprobs in shapes:
        body = shape()
        body["choices"][0]["logprobs"] = logprobs
        assert first_token_likelihoods(body, ["Yes"]) is None


def placed(*tokens: str) -> dict[str, Any]:
    """`prompt_logprobs` of a prompt that ends with these tokens, each of them worth -1."""
    return {"prompt_logprobs": [None, *({"7": {"logprob": -1.0, "decoded_token": token}} for token in tokens)]}


@pytest.mark.parametrize(
    ("tokens", "text", "count"),
    [
        (("a", "\n", "", "", "红"), "红", 3),
        (("\n", "", "", "红", "", "", "色"), "红色", 6),
        (("\n", "", "é"), "é", 2),
        (("\n", "", "", "", "🚲"), "🚲", 4),
        (("\n", "a", "", "", "红"), "a红", 4),
        (("红", "red"), "red", 1),
        (("", "", "red"), "red", 1),
        (("\n", " red"), "red", 1),
        (("", "", "红"), "蓝", None),
    ],
)
def test_the_tokens_of_one_character_are_all_scored(tokens: tuple[str, ...], text: str, count: int | None) -> None:
    given = given_likelihood(placed(*tokens), text)
    assert given == (None if count is None else Likelihood(-float(count), count))


@pytest.mark.parametrize(
    ("pieces", "count"), [(["", "", "红"], 3), (["x", "", "", "红"], 3), (["", "é"], 2), (["a"], 1)]
)
def test_a_reply_that_begins_with_a_character_of_several_tokens_keeps_them_all(pieces: list[str], count: int) -> None:
    content = [{"token": piece, "logprob": -1.0, "bytes": list(piece.encode())} for piece in pieces]
    choice = {"message": {"content": pieces[-1]}, "finish_reason": "stop", "logprobs": {"content": content}}
    [reply] = read_replies({"choices": [choice]}, 0)
    assert reply.tokens is not None and len(reply.tokens) == count
