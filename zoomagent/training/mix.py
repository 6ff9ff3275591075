"""The neutral instruction mix, streamed: row i of a seed is always the same, on every machine.

A row is one scene: its whole view, direct answers, "can it be seen here", boxes, and full DualFocus dialogues
whose crop is sometimes off, so that a wrong crop is told from a right one. Nothing is stored; views are drawn at
their final size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.data.questions import ILLEGIBLE, LEGIBLE, Kind, Question, ask
from zoomagent.data.render import WHOLE, Pixels, Region, render
from zoomagent.data.scene import Level, Scene, draw_scene
from zoomagent.graphs.prompts import VISIBLE, box_prompt, macro_prompt, micro_prompt
from zoomagent.models.nano import SMALL, NanoConfig
from zoomagent.training.dense import Targets, cell_items, cell_targets, glyph_targets, thousandths
from zoomagent.training.packing import Branch, Packed, Segment, pack

KINDS: dict[Kind, float] = {
    "read": 0.34, "colour": 0.09, "shape": 0.09, "side": 0.08, "count": 0.08,
    "presence": 0.10, "relation": 0.06, "ground": 0.07, "absent": 0.09,
}  # fmt: skip
"""Share of each kind among direct questions."""
LOOK_KINDS: dict[Kind, float] = {
    "read": 0.56, "colour": 0.05, "shape": 0.05, "side": 0.05, "presence": 0.06, "relation": 0.04,
    "count": 0.04, "ground": 0.05, "absent": 0.10,
}  # fmt: skip
"""Share of each kind among box and micro turns."""
TEXT = -2
"""Marks tokens that are not visual in `Row.items`."""


@dataclass(frozen=True)
class Shapes:
    """How many branches of each sort a row holds."""

    direct: int = 3
    visible: int = 1
    boxes: int = 3
    micro: int = 2


@dataclass(frozen=True)
class Row:
    """One packed row: the whole view and its crops (RGB), dense targets per view, and the sequence.

    `names` says what each branch practises, for the held-out curve (`read`, `box`, `micro/read` ...). `items` is the
    item under every visual token (TEXT elsewhere), and `targets` the one item that the token's question is about;
    -1 for none.
    """

    macro: Pixels
    crops: tuple[Pixels, ...]
    macro_cells: Targets
    crop_cells: tuple[Targets, ...]
    macro_glyphs: Targets
    crop_glyphs: tuple[Targets, ...]
    packed: Packed
    names: tuple[str, ...]
    items: Targets
    targets: Targets


class Views(TypedDict):
    """The pictures and dense targets of a row."""

    macro: Pixels
    crops: tuple[Pixels, ...]
    macro_cells: Targets
    crop_cells: tuple[Targets, ...]
    macro_glyphs: Targets
    crop_glyphs: tuple[Targets, ...]


Named = tuple[str, Branch, int]


class Mix:
    """Builds rows. Holds the tokenizer and the numbers; `row(i)` depends on nothing but (seed, i)."""

    def __init__(self, tokenizer: Any, config: NanoConfig, level: Level, seed: int, shapes: Shapes) -> None:
        self.config, self.level, self.seed, self.shapes = config, level, seed, shapes
        self._ids: dict[str, tuple[int, ...]] = {}
        self._tokenizer = tokenizer
        self._image = tokenizer.convert_tokens_to_ids("<|image_pad|>")

    def row(self, index: int) -> Row:
        rng = np.random.default_rng([self.seed, index, 7])
        scene = draw_scene(self.level, self.seed, index)
        micro = [self._micro(scene, rng) for _ in range(self.shapes.micro)]
        named = [
            *(self._direct(scene, rng) for _ in range(self.shapes.direct)),
            *(self._visible(scene, rng) for _ in range(self.shapes.visible)),
            *(self._box(scene, rng) for _ in range(self.shapes.boxes)),
            *(branch for branch, _ in micro),
        ]
        packed = pack(self._prefix(), [branch for _, branch, _ in named])
        regions = [region for _, region in micro]
        about = np.array([-1, *(target for _, _, target in named)])[packed.branch]
        items = self._items(scene, packed, regions)
        views = self._views(scene, regions)
        return Row(**views, packed=packed, names=tuple(name for name, _, _ in named), items=items, targets=about)

    def _items(self, scene: Scene, packed: Packed, regions: list[Region]) -> Targets:
        """The item under each visual token of the row, -1 for none; TEXT for text."""
        c = self.config
        cells = [cell_items(scene, WHOLE, c.macro_side, c.cell)]
        cells += [cell_items(scene, region, c.crop_side, c.cell) for region in regions]
        items = np.full(len(packed.ids), TEXT, np.int64)
        items[packed.ids == self._image] = np.concatenate(cells)
        return items

    def dense(self, index: int, crops: int) -> Row:
        """A row without questions: the whole view and `crops` random close views, for the tower alone."""
        rng = np.random.default_rng([self.seed, index, 11])
        scene = draw_scene(self.level, self.seed, index)
        regions = [self._close_region(scene, rng) for _ in range(crops)]
        packed = pack(self._prefix(), [])
        none = np.full(len(packed.ids), TEXT, np.int64)
        return Row(**self._views(scene, regions), packed=packed, names=(), items=none, targets=none)

    def _views(self, scene: Scene, regions: list[Region]) -> Views:
        c = self.config
        macro = render(scene, c.macro_side, c.macro_side)
        crops = tuple(render(scene, c.crop_side, c.crop_side, region) for region in regions)
        cells = tuple(self._cells(scene, region, c.crop_side) for region in regions)
        whole = self._cells(scene, WHOLE, c.macro_side)
        return {
            "macro": macro,
            "crops": crops,
            "macro_cells": whole,
            "crop_cells": cells,
            "macro_glyphs": glyph_targets(scene, self.level, WHOLE, c.macro_side, c.patch, c.merge),
            "crop_glyphs": tuple(glyph_targets(scene, self.level, r, c.crop_side, c.patch, c.merge) for r in regions),
        }

    def _cells(self, scene: Scene, region: Region, side: int) -> Targets:
        items = cell_items(scene, region, side, self.config.cell)
        return cell_targets(scene, self.level, region, side, items)

    def _text(self, text: str, learn: bool = False) -> Segment:
        if text not in self._ids:
            if len(self._ids) > 50_000:
                self._ids.clear()
            self._ids[text] = tuple(self._tokenizer.encode(text, add_special_tokens=False))
        return Segment(self._ids[text], learn)

    def _view(self, side: int) -> Segment:
        count = side // self.config.cell
        return Segment((self._image,) * count**2, grid=(count, count))

    def _prefix(self) -> Branch:
        return (
            self._text("<|im_start|>user\n<|vision_start|>"),
            self._view(self.config.macro_side),
            self._text("<|vision_end|>"),
        )

    def _turn(self, prompt: str, answer: str, learn: bool = True) -> Branch:
        return (
            self._text(prompt),
            self._text("<|im_end|>\n<|im_start|>assistant\n"),
            self._text(answer, learn),
            self._text("<|im_end|>", learn),
        )

    def _ask(
        self, kinds: dict[Kind, float], scene: Scene, rng: np.random.Generator, ok: Callable[[Question], bool]
    ) -> Question:
        names, shares = list(kinds), np.array(list(kinds.values()))
        while True:
            question = ask(names[int(rng.choice(len(names), p=shares / shares.sum()))], scene, self.level, rng)
            if question is not None and ok(question):
                return question

    def _height(self, question: Question, scene: Scene) -> float:
        """Height in pixels of the text asked for, in the whole view."""
        return scene.items[question.targets[0]].text_height * self.config.macro_side

    def _settled(self, scene: Scene) -> Callable[[Question], bool]:
        """Leaves out questions about text that is neither clearly readable nor clearly not."""
        return lambda q: q.kind != "read" or not ILLEGIBLE < self._height(q, scene) < LEGIBLE

    def _answer(self, question: Question, scene: Scene) -> str:
        """The answer that the whole view supports."""
        hidden = question.kind == "read" and self._height(question, scene) < LEGIBLE
        return CANNOT_TELL if hidden else question.answer

    def _direct(self, scene: Scene, rng: np.random.Generator) -> Named:
        question = self._ask(KINDS, scene, rng, self._settled(scene))
        answer = self._answer(question, scene)
        name = question.kind if question.kind != "read" else ("hidden" if answer == CANNOT_TELL else "read")
        return name, self._turn(macro_prompt(question.text), answer), only(question)

    def _visible(self, scene: Scene, rng: np.random.Generator) -> Named:
        question = self._ask(KINDS, scene, rng, self._settled(scene))
        seen = self._answer(question, scene) != CANNOT_TELL
        return "visible", self._turn(VISIBLE + question.text, "Yes" if seen else "No"), only(question)

    def _box(self, scene: Scene, rng: np.random.Generator) -> Named:
        question = self._ask(LOOK_KINDS, scene, rng, lambda q: True)
        answer = box_text(true_box(question, scene))
        name = "box" if len(question.targets) == 1 else "box/many"
        return name, self._turn(box_prompt(question.text, "thousand"), answer), only(question)

    def _micro(self, scene: Scene, rng: np.random.Generator) -> tuple[Named, Region]:
        question = self._ask(LOOK_KINDS, scene, rng, self._crop_ok(scene))
        box, region = self._located(question, scene, rng)
        answer = self._micro_answer(question, scene, region)
        if answer is None:
            box = true_box(question, scene)
            region = crop_region(box)
            answer = question.answer
        branch = (
            *self._turn(box_prompt(question.text, "thousand"), box_text(box), learn=False),
            self._text("\n<|im_start|>user\n<|vision_start|>"),
            self._view(self.config.crop_side),
            self._text("<|vision_end|>"),
            *self._turn(micro_prompt(question.text), answer),
        )
        lost = question.kind == "read" and answer == CANNOT_TELL
        return ("micro/lost" if lost else f"micro/{question.kind}", branch, only(question)), region

    def _crop_ok(self, scene: Scene) -> Callable[[Question], bool]:
        """Leaves out texts that even the true crop would not show well."""

        def ok(q: Question) -> bool:
            if q.kind != "read":
                return True
            region = crop_region(true_box(q, scene))
            return scene.items[q.targets[0]].text_height / (region[2] - region[0]) * self.config.crop_side >= LEGIBLE

        return ok

    def _located(self, question: Question, scene: Scene, rng: np.random.Generator) -> tuple[tuple[float, ...], Region]:
        """A box as a policy would give it: mostly right within a little, sometimes plainly wrong."""
        box = np.array(true_box(question, scene))
        astray = 0.7 if question.kind == "absent" else 0.18
        if rng.random() < astray:
            other = scene.items[int(rng.integers(len(scene.items)))]
            box = np.array(other.box)
        side = max(box[2] - box[0], box[3] - box[1])
        shift = rng.normal(0, 0.012 + 0.05 * side, 2)
        grow = rng.normal(0, 0.10 * side + 0.004, 2)
        box = np.clip(box + np.concatenate([shift - np.abs(grow) / 2, shift + np.abs(grow) / 2]), 0, 1)
        located = tuple(v / 1000 for v in thousandths(box))
        return located, crop_region(located)

    def _micro_answer(self, question: Question, scene: Scene, region: Region) -> str | None:
        """The answer that whole view and crop support together; None on the border of legibility."""
        if question.kind != "read":
            return question.answer
        item = scene.items[question.targets[0]]
        if self._height(question, scene) >= LEGIBLE:
            return question.answer
        half = item.text_height * 0.85
        x, y = item.x, item.y + (item.size * 0.25 if item.shape == "triangle" else 0)
        seen = x - half > region[0] and x + half < region[2] and y - half > region[1] and y + half < region[3]
        height = item.text_height / (region[2] - region[0]) * self.config.crop_side
        if seen and height >= LEGIBLE:
            return question.answer
        x0, y0, x1, y1 = item.box
        gone = x1 < region[0] or x0 > region[2] or y1 < region[1] or y0 > region[3]
        return CANNOT_TELL if gone or height <= ILLEGIBLE else None

    def _close_region(self, scene: Scene, rng: np.random.Generator) -> Region:
        """A crop around an item, of random zoom and offset."""
        item = scene.items[int(rng.integers(len(scene.items)))]
        side = min(1.0, item.size * float(rng.uniform(1.3, 3.0)))
        free = side - item.size
        x0 = item.x - item.size / 2 - free * float(rng.uniform(0.1, 0.9))
        y0 = item.y - item.size / 2 - free * float(rng.uniform(0.1, 0.9))
        x0, y0 = min(max(x0, 0.0), 1 - side), min(max(y0, 0.0), 1 - side)
        return x0, y0, x0 + side, y0 + side


def only(question: Question) -> int:
    """The one item that the question is about, or -1."""
    return question.targets[0] if len(question.targets) == 1 else -1


def true_box(question: Question, scene: Scene) -> tuple[float, ...]:
    """The smallest box that holds every target; the whole scene when there is none."""
    if not question.targets:
        return 0.0, 0.0, 1.0, 1.0
    boxes = np.array([scene.items[i].box for i in question.targets])
    return (*boxes[:, :2].min(0).tolist(), *boxes[:, 2:].max(0).tolist())


def box_text(box: tuple[float, ...]) -> str:
    """`[x1, y1, x2, y2]`, 0-1000."""
    return str(thousandths(np.array(box)))


def crop_region(box: tuple[float, ...], margin: float = SMALL.crop_margin) -> Region:
    """DualFocus' crop: the square around the box plus a relative margin, moved inside the picture."""
    side = max(box[2] - box[0], box[3] - box[1])
    side = min(1.0, max(side * (1 + 2 * margin), 0.02))
    x0 = min(max((box[0] + box[2] - side) / 2, 0.0), 1 - side)
    y0 = min(max((box[1] + box[3] - side) / 2, 0.0), 1 - side)
    return x0, y0, x0 + side, y0 + side
