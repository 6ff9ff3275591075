"""Dense supervision of the vision tower: what is in each visual token's cell.

Next-token loss alone leaves a small model at chance on reading for tens of thousands of images. Linear heads that name,
for every merged token, the item there (shape, colour, characters, box digits) and, for every patch, the character drawn
over it, make the tower learn in a tenth of them. The heads are dropped from the shipped weights.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from zoomagent.data.world.questions import ILLEGIBLE, LEGIBLE
from zoomagent.data.world.render import Region, text_box
from zoomagent.data.world.scene import GROUNDS, Item, Level, Scene
from zoomagent.training.nano.packing import IGNORE

Targets = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fields:
    """The classification fields of a cell and their sizes."""

    level: Level

    def sizes(self) -> list[int]:
        level = self.level
        characters = [len(level.alphabet) + 1] * max(level.text_lengths)
        return [len(level.shapes) + 1, len(level.colours) + 1, *characters, *([11, 10] * 4), len(GROUNDS)]

    def weights(self) -> list[float]:
        """How much each field counts. Tens digits of boxes are mostly noise until the rest is learnt."""
        characters = [1.5] * max(self.level.text_lengths)
        return [1.5, 1.0, *characters, *([0.7, 0.3] * 4), 0.3]


class DenseHead(nn.Module):
    """Linear classifiers over merged visual tokens, all fields at once, and over patches: which character."""

    def __init__(self, width: int, patch_width: int, level: Level) -> None:
        super().__init__()
        self.sizes, self.weights = Fields(level).sizes(), Fields(level).weights()
        self.patch_norm = nn.LayerNorm(patch_width)
        self.patch_out = nn.Linear(patch_width, len(level.alphabet) + 1)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, sum(self.sizes))

    def forward(self, tokens: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss, and accuracy per field over occupied cells. tokens (n, width); targets (n, fields)."""
        logits = self.out(self.norm(tokens)).split(self.sizes, dim=-1)
        occupied = targets[:, 0] > 0
        losses, hits = [], []
        for field, scores in enumerate(logits):
            wanted = targets[:, field]
            loss = nn.functional.cross_entropy(scores, wanted, ignore_index=IGNORE, reduction="none")
            known = wanted != IGNORE
            if field < 2:
                value = _mean(loss, known & occupied) + 0.5 * _mean(loss, known & ~occupied)
            else:
                value = _mean(loss, known)
            losses.append(value * self.weights[field])
            hits.append(_mean((scores.argmax(-1) == wanted).float(), known & (occupied | (field >= 2))))
        return torch.stack(losses).sum(), torch.stack(hits).detach()

    def glyphs(self, patches: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and accuracy (over patches with a character) of naming characters. patches (n, width)."""
        scores = self.patch_out(self.patch_norm(patches))
        loss = nn.functional.cross_entropy(scores, targets, ignore_index=IGNORE, reduction="none")
        drawn = targets > 0
        value = 2.0 * _mean(loss, drawn) + 0.5 * _mean(loss, targets == 0)
        return value, _mean((scores.argmax(-1) == targets).float(), drawn).detach()


def _mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (values * mask).sum() / mask.sum().clamp(min=1)


def cell_items(scene: Scene, region: Region, side: int, cell: int) -> Targets:
    """The index of the item that covers most of each cell of a square view, -1 for none; cells in row order."""
    count = side // cell
    shares, items = np.full((count, count), 0.12), np.full((count, count), -1, np.int64)
    for index, item in enumerate(scene.items):
        # Share of each cell that the box covers, with a bonus for the cell of its centre; shape (count, count).
        corners = _corners(item, region)
        edges = np.arange(count + 1) / count
        across = np.clip(np.minimum(edges[1:], corners[2]) - np.maximum(edges[:-1], corners[0]), 0, None)
        down = np.clip(np.minimum(edges[1:], corners[3]) - np.maximum(edges[:-1], corners[1]), 0, None)
        area: npt.NDArray[np.float64] = np.outer(down, across) * count**2
        cx, cy = (corners[0] + corners[2]) / 2, (corners[1] + corners[3]) / 2
        if 0 <= cx < 1 and 0 <= cy < 1:
            area[int(cy * count), int(cx * count)] += 0.3
        score = area
        items[score > shares] = index
        shares = np.maximum(shares, score)
    return items.reshape(-1)


def _corners(item: Item, region: Region) -> npt.NDArray[np.float64]:
    width = region[2] - region[0]
    return np.array([(v - region[i % 2]) / width for i, v in enumerate(item.box)])


def cell_targets(scene: Scene, level: Level, region: Region, side: int, items: Targets) -> Targets:
    """What each cell is to be named, shape (cells, fields), given `cell_items`; IGNORE where nothing is asked."""
    targets = np.full((len(items), len(Fields(level).sizes())), IGNORE, np.int64)
    targets[:, :2] = 0
    one_colour = scene.ground not in ("mottled", "photograph")
    targets[:, -1] = list(GROUNDS).index(scene.ground_colour) if one_colour else IGNORE
    scale = side / (region[2] - region[0])
    for index in set(items.tolist()) - {-1}:
        item = scene.items[index]
        # Shape, colour, characters, and hundreds and tens digit of each box corner (0-1000, outward to tens).
        corners = _corners(item, region)
        height = item.text_height * scale
        inside = corners.min() > -0.02 and corners.max() < 1.02
        characters = [IGNORE] * max(level.text_lengths)
        if height <= ILLEGIBLE:
            characters = [0] * len(characters)
        elif height >= LEGIBLE and inside:
            ids = [level.alphabet.index(c) + 1 for c in item.text]
            characters = ids + [0] * (len(characters) - len(ids))
        tens = [v // 10 for v in thousandths(corners)]
        digits = [digit for v in tens for digit in (v // 10, v % 10)]
        targets[items == index, :-1] = np.array(
            [level.shapes.index(item.shape) + 1, level.colours.index(item.colour) + 1, *characters, *digits],
            np.int64,
        )
    return targets


def thousandths(corners: npt.NDArray[np.float64]) -> list[int]:
    """Corners 0-1 as multiples of ten between 0 and 1000, rounded outward (DualFocus writes two decimals)."""
    low = [int(np.floor(np.clip(v, 0, 1) * 100 + 1e-6)) * 10 for v in corners[:2]]
    high = [int(np.ceil(np.clip(v, 0, 1) * 100 - 1e-6)) * 10 for v in corners[2:]]
    return low + high


def glyph_targets(scene: Scene, level: Level, region: Region, side: int, patch: int, merge: int) -> Targets:
    """The character (1-based, 0 none) under the centre of every patch, in the image processor's patch order.

    Shape (patches,). IGNORE where letters are neither clearly readable nor clearly not, and at their edges.
    """
    count, width = side // patch, region[2] - region[0]
    targets = np.zeros((count, count), np.int64)
    centres = (np.arange(count) + 0.5) / count * width
    for item in scene.items:
        left, top, right, bottom = text_box(item)
        height = item.text_height * side / width
        columns = (centres + region[0] - left) / (right - left) * len(item.text)
        rows = (centres + region[1] - top) / (bottom - top)
        inside = np.outer((rows > 0) & (rows < 1), (columns > 0) & (columns < len(item.text)))
        near = np.outer((rows > -0.3) & (rows < 1.3), (columns > -0.3) & (columns < len(item.text) + 0.3))
        if height < LEGIBLE:
            targets[near & (height > ILLEGIBLE)] = IGNORE
            continue
        ids = np.array([level.alphabet.index(c) + 1 for c in item.text])
        named = ids[np.clip(columns.astype(int), 0, len(ids) - 1)]
        targets = np.where(inside, named[None, :], np.where(near, IGNORE, targets))
    blocks = count // merge
    return targets.reshape(blocks, merge, blocks, merge).transpose(0, 2, 1, 3).reshape(-1)
