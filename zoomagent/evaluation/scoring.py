"""Scores that can be trusted: exact match, gain and harm against the same model without zoom, intervals of a share.

An answer is right when it is the same one (`confidence/replies.py`); there is no judge. Wilson's interval is for
tables, Clopper and Pearson's, which is exact, for promises; where questions depend on one another, it is widened.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence

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


def cluster_interval(scores: Sequence[float], clusters: Sequence[Hashable]) -> tuple[float, float]:
    """The 95 % interval of a mean of scores from 0 to 1, where those of one cluster (a picture, a question asked under
    several seeds) depend on one another: Wilson's, for as many questions as they are worth (Kish 1965, design effect).
    Where all are alike, each cluster is worth one question."""
    n, mean = len(scores), sum(scores) / max(1, len(scores))
    sums: defaultdict[Hashable, float] = defaultdict(float)
    for score, cluster in zip(scores, clusters, strict=True):
        sums[cluster] += score - mean
    count = len(sums)
    if count < 2:
        return 0.0, 1.0
    variance = sum(total**2 for total in sums.values()) / n**2 * count / (count - 1)
    alone = mean * (1 - mean)
    worth = min(float(n), alone / variance) if variance > 0 and alone > 0 else float(count)
    # Wilson's interval, for a number of questions that need not be whole.
    z = 1.959963984540054
    middle = (mean + z**2 / (2 * worth)) / (1 + z**2 / worth)
    half = z / (1 + z**2 / worth) * math.sqrt(mean * (1 - mean) / worth + z**2 / (4 * worth**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def clopper_pearson(hits: int, n: int) -> tuple[float, float]:
    """The exact 95 % interval of a share (Clopper and Pearson 1934); (0, 1) when nothing was asked."""
    return _interval(hits, n, "exact")


def _interval(hits: int, n: int, method: str) -> tuple[float, float]:
    if n == 0:
        return 0.0, 1.0
    found = binomtest(hits, n).proportion_ci(confidence_level=0.95, method=method)
    return float(found.low), float(found.high)
