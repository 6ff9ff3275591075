"""Detail: where in a picture there are strokes too fine for a view of a given scale.

    detail = measure_detail(picture, region)
    detail.fine(shrink=4, explained=none)   # cells of AREA pixels a side that a view at a quarter does not show

By the law of total variance, what a view loses of a place is the variance inside each of its pixels: no view has to
be made to know it. Straight edges (rules, frames, roofs) are not meant: strokes of letters turn, so the gradients of
a cell point to several directions. Left out: whether it is text.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from zoomagent.geometry import Box, Size
from zoomagent.media import Picture

CELL = 8
"""Original pixels a side of the smallest cell that is measured."""
POOL = 4
AREA = CELL * POOL
"""Original pixels a side of a cell that is looked at closer or not."""
SHRINKS = (1, 2, 4, 8)
"""Scales whose loss is known: an original pixel, or so many a side in one pixel of the view."""
BAND, WIDEST = 1024, 32_768
"""Rows and columns that are read at once: what bounds the memory."""
FAINT = 7.0
"""Grey levels of contrast below which nothing is taken for a stroke (ours): paper, grain, JPEG's ringing."""
TURN = 0.12
"""Least share of a cell's gradients that runs across their main direction, where there are letters (ours)."""
KEPT = 0.55
"""A view is fine enough for a place where it keeps this share of its variance (ours): letters of about 8 pixels."""

Cells = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Detail:
    """Of each cell of CELL pixels: what every scale loses (variance of grey), and the sums of gradients. `floor` is
    the contrast of the picture's own grain."""

    region: Box
    lost: dict[int, Cells]
    means: Cells
    gradients: tuple[Cells, Cells, Cells]
    floor: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return self.means.shape[0], self.means.shape[1]

    def fine(self, shrink: int, explained: Mask) -> Mask:
        """The areas with strokes that a view at `shrink` loses, but for cells that are `explained` already."""
        open_cells = (~explained).astype(np.float32)
        lost = _pooled(self.lost[min(shrink, SHRINKS[-1])] * open_cells)
        # The structure tensor's smaller eigenvalue beside the larger one: strokes turn, the edge of a thing does not.
        xx, yy, xy = (_pooled(part * open_cells) for part in self.gradients)
        half, apart = (xx + yy) / 2, np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
        return np.asarray((lost > self.floor**2) & (half - apart > TURN * (half + apart)))

    def keeps(self, quad: NDArray[np.float64], shrink: int) -> bool:
        """Whether a view at `shrink` keeps what four corners of the original hold."""
        corners = (quad - (self.region.left, self.region.top)) / CELL
        rows, columns = self.shape
        (left, top), (right, bottom) = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, columns), min(bottom, rows)
        if right <= left or bottom <= top:
            return True
        canvas = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillPoly(canvas, [np.floor(corners - (left, top)).astype(np.int32)], 1)
        inside = canvas.astype(bool)
        lost, coarsest = (self.lost[scale][top:bottom, left:right][inside].mean() for scale in (shrink, SHRINKS[-1]))
        between = self.means[top:bottom, left:right][inside].var()
        return bool(lost <= (1 - KEPT) * (coarsest + between))

    def fits(self, shrink: int) -> Mask:
        """The areas that a view at `shrink` keeps well enough to begin with; all others need a closer one."""
        lost = _pooled(self.lost[min(shrink, SHRINKS[-1])])
        # Contrast is the variance of an area: inside its cells, and between them.
        mean = _pooled(self.means)
        between = np.maximum(_pooled(self.means**2) - mean**2, 0)
        contrast = np.asarray(_pooled(self.lost[SHRINKS[-1]]) + between, np.float32)
        return np.asarray(lost <= (1 - KEPT) * contrast)


def measure_detail(picture: Picture, region: Box) -> Detail:
    """Read all of `region` once, band by band."""
    bands: list[list[Cells]] = []
    for top in range(region.top, region.bottom, BAND):
        parts: list[list[Cells]] = []
        for left in range(region.left, region.right, WIDEST):
            box = Box(left, top, min(region.right, left + WIDEST), min(region.bottom, top + BAND))
            parts.append(_measure(np.asarray(picture.view(box, box.size).convert("L"))))
        bands.append([np.concatenate(part, 1) for part in zip(*parts, strict=True)])
    means, *lost, xx, yy, xy = (np.concatenate(band) for band in zip(*bands, strict=True))
    by_shrink = {1: np.zeros_like(means), **dict(zip(SHRINKS[1:], lost, strict=True))}
    grain = float(np.sqrt(np.quantile(_pooled(by_shrink[SHRINKS[-1]]), 0.2)))
    return Detail(region, by_shrink, means, (xx, yy, xy), float(np.clip(2 * grain, FAINT, 3 * FAINT)))


def _measure(grey: NDArray[np.uint8]) -> list[Cells]:
    """Means, losses of all scales but the first, and the three sums of gradients, for one part of a band."""
    down, across = -grey.shape[0] % AREA, -grey.shape[1] % AREA
    pixels = cv2.copyMakeBorder(grey, 0, down, 0, across, cv2.BORDER_REPLICATE).astype(np.float32)
    cells = Size(pixels.shape[1] // CELL, pixels.shape[0] // CELL)
    square = _shrunk(pixels * pixels, cells)
    lost = []
    for shrink in SHRINKS[1:]:
        seen = _shrunk(pixels, Size(pixels.shape[1] // shrink, pixels.shape[0] // shrink))
        lost.append(np.maximum(square - _shrunk(seen * seen, cells), 0))
    x = cv2.Sobel(pixels, cv2.CV_32F, 1, 0, ksize=3)
    y = cv2.Sobel(pixels, cv2.CV_32F, 0, 1, ksize=3)
    return [_shrunk(pixels, cells), *lost, *(_shrunk(part, cells) for part in (x * x, y * y, x * y))]


def _shrunk(pixels: NDArray[Any], size: Size) -> Cells:
    return np.asarray(cv2.resize(pixels, (size.width, size.height), interpolation=cv2.INTER_AREA), np.float32)


def _pooled(cells: Cells) -> Cells:
    """Means of POOL x POOL cells."""
    rows, columns = cells.shape
    return np.asarray(cells.reshape(rows // POOL, POOL, columns // POOL, POOL).mean((1, 3)), np.float32)
