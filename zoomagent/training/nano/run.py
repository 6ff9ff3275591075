"""Train the nano model from random weights on the streamed mix.

    zoomagent train sft --preset nano --steps 12000 --out runs/nano
    accelerate launch --num_processes 8 -m zoomagent.cli train sft --preset nano-large --out runs/large

Dense supervision of the vision tower comes first (`dense_steps`), then tower and text together. Resumes from the
newest checkpoint in `out`: rows are a function of their index, so nothing is skipped or repeated. All state is
safetensors and JSON. Left out: training on stored trajectories (`training/sft`).
"""

import ctypes
import json
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from zoomagent.data.world.scene import LEVELS, SPLITS
from zoomagent.data.world.varied import Variety
from zoomagent.files import check_settings
from zoomagent.training.nano import store
from zoomagent.training.nano.batching import collate
from zoomagent.training.nano.corpus import PHRASES, corpus
from zoomagent.training.nano.learner import Heads, Learner, Weights, evaluate
from zoomagent.training.nano.looks import Row
from zoomagent.training.nano.mix import Mix, Shapes
from zoomagent.training.nano.model import LARGE, SMALL, NanoConfig, build_model, build_tokenizer, save_checkpoint
from zoomagent.training.resuming import SETTINGS, all_made, remember

PRESETS: dict[str, NanoConfig] = {"nano": SMALL, "nano-large": LARGE}
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
EVALUATE_ROWS = 160
LOG_EVERY = 50
HELD_OUT_SEED = SPLITS["held-out"] + 1


@dataclass(frozen=True)
class Settings:
    """One training run. `steps` counts optimizer steps in all; the first `dense_steps` train the tower alone. `rows`
    are scenes per step and process; `rate` is AdamW's peak learning rate. `sounds` is the share of rows about
    sounds, which the packaged weights were not taught. `fonts` and `photographs` are folders of files that scenes are
    drawn with beside their own; `start_from` has weights to begin with."""

    out: Path
    preset: str = "nano"
    level: str = "small"
    steps: int = 12_000
    dense_steps: int = 3_000
    rows: int = 8
    dense_crops: int = 4
    rate: float = 1.2e-3
    warmup: int = 100
    cooldown: float = 0.25
    seed: int = 1
    workers: int = 1
    evaluate_every: int = 500
    save_every: int = 250
    weights: Weights = Weights()
    sounds: float = 0.0
    start_from: Path | None = None
    fonts: Path | None = None
    photographs: Path | None = None
    precision: Literal["fp32", "bf16"] = "fp32"


class Stream(Dataset[Row]):
    """Rows by index, `batch` of them a step; resuming is starting at another step."""

    def __init__(self, mix: Mix, settings: Settings, start: int, batch: int) -> None:
        self.mix, self.settings, self.start, self.batch = mix, settings, start, batch

    def __len__(self) -> int:
        return max(0, self.settings.steps - self.start) * self.batch

    def __getitem__(self, index: int) -> Row:
        import cv2

        cv2.setNumThreads(1)
        at = self.start * self.batch + index
        if at // self.batch < self.settings.dense_steps:
            return self.mix.dense(at, self.settings.dense_crops)
        return self.mix.row(at)


def rate_at(step: int, settings: Settings) -> float:
    """Warm up, stay, and fall linearly to a twentieth over the last `cooldown` share of the steps."""
    if step < settings.warmup:
        return settings.rate * (step + 1) / settings.warmup
    left = (settings.steps - step) / max(1, settings.steps * settings.cooldown)
    return settings.rate * max(0.05, min(1.0, left))


def train(settings: Settings) -> Path:
    """Run or resume; returns the folder of the finished checkpoint (stock transformers, bf16)."""
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    keep_memory()
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    mixed = "bf16" if settings.precision == "bf16" else "no"
    accelerator = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision=mixed, kwargs_handlers=[unused])
    config, level = PRESETS[settings.preset], LEVELS[settings.level]
    torch.manual_seed(settings.seed)
    tokenizer = build_tokenizer(corpus(level), PHRASES)
    learner = Learner(build_model(config, tokenizer), Heads(config, level), settings.weights)
    variety = Variety.of(settings.fonts, settings.photographs)
    shapes = Shapes(sounds=settings.sounds)
    mixes = [Mix(tokenizer, config, level, seed, shapes, variety) for seed in (settings.seed, HELD_OUT_SEED)]
    _run_steps(accelerator, learner, mixes[0], mixes[1], tokenizer, settings)
    if accelerator.is_main_process:
        folder, heard = settings.out / "checkpoint", settings.sounds > 0
        save_checkpoint(learner.model, tokenizer, config, folder, knows_sounds=heard)
    return settings.out / "checkpoint"


