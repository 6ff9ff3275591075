"""Connections of strangers: how many, how long they may take to say what they want, and how much they may make us log.

`Connection` is uvicorn's with three bounds. A request's head has to come within HEAD_SECONDS. Of all connections there
are at most MOST, and half of them from one address; a new one takes the place of that which has waited longest without
a whole head, for a client that means well sends its head at once. Where all are busy, the new one is told so.
`Sparing` keeps a log from growing with what strangers do. Left out: bodies (`incoming.py`), clients that read slowly.
"""

import asyncio
import logging
import time
from collections import Counter
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
BACKLOG = 64
"""Connections that are accepted in one go (ours)."""
_RESERVE = 160
"""Descriptors that are kept for decoders, models and files (ours)."""
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def most_connections() -> int:
    """So many that descriptors do not run out."""
    try:
        import resource
    except ImportError:  # Windows
        return 500
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(16, min(1000, files - _RESERVE))


MOST = most_connections()


class Connection(H11Protocol):
    """One connection. `since` is when it began to wait for a head; infinite while a request is answered."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.since = time.monotonic()
        self._clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self._clock = self.loop.call_later(HEAD_SECONDS, self.transport.abort)
        others = [one for one in self.connections if isinstance(one, Connection) and one is not self]
        others = [one for one in others if not one.transport.is_closing()]
        near = [one for one in others if one.client and self.client and one.client[0] == self.client[0]]
        for group, most in ((near, MOST // 2), (others, MOST)):
            if len(group) < most:
                continue
            oldest = min(group, key=lambda one: one.since)
            if oldest.since == float("inf"):  # all of them are busy
                self.transport.write(_BUSY)
                self.transport.close()
                return
            oldest.transport.abort()  # the one that has waited longest

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch(begun=True)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch(begun=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

    def _watch(self, begun: bool) -> None:
        """Between requests uvicorn's own clock runs, until something comes; from then on, ours."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.since = float("inf")
            self._stop_clock()
            return
        if self.since == float("inf"):
            self.since = time.monotonic()
        if begun and self._clock is None:
            self._clock = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None


class LogLimit(logging.Filter):
    """Lets what one place in the code says through a few times a minute, and then says how often it was left out."""

    def __init__(self, most: int = 5, seconds: float = 60.0) -> None:
        super().__init__()
        self._most, self._seconds = most, seconds
        self._until = 0.0
        self._seen: Counter[tuple[str, int]] = Counter()
        self._left_out: Counter[tuple[str, int]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        now, place = time.monotonic(), (record.pathname, record.lineno)
        if now >= self._until:
            self._until = now + self._seconds
            self._seen.clear()
        self._seen[place] += 1
        if self._seen[place] > self._most:
            self._left_out[place] += 1
            return False
        if more := self._left_out.pop(place, 0):
            record.msg, record.args = f"{record.getMessage()} (and {more} like it were not written)", ()
        return True
