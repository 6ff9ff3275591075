"""Scores that can be trusted: exact match, gain and harm against the same model without zoom, intervals of a share.

An answer is right when it is the same one (`confidence/replies.py`); there is no judge. Wilson's interval is for
tables, Clopper and Pearson's, which is exact, for promises.
"""

from collections.abc import Sequence

from scipy.stats import binomtest

from zoomagent.confidence.replies import same_answer as same_answer


def gain_and_harm(base: Sequence[bool], other: Sequence[bool]) -> tuple[float, float]:
    """Shares of questions that `other` turned right, and turned wrong, compared with `base`, question by question."""
    pairs = list(zip(base, other, strict=True))
    n = max(1, len(pairs))
    return sum(not a and b for a, b in pairs) / n, sum(a and not b for a, b in pairs) / n


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927); (0, 1) when nothing was asked."""
    return _interval(hits, n, "wilson")


def clopper_pearson(hits: int, n: int) -> tuple[float, float]:
    """The exact 95 % interval of a share (Clopper and Pearson 1934); (0, 1) when nothing was asked."""
    return _interval(hits, n, "exact")


def _interval(hits: int, n: int, method: str) -> tuple[float, float]:
    if n == 0:
        return 0.0, 1.0
    found = binomtest(hits, n).proportion_ci(confidence_level=0.95, method=method)
    return float(found.low), float(found.high)
