"""Servers that fail: rows S1-S11, 17 and 19 of the fault table, each with the outcome it promises.

S1 429     wait as asked up to 60 s, else rate_limited      S6 stall, trickle   idle and run timeouts S2 5xx
retried within the deadline                      S7, S8, S18 shapes  test_models_replies.py S3 400
context: the caller shrinks                      S9 other model      Reply.model (test_models_server.py) S4
401/404 at once, no retry                                S10 garbage         typed, bounded S5 resets  the
whole call again                             S11 frozen          breaker opens by progress
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Coroutine
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import httpx2
import openai
import pytest
from fake_server import Action, Body, FakeServer, Fault, Status, error, serve
from PIL import Image

from zoomagent.errors import (
    BadServerResponse,
    ContextTooLong,
    ModelBlind,
    ModelNotFound,
    ModelUnavailable,
    RateLimited,
    ServerError,
    Unauthorized,
)
from zoomagent.models.base import Message, Pixels, Text
from zoomagent.models.metering import metered
from zoomagent.models.server import retrying
from zoomagent.models.server.openai_server import OpenAIModel
from zoomagent.models.server.reply_bytes import MAX_REPLY_BYTES
from zoomagent.models.server.retrying import Breaker, RetryPolicy
from zoomagent.models.server.server_errors import BAD_REQUEST, scrub, translate

QUICK = RetryPolicy(first_wait=0.001, most_wait=0.01)
QUESTION = [Message("user", (Text("Is it red?"),))]
GARBLED = b'{"choices": [{"message": {"content": "\xff\xfe"}}]}'


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def model_of(server: FakeServer, **options: Any) -> OpenAIModel:
    options = {"retries": QUICK, "breaker": Breaker(failures=1000), "transport": server.transport(), **options}
    return OpenAIModel("http://fake/v1", "qwen3-vl", **options)


async def ask(model: OpenAIModel, **options: Any) -> str:
    [reply] = await model.generate(QUESTION, **options)
    return str(reply.text)


@pytest.mark.parametrize("value", ["0.05", "0", "a date", "", "soon"])
def test_s1_a_429_is_waited_for_as_asked(value: str) -> None:
    server = FakeServer()
    if value == "a date":
        value = formatdate(time.time() + 0.5, usegmt=True)
    server.enqueue([Status(429, {"retry-after": value} if value else {})])
    assert run(ask(model_of(server))) == "Yes"
    assert len(server.requests) == 2


def test_s1_a_wait_of_an_hour_is_not_waited_for() -> None:
    for headers in ({"retry-after": "3600"}, {"retry-after": formatdate(time.time() + 3600, usegmt=True)}):
        server = FakeServer()
        server.enqueue([Status(429, headers)])
        started = time.monotonic()
        with pytest.raises(RateLimited):
            run(ask(model_of(server)))
        assert time.monotonic() - started < 1 and len(server.requests) == 1


def test_s1_retry_after_is_honoured_before_the_next_attempt() -> None:
    server = FakeServer()
    server.enqueue([Status(429, {"retry-after": "0.3"})])
    started = time.monotonic()
    run(ask(model_of(server)))
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_s2_server_errors_are_retried_then_unavailable(code: int) -> None:
    server = FakeServer()
    server.enqueue([Status(code, {"content-type": "text/html"}, "<html>bad gateway</html>")] * 3)
    assert run(ask(model_of(server))) == "Yes"
    server.enqueue([Status(code)] * 9)
    with pytest.raises(ModelUnavailable):
        run(ask(model_of(server)))
    assert len(server.requests) == 4 + RetryPolicy().attempts


def test_s2_no_attempt_starts_after_the_deadline() -> None:
    server = FakeServer()
    server.enqueue([Status(503, {"retry-after": "5"})] * 9)
    started = time.monotonic()
    with pytest.raises(ModelUnavailable):
        run(ask(model_of(server), deadline=time.monotonic() + 0.2))
    assert time.monotonic() - started < 1 and len(server.requests) == 1


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
        "the request exceeds the available context size. try increasing the context size",
        "At most 1 image(s) may be provided in one prompt.",
        "image too large",
    ],
)
def test_s3_what_does_not_fit_is_told_apart(message: str) -> None:
    server = FakeServer()
    server.enqueue([error(400, message)])
    with pytest.raises(ContextTooLong):
        run(ask(model_of(server)))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("code", "kind"), [(401, Unauthorized), (403, Unauthorized), (404, ModelNotFound), (413, ContextTooLong)]
)
def test_s4_other_refusals_fail_at_once(code: int, kind: type[ServerError]) -> None:
    server = FakeServer()
    server.enqueue([Status(code)])
    with pytest.raises(kind):
        run(ask(model_of(server)))
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [400, 402, 405, 408, 409, 410, 415, 422, 451])
def test_s17_no_other_4xx_is_retried(code: int) -> None:
    server = FakeServer()
    server.enqueue([error(code, "no")])
    with pytest.raises(ServerError) as caught:
        run(ask(model_of(server)))
    assert caught.value.code == BAD_REQUEST and len(server.requests) == 1


@pytest.mark.parametrize("kind", ["reset_before", "reset_headers", "reset_body"])
def test_s5_a_broken_connection_restarts_the_whole_call(kind: Any) -> None:
    async def scenario() -> None:
        server = FakeServer()
        server.enqueue([Fault(kind)])
        async with serve(server) as url:
            model = OpenAIModel(url, "qwen3-vl", retries=QUICK)
            assert await ask(model) == "Yes"
            assert len(server.requests) == 2
            await model.aclose()

    run(scenario())


def test_s5_a_refused_connection_is_unavailable() -> None:
    server = FakeServer()
    server.enqueue([Fault("refuse")] * 9)
    with pytest.raises(ModelUnavailable):
        run(ask(model_of(server)))
    assert len(server.requests) == RetryPolicy().attempts


@pytest.mark.parametrize(
    ("fault", "idle", "run_limit"), [(Fault("stall"), 0.2, 9.0), (Fault("trickle", 0.05), 9.0, 0.3)]
)
def test_s6_stalls_and_trickles_end_in_time(fault: Fault, idle: float, run_limit: float) -> None:
    async def scenario() -> None:
        server = FakeServer()
        server.enqueue([fault])
        async with serve(server) as url:
            model = OpenAIModel(url, "qwen3-vl", retries=RetryPolicy(attempts=1), idle=idle, run=run_limit)
            started = time.monotonic()
            with pytest.raises(ModelUnavailable):
                await ask(model)
            assert time.monotonic() - started < 1.3
            assert await ask(model) == "Yes"
            await model.aclose()

    run(scenario())


@pytest.mark.parametrize(
    "body",
    [
        Body(GARBLED),
        Body(b"<html>welcome</html>", "text/html"),
        Body(b'{"choices": [{"message"'),
        Body(b"[" * 100_000),
        Body(b'data: {"choices": []}\n\ndata: [DONE]\n\n', "text/event-stream"),
        Body(b""),
        Body(b'{"choices": "' + b"x" * MAX_REPLY_BYTES + b'"}'),
    ],
    ids=["bad-utf8", "html", "torn", "nested", "sse", "empty", "huge"],
)
def test_s10_garbage_is_typed_and_bounded(body: Body) -> None:
    server = FakeServer()
    server.enqueue([body])
    with pytest.raises(BadServerResponse):
        run(ask(model_of(server)))
    assert len(server.requests) == 1


def test_s10_a_redirect_is_not_followed() -> None:
    server = FakeServer()
    server.enqueue([Status(302, {"location": "http://elsewhere/v1/chat/completions"})])
    with pytest.raises(BadServerResponse):
        run(ask(model_of(server)))


def test_s11_the_breaker_opens_by_progress_and_closes_by_a_real_call() -> None:
    async def scenario() -> None:
        server = FakeServer()
        server.enqueue([Status(503)] * 6)
        model = model_of(server, retries=RetryPolicy(attempts=1), breaker=Breaker(failures=5, cooldown=0.1))
        for _ in range(6):  # the last of them is a probe
            with pytest.raises(ModelUnavailable):
                await ask(model)
        with pytest.raises(ModelUnavailable, match="no more are sent"):
            await ask(model)
        assert len(server.requests) == 6
        assert await model.served() == ["qwen3-vl"]
        await asyncio.sleep(0.15)
        assert await ask(model) == "Yes"
        assert [r["max_tokens"] == 1 for r in server.requests[5:]] == [True, True, False]

    run(scenario())


def test_s11_questions_that_always_fail_stop_no_others() -> None:
    """A picture may crash a server's preprocessor each time: it is the question that fails, not the server."""

    class Choosy(FakeServer):
        def decide(self, path: str, body: bytes) -> Action:
            return Status(500) if b"crash" in body else super().decide(path, body)

    async def scenario() -> None:
        breaker, retries = Breaker(failures=5, cooldown=60), RetryPolicy(attempts=1)
        model = model_of(Choosy(), retries=retries, breaker=breaker)

        async def bad() -> None:
            for _ in range(8):
                with pytest.raises(ModelUnavailable, match="500"):
                    await model.generate([Message("user", (Text("crash"),))])

        async def good() -> list[str]:
            return [await ask(model) for _ in range(8)]

        results = await asyncio.gather(*(bad() for _ in range(12)), good(), good())
        assert results[-1] == results[-2] == ["Yes"] * 8

    run(scenario())


