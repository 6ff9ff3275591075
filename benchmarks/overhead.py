"""What the orchestration costs: time per question outside the model, with a model that answers at once.

    python benchmarks/overhead.py --n 100

Prints milliseconds per question for each strategy, and for dualfocus with a checkpoint file: the median waited for, and
the processor time (which a busy machine does not stretch). The picture is small and open already, so that what is
measured is the graph; `--size 4096` adds the price of rendering views, which the first line shows alone. Then the same
beside a loop written by hand over the openai client (`by_hand.py`), by processor time: how many times as long the agent
takes, and what each of its steps adds.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

from by_hand import beside
from PIL import Image

from zoomagent.agent import ZoomAgent
from zoomagent.media import Picture, open_picture
from zoomagent.models.base import Likelihood, Message, Pixels, Reply, Token, Usage
from zoomagent.models.profiles import NANO, Profile
from zoomagent.strategy import Strategy
from zoomagent.tools.viewing import ViewStore
from zoomagent.tools.zooming import zoom

BOX = [400.0, 400.0, 450.0, 450.0]


class Instant:
    """A model that answers at once: a box when asked for one, else another word with the crop than without it."""

    name = "instant"

    def __init__(self, profile: Profile = NANO) -> None:
        self.profile = profile

    async def generate(self, messages: Sequence[Message], **options: Any) -> list[Reply]:
        views = sum(isinstance(part, Pixels) for message in messages for part in message.parts)
        last = messages[-1].parts[-1]
        wants_box = views == 1 and "bounding box" in getattr(last, "text", "")
        text = str(BOX) if wants_box else f"word {views}"
        return [Reply(text, "stop", (Token(text, -0.1),), usage=Usage(50, 5))]

    async def score(
        self, messages: Sequence[Message], continuations: Sequence[str], **options: Any
    ) -> list[Likelihood] | None:
        return [Likelihood(-1.0 / (i + 1), 1) for i in range(len(continuations))]

    async def aclose(self) -> None:
        """Nothing to give back."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=100, help="questions per line")
    parser.add_argument("--size", type=int, default=512, help="side of the picture in pixels")
    arguments = parser.parse_args()
    with open_picture(Image.new("RGB", (arguments.size, arguments.size), "grey")) as picture:
        for name, waited, processor in measure(picture, arguments.n):
            print(f"{name:34} median {waited:7.2f} ms   processor {processor:7.2f} ms")
    for row in [*beside("nano", arguments.size, arguments.n), *beside("qwen3-vl", arguments.size, arguments.n)]:
        times = f"agent {row.agent_processor:7.2f} ms   by hand {row.by_hand_processor:7.2f} ms"
        share = f"{row.ratio:5.2f} times   {row.per_step:6.2f} ms more per step"
        print(f"{row.name:22} {row.calls} calls, {row.steps} steps   {times}   {share}")


def measure(picture: Picture, n: int) -> list[tuple[str, float, float]]:
    """Median milliseconds waited and mean milliseconds of processor time per question, per configuration."""
    rows = [("rendering the two views alone", *_timed(lambda i: _render(picture), n))]
    for strategy in get_args(Strategy):
        with ZoomAgent(Instant(), strategy=strategy) as agent:
            rows.append((strategy, *_timed(partial(_ask, agent, picture), n)))
    with tempfile.TemporaryDirectory() as folder, ZoomAgent(Instant(), checkpointer=Path(folder) / "runs") as agent:
        rows.append(("dualfocus with a checkpoint file", *_timed(partial(_ask_kept, agent, picture), n)))
    return rows


def _ask(agent: ZoomAgent, picture: Picture, i: int) -> None:
    agent.ask(picture, "What is written there?")


def _ask_kept(agent: ZoomAgent, picture: Picture, i: int) -> None:
    agent.ask(picture, "What is written there?", thread_id=f"run-{i}")


def _render(picture: Picture) -> None:
    views = ViewStore(picture, NANO)
    whole = views.whole()["id"]
    views.image(whole)
    views.image(zoom(views, whole, BOX).views[0]["id"])


def _timed(work: Callable[[int], None], n: int) -> tuple[float, float]:
    work(-1)
    times, processor = [], time.process_time()
    for i in range(n):
        began = time.perf_counter()
        work(i)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times), (time.process_time() - processor) * 1000 / n


if __name__ == "__main__":
    main()
