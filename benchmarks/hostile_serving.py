"""Hostile requests for `hostile.py`: what reaches the guard of every HTTP face, and bodies of the OpenAI endpoint. No
socket is opened: connections are in the tests (`tests/test_plugins_strangers.py`)."""

import asyncio
import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import orjson
from hostile_case import ODD, Case, spoiled, times, written

from zoomagent.errors import ZoomAgentError
from zoomagent.plugins.http.guard import OPEN, GuardedApp, Rules
from zoomagent.plugins.openai.request import read_request

GUARD, ENDPOINT = 6_000, 12_000
KEY = "sk-right"
RULES = Rules(key=KEY, free=("/docs",), max_body=1000, origins=("https://app.example",))
HOSTS = (
    *(b"127.0.0.1", b"localhost:8200", b"[::1]:80", b"evil.example", b"localhost.evil.example", b"", b"LOCALHOST"),
    *(b"localhost@evil.example", b"127.0.0.1:x", b"\xff\xfe", b"localhost\x00", b"127.0.0.1,evil.example"),
)
SERVED = (b"127.0.0.1", b"localhost:8200", b"[::1]:80", b"LOCALHOST")
ORIGINS = (b"https://evil.example", b"null", b"http://localhost:1", b"https://app.example", b"\xff", b"", b"file://")
KEYS = (
    *(b"Bearer sk-right", b"bearer sk-right", b"Bearer  sk-right", b"Bearer sk-righ", b"Bearer sk-right ", b"sk-right"),
    *(b"Basic c2s=", b"", b"Bearer \xff\xfe", b"Bearer " + b"x" * 9000),
)
LENGTHS = (b"0", b"3", b"1001", b"-1", b"9" * 30, b"9" * 5000, b"0" * 5000, b"x", b"\xb2", b"1e9", b"")
PATHS = ("/v1/models", "/", "/healthz", "/health/", "//healthz", "/healthz/../v1", "/docs", "/docs/x", "/é", "/%00", "")


def guard_cases(scale: float) -> Iterator[Case]:
    """The app behind the guard is reached with a known host, no foreign origin and the key only, and takes no body that
    is larger than it may be."""
    for number in times(GUARD, scale):
        rng = random.Random(f"guard {number}")
        drawn = [(b"Host" if rng.random() < 0.3 else b"host", rng.choice(HOSTS if rng.random() < 0.3 else SERVED))]
        for name, values, share in ((b"authorization", KEYS, 0.8), (b"origin", ORIGINS, 0.3), (b"host", HOSTS, 0.05)):
            drawn += [(name, rng.choice(values[:1] if rng.random() < 0.5 else values))] * (rng.random() < share)
        drawn += [(b"content-length", rng.choice(LENGTHS))] * (rng.random() < 0.5)
        drawn += [(rng.randbytes(5), rng.randbytes(50))] * rng.choice([0, 0, 1, 300])
        body = [b"x" * rng.choice([0, 1, 400, 1001, 5000]) for _ in range(rng.randint(1, 4))]
        yield Case(f"guard {number}", partial(_guarded, rng.choice(PATHS), drawn, body))


def _guarded(path: str, headers: list[tuple[bytes, bytes]], body: list[bytes]) -> str:
    taken, statuses = list[int](), list[int]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        taken.append(size)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask() -> None:
        parts = [{"type": "http.request", "body": part, "more_body": True} for part in body]
        waiting = iter([*parts, {"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Any:
            return next(waiting, None) or await asyncio.Event().wait()

        async def send(message: Any) -> None:
            statuses.extend([message["status"]] if "status" in message else [])

        scope = {"type": "http", "path": path, "headers": headers, "method": "GET"}
        await asyncio.wait_for(GuardedApp(app, RULES)(scope, receive, send), 10)

    asyncio.run(ask())
    if len(statuses) != 1:
        return f"{len(statuses)} answers"
    return _let_through(path, headers, taken[0]) if taken else ""


ALLOWED = [[scheme + KEY.encode()] for scheme in (b"Bearer ", b"bearer ", b"BEARER ")]


def _let_through(path: str, headers: list[tuple[bytes, bytes]], size: int) -> str:
    """What is wrong with a request that the app has seen."""
    given = {name: [value for key, value in headers if key.lower() == name] for name in (b"host", b"authorization")}
    origins = [value for key, value in headers if key.lower() == b"origin"]
    if len(given[b"host"]) != 1 or given[b"host"][0] not in (*SERVED, b"localhost"):
        return f"a foreign host: {given[b'host']}"
    if any(origin != b"https://app.example" for origin in origins):
        return f"a foreign page: {origins}"
    if path not in (*OPEN, *RULES.free) and given[b"authorization"] not in ALLOWED:
        return f"without the key: {given[b'authorization']}"
    return f"a body of {size} bytes" if size > RULES.max_body else ""


REQUEST = {
    "model": "zoomagent",
    "messages": [
        {"role": "system", "content": "Be short."},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "high"}},
                {"type": "text", "text": "What is it?"},
            ],
        },
        {"role": "assistant", "content": "A car."},
        {"role": "user", "content": "Which colour?"},
    ],
    "temperature": 0,
    "max_tokens": 50,
    "stream": True,
    "stream_options": {"include_usage": True},
    "zoomagent": {"options": ["red", "blue"], "strategy": "macro", "seconds": 9.0, "target_error": 0.1},
}


def endpoint_cases(scale: float) -> Iterator[Case]:
    """A body is a checked request, or refused in words that can be sent; a few are not even JSON."""
    for number in times(ENDPOINT, scale):
        rng = random.Random(f"endpoint {number}")
        body = written(spoiled(REQUEST, rng), rng)
        if rng.random() < 0.03:
            body = rng.choice([b"", b"[" * 90_000, b"\xff" * 9, b'{"messages":' * 9000, orjson.dumps(str(ODD[-1]))])
        yield Case(f"endpoint {number}", partial(_requested, body))


def _requested(body: bytes) -> str:
    try:
        asked = read_request(body)
    except ZoomAgentError as error:
        orjson.dumps(error.public)
        return ""
    orjson.dumps([asked.question, asked.options, asked.settings, asked.seconds])
    return "" if asked.seconds is None or asked.seconds > 0 else f"{asked.seconds} seconds"


KINDS: dict[str, Callable[[float], Iterator[Case]]] = {"guard": guard_cases, "endpoint": endpoint_cases}
