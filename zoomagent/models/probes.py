"""Drawn pictures and tones whose answers are known: what `doctor.py` shows a model to find out what it can do.

A probe is a grey view with a coloured square or two: shapes that the packaged nano model knows as well as large models
do. `fit_space` judges boxes: in which of the coordinate spaces do they fall on what was drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import get_args

import numpy as np
from PIL import Image, ImageDraw

from zoomagent.geometry import Box, Size, Space, between_spaces, whole
from zoomagent.media.sound.sound import Sound, sound_of
from zoomagent.media.sound.spectrum import RATE
from zoomagent.media.video.sheet import Sheet
from zoomagent.models.base import Message, Pixels, Text
from zoomagent.models.profiles import Profile
from zoomagent.moments import Moment

COLOURS = {"red": (208, 32, 36), "green": (30, 138, 52), "blue": (36, 72, 206), "yellow": (238, 204, 28)}
GROUND = (150, 150, 150)
SPACES: tuple[Space, ...] = get_args(Space)

CLEAR_IOU = 0.5
"""A space is believed when the median overlap reaches this (the usual bar of grounding benches) …"""

CLEAR_LEAD = 0.2
"""… and is this much better than the next space's (ours)."""


@dataclass(frozen=True)
class BoxProbe:
    """A view, the colour of the square to be found on it, and where that square is."""

    view: Pixels
    size: Size
    colour: str
    box: Box


def square_view(
    profile: Profile,
    colours: Sequence[str],
    shape: Size,
    places: Sequence[tuple[float, float]],
    max_pixels: int = 480 * 480,
) -> BoxProbe:
    """A view of about this shape with a square of each colour; the first is the one that will be asked for.

    Places are shares of the room that a square leaves. Views stay below 700 pixels a side as a rule, so that pixels
    and thousandths cannot be confused.
    """
    size = profile.fit(shape, min(profile.max_pixels, max_pixels))
    image = Image.new("RGB", (size.width, size.height), GROUND)
    side = max(8, round(min(size.width, size.height) * 0.3))
    boxes: list[Box] = []
    for colour, (x, y) in zip(colours, places, strict=True):
        left, top = round((size.width - side) * x), round((size.height - side) * y)
        boxes.append(Box(left, top, left + side, top + side))
        ImageDraw.Draw(image).rectangle((left, top, left + side - 1, top + side - 1), COLOURS[colour])
    key = f"probe-{'-'.join(colours)}-{size.width}x{size.height}-{boxes[0].as_list()}"
    return BoxProbe(Pixels(key, image), size, colours[0], boxes[0])


def box_probes(profile: Profile) -> list[BoxProbe]:
    """Six views of three shapes; the squares lie far from the diagonal, where the spaces differ most."""
    wide, tall, plain = Size(2, 1), Size(1, 2), Size(3, 2)
    return [
        square_view(profile, ("red", "blue"), wide, ((0.9, 0.1), (0.1, 0.8))),
        square_view(profile, ("green", "red"), wide, ((0.15, 0.9), (0.9, 0.3))),
        square_view(profile, ("blue", "yellow"), tall, ((0.1, 0.9), (0.8, 0.1))),
        square_view(profile, ("yellow", "green"), tall, ((0.9, 0.2), (0.2, 0.8))),
        square_view(profile, ("red", "yellow"), plain, ((0.85, 0.85), (0.1, 0.1))),
        square_view(profile, ("blue", "green"), plain, ((0.05, 0.6), (0.9, 0.6))),
    ]


def square_probes(profile: Profile) -> list[BoxProbe]:
    """Three square views, on which shares of the view and of a padded square are the same."""
    places = (((0.9, 0.15), (0.1, 0.8)), ((0.1, 0.6), (0.9, 0.2)), ((0.6, 0.9), (0.2, 0.1)))
    colours = (("red", "blue"), ("green", "yellow"), ("blue", "red"))
    return [square_view(profile, pair, Size(1, 1), place) for pair, place in zip(colours, places, strict=True)]


