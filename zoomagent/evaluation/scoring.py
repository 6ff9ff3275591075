"""Scores that can be trusted: exact match, and gain and harm against the same model without zoom.

An answer is right when it is the same one (`confidence/replies.py`); there is no judge.
"""

from collections.abc import Sequence

from zoomagent.confidence.replies import same_answer as same_answer


def gain_and_harm(base: Sequence[bool], other: Sequence[bool]) -> tuple[float, float]:
    """Shares of questions that `other` turned right, and turned wrong, compared with `base`, question by question."""
    pairs = list(zip(base, other, strict=True))
    n = max(1, len(pairs))
    return sum(not a and b for a, b in pairs) / n, sum(a and not b for a, b in pairs) / n
