"""What a server is sent, and what is made of its answers, when all goes well or it can do less than vLLM."""

import asyncio
import base64
import io
import json
import random
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest
from fake_server import Body, FakeServer, Guise, Status, choice, completion, images_of, token_logprobs
from PIL import Image

from zoomagent.agent import ZoomAgent
from zoomagent.errors import BadServerResponse, ContextTooLong, ModelNotFound, RunError, ServerError, SettingInvalid
from zoomagent.geometry import Size
from zoomagent.models.base import Message, Pixels, Text, ToolCall
from zoomagent.models.metering import metered
from zoomagent.models.profiles import INTERNVL, LLAVA_1_5, LLAVA_NEXT, QWEN2_5_VL, QWEN3_VL, UNKNOWN, Profile
from zoomagent.models.server.connection import api_base
from zoomagent.models.server.openai_server import OpenAIModel
from zoomagent.models.server.retrying import RetryPolicy
from zoomagent.strategy import Task

PROFILES = [QWEN2_5_VL, QWEN3_VL, INTERNVL, LLAVA_1_5, LLAVA_NEXT, UNKNOWN]
QUICK = RetryPolicy(first_wait=0.001)
QUESTION = [Message("user", (Text("Is it red?"),))]
TOOL = {"type": "function", "function": {"name": "zoom", "parameters": {"type": "object"}}}


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def model_of(server: FakeServer, **options: Any) -> OpenAIModel:
    options.setdefault("retries", QUICK)
    return OpenAIModel(
        "http://fake/v1", options.pop("model", server.guise.name), transport=server.transport(), **options
    )


def view(width: int = 64, height: int = 64, key: str = "v") -> Pixels:
    return Pixels(key, Image.new("RGB", (width, height), "red"))


def test_a_reply_carries_text_tokens_without_the_end_token_and_usage() -> None:
    server = FakeServer(lambda seen: "a red car")
    [reply] = run(model_of(server).generate([Message("user", (view(), Text("What?")))]))
    assert (reply.text, reply.finish, reply.model) == ("a red car", "stop", "qwen3-vl")
    assert reply.tokens and [token.text for token in reply.tokens] == ["a", " red", " car"]
    assert reply.usage.visual_tokens == 4


def test_views_are_sent_as_bare_pixels() -> None:
    image = Image.new("RGB", (64, 64), "blue")
    image.info["icc_profile"] = b"secret profile"
    image.info["exif"] = b"Exif\0\0secret place"
    server = FakeServer()
    run(model_of(server).generate([Message("user", (Pixels("k", image), Text("?")))]))
    url = server.requests[0]["messages"][0]["content"][0]["image_url"]["url"]
    sent = base64.b64decode(url.partition(",")[2])
    assert url.startswith("data:image/png;base64,") and b"secret" not in sent
    assert Image.open(io.BytesIO(sent)).getpixel((5, 5)) == (0, 0, 255)


def test_square_models_get_the_view_in_a_centred_square() -> None:
    server = FakeServer(guise=Guise(name="llava"))
    run(model_of(server, profile=LLAVA_1_5).generate([Message("user", (view(80, 40), Text("?")))]))
    [sent] = images_of(server.requests[0])
    assert sent.size == (80, 80)
    assert sent.getpixel((40, 40)) == (255, 0, 0) and sent.getpixel((40, 5)) == (122, 116, 104)


