"""A published set on a Ray cluster of this machine: two workers, one of them killed midway; nothing lost or doubled."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from fake_server import FakeServer, Seen, serve

ray = pytest.importorskip("ray", reason="needs the extra ray: pip install 'zoomagent[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::FutureWarning:ray.*")]

from zoomagent.batch.cluster import started  # noqa: E402
from zoomagent.evaluation import public_cluster  # noqa: E402
from zoomagent.evaluation.public import Plan, measure  # noqa: E402
from zoomagent.evaluation.results import Result, ResultFile, load  # noqa: E402
from zoomagent.evaluation.sets.public.catalogue import SETS, check  # noqa: E402
from zoomagent.evaluation.sets.public.drawing import draw_set  # noqa: E402
from zoomagent.models.loading import load_model  # noqa: E402

N = 40


def slowly(seen: Seen) -> str:
    time.sleep(0.02)
    return "A"


def plan_in(folder: Path) -> Plan:
    draw_set(SETS["vstar"], folder, N, 256)
    return Plan(SETS["vstar"], folder, check(SETS["vstar"], folder, part=True), ("p2r",), (0,), at_once=4)


def killed_midway(plan: Plan, url: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> list[Result]:
    """The results, where the first worker is killed when some are there."""
    pids: list[int] = []

    def watched(*arguments: object) -> list[object]:
        workers = started(*arguments)  # type: ignore[arg-type]
        pids.append(ray.get(workers[0].pid.remote()))
        return workers

    def kill(done: int) -> None:
        if pids and done > N // 4:
            os.kill(pids.pop(), signal.SIGKILL)

    monkeypatch.setattr(public_cluster, "started", watched)
    ways = tuple(plan.ways(0))
    setup = public_cluster.Setup(plan.kind.rule, ways, (url,), {})
    found = public_cluster.measure_on_ray(plan, lambda pixels: ("qwen3-vl", setup), 2, ResultFile(file), kill)
    assert not pids, "a worker was killed"
    return found


def test_a_worker_killed_midway_loses_and_doubles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, file = plan_in(tmp_path / "set"), tmp_path / "results.jsonl"

    async def served() -> tuple[list[Result], list[Result]]:
        async with serve(FakeServer(slowly)) as address:
            url = f"{address}#qwen3-vl"
            found = await asyncio.to_thread(killed_midway, plan, url, file, monkeypatch)
            alone = await asyncio.to_thread(measure, plan, lambda pixels: ("qwen3-vl", load_model(url)))
            return found, alone

    ray.init(num_cpus=2, object_store_memory=100 * 2**20, include_dashboard=False, log_to_driver=False)
    try:
        found, alone = asyncio.run(served())
    finally:
        ray.shutdown()
    given = [(r.key.strategy, r.key.question, r.given, r.calls) for r in alone]
    assert [(r.key.strategy, r.key.question, r.given, r.calls) for r in found] == given
    assert len(load(file)) == 2 * N and {r.outcome for r in found} == {"answered"}
