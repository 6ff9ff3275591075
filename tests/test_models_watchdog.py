"""No reply of one model's server holds up the event loop, which all runs of an agent share.

The server runs on a loop and thread of its own, so that only the client's callbacks are measured: in processor time,
which nobody else on the machine can spend.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fake_server import Body, FakeServer, Guise, Status, choice, completion, serve
from PIL import Image

from zoomagent.errors import ServerError
from zoomagent.models.base import Message, Pixels, Text
from zoomagent.models.profiles import QWEN3_VL
from zoomagent.models.server.completion import given_likelihood
from zoomagent.models.server.openai_server import OpenAIModel
from zoomagent.models.server.reply_bytes import MAX_REPLY_BYTES
from zoomagent.models.server.retrying import Breaker, RetryPolicy
from zoomagent.models.words.unwrapping import NEAR, dialogue_turn, is_call, listed, unwrapped

LONGEST = 0.05
"""Processor seconds that one callback may take."""

QUESTION = [Message("user", (Text("Is it red?"),))]


@contextmanager
def apart(server: FakeServer) -> Iterator[str]:
    """`server` on a thread and a loop of its own; its base URL."""
    ready: list[str] = []
    started, stop = threading.Event(), threading.Event()

    async def host() -> None:
        async with serve(server) as url:
            ready.append(url)
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(host()))
    thread.start()
    started.wait()
    try:
        yield ready[0]
    finally:
        stop.set()
        thread.join()


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The processor seconds of every callback of this thread's event loops."""
    took: list[float] = []
    plain, ours = asyncio.Handle._run, threading.get_ident()

    def timed(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        plain(handle)
        if threading.get_ident() == ours:
            took.append(time.thread_time() - began)

    with monkeypatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", timed)
        yield took


def filled(before: bytes, piece: bytes, after: bytes) -> Body:
    """A body of almost the largest size that is read."""
    return Body(before + piece * ((MAX_REPLY_BYTES - 1000) // len(piece)) + after)


def logprob_place(text: str) -> bytes:
    return json.dumps({"1": {"logprob": -1.0, "decoded_token": text}}).encode() + b","


CHOICE = json.dumps(choice(0, "Yes")).encode()
HEAVY: dict[str, Any] = {
    "blank tokens": filled(b'{"choices":[%s],"prompt_logprobs":[' % CHOICE, logprob_place(" " * 1000), b"null]}"),
    "empty tokens": filled(b'{"choices":[%s],"prompt_logprobs":[' % CHOICE, logprob_place(""), b"null]}"),
    "many places": filled(b'{"choices":[%s],"prompt_logprobs":[' % CHOICE, logprob_place(" red"), b"null]}"),
    "not a number": filled(b'{"choices":[%s],"x":[NaN' % CHOICE, b",1234567", b"]}"),
    "objects": filled(b'{"choices":[%s],"x":[' % CHOICE, b"{},", b"1]}"),
    "a long text": completion([choice(0, "word " * 1_500_000)]),
    "many parts": filled(b'{"choices":[{"message":{"content":[', b'{"type":"text","text":"a"},', b"{}]}}]}"),
    "many calls": filled(
        b'{"choices":[{"message":{"tool_calls":[', b'{"function":{"name":"a","arguments":{}}},', b"{}]}}]}"
    ),
    "many choices": filled(b'{"choices":[', b'{"message":{"content":"a"}},', b"{}]}"),
    "many tokens": filled(
        b'{"choices":[{"message":{"content":"a"},"logprobs":{"content":[',
        b'{"token":"a","logprob":-1,"bytes":[97]},',
        b"{}]}}]}",
    ),
    "a text that is nearly its tokens": completion(
        [choice(0, "b" + "a" * 60_000, {"content": [{"token": "a" * 6_000_000, "logprob": -1.0}]})]
    ),
    "brackets": filled(b"", b"[", b""),
    "an error in words": Status(400, body="context windo " * 500_000),
    "an error in JSON": Status(400, body={"error": {"message": "maximum model lengt " * 350_000}}),
    "an error of lists": Status(503, {"retry-after": "0"}, "[" * 7_000_000),
    "an error within": filled(b'{"error":{"code":400,"message":"', b"input is too lon ", b'"}}'),
    "a call in the text": completion([choice(0, '<tool_call>{"name":' * 300_000)]),
}


@pytest.mark.parametrize("name", HEAVY)
def test_no_reply_holds_up_the_event_loop(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer()
    server.enqueue([HEAVY[name]] * 6)
    took = run_watched(server, asks, monkeypatch)
    assert max(took) < LONGEST, f"{max(took):.3f} s in one callback"


@pytest.mark.parametrize("part", [b"\\\\" * 4 + b"s", b"sk-watchdog-0123456789-", b"\\\\\\\\" * 30, b"words "])
def test_a_key_is_looked_for_without_holding_up_the_event_loop(part: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOOMAGENT_MODEL_KEY", "sk-watchdog-0123456789-abcdef")
    server = FakeServer()
    server.enqueue([filled(b'{"choices":[%s],"x":"' % CHOICE, part, b'"}')] * 6)
    took = run_watched(server, asks, monkeypatch)
    assert max(took) < LONGEST, f"{max(took):.3f} s in one callback"


def test_no_large_picture_holds_up_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = Image.effect_noise((1920, 1088), 90).convert("RGB")

    async def shows(model: OpenAIModel) -> None:
        views = tuple(Pixels(str(i), noise) for i in range(4))
        replies = await asyncio.gather(*(model.generate([Message("user", (*views, Text("?")))]) for _ in range(2)))
        assert [reply.text for [reply] in replies] == ["Yes", "Yes"]

    took = run_watched(FakeServer(), shows, monkeypatch)
    assert max(took) < LONGEST, f"{max(took):.3f} s in one callback"


def run_watched(server: FakeServer, work: Callable[[OpenAIModel], Any], monkeypatch: pytest.MonkeyPatch) -> list[float]:
    async def scenario(model: OpenAIModel) -> None:
        await work(model)
        await model.aclose()

    quick = RetryPolicy(attempts=2, first_wait=0.001, most_wait=0.01)
    with apart(server) as url:
        model = OpenAIModel(url, Guise().name, profile=QWEN3_VL, retries=quick, breaker=Breaker(failures=1000))
        with watched(monkeypatch) as took:
            asyncio.run(scenario(model))
    return took


async def asks(model: OpenAIModel) -> None:
    """A reply, a reply with tools, a score: each ends, with an answer or with an error of ours."""
    tool = {"type": "function", "function": {"name": "zoom", "parameters": {"type": "object"}}}
    for call in (model.generate(QUESTION), model.generate(QUESTION, tools=[tool]), model.score(QUESTION, ["red car"])):
        try:
            await call
        except ServerError:
            continue


def test_likelihoods_of_a_prompt_take_time_in_proportion_to_the_continuation() -> None:
    """At most four places for a character are looked at: what the server adds before them costs nothing."""

    class Counted(dict[str, Any]):
        looks = 0

        def values(self) -> Any:
            Counted.looks += 1
            return super().values()

    for text in (" " * 1000, "", "\ufffd"):
        places = [Counted({"1": {"logprob": -1.0, "decoded_token": text}}) for _ in range(20_000)]
        Counted.looks = 0
        assert given_likelihood({"prompt_logprobs": places}, "a red car") is None
        assert Counted.looks <= 4 * len("a red car")


@pytest.mark.parametrize(
    ("tokens", "found"),
    [
        (["x", " a", " red", " car"], -3.0),
        (["x", " ", "a", " red", " car"], -3.0),
        (["x", "a", " red car"], -2.0),
        (["x a", " red", " car"], None),
        (["x", "a", " red", " car", " "], None),
        (["a", "", "", " red", " car"], -5.0),
        (["red", " car"], None),
    ],
)
def test_the_last_tokens_must_spell_the_continuation(tokens: list[str], found: float | None) -> None:
    places = [None, *({"1": {"logprob": -1.0, "decoded_token": token}} for token in tokens)]
    likelihood = given_likelihood({"prompt_logprobs": places}, "a red car")
    assert (likelihood and likelihood.logprob) == found


@pytest.mark.parametrize(
    "text",
    [" " * 64_000 + "x", "\n\t" * 32_000 + "x", "</s>" * 16_000 + "x", "  <|im_end|> " * 5_000 + "x", " " * 64_000],
)
def test_ends_that_are_none_are_taken_off_in_time_in_proportion(text: str) -> None:
    """White space or end tokens before a last word took over a minute, in the loop that all runs share."""
    began = time.thread_time()
    for read in (dialogue_turn, unwrapped, is_call):
        read(text)
    assert time.thread_time() - began < 1
    assert dialogue_turn("Yes <|im_end|> \n</s> ") == "Yes" and dialogue_turn("<|im_end|>a") == "<|im_end|>a"


@pytest.mark.parametrize(
    "part",
    [
        *("\n", "\n ", ". ", "a,", "`", "*a* ", "<", "</s>", "\\boxed{a}", "\nThe answer is A. wait"),
        *("La réponse est <box><answer>.[", '<answer>-YesA. {"name":NaN}', "答案是Yes<answer>.``"),
    ],
)
def test_a_long_reply_is_unwrapped_in_little_time(part: str) -> None:
    """Announcements were looked for up to six times in 64 kB: 0.4 to 0.8 s. The goal is 0.05 s."""
    text = ("x" + part * 64_000)[: 64 * 1024 - 1] + "x"
    for read in (unwrapped, listed, is_call):
        assert min(_seconds(read, text) for _ in range(3)) < 0.2


def _seconds(read: Callable[[str], object], text: str) -> float:
    began = time.thread_time()
    read(text)
    return time.thread_time() - began


def test_an_answer_is_announced_near_the_end_of_a_reply() -> None:
    long = "I see a car. " * (NEAR // 10)
    assert unwrapped(f"{long}\nThe answer is B.") == "B"
    assert unwrapped(f"The answer is A.\n{long}").startswith("The answer is A.")
    cut = "The answer is C. " + "x" * (NEAR - len("answer is C. "))  # the last part begins at "answer"
    assert unwrapped(cut) == cut