def test_views_of_tool_results_go_into_the_next_user_message() -> None:
    server = FakeServer()
    told = [
        Message("user", (Text("What is written?"),)),
        Message("assistant", (), (ToolCall("c1", "zoom", '{"view": "v1"}'),)),
        Message("tool", (Text("zoomed"), view()), tool_call_id="c1"),
    ]
    run(model_of(server).generate(told, tools=[TOOL]))
    sent = server.requests[0]["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "user"]
    assert sent[2]["content"] == "zoomed" and sent[2]["tool_call_id"] == "c1"
    assert sent[3]["content"][0]["type"] == "image_url"
    assert sent[1]["content"] is None


def test_tool_calls_come_back_parsed_whether_the_server_parses_them_or_not() -> None:
    text = '<tool_call>\n{"name": "zoom", "arguments": {"bbox": [1, 2, 3, 4]}}\n</tool_call>'
    for tools in ("parsed", "text", "refused"):
        server = FakeServer(lambda seen: text, Guise(tools=tools))
        [reply] = run(model_of(server).generate(QUESTION, tools=[TOOL]))
        assert reply.finish == "tool_calls" and reply.tool_calls[0].name == "zoom", tools
        assert reply.tool_calls[0].arguments.replace(" ", "") == '{"bbox":[1,2,3,4]}'
    assert "tools" not in server.requests[-1] and "# Tools" in server.requests[-1]["messages"][0]["content"]


def test_n_replies_come_even_from_a_server_that_ignores_n() -> None:
    for guise in (Guise(), Guise(n=False)):
        server = FakeServer(guise=guise)
        replies = run(model_of(server).generate(QUESTION, n=3, temperature=1.0))
        assert [reply.text for reply in replies] == ["Yes"] * 3
        assert len(server.requests) == (1 if guise.n else 3)


def test_given_text_is_scored_by_its_own_tokens_only() -> None:
    server = FakeServer()
    first, second = run(model_of(server).score(QUESTION, ["Yes", "a red car"]))
    assert (first.logprob, first.tokens) == (-1.5, 1)
    assert (second.logprob, second.tokens) == (-0.5 * 7, 3)
    assert server.requests[0]["continue_final_message"] and not server.requests[0]["add_generation_prompt"]
    assert server.requests[0]["messages"][-1] == {"role": "assistant", "content": "Yes"}


def test_without_prompt_logprobs_single_tokens_are_scored_by_the_alternatives() -> None:
    for guise in (Guise(given=False), Guise(given=False, refuses_unknown=True)):
        server = FakeServer(guise=guise)
        model = model_of(server)
        likelihoods = run(model.score(QUESTION, ["Yes", "No"]))
        assert [(x.logprob, x.tokens) for x in likelihoods] == [(-0.2, 1), (-1.7, 1)]
        assert run(model.score(QUESTION, ["Yes", "a red car"])) is None


class CrashesOverScores(FakeServer):
    """As some vLLM versions did when asked for `prompt_logprobs` of a prompt with images."""

    def decide(self, path: str, body: bytes) -> Any:
        return Status(500) if b"prompt_logprobs" in body else super().decide(path, body)


def test_a_server_that_crashes_over_scores_is_asked_another_way() -> None:
    server = CrashesOverScores()
    model = model_of(server)
    assert run(model.score(QUESTION, ["a red car", "No"])) is None
    crashed = len(server.paths)
    assert run(model.score(QUESTION, ["a red car", "No"])) is None
    assert len(server.paths) == crashed, "it is not asked to crash again, and what is no token is not looked for"
    assert run(model.generate(QUESTION))[0].text == "Yes"


@pytest.mark.parametrize("first", ["<tool_call>", "</think> 47", "Exit [INST] 21", "<|im_end|>"])
def test_a_text_that_is_made_inert_is_scored_as_it_was_sent_and_switches_nothing_off(first: str) -> None:
    model = model_of(FakeServer())
    assert run(model.score(QUESTION, [first, "a red car"])) is not None
    assert run(model.score(QUESTION, ["Exit 21"])) is not None


class SpellsOneTextOtherwise(FakeServer):
    """A tokenizer that does not give back what was sent, for one text."""

    def _completion(self, request: dict[str, Any]) -> dict[str, Any]:
        body = super()._completion(request)
        if "odd" in str(request["messages"][-1]["content"]) and "prompt_logprobs" in body:
            body["prompt_logprobs"][-1] = {"1": {"logprob": -1.0, "decoded_token": "?"}}
        return body


def test_a_text_that_is_spelled_otherwise_says_nothing_about_the_next() -> None:
    model = model_of(SpellsOneTextOtherwise())
    assert run(model.score(QUESTION, ["an odd car"])) is None
    assert run(model.score(QUESTION, ["a red car"])) is not None


class RefusesOneText(FakeServer):
    """A server that refuses a text without naming any parameter."""

    def _refusal(self, request: dict[str, Any]) -> Status | None:
        odd = "odd" in str(request["messages"][-1]["content"])
        return Status(400, body={"error": {"message": "bad content"}}) if odd else super()._refusal(request)


def test_a_text_that_is_refused_switches_nothing_off() -> None:
    model = model_of(RefusesOneText())
    assert run(model.score(QUESTION, ["an odd car"])) is None
    assert run(model.score(QUESTION, ["a red car"])) is not None


def test_only_the_tokens_that_stand_there_are_asked_for() -> None:
    server = FakeServer()
    run(model_of(server).score(QUESTION, ["a red car"]))
    assert server.requests[0]["prompt_logprobs"] == 0


def test_lists_that_are_no_single_tokens_are_looked_for_a_few_times_only() -> None:
    server = FakeServer()
    model = model_of(server)
    for _ in range(6):
        assert run(model.score(QUESTION, ["7", "8"])) is not None
    assert sum("top_logprobs" in request for request in server.requests) == 3
    assert [x.logprob for x in run(model.score(QUESTION, ["Yes", "No"]))] == [-0.2, -1.7]


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_an_empty_text_has_no_likelihood(empty: str) -> None:
    server = FakeServer()
    with pytest.raises(ValueError, match="empty"):
        run(model_of(server).score(QUESTION, ["Yes", empty]))
    assert server.requests == []


def test_greedy_samples_are_one_request_for_one() -> None:
    server = FakeServer(guise=Guise(most_n=1))
    assert [reply.text for reply in run(model_of(server).generate(QUESTION, n=3, temperature=0.0))] == ["Yes"] * 3
    assert len(server.requests) == 1 and "n" not in server.requests[0]


@pytest.mark.parametrize("most", [1, 2, 4])
def test_more_samples_than_a_server_has_places_for_come_one_by_one(most: int) -> None:
    server = FakeServer(guise=Guise(most_n=most))
    model = model_of(server)
    for _ in range(2):
        assert len(run(model.generate(QUESTION, n=5, temperature=0.7))) == 5
    assert ["n" in request for request in server.requests] == [True, *[False] * 10]


def test_a_request_that_is_refused_whatever_its_number_is_told_as_that() -> None:
    server = FakeServer()
    server.enqueue([Status(400, body={"error": {"message": "no such thing"}})] * 2)
    model = model_of(server)
    with pytest.raises(ServerError, match="no such thing"):
        run(model.generate(QUESTION, n=5, temperature=0.7))
    run(model.generate(QUESTION, n=2, temperature=0.7))
    assert server.requests[-1]["n"] == 2


def test_short_continuations_are_scored_in_one_request() -> None:
    server = FakeServer()
    model = model_of(server)
    assert [x.logprob for x in run(model.score(QUESTION, ["Yes", "No"]))] == [-0.2, -1.7]
    assert len(server.requests) == 1 and server.requests[0]["top_logprobs"] == 20


def test_a_score_that_is_not_in_the_budget_is_not_begun() -> None:
    """Half a score is worth nothing: nothing is sent for it."""
    server = FakeServer()
    model = model_of(server)
    run(model.score(QUESTION, ["a red car"]))
    sent = len(server.requests)

    async def asked(left: int) -> int:
        with metered(left) as meter:
            await model.score(QUESTION, ["a red car", "a blue car", "no car"])
        return meter.requests

    with pytest.raises(RunError) as caught:
        run(asked(2))
    assert caught.value.code == "budget_calls" and len(server.requests) == sent
    assert run(asked(3)) == 3 == len(server.requests) - sent


def test_a_score_once_given_is_not_given_up_for_one_odd_reply() -> None:
    server = FakeServer()
    model = model_of(server)
    run(model.score(QUESTION, ["a red car"]))
    server.enqueue([completion([choice(0, "Yes")])])
    assert run(model.score(QUESTION, ["a red car"])) is None
    assert run(model.score(QUESTION, ["a red car"])) is not None


def test_a_server_without_log_probabilities_scores_nothing_and_says_so() -> None:
    server = FakeServer(guise=Guise(logprobs=False, given=False))
    model = model_of(server)
    [reply] = run(model.generate(QUESTION))
    assert reply.text == "Yes" and reply.tokens is None
    assert run(model.score(QUESTION, ["Yes", "No"])) is None


def test_parameters_a_server_refuses_are_left_out_from_then_on() -> None:
    server = FakeServer(guise=Guise(renames_max_tokens=True))
    model = model_of(server)
    run(model.generate(QUESTION))
    run(model.generate(QUESTION))
    assert [("max_completion_tokens" in request) for request in server.requests] == [False, True, True]


def test_an_unknown_model_fails_at_once_and_names_what_is_served() -> None:
    server = FakeServer()
    with pytest.raises(ModelNotFound, match="'qwen3-vl'"):
        run(model_of(server, model="gpt-9").generate(QUESTION))
    assert len(server.requests) == 1


def test_without_a_name_the_only_served_model_is_taken_with_its_profile() -> None:
    server = FakeServer(guise=Guise(name="Qwen2.5-VL-7B-Instruct"))
    model = model_of(server, model="")
    run(model.generate(QUESTION))
    assert model.name == "Qwen2.5-VL-7B-Instruct" and model.profile.family == "qwen2.5-vl"


def test_too_many_views_are_refused_before_anything_is_sent() -> None:
    server = FakeServer()
    many = [Message("user", tuple(view(key=str(i)) for i in range(9)))]
    with pytest.raises(ContextTooLong):
        run(model_of(server).generate(many))
    assert server.requests == []


def test_one_model_serves_several_event_loops() -> None:
    server = FakeServer()
    model = model_of(server)
    assert [run(model.generate(QUESTION))[0].text for _ in range(3)] == ["Yes"] * 3


def test_special_tokens_never_reach_the_server() -> None:
    spellings = [
        "<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>", "<|im_start|>", "<|im_end|>",
        "<|endoftext|>", "<|box_start|>", "<|object_ref_start|>", "<|eot_id|>", "<|begin_of_text|>", "<|image|>",
        "<|start_header_id|>", "<|assistant|>",
        "<\uff5cend\u2581of\u2581sentence\uff5c>", "<image>", "</image>", "<video>",
        "<img>", "</img>", "<IMG_CONTEXT>", "<s>", "</s>", "<pad>", "<start_of_turn>", "<end_of_turn>",
        "<image_soft_token>", "[INST]", "[/INST]", "[IMG]",
    ]  # fmt: skip
    assert len(spellings) == 30
    for spelling in spellings:
        server = FakeServer()
        call = ToolCall("c", "zoom", json.dumps({"label": spelling}, ensure_ascii=False))
        told = [
            Message("system", (Text(f"system {spelling}"),)),
            Message("user", (view(), Text(f"question {spelling}{spelling}"))),
            Message("assistant", (Text(f"said {spelling}"),), (call,)),
            Message("tool", (Text(f"OCR: {spelling}"),), tool_call_id="c"),
        ]
        run(model_of(server).generate(told))
        [sent] = server.requests
        assert spelling not in str(sent["messages"]), spelling
        assert json.loads(sent["messages"][2]["tool_calls"][0]["function"]["arguments"]) == {"label": spelling}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.family)
