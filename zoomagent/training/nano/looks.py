"""The views of a training row, drawn at their final size, each with what is in its cells and patches.

A view is the whole scene, a region of it, the whole with boxes drawn in, or a blank. Left out: words (`branches.py`).
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from zoomagent.data.world.render import WHOLE, Pixels, Region, render
from zoomagent.data.world.scene import Level, Scene
from zoomagent.tools.marking import marked
from zoomagent.training.nano.dense import Targets, cell_items, cell_targets, glyph_targets
from zoomagent.training.nano.model import NanoConfig
from zoomagent.training.nano.packing import IGNORE, PackedRow

TEXT = -2
"""Marks tokens that are not visual in `Row.items`."""
BLANK = 127
"""The grey of a blanked view."""


@dataclass(frozen=True)
class View:
    """What to draw: a region of the scene (None: a blank) at `side` pixels, with boxes drawn in."""

    side: int
    region: Region | None = WHOLE
    marks: tuple[Region, ...] = ()


@dataclass(frozen=True)
class Look:
    """A drawn view (RGB) and its dense targets: `items` (cells,) is the item in each cell, -1 for none."""

    pixels: Pixels
    items: Targets
    cells: Targets
    glyphs: Targets


@dataclass(frozen=True)
class Row:
    """One packed row: its views in the order of their placeholders, and the sequence.

    `names` says what each branch practises, for the held-out curve (`read`, `box`, `micro/read` ...). `items` is the
    item under every visual token (TEXT elsewhere), and `targets` the items that the token's question is about, as the
    bit mask of `located.about`; 0 for none.
    """

    looks: tuple[Look, ...]
    packed: PackedRow
    names: tuple[str, ...]
    items: Targets
    targets: Targets


def draw(view: View, scene: Scene, level: Level, config: NanoConfig) -> Look:
    """The view's pixels and targets."""
    region = WHOLE if view.region is None else view.region
    items = cell_items(scene, region, view.side, config.cell)
    cells = cell_targets(scene, level, region, view.side, items)
    glyphs = glyph_targets(scene, level, region, view.side, config.patch, config.merge)
    if view.region is None:
        pixels = np.full((view.side, view.side, 3), BLANK, np.uint8)
        return Look(pixels, np.full_like(items, -1), np.full_like(cells, IGNORE), np.zeros_like(glyphs))
    pixels = render(scene, view.side, view.side, region)
    if view.marks:
        pixels = np.array(marked(Image.fromarray(pixels), view.marks), np.uint8)
    return Look(pixels, items, cells, glyphs)
