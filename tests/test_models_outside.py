"""Numbers and texts from a model's server, whatever they are.

Every reply ends in an answer or an error of ours, and what it ends in can be written as JSON by every store.
"""

import asyncio
import copy
import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from fake_server import Action, Body, FakeServer, Status, choice, completion, serve, token_logprobs
from PIL import Image

from zoomagent import Answer, ZoomAgent
from zoomagent.batch.answers import AnswerFile
from zoomagent.batch.asking import Agents, Setup
from zoomagent.batch.rows import Row
from zoomagent.batch.running import answer_all
from zoomagent.errors import BadServerResponse, ServerError, ZoomAgentError
from zoomagent.models.base import Message, Reply, Text
from zoomagent.models.server.completion import MAX_COUNT, given_likelihood, read_json, read_names, read_replies
from zoomagent.models.server.openai_server import OpenAIModel
from zoomagent.models.server.retrying import Breaker, RetryPolicy
from zoomagent.plugins.offers.public import public_answer
from zoomagent.text import MAX_TEXT, storable

QUESTION = [Message("user", (Text("Is it red?"),))]
QUICK = RetryPolicy(attempts=2, first_wait=0.001, most_wait=0.01)
LONG = "9" * 400


def body_of(**more: Any) -> dict[str, Any]:
    return {**completion([choice(0, "Yes", token_logprobs("Yes"))]), **more}


def calls_body(arguments: str) -> bytes:
    call = '{"id":"c","function":{"name":"zoom","arguments":' + arguments + "}}"
    return ('{"choices":[{"message":{"tool_calls":[' + call + ']},"finish_reason":"tool_calls"}]}').encode()


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


ODD_BODIES: dict[str, bytes] = {
    "a log-probability of 401 digits": json.dumps(body_of()).encode().replace(b"-1.5", b"-1" + b"0" * 400),
    "NaN somewhere": b'{"x":NaN,' + json.dumps(body_of()).encode()[1:],
    "a count of 2^63-1": json.dumps(
        body_of(usage={"prompt_tokens": 2**63 - 1, "completion_tokens": 2**64 - 1})
    ).encode(),
    "a count of 400 digits": ('{"usage":{"prompt_tokens":' + LONG + "}," + json.dumps(body_of())[1:]).encode(),
    "a count that is true": json.dumps(body_of(usage={"prompt_tokens": True})).encode(),
    "half characters everywhere": json.dumps(
        {
            "model": "m\udc00",
            "choices": [
                {
                    "message": {
                        "content": "Yes \ud800",
                        "tool_calls": [
                            {"id": "\udfff", "function": {"name": "\ud800", "arguments": {"\ud800": "\udc00"}}}
                        ],
                    },
                    "logprobs": {"content": [{"token": "Yes \ud800", "logprob": -1.0}]},
                }
            ],
        }
    ).encode(),
    "arguments with a whole number beyond 64 bits": calls_body('{"a":' + "1" * 30 + "}"),
    "arguments with NaN": calls_body('{"a":NaN}'),
    "arguments nested 300 deep": calls_body(nested(300)),
    "arguments nested 1000 deep": calls_body(nested(1000)),
    "a finish reason nested 900 deep": b'{"choices":[{"message":{"content":"Yes"},"finish_reason":%s}]}'
    % nested(900).encode(),
    "a list as arguments": calls_body("[1]"),
    "an error nested 900 deep": b'{"error":{"detail":[{"msg":%s}]}}' % nested(900).encode(),
    "an error with half a character": b'{"error":{"message":"bad \\ud800 word"}}',
}


@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES.keys())
def test_whatever_a_reply_holds_it_can_be_stored_or_is_refused(body: bytes) -> None:
    for answer in every_reading(body):
        assert_storable(answer)


def test_counts_are_clipped_so_that_their_sums_can_be_stored() -> None:
    [reply] = read_replies(read_json(ODD_BODIES["a count of 2^63-1"]), 0)
    assert reply.usage.prompt_tokens == MAX_COUNT
    [reply] = read_replies(read_json(ODD_BODIES["a count that is true"]), 0)
    assert reply.usage.prompt_tokens == 0


