"""Train the nano model from random weights on the streamed mix.

    zoomagent train sft --preset nano --steps 12000 --out runs/nano

Dense supervision of the vision tower comes first (`dense_steps`), then tower and text together. Resumes from the newest
checkpoint in `out`. Runs on one CPU, one GPU, or several through `accelerate launch -m zoomagent.training.nano_run`.
"""

import ctypes
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from zoomagent.data.scene import LEVELS, SPLITS, Level
from zoomagent.models.nano import LARGE, SMALL, NanoConfig, build_model, build_tokenizer, save_checkpoint
from zoomagent.training import store
from zoomagent.training.batching import Batch, collate, read, see
from zoomagent.training.corpus import PHRASES, corpus
from zoomagent.training.dense import DenseHead
from zoomagent.training.mix import Mix, Row, Shapes
from zoomagent.training.packing import IGNORE
from zoomagent.training.pointing import Pointer

PRESETS: dict[str, NanoConfig] = {"nano": SMALL, "nano-large": LARGE}
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
EVALUATE_ROWS = 160
HELD_OUT_SEED = SPLITS["held-out"] + 1


@dataclass(frozen=True)
class Settings:
    """One training run. `steps` counts optimizer steps in all; the first `dense_steps` train the tower alone."""

    out: Path
    preset: str = "nano"
    level: str = "small"
    steps: int = 12_000
    dense_steps: int = 3_000
    rows: int = 16
    dense_crops: int = 2
    rate: float = 1.5e-3
    warmup: int = 200
    cooldown: float = 0.3
    seed: int = 1
    workers: int = 1
    evaluate_every: int = 500
    save_every: int = 500
    dense_weight: float = 0.3
    pointer_weight: float = 0.5
    start_from: Path | None = None


class Heads(nn.Module):
    """What training adds to the model and the shipped weights leave out."""

    def __init__(self, config: NanoConfig, level: Level) -> None:
        super().__init__()
        self.dense = DenseHead(config.text_width, config.vision_width, level)
        self.pointer = Pointer(config.text_width)


class Stream(Dataset[Row]):
    """Rows by index: resuming is starting at another index."""

    def __init__(self, mix: Mix, settings: Settings, start: int, steps: int) -> None:
        self.mix, self.settings, self.start, self.count = mix, settings, start, steps * settings.rows

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Row:
        import cv2

        cv2.setNumThreads(1)
        at = self.start * self.settings.rows + index
        if at // self.settings.rows < self.settings.dense_steps:
            return self.mix.dense(at, self.settings.dense_crops)
        return self.mix.row(at)


def rate_at(step: int, settings: Settings) -> float:
    """Warm up, stay, and fall linearly to a twentieth over the last `cooldown` share of the steps."""
    if step < settings.warmup:
        return settings.rate * (step + 1) / settings.warmup
    left = (settings.steps - step) / max(1, settings.steps * settings.cooldown)
    return settings.rate * max(0.05, min(1.0, left))


