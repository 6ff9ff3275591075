"""How two things lie to each other, and which looks larger, by their boxes.

    relation = relation_in("Is the cup left of the dish?", ("cup", "dish"))      # Relation("left", …), or None
    is_so(relation.sort, cup_box, dish_box)                                      # True, False, or None: not plainly

Models that find two small things surely still guess how they lie to each other. Only what is plain is taken: a question
of nothing but two things ("the", never "a": of several any may do) and one word of place or size, and boxes of which
neither holds the other's middle on that axis, or that differ by a good part of their side. What looks larger may be
nearer: sizes are no answers, they only cast doubt. Left out: depth ("behind"), words that are said of values too
("higher than"), and where in the picture one thing is.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from zoomagent.confidence.claim_words import VALUES
from zoomagent.confidence.claims import words_of
from zoomagent.geometry import Box

Sort = Literal["left", "right", "above", "below", "larger", "smaller"]
PLACES: tuple[Sort, ...] = ("left", "right", "above", "below")
PLAINLY = 1.25
"""From so many times the other's side on, one thing looks larger (ours): boxes of small things are coarse."""


@dataclass(frozen=True)
class Relation:
    """The question asks whether `first` is left of (and so on) `second`: numbers in the list of the things it names.
    `yes` and `no` are the answers in its language."""

    sort: Sort
    first: int
    second: int
    yes: str
    no: str


@dataclass(frozen=True)
class _Language:
    """Words of place and size, those that may stand around them and the two things, and the two answers."""

    sorts: dict[Sort, str]
    around: str
    yes: str
    no: str


_LANGUAGES = (
    _Language(
        {
            "left": "(?:on |to )?(?:the )?left (?:side )?of",
            "right": "(?:on |to )?(?:the )?right (?:side )?of",
            "above": "above",
            "below": "below|beneath",
            "larger": "(?:larger|bigger) than",
            "smaller": "smaller than",
        },
        "is does the lie located placed positioned situated",
        "Yes", "No",
    ),
    _Language(
        {
            "left": "links von",
            "right": "rechts von",
            "above": "oberhalb",
            "below": "unterhalb",
            "larger": "größer als",
            "smaller": "kleiner als",
        },
        "ist liegt steht befindet sich der die das dem den des von vom",
        "Ja", "Nein",
    ),
    _Language(
        {
            "left": "à gauche (?:de|du|des)",
            "right": "à droite (?:de|du|des)",
            "above": "au dessus (?:de|du|des)",
            "below": "(?:au|en) dessous (?:de|du|des)",
            "larger": "plus grande? que",
            "smaller": "plus petite? que",
        },
        "est ce que se trouve il elle t le la l",
        "Oui", "Non",
    ),
    _Language(
        {
            "left": "a la izquierda (?:de|del)",
            "right": "a la derecha (?:de|del)",
            "above": "(?:por )?encima (?:de|del)",
            "below": "(?:por )?debajo (?:de|del)",
            "larger": "más grande que",
            "smaller": "más pequeñ[oa] que",
        },
        "está se encuentra el la",
        "Sí", "No",
    ),
)  # fmt: skip


def relation_in(question: str, names: Sequence[str]) -> Relation | None:
    """The relation that a question asks about, where it asks about nothing else: of one thing to one other, both of
    which can lie somewhere. `names` are the things it names."""
    # "Do you see the cup left of the dish?" asks the same.
    text = re.sub("^do you see (that )?", "", " ".join(words_of(question)))
    spoken = [" ".join(words_of(name)) for name in names]
    if len(spoken) != 2 or not all(spoken) or spoken[0] == spoken[1]:
        return None
    named = {word for name in spoken for word in name.split()}
    if named & VALUES or any(word.isnumeric() for word in named):
        return None
    for language in _LANGUAGES:
        for sort, words in language.sorts.items():
            found = re.fullmatch(rf"(?P<before>.*?)\b(?:{words})\b(?P<after>.*)", text)
            if found is None:
                continue
            for first, second in ((0, 1), (1, 0)):
                rest = [_without(found["before"], spoken[first]), _without(found["after"], spoken[second])]
                if all(part is not None and set(part.split()) <= set(language.around.split()) for part in rest):
                    return Relation(sort, first, second, language.yes, language.no)
    return None


def _without(text: str, name: str) -> str | None:
    """A part of a question without the one thing that it names; None where it does not name it just once."""
    parts = re.split(rf"\b{re.escape(name)}\b", text)
    return " ".join(parts) if len(parts) == 2 else None


def is_so(sort: Sort, first: Box, second: Box) -> bool | None:
    """Whether the first box is left of (and so on) the second; None where that is not plain."""
    if not first.area or not second.area:
        return None
    if sort in ("larger", "smaller"):
        times = math.sqrt(first.area / second.area)
        return None if 1 / PLAINLY < times < PLAINLY else (times > 1) == (sort == "larger")
    if sort in ("above", "below"):
        one, other = (first.top, first.bottom), (second.top, second.bottom)
    else:
        one, other = (first.left, first.right), (second.left, second.right)
    middle, centre = sum(one) / 2, sum(other) / 2
    if one[0] <= centre <= one[1] or other[0] <= middle <= other[1]:
        return None
    return middle < centre if sort in ("left", "above") else middle > centre


def relates_things(question: str) -> bool:
    """Whether a question holds a word of how one thing lies to another, or of which looks larger."""
    text = " ".join(words_of(question))
    return any(re.search(rf"\b(?:{words})\b", text) for language in _LANGUAGES for words in language.sorts.values())