def test_what_a_callers_own_deadline_ends_opens_no_breaker_for_others() -> None:
    async def scenario() -> None:
        server = FakeServer()
        server.enqueue([Fault("stall")] * 12)
        async with serve(server) as url:
            model = OpenAIModel(url, "qwen3-vl", retries=RetryPolicy(attempts=1), breaker=Breaker(5, 3600.0))
            hurried = [ask(model, deadline=time.monotonic() + 0.2) for _ in range(12)]
            results = await asyncio.gather(*hurried, return_exceptions=True)
            assert all(isinstance(result, ModelUnavailable) for result in results)
            server._script.clear()
            assert await ask(model) == "Yes"
            await model.aclose()

    run(scenario())


TEXT_ONLY = [
    (400, "Qwen/Qwen3-8B is not a multimodal model"),
    (500, "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj"),
    (400, "Invalid content type. image_url is only supported by certain models."),
    (422, "messages[0]: unknown variant `image_url`, expected `text`"),
    (400, "this model does not support images"),
    (400, "Model does not support image input."),
    (400, "At most 0 image(s) may be provided in one prompt."),
]


@pytest.mark.parametrize(("status", "message"), TEXT_ONLY)
def test_a_model_that_takes_no_pictures_is_told_apart(status: int, message: str) -> None:
    server = FakeServer()
    server.enqueue([Status(status, body={"error": {"message": message}})])
    with pytest.raises(ModelBlind, match="vision-language"):
        run(ask(model_of(server)))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "message",
    [
        "This model does not support image format webp",
        "At most 4 image(s) may be provided in one prompt.",
        "image type is not supported",
        "The model does not support images larger than 20 MB",
        "does not support image URLs",
    ],
)
def test_a_picture_of_a_wrong_kind_is_no_sign_of_a_blind_model(message: str) -> None:
    server = FakeServer()
    server.enqueue([Status(400, body={"error": {"message": message}})])
    with pytest.raises(ServerError) as caught:
        run(ask(model_of(server)))
    assert not isinstance(caught.value, ModelBlind)


