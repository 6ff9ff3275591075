"""From a score (any real number, a logit) to a probability: two monotone maps that are stored as JSON.

    Platt(slope=1.3, intercept=-0.2).probabilities(scores)
    Isotonic(scores=(-2.0, 0.0, 1.5), values=(0.1, 0.4, 0.9))      a table; straight lines in between, flat outside

Higher scores never get lower probabilities, and any finite score gives a probability. numpy alone. Left out: fitting
(`zoomagent/training/calibration/fitting.py`).
"""

from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from zoomagent.run_record import Value

Array = NDArray[np.float64]
FAR = 500.0
"""Scores and logits beyond this are as good as this."""


class Platt(Value):
    """Platt 1999: a logistic curve, sigmoid(slope x score + intercept)."""

    kind: Literal["platt"] = "platt"
    slope: float = Field(ge=0)
    intercept: float

    def probabilities(self, scores: Array) -> Array:
        return sigmoid(self.slope * np.clip(scores, -FAR, FAR) + self.intercept)


class Isotonic(Value):
    """Zadrozny and Elkan 2002: any rising curve, as the table of its corners."""

    kind: Literal["isotonic"] = "isotonic"
    scores: tuple[Annotated[float, Field(ge=-FAR, le=FAR)], ...] = Field(min_length=1)
    values: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rises(self) -> "Isotonic":
        if len(self.scores) != len(self.values):
            raise ValueError(f"{len(self.scores)} scores for {len(self.values)} values: give one value per score.")
        if any(a >= b for a, b in pairwise(self.scores)) or any(a > b for a, b in pairwise(self.values)):
            raise ValueError("Scores must rise and values must not fall.")
        return self

    def probabilities(self, scores: Array) -> Array:
        return np.interp(scores, self.scores, self.values)


Calibrator = Annotated[Platt | Isotonic, Field(discriminator="kind")]


def sigmoid(logits: Array) -> Array:
    """1 / (1 + exp(-logit)) without overflow."""
    bounded = np.clip(logits, -FAR, FAR)
    result: Array = 1.0 / (1.0 + np.exp(-bounded))
    return result