def full_probe(profile: Profile) -> BoxProbe:
    """A view as large as the profile allows: pixels of it are the model's only where its server leaves it as it is."""
    return square_view(profile, ("red", "blue"), Size(4, 3), ((0.9, 0.85), (0.1, 0.1)), profile.max_pixels)


def shrink(answers: Sequence[tuple[BoxProbe, Sequence[float]]]) -> float | None:
    """By how much boxes in pixels are smaller than what was drawn, where all are by about the same: the server shows
    its model a smaller view than it was sent. 1 where they are in place; None where no one factor explains them."""
    drawn = [(n, edge) for probe, numbers in answers for n, edge in zip(numbers, probe.box.as_list(), strict=True)]
    ratios = [n / edge for n, edge in drawn if edge > 0]
    if not ratios:
        return None
    factor = median(ratios)
    errors = [overlap(probe, [n / factor for n in numbers], "pixels") for probe, numbers in answers if factor > 0]
    return factor if errors and min(errors) >= CLEAR_IOU else None


def one_square(profile: Profile, colour: str) -> Pixels:
    """A view with one square in its middle."""
    return square_view(profile, (colour,), Size(1, 1), ((0.5, 0.5),)).view


TONES = {"beep": (1000.0, 1000.0), "rising sweep": (300.0, 3000.0)}
"""Drawn sounds, and their pitch in Hertz at the beginning and at the end."""


TONE = Moment(0, 3000)


def tone(kind: str) -> Sound:
    """Three seconds, the second of which is a tone of this kind."""
    first, last = TONES[kind]
    times = np.arange(3 * RATE) / RATE
    there = (times >= 1) & (times < 2)
    pitch = np.interp(times, (1, 2), (first, last))
    wave = 0.5 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * there
    return sound_of(wave.astype(np.float32))


def tone_view(profile: Profile, kind: str, *, shown: bool = True) -> Pixels:
    """The spectrogram of such a tone; not `shown`, a grey picture of that size."""
    sheet = Sheet(tone(kind), TONE, 1, () if shown else (TONE,))
    size = profile.fit(sheet.size, min(profile.max_pixels, 480 * 480))
    return Pixels(f"probe-tone-{kind}-{shown}-{size.width}x{size.height}", sheet.view(whole(sheet.size), size))


def ask(*parts: Pixels | str) -> list[Message]:
    """One user turn."""
    return [Message("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))]


def names_only(text: str, colour: str) -> bool:
    """Whether the text names this colour and no other."""
    return [name for name in COLOURS if name in text.lower()] == [colour]


def fit_space(answers: Sequence[tuple[BoxProbe, Sequence[float]]]) -> dict[Space, float]:
    """The median overlap of the answered boxes with the drawn ones, were they written in each of the spaces."""
    return {
        space: median([overlap(probe, numbers, space) for probe, numbers in answers]) if answers else 0.0
        for space in SPACES
    }


def decide_space(fits: dict[Space, float], apart: bool = True) -> Space | None:
    """The space that explains the answers clearly better than the others, or None. `apart` is False for square views,
    which do not tell "unit" from "square"."""
    if not apart:
        fits = {space: value for space, value in fits.items() if space != "square"}
    (best, score), (_, second) = sorted(fits.items(), key=lambda item: -item[1])[:2]
    return best if score >= CLEAR_IOU and score - second >= CLEAR_LEAD else None


def overlap(probe: BoxProbe, numbers: Sequence[float], space: Space) -> float:
    """Intersection over union of the drawn box and these numbers read in `space`, both as shares of the view."""
    x0, y0, x1, y1 = between_spaces(numbers, space, "unit", probe.size)
    drawn = probe.box
    u0, u1 = drawn.left / probe.size.width, drawn.right / probe.size.width
    v0, v1 = drawn.top / probe.size.height, drawn.bottom / probe.size.height
    common = max(0.0, min(x1, u1) - max(x0, u0)) * max(0.0, min(y1, v1) - max(y0, v0))
    union = max(0.0, x1 - x0) * max(0.0, y1 - y0) + (u1 - u0) * (v1 - v0) - common
    return common / union if union > 0 else 0.0
