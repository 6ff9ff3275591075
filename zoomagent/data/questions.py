"""Questions about a scene, each with its exact answer and the items it is about.

Kinds separate what a method must be able to do: `read` needs pixels, `side` and `ground` need the whole picture,
`count` and `relation` need several items at once, `absent` has no answer. Ambiguous questions are never asked.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.data.scene import GROUNDS, Item, Level, Scene

Kind = Literal["read", "colour", "shape", "side", "count", "presence", "relation", "ground", "absent"]
Group = Literal["close", "global", "both", "absent"]

LEGIBLE = 6.5
"""Capitals of this many pixels or more count as readable in a view."""
ILLEGIBLE = 5.0
"""Capitals of at most this many pixels count as unreadable; between the two nothing is asked."""


@dataclass(frozen=True)
class Question:
    """`targets` index the scene's items that the question is about (none for `ground` and `absent`)."""

    text: str
    answer: str
    kind: Kind
    targets: tuple[int, ...] = ()


SMALLEST = 5.0
"""An item of fewer pixels can not be told from others by colour and shape."""


def group_of(question: Question, scene: Scene, macro_side: int, full_side: int) -> Group | None:
    """What the question needs when the whole picture of `full_side` pixels is shown `macro_side` pixels wide.

    None when on the border, when the items are too small to be seen at all, or the letters too small even in full.
    """
    about = [scene.items[i] for i in question.targets]
    if any(item.size * macro_side < SMALLEST for item in about):
        return None
    if question.kind == "absent":
        return "absent"
    if question.kind in ("count", "relation"):
        return "both"
    if question.kind != "read":
        return "global"
    letters = about[0].text_height
    return "close" if letters * macro_side <= ILLEGIBLE and letters * full_side >= LEGIBLE else None


def ask(kind: Kind, scene: Scene, level: Level, rng: np.random.Generator) -> Question | None:
    """A question of this kind, or None when the scene allows no unambiguous one."""
    match kind:
        case "read":
            return _about_one(scene, rng, "What is written on the {name}?", lambda i: i.text, "read")
        case "side":
            return _about_one(scene, rng, "Is the {name} on the left or the right?", _side, "side")
        case "colour":
            return _colour(scene, rng)
        case "shape":
            return _shape(scene, rng)
        case "count":
            return _count(scene, level, rng)
        case "presence":
            return _presence(scene, level, rng)
        case "relation":
            return _relation(scene, rng)
        case "ground":
            return Question("What colour is the background?", scene.ground_colour, "ground")
        case "absent":
            name = _missing(scene, level, rng)
            return Question(f"What is written on the {name}?", CANNOT_TELL, "absent")


def _unique(scene: Scene) -> list[int]:
    counts = Counter(item.name for item in scene.items)
    return [i for i, item in enumerate(scene.items) if counts[item.name] == 1 and item.inside]


def _pick(indices: list[int], rng: np.random.Generator) -> int:
    return indices[int(rng.integers(len(indices)))]


def _side(item: Item) -> str | None:
    return None if abs(item.x - 0.5) < 0.04 else ("Left" if item.x < 0.5 else "Right")


def _about_one(
    scene: Scene, rng: np.random.Generator, template: str, answer: Callable[[Item], str | None], kind: Kind
) -> Question | None:
    indices = _unique(scene)
    if not indices:
        return None
    index = _pick(indices, rng)
    item = scene.items[index]
    found = answer(item)
    return Question(template.format(name=item.name), found, kind, (index,)) if found else None


def _colour(scene: Scene, rng: np.random.Generator) -> Question | None:
    shapes = Counter(item.shape for item in scene.items)
    indices = [i for i, item in enumerate(scene.items) if shapes[item.shape] == 1 and item.inside]
    if not indices:
        return None
    index = _pick(indices, rng)
    item = scene.items[index]
    return Question(f"What colour is the {item.shape}?", item.colour, "colour", (index,))


def _shape(scene: Scene, rng: np.random.Generator) -> Question | None:
    colours = Counter(item.colour for item in scene.items)
    indices = [i for i, item in enumerate(scene.items) if colours[item.colour] == 1 and item.inside]
    if not indices:
        return None
    index = _pick(indices, rng)
    item = scene.items[index]
    return Question(f"What shape is the {item.colour} one?", item.shape, "shape", (index,))


