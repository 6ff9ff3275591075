"""Sound: an opened sound of which any moment can be had as samples, or as the picture of its spectrogram.

    with open_sound("alarm.wav") as sound:
        sound.samples(Moment(1000, 2000))                  # 16,000 numbers from -1 to 1
        Sheet(sound, sound.moment, 3)                      # three rows of spectrogram as one picture (video/sheet.py)

Time runs from left to right, low notes are below, what is loud is bright. Every region of a picture is computed from
the samples of its own time: less time at the same size is a finer transform, not a magnified picture. Where the samples
lie is a `Samples` source's business; opening is `opening.py`'s.
"""

import hashlib
import io
import math
import wave
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
from PIL import Image

from zoomagent.errors import InputRefused
from zoomagent.geometry import Box, Size
from zoomagent.media.recording import GREY, CellRequest, Recording
from zoomagent.media.rendering import plain_box, render
from zoomagent.media.sound.spectrum import BINS, RATE, Array, Samples, Spectrum
from zoomagent.moments import Moment

CELL = Size(512, 512)
"""The picture of one moment, in its own pixels. It has no pixels before it is rendered, at whatever size (ours)."""
FRAME_GAP = 20
"""Milliseconds below which two times are one: as long as a transform's window, nearly."""
RANGE = 70.0
"""Decibels below the loudest sample that are still to be seen (ours)."""
FAINT = 0.03
"""A sound whose loudest sample is below this is drawn as if it were this loud, so that noise stays dark (ours)."""
SILENT = 2 / 32768
"""The loudest sample of a sound in which there is nothing to be heard (ours): what rounding leaves."""
PER_MS = RATE // 1000


class Sound(Recording):
    """An opened sound. `id` names its samples."""

    shows_all = True

    def __init__(self, id: str, samples: Samples, notes: tuple[str, ...] = ()) -> None:
        super().__init__(id, CELL, max(1, -(-samples.count // PER_MS)), notes, "sound", samples.close)
        self._samples = samples
        self._spectrum = Spectrum(samples)
        blocks = range(0, samples.count, 60 * RATE)
        self.loudest = max((float(np.abs(samples.read(a, a + 60 * RATE)).max()) for a in blocks), default=0.0)

    @property
    def frame_gap(self) -> int:
        return FRAME_GAP

    @property
    def silent(self) -> bool:
        """Whether there is nothing to be heard in all of it."""
        return self.loudest <= SILENT

    def loudest_time(self) -> int:
        """The middle of the 100 ms with the most energy, in milliseconds."""
        self._lifetime.check()
        best, found = -1.0, 0
        for start in range(0, self._samples.count, 60 * RATE):
            part = self._samples.read(start, start + 60 * RATE)
            tenths = np.pad(part, (0, -len(part) % (RATE // 10))).reshape(-1, RATE // 10)
            energy = (tenths**2).sum(axis=1)
            if energy.max() > best:
                best, found = float(energy.max()), start // PER_MS + 100 * int(energy.argmax()) + 50
        return min(found, self.duration - 1)

    def samples(self, moment: Moment) -> Array:
        """The samples of a moment, RATE a second."""
        self._lifetime.check()
        return self._samples.read(moment.start * PER_MS, min(self._samples.count, moment.end * PER_MS))

    def wav(self, moment: Moment, silent: Sequence[Moment] = ()) -> bytes:
        """The moment as a wav file of 16 bits, with silence in some moments."""
        samples = self.samples(moment).copy()
        for span in silent:
            samples[max(0, span.start - moment.start) * PER_MS : max(0, span.end - moment.start) * PER_MS] = 0
        file = io.BytesIO()
        with wave.open(file, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(RATE)
            out.writeframes(np.rint(samples * 32767).astype("<i2").tobytes())
        return file.getvalue()

    def cells(self, requests: Sequence[CellRequest], hidden: Sequence[Moment] = ()) -> Iterator[Image.Image]:
        """The spectrogram of each moment, or a region of it; columns in `hidden` moments are grey."""
        self._lifetime.check()
        checked = [(moment, plain_box(box, self.size), size) for moment, box, size in requests]
        return self._lifetime.during(self._drawn(*request, hidden) for request in checked)

    def _drawn(self, moment: Moment, box: Box, size: Size, hidden: Sequence[Moment]) -> Image.Image:
        scale = self.size.width * size.width
        # Where each column begins: whole samples, the same whichever region it is drawn in.
        places = [box.left * size.width + column * box.width for column in range(size.width + 1)]
        edges = [moment.start * PER_MS + place * moment.length * PER_MS // scale for place in places]
        step = Fraction(box.width * moment.length * PER_MS, scale)
        levels = self._spectrum.levels(edges, step)
        top = 20 * math.log10(max(self.loudest, FAINT))
        greys = np.clip(np.rint(255 * (1 + (levels - top) / RANGE)), 0, 255).astype(np.uint8)
        notes = Image.fromarray(np.ascontiguousarray(greys.T[::-1]))
        share = BINS / self.size.height
        rows = (0.0, box.top * share, float(size.width), box.bottom * share)
        image = render(notes, rows, size).convert("RGB")
        # A column that shows anything of what is hidden is grey.
        reach = self._spectrum.reach(step)
        spans = [(span.start * PER_MS - reach, span.end * PER_MS + reach) for span in hidden if span.length]
        for column, (start, end) in enumerate(zip(edges, edges[1:], strict=False)):
            if any(start < behind and first < max(end, start + 1) for first, behind in spans):
                image.paste(GREY, (column, 0, column + 1, size.height))
        return image


class InMemorySamples:
    """Satisfies `zoomagent.media.sound.spectrum.Samples`."""

    def __init__(self, samples: Array) -> None:
        self._samples = samples
        self.count = len(samples)

    def read(self, start: int, end: int) -> Array:
        return self._samples[start:end]

    def close(self) -> None:
        """Nothing to give back."""


def sound_of(samples: Array) -> Sound:
    """Samples at hand, RATE a second, from -1 to 1, as a Sound."""
    given = np.asarray(samples, dtype=np.float32)
    if given.ndim != 1 or not len(given) or not np.isfinite(given).all():
        raise InputRefused(f"These samples are no sound. Give finite numbers, {RATE} a second.", code="corrupt_sound")
    given = np.clip(given, -1, 1)
    name = hashlib.sha256(b"samples " + given.tobytes()).hexdigest()
    return Sound(name, InMemorySamples(given))
