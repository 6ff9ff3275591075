"""The scorecard of hostile inputs runs and counts what is wrong; and budgets hold whatever a server does."""

import random
import subprocess
import sys
import tempfile
from pathlib import Path

import hostile
import hostile_replies
import hostile_runs
import pytest
from hostile_case import Case, processor_seconds
from hostile_runs import PICTURE, QUICK, Faulty

from zoomagent import Budget, ZoomAgent
from zoomagent.strategy import Strategy


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where everything temporary lies, so that what is left behind is found."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("ZOOMAGENT_CACHE", "off")
    return tmp_path


@pytest.mark.parametrize("kind", hostile.KINDS)
def test_a_few_inputs_of_every_kind_end_as_they_must(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostile_replies, "LONGEST", 2.0)  # the machine may be busy: times are the scorecard's
    monkeypatch.setattr(hostile_runs, "LONGEST", 2.0)
    count = hostile.tried(kind, hostile.KINDS[kind](0.002), folder)
    assert count.inputs == count.right > 0 and not count.wrong
    assert count.left == []


def test_what_is_wrong_untyped_or_left_behind_is_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostile, "SETTLED", 0.0)
    held = []

    def fails() -> str:
        raise LookupError("nothing")

    def leaves() -> str:
        held.extend([(folder / str(number)).open("w") for number in range(20)])
        return ""

    cases = [Case("right", str), Case("wrong", lambda: "no"), Case("untyped", fails), Case("leaves", leaves)]
    count = hostile.tried("practice", iter(cases), folder)
    for file in held:
        file.close()
    assert (count.inputs, count.right, count.untyped) == (4, 2, 1)
    assert count.wrong == ["wrong: no", "untyped: untyped LookupError: nothing"]
    assert "19" in count.left and any(line.endswith(" descriptors") for line in count.left)


def test_processor_time_counts_children_that_run_and_that_have_ended_and_no_waiting() -> None:
    work = "import sys, time; sum(range(4_000_000)); print(time.process_time(), flush=True); sys.stdin.read()"
    before = processor_seconds()
    with subprocess.Popen([sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        its_own = float(child.stdout.readline())
        running = processor_seconds() - before
    ended = processor_seconds() - before
    assert its_own - 0.05 < running <= ended + 0.05


STRATEGIES: tuple[Strategy, ...] = ("macro", "micro", "dualfocus", "locate", "search", "tools", "auto")
RUNS: list[tuple[Strategy, str]] = [(strategy, "What is written on the sign?") for strategy in STRATEGIES]
RUNS += [("auto", "How many cars are there?"), ("auto", "Is there a dog?")]


@pytest.mark.parametrize(("strategy", "question"), RUNS)
def test_no_budget_is_passed_on_a_server_with_faults(strategy: Strategy, question: str) -> None:
    for seed in range(14):
        rng = random.Random(f"budget {strategy} {question} {seed}")
        faulty = Faulty(rng)
        most = rng.choice([1_200, 3_000, 20_000])
        budget = Budget(calls=rng.choice([1, 2, 5, 12]), visual_tokens=most, seconds=5.0, depth=rng.choice([0, 1, 4]))
        options = rng.choice([(), ("Yes", "No")])
        with ZoomAgent(faulty.model(), strategy=strategy, budget=budget) as agent:
            answer = agent.ask(PICTURE, question, options)
        assert answer.outcome.code != "bug"
        assert answer.cost.model_calls <= budget.calls
        assert answer.cost.visual_tokens <= most
        assert answer.cost.seconds < 5.0 + 20  # a server that never answers would take an hour
        assert faulty.asked <= QUICK.attempts * budget.calls + 8
        assert faulty.tokens <= QUICK.attempts * most + 8 * 1_280
