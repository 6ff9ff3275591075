"""How good confidences are: calibration (do 80 % mean 80 %?) and ranking (are the wrong ones the unsure ones?).

    ece([0.9, 0.8, 0.3], [True, True, False])      expected calibration error, equal-mass bins
    aurc(confidence, right)                        area under the risk-coverage curve; lower is better

numpy alone. Equal confidences are treated as one group, so no figure depends on the order of the questions. Left out:
intervals (`evaluation/scoring.py`), thresholds (`abstention.py`), drawing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = Sequence[bool] | NDArray[np.bool_]
Bins = Literal["mass", "width"]


@dataclass(frozen=True)
class Bin:
    """`n` questions with confidences from `low` to `high`: their mean confidence, and the share that was right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


def reliability(confidence: Sequence[float] | Array, right: Flags, bins: int = 15, by: Bins = "mass") -> list[Bin]:
    """The reliability table, without empty bins. `mass`: bins of (nearly) equal counts, equal confidences kept
    together; `width`: bins of equal width over 0 to 1, as in Guo et al. 2017."""
    c, y = _sorted(confidence, right)
    if c.size == 0:
        return []
    inner = np.arange(1, bins) / bins
    edges = inner if by == "width" else np.unique(c[np.ceil(inner * c.size).astype(int) - 1])
    place = np.searchsorted(edges, c, side="left")
    table = []
    for i in np.unique(place):
        inside, right_inside = c[place == i], y[place == i]
        low, high = float(inside[0]), float(inside[-1])
        table.append(Bin(low, high, inside.size, float(np.mean(inside)), float(np.mean(right_inside))))
    return table


def ece(confidence: Sequence[float] | Array, right: Flags, bins: int = 15, by: Bins = "mass") -> float:
    """Expected calibration error: mean over questions of |confidence - accuracy| of their bin; 0 without questions."""
    table = reliability(confidence, right, bins, by)
    n = max(1, sum(row.n for row in table))
    return sum(row.n * abs(row.confidence - row.accuracy) for row in table) / n


def brier(confidence: Sequence[float] | Array, right: Flags) -> float:
    """Mean squared difference between confidence and right (1) or wrong (0); 0 without questions."""
    c, y = _sorted(confidence, right)
    return float(np.mean((c - y) ** 2)) if c.size else 0.0


def risk_coverage(confidence: Sequence[float] | Array, right: Flags) -> tuple[Array, Array]:
    """(coverage, risk): answering the surest 1, 2, … n questions, the share answered and the share of wrong ones
    among them. Within equal confidences the wrong ones are spread evenly: the mean over all their orders."""
    c, y = _sorted(confidence, right)
    _, group = np.unique(c, return_inverse=True)
    wrong = (np.bincount(group, weights=1 - y) / np.bincount(group))[group] if c.size else 1 - y
    answered = np.arange(1, c.size + 1)
    return answered / max(1, c.size), np.cumsum(wrong[::-1]) / answered


def aurc(confidence: Sequence[float] | Array, right: Flags) -> float:
    """Area under the risk-coverage curve: the mean risk over all coverages; 0 without questions."""
    _, risk = risk_coverage(confidence, right)
    return float(np.mean(risk)) if risk.size else 0.0


def _sorted(confidence: Sequence[float] | Array, right: Flags) -> tuple[Array, Array]:
    c, y = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if c.shape != y.shape or c.ndim != 1:
        raise ValueError(f"Give one confidence per answer: {c.shape} confidences, {y.shape} answers.")
    order = np.argsort(c, kind="stable")
    return c[order], y[order]
