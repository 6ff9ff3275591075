"""The dialogues of the instruction mix, as branches behind a shared picture.

Each builder takes a scene and random numbers and gives a `Practice`: a named branch of tokens, the views it shows, and
the items it is about. What can be seen decides the answer: objects under HIDDEN pixels and letters under LEGIBLE are
"Cannot tell" until a crop shows them; nothing is asked about what lies between. "No", a count and a comparison of
counts are claims about the whole picture: where anything in it is too small to be told, they are "Cannot tell" too.
Tool calls are in `branches_tools.py`, looking for all things in `branches_search.py`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.data.world.questions import ILLEGIBLE, LEGIBLE, SMALLEST, Kind, Question, ask, options_for
from zoomagent.data.world.scene import Item, Level, Region, Scene
from zoomagent.prompts import (
    CLOSER,
    CUES,
    PARTS,
    SEE,
    TAGS,
    VISIBLE,
    WHOLE_PICTURE,
    box_prompt,
    ground_prompt,
    holds_prompt,
    macro_prompt,
    micro_prompt,
    several_prompt,
)
from zoomagent.training.nano.located import (
    WHOLE_BOX,
    about,
    box_text,
    crop_region,
    located,
    shows_nothing,
    true_box,
)
from zoomagent.training.nano.looks import View
from zoomagent.training.nano.model import NanoConfig
from zoomagent.training.nano.packing import Branch, Segment

KINDS: dict[Kind, float] = {
    "read": 0.20, "colour": 0.07, "shape": 0.07, "side": 0.06, "count": 0.13,
    "presence": 0.13, "relation": 0.20, "more": 0.03, "ground": 0.05, "absent": 0.06,
}  # fmt: skip
"""Share of each kind among direct questions."""
LOOK_KINDS: dict[Kind, float] = {
    "read": 0.52, "colour": 0.05, "shape": 0.05, "side": 0.05, "presence": 0.07, "relation": 0.06,
    "count": 0.05, "ground": 0.05, "absent": 0.10,
}  # fmt: skip
"""Share of each kind among box and micro turns."""
SETTLED_BY_ALL: tuple[Kind, ...] = ("count", "more", "presence")
"""Kinds whose answer may turn on any item, however small; but for a "Yes" to presence."""
SEVERAL_KINDS: dict[Kind, float] = {"relation": 0.6, "read": 0.25, "colour": 0.05, "side": 0.05, "absent": 0.05}
HIDDEN = 3.4
"""An object of at most this many pixels cannot be told from others; between this and SMALLEST nothing is asked."""
OPTIONS = 0.3
"""Share of questions that come with options."""
ASTRAY = 0.18
"""Share of crops that show something else."""
BLANKED = 0.05
"""Share of crops that are blank: the counterfactual of the evidence proof."""


@dataclass(frozen=True)
class Practice:
    """A named branch, the views behind its placeholders, and the bit mask of the items it is about."""

    name: str
    branch: Branch
    views: tuple[View, ...] = ()
    about: int = 0


class Words:
    """Text to segments, with the tokenizer's answers remembered."""

    def __init__(self, tokenizer: Any, config: NanoConfig) -> None:
        self.tokenizer, self._config = tokenizer, config
        self._ids: dict[str, tuple[int, ...]] = {}
        self.image = tokenizer.convert_tokens_to_ids("<|image_pad|>")

    def text(self, text: str, learn: bool = False) -> Segment:
        if text not in self._ids:
            if len(self._ids) > 50_000:
                self._ids.clear()
            self._ids[text] = tuple(self.tokenizer.encode(text, add_special_tokens=False))
        return Segment(self._ids[text], learn)

    def view(self, side: int) -> Branch:
        """A view's placeholders between their tags."""
        count = side // self._config.cell
        pads = Segment((self.image,) * count**2, grid=(count, count))
        return (self.text("<|vision_start|>"), pads, self.text("<|vision_end|>"))

    def turn(self, prompt: str, answer: str, learn: bool = True) -> Branch:
        """The rest of a user's turn, and the assistant's."""
        asked = (self.text(prompt),) if prompt else ()
        told = self.text("<|im_end|>\n<|im_start|>assistant\n")
        return (*asked, told, self.text(answer, learn), self.text("<|im_end|>", learn))

    def next_user(self, views: Sequence[View]) -> Branch:
        """A new user turn that begins with views."""
        shown = tuple(segment for view in views for segment in self.view(view.side))
        return (self.text("\n<|im_start|>user\n"), *shown)


