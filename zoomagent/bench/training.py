"""What a step of supervised training costs, and where its time goes, beside TRL's own defaults on the same rows.

    python -m zoomagent.bench.training sft --data OUT [--model nano] [--steps 8] [--rows 4] [--json FILE]

Both rows train the same model on the same batches through the same collator: TRL's own can not read trajectories. They
differ in what a user would otherwise leave as it is: arithmetic, activation checkpointing, loader processes. Each is
run in a process of its own, so that peak memory is its own. Times come from `torch.profiler`'s ranges in steps of their
own; tokens a second from steps without it. Left out: several GPUs.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch.profiler import ProfilerActivity, profile, record_function
from transformers import TrainerCallback

from zoomagent.training.supervised import Settings, begin, make_trainer

PARTS = ("image loading", "forward", "backward", "optimizer")
WARMUP = 2
PROFILED = 3

app = typer.Typer()


@dataclass(frozen=True)
class Cost:
    """`tokens_per_second` counts every token of the batches, visual ones too, without padding.

    `peak_bytes` is the GPU's, or the process's where there is none. `seconds` are of one profiled step, by part."""

    name: str
    tokens_per_second: float
    seconds_per_step: float
    peak_bytes: int
    seconds: dict[str, float]


class Clock(TrainerCallback):  # type: ignore[misc]
    """Notes when each step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.ends.append(time.perf_counter())


def settings(name: str, model: str, data: Path, out: Path, steps: int, rows: int) -> Settings:
    """Ours as the command line leaves them, or with what TRL's `SFTConfig` leaves: bf16, checkpointing, no loader
    process."""
    given = Settings(model, data, out, steps, rows=rows, save_every=10**6, held_out=0, workers=1)
    theirs = {"precision": "bf16", "checkpointing": True, "workers": 0}
    return Settings(**{**asdict(given), **(theirs if name == "TRL's defaults" else {})})


def timed(chosen: Settings) -> tuple[float, float]:
    """Tokens a second and seconds a step, without the profiler; the first steps are not counted."""
    trainer, clock = make_trainer(chosen), Clock()
    trainer.args.logging_steps = trainer.state.logging_steps = 1
    trainer.add_callback(clock)
    trainer.train()
    seconds = clock.ends[-1] - clock.ends[WARMUP - 1]
    seen = {line["step"]: line["num_tokens"] for line in trainer.state.log_history if "num_tokens" in line}
    return (seen[chosen.steps] - seen[WARMUP]) / seconds, seconds / (chosen.steps - WARMUP)


def profiled(chosen: Settings) -> dict[str, float]:
    """Seconds of one step by part. Loading runs in the training process here, so that it is seen."""
    trainer = make_trainer(Settings(**{**asdict(chosen), "workers": 0, "steps": PROFILED + 1}))
    trainer.data_collator = _range("image loading", trainer.data_collator)
    trainer.compute_loss = _range("forward", trainer.compute_loss)
    trainer.accelerator.backward = _range("backward", trainer.accelerator.backward)
    trainer.create_optimizer()
    trainer.optimizer.step = _range("optimizer", trainer.optimizer.step)
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])
    with profile(activities=activities) as seen:
        trainer.train()
    totals = {event.key: max(event.cpu_time_total, event.device_time_total) for event in seen.key_averages()}
    return {part: totals[part] / 1e6 / (PROFILED + 1) for part in PARTS}


def _range(name: str, function: Any) -> Any:
    def inside(*given: Any, **named: Any) -> Any:
        with record_function(name):
            return function(*given, **named)

    return inside


def measure(name: str, model: str, data: Path, steps: int, rows: int) -> Cost:
    """One row of the table."""
    with tempfile.TemporaryDirectory() as out:
        chosen = settings(name, model, data, Path(out), steps + WARMUP, rows)
        begin(chosen)
        speed, seconds = timed(chosen)
        peak = _peak()
        return Cost(name, speed, seconds, peak, profiled(chosen))


def _peak() -> int:
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def table(costs: list[Cost]) -> str:
    """The rows as a Markdown table."""
    head = "| | tokens/s | s/step | peak GB | " + " | ".join(f"{part} s" for part in PARTS) + " |"
    lines = [head, "|---|" + "--:|" * (3 + len(PARTS))]
    for cost in costs:
        parts = " | ".join(f"{cost.seconds[part]:.2f}" for part in PARTS)
        numbers = f"{cost.tokens_per_second:.0f} | {cost.seconds_per_step:.2f} | {cost.peak_bytes / 1e9:.2f}"
        lines.append(f"| {cost.name} | {numbers} | {parts} |")
    return "\n".join(lines)


@app.command(hidden=True)
def one(name: str, model: str, data: Path, steps: int, rows: int, out: Path) -> None:
    """Measure one row in this process and write it to OUT."""
    out.write_text(json.dumps(asdict(measure(name, model, data, steps, rows))))


@app.command()
def sft(
    data: Annotated[Path, typer.Option(help="What zoomagent data trajectories wrote.")],
    model: Annotated[str, typer.Option(help="nano, a folder, or a hub name.")] = "nano",
    steps: Annotated[int, typer.Option(min=2, help="Steps that are timed.")] = 8,
    rows: Annotated[int, typer.Option(min=1, help="Conversations a step.")] = 4,
    as_json: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    """Measure a step of supervised training."""
    costs = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("zoomagent", "TRL's defaults"):
            file = Path(folder) / "cost.json"
            given = [name, model, str(data), str(steps), str(rows), str(file)]
            subprocess.run([sys.executable, "-m", __spec__.name, "one", *given], check=True, stdout=subprocess.DEVNULL)
            costs.append(Cost(**json.loads(file.read_text())))
    print(table(costs))
    if as_json:
        as_json.write_text(json.dumps([asdict(cost) for cost in costs], indent=2) + "\n")


if __name__ == "__main__":
    app()
