"""What stands before the HTTP faces, against requests written out by hand: nothing here opens a socket."""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Any

import pytest

from zoomagent.errors import SettingInvalid
from zoomagent.plugins.http import guard
from zoomagent.plugins.http.guard import GuardedApp, Rules, rules_for

KEY = "sesame"
HOST = (b"host", b"127.0.0.1:8000")
WITH_KEY = (b"authorization", b"Bearer sesame")


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Reads the whole body and says how long it was."""
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(length).encode()})


def asked(
    rules: Rules,
    headers: Sequence[tuple[bytes, bytes]] = (HOST, WITH_KEY),
    path: str = "/v1/models",
    body: Sequence[bytes] = (b"",),
    app: Any = echo,
) -> tuple[int, bytes]:
    return asyncio.run(_asked(GuardedApp(app, rules), headers, path, body))


async def _asked(
    guarded: GuardedApp, headers: Sequence[tuple[bytes, bytes]], path: str, body: Sequence[bytes]
) -> tuple[int, bytes]:
    parts = [{"type": "http.request", "body": part, "more_body": True} for part in body]
    parts[-1]["more_body"] = False
    sent: list[Any] = []
    waiting = iter(parts)

    async def receive() -> Any:
        return next(waiting, None) or await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await guarded({"type": "http", "path": path, "headers": list(headers), "method": "POST"}, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


LOCKED = Rules(key=KEY, free=("/docs",))


def test_who_holds_the_key_gets_through() -> None:
    assert asked(LOCKED, body=[b"abc", b"de"]) == (200, b"5")


@pytest.mark.parametrize(
    "given",
    [b"", b"sesame", b"Bearer", b"Bearer ", b"Bearer sesam", b"Bearer sesamee", b"Bearer  sesame",
     b"Basic sesame", b"Bearer Sesame", b"Bearer sesame ", b"Bearer \xff"],
)  # fmt: skip
def test_any_other_key_is_refused(given: bytes) -> None:
    assert asked(LOCKED, [HOST, (b"authorization", given)])[0] == 401


@pytest.mark.parametrize(
    "path",
    ["/v1/models", "/", "//healthz", "/healthz/", "/healthz/../v1/models", "/HEALTHZ", "/docs/", "/docs/x", "/docs?x",
     "/v1//models", "/%2e%2e/healthz", "/healthz\x00", "/healthz;x", "", "healthz", "/v1/models#/healthz"],
)  # fmt: skip
def test_every_path_but_the_open_ones_needs_the_key(path: str) -> None:
    assert asked(LOCKED, [HOST], path)[0] == 401


@pytest.mark.parametrize("path", ["/healthz", "/health", "/docs"])
def test_open_paths_need_none(path: str) -> None:
    assert asked(LOCKED, [HOST], path)[0] == 200


@pytest.mark.parametrize(
    "hosts",
    [[], [b"evil.example"], [b"127.0.0.1.evil.example"], [b"localhost@evil.example"], [b"127.0.0.1:8000", b"evil"],
     [b"127.0.0.1/.evil"], [b""], [b":80"], [b"169.254.169.254"], [b"0.0.0.0"], [b"localhost:80:80"],
     [b"localhost:\xb2"], [b"[::1].x"]],
)  # fmt: skip
def test_a_foreign_host_name_is_refused_even_with_the_key(hosts: list[bytes]) -> None:
    assert asked(LOCKED, [*((b"host", host) for host in hosts), WITH_KEY])[0] == 421


@pytest.mark.parametrize("host", [b"127.0.0.1", b"localhost:9", b"LOCALHOST", b"[::1]:80", b"[::1]"])
def test_the_loopback_by_all_its_names_is_served(host: bytes) -> None:
    assert asked(LOCKED, [(b"host", host), WITH_KEY])[0] == 200


@pytest.mark.parametrize(
    "origin", [b"https://evil.example", b"null", b"http://127.0.0.1:8001", b"http://localhost:8000"]
)
def test_a_page_of_another_origin_may_not_ask(origin: bytes) -> None:
    assert asked(LOCKED, [HOST, WITH_KEY, (b"origin", origin)])[0] == 403


def test_its_own_page_and_named_origins_may() -> None:
    own, named = (b"origin", b"http://127.0.0.1:8000"), (b"origin", b"https://app.example")
    assert asked(LOCKED, [HOST, WITH_KEY, own])[0] == 200
    assert asked(Rules(key=KEY, origins=("https://app.example",)), [HOST, WITH_KEY, named])[0] == 200


def test_a_body_is_bounded_by_what_arrives_not_by_what_is_declared() -> None:
    small = Rules(max_body=10)
    assert asked(small, [HOST], body=[b"12345", b"12345"]) == (200, b"10")
    assert asked(small, [HOST], body=[b"12345", b"123456"])[0] == 413
    assert asked(small, [HOST, (b"content-length", b"3")], body=[b"12345", b"123456"])[0] == 413
    assert asked(small, [HOST, (b"content-length", b"11")], body=[b""])[0] == 413


@pytest.mark.parametrize(("length", "status"), [(b"9" * 5000, 413), (b"0" * 5000, 200), (b"0" * 5000 + b"3", 200)])
def test_a_declared_length_of_thousands_of_digits_is_a_number(length: bytes, status: int) -> None:
    """Python converts no number of more than 4,300 digits: the request ended in a traceback."""
    assert asked(Rules(max_body=10), [HOST, (b"content-length", length)], body=[b"123"])[0] == status


def test_only_the_paths_that_are_named_take_large_bodies() -> None:
    rules = Rules(max_body=3, large=("/pictures",), large_body=10)
    assert asked(rules, [HOST], "/pictures", [b"12345", b"12345"]) == (200, b"10")
    assert asked(rules, [HOST], "/pictures", [b"12345", b"123456"])[0] == 413
    for path in ("/runs", "/pictures/", "/pictures/x", "//pictures"):
        assert asked(rules, [HOST], path, [b"1234"])[0] == 413


def test_an_app_that_makes_an_error_of_a_large_body_is_overruled() -> None:
    async def clumsy(scope: Any, receive: Any, send: Any) -> None:
        try:
            await echo(scope, receive, send)
        except Exception:
            await send({"type": "http.response.start", "status": 500, "headers": []})
            await send({"type": "http.response.body", "body": b"oops"})
            raise

    assert asked(Rules(max_body=3), [HOST], body=[b"1234"], app=clumsy)[0] == 413


def test_a_body_that_stops_coming_frees_its_place_and_one_that_came_may_be_waited_on() -> None:
    async def patient(scope: Any, receive: Any, send: Any) -> None:
        """Reads the body, then listens whether the client leaves, for longer than bodies may take."""
        await receive()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(receive(), 0.1)
        await echo(scope, _nothing, send)

    async def status(app: Any, first: dict[str, Any]) -> int:
        messages, sent = [first], []

        async def receive() -> Any:
            return messages.pop() if messages else await asyncio.sleep(60)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "path": "/x", "headers": [HOST], "method": "POST"}
        await GuardedApp(app, Rules(patience=0.02))(scope, receive, send)
        return int(sent[0]["status"])

    part = {"type": "http.request", "body": b"1"}
    assert asyncio.run(status(echo, {**part, "more_body": True})) == 408
    assert asyncio.run(status(patient, part)) == 200


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b""}


def test_a_body_that_trickles_is_refused_when_all_of_it_took_too_long() -> None:
    async def status() -> tuple[int, bytes]:
        sent: list[Any] = []

        async def receive() -> Any:
            await asyncio.sleep(0.01)
            return {"type": "http.request", "body": b"1", "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "path": "/x", "headers": [HOST], "method": "POST"}
        async with asyncio.timeout(5):
            await GuardedApp(echo, Rules(patience=1.0, body_seconds=0.1))(scope, receive, send)
        return sent[0]["status"], sent[1]["body"]

    refused, text = asyncio.run(status())
    assert refused == 408 and b"0.1 seconds" in text


class Waiting:
    """A server with one turn, which is taken until `free` is set, and clients that wait for it and may leave."""

    def __init__(self, **rules: Any) -> None:
        self.free, self.served = asyncio.Event(), list[bytes]()
        self.guarded = GuardedApp(self._app, Rules(at_once=1, **rules))

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.served.append((await receive())["body"])
        await self.free.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def client(self, body: bytes, leaves: asyncio.Event) -> asyncio.Task[int | None]:
        """Asks, and hangs up when `leaves` is set; the status it is told."""
        return asyncio.create_task(self._ask(body, leaves))

    async def _ask(self, body: bytes, leaves: asyncio.Event) -> int | None:
        messages, sent = [{"type": "http.request", "body": body, "more_body": False}], list[Any]()

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await leaves.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.guarded({"type": "http", "path": "/x", "headers": [HOST], "method": "POST"}, receive, send)
        return sent[0]["status"] if sent else None


def test_a_waiting_request_whose_client_left_gives_up_its_place() -> None:
    async def talk() -> None:
        server, stays, leaves = Waiting(waiting=1), asyncio.Event(), asyncio.Event()
        first, waiter = server.client(b"first", stays), server.client(b"waiter", leaves)
        await asyncio.sleep(0.01)
        assert await server.client(b"late", stays) == 429
        leaves.set()
        assert await waiter is None
        next_one = server.client(b"next", stays)
        await asyncio.sleep(0.01)
        server.free.set()
        assert [await first, await next_one] == [200, 200]
        assert server.served == [b"first", b"next"]

    asyncio.run(talk())


def test_all_waiting_requests_together_are_read_ahead_only_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "AHEAD", 10)

    async def talk() -> None:
        server, stays, leaves = Waiting(), asyncio.Event(), asyncio.Event()
        tasks = [server.client(b"x" * 10, stays)]
        await asyncio.sleep(0.01)
        tasks += [server.client(b"y" * 10, stays), server.client(b"z" * 10, leaves)]
        await asyncio.sleep(0.01)
        leaves.set()
        await asyncio.sleep(0.01)
        assert not tasks[2].done(), "it was not read, so it is not seen to leave"
        server.free.set()
        assert await asyncio.gather(*tasks) == [200] * 3
        assert server.served == [b"x" * 10, b"y" * 10, b"z" * 10]

    asyncio.run(talk())


def test_too_many_at_once_are_told_to_come_again_and_waiting_ones_are_served() -> None:
    release = asyncio.Event()
    running = 0
    most = 0

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        await release.wait()
        running -= 1
        await echo(scope, receive, send)

    async def crowd() -> list[int]:
        guarded = GuardedApp(slow, Rules(at_once=2, waiting=3))
        tasks = [asyncio.create_task(_asked(guarded, [HOST], "/x", [b""])) for _ in range(8)]
        await asyncio.sleep(0.01)
        release.set()
        return [status for status, _ in await asyncio.gather(*tasks)]

    statuses = asyncio.run(crowd())
    assert sorted(statuses) == [200] * 5 + [429] * 3
    assert most == 2


def test_refusals_are_errors_as_openai_clients_read_them() -> None:
    error = json.loads(asked(LOCKED, [HOST])[1])["error"]
    assert error["code"] == "unauthorized" and KEY not in error["message"]


def test_beyond_loopback_a_key_is_a_must(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZOOMAGENT_API_KEY", raising=False)
    assert rules_for("127.0.0.1", None).key is None
    for host in ("0.0.0.0", "192.168.1.5", "example.com"):
        with pytest.raises(SettingInvalid, match="ZOOMAGENT_API_KEY"):
            rules_for(host, None)
    monkeypatch.setenv("ZOOMAGENT_API_KEY", KEY)
    assert rules_for("0.0.0.0", None, ("api.example.com",)).hosts[-1] == "api.example.com"


@pytest.mark.parametrize("given", [("fe80::7", ()), ("0.0.0.0", ("[FE80::7]",)), ("0.0.0.0", ("Api.Example.com",))])
def test_every_name_it_is_served_as_is_one_that_clients_can_name(given: tuple[str, tuple[str, ...]]) -> None:
    host, served_as = given
    name = served_as[0] if served_as else f"[{host}]"
    asking = [(b"host", f"{name}:8000".encode()), WITH_KEY]
    assert asked(rules_for(host, KEY, served_as), asking)[0] == 200


def test_websockets_are_not_served() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    asyncio.run(GuardedApp(echo, LOCKED)({"type": "websocket", "path": "/", "headers": [HOST]}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize("start", [b"[", b'{"a":[', b" \n [", b"[["])
def test_a_body_of_very_many_values_is_refused_while_it_arrives(start: bytes) -> None:
    flood = [start, *[b"0," * 30_000] * 4, b"0]"]
    assert asked(Rules(), [HOST], body=flood)[0] == 413
    assert asked(Rules(), [HOST], body=[b" ", start, b"[" * 120_000])[0] == 413


@pytest.mark.parametrize("start", [b"\x89PNG", b"\xff\xd8", b"", b"a"])
def test_a_picture_may_hold_any_bytes(start: bytes) -> None:
    assert (
        asked(Rules(), [HOST], body=[start, *[b",[{" * 30_000] * 2] if start else [b"\x00", b"," * 120_000])[0] == 200
    )


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (b"bearer sesame", 200),
        (b"BEARER sesame", 200),
        (b"Bearer  sesame", 401),
        (b"Basic sesame", 401),
        (b"sesame", 401),
        (b"bearer", 401),
    ],
)
def test_the_scheme_of_the_key_is_written_in_any_case(given: bytes, status: int) -> None:
    assert asked(LOCKED, [HOST, (b"authorization", given)])[0] == status


def test_health_sees_by_itself_that_a_silent_model_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "REACH_EVERY", 0.0)

    async def ask_twice() -> list[bytes]:
        silence, reached = ["no answer at 127.0.0.1:8000"], asyncio.Event()

        async def reach() -> None:
            silence[0] = ""
            reached.set()

        guarded = GuardedApp(echo, LOCKED, lambda: silence[0], reach)
        first = await health(guarded)
        await reached.wait()
        return [first, await health(guarded)]

    assert [json.loads(body) for body in asyncio.run(ask_twice())] == [
        {"status": "ok", "model": "no answer"},
        {"status": "ok"},
    ]


def test_a_model_that_stays_silent_is_seen_after_once_in_a_while_and_never_twice_at_a_time() -> None:
    async def ask_often() -> int:
        begun = 0

        async def reach() -> None:
            nonlocal begun
            begun += 1
            await asyncio.sleep(0)

        guarded = GuardedApp(echo, LOCKED, lambda: "no answer", reach)
        for _ in range(20):
            await health(guarded)
            await asyncio.sleep(0)
        return begun

    assert asyncio.run(ask_often()) == 1


async def health(guarded: GuardedApp) -> bytes:
    sent: list[Any] = []

    async def receive() -> Any:
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await guarded({"type": "http", "path": "/healthz", "headers": [HOST], "method": "GET"}, receive, send)
    return b"".join(message.get("body", b"") for message in sent)
