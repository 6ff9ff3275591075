"""The ways in which a question of each kind is put: the plain one, others to train on, and some that are kept back.

    wording("presence", "plain", rng)       -> "Is there a {name}?"
    wording("presence", "trained", rng)     -> one of the plain and the trained ones
    wording("presence", "kept back", rng)   -> one that no training ever used

An arbiter is certified on those that were kept back too, so that its promise does not rest on one template. Left out:
which things a question is about (`questions.py`).
"""

from typing import Literal

import numpy as np

Style = Literal["plain", "trained", "kept back"]

PLAIN: dict[str, str] = {
    "read": "What is written on the {name}?",
    "side": "Is the {name} on the left or the right?",
    "colour": "What colour is the {name}?",
    "shape": "What shape is the {name}?",
    "count": "How many {names} are there?",
    "presence": "Is there a {name}?",
    "left": "Is the {name} left of the {other}?",
    "right": "Is the {name} right of the {other}?",
    "above": "Is the {name} above the {other}?",
    "below": "Is the {name} below the {other}?",
    "larger": "Is the {name} larger than the {other}?",
    "more": "Are there more {names} than {others}?",
    "ground": "What colour is the background?",
}
TRAINED: dict[str, tuple[str, ...]] = {
    "read": (
        "What does the {name} say?",
        "Which number is on the {name}?",
        "Read the {name}.",
        "What number do you see on the {name}?",
        "What is the number on the {name}?",
    ),
    "side": (
        "On which side is the {name}, left or right?",
        "Is the {name} in the left or the right half?",
        "Where is the {name}, left or right?",
    ),
    "colour": ("What is the colour of the {name}?", "Which colour has the {name}?", "What color is the {name}?"),
    "shape": ("What is the shape of the {name}?", "Which shape is the {name}?", "Which shape has the {name}?"),
    "count": (
        "What is the number of {names}?",
        "Count the {names}.",
        "How many {names} do you see?",
        "How many {names} are in the picture?",
    ),
    "presence": (
        "Can you see a {name}?",
        "Does the picture show a {name}?",
        "Is a {name} in the picture?",
        "Are there any {names}?",
        "Is there any {name} here?",
    ),
    "left": ("Is the {name} to the left of the {other}?",),
    "right": ("Is the {name} to the right of the {other}?",),
    "above": ("Is the {name} higher than the {other}?",),
    "below": ("Is the {name} lower than the {other}?",),
    "larger": ("Is the {name} bigger than the {other}?",),
    "more": ("Do you see more {names} than {others}?",),
    "ground": ("Which colour has the background?", "What is the colour of the background?"),
}
KEPT_BACK: dict[str, tuple[str, ...]] = {
    "read": ("What number is written on the {name}?", "Which number does the {name} show?"),
    "side": ("Which side is the {name} on, left or right?",),
    "colour": ("Which colour is the {name}?",),
    "shape": ("What shape has the {name}?",),
    "count": ("How many {names} can you see?", "How many {names} does the picture show?"),
    "presence": ("Do you see a {name}?", "Is there a {name} in the picture?", "Are {names} in the picture?"),
    "left": ("Do you see the {name} left of the {other}?",),
    "right": ("Do you see the {name} right of the {other}?",),
    "above": ("Do you see the {name} above the {other}?",),
    "below": ("Do you see the {name} below the {other}?",),
    "larger": ("Do you see that the {name} is larger than the {other}?",),
    "more": ("Are more {names} than {others} in the picture?",),
    "ground": ("Which colour is the background?",),
}


def wording(kind: str, style: Style, rng: np.random.Generator) -> str:
    """A template of this kind with the fields `name`, `names`, `other`, `others`. Plain wordings draw nothing from
    `rng`; half of the trained ones are plain."""
    if style == "plain" or (style == "trained" and rng.random() < 0.5):
        return PLAIN[kind]
    choices = TRAINED[kind] if style == "trained" else KEPT_BACK[kind]
    return choices[int(rng.integers(len(choices)))]


def every_wording() -> list[str]:
    """All templates, for tests and for a tokenizer's words."""
    others = [text for table in (TRAINED, KEPT_BACK) for texts in table.values() for text in texts]
    return [*PLAIN.values(), *others]
