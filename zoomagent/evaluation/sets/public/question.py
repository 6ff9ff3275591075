"""One question of a published set, as every loader gives it, and what a set says about itself.

A loader is a function from the folder of the set's files to its questions, in their order, one at a time: no set is
ever held whole. What is missing or damaged is InputRefused (data_missing, data_corrupt) and names the file. Left out:
what an answer is worth (`worth.py`), and which sets there are (`catalogue.py`).
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import orjson

from zoomagent.confidence.records import draw

Corners = tuple[int, int, int, int]
Rule = Literal["option", "words", "yes or no", "vqa", "box", "moment"]
"""How an answer is compared with the right ones (`worth.py`)."""


@dataclass(frozen=True)
class SetQuestion:
    """`picture` is a file of a picture or a clip, or the bytes of a picture. `answers` are the right ones as texts:
    with options, one of them. `boxes` are original pixels of what must be seen, where the set says so. Questions of one
    `circle` count as right together or not at all, where the set's authors count so."""

    id: str
    picture: Path | bytes
    text: str
    answers: tuple[str, ...]
    options: tuple[str, ...] = ()
    category: str = ""
    boxes: tuple[Corners, ...] = ()
    circle: str = ""

    @property
    def picture_name(self) -> str:
        """The file's name without its folder; of bytes, their hash."""
        return self.picture.name if isinstance(self.picture, Path) else hashlib.sha256(self.picture).hexdigest()[:16]

    @property
    def digest(self) -> str:
        """What is asked and what is right: a result belongs to this. Of pictures in files, the name only."""
        asked = orjson.dumps([self.id, self.text, self.options, self.answers, self.picture_name])
        return hashlib.sha256(asked).hexdigest()[:12]

    @property
    def group(self) -> str:
        """What is never torn apart between halves of a set: the circle, or all that is asked about one picture."""
        return self.circle or self.picture_name

    def options_for(self, seed: int) -> tuple[str, ...]:
        """The options in the order of this seed; 0 is the published one."""
        if seed == 0:
            return self.options
        number = int(draw(self.id, f"options {seed}") * 2**48)
        return tuple(self.options[i] for i in np.random.default_rng(number).permutation(len(self.options)))


@dataclass(frozen=True)
class DrawnQuestion:
    """A picture of our own world with a question, to write small sets in published formats with. Boxes are pixels."""

    picture: bytes
    size: tuple[int, int]
    text: str
    answer: str
    options: tuple[str, ...]
    boxes: tuple[Corners, ...]
    category: str


@dataclass(frozen=True)
class PublicSet:
    """A set by name. `count` is how many questions the authors publish (None: as many as there are), `shuffled`
    whether its questions have options that may stand in another order (not where it brings its own rotations),
    `source` where it is to be had, `scoring` what the authors count and what is different here. `known`
    is a file with its MD5."""

    name: str
    title: str
    read: Callable[[Path], Iterator[SetQuestion]]
    write: Callable[[Path, Sequence[DrawnQuestion]], None]
    count: int | None
    rule: Rule
    source: str
    scoring: str
    shuffled: bool = True
    known: tuple[str, str] | None = None
