"""The spectrum of a sound over any time, from its samples: loudness of 128 notes, low ones first.

    levels = Spectrum(samples).levels([0, 1600, 3200], Fraction(1600))        # decibels: 2 columns, 128 notes each

A column of a narrow span is a transform of its own, with a shorter window the narrower it is; a column of a wide span
is the loudest of all transforms in it, so that what is short is not missed. What a column shows depends on its own
samples and on how wide columns are, and on nothing else. The transform and the notes (mel) are those of
`transformers.audio_utils`.
"""

import threading
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from zoomagent.media.patience import seconds_left

Array = NDArray[np.float32]

RATE = 16_000
"""Samples of a second: of every sound (ours; what lies above 8 kHz is not kept)."""
BINS = 128
HOPS = {160: 400, 80: 256, 40: 160, 20: 160, 10: 160}
"""Samples from one transform to the next, and how long its window is: 25 ms each 10 ms, where columns are as wide."""
TRANSFORM = 1024
LOWEST = 20.0
"""Hertz of the lowest note."""
BLOCK = 2000
"""Transforms that are computed at a time."""
COARSE = 16
"""Transforms that are kept as one, the loudest of them, for columns that hold at least `WIDE` times as many."""
WIDE = 4
QUIET = -200.0
"""Decibels of nothing at all."""


class Samples(Protocol):
    """Where a sound's samples lie: numbers from -1 to 1, RATE a second. May be read by several threads."""

    count: int

    def read(self, start: int, end: int) -> Array: ...

    def close(self) -> None: ...


class Spectrum:
    """The spectrum of `samples`. For wide columns the whole is computed once, and kept coarsely."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._coarse: Array | None = None
        self._lock = threading.Lock()

    def levels(self, edges: Sequence[int], step: Fraction) -> Array:
        """Decibels below a full tone, columns x notes. Column c is the time from sample edges[c] to edges[c + 1];
        `step` is how many samples a column has on the whole."""
        widest = max(HOPS)
        if self._is_wide(step):
            with self._lock:
                if self._coarse is None:
                    self._coarse = self._all_coarse()
            # Every block that a column touches.
            blocks = [(edge // (widest * COARSE), -(-edge // (widest * COARSE))) for edge in edges]
            spans = [(a[0], max(a[0] + 1, b[1])) for a, b in zip(blocks, blocks[1:], strict=False)]
            return _loudest(self._coarse, spans)
        hop = next((hop for hop in HOPS if hop <= step), min(HOPS))
        spans = []
        for start, end in zip(edges, edges[1:], strict=False):
            first, behind = -(-start // hop), -(-end // hop)
            # A column between two transforms shows the nearest.
            spans.append((first, behind) if first < behind else ((start + end) // (2 * hop),) * 2)
        spans = [(first, max(first + 1, behind)) for first, behind in spans]
        start = min(first for first, _ in spans)
        return _loudest(
            self._transforms(start, max(end for _, end in spans), hop), [(a - start, b - start) for a, b in spans]
        )

    def reach(self, step: Fraction) -> int:
        """How many samples before and behind its own a column may show something of."""
        return max(HOPS.values()) // 2 + (max(HOPS) * COARSE if self._is_wide(step) else 0)

    def _is_wide(self, step: Fraction) -> bool:
        return step >= max(HOPS) * COARSE * WIDE

    def _transforms(self, first: int, behind: int, hop: int) -> Array:
        """Decibels of the transforms number `first` up to `behind`; number n is around sample n * hop."""
        from transformers.audio_utils import spectrogram

        window, length = _window(HOPS[hop]), HOPS[hop]
        full = (float(window.sum()) / 2) ** 2
        parts: list[Array] = []
        for start in range(first, behind, BLOCK):
            seconds_left()  # hours of sound take a minute
            end = min(behind, start + BLOCK)
            wave = self._padded(start * hop - length // 2, (end - 1) * hop + length - length // 2)
            power = spectrogram(
                wave,
                window,
                length,
                hop,
                fft_length=TRANSFORM,
                power=2.0,
                center=False,
                mel_filters=_notes(),
                mel_floor=0.0,
            )
            parts.append(10 * np.log10(np.maximum(power.T / full, 10 ** (QUIET / 10))).astype(np.float32))
        return np.concatenate(parts)

    def _padded(self, start: int, end: int) -> Array:
        """Samples, silence where there are none."""
        inside = self._samples.read(max(0, start), max(0, min(end, self._samples.count)))
        before = min(max(0, -start), end - start)
        return np.pad(inside, (before, end - start - before - len(inside)))

    def _all_coarse(self) -> Array:
        """The loudest of each COARSE transforms, over all of the sound."""
        count = -(-self._samples.count // (max(HOPS) * COARSE)) + 1
        found = [
            self._transforms(first * COARSE, min(first + BLOCK, count) * COARSE, max(HOPS))
            .reshape(-1, COARSE, BINS)
            .max(axis=1)
            for first in range(0, count, BLOCK)
        ]
        return np.concatenate(found)


def _loudest(levels: Array, spans: Sequence[tuple[int, int]]) -> Array:
    """The loudest of each span's rows; the last ones where a span lies behind them."""
    most = len(levels)
    return np.stack(
        [levels[min(first, most - 1) : max(behind, min(first, most - 1) + 1)].max(axis=0) for first, behind in spans]
    )


@cache
def _window(length: int) -> Array:
    from transformers.audio_utils import window_function

    return np.asarray(window_function(length, "hann"), np.float32)


@cache
def _notes() -> Array:
    from transformers.audio_utils import mel_filter_bank

    notes = mel_filter_bank(TRANSFORM // 2 + 1, BINS, LOWEST, RATE / 2, RATE, norm=None, mel_scale="slaney")
    return np.asarray(notes, np.float32)
