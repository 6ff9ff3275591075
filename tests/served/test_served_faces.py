"""A real server behind zoomagent's own faces: the endpoint in front of it, and the bench."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai_world import served
from questions import Asked
from real_server import PATIENCE, RealServer

from zoomagent import ZoomAgent

pytest_plugins = ["servers"]
pytestmark = pytest.mark.served


def test_the_endpoint_in_front_of_the_server_gives_the_agents_answer(server: RealServer, asked: list[Asked]) -> None:
    settings: dict[str, Any] = {"strategy": "auto", "rule": "learned", "profile": "nano"}
    with served(server.url, **settings) as address, ZoomAgent(server.url, profile="nano") as agent:
        for one in asked[:6]:
            url = f"data:image/png;base64,{base64.b64encode(one.png).decode()}"
            content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": one.question}]
            body = {"model": "zoomagent", "messages": [{"role": "user", "content": content}]}
            reply = httpx2.post(f"{address}/chat/completions", json=body, timeout=PATIENCE).json()
            assert reply["choices"][0]["message"]["content"] == agent.ask(one.picture, one.question).text
            assert reply["usage"]["prompt_tokens"] > 0


def haystack(model: str, out: Path, *options: str) -> dict[str, dict[str, Any]]:
    """The rows over all kinds, by strategy."""
    command = [sys.executable, "-m", "zoomagent.cli", "bench", "haystack", "--model", model, "--json", str(out)]
    settings = ["--n", "30", "--size", "1024", "--strategy", "macro,dualfocus,auto"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, *settings, *options], check=True, timeout=PATIENCE, env=environment)
    return {row["strategy"]: row for row in json.loads(out.read_text())["rows"] if row["kind"] == "all"}


def test_the_bench_over_the_wire_is_within_the_intervals_of_the_bench_in_this_process(
    server: RealServer, tmp_path: Path
) -> None:
    here = haystack("nano", tmp_path / "here.json")
    there = haystack(server.url, tmp_path / "there.json", "--profile", "nano")
    assert set(here) == set(there) == {"macro", "dualfocus", "auto"}
    for strategy, row in here.items():
        other = there[strategy]
        assert row["low"] <= other["accuracy"] <= row["high"], strategy
        assert other["low"] <= row["accuracy"] <= other["high"], strategy
        assert other["errors"] == 0
        if server.scores_given:
            # A choice that is not among the server's twenty alternatives costs a request for each choice: more calls.
            assert other["accuracy"] == row["accuracy"] and other["calls"] >= row["calls"]