def _run_steps(accelerator: Any, learner: Learner, mix: Mix, held_out: Mix, tokenizer: Any, settings: Settings) -> None:
    """Step after step from wherever `out` left off."""
    from tqdm import tqdm

    optimizer = torch.optim.AdamW(learner.parameters(), lr=settings.rate, betas=(0.9, 0.98), weight_decay=0.02)
    modules: dict[str, nn.Module] = {"model": learner.model, "heads": learner.heads}
    step, curve = 0, list[dict[str, Any]]()
    newest = store.newest(settings.out / "state")
    if newest:
        check_settings(settings.out / SETTINGS, asdict(settings), FREE)
        state = store.load(newest, modules, optimizer)
        step, curve = state["step"], state["curve"]
    elif settings.start_from:
        store.start(settings.start_from, modules, tokenizer)
    pad = tokenizer.pad_token_id
    if accelerator.is_main_process:
        remember(settings.out, asdict(settings))
    loader = accelerator.prepare(_loader(mix, settings, step, settings.rows * accelerator.num_processes, pad))
    ready, optimizer = accelerator.prepare(learner, optimizer)
    quiet = not accelerator.is_main_process
    bar = tqdm(loader, total=settings.steps, initial=step, disable=quiet, mininterval=5, dynamic_ncols=True)
    for batch in bar:
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, settings)
        loss, noted = ready(batch.to(accelerator.device))
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(ready.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        if not accelerator.is_main_process:
            continue
        if step % LOG_EVERY == 0:
            log(settings.out, step, rate_at(step, settings), noted)
        if step % settings.evaluate_every == 0 or step == settings.steps:
            held = evaluate(learner, held_out, pad, EVALUATE_ROWS)
            curve.append({"step": step, "seen_rows": step * settings.rows * accelerator.num_processes, **held})
            (settings.out / "curve.json").write_text(json.dumps(curve, indent=1) + "\n")
            plot_curve(curve, settings.out / "curve.png")
        if step % settings.save_every == 0 or step == settings.steps:
            store.save(settings.out / "state", step, modules, optimizer, {"curve": curve})
    all_made(step, settings.steps)


def _loader(mix: Mix, settings: Settings, step: int, batch: int, pad: int) -> DataLoader[Row]:
    ahead = 4 if settings.workers else None
    together = partial(collate, pad=pad)
    stream = Stream(mix, settings, step, batch)
    return DataLoader(stream, settings.rows, num_workers=settings.workers, collate_fn=together, prefetch_factor=ahead)


FREE = {"out", "steps", "workers", "evaluate_every", "save_every", "start_from", "fonts", "photographs"}
"""Settings that may change when a run goes on."""


def keep_memory() -> None:
    """Ask glibc to keep freed memory: giving each large tensor's pages back cost a third of the time on two cores."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
        libc.mallopt(M_TOP_PAD, 1 << 28)


def log(out: Path, step: int, rate: float, noted: dict[str, Any]) -> None:
    """Append one line to `log.jsonl`."""
    line: dict[str, Any] = {"step": step, "time": time.time(), "rate": rate, "dense": float(noted["dense"])}
    line["cells"] = [round(v, 3) for v in noted["cells"].tolist()]
    if "text" in noted:
        line |= {name: float(noted[name]) for name in ("text", "pointer", "found", "looked", "attended")}
    with (out / "log.jsonl").open("a") as handle:
        handle.write(json.dumps(line) + "\n")


def plot_curve(curve: list[dict[str, Any]], path: Path) -> None:
    """Held-out accuracy over training rows: the answers on the left, the tower's fields on the right."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, sides = pyplot.subplots(1, 2, figsize=(13, 5), sharey=True)
    names = sorted({key for point in curve for key in point} - {"step", "seen_rows"})
    for axes, tower in zip(sides, (False, True), strict=True):
        for i, name in enumerate(n for n in names if n.startswith("tower/") == tower):
            x, y = zip(*((p["seen_rows"], p[name]) for p in curve if name in p), strict=True)
            axes.plot(
                x, y, label=name.removeprefix("tower/"), linewidth=1.2, linestyle="-" if i < 10 else "--", marker="."
            )
        axes.set(xlabel="training rows", ylim=(0, 1.02), title="vision tower, per cell" if tower else "answers")
        axes.legend(fontsize=7, ncols=2)
        axes.grid(alpha=0.3)
    sides[0].set(ylabel="held-out exact match")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
