"""The agent over a real vLLM, beside a bare asyncio loop that makes the same calls.

    python benchmarks/served_speed.py --vllm ~/vllm-cpu --questions 32 --at 1,4,16,32 --repeats 3

Starts vLLM with the packaged nano, lets the agent answer the questions, and writes down every request and which of them
were in flight together. Then the same requests are sent by a loop over the `openai` client alone: as many questions at
once as the agent had, the calls of one question in the same order. The two take turns, and vLLM forgets what it has
read before each. The pictures are open already; what that takes is printed too. Printed for each number of questions
at once: questions a second of both and their share, the clients' processor time, the milliseconds of a question
outside the model, and how much of the prompts and pictures vLLM took from its caches. `--pin` gives the server one
processor and the clients another, as on two machines.

`--two` measures two servers instead: all questions about a picture at the same server, beside each call at the next.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import openai

from zoomagent import ZoomAgent
from zoomagent.batch.asking import ranked
from zoomagent.evaluation.run import canvas
from zoomagent.evaluation.sets.haystack import Settings, cases
from zoomagent.media import Picture, open_picture
from zoomagent.models.loading import NANO_WEIGHTS, load_model

SIDE = 1024
STARTUP = 900.0
"""Seconds that a server may take to begin."""

SCRIPT = Path(__file__).parents[1] / "scripts" / "vllm-cpu.sh"

Wave = list[dict[str, Any]]
"""Requests that were in flight together."""


@dataclass(frozen=True)
class Asked:
    """A question, its picture, and the requests that the agent made for it."""

    picture: Picture
    question: str
    waves: tuple[Wave, ...] = ()


@dataclass
class Recorder(httpx2.AsyncBaseTransport):
    """Passes requests on, and keeps those that are sent while it listens: when each began and ended, and its body."""

    inner: httpx2.AsyncBaseTransport = field(default_factory=httpx2.AsyncHTTPTransport)
    listens: bool = False
    sent: list[tuple[float, float, dict[str, Any]]] = field(default_factory=list)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if not self.listens or not request.url.path.endswith("/chat/completions"):
            return await self.inner.handle_async_request(request)
        began, body = time.monotonic(), await request.aread()
        response = await self.inner.handle_async_request(request)
        content = await response.aread()
        await response.aclose()
        self.sent.append((began, time.monotonic(), json.loads(body)))
        return httpx2.Response(response.status_code, headers=response.headers, content=content)

    async def aclose(self) -> None:
        await self.inner.aclose()

    def waves(self) -> tuple[Wave, ...]:
        """What was sent, in its order: a request that began when all before it had ended begins a wave."""
        waves: list[Wave] = []
        end = 0.0
        for began, ended, body in sorted(self.sent, key=lambda sent: sent[0]):
            if began >= end:
                waves.append([])
            waves[-1].append(body)
            end = max(end, ended)
        return tuple(waves)


@dataclass(frozen=True)
class Vllm:
    """A running server, and its own figures."""

    base: str

    def forget(self) -> None:
        """Empty the caches of prefixes and pictures."""
        for cache in ("prefix", "mm", "encoder"):
            httpx2.post(f"{self.base}/reset_{cache}_cache", timeout=60).raise_for_status()

    def counts(self) -> dict[str, float]:
        text = httpx2.get(f"{self.base}/metrics", timeout=60).text
        return {
            name: sum(
                float(value) for value in re.findall(rf"^vllm:{name}_total(?:{{.*}})? (\S+)$", text, re.MULTILINE)
            )
            for name in ("prefix_cache_queries", "prefix_cache_hits", "mm_cache_queries", "mm_cache_hits")
        }


@dataclass(frozen=True)
class Pass:
    """One time through all questions. `processor` is the clients' own; `prefix` and `pictures` the server's hits."""

    seconds: float
    processor: float
    prefix: float
    pictures: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vllm", type=Path, required=True, help="the folder that `scripts/vllm-cpu.sh make` wrote")
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--at", default="1,4,16,32", help="questions at once")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--strategy", default="auto")
    parser.add_argument("--pin", action="store_true", help="one processor for the server, another for the clients")
    parser.add_argument("--two", action="store_true", help="two servers: by picture, and in turn")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if arguments.pin:
        os.sched_setaffinity(0, cores[-1:])
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        pinned = cores[:1] if arguments.pin else cores
        servers = [stack.enter_context(serving(arguments.vllm, folder, pinned)) for _ in range(1 + arguments.two)]
        recorder = Recorder()
        model = load_model(f"{servers[0].base}/v1#nano", connections=64, profile="nano", transport=recorder)
        with ZoomAgent(model, strategy=arguments.strategy) as agent:
            listed = record(agent, recorder, questions(folder, arguments.questions))
            calls = sum(len(wave) for asked in listed for wave in asked.waves)
            waves = sum(len(asked.waves) for asked in listed)
            print(f"{len(listed)} questions, {calls} calls in {waves} steps, strategy {arguments.strategy}")
            if arguments.two:
                compare_routes(servers, listed, arguments.repeats)
            else:
                for at in map(int, arguments.at.split(",")):
                    compare(agent, servers[0], listed, at, arguments.repeats)


def compare(agent: ZoomAgent, server: Vllm, listed: Sequence[Asked], at: int, repeats: int) -> None:
    """The agent and the bare loop in turns, `at` questions at once: the median of each, and of the shares."""
    pairs = []
    for turn in range(repeats):
        ways: list[Callable[[], Awaitable[Any]]] = [
            lambda: agent.abatch([(asked.picture, asked.question) for asked in listed], concurrency=at),
            lambda: replay(listed, at, lambda asked, number: server.base),
        ]
        order = (0, 1) if turn % 2 == 0 else (1, 0)
        taken = {way: timed([server], ways[way]) for way in order}
        pairs.append((taken[0], taken[1]))
    ours, bare = ([pair[i] for pair in pairs] for i in (0, 1))
    share = statistics.median(other.seconds / own.seconds for own, other in pairs)
    apart = statistics.median(own.seconds - other.seconds for own, other in pairs) * 1000 * at / len(listed)
    steps = sum(len(asked.waves) for asked in listed) / len(listed)
    print(
        f"{at:3} at once: agent {rate(ours, listed):6.2f} questions/s, bare loop {rate(bare, listed):6.2f}, "
        f"share {share:6.1%} ({min(b.seconds / a.seconds for a, b in pairs):.1%} to "
        f"{max(b.seconds / a.seconds for a, b in pairs):.1%}); processor {processor(ours, listed):5.1f} and "
        f"{processor(bare, listed):5.1f} ms a question; outside the model {apart:6.1f} ms a question, "
        f"{apart / steps:5.1f} a step; prefix hits {ours[-1].prefix:.1%} and {bare[-1].prefix:.1%}, "
        f"picture hits {ours[-1].pictures:.1%} and {bare[-1].pictures:.1%}",
        flush=True,
    )


def compare_routes(servers: Sequence[Vllm], listed: Sequence[Asked], repeats: int) -> None:
    """Two servers, eight questions at once: each picture at its own server, as `batch` does it, and calls in turn."""
    homes = {asked.picture.id: ranked(asked.picture.id, [s.base for s in servers])[0] for asked in listed}
    routes: dict[str, Callable[[Asked, int], str]] = {
        "by picture": lambda asked, number: homes[asked.picture.id],
        "in turn": lambda asked, number: servers[number % len(servers)].base,
    }
    taken: dict[str, list[Pass]] = {name: [] for name in routes}
    for _ in range(repeats):
        for name, route in routes.items():
            taken[name].append(timed(servers, lambda route=route: replay(listed, 8, route)))  # type: ignore[misc]
    for name, passes in taken.items():
        print(
            f"{name}: {rate(passes, listed):.2f} questions/s, prefix hits {passes[-1].prefix:.1%}, "
            f"picture hits {passes[-1].pictures:.1%}",
            flush=True,
        )


def timed(servers: Sequence[Vllm], work: Callable[[], Awaitable[Any]]) -> Pass:
    """One pass over fresh caches."""
    for server in servers:
        server.forget()
    before = [server.counts() for server in servers]
    began, busy = time.monotonic(), time.process_time()

    async def run() -> None:
        await work()

    asyncio.run(run())
    seconds, busy = time.monotonic() - began, time.process_time() - busy
    after = [server.counts() for server in servers]
    gone = {name: sum(a[name] - b[name] for a, b in zip(after, before, strict=True)) for name in after[0]}
    return Pass(
        seconds,
        busy,
        gone["prefix_cache_hits"] / max(1.0, gone["prefix_cache_queries"]),
        gone["mm_cache_hits"] / max(1.0, gone["mm_cache_queries"]),
    )


async def replay(listed: Sequence[Asked], at: int, route: Callable[[Asked, int], str]) -> None:
    """The same requests by the `openai` client alone, `at` questions at once."""
    free, clients, number = asyncio.Semaphore(at), {}, 0

    async def send(asked: Asked, body: dict[str, Any]) -> None:
        nonlocal number
        base, number = route(asked, number), number + 1
        if base not in clients:
            clients[base] = openai.AsyncOpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0)
        named = {key: body[key] for key in ("model", "messages", "max_tokens", "temperature")}
        await clients[base].chat.completions.create(
            **named, extra_body={key: value for key, value in body.items() if key not in named}
        )

    async def follow(asked: Asked) -> None:
        async with free:
            for wave in asked.waves:
                await asyncio.gather(*(send(asked, body) for body in wave))

    await asyncio.gather(*(follow(asked) for asked in listed))
    await asyncio.gather(*(client.close() for client in clients.values()))


def record(agent: ZoomAgent, recorder: Recorder, listed: Sequence[Asked]) -> list[Asked]:
    """The questions with the requests that the agent makes for each, asked one after the other."""
    found = []
    agent.ask(
        listed[0].picture, listed[0].question
    )  # what is asked of a server once only is none of a question's calls
    recorder.listens = True
    for asked in listed:
        recorder.sent = []
        agent.ask(asked.picture, asked.question)
        found.append(Asked(asked.picture, asked.question, recorder.waves()))
    recorder.listens = False
    return found


def questions(folder: Path, n: int) -> list[Asked]:
    """So many questions about unseen scenes. Their pictures stay open for the whole run."""
    found: list[Asked] = []
    opened: list[float] = []
    for number, (scene, listed) in enumerate(cases(Settings(n=max(n, 6), seeds=(7,), size=SIDE))):
        path = folder / f"{number}.png"
        canvas(scene, SIDE).save(path, compress_level=1)
        began = time.monotonic()
        picture = open_picture(path)
        opened.append(time.monotonic() - began)
        found += [Asked(picture, case.question.text) for case in listed]
    print(f"opening a picture of {SIDE} x {SIDE}: {statistics.median(opened) * 1000:.0f} ms, in a process of its own")
    return found[:n]


def rate(passes: Sequence[Pass], listed: Sequence[Asked]) -> float:
    """Questions a second, by the median."""
    return len(listed) / statistics.median(taken.seconds for taken in passes)


def processor(passes: Sequence[Pass], listed: Sequence[Asked]) -> float:
    """Milliseconds of the clients' processor a question, by the median."""
    return statistics.median(taken.processor for taken in passes) * 1000 / len(listed)


@contextmanager
def serving(environment: Path, folder: Path, cores: Sequence[int]) -> Iterator[Vllm]:
    """vLLM with nano at a free port, on these processors."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *("taskset", "-c", ",".join(map(str, cores))),
        *(str(SCRIPT), "serve", str(environment), str(NANO_WEIGHTS), str(port)),
        *("--served-model-name", "nano", "--dtype", "float32"),
    ]
    # Emptying the caches is for developers of vLLM, and off without this.
    settings = {**os.environ, "VLLM_SERVER_DEV_MODE": "1", "OMP_NUM_THREADS": str(len(cores)), "PYTHONPATH": ""}
    with (folder / f"{port}.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=settings, start_new_session=True)
        try:
            wait_for(process, port, Path(log.name))
            yield Vllm(f"http://127.0.0.1:{port}")
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until the server answers. SystemExit with its log where it does not come up."""
    end = time.monotonic() + STARTUP
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx2.get(f"http://127.0.0.1:{port}/health", timeout=5).is_success:
                return
        except httpx2.HTTPError:
            time.sleep(0.5)
    raise SystemExit(f"vLLM did not come up:\n{log.read_text(errors='replace')[-2000:]}")


if __name__ == "__main__":
    main()