def test_a_strict_server_rejects_no_view_that_was_fitted(profile: Profile) -> None:
    """Row 9: slivers and dots against a server that fails outside the model's limits; 100 shapes a family."""
    strict = {"min_side": 28, "max_side": profile.max_side, "max_pixels": profile.max_pixels}
    server = FakeServer(guise=Guise("m", **strict, min_pixels=profile.min_pixels))  # type: ignore[arg-type]
    model = model_of(server, profile=replace(profile, space="thousand"))
    source = random.Random(7)

    async def ask() -> None:
        for i in range(100):
            shape = Size(source.choice([1, 3, 40, 900, 12000]), source.choice([1, 2, 50, 700, 9000]))
            size = profile.fit(shape, source.choice([None, 1, 90_000]))
            image = Image.new("RGB", (size.width, size.height))
            assert size.width % profile.multiple == 0 and size.height % profile.multiple == 0
            assert max(size.width, size.height) <= profile.max_aspect * min(size.width, size.height)
            assert server._refuse_size(image) is None, (shape, size)
            if i < 2:
                await model.generate([Message("user", (Pixels(str(i), image), Text("?")))])

    run(ask())
    assert len(server.requests) == 2


def test_reply_names_of_another_model_are_kept_for_the_record() -> None:
    server = FakeServer()
    server.enqueue([completion([choice(0, "Yes", token_logprobs("Yes"))], model="other-model")])
    [reply] = run(model_of(server).generate(QUESTION))
    assert reply.model == "other-model"


