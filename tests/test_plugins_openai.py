"""The OpenAI-compatible endpoint on a real port, by the official client: sync, async, streaming, cancelled, hostile."""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from fake_model import FakeModel
from mcp_world import LEAK, MARK, Stuck, dualfocus_model, until
from openai_world import asking, scripted, served

import zoomagent
from zoomagent.errors import ModelUnavailable, RateLimited
from zoomagent.plugins.http.guard import Rules
from zoomagent.plugins.offers.public import PublicAnswer
from zoomagent.plugins.openai.endpoint import followed

ASKED: Any = [asking()]


def client_of(url: str, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=key, max_retries=0)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(scripted()) as url:
        yield url


def post(url: str, **body: Any) -> httpx2.Response:
    asked = {"model": "zoomagent", "messages": [asking()], **body}
    return httpx2.post(f"{url}/chat/completions", json=asked, timeout=30)


def test_an_answer_comes_with_its_steps_its_price_and_its_record() -> None:
    with served(dualfocus_model()) as url, client_of(url) as client:
        reply = client.chat.completions.create(model="zoomagent", messages=ASKED, temperature=0)
    [choice] = reply.choices
    extra: Any = reply.model_extra
    record = dict(extra["zoomagent"])
    assert (choice.message.content, choice.finish_reason) == ("42", "stop")
    assert record.pop("unused") == ["temperature"]
    answer = PublicAnswer.model_validate(record)
    [box] = answer.boxes
    assert answer.perspective == "micro" and box.pixels[0] <= MARK[0] and box.pixels[2] >= MARK[2]
    assert reply.usage and reply.usage.total_tokens == answer.cost.prompt_tokens + answer.cost.completion_tokens > 0
    steps = str((choice.message.model_extra or {})["reasoning_content"]).splitlines()
    assert [line.split(":")[0] for line in steps][:2] == ["look", "locate"] and steps[-1].startswith("arbitrate")


def test_a_stream_tells_the_steps_then_the_answer_then_the_record_and_the_usage() -> None:
    with served(dualfocus_model()) as url, client_of(url) as client:
        chunks = list(
            client.chat.completions.create(
                model="zoomagent",
                messages=ASKED,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    deltas = [chunk.choices[0].delta for chunk in chunks[:-1]]
    thoughts = [(delta.model_extra or {}).get("reasoning_content") for delta in deltas]
    assert str(thoughts[1]).startswith("look: ") and str(thoughts[-3]).startswith("arbitrate: ")
    assert "".join(delta.content or "" for delta in deltas) == "42" and deltas[-2].content == "42"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + ["stop"]
    assert (chunks[-2].model_extra or {})["zoomagent"]["boxes"]
    assert chunks[-1].usage and not chunks[-1].choices and len({chunk.id for chunk in chunks}) == 1


def test_many_async_clients_are_answered_at_once(url: str) -> None:
    async def ask() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:
            asked = (client.chat.completions.create(model="zoomagent", messages=ASKED) for _ in range(8))
            return [reply.choices[0].message.content for reply in await asyncio.gather(*asked)]

    assert asyncio.run(ask()) == ["42"] * 8


def test_every_listed_model_can_be_asked_and_no_other(url: str) -> None:
    with client_of(url) as client:
        names = [model.id for model in client.models.list()]
        assert client.models.retrieve("zoomagent-macro").id == "zoomagent-macro"
        for name in ("zoomagent", "zoomagent-macro", "zoomagent-auto"):
            assert name in names
            reply = client.chat.completions.create(model=name, messages=ASKED)
            assert reply.choices[0].message.content == "42"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("gpt-4o")
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="gpt-4o", messages=ASKED)


def test_options_bind_the_answer(url: str) -> None:
    answer = post(url, zoomagent={"options": ["41", "42"], "strategy": "macro"}).json()
    assert answer["zoomagent"]["answer"] == "42" and answer["zoomagent"]["strategy"] == "macro"


def left_early(model: Stuck, stream: bool) -> None:
    """Asks, waits until the model is asked, and closes the connection."""
    with served(model) as url:

        async def ask() -> None:
            async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
                reply = client.chat.completions.create(model="zoomagent", messages=ASKED, stream=stream)
                task = asyncio.ensure_future(reply)
                await until(lambda: bool(model.history), 20)
                assert not model.stopped
                task.cancel()
            await until(lambda: model.stopped == 1)

        asyncio.run(ask())


@pytest.mark.parametrize("stream", [False, True])
def test_closing_the_connection_stops_the_model(stream: bool) -> None:
    left_early(Stuck(), stream)


class SlowLater(Stuck):
    """Answers the first call, so that a stream begins, and never the second."""

    async def generate(self, messages: Any, **options: Any) -> Any:
        if not self.history:
            self.history.append(None)  # type: ignore[arg-type]
            return await scripted("7").generate(messages, **options)
        return await super().generate(messages, **options)


def test_closing_a_stream_midway_stops_the_model() -> None:
    model = SlowLater()
    with served(model) as url, client_of(url) as client:
        with client.chat.completions.create(model="zoomagent", messages=ASKED, stream=True) as stream:
            next(iter(stream))
            asyncio.run(until(lambda: len(model.history) == 2))
        asyncio.run(until(lambda: model.stopped == 1))


def test_a_run_without_an_answer_is_an_error_with_the_runs_code() -> None:
    for error, status in ((ModelUnavailable("It is down."), 503), (RateLimited("Later."), 429)):
        model = FakeModel()
        model.enqueue([error, error])
        with served(model) as url:
            whole, stream = post(url), post(url, stream=True)
        for reply in (whole, stream):
            assert reply.status_code == status and reply.json()["error"]["code"] == error.code
            assert reply.headers["x-should-retry"] == "true"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("/etc/passwd", "path_not_allowed"),
        ("file:///etc/passwd", "path_not_allowed"),
        ("http://127.0.0.1/a.png", "url_not_allowed"),
        ("http://169.254.169.254/latest/meta-data", "url_not_allowed"),
        ("data:image/png;base64,%%%", "bad_data_url"),
        ("data:text/html,<b>", None),
        ("../../etc/shadow", "path_not_allowed"),
        ("", None),
    ],
)
def test_hostile_pictures_are_refused_without_a_path_or_an_address(url: str, given: str, code: str | None) -> None:
    for stream in (False, True):
        reply = post(url, messages=[asking(url=given)], stream=stream)
        error = reply.json()["error"]
        assert reply.status_code == 400 and error["param"] == "messages" and code in (None, error["code"])
        assert not LEAK.search(reply.text) and reply.headers["x-should-retry"] == "false"


