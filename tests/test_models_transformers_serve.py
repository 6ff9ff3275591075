"""`transformers serve` really running on this machine's CPU, with the packaged weights, talked to over a socket.

Slow (about a minute): `pytest -m slow tests/test_models_transformers_serve.py`. Needs fastapi and uvicorn, and no
torchvision: see serve_transformers.py. Where the packaged weights are missing, a random checkpoint of the same kind is
served; its answers mean nothing, but they must be the same over HTTP as in-process.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from tiny_checkpoint import save_tiny

from zoomagent.errors import ServerError
from zoomagent.models.base import Message, Pixels, Text
from zoomagent.models.doctor import examine
from zoomagent.models.loading import NANO_WEIGHTS
from zoomagent.models.local.in_process import InProcessModel
from zoomagent.models.server.openai_server import OpenAIModel

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).with_name("serve_transformers.py")
START = 300.0
PATIENT: dict[str, Any] = {"idle": 300.0, "run": 300.0}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if list(NANO_WEIGHTS.glob("*.safetensors")):
        return NANO_WEIGHTS
    return save_tiny(tmp_path_factory.mktemp("served") / "nano")


@pytest.fixture(scope="module")
def base_url(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("hub")
    (home / "hub").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        str(SCRIPT),
        str(checkpoint),
        "--port",
        str(port),
        "--device",
        "cpu",
        "--dtype",
        "float32",
    ]
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            wait_until_up(f"http://localhost:{port}/health", process, home / "log")
            yield f"http://localhost:{port}/v1"
        finally:
            process.terminate()
            process.wait(timeout=20)


def wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(f"not up in {START} s: {log.read_text()[-2000:]}")


def question(size: tuple[int, int], colour: str) -> list[Message]:
    image = Image.new("RGB", size, "grey")
    ImageDraw.Draw(image).rectangle((20, 16, 60, 56), fill=colour)
    return [Message("user", (Pixels(f"{size}{colour}", image), Text("What colour is the square?")))]


def test_a_served_model_says_what_it_says_in_process(base_url: str, checkpoint: Path) -> None:
    async def scenario() -> None:
        here = InProcessModel(str(checkpoint))
        served = OpenAIModel(base_url, str(checkpoint), profile=here.profile, **PATIENT)
        for told in (question((128, 128), "red"), question((112, 80), "blue")):
            [mine], [theirs] = await here.generate(told, max_tokens=6), await served.generate(told, max_tokens=6)
            assert theirs.text.strip() == mine.text.strip()
            assert theirs.usage.visual_tokens == mine.usage.visual_tokens
            assert theirs.usage.prompt_tokens == mine.usage.prompt_tokens
        await here.aclose()
        await served.aclose()

    asyncio.run(scenario())


def test_what_the_server_ignores_is_found_by_its_answers(base_url: str, checkpoint: Path) -> None:
    async def scenario() -> None:
        served = OpenAIModel(base_url, str(checkpoint), **PATIENT)
        told = question((128, 128), "red")
        [reply] = await served.generate(told, max_tokens=4)
        assert reply.tokens is None and await served.score(told, ["Yes", "No"]) is None
        assert len(await served.generate(told, max_tokens=4, n=3, temperature=1.0)) == 3 and served.ignores_n
        report = await examine(served)
        works = {check.name: check.works for check in report.checks}
        assert works["likelihood of its replies"] == works["likelihood of given text"] == "no"
        assert works["several samples in one call"] == "no"
        await served.aclose()

    asyncio.run(scenario())


def test_a_model_it_does_not_have_is_an_error(base_url: str) -> None:
    async def scenario() -> None:
        served = OpenAIModel(base_url, "no/such-model")
        with pytest.raises(ServerError):
            await served.generate([Message("user", (Text("Hi"),))], max_tokens=2, deadline=time.monotonic() + 20)
        await served.aclose()

    asyncio.run(scenario())
