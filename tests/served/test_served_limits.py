"""What a real server refuses, lists and counts is read as what it is."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from PIL import Image
from questions import Asked
from real_server import RealServer

from zoomagent import ZoomAgent
from zoomagent.errors import ContextTooLong
from zoomagent.models.base import Message, Model, Pixels, Reply, Text
from zoomagent.models.doctor import Report, examine
from zoomagent.models.loading import load_model, profile_in
from zoomagent.models.server.local_servers import find_servers
from zoomagent.tools.definitions import definitions

pytest_plugins = ["servers"]
pytestmark = pytest.mark.served


def of(model: Model, work: Callable[[Model], Any]) -> Any:
    async def done() -> Any:
        try:
            return await work(model)
        finally:
            await model.aclose()

    return asyncio.run(done())


async def generate(model: Model, told: list[Message], **options: Any) -> list[Reply]:
    return await model.generate(told, **options)


def test_the_doctor_finds_the_same_over_the_wire_as_in_this_process(server: RealServer) -> None:
    here: Report = of(load_model("nano"), examine)
    there: Report = of(load_model(server.url, profile="nano"), examine)
    shared = ("sees pictures", "locates: coordinate space", "several pictures at once", "likelihood of its replies")
    given = ("likelihood of given text",) if server.scores_given else ()
    for name in (*shared, *given):
        assert there.works(name) == here.works(name), name
    assert there.works("sees pictures") == "yes" and there.measured["space"] == "thousand"
    assert there.works("views as large as drawn") == "yes"
    assert there.works("pictures in one conversation") == "yes"
    if server.scores_given:
        length = next(check for check in there.checks if check.name == "context length")
        assert "4096 tokens" in length.found


def test_the_server_is_found_by_its_list(server: RealServer) -> None:
    [found] = find_servers([server.port])
    assert [(model.name, model.sight, model.spec) for model in found.models] == [("nano", "yes", server.url)]


def test_calls_are_read_from_the_text_and_from_the_servers_parser(server: RealServer, asked: list[Asked]) -> None:
    """As text nano gets what it was trained on; by the server's parser the same calls come as fields."""
    zoomed = []
    for dialect in ("hermes", "openai"):
        profile = {**profile_in("nano"), "tool_dialect": dialect}
        with ZoomAgent(server.url, strategy="tools", profile=profile) as agent:
            answers = agent.batch([(one.picture, one.question) for one in asked], concurrency=4)
        assert all(answer.answered and "tool_call" not in answer.text for answer in answers)
        zoomed.append(sum(len(answer.evidence) > 0 for answer in answers))
    assert zoomed[1] >= zoomed[0] / 2 > 0


def test_the_servers_parser_gives_a_call_as_fields(server: RealServer, asked: list[Asked]) -> None:
    """The request itself, without the agent: the parser is really there, and takes the call out of the text."""
    profile = {**profile_in("nano"), "tool_dialect": "openai"}
    tools = definitions(profile["tools"], profile["space"])
    calls = 0
    for one in asked[:6]:
        view = Pixels(one.question, one.picture.resize((128, 128), Image.Resampling.LANCZOS))
        told = [Message("user", (view, Text(one.question)))]
        work = partial(generate, told=told, tools=tools, max_tokens=200)
        [reply] = of(load_model(server.url, profile=profile), work)
        calls += len(reply.tool_calls)
        assert "<tool_call>" not in reply.text or reply.finish == "length"
    assert calls > 0


SIZES = (
    (690, 15420),
    (15420, 690),
    (332, 27),
    (27, 332),
    (3000, 16),
    (16, 3000),
    (20, 4),
    (1, 1),
    (10, 2000),
    (4097, 4095),
)


def test_pictures_of_any_size_and_shape_reach_the_server_as_it_takes_them(server: RealServer) -> None:
    """Long strips, slivers and single pixels, as wholes and as crops: a server's own processor refuses many of them."""
    pictures = [Image.new("RGB", size, (150, 150, 150)) for size in SIZES]
    for strategy in ("macro", "micro", "search"):
        with ZoomAgent(server.url, strategy=strategy, profile=profile_in("nano"), arbiter="none") as agent:
            answers = agent.batch([(one, "What is written on the red circle?") for one in pictures], concurrency=4)
        ends = {size: answer.outcome for size, answer in zip(SIZES, answers, strict=True) if not answer.answered}
        assert not ends, (strategy, ends)


def test_more_pictures_and_more_text_than_fit_are_told_as_that(server: RealServer) -> None:
    image = Image.new("RGB", (128, 128), (150, 150, 150))
    many = [Message("user", (*(Pixels(f"{i}", image) for i in range(12)), Text("Which?")))]
    long = [Message("user", (Text("word " * 9000),))]
    if server.scores_given:  # llama.cpp has no limit of pictures
        with pytest.raises(ContextTooLong):
            of(load_model(server.url, profile={"max_images": 20}), lambda model: model.generate(many))
    with pytest.raises(ContextTooLong):
        of(load_model(server.url), lambda model: model.generate(long))


def test_a_conversation_that_does_not_fit_is_shown_smaller_or_ended_with_its_code(server: RealServer) -> None:
    """256 tokens a view and a reply of 3,000 leave no room for many views of 4,096: the run ends with what it has."""
    noise = Image.effect_noise((2048, 2048), 60).convert("RGB")
    with ZoomAgent(server.url, strategy="search", profile="nano", max_tokens=3500, arbiter="none") as agent:
        answer = agent.ask(noise, "What is written on the red square?")
    outcome = answer.outcome
    assert outcome.kind == "answered" or "context_too_long" in (outcome.code, *outcome.codes), outcome


def test_another_name_is_told_with_those_that_are_served(server: RealServer, asked: list[Asked]) -> None:
    if not server.scores_given:
        pytest.skip("llama.cpp serves its model under every name")
    with ZoomAgent(f"{server.base_url}#nan0", profile="nano") as agent:
        answer = agent.ask(asked[0].picture, asked[0].question)
    assert answer.outcome.code == "model_not_found" and "'nano'" in answer.reasons[0]


def test_a_server_without_its_key_is_told_and_with_it_answers(
    second: RealServer, asked: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = asked[0]
    for variable, value, code in (
        ("ZOOMAGENT_MODEL_KEY", "", "unauthorized"),
        ("ZOOMAGENT_MODEL_KEY", "wrong", "unauthorized"),
        ("ZOOMAGENT_MODEL_KEYS", f"127.0.0.1:{second.port}={second.key}", None),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(variable, value)
            with ZoomAgent(second.url, strategy="macro", profile="nano") as agent:
                answer = agent.ask(one.picture, one.question)
        assert answer.outcome.code == code
        assert second.key not in answer.model_dump_json()
    assert answer.answered and "wants a key" in find_servers([second.port])[0].trouble