def test_where_nothing_listens_it_is_asked_whether_the_server_is_still_loading() -> None:
    server = FakeServer()
    server.enqueue([Fault("refuse")])
    with pytest.raises(ModelUnavailable, match="still loading"):
        run(ask(model_of(server, retries=RetryPolicy(attempts=1))))


@pytest.mark.parametrize("kind", ["reset_before", "reset_headers", "reset_body"])
def test_requests_that_failed_at_the_server_are_billed_and_in_the_budget(kind: Any) -> None:
    async def scenario(left: int) -> tuple[int, int]:
        server = FakeServer()
        server.enqueue([Fault(kind)] * 4)
        async with serve(server) as url:
            model = OpenAIModel(url, "qwen3-vl", retries=QUICK)
            with metered(left) as meter, contextlib.suppress(ModelUnavailable):
                await ask(model)
            await model.aclose()
            return meter.requests, len(server.requests)

    assert run(scenario(3)) == (3, 3)
    assert run(scenario(9)) == (5, 5)


def test_a_server_that_is_not_there_costs_nothing() -> None:
    server = FakeServer()
    server.enqueue([Fault("refuse")] * 2)

    async def asked() -> int:
        with metered(9) as meter:
            await ask(model_of(server))
        return meter.requests

    assert run(asked()) == 1


