"""The haystack's questions: which scenes, which kinds, in which shares. No pixels.

A question is named by (seed, scene, kind) and depends on these and on the settings alone, so that a larger bench holds
every question of a smaller one. Level `deep` also asks about what is too small to be seen in the whole at all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np

from zoomagent.bench.results import Key
from zoomagent.data.questions import ILLEGIBLE, LEGIBLE, Group, Kind, Question, ask, group_of, options_for
from zoomagent.data.scene import DEEP, LEVELS, SPLITS, Scene, draw_scene

KINDS_OF: dict[Group, tuple[Kind, ...]] = {
    "close": ("read",),
    "global": ("side", "ground", "presence", "colour", "shape"),
    "both": ("count", "relation"),
    "absent": ("absent",),
}


@dataclass(frozen=True)
class Settings:
    """One bench: `n` questions in all, in equal shares of the seeds and the four groups. `macro_side` is the width in
    pixels at which the model sees a whole picture: it decides what counts as readable only up close. At most
    `per_scene` questions are asked about one scene."""

    n: int = 500
    seeds: tuple[int, ...] = (1,)
    size: int = 4096
    level: str = "small"
    strategies: tuple[str, ...] = ("macro", "micro", "dualfocus")
    with_options: bool = False
    macro_side: int = 128
    model: str = "nano"
    split: str = "test"
    per_scene: int = 4

    def shares(self) -> dict[int, dict[Group, int]]:
        """How many questions of each group each seed gives."""
        places = [(seed, group) for group in get_args(Group) for seed in self.seeds]
        counts: dict[int, dict[Group, int]] = {seed: {} for seed in self.seeds}
        for place, (seed, group) in enumerate(places):
            counts[seed][group] = self.n // len(places) + (place < self.n % len(places))
        return counts


@dataclass(frozen=True)
class Case:
    """One question about one scene."""

    seed: int
    scene: int
    group: Group
    question: Question
    options: tuple[str, ...]

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


def _case(settings: Settings, scene: Scene, seed: int, index: int, group: Group) -> Case | None:
    """The question of this group about this scene, if it allows one. It depends on nothing but its arguments."""
    level = LEVELS[settings.level]
    rng = np.random.default_rng([SPLITS[settings.split] + seed, index, get_args(Group).index(group), 5])
    question = ask(KINDS_OF[group][int(rng.integers(len(KINDS_OF[group])))], scene, level, rng)
    if question is None or _group(question, scene, settings) != group:
        return None
    options = options_for(question, scene, level, rng) if settings.with_options else ()
    return Case(seed, index, group, question, options)


def _group(question: Question, scene: Scene, settings: Settings) -> Group | None:
    """What the question needs. At level deep, texts to read and pairs to compare may be too small to be seen."""
    group = group_of(question, scene, settings.macro_side, settings.size)
    if group is not None or settings.level != DEEP.name:
        return group
    if question.kind == "relation":
        return "both"
    letters = scene.items[question.targets[0]].text_height if question.kind == "read" else 1.0
    return "close" if letters * settings.macro_side <= ILLEGIBLE and letters * settings.size >= LEGIBLE else None
