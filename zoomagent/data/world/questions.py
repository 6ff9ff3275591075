"""Questions about a scene, each with its exact answer and the items it is about.

Kinds separate what a method must be able to do: `read` needs pixels, `side` and `ground` need the whole picture,
`count`, `relation` and `more` need several items at once, `absent` has no answer. Presence, counts and comparisons are
asked of small things as of large ones; whether a model can see them is no reason to leave a question out. Ambiguous
questions are never asked. Left out: the words of a question (`wordings.py`).
"""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.data.world.scene import GROUNDS, Level, Scene
from zoomagent.data.world.wordings import Style, wording

Kind = Literal["read", "colour", "shape", "side", "count", "presence", "relation", "more", "ground", "absent"]
Group = Literal["close", "global", "both", "absent"]

LEGIBLE = 6.5
"""Capitals of this many pixels or more count as readable in a view."""
ILLEGIBLE = 5.0
"""Capitals of at most this many pixels count as unreadable; between the two nothing is trained."""
SMALLEST = 5.0
"""An item of fewer pixels can hardly be told from others by colour and shape."""
ASIDE = 0.08
"""Least distance, as a share of the side, at which one item is left of or above another."""


@dataclass(frozen=True)
class Question:
    """`targets` index the scene's items that the question is about (none for `ground` and what is not there).
    `phrases` are the things it names, in its own order; none when the whole picture decides. `size` is that of the
    smallest thing that matters, as a share of the side; where one of several suffices, of the largest, and where
    nothing is there, of an item that is nearly it. None where no item matters."""

    text: str
    answer: str
    kind: Kind
    targets: tuple[int, ...] = ()
    phrases: tuple[str, ...] = ()
    size: float | None = None


def group_of(question: Question, scene: Scene, macro_side: int) -> Group:
    """What the question needs when the whole picture is shown `macro_side` pixels wide: `close` needs a closer look,
    `both` needs several things at once, `absent` has no answer, `global` is answered by the whole view."""
    if question.kind == "absent":
        return "absent"
    if question.kind in ("count", "relation", "more"):
        return "both"
    about = [scene.items[i] for i in question.targets]
    letters = about[0].text_height * macro_side if question.kind == "read" else LEGIBLE
    small = any(item.size * macro_side < SMALLEST for item in about)
    return "close" if small or letters < LEGIBLE else "global"


def legible(question: Question, scene: Scene, side: int) -> bool:
    """Whether a picture of `side` pixels holds the answer at all: its texts can be read, its items told apart."""
    items = [scene.items[i] for i in question.targets]
    if question.kind == "read" and items[0].text_height * side < LEGIBLE:
        return False
    return all(item.size * side >= SMALLEST for item in items)


def ask(kind: Kind, scene: Scene, level: Level, rng: np.random.Generator, style: Style = "plain") -> Question | None:
    """A question of this kind, or None when the scene allows no unambiguous one."""
    match kind:
        case "read" | "side":
            counts = Counter(item.name for item in scene.items)
            unique = [i for i, item in enumerate(scene.items) if counts[item.name] == 1 and item.inside]
            if not unique:
                return None
            index = _pick(unique, rng)
            item = scene.items[index]
            if kind == "side" and abs(item.x - 0.5) < 0.04:
                return None
            answer = item.text if kind == "read" else "Left" if item.x < 0.5 else "Right"
            return Question(
                wording(kind, style, rng).format(name=item.name), answer, kind, (index,), (item.name,), item.size
            )
        case "colour" | "shape":
            # The colour of the only circle, or the shape of the only red one.
            known = [item.shape if kind == "colour" else item.colour for item in scene.items]
            counts = Counter(known)
            indices = [i for i, item in enumerate(scene.items) if counts[known[i]] == 1 and item.inside]
            if not indices:
                return None
            index = _pick(indices, rng)
            name = known[index] if kind == "colour" else f"{known[index]} one"
            item = scene.items[index]
            answer = item.colour if kind == "colour" else item.shape
            return Question(wording(kind, style, rng).format(name=name), answer, kind, (index,), (name,), item.size)
        case "count":
            return _count(scene, level, rng, style)
        case "more":
            return _more(scene, level, rng, style)
        case "presence":
            return _presence(scene, level, rng, style)
        case "relation":
            return _relation(scene, rng, style)
        case "ground":
            if scene.ground in ("mottled", "photograph"):
                return None
            return Question(wording("ground", style, rng), scene.ground_colour, "ground")
        case "absent":
            name, size = _draw_missing(scene, level, rng)
            text = wording("read", style, rng).format(name=name)
            return Question(text, CANNOT_TELL, "absent", (), (name,), size)


def _count(scene: Scene, level: Level, rng: np.random.Generator, style: Style) -> Question | None:
    # A shape, a colour's "one", or now and then both together.
    shape, colour = str(rng.choice(level.shapes)), str(rng.choice(level.colours))
    draw = rng.random()
    name = shape if draw < 0.45 else f"{colour} one" if draw < 0.9 else f"{colour} {shape}"
    hits = hits_of(name, scene)
    if not all(scene.items[i].inside for i in hits):
        return None
    text = wording("count", style, rng).format(names=f"{name}s")
    size = min(
        (scene.items[i].size for i in hits),
        default=(scene.items[int(rng.integers(len(scene.items)))].size if scene.items else None),
    )
    return Question(text, str(len(hits)), "count", hits, (name,), size)


