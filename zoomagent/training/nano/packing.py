"""Many questions about one picture in one sequence: branches that share a prefix and do not see each other.

A `Branch` is a dialogue that continues the shared prefix (the picture). The mask lets a token see the prefix and
its own branch only, and positions restart after the prefix, so every branch gets exactly the logits it would get
alone (`test_training_packing.py` proves it against the stock forward). Assistant tokens alone carry labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IGNORE = -100


@dataclass(frozen=True)
class Segment:
    """Token ids that are all supervised or all not; `grid` is (rows, columns) of visual tokens, or None for text."""

    ids: tuple[int, ...]
    learn: bool = False
    grid: tuple[int, int] | None = None


Branch = tuple[Segment, ...]


@dataclass(frozen=True)
class PackedRow:
    """One row. `ids`, `labels`, `branch`: shape (length,); `positions`: (3, length) for multimodal RoPE."""

    ids: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    branch: npt.NDArray[np.int64]


def pack(prefix: Branch, branches: Sequence[Branch]) -> PackedRow:
    """Lay the branches one after the other behind the prefix; branch number 0 is the prefix itself."""
    ids, labels, positions, owner = _lay(prefix, 0, 0)
    start = int(positions.max()) + 1
    laid = [_lay(branch, start, number) for number, branch in enumerate(branches, 1)]
    parts = zip((ids, labels, positions, owner), *laid, strict=True)
    return PackedRow(*(np.concatenate(part, axis=-1) for part in parts))


def _lay(segments: Branch, start: int, number: int) -> tuple[npt.NDArray[np.int64], ...]:
    """Ids, next-token labels, positions and branch numbers of one branch whose first position is `start`."""
    ids: list[int] = []
    learn: list[bool] = []
    positions: list[npt.NDArray[np.int64]] = []
    for segment in segments:
        ids += segment.ids
        learn += [segment.learn] * len(segment.ids)
        # Qwen3-VL positions (time, row, column) of a segment.
        if segment.grid is None:
            places = np.tile(np.arange(start, start + len(segment.ids), dtype=np.int64), (3, 1))
        else:
            rows, columns = np.indices(segment.grid, dtype=np.int64).reshape(2, -1)
            places = np.stack([np.zeros_like(rows), rows, columns]) + start
        positions.append(places)
        start = int(places.max()) + 1 if segment.grid is None else start + max(segment.grid)
    array = np.array(ids, np.int64)
    labels = np.full(len(ids), IGNORE, np.int64)
    labels[:-1] = np.where(np.array(learn[1:]), array[1:], IGNORE)
    return array, labels, np.concatenate(positions, axis=1), np.full(len(ids), number, np.int64)


def visible(branch: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Attention mask, shape (length, length): causal, own branch and prefix only. Padding is branch -1."""
    same = (branch[None, :] == branch[:, None]) | (branch[None, :] == 0)
    return np.asarray(np.tril(same) | np.eye(len(branch), dtype=bool))
