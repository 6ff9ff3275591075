"""A real server that is slow, full, cancelled or killed loses nobody's answer."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from questions import Asked
from real_server import PATIENCE, RealServer

from zoomagent import ZoomAgent

pytest_plugins = ["servers"]
pytestmark = pytest.mark.served

LATER = 75
"""The exit code of a batch that put questions off."""


def batch(rows: Path, out: Path, *servers: RealServer, concurrency: int = 4) -> subprocess.Popen[bytes]:
    models = [word for server in servers for word in ("--model", server.url)]
    command = [sys.executable, "-m", "zoomagent.cli", "batch", str(rows), "--out", str(out), *models]
    options = ["--profile", "nano", "--strategy", "dualfocus", "--concurrency", str(concurrency)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*command, *options], env=environment)


def lines(out: Path) -> list[dict[str, object]]:
    if not out.exists():
        return []
    whole = out.read_bytes().rpartition(b"\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def wait_for_lines(out: Path, count: int, running: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while len(lines(out)) < count:
        assert running.poll() is None and time.monotonic() < end, f"{len(lines(out))} lines only"
        time.sleep(0.05)


def expected(asked: list[Asked]) -> list[str]:
    with ZoomAgent("nano", strategy="dualfocus") as agent:
        return [agent.ask(one.picture, one.question).text for one in asked]


def check(out: Path, rows: Path, wanted: list[str]) -> None:
    """Every question once, answered in full, with the answer that an undisturbed run gives."""
    given = {str(line["id"]): line for line in lines(out)}
    ids = [json.loads(line)["id"] for line in rows.read_text().splitlines()]
    assert sorted(given) == sorted(ids) and len(lines(out)) == len(ids)
    for name, line in given.items():
        assert line["outcome"] == "answered", (name, line["outcome"], line["code"])
        assert line["answer"] == wanted[int(name.split()[0])], name


@pytest.mark.usefixtures("keys")
def test_a_batch_whose_only_server_dies_goes_on_when_it_is_back(
    second: RealServer, rows: Path, asked: list[Asked], tmp_path: Path
) -> None:
    out = tmp_path / "answers.jsonl"
    with batch(rows, out, second) as running:
        wait_for_lines(out, 5, running)
        second.kill()
        assert running.wait(PATIENCE) == LATER
    kept = lines(out)
    assert 5 <= len(kept) < len(rows.read_text().splitlines())
    second.start()
    with batch(rows, out, second) as running:
        assert running.wait(PATIENCE) == 0
    assert lines(out)[: len(kept)] == kept
    if second.scores_given:
        check(out, rows, expected(asked))


@pytest.mark.usefixtures("keys")
def test_a_batch_over_two_servers_loses_nothing_when_one_is_killed(
    server: RealServer, second: RealServer, rows: Path, asked: list[Asked], tmp_path: Path
) -> None:
    out = tmp_path / "answers.jsonl"
    try:
        with batch(rows, out, server, second) as running:
            wait_for_lines(out, 5, running)
            second.kill()
            assert running.wait(PATIENCE) == 0
    finally:
        second.start()
    if second.scores_given:
        check(out, rows, expected(asked))


@pytest.mark.usefixtures("keys")
def test_more_clients_than_the_server_works_on_are_all_answered(second: RealServer, asked: list[Asked]) -> None:
    many = [asked[number % len(asked)] for number in range(32)]
    with ZoomAgent(second.url, strategy="dualfocus", profile="nano", connections=32) as agent:
        answers = agent.batch([(one.picture, one.question) for one in many], concurrency=32)
    assert {answer.outcome.kind for answer in answers} == {"answered"}
    if second.scores_given:
        wanted = expected(asked)
        assert [answer.text for answer in answers] == [wanted[number % len(asked)] for number in range(32)]


def test_an_ask_that_is_cancelled_ends_in_the_server(server: RealServer, asked: list[Asked]) -> None:
    """By the server's own count. The reply would go on for 3,000 tokens."""

    async def counted(least: float, most: float) -> None:
        end = time.monotonic() + PATIENCE
        while not least <= await asyncio.to_thread(server.running) <= most:
            assert time.monotonic() < end
            await asyncio.sleep(0.05)

    async def cancel() -> None:
        forever: dict[str, Any] = {"extra_body": {"ignore_eos": True}, "max_tokens": 3000, "profile": "nano"}
        with ZoomAgent(server.url, strategy="macro", **forever) as agent:
            asking = [asyncio.create_task(agent.aask(one.picture, one.question)) for one in asked[:4]]
            await counted(1, 4)
            for task in asking:
                task.cancel()
            ended = await asyncio.gather(*asking, return_exceptions=True)
            assert all(isinstance(one, asyncio.CancelledError) for one in ended)
            await counted(0, 0)

    if server.scores_given:
        done = server.measured("vllm:generation_tokens_total")
        asyncio.run(cancel())
        assert server.measured("vllm:generation_tokens_total") - done < 4 * 3000
    else:
        asyncio.run(cancel())
