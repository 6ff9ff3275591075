"""`langgraph dev` as Studio uses it: no login, runs over HTTP, steps as they happen, interrupts, resuming, forks."""

import asyncio
import base64
import io
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from langgraph_sdk import get_client
from PIL import Image
from studio_world import graph_server
from zoom_world import READ_BIG, READ_FAR, SCENE, SIDE

from zoomagent.data.world.render import render

pytest.importorskip("langgraph_api", reason="needs the extra: pip install zoomagent[studio]")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals")]

CONTEXT: dict[str, Any] = {"model": "nano", "budget": {"calls": 12}}
BOX = [200, 700, 450, 950]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("studio")
    Image.fromarray(render(SCENE, SIDE, SIDE, full_side=SIDE)).save(made / "scene.png")
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    with graph_server(folder) as url:
        yield url


def question(image: str = "scene.png", text: str = READ_FAR.text) -> dict[str, Any]:
    return {"image": image, "question": text}


@asynccontextmanager
async def new_thread(url: str) -> AsyncIterator[tuple[Any, str]]:
    async with get_client(url=url) as client:
        yield client, (await client.threads.create())["thread_id"]


@pytest.mark.parametrize("graph", ["zoom", "macro_micro"])
def test_a_question_is_answered_over_http_without_a_login(server: str, graph: str) -> None:
    strategy = "auto" if graph == "zoom" else "dualfocus"

    async def ask() -> Any:
        async with new_thread(server) as (client, thread):
            return await client.runs.wait(thread, graph, input=question(), context=CONTEXT | {"strategy": strategy})

    state = asyncio.run(ask())
    assert state["outcome"]["kind"] in ("answered", "answered_degraded"), state
    assert state["verdict"]["text"] and len(state["calls"]) <= 12


def test_a_picture_may_come_as_a_data_url(server: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (320, 240), "grey").save(buffer, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"

    async def ask() -> Any:
        async with new_thread(server) as (client, thread):
            return await client.runs.wait(thread, "zoom", input=question(url), context=CONTEXT)

    assert asyncio.run(ask())["outcome"]["kind"].startswith("answered")


@pytest.mark.parametrize("image", ["/etc/hostname", "../../secret.png", "http://127.0.0.1:1/x.png"])
def test_no_other_file_or_address_is_opened(server: str, image: str) -> None:
    async def ask() -> Any:
        async with new_thread(server) as (client, thread):
            return await client.runs.wait(thread, "zoom", input=question(image), context=CONTEXT)

    assert asyncio.run(ask())["outcome"]["kind"] == "refused"


def test_steps_are_streamed_as_they_happen(server: str) -> None:
    async def nodes() -> list[str]:
        async with new_thread(server) as (client, thread):
            seen = []
            context = CONTEXT | {"strategy": "search"}
            async for part in client.runs.stream(
                thread, "zoom", input=question(), context=context, stream_mode="updates"
            ):
                assert part.event != "error", part.data
                if part.event == "updates":
                    seen += list(part.data)
            return seen

    seen = asyncio.run(nodes())
    assert seen[:3] == ["look", "decide", "name"] and seen[-1] == "arbitrate"


def test_a_run_stops_before_a_zoom_resumes_and_forks(server: str) -> None:
    async def steer() -> tuple[Any, Any, Any, Any]:
        async with new_thread(server) as (client, thread):
            context = CONTEXT | {"strategy": "locate", "check": False}
            await client.runs.wait(thread, "zoom", input=question(), context=context, interrupt_before=["check"])
            before = await client.threads.get_state(thread)
            await client.runs.wait(thread, "zoom", input=None, context=context)
            after = await client.threads.get_state(thread)
            redrawn = [{**target, "fate": "located", "box": BOX, "crop": ""} for target in before["values"]["targets"]]
            forked = await client.threads.update_state(thread, {"targets": redrawn}, checkpoint=before["checkpoint"])
            other = await client.runs.wait(thread, "zoom", input=None, context=context, checkpoint=forked["checkpoint"])
            return before, after, other, await client.threads.get_history(thread, limit=50)

    before, after, other, history = asyncio.run(steer())
    assert before["next"] == ["check"] and "outcome" not in before["values"]
    assert after["values"]["outcome"] and not after["next"]
    assert all(target["box"] == BOX for target in other["targets"] if target["crop"])
    assert any(target["crop"] for target in other["targets"]) and other["outcome"]
    assert len(history) > 6


def test_a_person_redraws_the_box(server: str) -> None:
    async def steer() -> tuple[Any, Any]:
        async with new_thread(server) as (client, thread):
            context = CONTEXT | {"strategy": "locate", "check": False, "confirm": True}
            waiting = await client.runs.wait(thread, "zoom", input=question(text=READ_BIG.text), context=context)
            asked = waiting["__interrupt__"][0]["value"]["zoom_into"]
            word = {target["id"]: BOX for target in asked}
            return asked, await client.runs.wait(thread, "zoom", command={"resume": word}, context=context)

    asked, state = asyncio.run(steer())
    assert asked and state["outcome"]["kind"].startswith("answered")
    assert [target["box"] for target in state["targets"] if target["crop"]] == [BOX] * len(asked)


def test_both_graphs_and_their_settings_are_listed(server: str) -> None:
    async def listed() -> tuple[list[str], list[Any]]:
        async with get_client(url=server) as client:
            assistants = await client.assistants.search()
            schemas = [await client.assistants.get_schemas(one["assistant_id"]) for one in assistants]
            return [one["graph_id"] for one in assistants], schemas

    names, schemas = asyncio.run(listed())
    assert sorted(names) == ["macro_micro", "zoom"]
    assert all("confirm" in schema["context_schema"]["properties"] for schema in schemas)


def test_mcp_lists_the_graphs(server: str) -> None:
    body = b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}'
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    request = urllib.request.Request(f"{server}/mcp", data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=20) as reply:
        text = reply.read().decode()
    assert '"zoom"' in text and '"macro_micro"' in text


def test_nothing_blocked_or_failed_behind_the_scenes(server: str, folder: Path) -> None:
    log = (folder / "log").read_text()
    assert "BlockingError" not in log and "Traceback" not in log, log[-3000:]
