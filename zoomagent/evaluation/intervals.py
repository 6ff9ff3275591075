"""Intervals of a measured share: Wilson's for tables; Clopper and Pearson's, which are exact, for promises."""

from scipy.stats import binomtest


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
