"""Sessions of strangers: whoever opens how many, nobody else is locked out, and what runs goes on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
from fake_model import FakeModel
from mcp_world import agent_of
from test_plugins_mcp_wire import ACCEPTS, HELLO

from zoomagent.plugins.http.guard import Rules
from zoomagent.plugins.mcp.server import MAX_SESSIONS, PATH, http_app
from zoomagent.plugins.mcp.sessions import Sessions

HOST = "http://127.0.0.1"


@contextlib.asynccontextmanager
async def running(rules: Rules) -> AsyncIterator[Any]:
    """The app, between its start and its end."""
    agent, server = agent_of(FakeModel())
    app = http_app(server, rules)
    asked: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    told: asyncio.Queue[Any] = asyncio.Queue()
    life = asyncio.create_task(app({"type": "lifespan"}, asked.get, told.put))
    await asked.put({"type": "lifespan.startup"})
    assert (await told.get())["type"] == "lifespan.startup.complete"
    try:
        yield app
    finally:
        await asked.put({"type": "lifespan.shutdown"})
        await life
        agent.close()


def client(app: Any, address: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(address, 5)), base_url=HOST)


async def opened(client: httpx.AsyncClient) -> str:
    answer = await client.post(PATH, json=HELLO, headers=ACCEPTS)
    assert answer.status_code == 200, answer.text
    return answer.headers["mcp-session-id"]


async def ping(client: httpx.AsyncClient, session: str) -> int:
    headers = ACCEPTS | {"mcp-session-id": session, "mcp-protocol-version": "2025-06-18"}
    return (await client.post(PATH, json={"jsonrpc": "2.0", "id": 2, "method": "ping"}, headers=headers)).status_code


def test_a_stranger_with_hundreds_of_sessions_ends_none_of_anothers() -> None:
    async def attack() -> None:
        async with running(Rules(at_once=64)) as app:
            friend, stranger = client(app, "10.0.0.1"), client(app, "10.0.0.2")
            session = await opened(friend)
            for _ in range(3 * MAX_SESSIONS):
                await opened(stranger)
            assert await ping(friend, session) == 200
            assert await ping(friend, await opened(friend)) == 200

    asyncio.run(attack())


def test_strangers_of_many_addresses_end_sessions_that_were_never_called_first() -> None:
    async def attack() -> None:
        async with running(Rules(at_once=64)) as app:
            friend = client(app, "10.0.0.1")
            session, idle = await opened(friend), await opened(friend)
            assert [await ping(friend, session) for _ in range(2)] == [200, 200]
            for number in range(2 * MAX_SESSIONS):
                await opened(client(app, f"10.0.1.{number}"))
            assert (await ping(friend, session), await ping(friend, idle)) == (200, 404)

    asyncio.run(attack())


def test_requests_that_open_nothing_end_nothing() -> None:
    async def attack() -> None:
        async with running(Rules(at_once=64)) as app:
            friend = client(app, "10.0.0.1")
            sessions = [await opened(friend) for _ in range(MAX_SESSIONS // 2)]
            for body in (b"", b"[]", b'{"jsonrpc":"2.0","id":1,"method":"ping"}'):
                for method, path in (("POST", PATH), ("GET", PATH), ("DELETE", PATH), ("POST", "/elsewhere")):
                    answer = await friend.request(method, path, content=body, headers=ACCEPTS)
                    assert answer.status_code >= 400
            assert [await ping(friend, session) for session in sessions] == [200] * len(sessions)

    asyncio.run(attack())


def test_no_session_is_forgotten_here_and_kept_by_the_protocols_server() -> None:
    async def attack() -> None:
        async with running(Rules(at_once=64)) as app:
            friend = client(app, "10.0.0.1")
            for method, path, more in (
                ("POST", "/elsewhere", {}),
                ("POST", PATH, {"mcp-protocol-version": "2026-07-28"}),
                ("DELETE", PATH, {"mcp-protocol-version": "2026-07-28"}),
                ("DELETE", PATH, {}),
            ):
                session = await opened(friend)
                call = {"jsonrpc": "2.0", "id": 3, "method": "no/such"}
                answer = await friend.request(
                    method, path, json=call, headers=ACCEPTS | more | {"mcp-session-id": session}
                )
                known = session.encode() in app._app._sessions
                assert (await ping(friend, session) == 200) == known, (method, path, more, answer.status_code)

    asyncio.run(attack())


def test_one_address_runs_half_of_the_requests_at_once() -> None:
    async def attack() -> None:
        hold, statuses = asyncio.Event(), list[int]()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            await hold.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})

        async def note(message: Any) -> None:
            statuses.extend([message["status"]] if "status" in message else [])

        app = Sessions(slow, PATH, most=10, requests=8)
        scope = {"type": "http", "method": "POST", "path": PATH, "headers": []}
        tasks = [
            asyncio.create_task(app({**scope, "client": (address, 1)}, asyncio.Queue().get, note))
            for address in ["10.0.0.1"] * 9 + ["10.0.0.2"] * 2
        ]
        while len(statuses) < 5:
            await asyncio.sleep(0)
        assert statuses == [429] * 5
        hold.set()
        await asyncio.gather(*tasks)
        assert statuses == [429] * 5 + [200] * 6 and not app._running

    asyncio.run(attack())
