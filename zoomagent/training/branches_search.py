"""Dialogues about all things of a name: where each of them is, which part of the picture shows one, and what to answer
once all parts were searched.

`every` lists boxes in one view; `sweep` shows three parts beside the whole; `searched` gives the findings in words.
Left out: everything about one thing (`branches.py`)."""

from collections.abc import Sequence

import numpy as np

from zoomagent.data.questions import Kind, Question, ask, hits_of
from zoomagent.data.scene import Item, Region, Scene
from zoomagent.prompts import FOUND, SEARCHED, SWEEP, every_prompt, macro_prompt
from zoomagent.training.branches import HIDDEN, Dialogues, Practice
from zoomagent.training.dense import thousandths
from zoomagent.training.located import shows_all, shows_nothing
from zoomagent.training.looks import View

UNCLEAR = 2.4
"""Between this and HIDDEN pixels nothing is asked about an item: seen by some and missed by others."""
MOST = 5
"""Boxes in one answer."""
PART = 0.45
"""Side of a part as a share of the whole, as the search cuts it (tools/searching.py)."""
AFTER_SEARCH: dict[Kind, float] = {"count": 0.45, "presence": 0.25, "more": 0.15, "absent": 0.15}


def every(talk: Dialogues, scene: Scene, rng: np.random.Generator) -> Practice:
    """The boxes of all items of a name in the row's view, from left to right."""
    for _ in range(50):
        name = _name(talk, scene, rng)
        hits = [(i, _visible(scene.items[i])) for i in hits_of(name, scene)]
        sizes = [talk.pixels(scene.items[i]) for i, _ in hits]
        if any(UNCLEAR < size < HIDDEN for size in sizes) or any(0.1 < share < 0.6 for _, share in hits):
            continue
        shown = [i for (i, share), size in zip(hits, sizes, strict=True) if share >= 0.6 and size >= HIDDEN]
        if len(shown) <= MOST:
            break
    else:
        return talk.cue(scene, rng)
    shown.sort(key=lambda i: scene.items[i].x)
    boxes = [thousandths(np.array(scene.items[i].box)) for i in shown]
    prompt = every_prompt(name, "thousand")
    mask = sum(1 << (i + 1) for i in shown)
    return Practice(f"every/{min(len(shown), 3)}", talk.words.turn(prompt, str(boxes)), (), mask)


def sweep(talk: Dialogues, scene: Scene, rng: np.random.Generator) -> Practice:
    """Which of three parts of the view shows a thing: where several do, the largest that lies nearest a middle."""
    while True:
        name = _name(talk, scene, rng)
        regions = [_part(int(number)) for number in _three(rng)]
        hits = hits_of(name, scene)
        pixels = [talk.pixels(scene.items[i]) / PART for i in hits]
        clear = [i for i, size in zip(hits, pixels, strict=True) if size >= HIDDEN]
        best = _best(clear, scene, regions)
        cut = any(not shows_nothing(scene.items[i], region) for i in hits for region in regions)
        if best is not None or not cut:
            break
    number = 0 if best is None else best[1] + 1
    side = talk.config.macro_side
    views = tuple(View(side, region) for region in regions)
    branch: list[object] = []
    for place, view in enumerate(views, 1):
        branch += (talk.words.text(f"{place}: "), *talk.words.view(view.side))
    branch += talk.words.turn(SWEEP + name, str(number))
    mask = 0 if best is None else 1 << (best[0] + 1)
    return Practice(f"sweep/{'none' if best is None else 'part'}", tuple(branch), views, mask)  # type: ignore[arg-type]


def searched(talk: Dialogues, scene: Scene, rng: np.random.Generator) -> Practice:
    """The answer to a question about all things, given what a search of all parts found."""
    names, shares = list(AFTER_SEARCH), np.array(list(AFTER_SEARCH.values()))
    question: Question | None = None
    while question is None:
        question = ask(names[int(rng.choice(len(names), p=shares))], scene, talk.level, rng, "trained")
    listed = ", ".join(f"{name} {len(hits_of(name, scene))}" for name in question.phrases)
    words, pixels = talk.words, str(int(np.exp(rng.uniform(np.log(8), np.log(400)))))
    before = (words.text(SEARCHED), words.text(pixels), words.text(FOUND))
    turn = words.turn(f"{listed}.\n{macro_prompt(question.text)}", question.answer)
    return Practice(f"searched/{question.kind}", (*before, *turn))


def _name(talk: Dialogues, scene: Scene, rng: np.random.Generator) -> str:
    """A shape, a colour's "one", or both: mostly of an item that is there."""
    level = talk.level
    if scene.items and rng.random() < 0.75:
        colour, shape = scene.items[int(rng.integers(len(scene.items)))].name.split()
    else:
        colour, shape = str(rng.choice(level.colours)), str(rng.choice(level.shapes))
    draw = rng.random()
    return f"{colour} {shape}" if draw < 0.5 else shape if draw < 0.75 else f"{colour} one"


def _visible(item: Item) -> float:
    """The share of an item's box that lies within the scene."""
    x0, y0, x1, y1 = (min(max(v, 0.0), 1.0) for v in item.box)
    return max(0.0, x1 - x0) * max(0.0, y1 - y0) / item.size**2


def _three(rng: np.random.Generator) -> Sequence[int]:
    """Mostly a row of the nine parts, as a search takes them; sometimes any three."""
    if rng.random() < 0.75:
        row = int(rng.integers(3))
        return range(3 * row, 3 * row + 3)
    return sorted(int(v) for v in rng.choice(9, 3, replace=False))


def _part(number: int) -> Region:
    row, column = divmod(number, 3)
    x, y = (min(max((2 * place + 1) / 6 - PART / 2, 0.0), 1 - PART) for place in (column, row))
    return x, y, x + PART, y + PART


def _best(hits: Sequence[int], scene: Scene, regions: Sequence[Region]) -> tuple[int, int] | None:
    """The item and the region that show each other best."""
    found = []
    for i in hits:
        item = scene.items[i]
        for place, region in enumerate(regions):
            if shows_all(item, region):
                off = max(abs(item.x - (region[0] + region[2]) / 2), abs(item.y - (region[1] + region[3]) / 2))
                found.append((-round(item.size, 6), off, i, place))
    return None if not found else (min(found)[2], min(found)[3])