class Dialogues:
    """Builds practices about one scene at a time. Every method is a function of its arguments alone."""

    def __init__(self, words: Words, config: NanoConfig, level: Level) -> None:
        self.words, self.config, self.level = words, config, level

    # What can be seen

    def pixels(self, item: Item) -> float:
        """Side of an item in the whole view."""
        return item.size * self.config.macro_side

    def hidden(self, question: Question, scene: Scene) -> bool:
        return any(self.pixels(scene.items[i]) <= HIDDEN for i in question.targets)

    def settled(self, question: Question, scene: Scene) -> bool:
        """Whether it is plain if the whole view shows what the question is about."""
        sizes = [self.pixels(scene.items[i]) for i in question.targets]
        if question.kind == "presence" and any(size >= SMALLEST for size in sizes):
            return True
        if question.kind in SETTLED_BY_ALL:
            every = [self.pixels(item) for item in scene.items]
            return any(size <= HIDDEN for size in every) or all(size >= SMALLEST for size in every)
        if any(HIDDEN < size < SMALLEST for size in sizes):
            return False
        return question.kind != "read" or not ILLEGIBLE < self._letters(question, scene) < LEGIBLE

    def answer(self, question: Question, scene: Scene) -> str:
        """The answer that the whole view supports."""
        if question.kind == "presence" and any(self.pixels(scene.items[i]) >= SMALLEST for i in question.targets):
            return question.answer
        if question.kind in SETTLED_BY_ALL:
            everything = all(self.pixels(item) >= SMALLEST for item in scene.items)
            return question.answer if everything else CANNOT_TELL
        illegible = question.kind == "read" and self._letters(question, scene) < LEGIBLE
        return CANNOT_TELL if illegible or self.hidden(question, scene) else question.answer

    def closer_answer(self, question: Question, scene: Scene, region: Region | None) -> str | None:
        """The answer that whole view and crop support together; None on the border."""
        if self.answer(question, scene) == question.answer:
            return question.answer
        if region is None or question.kind in ("count", "more"):
            return CANNOT_TELL
        if question.kind == "presence":
            if any(self._shown(scene.items[i], region, False) for i in question.targets):
                return question.answer
            return CANNOT_TELL if all(shows_nothing(scene.items[i], region) for i in question.targets) else None
        shown = [self._shown(scene.items[i], region, question.kind == "read") for i in question.targets]
        if all(shown):
            return question.answer
        gone = any(shows_nothing(scene.items[i], region) for i in question.targets)
        small = question.kind == "read" and self._in_crop(scene.items[question.targets[0]], region) <= ILLEGIBLE
        return CANNOT_TELL if gone or small else None

    def _shown(self, item: Item, region: Region, text: bool) -> bool:
        scale = self.config.crop_side / (region[2] - region[0])
        if text:  # all of it, with the room that its letters take
            half = item.text_height * 0.85
            x, y = item.x, item.y + (item.size * 0.25 if item.shape == "triangle" else 0)
            inside = x - half > region[0] and x + half < region[2] and y - half > region[1] and y + half < region[3]
            return inside and item.text_height * scale >= LEGIBLE
        # The item, but for a sliver.
        x0, y0, x1, y1 = item.box
        slack = 0.1 * item.size
        inside = x0 > region[0] - slack and y0 > region[1] - slack and x1 < region[2] + slack and y1 < region[3] + slack
        return inside and item.size * scale >= SMALLEST

    def _in_crop(self, item: Item, region: Region) -> float:
        return item.text_height / (region[2] - region[0]) * self.config.crop_side

    def _letters(self, question: Question, scene: Scene) -> float:
        return scene.items[question.targets[0]].text_height * self.config.macro_side

    # Asking

    def ask(
        self, kinds: dict[Kind, float], scene: Scene, rng: np.random.Generator, ok: Callable[[Question], bool]
    ) -> Question:
        names, shares = list(kinds), np.array(list(kinds.values()))
        for _ in range(200):
            question = ask(
                names[int(rng.choice(len(names), p=shares / shares.sum()))], scene, self.level, rng, "trained"
            )
            if question is not None and ok(question):
                return question
        question = ask("absent", scene, self.level, rng, "trained")
        assert question is not None
        return question

    def _worded(
        self, question: Question, answer: str, scene: Scene, rng: np.random.Generator
    ) -> tuple[tuple[str, ...], str]:
        """Options, or none, and the answer in their terms."""
        if rng.random() > OPTIONS:
            return (), answer
        options = options_for(question, scene, self.level, rng)
        return options, chr(ord("A") + options.index(answer))

    def direct(self, scene: Scene, rng: np.random.Generator) -> Practice:
        question = self.ask(KINDS, scene, rng, lambda q: self.settled(q, scene))
        answer = self.answer(question, scene)
        options, said = self._worded(question, answer, scene, rng)
        lost = answer == CANNOT_TELL and question.kind != "absent"
        name = f"{'options/' if options else ''}{'hidden' if lost else question.kind}"
        return Practice(name, self.words.turn(macro_prompt(question.text, options), said), (), about(question))

    def yes_no(self, scene: Scene, rng: np.random.Generator) -> Practice:
        draw = rng.random()
        if draw < 0.3:
            question = self.ask(KINDS, scene, rng, lambda q: self.settled(q, scene))
            seen = self.answer(question, scene) != CANNOT_TELL
            return self._yes_no("visible", VISIBLE + question.text, seen, about(question))
        if draw < 0.5:
            question = self.ask(
                KINDS, scene, rng, lambda q: self.settled(q, scene) and self.answer(q, scene) != CANNOT_TELL
            )
            offered = options_for(question, scene, self.level, rng)
            wrong = [option for option in offered if option not in (question.answer, CANNOT_TELL)]
            right = not wrong or rng.random() < 0.5
            given = question.answer if right else wrong[0]
            return self._yes_no("holds", holds_prompt(question.text, given), right, about(question))
        closer = draw < 0.7
        question = self.ask({"side": 0.5, "absent": 0.5}, scene, rng, lambda q: closer or self.settled(q, scene))
        [phrase] = question.phrases
        there = bool(question.targets) and (closer or not self.hidden(question, scene))
        prompt = (CLOSER if closer else SEE) + phrase
        return self._yes_no("closer" if closer else "see", prompt, there, about(question))

    def _yes_no(self, name: str, prompt: str, yes: bool, mask: int) -> Practice:
        return Practice(name, self.words.turn(prompt, "Yes" if yes else "No"), (), mask)

    # Where

    def box(self, scene: Scene, rng: np.random.Generator) -> Practice:
        often = rng.random() < 0.3
        question = self.ask(
            LOOK_KINDS,
            scene,
            rng,
            lambda q: self.settled(q, scene) and (often or bool(q.targets and not self.hidden(q, scene))),
        )
        hidden = self.hidden(question, scene)
        answer = box_text(WHOLE_BOX if hidden else true_box(question, scene))
        phrases = question.phrases
        if len(phrases) == 1 and len(question.targets) <= 1 and rng.random() < 0.5:
            prompt, name = ground_prompt(phrases[0], "thousand"), "box/ground"
        else:
            prompt, name = box_prompt(question.text, "thousand"), "box" if len(question.targets) == 1 else "box/many"
        name = "box/nowhere" if answer == box_text(WHOLE_BOX) else name
        return Practice(name, self.words.turn(prompt, answer), (), 0 if hidden else about(question))

    def part(self, scene: Scene, rng: np.random.Generator) -> Practice:
        """Which of nine parts shows it; also where it is too small to be told for sure. Of several things any one is
        right, so that their parts come to share the probability."""
        question = self.ask(
            {"side": 0.3, "count": 0.35, "colour": 0.05, "shape": 0.05, "absent": 0.25}, scene, rng, lambda q: True
        )
        [phrase] = question.phrases
        number, mask = 0, about(question)
        if question.targets:
            chosen = question.targets[int(rng.integers(len(question.targets)))]
            item = scene.items[chosen]
            number, mask = 1 + min(2, int(item.y * 3)) * 3 + min(2, int(item.x * 3)), 1 << (chosen + 1)
        small = any(self.pixels(scene.items[i]) < SMALLEST for i in question.targets)
        several = len(question.targets) > 1
        name = "part/several" if several else "part/small" if small else "part/none" if number == 0 else "part"
        return Practice(name, self.words.turn(PARTS + phrase, str(number)), (), mask)

    # What to look for

    def cue(self, scene: Scene, rng: np.random.Generator) -> Practice:
        if rng.random() < 0.15:
            seen = [i for i, item in enumerate(scene.items) if item.inside and self.pixels(item) >= SMALLEST]
            seen = sorted(seen, key=lambda i: scene.items[i].x)[:8]
            said = ", ".join(scene.items[i].name for i in seen) or "nothing"
            return Practice("tags", self.words.turn(TAGS, said), (), sum(1 << (i + 1) for i in seen))
        question = self.ask(KINDS, scene, rng, lambda q: True)
        said = ", ".join(question.phrases) or WHOLE_PICTURE
        return Practice("cue", self.words.turn(CUES + question.text, said))

    # Closer

    def micro(self, scene: Scene, rng: np.random.Generator) -> Practice:
        """DualFocus' two turns; the box turn is given."""
        question, region, box, answer = self._close(LOOK_KINDS, scene, rng)
        options, said = self._worded(question, answer, scene, rng)
        view = View(self.config.crop_side, region)
        branch = (
            *self.words.turn(box_prompt(question.text, "thousand"), box_text(box), learn=False),
            *self.words.next_user([view]),
            *self.words.turn(micro_prompt(question.text, options), said),
        )
        return Practice(_closer_name("micro", question, answer), branch, (view,), about(question))

    def several(self, scene: Scene, rng: np.random.Generator) -> Practice:
        """The marked whole and one crop for each target."""
        question, region, box, answer = self._close(SEVERAL_KINDS, scene, rng)
        boxes, regions = [box], [region]
        if question.kind == "relation":
            boxes = [located(scene.items[i].box, rng) for i in question.targets]
            regions, answer = [crop_region(b) for b in boxes], question.answer
        options, said = self._worded(question, answer, scene, rng)
        crops = [View(self.config.crop_side, r) for r in regions]
        views = (View(self.config.macro_side, marks=tuple(boxes)), *crops)
        cues = ", ".join(question.phrases) or WHOLE_PICTURE
        branch = (
            *self.words.turn(CUES + question.text, cues, learn=False),
            *self.words.next_user(views),
            *self.words.turn(several_prompt(question.text, options), said),
        )
        return Practice(_closer_name("several", question, answer), branch, views, about(question))

    def _close(
        self, kinds: dict[Kind, float], scene: Scene, rng: np.random.Generator
    ) -> tuple[Question, Region | None, Region, str]:
        """A question, the region shown for it (None: blanked), the box named for it, and what can be answered."""

        def is_worth_a_crop(asked: Question) -> bool:
            # Texts that even the true crop would not show well, and what no single crop can settle, are left out.
            sizes = [self.pixels(scene.items[i]) for i in asked.targets]
            if asked.kind == "count" and any(size < SMALLEST for size in sizes):
                return False
            region = crop_region(true_box(asked, scene))
            return asked.kind != "read" or self._in_crop(scene.items[asked.targets[0]], region) >= LEGIBLE

        while True:
            question = self.ask(kinds, scene, rng, is_worth_a_crop)
            box, region = self._choose_box(question, scene, rng)
            answer = self.closer_answer(question, scene, region)
            if answer is None:
                box = true_box(question, scene)
                region = crop_region(box)
                answer = self.closer_answer(question, scene, region)
            if answer is not None:
                return question, region, box, answer

    def _choose_box(self, question: Question, scene: Scene, rng: np.random.Generator) -> tuple[Region, Region | None]:
        """A box as a policy gives it, mostly right within a little, sometimes plainly wrong; now and then a blank."""
        box = true_box(question, scene)
        if scene.items and rng.random() < (0.7 if question.kind == "absent" else ASTRAY):
            box = scene.items[int(rng.integers(len(scene.items)))].box
        box = located(box, rng)
        return box, None if rng.random() < BLANKED else crop_region(box)


def _closer_name(prefix: str, question: Question, answer: str) -> str:
    lost = answer == CANNOT_TELL and question.kind != "absent"
    return f"{prefix}/lost" if lost else f"{prefix}/{question.kind}"
