"""What the vision tower saw, kept per view, so that a view is encoded once however many turns speak of it.

Keyed by `Pixels.key` and size, bounded by bytes, least recently used goes first. The features of one view
never depend on its neighbours (each is encoded alone), so a cached answer equals a fresh one bit for bit.
Nothing is kept on disk.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch

Key = tuple[str, int, int]


@dataclass(frozen=True, eq=False)
class ViewFeatures:
    """The tower's output for one view: merged tokens, and the features DeepStack adds in the first text
    layers."""

    grid: tuple[int, int, int]
    tokens: torch.Tensor
    deepstack: tuple[torch.Tensor, ...]

    @property
    def nbytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in (self.tokens, *self.deepstack))


class VisionCache:
    """Least-recently-used store of `ViewFeatures`, at most `max_bytes` large. Not for several threads at
    once."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.hits = 0
        self.misses = 0
        self.nbytes = 0
        self._kept: OrderedDict[Key, ViewFeatures] = OrderedDict()

    def get(self, key: Key, encode: Callable[[], ViewFeatures]) -> ViewFeatures:
        """The features kept under `key`, or those `encode` makes, which are then kept."""
        found = self._kept.get(key)
        if found is not None:
            self.hits += 1
            self._kept.move_to_end(key)
            return found
        self.misses += 1
        made = encode()
        self._kept[key] = made
        self.nbytes += made.nbytes
        while self.nbytes > self.max_bytes and self._kept:
            _, dropped = self._kept.popitem(last=False)
            self.nbytes -= dropped.nbytes
        return made

    def __contains__(self, key: Key) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)
