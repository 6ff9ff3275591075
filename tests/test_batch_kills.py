"""Batches that are killed at random moments and started again: no row lost, none doubled, none wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).parent / "batch_kills.py"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks and SIGKILL")


def judge(tmp_path: Path, kills: int, seed: int) -> None:
    command = [sys.executable, str(HARNESS), "--kills", str(kills), "--seed", str(seed), "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=kills * 10)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    print(counts)
    assert counts["lost"] == counts["doubled"] == counts["wrong"] == 0, counts
    assert counts["asked_again"] >= kills // 3, "too few kills hit a row: nothing was tested"
    assert counts["asked_again"] <= 8 * kills, "what was in flight is asked again, and what waited for its fsync"


def test_thirty_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    judge(tmp_path, 30, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12])
def test_two_hundred_kills_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    judge(tmp_path, 100, seed)
