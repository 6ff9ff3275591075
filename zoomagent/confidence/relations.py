"""How two things lie to each other, by their boxes: who knows both places needs no model to compare them.

    relation = relation_in("Is the cup left of the dish?", ("cup", "dish"))      # Relation("left", …), or None
    lies_so(relation.side, cup_box, dish_box)                                    # True, False, or None: not plainly

Models that find two small things surely still guess how they lie to each other. Only what is plain is taken: a question
of nothing but two things and one word of place, and boxes of which neither holds the other's middle on that axis. Left
out: sizes (what looks larger may be nearer), depth ("behind"), and where in the picture one thing is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from zoomagent.confidence.claims import words_of
from zoomagent.geometry import Box

Side = Literal["left", "right", "above", "below"]


@dataclass(frozen=True)
class Relation:
    """The question asks whether `first` lies on this side of `second` (places in the list of the things it names).
    `yes` and `no` are the answers in its language."""

    side: Side
    first: int
    second: int
    yes: str
    no: str


@dataclass(frozen=True)
class _Language:
    """Words of place, those that may stand around them and the two things, and the two answers."""

    sides: dict[Side, str]
    around: str
    yes: str
    no: str


_LANGUAGES = (
    _Language(
        {
            "left": "(?:on |to )?(?:the )?left (?:side )?of",
            "right": "(?:on |to )?(?:the )?right (?:side )?of",
            "above": "above|higher than|further up than",
            "below": "below|beneath|lower than|further down than",
        },
        "is are does do you see the a an lie located placed positioned situated that",
        "Yes", "No",
    ),
    _Language(
        {"left": "links von", "right": "rechts von", "above": "über|oberhalb", "below": "unterhalb"},
        "ist sind liegt steht befindet sich der die das dem den des von vom ein eine einem einer",
        "Ja", "Nein",
    ),
    _Language(
        {
            "left": "à gauche (?:de|du|des)",
            "right": "à droite (?:de|du|des)",
            "above": "au dessus (?:de|du|des)",
            "below": "(?:au|en) dessous (?:de|du|des)",
        },
        "est ce que se trouve il elle t le la les l un une",
        "Oui", "Non",
    ),
    _Language(
        {
            "left": "a la izquierda (?:de|del)",
            "right": "a la derecha (?:de|del)",
            "above": "(?:por )?encima (?:de|del)",
            "below": "(?:por )?debajo (?:de|del)",
        },
        "está están se encuentra el la los las un una",
        "Sí", "No",
    ),
)  # fmt: skip


def relation_in(question: str, names: Sequence[str]) -> Relation | None:
    """The relation that a question asks about, where it asks about nothing else. `names` are the things it names."""
    text = " ".join(words_of(question))
    spoken = [" ".join(words_of(name)) for name in names]
    if len(spoken) != 2 or not all(spoken) or spoken[0] == spoken[1]:
        return None
    for language in _LANGUAGES:
        for side, words in language.sides.items():
            found = re.fullmatch(rf"(?P<before>.*?)\b(?:{words})\b(?P<after>.*)", text)
            if found is None:
                continue
            for first, second in ((0, 1), (1, 0)):
                rest = [_without(found["before"], spoken[first]), _without(found["after"], spoken[second])]
                if all(part is not None and set(part.split()) <= set(language.around.split()) for part in rest):
                    return Relation(side, first, second, language.yes, language.no)
    return None


def _without(text: str, name: str) -> str | None:
    """A part of a question without the one thing that it names; None where it does not name it just once."""
    parts = re.split(rf"\b{re.escape(name)}\b", text)
    return " ".join(parts) if len(parts) == 2 else None


def lies_so(side: Side, first: Box, second: Box) -> bool | None:
    """Whether the first box lies on this side of the second; None where one holds the other's middle on that axis."""
    if side in ("above", "below"):
        one, other = (first.top, first.bottom), (second.top, second.bottom)
    else:
        one, other = (first.left, first.right), (second.left, second.right)
    middle, centre = sum(one) / 2, sum(other) / 2
    if one[0] <= centre <= one[1] or other[0] <= middle <= other[1]:
        return None
    return middle < centre if side in ("left", "above") else middle > centre


def asks_for_places(question: str) -> bool:
    """Whether a question holds a word of how one thing lies to another."""
    text = " ".join(words_of(question))
    return any(re.search(rf"\b(?:{words})\b", text) for language in _LANGUAGES for words in language.sides.values())