def test_base_urls_without_a_path_get_the_usual_one() -> None:
    assert api_base("http://localhost:8000") == "http://localhost:8000/v1"
    assert api_base("https://host/api/v3/") == "https://host/api/v3"
    assert api_base("http://[::1]:8000") == "http://[::1]:8000/v1"


NO_ADDRESSES = (
    "127.0.0.1:99999/v1",
    "127.0.0.1:0",
    "127.0.0.1:\xb2/v1",
    "[::1/v1",
    "[",
    "",
    "/v1",
    ":80",
    "\udcff/v1",
    "a b/",
)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_what_is_no_address_is_a_wrong_setting_of_every_run(scheme: str, address: str) -> None:
    with pytest.raises(SettingInvalid, match="no address that can be") as told:
        api_base(f"{scheme}://{address}")
    assert len(address) < 4 or address not in str(told.value)
    with ZoomAgent(f"{scheme}://{address}#m") as agent:
        answer = agent.ask(Image.new("RGB", (64, 64)), "What?")
    assert (answer.outcome.kind, answer.outcome.code) == ("failed", "setting_invalid")


def test_every_message_text_survives_the_wire() -> None:
    unicode = "é 漢字 \U0001f600 \u202e"
    server = FakeServer(lambda seen: seen.text)
    [reply] = run(model_of(server).generate([Message("user", (Text(unicode),))]))
    assert reply.text == unicode


def test_bodies_that_are_json_but_no_object_are_refused() -> None:
    server = FakeServer()
    server.enqueue([Body(b"[1, 2]")])
    with pytest.raises(BadServerResponse):
        run(model_of(server).generate(QUESTION))


def test_each_task_is_asked_of_the_served_model_that_its_route_names() -> None:
    profile = replace(QWEN3_VL, routes={"region": "lion-region", "image": "lion-image"}, hint="<|h|>", hint_id=711)
    named: dict[Task | None, str] = {"region": "lion-region", "image": "lion-image", None: "qwen3-vl"}
    for task, name in named.items():
        # It refuses every other name.
        server = FakeServer(guise=Guise(name=name))
        model = model_of(server, profile=profile)
        model.name = "qwen3-vl"
        run(model.generate(QUESTION, task=task))
        run(model.score(QUESTION, ["Yes", "No"], task=task))
        run(model.score(QUESTION, ["a red car"], task=task))
        assert {request["model"] for request in server.requests} == {name}
        assert all(request["logit_bias"] == {"711": -100} for request in server.requests)
    server = FakeServer()
    run(model_of(server).generate(QUESTION, task="region"))
    assert "logit_bias" not in server.requests[0]
