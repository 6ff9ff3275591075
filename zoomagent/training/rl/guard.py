"""The guard of a reinforcement run: every figure of every step is written down, and a collapse of tool calls is met.

Policies that learn by reinforcement often stop calling their tools, and nobody notices until the end. Where the share
of rollouts that saw a crop stays under `floor` for `patience` steps, the guard does as configured and says so:

    stop         ends the run; the last checkpoint whose rate was well is named
    raise-tool   lets the tool's reward count `factor` times as much, at most `most` times its own weight; then stops
    restore      goes back to the weights of the last healthy checkpoint, at most `restores` times; then stops

All numbers are ours. What it did survives a restart (`guard.json`). Left out: mending what made the policy stop.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from transformers import TrainerCallback

from zoomagent.files import write_whole

OnCollapse = Literal["stop", "raise-tool", "restore"]
RATE = "zoom/tool_rate"
SHOWN = {
    "reward": "reward", "rewards/accuracy/mean": "right", "rewards/format/mean": "format", "rewards/tool/mean": "tool",
    "rewards/geometry/mean": "geometry", "rewards/search/mean": "searches", RATE: "calls", "zoom/mattered": "mattered",
    "entropy": "entropy", "loss": "loss", "step_time": "seconds",
}  # fmt: skip
"""The figures of a console line; `log.jsonl` has all."""


@dataclass(frozen=True)
class GuardConfig:
    on_collapse: OnCollapse = "stop"
    floor: float = 0.1
    patience: int = 5
    factor: float = 1.5
    most: float = 4.0
    restores: int = 3


@dataclass
class Watch:
    """What the guard knows: steps in a row under the floor, how often it acted, and the newest healthy checkpoint."""

    low: int = 0
    acted: int = 0
    raised: float = 1.0
    healthy: str = ""
    rate: float = math.nan
    stopped: str = ""


class Guard(TrainerCallback):  # type: ignore[misc]
    """Watches a `ZoomTrainer`, which is given by `guard.trainer = trainer` once it is built."""

    def __init__(self, config: GuardConfig, out: Path, say: Callable[[str], None]) -> None:
        self.config, self.out, self._say = config, out, say
        self.trainer: Any = None
        self.watch = Watch()

    def resume(self) -> None:
        """Take up what an earlier part of the run left, and raise the tool's weight as it did."""
        file = self.out / "guard.json"
        if file.exists():
            self.watch = Watch(**json.loads(file.read_text()))
        if self.watch.raised != 1.0:
            self.trainer.raise_tool(self.watch.raised)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        if logs is None or RATE not in logs:
            return
        main = state.is_world_process_zero
        if main:
            self._append({"step": state.global_step, "time": time.time(), **logs})
            figures = (
                f"{short} {logs[name]:.3g}" for name, short in SHOWN.items() if isinstance(logs.get(name), float)
            )
            self._say(f"step {state.global_step}: {', '.join(figures)}")
        self.watch.rate = float(logs[RATE])
        self.watch.low = self.watch.low + 1 if self.watch.rate < self.config.floor else 0
        if self.watch.low >= self.config.patience:
            self.watch.low = 0
            self._act_on_collapse(state.global_step, control)
        if main:
            write_whole(self.out / "guard.json", json.dumps(asdict(self.watch)).encode())

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.watch.rate >= self.config.floor:
            self.watch.healthy = f"checkpoint-{state.global_step}"

    def _act_on_collapse(self, step: int, control: Any) -> None:
        config, watch = self.config, self.watch
        words = (
            f"Step {step}: tool calls collapsed. {watch.rate:.0%} of the rollouts saw a crop, under {config.floor:.0%} "
            f"for {config.patience} steps."
        )
        watch.acted += 1
        if config.on_collapse == "raise-tool" and watch.raised * config.factor <= config.most:
            watch.raised *= config.factor
            self._tell(step, f"{words} The tool's reward now counts {self.trainer.raise_tool(config.factor):.2f}.")
        elif config.on_collapse == "restore" and watch.acted <= config.restores and self._healthy():
            self.trainer.restore(str(self._healthy()))
            self._tell(step, f"{words} Back to the weights of {watch.healthy}.")
        else:
            found = self._healthy()
            where = f"The last healthy checkpoint is {found.name}." if found else "There was no healthy checkpoint."
            advice = "Learn rarer calls by `train sft` first, lower --rate, or try --on-collapse."
            watch.stopped = f"{words} {where} {advice}"
            self._tell(step, f"{watch.stopped} The run is stopped.")
            control.should_training_stop = True

    def _healthy(self) -> Path | None:
        folder = self.out / "state" / self.watch.healthy
        return folder if self.watch.healthy and folder.is_dir() else None

    def _tell(self, step: int, text: str) -> None:
        self._say(text)
        self._append({"step": step, "guard": text})

    def _append(self, line: dict[str, Any]) -> None:
        with (self.out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=float) + "\n")

    def _keep(self) -> None:
        write_whole(self.out / "guard.json", json.dumps(asdict(self.watch)).encode())
