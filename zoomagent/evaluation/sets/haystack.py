"""The haystack's questions: which scenes, which kinds, in which shares. No pixels.

A question is named by (seed, scene, group) and depends on these and on the settings alone, so that a larger bench holds
every question of a smaller one. No question is left out because a model would get it wrong: what is asked about may be
too small to be seen in the whole at all. Left out are only what the full picture itself does not hold (letters too
small even there) and what is ambiguous. "Yes" and "No" to presence come in equal shares at every size."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from zoomagent.data.world.questions import Kind, Question, ask, legible, options_for
from zoomagent.data.world.scene import LEVELS, SPLITS, Scene, draw_scene
from zoomagent.data.world.wordings import Style
from zoomagent.evaluation.results import Key

Group = Literal["read", "whole", "presence", "count", "compare", "absent"]
KINDS_OF: dict[Group, tuple[Kind, ...]] = {
    "read": ("read",),
    "whole": ("side", "ground", "colour", "shape"),
    "presence": ("presence",),
    "count": ("count",),
    "compare": ("relation", "relation", "more"),
    "absent": ("absent",),
}
SIZES = ("under 2", "2 to 4", "4 to 8", "over 8")
"""Size of the smallest thing that matters, in pixels of the whole view."""


@dataclass(frozen=True)
class Settings:
    """One bench: `n` questions in all, in equal shares of the seeds and the six groups. `macro_side` is the width in
    pixels at which the model sees a whole picture: sizes are told by it. At most `per_scene` questions are asked about
    one scene. `style` says which wordings are used."""

    n: int = 500
    seeds: tuple[int, ...] = (1,)
    size: int = 4096
    level: str = "small"
    strategies: tuple[str, ...] = ("macro", "micro", "dualfocus")
    with_options: bool = False
    macro_side: int = 128
    model: str = "nano"
    split: str = "test"
    per_scene: int = 6
    style: Style = "plain"

    def shares(self) -> dict[int, dict[Group, int]]:
        """How many questions of each group each seed gives."""
        places = [(seed, group) for group in get_args(Group) for seed in self.seeds]
        counts: dict[int, dict[Group, int]] = {seed: {} for seed in self.seeds}
        for place, (seed, group) in enumerate(places):
            counts[seed][group] = self.n // len(places) + (place < self.n % len(places))
        return counts


@dataclass(frozen=True)
class Case:
    """One question about one scene. `pixels` is the size of the smallest thing that matters, in pixels of the whole
    view; None where none does."""

    seed: int
    scene: int
    group: Group
    question: Question
    options: tuple[str, ...]
    pixels: float | None

    def key(self, settings: Settings, strategy: str) -> Key:
        return Key(
            model=settings.model,
            size=settings.size,
            level=settings.level,
            macro_side=settings.macro_side,
            with_options=settings.with_options,
            seed=self.seed,
            scene=self.scene,
            group=self.group,
            strategy=strategy,
            style=settings.style,
        )


def cases(settings: Settings) -> Iterator[tuple[Scene, list[Case]]]:
    """The bench's questions, scene after scene, at most one per group and scene."""
    for seed, left in settings.shares().items():
        index = 0
        while any(left.values()):
            scene = draw_scene(LEVELS[settings.level], SPLITS[settings.split] + seed, index)
            turn = index % len(left)
            groups = [group for group in [*left, *left][turn : turn + len(left)] if left[group]]
            found = [case for group in groups if (case := _case(settings, scene, seed, index, group))]
            found = found[: settings.per_scene]
            for case in found:
                left[case.group] -= 1
            if found:
                yield scene, found
            index += 1


def size_name(pixels: float | None) -> str:
    """The name of a size among `SIZES`; "" where no thing matters."""
    if pixels is None:
        return ""
    return SIZES[sum(pixels >= edge for edge in (2, 4, 8))]


def _case(settings: Settings, scene: Scene, seed: int, index: int, group: Group) -> Case | None:
    """The question of this group about this scene, if it allows one. It depends on nothing but its arguments."""
    level = LEVELS[settings.level]
    rng = np.random.default_rng([SPLITS[settings.split] + seed, index, get_args(Group).index(group), 5])
    kind = KINDS_OF[group][int(rng.integers(len(KINDS_OF[group])))]
    question = ask(kind, scene, level, rng, settings.style)
    if question is None or not legible(question, scene, settings.size):
        return None
    options = options_for(question, scene, level, rng) if settings.with_options else ()
    pixels = None if question.size is None else question.size * settings.macro_side
    return Case(seed, index, group, question, options, pixels)
