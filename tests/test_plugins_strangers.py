"""Strangers at the door: half-open connections, floods of them, floods in the log, heavy bodies, and health meanwhile.

Real sockets on loopback, bounds made small; nothing here waits for a wall clock to prove anything.
"""

import asyncio
import logging
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from serving_world import started

pytest.importorskip("uvicorn", reason="needs the extra: pip install zoomagent[serve]")
import uvicorn  # noqa: E402
from uvicorn.server import ServerState  # noqa: E402

from zoomagent.plugins.http import connections, guard
from zoomagent.plugins.http.connections import Connection, LogLimit, most_connections  # noqa: E402
from zoomagent.plugins.http.guard import GuardedApp, Rules  # noqa: E402
from zoomagent.plugins.http.turns import Turns  # noqa: E402

GOOD = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
SLOW = b"POST /slow HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\n\r\n"


@asynccontextmanager
async def served(release: asyncio.Event) -> AsyncIterator[int]:
    """A guarded app whose requests wait for `release`, behind our connections; its port."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config, state = uvicorn.Config(GuardedApp(app, Rules()), log_level="critical"), ServerState()
    config.load()
    loop = asyncio.get_running_loop()
    made = await loop.create_server(lambda: Connection(config, state, {}), "127.0.0.1", 0)
    try:
        yield made.sockets[0].getsockname()[1]
    finally:
        made.close()
        for connection in list(state.connections):
            connection.transport.abort()


async def opened(port: int, *, sends: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sends)
    return reader, writer


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What came until the other side closed; "reset" counts as closed."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


@pytest.mark.parametrize("sends", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: x\r\n", GOOD + b"GET / HTT"])
def test_a_head_that_does_not_come_ends_its_connection(sends: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the connection was used before."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.05)

    async def talk() -> bytes:
        async with served(asyncio.Event()) as port:
            reader, writer = await opened(port, sends=sends)
            async with asyncio.timeout(60):
                came = await ended(reader)
            writer.close()
            return came

    assert asyncio.run(talk()).startswith(b"HTTP/1.1 200" if sends.startswith(GOOD) else b"")


def test_a_request_that_is_answered_slowly_keeps_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.02)

    async def talk() -> bytes:
        release = asyncio.Event()
        async with served(release) as port:
            reader, writer = await opened(port, sends=SLOW)
            await asyncio.sleep(0.1)
            release.set()
            line = await reader.readline()
            writer.close()
            return line

    assert asyncio.run(talk()) == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("sends", [b"", b"GET / HTTP/1.1\r\nhost: x\r\n"])
def test_half_open_connections_make_room_for_who_asks(sends: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 16)

    async def talk() -> tuple[bytes, int]:
        async with served(asyncio.Event()) as port:
            half = [await opened(port, sends=sends) for _ in range(60)]
            reader, writer = await opened(port, sends=GOOD)
            line = await reader.readline()
            writer.close()
            gone = sum(half_reader.at_eof() or half_reader.exception() is not None for half_reader, _ in half)
            for _, half_writer in half:
                half_writer.close()
            return line, gone

    line, gone = asyncio.run(talk())
    assert line == b"HTTP/1.1 200 OK\r\n"
    assert gone >= 60 - 16


def test_who_is_being_answered_is_not_pushed_out_and_the_next_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 8)

    async def talk() -> tuple[bytes, list[bytes]]:
        release = asyncio.Event()
        async with served(release) as port:
            busy = [await opened(port, sends=SLOW) for _ in range(4)]
            await asyncio.sleep(0.1)
            late, writer = await opened(port, sends=GOOD)
            refusal = await late.readline()
            writer.close()
            release.set()
            lines = [await reader.readline() for reader, _ in busy]
            for _, busy_writer in busy:
                busy_writer.close()
            return refusal, lines

    refusal, lines = asyncio.run(talk())
    assert refusal.startswith(b"HTTP/1.1 503")
    assert lines == [b"HTTP/1.1 200 OK\r\n"] * 4


def test_there_are_never_more_connections_than_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    for files, most in ((200, 40), (1024, 864), (100_000, 1000), (10, 16)):
        monkeypatch.setattr(resource, "getrlimit", lambda what, files=files: (files, files))
        assert most_connections() == most


def test_a_log_does_not_grow_with_what_strangers_do(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("zoomagent.test_strangers")
    sparing = LogLimit(most=3, seconds=1000)
    logger.addFilter(sparing)
    for number in range(10_000):
        logger.warning("Invalid request %d", number)
    logger.warning("Something else")
    assert len(caplog.records) == 4
    sparing._until = 0
    logger.warning("Something else")
    for number in range(2):
        sparing._until = 0
        for _ in range(4):
            logger.warning("Invalid request %d", number)
    assert len(caplog.records) == 4 + 1 + 3 + 3
    assert "and 1 like it were not written" in caplog.messages[-3]


# Health, turns and bodies


def request(path: str, method: str = "GET", headers: tuple[tuple[bytes, bytes], ...] = ()) -> dict[str, Any]:
    return {"type": "http", "path": path, "method": method, "headers": [(b"host", b"localhost"), *headers]}


async def status(guarded: GuardedApp, scope: dict[str, Any]) -> int:
    sent: list[Any] = []
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await guarded(scope, receive, send)
    return int(sent[0]["status"])


def test_health_waits_for_nobody() -> None:
    async def talk() -> list[int]:
        release = asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            await release.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        guarded = GuardedApp(slow, Rules(key="k", at_once=1, waiting=1, free=("/x",)))
        busy = [asyncio.create_task(status(guarded, request("/x", "POST"))) for _ in range(2)]
        await asyncio.sleep(0)
        statuses = [await status(guarded, request("/healthz", method)) for method in ("GET", "HEAD")]
        statuses.append(await status(guarded, request("/x", "POST")))
        release.set()
        return [*statuses, *await asyncio.gather(*busy)]

    assert asyncio.run(talk()) == [200, 200, 429, 200, 200]


@pytest.mark.parametrize("face", [("mcp", "--http"), ("openai",), ("page",)])
def test_every_server_says_that_it_is_well(face: tuple[str, ...], tmp_path: Path) -> None:
    with started(tmp_path, *face) as (_, address):
        root = "/".join(address.split("/")[:3])
        with urllib.request.urlopen(f"{root}/healthz", timeout=60) as reply:
            # Its model's server is away, which is no fault of this one.
            assert reply.read() == b'{"status": "ok", "model": "no answer"}'


def test_bodies_that_are_read_at_the_same_time_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declared or not; small ones and the health of the server are let by."""
    monkeypatch.setattr(guard, "BODIES", 100 << 20)
    size, now, most = 32 << 20, 0, 0

    async def reads(scope: Any, receive: Any, send: Any) -> None:
        nonlocal now, most
        heavy = scope["path"] == "/heavy"
        now += heavy
        most = max(most, now)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        now -= heavy
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def talk() -> list[int]:
        guarded = GuardedApp(reads, Rules(at_once=64))
        declared = request("/heavy", "POST", ((b"content-length", str(size).encode()),))
        chunked = request("/heavy", "POST", ((b"transfer-encoding", b"chunked"),))
        small = request("/small", "POST", ((b"content-length", b"1000"),))
        return await asyncio.gather(*(status(guarded, one) for one in [declared, chunked, small] * 10))

    assert asyncio.run(talk()) == [200] * 30
    assert most == 3


