"""Questions with known answers from several worlds, one a picture: what an arbiter is fitted on, and what its promise
is tried on.

    for task in tasks("small", n=100, seed=500, split="held-out", style="trained", macro_side=128):
        with task.open() as picture:
            ...

`small`, `deep` and `fine` are the synthetic world at 4K and 8K, `varied` the same in other looks, `other` scenes of
another hand, `foreign` real photographs that hold none of it. Left out: asking (`collect.py`, `promise.py`).
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.data.world.questions import Question, ask, legible, options_for
from zoomagent.data.world.render import drawn_picture
from zoomagent.data.world.scene import LEVELS, SMALL, SPLITS, draw_scene
from zoomagent.data.world.varied import Variety, varied
from zoomagent.data.world.wordings import PLAIN, Style
from zoomagent.evaluation.sets.haystack import KINDS_OF, Group, Settings, cases
from zoomagent.evaluation.sets.other_world import Materials, other_scene
from zoomagent.media import Picture, open_picture

World = Literal["small", "deep", "fine", "varied", "other", "foreign"]
SIDES = {"small": 4096, "deep": 8192, "fine": 8192, "varied": 4096}
LEVEL_OF = {"varied": ("small", "deep")}


@dataclass(frozen=True)
class Task:
    """One question about a picture that is opened when it is asked. `pixels` is the size of the smallest thing that
    matters in the whole view."""

    name: str
    world: World
    open: Callable[[], Picture]
    group: str
    question: Question
    options: tuple[str, ...]
    pixels: float | None


def tasks(
    world: World,
    *,
    n: int,
    seed: int,
    split: str,
    style: Style,
    macro_side: int,
    materials: Materials | None = None,
    variety: Variety | None = None,
) -> Iterator[Task]:
    """`n` questions of this world in equal shares of the groups, half of them with options; one a picture."""
    if world == "foreign":
        yield from itertools.islice(_foreign(seed, materials or Materials.packaged()), n)
    elif world == "other":
        yield from itertools.islice(_other(seed, split, style, macro_side, materials or Materials.packaged()), n)
    else:
        yield from _drawn(world, n, seed, split, style, macro_side, variety or Variety())


def _drawn(
    world: World, n: int, seed: int, split: str, style: Style, macro_side: int, variety: Variety
) -> Iterator[Task]:
    side, levels = SIDES[world], LEVEL_OF.get(world, (world,))
    ways = [(level, options) for level in levels for options in (False, True)]
    for number, (level, with_options) in enumerate(ways):
        share = n // len(ways) + (number < n % len(ways))
        settings = Settings(
            n=share, seeds=(seed + number,), size=side, level=level, with_options=with_options,
            macro_side=macro_side, split=split, per_scene=1, style=style,
        )  # fmt: skip
        for scene, found in cases(settings):
            for case in found:
                name = f"{world}-{style}-{case.seed}-{case.scene}".replace(" ", "-")
                shown, question = scene, case.question
                if world == "varied":
                    shown = varied(scene, variety, np.random.default_rng([case.seed, case.scene, 23]))
                    if question.kind == "ground":
                        if shown.ground in ("mottled", "photograph"):
                            shown = replace(shown, ground="plain", backdrop="")
                        question = replace(question, answer=shown.ground_colour)
                options = tuple(question.answer if o == case.question.answer else o for o in case.options)
                opener = partial(drawn_picture, shown, side, name)
                yield Task(name, world, opener, case.group, question, options, case.pixels)


def _other(seed: int, split: str, style: Style, macro_side: int, materials: Materials) -> Iterator[Task]:
    """Questions about scenes of another hand; the background has no colour there."""
    groups = get_args(Group)
    for index in itertools.count():
        other = other_scene(seed, index, materials, split)
        scene = other.scene
        rng = np.random.default_rng([SPLITS[split] + seed, index, 29])
        group = groups[index % len(groups)]
        kinds = [kind for kind in KINDS_OF[group] if kind != "ground"]
        question = ask(kinds[int(rng.integers(len(kinds)))], scene, SMALL, rng, style)
        if question is None or not legible(question, scene, 2000):
            continue
        options = options_for(question, scene, SMALL, rng) if rng.random() < 0.5 else ()
        pixels = None if question.size is None else question.size * macro_side
        yield Task(f"other-{split}-{seed}-{index}", "other", other.open, group, question, options, pixels)


def _foreign(seed: int, materials: Materials) -> Iterator[Task]:
    """Photographs, and a part of each, in which there is nothing of the world: the world's questions about them are
    answered by "No" and "Cannot tell". Every other question has words of other worlds, and no answer that is known."""
    others = (
        "What is the person wearing?",
        "What animal is this?",
        "How many people are there?",
        "What does the sign say?",
    )
    kinds = ("presence", "read", "colour", "presence")
    for index in itertools.count():
        rng = np.random.default_rng([seed, index, 31])
        scene = draw_scene(LEVELS["small"], seed, index)
        kind = kinds[index // 2 % len(kinds)]
        item = scene.items[0]
        name = item.shape if kind == "colour" else item.name
        text, answer = PLAIN[kind].format(name=name), "No" if kind == "presence" else CANNOT_TELL
        if index % 2:
            text, answer = others[int(rng.integers(len(others)))], ""
        question = Question(text, answer, "absent", (), (name,))
        file = materials.photographs[int(rng.integers(len(materials.photographs)))]
        opener = partial(_part_of, Path(file), float(rng.uniform(0.4, 1.0)), *rng.random(2).tolist())
        yield Task(f"foreign-{seed}-{index}", "foreign", opener, "foreign", question, (), None)


def _part_of(file: Path, share: float, across: float, down: float) -> Picture:
    """A part of a photograph, as a picture of its own."""
    with Image.open(file) as photograph:
        width, height = max(1, round(photograph.width * share)), max(1, round(photograph.height * share))
        left, top = round((photograph.width - width) * across), round((photograph.height - height) * down)
        return open_picture(photograph.convert("RGB").crop((left, top, left + width, top + height)))
