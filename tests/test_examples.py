"""Every script under examples/ runs against nano and says what its docstring promises.

They run in this process (`runpy`, as `__main__`), so that torch is imported once and warnings are errors in them too;
what they start themselves is a process of its own.
"""

import asyncio
import contextlib
import runpy
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import uvicorn
from fake_server import FakeServer, serve

import zoomagent
from zoomagent.plugins.http.guard import rules_for
from zoomagent.plugins.openai.endpoint import openai_app
from zoomagent.prompts import BOX

EXAMPLES = Path(__file__).parent.parent / "examples"
SAYS = {
    "one_question": ["What is written on the yellow circle? 21", "micro", "mattered: True"],
    "streaming": ["look", "search", "prove", "answer     21"],
    "several_questions": ["('What is written on the yellow circle?',): '21'", "'', refused bad_question"],
    "batch_file": ['"accuracy": 1.0', "circle: '21' answered", "nothing: '' not_a_file"],
    "langgraph_subgraph": ["scene.jpg: number 21"],
    "langgraph_supervisor": ["tool   21", "evidence ['text', 'image'] [1613, 3542, 1818, 3747]"],
    "mcp_client": ["'answer_about_image', 'crop'", "search: Looked at", "answer 21", "bytes of image/jpeg"],
    "agents_sdk": ["tool ['text', 'image'] 21", "agent The number"],
    "custom_tool": ["yellow circle: found at", "purple elephant: not found"],
    "custom_policy": ["The detector points.", "the crops mattered", "answer     21 answered"],
    "confidence_threshold": ["at most 0.1 wrong: '21'", "at most 0.01 wrong: 'Cannot tell'", "withheld: '21'"],
    "own_checkpointer": ["answer 21", "without a call: True", "run_mismatch"],
}
TOLD_APART = {"served_model", "openai_client", "inspect_task"}
"""Run below, by test_example.py, and by the test of the endpoint."""


def run(name: str, *arguments: str) -> None:
    before = sys.argv
    sys.argv = [str(EXAMPLES / f"{name}.py"), *arguments]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as left:
        assert not left.code, f"left with {left.code}"
    finally:
        sys.argv = before


@pytest.mark.parametrize("name", SAYS)
def test_the_example_runs_and_says_what_it_promises(
    name: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOOMAGENT_IMAGES", "")  # put back afterwards, whatever the example sets
    run(name)
    said = capfd.readouterr().out
    assert [words for words in SAYS[name] if words not in said] == [], said


@contextlib.contextmanager
def served(server: FakeServer) -> Iterator[str]:
    """The server's address, with its loop in a thread."""
    loop, up, addresses = asyncio.new_event_loop(), threading.Event(), []
    done = asyncio.Event()

    async def live() -> None:
        async with serve(server) as address:
            addresses.append(address)
            up.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(live()))
    thread.start()
    try:
        assert up.wait(10)
        yield addresses[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(10)
        loop.close()


def test_the_served_model_example_asks_the_server_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    server = FakeServer(brain=lambda seen: "[400, 800, 500, 900]" if BOX in str(seen) else "21")
    with served(server) as address:
        run("served_model", f"{address}#qwen3-vl")
    said = capsys.readouterr().out
    assert said.startswith("answered") and " 21 " in said.splitlines()[0] and len(server.requests) >= 3


def test_the_client_of_the_endpoint_is_told_the_steps_and_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    with zoomagent.ZoomAgent() as agent, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        app = cast(Any, openai_app(agent, rules_for("127.0.0.1", None)))
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [free]}, daemon=True)
        thread.start()
        run("openai_client", f"http://127.0.0.1:{free.getsockname()[1]}/v1")
        running.should_exit = True
        thread.join(10)
    said = capsys.readouterr().out
    assert (
        "Looked at the whole picture" in said
        and "\n21\nconfidence" in said
        and "boxes [{'pixels': [1613, 3542, 1818, 3747]" in said
    )


def test_every_example_is_run() -> None:
    assert {script.stem for script in EXAMPLES.glob("*.py")} == set(SAYS) | TOLD_APART
