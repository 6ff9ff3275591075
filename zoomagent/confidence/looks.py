"""What a picture looks like, as some eighty numbers: by these an arbiter knows the pictures that it was certified on.

    looks_of(image)          # (0.61, 0.02, ...): LENGTH numbers, the same for equal pixels

Pixel statistics of the whole view, shrunk to one size first, so that they do not depend on the model: how flat it is,
how colourful, in how few colours, what stands out from its surroundings in which sizes and shapes, how smooth. They
take some milliseconds. Left out: what they are compared with (`scope.py`), and what the picture is about.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Levels = npt.NDArray[np.int16]

SIDE = 128
"""The longer side at which every picture is compared (ours)."""
LEAST_SIDE = 8
STEPS = (1, 2, 4, 8, 16, 32, 64)
SATURATIONS = (8, 24, 48, 80, 120, 160)
LIGHTS = (32, 64, 96, 128, 160, 192, 224)
CONTRASTS = (4, 12, 24, 48, 80, 120)
AREAS = (2, 6, 30, 120)
"""Pixels from which a thing counts as of the next size."""
COLOURFUL, PLAIN = 60, 48
STANDS_OUT = 52
"""Levels of 255 by which a pixel differs from its surroundings to be part of a thing."""
LAGS = (1, 2, 4, 8, 16)
DIGITS = 4


def looks_of(image: Image.Image) -> tuple[float, ...]:
    """The numbers of a picture, in an order that is part of every arbiter's file."""
    pixels: Pixels = np.asarray(image.convert("RGB"))
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(LEAST_SIDE, round(width * scale)), max(LEAST_SIDE, round(height * scale)))
    if size != (width, height):
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR))
    levels = pixels.astype(np.int16)
    grey = levels.mean(-1).astype(np.float32)
    saturation = levels.max(-1) - levels.min(-1)
    # How far each pixel is from its neighbours to the right and below.
    across = np.abs(levels[:-1, 1:] - levels[:-1, :-1]).max(-1)
    down = np.abs(levels[1:, :-1] - levels[:-1, :-1]).max(-1)
    # Mean colour at the edges of the picture, and how much it varies.
    edge = np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]]).astype(np.float64)
    numbers = [
        *_shares(np.maximum(across, down), STEPS),
        *_shares(saturation, SATURATIONS),
        *_shares(grey.astype(np.int16), LIGHTS),
        *colours_in(pixels, saturation),
        *things_in(pixels, levels, saturation),
        *textures_in(grey),
        *np.log1p(edge.std(0)),
        *(edge.mean(0) / 255),
    ]
    return tuple(round(float(value), DIGITS) for value in numbers)


def _shares(values: npt.NDArray[Any], edges: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Which share of the values, 0 to 255, is below each edge and above the one before, and above the last."""
    table = np.searchsorted(edges, np.arange(256), side="right")
    return np.bincount(table[values].ravel(), minlength=len(edges) + 1) / values.size


def colours_in(pixels: Pixels, saturation: Levels) -> list[float]:
    """The share of each of twelve hues among all pixels, of which grey ones have none; how much of the picture the
    commonest of 4,096 colours fill, and how many colours there are."""
    hue = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[..., 0][saturation > COLOURFUL]
    hues = np.bincount(np.minimum(hue // 15, 11), minlength=12) / saturation.size
    few = (pixels >> 4).astype(np.int32)
    counts = np.bincount(((few[..., 0] << 8) | (few[..., 1] << 4) | few[..., 2]).ravel(), minlength=4096)
    filled = np.cumsum(np.sort(counts)[::-1]) / counts.sum()
    return [*hues.tolist(), *(float(filled[n - 1]) for n in (1, 2, 4, 8, 16, 64)), np.count_nonzero(counts) / 256]


def things_in(pixels: Pixels, levels: Levels, saturation: Levels) -> list[float]:
    """What stands out from its surroundings: how much at all, and how many compact and other things of each size, among
    the colourful and among the plain."""
    half = cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    around = cv2.resize(cv2.medianBlur(half, 21), (pixels.shape[1], pixels.shape[0]), interpolation=cv2.INTER_LINEAR)
    out = np.abs(levels - around.astype(np.int16)).max(-1)
    found = [float(share) for share in _shares(out, CONTRASTS)]
    for mask in ((out > STANDS_OUT) & (saturation > COLOURFUL), (out > STANDS_OUT) & (saturation <= PLAIN)):
        _, _, parts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
        width, height, area = parts[1:, 2], parts[1:, 3], parts[1:, 4]
        compact = (np.minimum(width, height) > 0.7 * np.maximum(width, height)) & (area > 0.4 * width * height)
        size = np.searchsorted(AREAS, area, side="right")
        for group in (compact, ~compact):
            found += np.log1p(np.bincount(size[group], minlength=len(AREAS) + 1)).tolist()
    return found


def textures_in(grey: npt.NDArray[np.float32]) -> list[float]:
    """How alike pixels are that lie some way apart, and how much the light varies within five pixels: in the flattest
    parts, and up to the roughest."""
    from_mean = grey - grey.mean()
    spread = float((from_mean**2).mean()) + 4
    found: list[float] = []
    for lag in LAGS:
        across, down = from_mean[:, lag:] * from_mean[:, :-lag], from_mean[lag:] * from_mean[:-lag]
        pairs = [float(part.mean()) for part in (across, down) if part.size]
        found.append(sum(pairs) / max(1, len(pairs)) / spread)
    mean = cv2.blur(grey, (5, 5))
    variance = np.maximum(cv2.blur(grey * grey, (5, 5)) - mean * mean, 0)
    found += np.log1p(np.sqrt(np.quantile(variance, (0.05, 0.2, 0.4, 0.6, 0.8, 0.95)))).tolist()
    return found


LENGTH = len(looks_of(Image.new("RGB", (SIDE, SIDE))))
"""How many numbers there are."""
