"""What the OpenAI-compatible endpoint takes, and what it refuses by name. No server, no model."""

import json
import time
from typing import Any

import pytest
from mcp_world import QUESTION
from openai_world import asking

from zoomagent.errors import ModelNotFound
from zoomagent.graphs.checking import MAX_QUESTION
from zoomagent.plugins.openai.request import MODELS, CheckedRequest, RequestRefused, read_request

URL = "data:image/png;base64,AAAA"
ASKING = asking(url=URL)
IMAGE = ASKING["content"][0]


def read(messages: list[Any] | None = None, **more: Any) -> CheckedRequest:
    body = {"model": "zoomagent", "messages": [ASKING] if messages is None else messages, **more}
    return read_request(json.dumps(body).encode())


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def test_the_last_message_is_what_is_asked() -> None:
    assert read() == CheckedRequest("zoomagent", URL, QUESTION)


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("n", 2, "n"),
        ("n", 10**9, "n"),
        ("n", True, "n"),
        ("max_tokens", -1, "max_tokens"),
        ("max_tokens", 0, "max_tokens"),
        ("max_tokens", "12", "max_tokens"),
        ("max_completion_tokens", 1.5, "max_completion_tokens"),
        ("temperature", 3, "temperature"),
        ("temperature", "0", "temperature"),
        ("top_p", 0, "top_p"),
        ("nonsense", 1, "nonsense"),
        ("chat_template_kwargs", {}, "chat_template_kwargs"),
        ("guided_regex", "(a+)+", "guided_regex"),
        ("stream", "yes", "stream"),
        ("stream_options", {"include_usage": True, "x": 1}, "stream_options.x"),
        ("response_format", {"type": "json_schema", "json_schema": {}}, "response_format.type"),
        ("response_format", {"type": "json_schema", "json_schema": {}}, "response_format.type"),
        ("tools", [{"type": "function"}], "tools"),
        ("tool_choice", "required", "tool_choice"),
        ("functions", [], "functions"),
        ("logprobs", True, "logprobs"),
        ("top_logprobs", 5, "top_logprobs"),
        ("stop", [1], "stop"),
        ("stop", ["x"] * 17, "stop"),
        ("logit_bias", {"1": 2}, "logit_bias"),
        ("modalities", ["audio"], "modalities[0]"),
        ("zoomagent", {"strategy": "guess"}, "zoomagent.strategy"),
        ("zoomagent", {"strategi": "auto"}, "zoomagent.strategi"),
        ("zoomagent", {"options": "ab"}, "zoomagent.options"),
        ("zoomagent", {"options": ["a"] * 27}, "zoomagent.options"),
        ("zoomagent", {"target_error": 1.0}, "zoomagent.target_error"),
        ("zoomagent", {"seconds": -1}, "zoomagent.seconds"),
        ("zoomagent", None, "zoomagent"),
        ("messages", [], "messages"),
        ("messages", [user("a")] * 257, "messages"),
        ("messages", [user([IMAGE] * 1000)], "messages[0].content"),
        ("messages", [user([IMAGE] * 2 + [{"type": "text", "text": "?"}])], "messages"),
        ("messages", [user([])], "messages[0].content"),
        ("messages", [user([{"type": "image_url", "image_url": 7}])], "messages[0].content[0].image_url"),
        ("messages", [user([{"type": "image_url", "image_url": {"url": 1}}])], "messages[0].content[0].image_url.url"),
        ("messages", [user([{"type": "file", "video_url": {}}])], "messages[0].content[0].type"),
        ("messages", [user([{"text": "?"}])], "messages[0].content[0].type"),
        ("messages", [{"role": "user"}], "messages[0].content"),
        ("messages", [{"content": "?"}], "messages[0].role"),
        ("messages", [user(None)], "messages"),
        ("messages", [user(7)], "messages[0].content"),
        ("messages", ["?"], "messages[0]"),
        ("messages", [ASKING, {"role": "tool", "tool_call_id": "1", "content": "x"}], "messages[1].role"),
        ("messages", [ASKING, {**said("x"), "tool_calls": [{}]}, user("?")], "messages[1].tool_calls"),
        ("messages", [said("x"), ASKING], "messages[0].role"),
        ("messages", [ASKING, said("x"), said("y"), user("?")], "messages[2].role"),
        ("messages", [ASKING, {"role": "system", "content": "x"}, user("?")], "messages[1].role"),
        ("messages", [ASKING, said("x")], "messages[1]"),
        ("messages", [{"role": "system", "content": "x"}], "messages[0]"),
        ("messages", [user("What is that?")], "messages"),
        ("messages", [user([IMAGE])], "messages"),
    ],
)
def test_what_is_not_supported_is_refused_by_its_name(field: str, value: Any, param: str) -> None:
    with pytest.raises(RequestRefused) as caught:
        read(**{field: value})
    assert caught.value.param == param and str(caught.value)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"model": NaN}', b"[" * 100_000])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(RequestRefused):
        read_request(body)


@pytest.mark.parametrize("content", [[IMAGE] * 1000, [{"type": "x"}] * 10_000, "?" * 1_000_000])
def test_hostile_requests_are_refused_in_less_than_twenty_milliseconds(content: Any) -> None:
    """Processor time, the best of three: other programs and the first call's imports are not what is measured."""
    body = json.dumps({"model": "zoomagent", "messages": [user(content)], "n": 10**9}).encode()
    times = []
    for _ in range(3):
        began = time.process_time()
        with pytest.raises(RequestRefused):
            read_request(body)
        times.append(time.process_time() - began)
    assert min(times) < 0.02


def test_a_model_that_is_not_served_is_none() -> None:
    with pytest.raises(ModelNotFound):
        read(model="gpt-4o")


