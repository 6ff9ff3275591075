"""The guard meets a policy that stops calling as it was told to, says so, and remembers it."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from zoomagent.training.rl.guard import RATE, Guard, GuardConfig

STATE = {"is_world_process_zero": True}


class Weights:
    """What the guard asks of a trainer."""

    def __init__(self) -> None:
        self.weight, self.restored = 1.2, list[str]()

    def raise_tool(self, factor: float) -> float:
        self.weight *= factor
        return self.weight

    def restore(self, checkpoint: str) -> None:
        self.restored.append(Path(checkpoint).name)


def run(out: Path, rates: list[float], saves: tuple[int, ...] = (), **config: Any) -> tuple[Guard, Weights, list[str]]:
    """Feed the rates of steps 1, 2, ... until the guard stops the run."""
    said: list[str] = []
    guard, trainer = Guard(GuardConfig(patience=3, **config), out, said.append), Weights()
    guard.trainer = trainer
    guard.resume()
    control = SimpleNamespace(should_training_stop=False)
    for step, rate in enumerate(rates, 1):
        state = SimpleNamespace(global_step=step, **STATE)
        guard.on_log(None, state, control, {RATE: rate, "reward": 1.0})
        if step in saves:
            (out / "state" / f"checkpoint-{step}").mkdir(parents=True)
            guard.on_save(None, state, control)
        if control.should_training_stop:
            break
    return guard, trainer, said


def steps_of(out: Path) -> list[int]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if RATE in line]


def test_stop_ends_the_run_after_patience_and_names_the_healthy_checkpoint(tmp_path: Path) -> None:
    guard, trainer, said = run(tmp_path, [0.9, 0.8, 0.05, 0.05, 0.0, 0.0], saves=(2, 4))
    assert steps_of(tmp_path) == [1, 2, 3, 4, 5]
    assert "checkpoint-2" in guard.watch.stopped and "collapsed" in said[-1]
    assert trainer.weight == 1.2 and not trainer.restored


def test_a_dip_that_ends_is_no_collapse(tmp_path: Path) -> None:
    guard, _, said = run(tmp_path, [0.9, 0.0, 0.0, 0.5, 0.0, 0.0, 0.5])
    assert not guard.watch.stopped and guard.watch.acted == 0
    assert not any("collapsed" in line for line in said)


def test_raise_tool_raises_until_its_limit_and_then_stops(tmp_path: Path) -> None:
    guard, trainer, said = run(tmp_path, [0.0] * 30, on_collapse="raise-tool", factor=2.0, most=4.0)
    assert trainer.weight == 1.2 * 4 and guard.watch.stopped
    assert steps_of(tmp_path)[-1] == 9
    assert sum("now counts" in line for line in said) == 2


def test_restore_goes_back_to_the_healthy_checkpoint_and_then_stops(tmp_path: Path) -> None:
    guard, trainer, _ = run(tmp_path, [0.9, 0.9] + [0.0] * 30, saves=(1, 2, 4), on_collapse="restore", restores=2)
    assert trainer.restored == ["checkpoint-2", "checkpoint-2"]
    assert guard.watch.stopped and steps_of(tmp_path)[-1] == 2 + 3 * 3


def test_nothing_to_restore_stops(tmp_path: Path) -> None:
    guard, trainer, _ = run(tmp_path, [0.0] * 9, on_collapse="restore")
    assert not trainer.restored and "no healthy checkpoint" in guard.watch.stopped


def test_what_was_raised_stays_raised_after_a_restart(tmp_path: Path) -> None:
    run(tmp_path, [0.0] * 3, on_collapse="raise-tool", factor=1.5)
    guard, trainer, _ = run(tmp_path, [], on_collapse="raise-tool", factor=1.5)
    assert trainer.weight == 1.2 * 1.5 and guard.watch.raised == 1.5


def test_every_figure_is_written_and_the_console_shows_the_ones_that_matter(tmp_path: Path) -> None:
    said: list[str] = []
    guard = Guard(GuardConfig(), tmp_path, said.append)
    logs = {RATE: 0.5, "reward": 1.25, "zoom/mattered": 0.75, "entropy": 0.1, "clip_ratio/low_mean": 0.0}
    guard.on_log(None, SimpleNamespace(global_step=4, **STATE), SimpleNamespace(), logs)
    [line] = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {**line, **logs} == line and line["step"] == 4
    assert said == ["step 4: reward 1.25, calls 0.5, mattered 0.75, entropy 0.1"]
