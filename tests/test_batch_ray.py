"""A batch on a Ray cluster of this machine: two workers, one of them killed midway; nothing lost, nothing doubled."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from batch_kills import PICTURE
from fake_server import FakeServer, Seen, serve

ray = pytest.importorskip("ray", reason="needs the extra ray: pip install 'zoomagent[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::FutureWarning:ray.*")]

from zoomagent.batch import cluster  # noqa: E402
from zoomagent.batch.answers import AnswerFile  # noqa: E402
from zoomagent.batch.asking import Setup  # noqa: E402
from zoomagent.batch.rows import Row  # noqa: E402
from zoomagent.batch.running import answer_all  # noqa: E402
from zoomagent.batch.tally import Tally  # noqa: E402

ROWS = 80


def echoing(seen: Seen) -> str:
    """The number in the question, after a moment."""
    time.sleep(0.02)
    return seen.text.split("number ")[1].split("?")[0]


def rows() -> list[Row]:
    """Each about a picture of its own, so that both workers get some."""
    return [Row(f"r{i}", i + 1, f"{i}.png", f"number {i}?", answer=str(i)) for i in range(ROWS)]


async def killed_midway(folder: Path) -> tuple[Tally, list[int], list[int]]:
    """The batch's counts, and the workers' process ids before and after."""
    server, out = FakeServer(echoing), folder / "answers.jsonl"
    async with serve(server) as url:
        setup = Setup((f"{url}#qwen3-vl",), folder, settings={"strategy": "macro"})
        ray.init(num_cpus=2, object_store_memory=100 * 2**20, include_dashboard=False, log_to_driver=False)
        workers = cluster.started(setup, 2, concurrency=4)
        before = [await worker.pid.remote() for worker in workers]

        async def kill() -> None:
            while out.read_bytes().count(b"\n") < ROWS // 8:
                await asyncio.sleep(0.01)
            os.kill(before[0], signal.SIGKILL)

        with AnswerFile(out, setup.kept) as file:
            killing = asyncio.create_task(kill())
            tally = await answer_all(rows(), cluster.asker(workers), file, 4)
            await killing
        return tally, before, [await worker.pid.remote() for worker in workers]


def test_a_worker_killed_midway_loses_and_doubles_nothing(tmp_path: Path) -> None:
    import base64

    content = base64.b64decode(PICTURE.partition(",")[2])
    for i in range(ROWS):
        (tmp_path / f"{i}.png").write_bytes(content)
    try:
        tally, before, after = asyncio.run(killed_midway(tmp_path))
    finally:
        ray.shutdown()
    lines = (tmp_path / "answers.jsonl").read_text().splitlines()
    assert len(lines) == ROWS == len(set(lines)) and (tally.answered, tally.right) == (ROWS, ROWS)
    assert before[0] != after[0] and before[1] == after[1], "one worker was started again"
