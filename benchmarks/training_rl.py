"""What a step of reinforcement costs, and where its time goes: `python benchmarks/training.py rl --data OUT`.

The same rows, environment, episodes and GRPOTrainer twice: as `zoomagent train rl` configures it, and with what TRL's
`GRPOConfig` leaves as it is (bf16, activations recomputed, micro-batches of 8, its loss). Ours also scores the answers
with the crops blanked, which TRL does not. How long a rollout may be is ours in both: at TRL's own length a rollout's
pictures no longer fit its tokens. Searches are answered from the annotation, so that there is something to load. The
first step is not counted. Left out: several GPUs, and vLLM.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from math import gcd
from pathlib import Path
from typing import Any

import torch
from training import peak_bytes
from transformers import TrainerCallback

from zoomagent.training.base import Base
from zoomagent.training.rl.environment import ZoomEnv
from zoomagent.training.rl.run import LFPC, NANO, Settings, build, rows_of

PARTS = ("sampling", "tools and images", "blanked crops", "forward", "backward", "optimizer", "the rest")
THEIRS = {"bf16": True, "activation_checkpointing": True, "loss_type": "dapo", "lr_scheduler_type": "linear"}
"""What `GRPOConfig` leaves where we choose otherwise and arithmetic changes."""
MICRO = 8
"""Rollouts that go through the model at once, where `GRPOConfig` leaves that."""


class Parts(TrainerCallback):  # type: ignore[misc]
    """Seconds by part, from the end of the first step on. Parts never hold one another."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.began = self.ended = self._stepped = 0.0

    def timed(self, part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """`work`, its time counted for `part`."""

        def inside(*given: Any, **named: Any) -> Any:
            before = now()
            try:
                return work(*given, **named)
            finally:
                self.seconds[part] += now() - before

        return inside

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        self._stepped = now()

    def on_optimizer_step(self, *_: Any, **__: Any) -> None:
        self.seconds["optimizer"] += now() - self._stepped

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.ended = now()
        if state.global_step == 1:
            self.seconds.clear()
            self.began = self.ended


def now() -> float:
    """Seconds, once the GPU has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def costs_of(ours: bool, model: str, data: Path, steps: int, prompts: int, group: int) -> dict[str, Any]:
    """The fields of `Cost` but for its name. To be called once in a process: it wraps the environment's methods."""
    with tempfile.TemporaryDirectory() as out:
        trainer = _trainer(ours, Settings(Path(out), data, model, steps=steps + 1), prompts, group)
        parts = Parts()
        _watch(trainer, parts)
        trainer.train()
    seconds = parts.ended - parts.began
    seen = {line["step"]: line["num_tokens"] for line in trainer.state.log_history if "num_tokens" in line}
    parts.seconds["the rest"] = seconds - sum(parts.seconds.values())
    return {
        "tokens_per_second": (seen[steps + 1] - seen[1]) / seconds,
        "seconds_per_step": seconds / steps,
        "peak_bytes": peak_bytes(),
        "seconds": {part: parts.seconds[part] / steps for part in PARTS},
    }


def _trainer(ours: bool, settings: Settings, prompts: int, group: int) -> Any:
    """As `train` builds it; for TRL's row with its own settings and without our proof."""
    recipe = replace(NANO if Base.open(settings.model).is_nano else LFPC, prompts=prompts, group=group)
    chosen = replace(settings, recipe=recipe, save_every=10**6, proof_every=int(ours), search="annotated")
    rollouts = prompts * group
    micro = gcd(MICRO, rollouts)
    theirs = {**THEIRS, "per_device_train_batch_size": micro, "gradient_accumulation_steps": rollouts // micro}
    chosen.out.mkdir(parents=True, exist_ok=True)
    return build(chosen, rows_of(chosen), print, **({} if ours else theirs))[0]


def _watch(trainer: Any, parts: Parts) -> None:
    trainer.add_callback(parts)
    trainer.model.generate = parts.timed("sampling", trainer.model.generate)
    for name in ("reset", "call"):
        setattr(ZoomEnv, name, parts.timed("tools and images", getattr(ZoomEnv, name)))
    trainer._proof = parts.timed("blanked crops", trainer._proof)
    trainer.compute_loss = parts.timed("forward", trainer.compute_loss)
    trainer.accelerator.backward = parts.timed("backward", trainer.accelerator.backward)
