"""Until when a picture, clip or sound may be opened or shown: whoever has a budget sets it, whoever waits for a decoder
or computes for long looks.

    with patience(seconds):                                             # None is no limit
        open_picture(...)                                               # RunError("budget_seconds") when they are over
    picture = await opened_in_time(open_picture, "scan.jpg", seconds)   # the same from an event loop

The limit goes with the context: into tasks and `asyncio.to_thread`, not into threads that outlive the caller. A
wider one inside a narrower one changes nothing. Left out: ending a reader that hangs in a file object of the caller's;
nobody waits for it any more, but its thread stays.
"""

import asyncio
import contextlib
import contextvars
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from zoomagent.errors import RunError

T = TypeVar("T")

GRACE = 0.5
"""Seconds in which a decoder that ran out of time is ended (ours)."""

_END: contextvars.ContextVar[float] = contextvars.ContextVar("end", default=math.inf)


@contextlib.contextmanager
def patience(seconds: float | None) -> Iterator[None]:
    """Everything in the block has to be done in so many seconds."""
    end = math.inf if seconds is None else time.monotonic() + seconds
    token = _END.set(min(end, _END.get()))
    try:
        yield
    finally:
        _END.reset(token)


async def opened_in_time(opener: Callable[[Any], T], source: Any, seconds: float | None) -> T:
    """What `opener` makes of `source`, in a thread. RunError when it takes longer than that."""
    clock = asyncio.timeout(None if seconds is None else max(0.0, seconds) + GRACE)
    try:
        async with clock:
            with patience(seconds):
                return await asyncio.to_thread(opener, source)
    except TimeoutError as error:
        if clock.expired():
            raise out_of_time() from error
        raise


def seconds_left() -> float:
    """Seconds that are left; RunError when there are none."""
    left = _END.get() - time.monotonic()
    if left <= 0:
        raise out_of_time()
    return left


def out_of_time() -> RunError:
    """The budget's seconds ended while a picture, clip or sound was opened or decoded."""
    return RunError(
        "The budget of seconds was spent before the picture was decoded. Raise it, or give a plainer or shorter one.",
        code="budget_seconds",
    )
