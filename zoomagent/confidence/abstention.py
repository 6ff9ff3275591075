"""From which confidence on to answer, so that at most a share alpha of the answers is wrong.

    cutoff = learn_then_test(confidence, right, grid, alpha=0.05, delta=0.1)
    cutoff.answers(0.83)       -> bool
    cutoff.refusal(0.41)       -> why not, in words; None when it answers

`learn_then_test`: Angelopoulos et al. 2021. With probability at least 1 - delta over the calibration
set, P(wrong | answered) <= alpha. It tests "the error among the answered is above alpha" at every threshold of a grid,
from strict to lax, and stops at the first that cannot be rejected (fixed-sequence testing: no price for the many
thresholds); every p-value is the exact binomial tail (Clopper-Pearson turned round). The risk is that of Geifman and
El-Yaniv 2017 (SGR), whose search costs a Bonferroni factor instead. Where the questions are of several kinds (scenes as
the model was taught them, and scenes of other hands), each kind is tested too, less strictly.

It assumes that the questions calibrated on and those to come are exchangeable and independent, that the calibration set
was not used for fitting, and that `grid` was chosen without looking at it. It says nothing about other pictures, other
models, or any single question. numpy alone. Left out: intervals of a measured share (`evaluation/scoring.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoomagent.errors import SettingInvalid

KIND_DELTA = 0.3
"""How probably the error of a single kind of questions may be above the one promised (ours)."""
Array = NDArray[np.float64]
Flags = Sequence[bool] | NDArray[np.bool_]


@dataclass(frozen=True)
class Cutoff:
    """The least confidence with which to answer; None: abstain always. `coverage` is the share of the calibration
    questions that it answers, `reason` says what is promised, or why nothing could be."""

    threshold: float | None
    coverage: float
    alpha: float
    reason: str

    def answers(self, confidence: float | None) -> bool:
        """Whether a question with this confidence is answered. An unknown confidence is not enough."""
        return self.threshold is not None and confidence is not None and confidence >= self.threshold

    def refusal(self, confidence: float | None) -> str | None:
        """Why a question with this confidence is not answered; None when it is."""
        if self.answers(confidence):
            return None
        if self.threshold is None:
            return f"Not answered: {self.reason}"
        known = "unknown" if confidence is None else f"{confidence:.3f}"
        return f"Not answered: the confidence is {known}, the least for an answer {self.threshold:.3f}. {self.reason}"


def learn_then_test(
    confidence: Sequence[float] | Array,
    right: Flags,
    grid: Sequence[float] | Array,
    alpha: float,
    delta: float = 0.1,
    kinds: Sequence[str] = (),
) -> Cutoff:
    """The laxest threshold of `grid` that is reached from the strictest by rejected tests. See the module's text.

    `kinds` names the kind of each question, where there are several. The promise for a mixture may hide that it breaks
    for a part of it, so every kind is tested on its own too, in a sequence of its own, at KIND_DELTA, as it has fewer
    questions; the threshold is one that was rejected in all of these sequences."""
    _check(alpha, delta)
    c, wrong = np.asarray(confidence, dtype=np.float64), ~np.asarray(right, dtype=bool)
    names = np.asarray(list(kinds) if len(kinds) else [""] * c.size)
    parts = [names == name for name in np.unique(names)]
    thresholds = sorted({float(t) for t in grid}, reverse=True)
    passed = set(rejected(c, wrong, thresholds, alpha, delta))
    for part in parts if len(parts) > 1 else ():
        start = first_to_test(c[part], thresholds, alpha, KIND_DELTA)
        later = [t for t in thresholds if start is not None and t <= start]
        passed &= set(rejected(c[part], wrong[part], later, alpha, KIND_DELTA))
    found = min(passed, default=None)
    each = f", with {1 - KIND_DELTA:.0%} in each of {len(parts)} kinds of pictures" if len(parts) > 1 else ""
    if found is None:
        why = (
            f"No threshold gets to at most {alpha:.1%} wrong answers with {1 - delta:.0%} certainty{each} on {c.size} "
            "calibration questions: abstain always."
        )
        return Cutoff(None, 0.0, alpha, why)
    promise = f"At most {alpha:.1%} of the answers are wrong, with {1 - delta:.0%} certainty{each}"
    return Cutoff(found, float(np.mean(c >= found)), alpha, f"{promise}, for questions like those calibrated on.")


def rejected(
    confidence: Array, wrong: NDArray[np.bool_], thresholds: Sequence[float], alpha: float, delta: float
) -> list[float]:
    """The thresholds, in their order, at which "the error is above alpha" is rejected, up to the first where not."""
    found = []
    for threshold in thresholds:
        answered = confidence >= threshold
        if p_value(int(np.sum(wrong & answered)), int(np.sum(answered)), alpha) > delta:
            break
        found.append(threshold)
    return found


def first_to_test(confidence: Array, thresholds: Sequence[float], alpha: float, delta: float) -> float | None:
    """Where a sequence begins: at the threshold most probably rejected, going by the errors that the confidences
    predict. It looks at no answer, so it costs no certainty. None where there are too few questions for any test."""
    best: tuple[float, float] | None = None
    for threshold in thresholds:
        answered = confidence[confidence >= threshold]
        if answered.size >= math.log(delta) / math.log1p(-alpha):
            strength = float((alpha - np.mean(1 - answered)) * math.sqrt(answered.size))
            best = max(best, (strength, threshold)) if best else (strength, threshold)
    return best[1] if best else None


def grid_from(
    reference: Sequence[float] | Array, n: int, alpha: float, delta: float = 0.1, steps: int = 50
) -> list[float]:
    """Thresholds to try, from confidences that are no part of the calibration set of size `n`: even steps of coverage.

    The first failed test ends the search, so the strictest threshold is the one most probably rejected, going by the
    errors that `reference` predicts. That choice costs no certainty, as it looks at no calibration answer."""
    _check(alpha, delta)
    surest = np.sort(np.asarray(reference, dtype=np.float64))[::-1]
    coverage = np.arange(1, surest.size + 1) / surest.size
    predicted = np.cumsum(1 - surest) / np.arange(1, surest.size + 1)
    strength = (alpha - predicted) * np.sqrt(coverage * n)
    testable = coverage * n >= math.log(delta) / math.log1p(-alpha)
    start = coverage[np.argmax(np.where(testable, strength, -np.inf))] if testable.any() else 1.0
    levels = 1 - np.linspace(start, 1, steps)
    return sorted(set(np.quantile(surest, levels, method="lower").tolist()), reverse=True)


def p_value(errors: int, answered: int, alpha: float) -> float:
    """P(at most `errors` wrong among `answered`) if each were wrong with probability alpha."""
    return binomial_cdf(errors, answered, alpha)


def binomial_cdf(k: int, n: int, p: float) -> float:
    """P(X <= k) for X ~ Binomial(n, p), summed in logarithms."""
    if k >= n or p <= 0:
        return 1.0
    if k < 0 or p >= 1:
        return 0.0
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])  # log(0!), …, log(n!)
    i = np.arange(k + 1)
    terms = logs[n] - logs[i] - logs[n - i] + i * math.log(p) + (n - i) * math.log1p(-p)
    top = float(np.max(terms))
    return min(1.0, math.exp(top) * float(np.sum(np.exp(terms - top))))


def _check(alpha: float, delta: float) -> None:
    for name, share in (("alpha", alpha), ("delta", delta)):
        if not 0 < share < 1:
            raise SettingInvalid(f"{name} is a share above 0 and below 1, such as 0.05, not {share!r}.")
