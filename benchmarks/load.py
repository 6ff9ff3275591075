"""Many clients at the OpenAI-compatible endpoint, beside the same calls made straight to the model's server.

    python benchmarks/load.py --clients 64 --seconds 60 --latency 2

Three processes: a scripted model server of fixed latency (`load_model.py`), `zoomagent serve openai` before it, and the
clients here, which ask one question after the other, each with its picture. First they make the calls of a question
(three, for `dualfocus`) straight to the server, then they ask the endpoint. Printed: questions a second both ways,
errors, how long a question took, the endpoint's processor time and memory, and the load of the machine. Linux only:
memory and processor time are read from /proc.
"""

import argparse
import asyncio
import base64
import io
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import numpy as np
import orjson
from load_model import BOX_2D, NAME, WORD
from PIL import Image

from zoomagent.media import open_picture
from zoomagent.models.profiles import profile_for
from zoomagent.models.server.wire import data_url
from zoomagent.prompts import box_prompt, macro_prompt, micro_prompt
from zoomagent.tools.viewing import ViewStore
from zoomagent.tools.zooming import zoom

QUESTION = "What is written there?"
CALLS = 3
STARTUP = 180.0
"""Seconds that the servers may take to begin."""

Client = httpx2.AsyncClient
Ask = Callable[[Client], Awaitable[bool]]


@dataclass
class Counted:
    """What the clients saw: `right` answers within `seconds`, and how long each `took`. `memory` is the endpoint's, in
    MB, a sample a second."""

    right: int = 0
    wrong: int = 0
    seconds: float = 0.0
    took: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.right / self.seconds


def picture(side: int) -> str:
    """A data URL of a noisy picture, which is as large as a photograph is."""
    noise = np.random.default_rng(1).integers(0, 255, (side // 8, side // 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def body_of(model: str, text: str, *images: str) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": image}} for image in images]
    return {"model": model, "messages": [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]}


def straight(url: str, image: str) -> Ask:
    """The calls that `dualfocus` makes for a question, one after the other, with the views that it sends."""
    with open_picture(image) as opened:
        views = ViewStore(opened, profile_for(NAME))
        whole = views.whole()["id"]
        crop = zoom(views, whole, list(BOX_2D)).views[0]["id"]
        first, second = data_url(views.image(whole)), data_url(views.image(crop))
    bodies = [
        orjson.dumps(body_of(NAME, macro_prompt(QUESTION), first)),
        orjson.dumps(body_of(NAME, box_prompt(QUESTION, "thousand"), first)),
        orjson.dumps(body_of(NAME, micro_prompt(QUESTION), first, second)),
    ]

    async def ask(client: Client) -> bool:
        replies = [await client.post(f"{url}/chat/completions", content=body) for body in bodies]
        return all(reply.status_code == 200 for reply in replies) and _said(replies[-1]) == WORD

    return ask


def through(url: str, image: str) -> Ask:
    """The question, to the endpoint."""
    body = orjson.dumps(body_of("zoomagent", QUESTION, image))

    async def ask(client: Client) -> bool:
        reply = await client.post(f"{url}/chat/completions", content=body)
        return reply.status_code == 200 and _said(reply) == WORD and reply.json()["zoomagent"]["outcome"] == "answered"

    return ask


def _said(reply: httpx2.Response) -> Any:
    return reply.json()["choices"][0]["message"]["content"]


async def load(ask: Ask, clients: int, seconds: float, warm: float, watched: int | None = None) -> Counted:
    """What `clients` see who ask again as soon as they are answered. They come one by one within `warm` seconds, and
    what ends in the `seconds` that begin after twice that is counted; what fails is counted always."""
    counted, began = Counted(seconds=seconds), time.monotonic()
    begin, end = began + 2 * warm, began + 2 * warm + seconds

    async def one(number: int) -> None:
        await asyncio.sleep(warm * number / clients)
        async with httpx2.AsyncClient(timeout=120) as client:
            while (asked := time.monotonic()) < end:
                right = await _asked(ask, client)
                now = time.monotonic()
                counted.wrong += not right
                if right and begin <= now < end:
                    counted.right += 1
                    counted.took.append(now - asked)

    async def watch() -> None:
        await asyncio.sleep(begin - began)
        while watched is not None and time.monotonic() < end:
            counted.memory.append(memory_of(watched))
            await asyncio.sleep(1)

    await asyncio.gather(watch(), *(one(number) for number in range(clients)))
    return counted


async def _asked(ask: Ask, client: Client) -> bool:
    try:
        return await ask(client)
    except httpx2.HTTPError:
        return False


def memory_of(pid: int) -> float:
    """Resident memory in MB."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor_of(pid: int) -> float:
    """Seconds of processor time."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(*command: str) -> Iterator[tuple[int, str]]:
    """A server in a process of its own: its id, and its base URL once it answers. `PORT` in the command is a free
    one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", *(part.replace("PORT", str(port)) for part in command)])
    url = f"http://127.0.0.1:{port}/v1"
    try:
        _wait_for(f"{url}/models")
        yield process.pid, url
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(url: str) -> None:
    end = time.monotonic() + STARTUP
    while True:
        try:
            httpx2.get(url, timeout=5).raise_for_status()
            return
        except httpx2.HTTPError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each way is asked")
    parser.add_argument("--latency", type=float, default=2.0, help="seconds a call of the model takes")
    parser.add_argument("--side", type=int, default=512, help="side of the picture in pixels")
    given = parser.parse_args()
    image, clients, warm = picture(given.side), str(given.clients), CALLS * given.latency
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; picture of {len(image)} bytes")
    with running("load_model", "--port", "PORT", "--latency", str(given.latency)) as (_, model):
        bare = asyncio.run(load(straight(model, image), given.clients, given.seconds, warm))
        _print("straight", bare)
        serve = ("zoomagent.cli", "serve", "openai", "--port", "PORT", "--strategy", "dualfocus", "--at-once", clients)
        with running(*serve, "--model", f"{model}#{NAME}") as (pid, url):
            before, began = processor_of(pid), time.monotonic()
            found = asyncio.run(load(through(url, image), given.clients, given.seconds, warm, pid))
            share = (processor_of(pid) - before) / (time.monotonic() - began)
    _print("endpoint", found)
    print(f"endpoint throughput is {found.rate / bare.rate:.1%} of the straight calls'")
    print(f"processor {share:.0%} of a core; memory {_quarters(found.memory)} MB, by quarters of the time")
    print(f"load average after: {os.getloadavg()[0]:.1f}")


def _quarters(samples: list[float]) -> list[int]:
    """The mean of each quarter."""
    quarter = max(1, len(samples) // 4)
    return [round(statistics.fmean(samples[i : i + quarter])) for i in range(0, 4 * quarter, quarter)]


def _print(name: str, counted: Counted) -> None:
    took = sorted(counted.took)
    middle, late = statistics.median(took), took[int(0.99 * (len(took) - 1))]
    print(
        f"{name:9} {counted.rate:6.2f} questions a second, {counted.wrong} errors, {counted.right} answers, "
        f"median {middle:.2f} s, 99 % {late:.2f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
