"""How well a model grounds: figures of boxes, moments and phrases, and questions about what is not there (POPE).

    acc = box_accuracy([(found, wanted), …])               # REC: share with IoU of at least 0.5
    recall_at_one(pairs, 0.5), mean_iou(pairs)             # moments
    phrase_figures(found, wanted)                          # precision and recall of grounded phrases
    questions = probes(pictures, "adversarial", rng)       # POPE: as many "no" as "yes"

`pictures` of probes are the names of what each picture holds, from whatever annotations. The three kinds of POPE: what
is not there is drawn at random, is what most pictures hold, or what stands beside those that are there in other
pictures. Left out: who answers, and printing (`cli/bench.py`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import numpy as np

from zoomagent.geometry import Box, iou

HIT = 0.5
"""Overlap from which a box is right."""
Trap = Literal["random", "popular", "adversarial"]
TRAPS: tuple[Trap, ...] = ("random", "popular", "adversarial")
Span = tuple[int, int]


# Boxes and moments


def box_accuracy(pairs: Sequence[tuple[Box | None, Box]]) -> float:
    """The share of boxes found that overlap the one wanted by at least a half."""
    return share(sum(found is not None and iou(found, wanted) >= HIT for found, wanted in pairs), len(pairs))


def moment_iou(found: Span, wanted: Span) -> float:
    """Overlap of two moments, 0 to 1."""
    common = max(0, min(found[1], wanted[1]) - max(found[0], wanted[0]))
    union = found[1] - found[0] + wanted[1] - wanted[0] - common
    return common / union if union > 0 else 0.0


def recall_at_one(pairs: Sequence[tuple[Span | None, Span]], least: float) -> float:
    """The share of moments whose first answer overlaps by at least `least`; no answer overlaps nothing."""
    return share(sum(found is not None and moment_iou(found, wanted) >= least for found, wanted in pairs), len(pairs))


def mean_iou(pairs: Sequence[tuple[Span | None, Span]]) -> float:
    """The mean overlap of first answers."""
    return share(sum(moment_iou(found, wanted) if found else 0.0 for found, wanted in pairs), len(pairs))


def share(part: float, of: int) -> float:
    return part / of if of else 0.0


# Phrases


@dataclass(frozen=True)
class PhraseFigures:
    """Boxes of phrases: `right` of `found` were right, of `wanted` that there are."""

    right: int
    found: int
    wanted: int

    @property
    def precision(self) -> float:
        return share(self.right, self.found)

    @property
    def recall(self) -> float:
        return share(self.right, self.wanted)

    def __add__(self, other: "PhraseFigures") -> "PhraseFigures":
        return PhraseFigures(self.right + other.right, self.found + other.found, self.wanted + other.wanted)


def phrase_figures(
    found: Sequence[tuple[str, Sequence[Box]]], wanted: Sequence[tuple[str, Sequence[Box]]]
) -> PhraseFigures:
    """Each wanted box is matched once, by a box of the same phrase that overlaps it by at least a half."""
    left = [(name.casefold(), box) for name, boxes in wanted for box in boxes]
    total, right, boxes_found = len(left), 0, 0
    for name, boxes in found:
        for box in boxes:
            boxes_found += 1
            fits = [one for one in left if one[0] == name.casefold() and iou(one[1], box) >= HIT]
            if fits:
                left.remove(max(fits, key=lambda one: iou(one[1], box)))
                right += 1
    return PhraseFigures(right, boxes_found, total)


# What is not there


@dataclass(frozen=True)
class Probe:
    """A question whether something is in a picture."""

    picture: str
    name: str
    there: bool


def probes(pictures: Mapping[str, Sequence[str]], trap: Trap, rng: np.random.Generator, each: int = 3) -> list[Probe]:
    """For each picture up to `each` names that it holds, and as many that it does not."""
    often = Counter(name for names in pictures.values() for name in set(names))
    beside = Counter(pair for names in pictures.values() for pair in permutations(sorted(set(names)), 2))
    asked: list[Probe] = []
    for picture, names in pictures.items():
        held = sorted(set(names))
        absent = sorted(set(often) - set(held))
        count = min(each, len(held), len(absent))
        order = rng.permutation(len(absent)).tolist()
        if trap == "popular":
            order.sort(key=lambda i: -often[absent[i]])
        elif trap == "adversarial":
            order.sort(key=lambda i: -sum(beside[name, absent[i]] for name in held))
        asked += [Probe(picture, held[i], True) for i in rng.permutation(len(held))[:count]]
        asked += [Probe(picture, absent[i], False) for i in order[:count]]
    return asked


@dataclass(frozen=True)
class ProbeFigures:
    """POPE's figures of answers to probes: `f1` is that of "yes", `yes` how often it was said."""

    accuracy: float
    precision: float
    recall: float
    yes: float
    number: int

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def probe_figures(answers: Sequence[tuple[Probe, bool]]) -> ProbeFigures:
    """The figures of answers, each a probe and whether "yes" was said."""
    said = sum(yes for _, yes in answers)
    there = sum(probe.there for probe, _ in answers)
    hits = sum(yes and probe.there for probe, yes in answers)
    right = sum(yes == probe.there for probe, yes in answers)
    number = len(answers)
    return ProbeFigures(share(right, number), share(hits, said), share(hits, there), share(said, number), number)
