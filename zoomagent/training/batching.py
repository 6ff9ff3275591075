"""Rows to tensors: patches in the image processor's order, padded sequences, and the model's forward on packed rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from zoomagent.training.looks import TEXT, Look, Row
from zoomagent.training.packing import IGNORE, visible


@dataclass(frozen=True)
class Batch:
    """Tensors of n rows. Images uint8 (count, side, side, 3), whole-sized and crop-sized ones apart; ids and labels
    (n, length); mask (n, 1, length, length). `order` puts the visual tokens of both sorts, laid one after the other,
    into the order of their placeholders."""

    macros: torch.Tensor
    crops: torch.Tensor
    macro_cells: torch.Tensor
    crop_cells: torch.Tensor
    macro_glyphs: torch.Tensor
    crop_glyphs: torch.Tensor
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
        moved: dict[str, Any] = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, torch.Tensor)}
        return replace(self, **moved)


def collate(rows: Sequence[Row], pad: int) -> Batch:
    """Pad the sequences to the longest. Looks are of two sizes; the larger ones are `macros`."""
    length = max(len(row.packed.ids) for row in rows)
    ids = np.stack([_pad(row.packed.ids, length, pad) for row in rows])
    labels = np.stack([_pad(row.packed.labels, length, IGNORE) for row in rows])
    branch = np.stack([_pad(row.packed.branch, length, -1) for row in rows])
    positions = np.stack([_pad(row.packed.positions, length, 0) for row in rows], axis=1)
    mask = np.stack([visible(row) for row in branch])[:, None]
    looks = [look for row in rows for look in row.looks]
    large, small = _by_size(looks)
    arrays = {
        "macros": np.stack([looks[i].pixels for i in large]),
        "crops": _stack([looks[i].pixels for i in small], looks[0].pixels),
        "macro_cells": np.stack([looks[i].cells for i in large]),
        "crop_cells": _stack([looks[i].cells for i in small], looks[0].cells),
        "macro_glyphs": np.stack([looks[i].glyphs for i in large]),
        "crop_glyphs": _stack([looks[i].glyphs for i in small], looks[0].glyphs),
        "order": _order(looks, [*large, *small]),
        "ids": ids,
        "labels": labels,
        "positions": positions,
        "mask": mask,
        "branch": branch,
        "items": np.stack([_pad(row.items, length, TEXT) for row in rows]),
        "targets": np.stack([_pad(row.targets, length, -1) for row in rows]),
    }
    return Batch(**{k: torch.from_numpy(a) for k, a in arrays.items()}, names=tuple(row.names for row in rows))


def _by_size(looks: Sequence[Look]) -> tuple[list[int], list[int]]:
    """The places of the larger and of the smaller looks, of which there may be none."""
    largest = max(len(look.pixels) for look in looks)
    large = [i for i, look in enumerate(looks) if len(look.pixels) == largest]
    return large, [i for i in range(len(looks)) if i not in set(large)]


def _stack(arrays: Sequence[Any], like: Any) -> Any:
    """The arrays as one; of none, an empty one that is shaped `like` their kind."""
    return np.stack(arrays) if arrays else np.zeros((0, *like.shape), like.dtype)


def _order(looks: Sequence[Look], stacked: Sequence[int]) -> Any:
    """Where each look's tokens are, in the order of the looks, when the looks' tokens are laid in order `stacked`."""
    counts = {i: len(looks[i].cells) for i in stacked}
    starts = dict(zip(stacked, np.cumsum([0, *(counts[i] for i in stacked)]), strict=False))
    return np.concatenate([starts[i] + np.arange(counts[i]) for i in range(len(looks))])


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
    if not len(images):
        none = torch.zeros((0, 1, config.out_hidden_size), device=images.device)
        return none, [none] * len(config.deepstack_visual_indexes), none.new_zeros((0, config.hidden_size))
    flat, grid = patchify(images, config.patch_size, config.spatial_merge_size)
    out = model.model.visual(flat, grid_thw=grid, return_dict=True)
    shape = (len(images), -1, config.out_hidden_size)
    deep = [f.reshape(shape) for f in out.deepstack_features]
    return out.pooler_output.reshape(shape), deep, out.last_hidden_state


def read(model: Any, batch: Batch, macro: Seen, crop: Seen) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Hidden states (n, length, width) of packed rows, after the last layer and after each, given what `see` returned
    for the two sorts of view."""
    tokens = _in_order(macro[0], crop[0], batch.order)
    deep = [_in_order(a, b, batch.order) for a, b in zip(macro[1], crop[1], strict=True)]
    seen = SimpleNamespace(pooler_output=(tokens,), deepstack_features=[(d,) for d in deep])
    out = model.model(
        input_ids=batch.ids,
        attention_mask=batch.mask,
        position_ids=batch.positions,
        mm_encoder_outputs={"image": seen},
        use_cache=False,
        output_hidden_states=True,
    )
    return out.last_hidden_state, out.hidden_states


def _in_order(macro: torch.Tensor, crop: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Visual tokens in the order of their placeholders, shape (tokens, width)."""
    return torch.cat([macro.flatten(0, 1), crop.flatten(0, 1)])[order]
