"""The model with what training adds to it, its loss on packed rows, and its held-out scores."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from zoomagent.data.world.scene import Level
from zoomagent.training.nano.batching import Batch, collate, read, see
from zoomagent.training.nano.dense import DenseHead
from zoomagent.training.nano.mix import Mix
from zoomagent.training.nano.model import NanoConfig
from zoomagent.training.nano.packing import IGNORE
from zoomagent.training.nano.pointing import Pointer, attended, spoken_masks

FIELDS = ("shape", "colour", "char1", "char2", "x0", "x0b", "y0", "y0b", "x1", "x1b", "y1", "y1b", "ground", "glyph")


@dataclass(frozen=True)
class Weights:
    """What the added losses count beside the text's."""

    dense: float = 0.3
    pointer: float = 0.3
    attention: float = 0.3


class Heads(nn.Module):
    """What training adds to the model and the shipped weights leave out."""

    def __init__(self, config: NanoConfig, level: Level) -> None:
        super().__init__()
        self.dense = DenseHead(config.text_width, config.vision_width, level)
        self.pointer = Pointer(config.text_width)


class Learner(nn.Module):
    """Model and heads as one module, so that data-parallel training sees every gradient."""

    def __init__(self, model: Any, heads: Heads, weights: Weights) -> None:
        super().__init__()
        self.model, self.heads, self.weights = model, heads, weights

    def forward(self, batch: Batch) -> tuple[torch.Tensor, dict[str, Any]]:
        """Loss of a batch and what to log. A batch without questions trains the tower alone."""
        seen = [see(self.model, sight.pixels) for sight in batch.sights]
        tokens = torch.cat([tokens.flatten(0, 1) for tokens, _, _ in seen])
        cells = torch.cat([sight.cells.flatten(0, 1) for sight in batch.sights])
        dense, hits = self.heads.dense(tokens, cells)
        glyphs = torch.cat([sight.glyphs.flatten() for sight in batch.sights])
        drawn, hit = self.heads.dense.glyphs(torch.cat([patches for _, _, patches in seen]), glyphs)
        dense, noted = dense + drawn, {"cells": torch.cat([hits, hit[None]])}
        noted["dense"] = dense.detach()
        if (batch.labels == IGNORE).all():
            return dense, noted
        text, more = self._text_loss(batch, *read(self.model, batch, seen))
        return text + self.weights.dense * dense, noted | more

    def _text_loss(
        self, batch: Batch, last: torch.Tensor, every: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """Next-token loss over the assistants' words, and the pointing loss in the middle of the layers."""
        asked = batch.labels != IGNORE
        logits = self.model.lm_head(last[asked])
        each = nn.functional.cross_entropy(logits, batch.labels[asked], reduction="none")
        shares = token_shares(batch)[asked]
        text = (each * shares).sum() / shares.sum()
        middle, said = len(every) // 2, spoken_masks(batch)
        pointed, found = self.heads.pointer(every[middle], batch, said)
        looked, hit = attended(self.model.model.language_model, middle, every[middle], batch, said)
        noted = {"text": text.detach(), "predicted": logits.argmax(-1).detach()}
        noted |= {"pointer": pointed.detach(), "found": found, "looked": looked.detach(), "attended": hit}
        return text + self.weights.pointer * pointed + self.weights.attention * looked, noted


def token_shares(batch: Batch) -> torch.Tensor:
    """What each supervised token counts: 1 / sqrt(words of its answer), so that boxes do not drown one-word answers."""
    asked = (batch.labels != IGNORE).float()
    lengths = torch.zeros(len(asked), int(batch.branch.max()) + 1, device=asked.device)
    owner = batch.branch.clamp(min=0)
    lengths.scatter_add_(1, owner, asked)
    return asked / lengths.gather(1, owner).clamp(min=1).sqrt()


@torch.no_grad()
def evaluate(learner: Learner, mix: Mix, pad: int, rows: int) -> dict[str, float]:
    """Held-out exact match per branch name, and accuracy of the heads' fields, over `rows` rows of an unseen seed."""
    learner.eval()
    device = next(learner.parameters()).device
    hits: dict[str, list[float]] = defaultdict(list)
    for start in range(0, rows, 16):
        batch = collate([mix.row(i) for i in range(start, start + 16)], pad).to(device)
        _, noted = learner(batch)
        score_branches(batch, noted["predicted"], hits)
        for field, value in zip(FIELDS, noted["cells"].tolist(), strict=True):
            hits["tower/" + field].append(value)
        hits["pointer"].append(float(noted["found"]))
        hits["attended"].append(float(noted["attended"]))
    learner.train()
    return {name: sum(values) / len(values) for name, values in sorted(hits.items())}


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
