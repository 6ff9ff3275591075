"""How many requests a call of a model took: one score may be many, and only the model knows.

    with metered(left=12) as meter:                # whoever pays, before the call
        likelihoods = await model.score(...)
    meter.requests                                 # 0 where the model sends none

A model that sends requests counts those that were answered, and asks before it sends several for one call. Left out:
requests that brought no answer; they are not billed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from zoomagent.errors import RunError


@dataclass
class Meter:
    """The requests of one call. `left` is how many may be made; None is no limit."""

    left: int | None = None
    requests: int = 0

    def count(self) -> None:
        self.requests += 1

    def require(self, requests: int) -> None:
        """Raise RunError where so many more are not in the budget: half a score, or half a vote, is worth nothing."""
        if self.left is not None and self.requests + requests > self.left:
            text = f"The next step takes {requests} model calls and {max(0, self.left - self.requests)} are left."
            raise RunError(f"{text} Raise the budget.", code="budget_calls")


_current: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def metered(left: int | None) -> Iterator[Meter]:
    """The meter of the calls that are made within."""
    meter = Meter(left)
    before = _current.set(meter)
    try:
        yield meter
    finally:
        _current.reset(before)


def current_meter() -> Meter:
    """The meter of the call that is being made; one that nobody reads, where nobody pays."""
    return _current.get() or Meter()