def test_s19_frozen_calls_hold_few_sockets_and_recover(monkeypatch: pytest.MonkeyPatch) -> None:
    """The breaker's clock stands until the test moves it, so that no cooldown ends while a slow machine still waits."""
    now = [time.monotonic()]
    monkeypatch.setattr(retrying, "time", SimpleNamespace(monotonic=lambda: now[0]))

    async def scenario() -> None:
        server = FakeServer()
        server.enqueue([Fault("stall")] * 200)
        async with serve(server) as url:
            model = OpenAIModel(
                url, "qwen3-vl", idle=0.3, retries=RetryPolicy(attempts=1), concurrency=8, breaker=Breaker(5, 0.2)
            )
            results = await asyncio.gather(*(ask(model) for _ in range(100)), return_exceptions=True)
            assert all(isinstance(result, ModelUnavailable) for result in results)
            # Eight at once, up to four that take the places of the first to fail before the fifth has, and a probe.
            assert 9 <= len(server.requests) <= 8 + 4 + 1
            now[0] += 0.25
            server.recover()
            assert await ask(model) == "Yes"
            await model.aclose()

    run(scenario())


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_s13_a_jumping_wall_clock_changes_no_deadline(jump: float, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    server = FakeServer()
    server.enqueue([Status(503), Status(429, {"retry-after": "0.05"})])
    # A deadline or a wait that follows the wall clock ends before an answer comes.
    assert run(ask(model_of(server), deadline=time.monotonic() + 60)) == "Yes"


class Toxic(FakeServer):
    """20 % 429, 10 % 500, 5 % refused, 5 % 504: which, is drawn from the call and the number of its attempt."""

    faults: tuple[Any, ...] = (
        (Status(429, {"retry-after": "0"}),) * 4 + (Status(500),) * 2 + (Fault("refuse"), Status(504))
    )

    def __init__(self) -> None:
        super().__init__(lambda seen: seen.text)
        self.attempts: Counter[str] = Counter()

    def decide(self, path: str, body: bytes) -> Any:
        usual = super().decide(path, body)
        text = str(self.requests[-1]["messages"][0]["content"])
        self.attempts[text] += 1
        drawn = random.Random(f"{text}/{self.attempts[text]}").randrange(20)
        return self.faults[drawn] if drawn < len(self.faults) else usual


def test_s17_a_thousand_calls_through_a_bad_network() -> None:
    async def one(model: OpenAIModel, i: int) -> str:
        try:
            [reply] = await model.generate([Message("user", (Text(f"call {i}"),))])
        except (RateLimited, ModelUnavailable):
            return "failed"
        return str(reply.text)

    async def scenario() -> list[str]:
        model = model_of(server, breaker=Breaker(failures=1000))
        return await asyncio.gather(*(one(model, i) for i in range(1000)))

    server = Toxic()
    answers = run(scenario())
    assert sum(answer == f"call {i}" for i, answer in enumerate(answers)) >= 995
    assert set(answers) <= {f"call {i}" for i in range(1000)} | {"failed"}
    assert max(server.attempts.values()) <= RetryPolicy().attempts


def test_cancelling_a_call_frees_its_slot() -> None:
    async def scenario() -> None:
        server = FakeServer()
        server.enqueue([Fault("stall")])
        async with serve(server) as url:
            model = OpenAIModel(url, "qwen3-vl", concurrency=1)
            task = asyncio.create_task(ask(model))
            await asyncio.sleep(0.1)
            task.cancel()
            started = time.monotonic()
            assert await ask(model) == "Yes" and time.monotonic() - started < 1
            with pytest.raises(asyncio.CancelledError):
                await task
            await model.aclose()

    run(scenario())


def test_every_error_class_of_the_sdk_and_the_http_library_is_mapped() -> None:
    def below(kind: type[Exception]) -> set[type[Exception]]:
        return {kind}.union(*(below(sub) for sub in kind.__subclasses__()))

    request = httpx2.Request("POST", "http://fake/v1")
    for kind in below(openai.OpenAIError) | below(httpx2.HTTPError) | below(httpx2.StreamError) | {TimeoutError}:
        made = kind.__new__(kind)
        if isinstance(made, openai.APIStatusError):
            made.status_code, made.body = getattr(kind, "status_code", 500), None
            made.response = httpx2.Response(made.status_code, request=request)
        assert isinstance(translate(made), ServerError), kind


def test_no_message_shows_addresses_paths_or_keys() -> None:
    said = (
        "at 0x7f00deadbeef in /home/user/model.py, http://10.0.0.1:8000/v1, 10.1.2.3:80, Bearer abc.def sk-12345678 "
        "user:word@host"
    )
    server = FakeServer()
    server.enqueue([error(400, said)])
    with pytest.raises(ServerError) as caught:
        run(ask(model_of(server, api_key="sk-mysecretkey")))
    for leak in ("0x7f", "/home", "10.", "http", "Bearer a", "sk-", "word"):
        assert leak not in str(caught.value), leak
    assert len(scrub("x" * 10_000)) <= 200


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"error": {"message": "no such\nfield", "headers": {"x-key": "hush"}}}, "It said: no such field"),
        ({"error": "bad value", "request": "hush"}, "It said: bad value"),
        ({"message": "bad value", "url": "hush"}, "It said: bad value"),
        ({"detail": [{"loc": ["body"], "msg": "field required", "input": "hush"}]}, "It said: field required"),
        ({"error": {"request": "hush"}}, "(400)."),
        (["hush"], "(400)."),
        ("hush: the proxy's own words", "(400)."),
        ("<html>hush</html>", "(400)."),
    ],
)
def test_only_the_message_of_an_error_is_quoted(body: Any, told: str) -> None:
    server = FakeServer()
    server.enqueue([Status(400, body=body)])
    with pytest.raises(ServerError) as caught:
        run(ask(model_of(server)))
    assert str(caught.value).endswith(told) and "hush" not in str(caught.value)


def test_an_error_in_words_alone_is_understood_though_it_is_not_quoted() -> None:
    server = FakeServer()
    server.enqueue([Status(400, body="maximum model length of 4096, hush")])
    with pytest.raises(ContextTooLong) as caught:
        run(ask(model_of(server)))
    assert "hush" not in str(caught.value)


def test_a_view_is_encoded_once_and_stays_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer()
    model = model_of(server)
    told = [Message("user", (Pixels("k", Image.new("RGB", (64, 64))), Text("?")))]
    run(model.generate(told))
    monkeypatch.setattr("zoomagent.models.server.wire.data_url", lambda image: "encoded again")
    run(model.generate(told))
    assert server.requests[0]["messages"] == server.requests[1]["messages"]