def test_the_models_name_or_the_extension_chooses_the_strategy() -> None:
    assert read(model="zoomagent-macro").settings == {"strategy": "macro"}
    assert read(zoomagent={"strategy": "macro", "target_error": 0.1}).settings["target_error"] == 0.1
    assert read(model="zoomagent-macro", zoomagent={"strategy": "macro"}).settings == {"strategy": "macro"}
    assert len(MODELS) == len(set(MODELS))
    with pytest.raises(RequestRefused):
        read(model="zoomagent-macro", zoomagent={"strategy": "auto"})


def test_options_are_taken_from_the_extension_and_from_nowhere_else() -> None:
    assert read(zoomagent={"options": ["red", "blue"]}).options == ("red", "blue")
    assert read([asking("Red or blue?\nA. red\nB. blue", URL)]).options == ()


def test_parameters_without_effect_are_taken_and_named() -> None:
    asked = read(temperature=0, max_tokens=16, seed=1, user="me", top_p=None, stop=None, n=1, tools=[], store=False)
    assert asked.unused == ("temperature", "seed", "max_tokens", "user", "store")


@pytest.mark.parametrize(
    ("given", "unused"),
    [
        ({"stop": "\n"}, ("stop",)),
        ({"stop": ["</s>", "User:"]}, ("stop",)),
        ({"stop": []}, ()),
        ({"response_format": {"type": "json_object"}}, ("response_format",)),
        ({"response_format": {"type": "text"}}, ()),
        ({"stop": "x", "response_format": {"type": "json_object"}, "top_p": 1}, ("top_p", "stop", "response_format")),
        ({"verbosity": "low", "prompt_cache_key": "k"}, ("verbosity", "prompt_cache_key")),
    ],
)
def test_what_clients_send_by_default_is_taken_and_noted(given: dict[str, Any], unused: tuple[str, ...]) -> None:
    assert read(**given).unused == unused


def test_a_picture_may_be_given_as_its_address_alone() -> None:
    told = [user([{"type": "image_url", "image_url": URL}, {"type": "text", "text": "What?"}])]
    assert read(told).image == URL and read(told).question == "What?"


def test_content_that_is_null_says_nothing() -> None:
    empty = {"role": "assistant", "content": None}
    told = [{"role": "system", "content": None}, asking("A?", URL), empty, user("And now?")]
    assert read(told).question.endswith("And now?")
    del empty["content"]
    assert read(told).image == URL


def test_the_extension_says_how_answers_are_weighed_and_when_auto_looks() -> None:
    assert read(zoomagent={"rule": "micro", "gate": 0.5}).settings == {"rule": "micro", "gate": 0.5}


def test_a_question_about_an_earlier_picture_is_about_the_latest_one() -> None:
    first, second = asking("A?", f"{URL}1"), asking("B?", f"{URL}2")
    asked = read([first, said("a"), second, said("b"), user("And now?")])
    assert asked.image == f"{URL}2"
    earlier = "User: A?\nAssistant: a\nUser: B?\nAssistant: b"
    assert asked.question == f"Earlier in this conversation:\n{earlier}\n\nAnd now?"


def test_what_the_system_says_comes_first_and_alone_leaves_it_out() -> None:
    told = [{"role": "developer", "content": "Be brief."}, asking("A?", URL), said("a"), user("And now?")]
    assert read(told).question == "Be brief.\n\nEarlier in this conversation:\nUser: A?\nAssistant: a\n\nAnd now?"
    assert read(told, zoomagent={"alone": True}).question == "And now?"


def test_messages_of_the_user_in_a_row_are_one_turn() -> None:
    assert read([user([IMAGE]), user("What"), user("is it?")]).question == "What\nis it?"


def test_the_oldest_turns_go_where_a_conversation_gets_too_long() -> None:
    turns = [message for i in range(20) for message in (asking(f"{i}: {'x' * 900}", URL), said("y"))]
    question = read([*turns, user("And now?")]).question
    assert MAX_QUESTION - 2000 < len(question) <= MAX_QUESTION
    assert "19: x" in question and "0: x" not in question.split("\n")[1] and question.endswith("And now?")


def test_a_conversation_far_too_long_costs_little_more_than_reading_it() -> None:
    """Processor time, the best of three: the oldest turns go without all others being joined each time."""
    turns = [speaks("?" * 40_000) for _ in range(120) for speaks in (user, said)]
    last = asking("What is \U0001f600?", url=URL)

    def spent(alone: bool) -> float:
        body = json.dumps({"model": "zoomagent", "messages": [*turns, last], "zoomagent": {"alone": alone}}).encode()
        began = time.process_time()
        assert len(read_request(body).question) <= MAX_QUESTION
        return time.process_time() - began

    assert min(spent(False) for _ in range(3)) < 5 * max(0.01, min(spent(True) for _ in range(3)))


def test_what_this_endpoint_said_can_be_sent_back_as_it_came() -> None:
    back = {**said("42"), "reasoning_content": "look: …", "refusal": None, "tool_calls": None, "annotations": []}
    assert read([ASKING, back, user("Sure?")]).image == URL


FLOODS = ["modalities", "stop", "messages", "logit_bias", "metadata", "tools", "unknown"]


@pytest.mark.parametrize("field", FLOODS)
@pytest.mark.parametrize(
    "items", ["[" + "0," * 300_000 + "0]", "{" + ",".join(f'"{i}":0' for i in range(100_000)) + "}"]
)
def test_a_request_of_very_many_values_is_refused_before_they_are_looked_at(field: str, items: str) -> None:
    body = f'{{"model":"zoomagent","messages":[{{"role":"user","content":"a"}}],"{field}":{items}}}'
    start = time.process_time()
    with pytest.raises(RequestRefused):
        read_request(body.encode())
    assert time.process_time() - start < 0.5
