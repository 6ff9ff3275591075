"""Runs that are killed at random moments and resumed: nothing lost, nothing wrong, hardly anything paid twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).parent / "kill_harness.py"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks and SIGKILL")


def killed(tmp_path: Path, kills: int, seed: int, strategy: str = "dualfocus") -> dict[str, int]:
    command = [sys.executable, str(HARNESS), "--kills", str(kills), "--seed", str(seed), "--folder", str(tmp_path)]
    command += ["--strategy", strategy]
    done = subprocess.run(command, capture_output=True, text=True, timeout=kills * 10)
    assert done.returncode == 0, done.stderr
    counts: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    print(counts)
    return counts


def judge(
    counts: dict[str, int], calls_in_a_step: int = 1, several_kills_a_run: bool = False, least: int | None = None
) -> None:
    """Longer runs take several kills each, so there the share of runs that were hit counts, not that of kills."""
    if least is None:
        least = counts["runs"] // 2 if several_kills_a_run else counts["kills"] // 3
    assert counts["lost"] == 0 and counts["wrong"] == 0, counts
    assert counts["runs_killed_inside"] >= max(1, least), "too few kills hit a run: nothing was tested"
    assert counts["repeated_calls"] <= calls_in_a_step * counts["kills"], "at most the step in flight is made again"


def test_thirty_kills_lose_nothing(tmp_path: Path) -> None:
    """Where kills miss, as they do when the machine has other work, more are made until ten have hit a run."""
    rounds = [killed(tmp_path / "1", 30, seed=1)]
    while sum(counts["runs_killed_inside"] for counts in rounds) < 10 and len(rounds) < 4:
        rounds.append(killed(tmp_path / str(len(rounds) + 1), 30, seed=len(rounds) + 1))
    judge({name: sum(counts[name] for counts in rounds) for name in rounds[0]}, least=10)


def test_twenty_kills_lose_nothing_of_what_the_agent_does(tmp_path: Path) -> None:
    """A step of the agent may ask up to three times: where, show me, is it there."""
    judge(killed(tmp_path, 20, 1, "auto"), calls_in_a_step=3, several_kills_a_run=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_three_hundred_kills_lose_nothing(tmp_path: Path, seed: int) -> None:
    judge(killed(tmp_path, 100, seed))
