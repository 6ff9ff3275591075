"""What a step of training costs, and where its time goes, beside TRL's own defaults on the same rows.

    python benchmarks/training.py sft --data OUT [--model nano] [--steps 8] [--rows 4] [--json FILE]
    python benchmarks/training.py rl --data OUT [--model nano] [--steps 3] [--prompts 2] [--group 4] [--json FILE]

`rl` is measured in `training_rl.py`. In `sft`, both rows train the same model on the same batches through the same
collator: TRL's own cannot read trajectories. They differ in what a user would otherwise leave as it is: arithmetic,
activation checkpointing, loader processes. Each is run in a process of its own, so that peak memory is its own. Times
come from `torch.profiler`'s ranges in steps of their own; tokens a second from steps without it. Left out: several
GPUs.
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

from zoomagent.training.sft.run import Settings, begin, make_trainer

OURS = "zoomagent"
NAMES = (OURS, "TRL's defaults")
PARTS = ("image loading", "forward", "backward", "optimizer")
WARMUP = 2
PROFILED = 3

app = typer.Typer()


@dataclass(frozen=True)
class Cost:
    """`tokens_per_second` counts every token of the batches, visual ones too, without padding.

    `peak_bytes` is the GPU's, or the process's where there is none. `seconds` are of one step, by part."""

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
    return Settings(**{**asdict(given), **({} if name == OURS else theirs)})


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
        peak = peak_bytes()
        return Cost(name, speed, seconds, peak, profiled(chosen))


def peak_bytes() -> int:
    """The most memory that this process has held."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def table(costs: list[Cost]) -> str:
    """The rows as a Markdown table."""
    names = list(costs[0].seconds)
    head = "| | tokens/s | s/step | peak GB | " + " | ".join(f"{part} s" for part in names) + " |"
    lines = [head, "|---|" + "--:|" * (3 + len(names))]
    for cost in costs:
        parts = " | ".join(f"{cost.seconds[part]:.2f}" for part in names)
        numbers = f"{cost.tokens_per_second:.0f} | {cost.seconds_per_step:.2f} | {cost.peak_bytes / 1e9:.2f}"
        lines.append(f"| {cost.name} | {numbers} | {parts} |")
    return "\n".join(lines)


def both(command: str, *given: str) -> list[Cost]:
    """Our row and that of TRL's defaults, each measured by the hidden `command` in a process of its own."""
    costs = []
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            file = Path(folder) / "cost.json"
            call = [sys.executable, __file__, command, name, *given, str(file)]
            subprocess.run(call, check=True, stdout=subprocess.DEVNULL)
            costs.append(Cost(**json.loads(file.read_text())))
    return costs


def tell(costs: list[Cost], as_json: Path | None) -> None:
    """Print the table; write the figures too where that is asked for."""
    print(table(costs))
    if as_json:
        as_json.write_text(json.dumps([asdict(cost) for cost in costs], indent=2) + "\n")


@app.command("one-sft", hidden=True)
def one_sft(name: str, model: str, data: Path, steps: int, rows: int, out: Path) -> None:
    """Measure one row of `sft` in this process and write it to OUT."""
    out.write_text(json.dumps(asdict(measure(name, model, data, steps, rows))))


@app.command("one-rl", hidden=True)
def one_rl(name: str, model: str, data: Path, steps: int, prompts: int, group: int, out: Path) -> None:
    """Measure one row of `rl` in this process and write it to OUT."""
    from training_rl import costs_of

    out.write_text(json.dumps(asdict(Cost(name, **costs_of(name == OURS, model, data, steps, prompts, group)))))


@app.command()
def sft(
    data: Annotated[Path, typer.Option(help="What zoomagent data trajectories wrote.")],
    model: Annotated[str, typer.Option(help="nano, a folder, or a hub name.")] = "nano",
    steps: Annotated[int, typer.Option(min=2, help="Steps that are timed.")] = 8,
    rows: Annotated[int, typer.Option(min=1, help="Conversations a step.")] = 4,
    as_json: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    """Measure a step of supervised training."""
    tell(both("one-sft", model, str(data), str(steps), str(rows)), as_json)


@app.command()
def rl(
    data: Annotated[Path, typer.Option(help="What zoomagent data trajectories or select-resolution wrote.")],
    model: Annotated[str, typer.Option(help="nano, a folder, or a hub name.")] = "nano",
    steps: Annotated[int, typer.Option(min=1, help="Steps that are timed, after one that is not.")] = 3,
    prompts: Annotated[int, typer.Option(min=1, help="Questions a step.")] = 2,
    group: Annotated[int, typer.Option(min=2, help="Rollouts per question.")] = 4,
    as_json: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    """Measure a step of reinforcement."""
    tell(both("one-rl", model, str(data), str(steps), str(prompts), str(group)), as_json)


if __name__ == "__main__":
    app()