def test_arguments_that_no_json_can_hold_are_left_to_the_tool_to_refuse() -> None:
    """A call is not lost and not made up: the model is told that its arguments are no JSON object."""
    for name in ("arguments with NaN", "arguments nested 1000 deep", "a list as arguments"):
        [reply] = read_replies(read_json(ODD_BODIES[name]), 0)
        assert reply.tool_calls[0].name == "zoom"


ODD_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**63 - 1, 2**64, 10**400, 1e308, -0.0, float("nan"), float("inf"), "", "\ud800", "x" * 300),
    *(
        [],
        {},
        [[]],
        {"a": None},
        ["\udc00"],
        {"message": {"error": "\ud800"}},
        [None] * 5,
        "Yes",
        499,
        500,
        "²",
        b"".decode(),
    ),
)


def odd_bodies(count: int, seed: int) -> Iterator[bytes]:
    """Completions in which one to three values were replaced, or left out."""
    source = random.Random(seed)
    whole = body_of(prompt_logprobs=[None, {"1": {"logprob": -1.0, "decoded_token": "Yes"}}])
    whole["choices"].append(choice(1, None, calls=[{"name": "zoom", "arguments": {"a": 1}}]))
    for _ in range(count):
        body = copy.deepcopy(whole)
        for _ in range(source.randint(1, 3)):
            spoil(body, source)
        text = json.dumps(body)
        yield (text.encode() if source.random() < 0.9 else text[: source.randrange(len(text))].encode())