def losses(model: Any, heads: Heads, batch: Batch, settings: Settings) -> tuple[torch.Tensor, dict[str, Any]]:
    """Loss of a batch and what to log. A batch without questions trains the tower alone."""
    macro, crop = see(model, batch.macros), see(model, batch.crops)
    tokens = torch.cat([macro[0].flatten(0, 1), crop[0].flatten(0, 1)])
    cells = torch.cat([batch.macro_cells.flatten(0, 1), batch.crop_cells.flatten(0, 1)])
    dense, hits = heads.dense(tokens, cells)
    glyphs = torch.cat([batch.macro_glyphs.flatten(), batch.crop_glyphs.flatten()])
    drawn, hit = heads.dense.glyphs(torch.cat([macro[2], crop[2]]), glyphs)
    dense, hits = dense + drawn, torch.cat([hits, hit[None]])
    if (batch.labels == IGNORE).all():
        return dense, {"dense": dense.detach(), "cells": hits}
    last, every = read(model, batch, macro, crop)
    asked = batch.labels != IGNORE
    logits = model.lm_head(last[asked])
    text = nn.functional.cross_entropy(logits, batch.labels[asked])
    pointed, found = heads.pointer(every[len(every) // 2], batch)
    noted = {"dense": dense.detach(), "cells": hits, "text": text.detach(), "predicted": logits.argmax(-1).detach()}
    loss = text + settings.dense_weight * dense + settings.pointer_weight * pointed
    return loss, {**noted, "pointer": pointed.detach(), "found": found}


def score_branches(batch: Batch, predicted: torch.Tensor, hits: dict[str, list[float]]) -> None:
    """Exact answers per branch name. With the true answer as context, all tokens right means greedy gives it."""
    asked = batch.labels != IGNORE
    right = torch.zeros_like(batch.labels, dtype=torch.bool)
    right[asked] = predicted == batch.labels[asked]
    for row, names in enumerate(batch.names):
        for number, name in enumerate(names, 1):
            mine = asked[row] & (batch.branch[row] == number)
            hits[name].append(float(right[row][mine].all()))
            if name.startswith("box"):
                hits[name + "/tokens"].append(float(right[row][mine].float().mean()))


@torch.no_grad()
def evaluate(model: Any, heads: Heads, mix: Mix, settings: Settings, pad: int) -> dict[str, float]:
    """Held-out exact match per branch name and accuracy of the tower's fields (unseen seed)."""
    model.eval()
    device = next(model.parameters()).device
    hits: dict[str, list[float]] = defaultdict(list)
    for start in range(0, EVALUATE_ROWS, 16):
        batch = collate([mix.row(i) for i in range(start, start + 16)], pad).to(device)
        _, noted = losses(model, heads, batch, settings)
        score_branches(batch, noted["predicted"], hits)
        for field, value in zip(FIELDS, noted["cells"].tolist(), strict=False):
            hits["tower/" + field].append(value)
        hits["tower/pointer"].append(float(noted["found"]))
    model.train()
    return {name: sum(values) / len(values) for name, values in sorted(hits.items())}


FIELDS = ("shape", "colour", "char1", "char2", "x0", "x0b", "y0", "y0b", "x1", "x1b", "y1", "y1b", "ground", "glyph")


def train(settings: Settings) -> Path:
    """Run or resume; returns the folder of the finished checkpoint."""
    from accelerate import Accelerator

    keep_memory()
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    config, level = PRESETS[settings.preset], LEVELS[settings.level]
    torch.manual_seed(settings.seed)
    tokenizer = build_tokenizer(corpus(level), PHRASES)
    model, heads = build_model(config, tokenizer), Heads(config, level)
    optimizer = torch.optim.AdamW(
        [*model.parameters(), *heads.parameters()], lr=settings.rate, betas=(0.9, 0.98), weight_decay=0.02
    )
    modules: dict[str, nn.Module] = {"model": model, "heads": heads}
    curve: list[dict[str, Any]] = []
    step = 0
    found = store.newest(settings.out / "state")
    if found:
        state = store.load(found, modules, optimizer)
        step, curve = state["step"], state["curve"]
    elif settings.start_from:
        known = {name: m for name, m in modules.items() if (settings.start_from / f"{name}.safetensors").exists()}
        store.load(settings.start_from, known, None)
    if accelerator.is_main_process:
        settings.out.mkdir(parents=True, exist_ok=True)
        (settings.out / "settings.json").write_text(json.dumps(asdict(settings), default=str, indent=2))
    mix = Mix(tokenizer, config, level, settings.seed, Shapes())
    held_out = Mix(tokenizer, config, level, HELD_OUT_SEED, Shapes())
    pad = tokenizer.pad_token_id
    loader = accelerator.prepare(_loader(mix, settings, step, pad))
    ready, heads, optimizer = accelerator.prepare(model, heads, optimizer)
    for batch in _progress(loader, settings, step, accelerator.is_main_process):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, settings)
        loss, noted = losses(
            accelerator.unwrap_model(ready), accelerator.unwrap_model(heads), batch.to(accelerator.device), settings
        )
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(ready.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        if not accelerator.is_main_process:
            continue
        if step % 50 == 0:
            _log(settings, step, noted)
        if step % settings.evaluate_every == 0 or step == settings.steps:
            held = evaluate(model, accelerator.unwrap_model(heads), held_out, settings, pad)
            curve.append({"step": step, "seen_rows": step * settings.rows, **held})
            (settings.out / "curve.json").write_text(json.dumps(curve, indent=1))
        if step % settings.save_every == 0 or step == settings.steps:
            store.save(settings.out / "state", step, modules, optimizer, {"curve": curve})
    if accelerator.is_main_process:
        save_checkpoint(model, tokenizer, config, settings.out / "checkpoint")
        plot_curve(curve, settings.out / "curve.png")
    return settings.out / "checkpoint"


def keep_memory() -> None:
    """Ask glibc to keep freed memory: giving each large tensor's pages back cost a third of the time on two cores."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
        libc.mallopt(M_TOP_PAD, 1 << 28)


def _loader(mix: Mix, settings: Settings, step: int, pad: int) -> DataLoader[Row]:
    def together(rows: list[Row]) -> Batch:
        return collate(rows, pad)

    stream = Stream(mix, settings, step, settings.steps - step)
    return DataLoader(
        stream,
        settings.rows,
        num_workers=settings.workers,
        collate_fn=together,
        prefetch_factor=4 if settings.workers else None,
    )


def _progress(loader: Any, settings: Settings, step: int, show: bool) -> Iterator[Batch]:
    from tqdm import tqdm

    yield from tqdm(loader, total=settings.steps, initial=step, disable=not show, mininterval=5, dynamic_ncols=True)


def _log(settings: Settings, step: int, noted: dict[str, Any]) -> None:
    line: dict[str, Any] = {
        "step": step,
        "time": time.time(),
        "rate": rate_at(step, settings),
        "dense": float(noted["dense"]),
    }
    line["cells"] = [round(v, 3) for v in noted["cells"].tolist()]
    if "text" in noted:
        line |= {name: float(noted[name]) for name in ("text", "pointer", "found")}
    with (settings.out / "log.jsonl").open("a") as handle:
        handle.write(json.dumps(line) + "\n")


def plot_curve(curve: list[dict[str, Any]], path: Path) -> None:
    """Held-out accuracy over training rows, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5))
    for name in sorted({key for point in curve for key in point} - {"step", "seen_rows"}):
        if not name.startswith("tower/x") and not name.startswith("tower/y"):
            points = [(p["seen_rows"], p[name]) for p in curve if name in p]
            axes.plot(*zip(*points, strict=True), label=name, linewidth=1)
    axes.set(xlabel="training rows", ylabel="held-out exact match", ylim=(0, 1))
    axes.legend(fontsize=6, ncols=2)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
