"""Trying again: the one owner of retries, with a total deadline; and the breaker that stops trying.

Only errors marked `retryable` are tried again, with full jitter, or after what the server's Retry-After
asks. Nothing else in zoomagent retries model calls (the SDK is told 0), so attempts never multiply. Clocks
are monotonic.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from zoomagent.errors import ModelUnavailable, ServerError

T = TypeVar("T")
PAUSE = 0.02
"""Seconds after which a call looks again whether the probe that it waits for is done (ours); loops may be several."""


@dataclass(frozen=True)
class RetryPolicy:
    """Seconds. `longest_wait` bounds what a server may ask for; `total` bounds a call without a deadline of its own.

    Six attempts: where four in ten fail, four attempts lose 2.6 % of the calls, six lose 0.4 %.
    """

    attempts: int = 6
    first_wait: float = 0.5
    most_wait: float = 8.0
    longest_wait: float = 60.0
    total: float = 300.0


async def with_retries(
    call: Callable[[float], Awaitable[T]],
    policy: RetryPolicy,
    deadline: float | None,
    asked_wait: Callable[[ServerError], float | None] = lambda _: None,
) -> T:
    """`call(deadline)` until it succeeds, fails for good, or the next wait would pass the deadline."""
    end = time.monotonic() + policy.total
    end = end if deadline is None else min(end, deadline)
    for attempt in range(1, policy.attempts + 1):
        try:
            return await call(end)
        except ServerError as error:
            asked = asked_wait(error)
            jitter = random.uniform(0, min(policy.most_wait, policy.first_wait * 2 ** (attempt - 1)))
            wait = jitter if asked is None else max(0.0, asked) + min(jitter, 1.0)
            late = time.monotonic() + wait >= end
            if not error.retryable or attempt == policy.attempts or wait > policy.longest_wait or late:
                raise
        await asyncio.sleep(wait)
    raise AssertionError("unreachable: the last attempt returns or raises")


class Breaker:
    """Closed until a probe failed, too, after `failures` calls in a row that brought no answer: calls may fail by what
    they ask, over and over, while the server answers everybody else.

    A health check of 200 does not mean that a model answers, so the probe is a real call of one token.
    """

    def __init__(self, failures: int = 5, cooldown: float = 3.0) -> None:
        self._failures = failures
        self._cooldown = cooldown
        self._in_a_row = 0
        self._opened = 0.0
        self._away = False
        self._probing = False

    def record(self, answered: bool) -> None:
        """Note the outcome of a call or a probe. Only answers count as progress."""
        self._in_a_row = 0 if answered else self._in_a_row + 1
        self._away = self._away and not answered

    @property
    def is_open(self) -> bool:
        return self._in_a_row >= self._failures

    async def admit(self, probe: Callable[[], Awaitable[object]]) -> None:
        """Return when calls may go out; else raise ModelUnavailable at once."""
        while self._probing and not self._away:
            await asyncio.sleep(PAUSE)
        if not self.is_open:
            return
        if self._away and (self._probing or time.monotonic() - self._opened < self._cooldown):
            raise ModelUnavailable(
                f"The model's server does not answer: the last {self._in_a_row} calls brought nothing, so no more are "
                "sent for now. See whether it runs, and at this address, then try again."
            )
        self._probing = True
        try:
            await probe()
        except ServerError:
            self._away, self._opened = self.is_open, time.monotonic()
            raise
        finally:
            self._probing = False