def spoil(value: Any, source: random.Random) -> None:
    """Replace something in `value`, or take it away."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not keys:
        return
    key = source.choice(keys)
    if isinstance(value[key], dict | list) and source.random() < 0.8:
        spoil(value[key], source)
    elif source.random() < 0.2:
        del value[key]
    else:
        value[key] = copy.deepcopy(source.choice(ODD_VALUES))


def every_reading(body: bytes) -> list[Any]:
    """What the readers make of a body: values, or errors of ours; anything else is raised."""
    found: list[Any] = []
    for read in (
        lambda: read_replies(read_json(body), 7),
        lambda: given_likelihood(read_json(body), "Yes"),
        lambda: read_names(read_json(body)),
    ):
        try:
            found.append(read())
        except ServerError as error:
            found.append(error)
    return found


def assert_storable(found: Any) -> None:
    plain = {"text": str(found), "code": found.code} if isinstance(found, ZoomAgentError) else found
    orjson.dumps(plain, default=str)
    for reply in found if isinstance(found, list) else []:
        if isinstance(reply, Reply):
            assert sum([reply.usage.prompt_tokens] * 1000) < 2**63 and reply.usage.completion_tokens >= 0
            assert all(-100.0 <= token.logprob <= 0.0 for token in reply.tokens or ())
            assert len(reply.text) <= MAX_TEXT


def test_five_thousand_spoiled_replies_are_read_or_refused() -> None:
    for number, body in enumerate(odd_bodies(5000, seed=1)):
        try:
            for found in every_reading(body):
                assert_storable(found)
        except Exception as error:
            raise AssertionError(f"body {number}: {body[:2000]!r}") from error


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after-ms": "²"},
        {"retry-after-ms": LONG},
        {"retry-after-ms": "-5"},
        {"retry-after-ms": "nan"},
        {"retry-after": LONG},
        {"retry-after": "٣"},
        {"retry-after": "1e999"},
        {"retry-after": "inf"},
        {"retry-after": "Mon, 99 Foo 99999 99:99:99 GMT"},
        {"retry-after": "Mon, 01 Jan 0001 00:00:00 +9999"},
        {"retry-after": "Fri, 31 Dec 9999 23:59:59 -2359"},
        {"retry-after": " , ,"},
        {"retry-after": "( (( Mon"},
    ],
    ids=str,
)
def test_odd_headers_of_a_refusal_are_no_bug(headers: dict[str, str]) -> None:
    server = FakeServer()
    server.enqueue([Status(429, headers)])
    with pytest.raises(ServerError):
        asyncio.run(model_of(server, RetryPolicy(attempts=1)).generate(QUESTION))


CODECS = "idna undefined rot13 base64 uu zlib bz2 quopri hex punycode unicode_escape utf-16 mbcs x cp037".split()  # noqa: SIM905


@pytest.mark.parametrize("codec", [*CODECS, "utf-7", '"idna"', "a\0b", "\xff"])
@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_codec_that_a_header_names_decides_nothing(codec: str, status: int) -> None:
    server = FakeServer()
    for kind in ("text/plain", "application/json", "text/html"):
        for data in (b"\xff\xfe", b"", b'{"error": "a"}', "é\udcff".encode("utf-8", "surrogatepass")):
            headers = {"content-type": f"{kind}; charset={codec}"}
            said = data.decode("latin-1")
            server.enqueue([Body(data, headers["content-type"]) if status == 200 else Status(status, headers, said)])
            with pytest.raises(ServerError):
                asyncio.run(model_of(server, RetryPolicy(attempts=1)).generate(QUESTION))


@pytest.mark.parametrize("kind", [UnicodeError, TypeError, LookupError, AssertionError, AttributeError, RecursionError])
def test_whatever_the_sdk_stumbles_over_is_the_servers_fault(kind: type[Exception]) -> None:
    class Broken(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            raise kind("what")

    model = OpenAIModel("http://fake/v1", "m", retries=RetryPolicy(attempts=1), transport=Broken())
    with pytest.raises(ServerError):
        asyncio.run(model.generate(QUESTION))


KEY = 'Zq8/AbCd"Ef\\Gh1Jk+LmNoPq-RsT9'
SPELLED = {
    "plain": KEY.replace("\\", "\\\\").replace('"', '\\"'),
    "slashes": KEY.replace("\\", "\\\\").replace('"', '\\"').replace("/", "\\/"),
    "numbers": "".join(f"\\u{ord(c):04x}" for c in KEY),
    "capitals": "".join(f"\\u{ord(c):04X}" for c in KEY),
    "mixed": "".join(c if c.isalnum() and i % 2 else f"\\u{ord(c):04x}" for i, c in enumerate(KEY)),
}


@pytest.mark.parametrize("spelled", SPELLED.values(), ids=SPELLED)
def test_a_key_that_a_server_repeats_in_any_spelling_is_in_no_text(spelled: str) -> None:
    assert json.loads(f'"{spelled}"') == KEY
    reply = json.dumps(body_of()).replace('"Yes"', f'"it is {spelled}"')
    assert spelled in reply
    inside = json.dumps(f'{{"text": "{spelled}"}}')
    for answer in (Body(reply.encode()), Body(calls_body(inside))):
        server = FakeServer()
        server.enqueue([answer])
        found = str(asyncio.run(keyed(server).generate(QUESTION)))
        assert "(the key)" in found and not any(part in found for part in ("LmNoPq", "u004c"))
    server = FakeServer()
    server.enqueue([Status(400, body=f'{{"error": {{"message": "the token {spelled} is used"}}}}')])
    with pytest.raises(ServerError) as caught:
        asyncio.run(keyed(server).generate(QUESTION))
    assert "LmNoPq" not in str(caught.value)


def test_a_key_that_a_reply_tells_in_parts_is_in_no_text() -> None:
    server = FakeServer()
    parts = [{"type": "text", "text": KEY[:9]}, {"type": "text", "text": KEY[9:]}]
    server.enqueue([{"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]}])
    assert KEY not in str(asyncio.run(keyed(server).generate(QUESTION)))


def keyed(server: FakeServer) -> OpenAIModel:
    retries = RetryPolicy(attempts=1)
    return OpenAIModel("http://fake/v1", "qwen3-vl", api_key=KEY, retries=retries, transport=server.transport())


def model_of(server: FakeServer, retries: RetryPolicy = QUICK) -> OpenAIModel:
    transport = server.transport()
    return OpenAIModel("http://fake/v1", "qwen3-vl", retries=retries, transport=transport, breaker=Breaker(1000))


def test_half_characters_of_errors_never_reach_an_outcome() -> None:
    assert str(ServerError("bad \ud800 word")) == "bad \ufffd word"
    assert len(str(ServerError("x" * 10**6))) == MAX_TEXT
    server = FakeServer()
    server.enqueue([Status(400, body={"error": {"message": "bad \ud800 word"}})] * 3)
    with pytest.raises(ServerError) as caught:
        asyncio.run(model_of(server).generate(QUESTION))
    orjson.dumps(caught.value.public)


@pytest.mark.parametrize("text", ["", "plain", "é漢\U0001f600", "a\ud800b", "\ud83d\ude00", "\udc00" * 10])
def test_storable_text_is_valid_and_whole_where_it_was(text: str) -> None:
    kept = storable(text)
    kept.encode()
    assert kept == text or any("\ud800" <= character <= "\udfff" for character in text)


ODD_ANSWERS: list[Action] = [
    *(Body(body) for body in ODD_BODIES.values()),
    Status(400, body={"error": {"message": "bad \ud800 word"}}),
    Status(429, {"retry-after-ms": LONG}),
    Status(429, {"retry-after": LONG}),
]


def test_a_batch_keeps_a_line_for_every_odd_reply_and_goes_on(tmp_path: Path) -> None:
    """One reply, whatever it is, ends its own row: the next row is answered."""
    Image.new("RGB", (64, 64), "red").save(tmp_path / "a.png")

    async def scenario() -> None:
        server = FakeServer()
        async with serve(server) as url:
            setup = Setup((f"{url}#qwen3-vl",), tmp_path, settings={"strategy": "macro"})
            for number, odd in enumerate(ODD_ANSWERS):
                server.enqueue([odd])
                rows = [Row(f"r{number}-{i}", i + 1, "a.png", f"{number}, {i}?") for i in range(2)]
                async with Agents(setup) as agents:
                    with AnswerFile(tmp_path / f"{number}.jsonl", {"strategy": "macro"}) as file:
                        tally = await answer_all(rows, agents.ask, file, 1)
                kept = [orjson.loads(line) for line in (tmp_path / f"{number}.jsonl").read_bytes().splitlines()]
                assert kept[-1]["id"] == f"r{number}-1" and kept[-1]["answer"] == "Yes"
                assert len(kept) + sum(tally.put_off.values()) == 2, odd

    asyncio.run(scenario())


def test_runs_on_spoiled_replies_end_as_answers_that_can_be_saved() -> None:
    """Whole runs of several strategies, every reply spoiled: each ends in an outcome, and is written as JSON twice."""
    picture = Image.new("RGB", (640, 480), "red")
    bodies = odd_bodies(10_000, seed=2)

    class Spoils(FakeServer):
        def decide(self, path: str, body: bytes) -> Any:
            usual = super().decide(path, body)
            return usual if path.endswith("/models") or len(self.requests) % 3 == 0 else Body(next(bodies))

    for strategy in ("auto", "search", "tools", "locate", "dualfocus", "macro"):
        model = model_of(Spoils(lambda seen: "Yes"))
        with ZoomAgent(model, strategy=strategy) as agent:
            for number in range(5):
                answer = agent.ask(picture, f"{number}?")
                assert Answer.model_validate_json(answer.model_dump_json()) == answer
                orjson.dumps(public_answer(answer).model_dump(mode="json"))


def test_a_compressed_reply_is_refused_before_it_is_unpacked() -> None:
    async def scenario() -> None:
        server = FakeServer()
        packed = gzip.compress(json.dumps(body_of()).encode() + b" " * 10**8)
        server.enqueue([Body(packed, headers={"content-encoding": "gzip"})])
        async with serve(server) as url:
            model = OpenAIModel(url, "qwen3-vl", retries=QUICK)
            with pytest.raises(BadServerResponse):
                await model.generate(QUESTION)
            assert (await model.generate(QUESTION))[0].text == "Yes"
            await model.aclose()

    asyncio.run(scenario())
