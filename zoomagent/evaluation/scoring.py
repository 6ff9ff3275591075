"""Scores that can be trusted: exact match, Wilson intervals, and gain and harm against the same model without zoom.

An answer is right when it is the same one (`confidence/replies.py`); there is no judge.
"""

import math
from collections.abc import Sequence

from zoomagent.confidence.replies import same_answer as same_answer

Z95 = 1.959963984540054


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a share (Wilson 1927); (0, 1) when nothing was asked."""
    if n == 0:
        return 0.0, 1.0
    p, zz = hits / n, Z95**2
    middle = (p + zz / (2 * n)) / (1 + zz / n)
    spread = Z95 * math.sqrt(p * (1 - p) / n + zz / (4 * n * n)) / (1 + zz / n)
    low = 0.0 if hits == 0 else max(0.0, middle - spread)
    high = 1.0 if hits == n else min(1.0, middle + spread)
    return low, high


def gain_and_harm(base: Sequence[bool], other: Sequence[bool]) -> tuple[float, float]:
    """Shares of questions that `other` turned right, and turned wrong, compared with `base`, question by question."""
    pairs = list(zip(base, other, strict=True))
    n = max(1, len(pairs))
    return sum(not a and b for a, b in pairs) / n, sum(a and not b for a, b in pairs) / n
