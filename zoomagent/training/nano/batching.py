"""Rows to tensors: patches in the image processor's order, padded sequences, and the model's forward on packed rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from zoomagent.training.nano.looks import TEXT, Row
from zoomagent.training.nano.packing import IGNORE, visible


@dataclass(frozen=True)
class Sight:
    """The views of one size in a batch: pixels uint8 (count, side, side, 3), and what is in their cells and patches."""

    pixels: torch.Tensor
    cells: torch.Tensor
    glyphs: torch.Tensor


@dataclass(frozen=True)
class Batch:
    """Tensors of n rows. `sights` has the views, the largest first; ids and labels (n, length); mask (n, 1, length,
    length). `order` puts the visual tokens of all sights, laid one after the other, into the order of their
    placeholders."""

    sights: tuple[Sight, ...]
    ids: torch.Tensor
    labels: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    branch: torch.Tensor
    items: torch.Tensor
    targets: torch.Tensor
    order: torch.Tensor
    names: tuple[tuple[str, ...], ...]

    def to(self, device: torch.device | str) -> "Batch":
        sights = tuple(Sight(**{k: v.to(device) for k, v in vars(sight).items()}) for sight in self.sights)
        moved: dict[str, Any] = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, torch.Tensor)}
        return replace(self, sights=sights, **moved)


def collate(rows: Sequence[Row], pad: int) -> Batch:
    """Pad the sequences to the longest, and lay views of one size together."""
    length = max(len(row.packed.ids) for row in rows)
    branch = np.stack([_pad(row.packed.branch, length, -1) for row in rows])
    looks = [look for row in rows for look in row.looks]
    sizes = [len(look.pixels) for look in looks]
    places = [[i for i, side in enumerate(sizes) if side == size] for size in sorted(set(sizes), reverse=True)]
    # Where each look's tokens are, in the order of the looks, when those of one size are laid together.
    stacked = [i for size in places for i in size]
    ends = np.cumsum([0, *(len(looks[i].cells) for i in stacked)])
    starts = dict(zip(stacked, ends, strict=False))
    arrays = {
        "order": np.concatenate([starts[i] + np.arange(len(look.cells)) for i, look in enumerate(looks)]),
        "ids": np.stack([_pad(row.packed.ids, length, pad) for row in rows]),
        "labels": np.stack([_pad(row.packed.labels, length, IGNORE) for row in rows]),
        "positions": np.stack([_pad(row.packed.positions, length, 0) for row in rows], axis=1),
        "mask": np.stack([visible(row) for row in branch])[:, None],
        "branch": branch,
        "items": np.stack([_pad(row.items, length, TEXT) for row in rows]),
        "targets": np.stack([_pad(row.targets, length, -1) for row in rows]),
    }
    tensors = {k: torch.from_numpy(a) for k, a in arrays.items()}
    sights = []
    for size in places:
        fields = ([looks[i].pixels for i in size], [looks[i].cells for i in size], [looks[i].glyphs for i in size])
        sights.append(Sight(*(torch.from_numpy(np.stack(field)) for field in fields)))
    return Batch(tuple(sights), **tensors, names=tuple(row.names for row in rows))


def _pad(array: Any, length: int, value: int) -> Any:
    width = [(0, 0)] * (array.ndim - 1) + [(0, length - array.shape[-1])]
    return np.pad(array, width, constant_values=value)


def patchify(images: torch.Tensor, patch: int, merge: int) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 (n, side, side, 3) to Qwen patches (n * patches, 3 * 2 * patch * patch) and grids (n, 3).

    Same order and scale as `Qwen2VLImageProcessorPil` with mean and std 0.5, the frame repeated in time.
    """
    n, height, width, _ = images.shape
    rows, columns = height // (patch * merge), width // (patch * merge)
    x = images.permute(0, 3, 1, 2).float() / 127.5 - 1
    x = x.reshape(n, 3, rows, merge, patch, columns, merge, patch)
    x = x.permute(0, 2, 5, 3, 6, 1, 4, 7).unsqueeze(6).expand(-1, -1, -1, -1, -1, -1, 2, -1, -1)
    grid = torch.tensor([[1, rows * merge, columns * merge]], device=images.device).expand(n, 3)
    return x.reshape(n * rows * columns * merge**2, -1), grid


Seen = tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]


def see(model: Any, images: torch.Tensor) -> Seen:
    """The vision tower on equal-sized images: merged tokens and deepstack features, each (n, tokens, width), and
    patches (n * patches, vision width)."""
    config = model.config.vision_config
    flat, grid = patchify(images, config.patch_size, config.spatial_merge_size)
    out = model.model.visual(flat, grid_thw=grid, return_dict=True)
    shape = (len(images), -1, config.out_hidden_size)
    deep = [f.reshape(shape) for f in out.deepstack_features]
    return out.pooler_output.reshape(shape), deep, out.last_hidden_state


def read(model: Any, batch: Batch, seen: Sequence[Seen]) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Hidden states (n, length, width) of packed rows, after the last layer and after each, given what `see` returned
    for each sight."""
    tokens = _in_order([tokens for tokens, _, _ in seen], batch.order)
    levels = zip(*(deep for _, deep, _ in seen), strict=True)
    features = SimpleNamespace(
        pooler_output=(tokens,), deepstack_features=[(_in_order(level, batch.order),) for level in levels]
    )
    out = model.model(
        input_ids=batch.ids,
        attention_mask=batch.mask,
        position_ids=batch.positions,
        mm_encoder_outputs={"image": features},
        use_cache=False,
        output_hidden_states=True,
    )
    return out.last_hidden_state, out.hidden_states


def _in_order(parts: Sequence[torch.Tensor], order: torch.Tensor) -> torch.Tensor:
    """Visual tokens in the order of their placeholders, shape (tokens, width)."""
    return torch.cat([part.flatten(0, 1) for part in parts])[order]
