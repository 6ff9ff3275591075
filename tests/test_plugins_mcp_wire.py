"""The MCP server over real wires: a subprocess on stdio, a port on HTTP. Who may ask, how many, and that it stops."""

import asyncio
import contextlib
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import uvicorn
from fake_model import FakeModel
from mcp import Client, StdioServerParameters
from mcp_world import (
    LEAK,
    QUESTION,
    Stuck,
    agent_of,
    cancelled_in_time,
    data_url,
    dualfocus_model,
    images,
    words,
)
from PIL import Image

from zoomagent.data.world.render import render
from zoomagent.data.world.scene import SMALL, draw_scene
from zoomagent.plugins.http.guard import Rules, rules_for
from zoomagent.plugins.mcp import server as module
from zoomagent.plugins.mcp.server import CONNECTIONS, PATH, http_app

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}},
}
ACCEPTS = {"accept": "application/json, text/event-stream"}


@contextlib.contextmanager
def served(model: FakeModel, rules: Rules | None = None) -> Iterator[str]:
    """The address of a server on a free port, in a thread of its own."""
    agent, server = agent_of(model)
    app: Any = http_app(server, rules or rules_for("127.0.0.1", None, at_once=CONNECTIONS))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [free]}, daemon=True)
        thread.start()
        with agent:
            yield f"http://127.0.0.1:{free.getsockname()[1]}{PATH}"
            running.should_exit = True
            thread.join(10)


def greeted(address: str, **headers: str) -> httpx.Response:
    """What the first request of a session of the older protocol is answered."""
    return httpx.post(address, json=HELLO, headers=ACCEPTS | headers, timeout=10)


# stdio


def test_a_host_that_starts_the_command_can_ask_about_files_below_the_root_and_no_others(tmp_path: Path) -> None:
    Image.fromarray(render(draw_scene(SMALL, 5, 1), 1024, 1024)).save(tmp_path / "a.png")

    async def talk() -> None:
        command = [sys.executable, "-m", "zoomagent.cli", "serve", "mcp", "--root", str(tmp_path)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        host = StdioServerParameters(command=command[0], args=command[1:], env=environment)
        async with Client(host) as client:
            shown = await client.call_tool("crop", {"image": "a.png", "box": [0.5, 0.5, 0.6, 0.7]})
            assert not shown.is_error and len(images(shown)) == 1
            refused = await client.call_tool("crop", {"image": "/etc/passwd", "box": [0, 0, 1, 1]})
            assert words(refused).startswith("path_not_allowed") and not LEAK.search(words(refused))
            asked = {"image": "a.png", "question": "What colour is the square?", "strategy": "macro"}
            answered = await client.call_tool("answer_about_image", asked)
            assert answered.structured_content is not None
            assert (
                answered.structured_content["outcome"] == "answered" and answered.structured_content["model"] == "nano"
            )

    asyncio.run(talk())


# HTTP


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_answer_comes_over_http_with_its_steps_and_crops(mode: Literal["auto", "legacy"]) -> None:
    steps: list[str | None] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        steps.append(message)

    async def ask(address: str) -> None:
        async with Client(address, mode=mode) as client:
            asked = {"image": data_url(), "question": QUESTION}
            result = await client.call_tool("answer_about_image", asked, progress_callback=note)
        assert words(result).startswith("42") and len(images(result)) == 1

    with served(dualfocus_model()) as address:
        asyncio.run(ask(address))
    assert len(steps) >= 4


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_call_cancelled_over_http_ends_its_run_within_a_second(mode: Literal["auto", "legacy"]) -> None:
    model = Stuck()
    with served(model) as address:
        asyncio.run(cancelled_in_time(address, mode, model))


def pinged(address: str, session: str) -> int:
    headers = ACCEPTS | {"mcp-session-id": session, "mcp-protocol-version": "2025-06-18"}
    return httpx.post(address, json={"jsonrpc": "2.0", "id": 2, "method": "ping"}, headers=headers).status_code


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"mcp-session-id": "0" * 32}, 404),
    ],
)
def test_foreign_hosts_origins_and_sessions_are_turned_away(headers: dict[str, str], status: int) -> None:
    with served(FakeModel()) as address:
        answer = greeted(address, **headers)
        assert answer.status_code == status and not LEAK.search(answer.text)
        assert greeted(address).status_code == 200


def test_with_a_key_every_request_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOOMAGENT_API_KEY", "sesame")
    with served(FakeModel()) as address:
        for path in (PATH, "/", "/MCP", PATH + "/", "//healthz"):
            assert greeted(address.removesuffix(PATH) + path).status_code == 401
        assert greeted(address, authorization="Bearer sesam").status_code == 401
        assert greeted(address, authorization="Bearer sesame").status_code == 200


def test_one_address_that_opens_sessions_without_end_ends_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SESSIONS", 6)
    with served(FakeModel()) as address:
        client = greeted(address).headers["mcp-session-id"]
        assert [pinged(address, client) for _ in range(2)] == [200, 200]
        opened = [greeted(address) for _ in range(30)]
        assert {answer.status_code for answer in opened} == {200}
        stay = [pinged(address, answer.headers["mcp-session-id"]) for answer in opened]
        assert stay == [404] * 28 + [200] * 2, "of one address half of all"
        assert pinged(address, client) == 200, "one that is used goes on"


def test_an_idle_session_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE", 0.3)
    with served(FakeModel()) as address:
        headers = ACCEPTS | {"mcp-session-id": greeted(address).headers["mcp-session-id"]}

        async def gone() -> None:
            ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
            await asyncio.sleep(1.0)
            assert httpx.post(address, json=ping, headers=headers).status_code == 404

        asyncio.run(gone())


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"jsonrpc":"2.0"}', b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":7}',
     b'{"jsonrpc":"2.0","id":{},"method":"initialize"}', b"\xff\xfe", b"[" * 5000, json.dumps({"id": 1}).encode()],
)  # fmt: skip
def test_what_is_no_message_is_refused_and_the_server_stays_up(body: bytes) -> None:
    with served(FakeModel()) as address:
        answer = httpx.post(address, content=body, headers=ACCEPTS | {"content-type": "application/json"})
        assert 400 <= answer.status_code < 500 and not LEAK.search(answer.text)
        assert greeted(address).status_code == 200


def test_a_body_beyond_the_bound_is_refused() -> None:
    with served(FakeModel(), Rules(max_body=10_000)) as address:
        assert httpx.post(address, content=b"x" * 10_001, headers=ACCEPTS).status_code == 413


@pytest.mark.slow
def test_ten_thousand_hellos_do_not_fill_the_memory() -> None:
    import resource

    with served(FakeModel()) as address, httpx.Client(timeout=30) as client:
        statuses = [client.post(address, json=HELLO, headers=ACCEPTS).status_code for _ in range(200)]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        statuses += [client.post(address, json=HELLO, headers=ACCEPTS).status_code for _ in range(9_800)]
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert set(statuses) == {200}
    assert grown < 50, f"{grown:.0f} MB"