def _more(scene: Scene, level: Level, rng: np.random.Generator, style: Style) -> Question | None:
    """Whether there are more of one sort than of another; never asked where there are as many."""
    shapes = rng.random() < 0.5
    sorts = level.shapes if shapes else tuple(f"{colour} one" for colour in level.colours)
    first, second = (str(name) for name in rng.choice(sorts, 2, replace=False))
    a, b = hits_of(first, scene), hits_of(second, scene)
    if len(a) == len(b) or not all(scene.items[i].inside for i in (*a, *b)):
        return None
    text = wording("more", style, rng).format(names=f"{first}s", others=f"{second}s")
    answer = "Yes" if len(a) > len(b) else "No"
    return Question(text, answer, "more", (*a, *b), (first, second), min(scene.items[i].size for i in (*a, *b)))


def _presence(scene: Scene, level: Level, rng: np.random.Generator, style: Style) -> Question | None:
    """Whether a thing is there: a colour and a shape, or one of both alone. One in two is not there."""
    there = [item for item in scene.items if item.inside]
    if there and rng.random() < 0.5:
        name = _shorten(there[int(rng.integers(len(there)))].name, rng)
        size = None
    else:
        name, size = _draw_missing(scene, level, rng)
        short = _shorten(name, rng)
        name = name if hits_of(short, scene) else short
    hits = hits_of(name, scene)
    if not all(scene.items[i].inside for i in hits):
        return None
    size = max((scene.items[i].size for i in hits), default=size)
    text = wording("presence", style, rng).format(name=name, names=f"{name}s")
    return Question(text, "Yes" if hits else "No", "presence", hits, (name,), size)


def _relation(scene: Scene, rng: np.random.Generator, style: Style) -> Question | None:
    counts = Counter(item.name for item in scene.items)
    unique = [i for i, item in enumerate(scene.items) if counts[item.name] == 1 and item.inside]
    if len(unique) < 2:
        return None
    a, b = (int(i) for i in rng.permutation(unique)[:2])
    sort = str(rng.choice(["left", "left", "right", "above", "below", "larger"]))
    first, second = scene.items[a], scene.items[b]
    by = {
        "left": second.x - first.x,
        "right": first.x - second.x,
        "above": second.y - first.y,
        "below": first.y - second.y,
        "larger": (first.size - second.size) / (first.size + second.size),
    }[sort]
    if abs(by) < ASIDE:
        return None
    text = wording(sort, style, rng).format(name=first.name, other=second.name)
    names = (first.name, second.name)
    return Question(text, "Yes" if by > 0 else "No", "relation", (a, b), names, min(first.size, second.size))


def hits_of(name: str, scene: Scene) -> tuple[int, ...]:
    """The items that `name` fits: "red circle", "circle" or "red one"."""
    words = set(name.split()) - {"one"}
    return tuple(i for i, item in enumerate(scene.items) if words <= set(item.name.split()))


def _shorten(name: str, rng: np.random.Generator) -> str:
    """Mostly the name itself, sometimes its shape or its colour alone."""
    colour, shape = name.split()
    draw = rng.random()
    return name if draw < 0.7 else shape if draw < 0.85 else f"{colour} one"


def _draw_missing(scene: Scene, level: Level, rng: np.random.Generator) -> tuple[str, float | None]:
    """A name that no item has, by preference one attribute away from an item that is there, and that item's size."""
    names = {item.name for item in scene.items}
    near = scene.items[int(rng.integers(len(scene.items)))] if scene.items else None
    words = near.name.split() if near else []
    every = [f"{colour} {shape}" for colour in level.colours for shape in level.shapes]
    close = [n for n in every if n not in names and any(word in n.split() for word in words)]
    rest = close if close and rng.random() < 0.7 else [n for n in every if n not in names]
    return str(rng.choice(rest)), near.size if near else None


def _pick(indices: list[int], rng: np.random.Generator) -> int:
    return indices[int(rng.integers(len(indices)))]


def options_for(question: Question, scene: Scene, level: Level, rng: np.random.Generator) -> tuple[str, ...]:
    """Up to four shuffled options: the answer, "Cannot tell", and plausible wrong ones (texts of other items first)."""
    match question.kind:
        case "read" | "absent":
            other = [item.text for item in scene.items]
            drawn = ["".join(rng.choice(list(level.alphabet), max(level.text_lengths))) for _ in range(4)]
            alike = [str(text) for text in rng.permutation(other)][:2] + drawn
        case kind:
            sorts: dict[str, tuple[str, ...]] = {
                "colour": level.colours,
                "shape": level.shapes,
                "ground": tuple(GROUNDS),
                "side": ("Left", "Right"),
            }
            sort = sorts.get(kind, ("Yes", "No"))
            if kind == "count":
                sort = tuple(str(max(0, int(question.answer) + step)) for step in (-2, -1, 1, 2))
            alike = [str(text) for text in rng.permutation(list(sort))]
    wrong = [text for text in alike if text != question.answer]
    picked = list(dict.fromkeys([question.answer, CANNOT_TELL, *wrong]))[:4]
    return tuple(picked[i] for i in rng.permutation(len(picked)))


def every_name(level: Level) -> list[str]:
    """All words the questions of a level can use, for the tokenizer."""
    return [*level.shapes, *level.colours, *GROUNDS]
