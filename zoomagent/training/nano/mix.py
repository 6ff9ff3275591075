"""The neutral instruction mix, streamed: row i of a seed is always the same, on every machine.

A row is one scene, or a region of one: its view, and dialogues about it (`branches.py`): direct answers with and
without options, yes/no questions, boxes, parts, cues, crops, several crops; or, in a row of its own because tools are
offered before the picture, tool-call conversations (`branches_tools.py`). Nothing is stored; views are drawn at their
final size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from zoomagent.data.world.scene import DEEP, FULL, SMALL, Level, Scene, cut_out, draw_scene
from zoomagent.data.world.varied import Variety, varied
from zoomagent.training.nano.branches import Dialogues, Practice, Words
from zoomagent.training.nano.branches_search import every, searched
from zoomagent.training.nano.branches_sounds import sound_row
from zoomagent.training.nano.branches_tools import tools_prompt, with_tools
from zoomagent.training.nano.located import close_region
from zoomagent.training.nano.looks import TEXT, Row, View, draw
from zoomagent.training.nano.model import NanoConfig
from zoomagent.training.nano.packing import Branch, pack


@dataclass(frozen=True)
class Shapes:
    """How many branches of each sort a row holds, and which rows there are: `tools` is the share with tools on offer,
    `deep` of scenes with much smaller things, `cut` of regions instead of whole scenes, `varied` of scenes in another
    look, `large` of rows whose whole is shown twice as large, as a search shows it, `sounds` of rows about
    spectrograms."""

    direct: int = 3
    yes_no: int = 2
    boxes: int = 2
    parts: int = 1
    cues: int = 1
    micro: int = 2
    several: int = 1
    every: int = 4
    searched: int = 1
    large: float = 0.4
    varied: float = 0.6
    with_tools: int = 5
    tools: float = 0.22
    deep: float = 0.45
    cut: float = 0.45
    sounds: float = 0.0


SEARCHING = Shapes(direct=3, yes_no=2, boxes=2, parts=4, cues=0, micro=1, several=0, every=5, searched=0)
"""What is practised with a large whole."""
ALIKE = 16
"""Rows in turn whose wholes are of one size: a batch that mixes sizes is mostly padding."""


class Mix:
    """Builds rows. Holds the tokenizer and the numbers; `row(i)` depends on nothing but (seed, i)."""

    def __init__(
        self,
        tokenizer: Any,
        config: NanoConfig,
        level: Level,
        seed: int,
        shapes: Shapes,
        variety: Variety | None = None,
    ) -> None:
        self.variety = variety or Variety()
        self.config, self.level, self.seed, self.shapes = config, level, seed, shapes
        self.words = Words(tokenizer, config)
        self.dialogues = Dialogues(self.words, config, level)
        self.searching = Dialogues(self.words, replace(config, macro_side=config.search_side), level)

    def row(self, index: int) -> Row:
        rng = np.random.default_rng([self.seed, index, 7])
        is_large = np.random.default_rng([self.seed, index // ALIKE, 13]).random() < self.shapes.large
        if np.random.default_rng([self.seed, index, 23]).random() < self.shapes.sounds:
            return sound_row(self.words, self.config, self.level, self.seed, index, is_large)
        scene = self.scene(index, rng)
        if is_large:
            return self._row(scene, "", practices_of(SEARCHING, self.searching, scene, rng), self.config.search_side)
        if rng.random() < self.shapes.tools:
            count = self.shapes.with_tools
            practices = [with_tools(self.dialogues, scene, rng) for _ in range(count)]
            return self._row(scene, tools_prompt(), practices)
        return self._row(scene, "", practices_of(self.shapes, self.dialogues, scene, rng))

    def scene(self, index: int, rng: np.random.Generator) -> Scene:
        """The scene of a row: of the level or, where that is the small one, of the deep one; whole or a region."""
        deep = self.level is not FULL and rng.random() < self.shapes.deep
        level = DEEP if deep and self.level is SMALL else self.level
        scene = draw_scene(level, self.seed, index)
        if rng.random() < self.shapes.varied:
            scene = varied(scene, self.variety, rng)
        if rng.random() > self.shapes.cut:
            return scene
        side = float(np.exp(rng.uniform(np.log(0.12), np.log(0.6)))) if deep else float(rng.uniform(0.3, 0.75))
        # A square region of this side: mostly around one of the items, else anywhere.
        x, y = rng.uniform(0, 1 - side, 2).tolist()
        if rng.random() < 0.75:
            item = scene.items[int(rng.integers(len(scene.items)))]
            x, y = (float(np.clip(c - side * rng.uniform(0.1, 0.9), 0, 1 - side)) for c in (item.x, item.y))
        return cut_out(scene, (x, y, x + side, y + side))

    def _row(self, scene: Scene, before: str, practices: Sequence[Practice], side: int = 0) -> Row:
        side = side or self.config.macro_side
        packed = pack(self._prefix(before, side), [practice.branch for practice in practices])
        views = [View(side), *(view for practice in practices for view in practice.views)]
        looks = tuple(draw(view, scene, self.level, self.config) for view in views)
        masks = np.array([0, *(practice.about for practice in practices)], np.int64)[packed.branch]
        names = tuple(practice.name for practice in practices)
        items = np.full(len(packed.ids), TEXT, np.int64)
        items[packed.ids == self.words.image] = np.concatenate([look.items for look in looks])
        return Row(looks, packed, names, items, masks)

    def _prefix(self, before: str, side: int) -> Branch:
        start = self.words.text(f"{before}<|im_start|>user\n")
        return (start, *self.words.view(side))

    def dense(self, index: int, crops: int) -> Row:
        """A row without questions: the whole view and `crops` random close views, for the tower alone."""
        rng = np.random.default_rng([self.seed, index, 11])
        scene = self.scene(index, rng)
        large = np.random.default_rng([self.seed, index // ALIKE, 13]).random() < self.shapes.large
        side = self.config.search_side if large else self.config.macro_side
        views = [View(side)]
        views += [View(self.config.crop_side, close_region(scene, rng)) for _ in range(crops)]
        looks = tuple(draw(view, scene, self.level, self.config) for view in views)
        packed = pack(self._prefix("", side), [])
        none = np.full(len(packed.ids), TEXT, np.int64)
        return Row(looks, packed, (), none, np.zeros_like(none))


def practices_of(shapes: Shapes, talk: Dialogues, scene: Scene, rng: np.random.Generator) -> list[Practice]:
    """Every sort of dialogue without tools, as often as `shapes` says."""
    sorts = (
        (talk.direct, shapes.direct),
        (talk.yes_no, shapes.yes_no),
        (talk.box, shapes.boxes),
        (talk.part, shapes.parts),
        (talk.cue, shapes.cues),
        (talk.micro, shapes.micro),
        (talk.several, shapes.several),
        (partial(every, talk), shapes.every),
        (partial(searched, talk), shapes.searched),
    )
    return [build(scene, rng) for build, count in sorts for _ in range(count)]