def test_hostile_requests_are_refused_by_the_field_and_the_server_lives(url: str) -> None:
    for body, param in (({"n": 10**9}, "n"), ({"max_tokens": -1}, "max_tokens"), ({"x": 1}, "x")):
        reply = post(url, **body)
        assert reply.status_code == 400 and reply.json()["error"]["param"] == param and not LEAK.search(reply.text)
    with client_of(url) as client, pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="zoomagent", messages=ASKED, n=3)
    assert caught.value.param == "n"
    assert post(url).json()["choices"][0]["message"]["content"] == "42"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/chat/completions"), ("POST", "/v1/embeddings"), ("GET", "/docs"), ("GET", "/")]
)
def test_what_is_not_served_is_told_in_the_same_form(url: str, method: str, path: str) -> None:
    reply = httpx2.request(method, f"{url.removesuffix('/v1')}{path}")
    assert reply.status_code in (404, 405) and set(reply.json()["error"]) == {"message", "type", "param", "code"}


def test_every_path_needs_the_key_but_the_health_check() -> None:
    with served(scripted(), Rules(key="sesame")) as url:
        for path in ("/healthz", "/health"):
            assert httpx2.get(f"{url.removesuffix('/v1')}{path}").json() == {"status": "ok"}
        assert post(url).status_code == httpx2.get(f"{url}/models").status_code == 401
        with client_of(url, "sesame") as client:
            assert client.chat.completions.create(model="zoomagent", messages=ASKED).choices
        with client_of(url, "sesam") as client, pytest.raises(openai.AuthenticationError):
            client.models.list()


def test_who_comes_when_all_is_full_is_told_when_to_come_again() -> None:
    model = Stuck()
    with served(model, Rules(at_once=1, waiting=0)) as url:
        first = threading.Thread(target=lambda: _quietly(url), daemon=True)
        first.start()
        asyncio.run(until(lambda: bool(model.history), 20))
        reply = post(url)
        assert reply.status_code == 429 and int(reply.headers["retry-after"]) >= 1


def _quietly(url: str) -> None:
    with pytest.raises(httpx2.HTTPError):
        httpx2.post(f"{url}/chat/completions", json={"model": "zoomagent", "messages": [asking()]}, timeout=3)


def test_a_clients_seconds_bound_the_run_and_never_raise_the_servers() -> None:
    with served(Stuck()) as url:
        began = time.monotonic()
        reply = post(url, zoomagent={"seconds": 0.3})
    assert time.monotonic() - began < 20
    assert reply.status_code == 504 and reply.json()["error"]["code"] == "budget_seconds"


def test_an_idle_stream_is_kept_alive_and_ends_when_the_client_leaves() -> None:
    async def check() -> None:
        left = asyncio.Event()
        stopped: list[bool] = []

        async def never() -> Any:
            try:
                yield 1
                await asyncio.sleep(60)
            finally:
                stopped.append(True)

        async def receive() -> Any:
            await left.wait()
            return {"type": "http.disconnect"}

        items = followed(never(), receive, pulse=0.01)
        assert [await anext(items), await anext(items), await anext(items)] == [1, None, None]
        left.set()
        assert [item async for item in items if item is not None] == [] and stopped == [True]

    asyncio.run(check())


def test_a_bug_is_no_answer_and_says_nothing_of_itself() -> None:
    def broken(call: Any) -> str:
        raise RuntimeError("secret at 0xdeadbeef in /home/me/x.py")

    with served(FakeModel(respond=broken)) as url:
        reply = post(url)
    assert reply.status_code == 500 and reply.json()["error"]["code"] == "bug" and not LEAK.search(reply.text)


def test_the_packaged_model_answers_the_example_through_the_official_client() -> None:
    example = Path(zoomagent.__file__).parent / "data" / "example"
    asked = json.loads((example / "question.json").read_text())
    picture = f"data:image/jpeg;base64,{base64.b64encode((example / 'scene.jpg').read_bytes()).decode()}"
    with served("nano", strategy="auto", rule="learned") as url, client_of(url) as client:
        question: Any = [asking(asked["question"], picture)]
        closer = client.chat.completions.create(model="zoomagent", messages=question).choices[0].message.content
        whole = client.chat.completions.create(model="zoomagent-macro", messages=question).choices[0].message.content
    assert closer == asked["answer"] and whole != asked["answer"]
