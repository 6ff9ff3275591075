"""Which pictures an arbiter was certified on: a fitted check of what a picture looks like (`looks.py`).

    scope.holds(looks)       # False: nothing that was certified looked like this picture

`Among` knows the pictures that were certified and others besides, and tells them apart by a few score decision trees.
`Near` knows only the former: a picture that lies further from their middle than nearly all of them is none. Left out:
fitting (`zoomagent/training/scope.py`), and what follows for a run (`zoomagent/graphs/looking.py`).
"""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from zoomagent.confidence.looks import LENGTH
from zoomagent.run_record import Value

MOST_TREES = 2000
"""Trees of one check (ours): more would take longer than the picture takes to open."""
FAR = 6.0
"""Standard deviations from which a number of a picture counts no further."""
Numbers = Annotated[tuple[float, ...], Field(min_length=LENGTH, max_length=LENGTH)]


class Tree(Value):
    """A decision tree. At node i, a picture whose number `column[i]` is at most `at[i]` goes on to node `left[i]`, else
    to `right[i]`; a node whose column is -1 is an end, and `value` is what it adds to the score."""

    column: tuple[int, ...] = Field(min_length=1)
    at: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]

    @model_validator(mode="after")
    def _ends(self) -> Self:
        """Every way ends: children come after their parent."""
        nodes = len(self.column)
        if {nodes} != {len(part) for part in (self.at, self.left, self.right, self.value)}:
            raise ValueError("the parts of a tree differ in length")
        for node, column in enumerate(self.column):
            children = (self.left[node], self.right[node])
            if not -1 <= column < LENGTH or (column >= 0 and not all(node < child < nodes for child in children)):
                raise ValueError("a tree that cannot be walked")
        return self

    def score(self, looks: Sequence[float]) -> float:
        """What this tree says of a picture."""
        node = 0
        while self.column[node] >= 0:
            goes_left = looks[self.column[node]] <= self.at[node]
            node = self.left[node] if goes_left else self.right[node]
        return self.value[node]


class Among(Value):
    """Fitted on certified pictures and on others: a picture belongs where the trees' sum is more than `least`."""

    kind: Literal["among"] = "among"
    trees: tuple[Tree, ...] = Field(max_length=MOST_TREES)
    least: float

    def score(self, looks: Sequence[float]) -> float:
        """The greater, the more like a certified picture."""
        return sum(tree.score(looks) for tree in self.trees)

    def holds(self, looks: Sequence[float]) -> bool:
        """Whether a picture that looks like this is one that was certified for."""
        return len(looks) == LENGTH and self.score(looks) > self.least


class Near(Value):
    """Fitted on certified pictures alone: a normal distribution with a few `axes` of its own spread and one spread for
    all other directions. A picture belongs where it is at most `most` away."""

    kind: Literal["near"] = "near"
    mean: Numbers
    scale: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=LENGTH, max_length=LENGTH)]
    axes: tuple[Numbers, ...]
    spreads: tuple[Annotated[float, Field(gt=0)], ...]
    rest: float = Field(gt=0)
    most: float

    @model_validator(mode="after")
    def _one_spread_an_axis(self) -> Self:
        if len(self.axes) != len(self.spreads):
            raise ValueError(f"{len(self.spreads)} spreads for {len(self.axes)} axes")
        return self

    def distance(self, looks: Sequence[float]) -> float:
        """Mahalanobis' distance, squared, a dimension."""
        from_mean = np.clip((np.asarray(looks) - self.mean) / np.asarray(self.scale), -FAR, FAR)
        along = np.asarray(self.axes).reshape(-1, LENGTH) @ from_mean
        beside = max(0.0, float(from_mean @ from_mean - along @ along))
        return (float(np.sum((along / np.asarray(self.spreads)) ** 2)) + beside / self.rest**2) / LENGTH

    def holds(self, looks: Sequence[float]) -> bool:
        """Whether a picture that looks like this is one that was certified for."""
        return len(looks) == LENGTH and self.distance(looks) <= self.most


Scope = Annotated[Among | Near, Field(discriminator="kind")]