def _count(scene: Scene, level: Level, rng: np.random.Generator) -> Question | None:
    if rng.random() < 0.5:
        shape = str(rng.choice(level.shapes))
        hits = [i for i, item in enumerate(scene.items) if item.shape == shape]
        text = f"How many {shape}s are there?"
    else:
        colour = str(rng.choice(level.colours))
        hits = [i for i, item in enumerate(scene.items) if item.colour == colour]
        text = f"How many {colour} ones are there?"
    if not all(scene.items[i].inside for i in hits):
        return None
    return Question(text, str(len(hits)), "count", tuple(hits))


def _missing(scene: Scene, level: Level, rng: np.random.Generator) -> str:
    """A name that no item has, by preference one attribute away from an item that is there."""
    names = {item.name for item in scene.items}
    words = scene.items[int(rng.integers(len(scene.items)))].name.split() if scene.items else []
    every = [f"{colour} {shape}" for colour in level.colours for shape in level.shapes]
    close = [n for n in every if n not in names and any(word in n.split() for word in words)]
    rest = close if close and rng.random() < 0.7 else [n for n in every if n not in names]
    return str(rng.choice(rest))


def _presence(scene: Scene, level: Level, rng: np.random.Generator) -> Question:
    whole = [item.name for item in scene.items if item.inside]
    if not whole or rng.random() < 0.5:
        return Question(f"Is there a {_missing(scene, level, rng)}?", "No", "presence")
    name = whole[int(rng.integers(len(whole)))]
    hits = tuple(i for i, item in enumerate(scene.items) if item.name == name)
    return Question(f"Is there a {name}?", "Yes", "presence", hits)


def _relation(scene: Scene, rng: np.random.Generator) -> Question | None:
    indices = _unique(scene)
    if len(indices) < 2:
        return None
    a, b = (int(i) for i in rng.permutation(indices)[:2])
    first, second = scene.items[a], scene.items[b]
    if abs(first.x - second.x) < 0.08:
        return None
    text = f"Is the {first.name} left of the {second.name}?"
    return Question(text, "Yes" if first.x < second.x else "No", "relation", (a, b))


def options_for(question: Question, scene: Scene, level: Level, rng: np.random.Generator) -> tuple[str, ...]:
    """Up to four shuffled options: the answer, "Cannot tell", and plausible wrong ones (texts of other items first)."""
    wrong = [text for text in _alike(question, scene, level, rng) if text != question.answer]
    picked = list(dict.fromkeys([question.answer, CANNOT_TELL, *dict.fromkeys(wrong)]))[:4]
    return tuple(picked[i] for i in rng.permutation(len(picked)))


def _alike(question: Question, scene: Scene, level: Level, rng: np.random.Generator) -> list[str]:
    """Answers of the same sort, in random order."""
    match question.kind:
        case "read" | "absent":
            other = [item.text for item in scene.items]
            drawn = ["".join(rng.choice(list(level.alphabet), max(level.text_lengths))) for _ in range(4)]
            return [str(text) for text in rng.permutation(other)][:2] + drawn
        case "colour":
            sort = list(level.colours)
        case "shape":
            sort = list(level.shapes)
        case "ground":
            sort = list(GROUNDS)
        case "side":
            sort = ["Left", "Right"]
        case "presence" | "relation":
            sort = ["Yes", "No"]
        case "count":
            sort = [str(max(0, int(question.answer) + step)) for step in (-2, -1, 1, 2)]
    return [str(text) for text in rng.permutation(sort)]


def phrase_of(question: Question, scene: Scene) -> tuple[str, ...]:
    """The things that must be seen to answer, in the question's order; none when the whole picture decides."""
    if question.kind in ("count", "ground"):
        return ()
    if question.kind in ("colour", "shape"):
        return (question.text.removesuffix("?").removeprefix("What colour is the ").removeprefix("What shape is the "),)
    if question.kind in ("absent", "presence"):
        return (question.text.removesuffix("?").removeprefix("What is written on the ").removeprefix("Is there a "),)
    return tuple(scene.items[i].name for i in question.targets)


def every_name(level: Level) -> list[str]:
    """All words the questions of a level can use, for the tokenizer."""
    return [*level.shapes, *level.colours, *GROUNDS]
