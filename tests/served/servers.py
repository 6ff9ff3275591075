"""The servers and the questions that all tests of this folder share, as fixtures. `make test-served` runs them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from questions import Asked, questions
from real_server import LlamaServer, RealServer, VllmServer

LLAMA = bool(os.environ.get("ZOOMAGENT_TEST_LLAMA"))
KEY = "a-key-of-the-second-server"


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def server(logs: Path) -> Iterator[RealServer]:
    """The one that nobody kills. It parses tool calls."""
    made: RealServer = (
        LlamaServer(logs / "first.log")
        if LLAMA
        else VllmServer(logs / "first.log", "--enable-auto-tool-choice", "--tool-call-parser", "hermes")
    )
    with made:
        yield made


@pytest.fixture(scope="session")
def second(logs: Path) -> Iterator[RealServer]:
    """Another one of the same model: it wants a key, works on two requests at a time, and may be killed."""
    made: RealServer = (
        LlamaServer(logs / "second.log", key=KEY)
        if LLAMA
        else VllmServer(logs / "second.log", "--max-num-seqs", "2", key=KEY)
    )
    with made:
        yield made


@pytest.fixture
def keys(second: RealServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second server's key, for it alone."""
    monkeypatch.setenv("ZOOMAGENT_MODEL_KEYS", f"127.0.0.1:{second.port}={KEY}")


@pytest.fixture(scope="session")
def asked() -> list[Asked]:
    return questions(14)


@pytest.fixture(scope="session")
def rows(asked: list[Asked], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same questions, twice over, as a file for `zoomagent batch`."""
    folder = tmp_path_factory.mktemp("rows")
    lines = []
    for number, one in enumerate(asked):
        (folder / f"{number}.png").write_bytes(one.png)
        lines += [
            json.dumps({"id": f"{number} {again}", "image": f"{number}.png", "question": one.question})
            for again in range(3)
        ]
    (folder / "questions.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "questions.jsonl"
