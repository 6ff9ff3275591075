"""What a call of a model took: one score may be many requests, and only the model knows.

    with metered(left=12) as meter:                # whoever pays, before the call
        likelihoods = await model.score(...)
    meter.requests, meter.usage                    # 0 where the model sends none

A model that sends requests counts each that reached its server, failed and repeated ones too, with the tokens that the
server says it read and wrote, and asks before it sends several for one call. Left out: requests that found no server.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from zoomagent.errors import RunError
from zoomagent.models.base import Usage


@dataclass
class Meter:
    """The requests of one call. `left` is how many may be made; None is no limit."""

    left: int | None = None
    requests: int = 0
    usage: Usage = Usage()

    def count(self, requests: int = 1) -> None:
        """Count requests that are sent; a negative number takes back those that never were."""
        self.requests += requests

    def add(self, usage: Usage) -> None:
        """Add what the server says that a request took."""
        prompt = self.usage.prompt_tokens + usage.prompt_tokens
        self.usage = Usage(prompt, self.usage.completion_tokens + usage.completion_tokens)

    def affords(self, requests: int) -> bool:
        return self.left is None or self.requests + requests <= self.left

    def require(self, requests: int) -> None:
        """Raise RunError where so many more are not in the budget: half a score, or half a vote, is worth nothing."""
        if self.left is not None and not self.affords(requests):
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
