"""Does a model look at its crops? The health check of a zooming policy.

    zoomagent train probe runs/rl/checkpoint --data OUT --limit 100

LFPC's diagnosis (arXiv 2603.27494): the same questions are answered with the crops that the model asked for, with crops
of the true place instead, and with noise instead. A policy that answers first and crops later hardly notices; one that
looks gets better with the true crops and worse with noise. What is replaced is the pixels of a crop, never the words
beside it. Greedy, so the runs are alike up to the first crop. Left out: reading of texts by OCR; searches find what the
row says the question is about.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from zoomagent.evaluation.scoring import wilson
from zoomagent.geometry import Box
from zoomagent.models.base import Model
from zoomagent.tools.viewing import size_of
from zoomagent.tools.zooming import surroundings
from zoomagent.training.rl.environment import EnvConfig, Seen, ZoomEnv
from zoomagent.training.rl.rollout import play

CROPS = ("own", "true", "noise")
SEED = 7


@dataclass(frozen=True)
class ProbeResult:
    """One row: whether the answer was right with each sort of crop, how many crops the model asked for by itself, and
    whether its first was near the annotated place (the gated IoU of the rewards; None without one)."""

    id: str
    own: bool
    true: bool
    noise: bool
    crops: int
    iou: float | None


def probe(
    model: Model, config: EnvConfig, rows: Sequence[dict[str, Any]], progress: Callable[[int], None] = lambda done: None
) -> list[ProbeResult]:
    """Ask about every row that has a target, three times each."""

    async def work() -> list[ProbeResult]:
        found = []
        for done, row in enumerate((row for row in rows if row["targets"]), 1):
            env = ZoomEnv(config)
            own = await play(model, env, row)
            right, crops = own.accuracy > 0, len(env.episode.shown)
            if crops:
                altered = [await play(model, ZoomEnv(config), row, altered=place) for place in (_true_place, _noise)]
                true, noise = (other.accuracy > 0 for other in altered)
                iou = own.iou if row["nested"] else None
                found.append(ProbeResult(row["id"], right, true, noise, crops, iou))
            else:  # there is nothing to alter
                found.append(ProbeResult(row["id"], right, right, right, 0, None))
            progress(done)
        return found

    return asyncio.run(work())


def figures(probed: Sequence[ProbeResult]) -> dict[str, Any]:
    """Shares with their 95 % Wilson intervals, over all rows and over those in which the model asked for a crop; and
    what replacing the crops changed among the latter."""
    zoomed = [one for one in probed if one.crops]
    told: dict[str, Any] = {"rows": len(probed), "with_crops": len(zoomed)}
    told["all"] = {name: _share(probed, name) for name in CROPS}
    told["zoomed"] = {name: _share(zoomed, name) for name in CROPS}
    shares = {name: told["zoomed"][name]["share"] for name in CROPS}
    if zoomed:
        told["change"] = {name: round(shares[name] - shares["own"], 4) for name in CROPS[1:]}
    boxes = [one.iou for one in zoomed if one.iou is not None]
    told["mean_iou"] = sum(boxes) / len(boxes) if boxes else None
    return told


def table(told: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    heads = {"own": "the model's own", "true": "the true place", "noise": "noise"}
    lines = ["| crops shown | right, all rows | right, rows with a crop |", "|---|--:|--:|"]
    lines += [f"| {heads[name]} | {_words(told['all'][name])} | {_words(told['zoomed'][name])} |" for name in CROPS]
    lines += ["", f"{told['rows']} rows; the model asked for a crop in {told['with_crops']}."]
    if "change" in told:
        change = told["change"]
        lines.append(f"Replacing its crops: true place {change['true']:+.1%}, noise {change['noise']:+.1%}.")
    return "\n".join(lines)


def as_json(probed: Sequence[ProbeResult]) -> dict[str, Any]:
    """Figures and rows."""
    return {**figures(probed), "each": [asdict(one) for one in probed]}


def _true_place(env: ZoomEnv, seen: Seen) -> Seen:
    """The place that the question is about, cropped as the zoom tool crops: target after target, then again."""
    targets = env.episode.row["targets"]
    target = Box(*targets[(len(env.episode.shown) - 1) % len(targets)])
    views = env.views
    region = surroundings(target, views.picture.size, views.profile.crop_margin, 0)
    record = views.add(region, source=env.episode.indexed[0], max_pixels=views.profile.crop_pixels or None)
    image = views.picture.view(region, size_of(record))
    return Seen(seen.text, tuple(image for _ in seen.images), seen.ok)


def _noise(env: ZoomEnv, seen: Seen) -> Seen:
    """Random pixels of the same size; always the same for the same crop of the same episode."""
    rng = np.random.default_rng([SEED, len(env.episode.shown)])
    images = (Image.fromarray(rng.integers(0, 256, (i.height, i.width, 3), dtype=np.uint8)) for i in seen.images)
    return Seen(seen.text, tuple(images), seen.ok)


def _share(probed: Sequence[ProbeResult], name: str) -> dict[str, float]:
    right = sum(bool(getattr(one, name)) for one in probed)
    low, high = wilson(right, len(probed))
    return {"share": right / len(probed) if probed else 0.0, "low": low, "high": high}


def _words(share: dict[str, float]) -> str:
    return f"{share['share']:.1%} ({share['low']:.1%} to {share['high']:.1%})"