def test_turns_come_in_order_as_far_as_there_is_room() -> None:
    async def talk() -> tuple[list[str], bool]:
        turns, done = Turns(places=2, size=10), list[str]()
        release = {name: asyncio.Event() for name in ("first", "heavy", "light", "left", "heavier")}

        async def one(name: str, weight: int) -> None:
            async with turns.turn(weight):
                done.append(name)
                await release[name].wait()

        weights = {"first": 8, "heavy": 8, "light": 1, "left": 1, "heavier": 1000}
        tasks = {name: asyncio.create_task(one(name, weight)) for name, weight in weights.items()}
        await asyncio.sleep(0)
        assert done == ["first", "light"]
        tasks["left"].cancel()
        for name in ("first", "light", "heavy", "heavier"):
            release[name].set()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        return done, turns.is_free(10)

    done, free = asyncio.run(talk())
    assert done == ["first", "light", "heavy", "heavier"] and free


def test_a_turn_that_came_to_somebody_who_left_is_given_on() -> None:
    async def talk() -> bool:
        turns, leave = Turns(places=1, size=10), asyncio.Event()

        async def hold() -> None:
            async with turns.turn(0):
                await leave.wait()

        async def wait() -> None:
            async with turns.turn(0):
                raise AssertionError("it had left")

        holder = asyncio.create_task(hold())
        await asyncio.sleep(0)
        waiter = asyncio.create_task(wait())
        await asyncio.sleep(0)
        leave.set()
        await holder
        waiter.cancel()  # its turn has come, and it does not know yet
        await asyncio.gather(waiter, return_exceptions=True)
        return turns.is_free(0)

    assert asyncio.run(talk())
