"""Dialogues about all things of a name: where each of them is, and what to answer once all parts were searched.

`every` lists boxes in one view; `searched` gives the findings in words.
Left out: everything about one thing (`branches.py`)."""

import numpy as np

from zoomagent.data.world.questions import Kind, Question, ask, hits_of
from zoomagent.data.world.scene import Scene
from zoomagent.prompts import FOUND, SEARCHED, every_prompt, macro_prompt
from zoomagent.training.nano.branches import HIDDEN, Dialogues, Practice
from zoomagent.training.nano.dense import thousandths

UNCLEAR = 2.4
"""Between this and HIDDEN pixels nothing is asked about an item: seen by some and missed by others."""
MOST = 5
"""Boxes in one answer."""
AFTER_SEARCH: dict[Kind, float] = {"count": 0.45, "presence": 0.25, "more": 0.15, "absent": 0.15}


def every(talk: Dialogues, scene: Scene, rng: np.random.Generator) -> Practice:
    """The boxes of all items of a name in the row's view, from left to right."""
    for _ in range(50):
        name = _draw_name(talk, scene, rng)
        hits = []
        for i in hits_of(name, scene):
            # The share of an item's box that lies within the scene.
            x0, y0, x1, y1 = (min(max(v, 0.0), 1.0) for v in scene.items[i].box)
            hits.append((i, max(0.0, x1 - x0) * max(0.0, y1 - y0) / scene.items[i].size ** 2))
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


def _draw_name(talk: Dialogues, scene: Scene, rng: np.random.Generator) -> str:
    """A shape, a colour's "one", or both: mostly of an item that is there."""
    level = talk.level
    if scene.items and rng.random() < 0.75:
        colour, shape = scene.items[int(rng.integers(len(scene.items)))].name.split()
    else:
        colour, shape = str(rng.choice(level.colours)), str(rng.choice(level.shapes))
    draw = rng.random()
    return f"{colour} {shape}" if draw < 0.5 else shape if draw < 0.75 else f"{colour} one"
