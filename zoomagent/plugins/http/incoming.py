"""What one request sends, bounded: how much, how long for a part of it and for all of it; for `guard.py`.

    incoming = Incoming(receive, limit, rules, room)
    await incoming.watched(left)        # while it waits for its turn: calls `left` when the client hangs up
    message = await incoming.message()  # ASGI's receive, for the app

A client is only seen to leave by reading on, so a request that waits is read ahead, as far as `room` goes. Left out:
clients that stop reading what they are sent.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Refusal = tuple[int, str, str]
"""Status, code and text."""


MAX_VALUES = 100_000
"""Commas and opening brackets of a body that is JSON (ours): each may be a value, which costs far more than its byte.
Text has them too, so the faces bound what they read of it more narrowly."""


class BodyRefused(Exception):
    """The body grew beyond its bound, stopped coming, or took too long."""


@dataclass(frozen=True)
class Bounds:
    """`size` in bytes. Seconds: `part` for each part of the body, `whole` for all of it."""

    size: int
    part: float
    whole: float


class Room:
    """Bytes that may be read ahead, of all waiting requests together."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> None:
        self._left -= size

    @property
    def is_left(self) -> bool:
        return self._left > 0


class RequestBody:
    """The messages of one request. `refusal` says why its body was refused."""

    def __init__(self, receive: Receive, bounds: Bounds, room: Room) -> None:
        self._receive, self._bounds, self._room = receive, bounds, room
        self._ahead: deque[Message] = deque()
        self._arrived, self._whole = 0, False
        self._is_json: bool | None = None
        self._values = 0
        self._until: float | None = None
        self.refusal: Refusal | None = None

    async def watched(self, left: Callable[[], None]) -> None:
        """Read ahead; call `left` when the client hangs up. Without room for more, it is not seen to."""
        while self._room.is_left:
            message = await self._receive()
            self._ahead.append(message)
            self._room.take(_size(message))
            if message["type"] == "http.disconnect":
                left()
                return

    async def message(self) -> Message:
        """The next message. Raises BodyRefused where the body is beyond its bounds."""
        if self._ahead:
            message = self._ahead.popleft()
            self._room.take(-_size(message))
        elif self._whole:
            message = await self._receive()
        else:
            now = asyncio.get_running_loop().time()
            self._until = self._until or now + self._bounds.whole
            left = self._until - now
            try:
                async with asyncio.timeout(min(self._bounds.part, left)):
                    message = await self._receive()
            except TimeoutError:
                text = f"The body took more than {self._bounds.whole:g} seconds. Send a smaller one, or faster."
                if left > self._bounds.part:
                    text = "The body stopped coming. Send it again."
                raise self._refuse((408, "body_timeout", text)) from None
        self._arrived += _size(message)
        self._whole = not message.get("more_body", False)
        if self._arrived > self._bounds.size:
            raise self._refuse(too_large(self._bounds.size))
        # A picture begins neither as an object nor as a list does.
        body = message.get("body", b"")
        if self._is_json is None and (start := body.lstrip()[:1]):
            self._is_json = start in (b"{", b"[")
        if self._is_json:
            self._values += body.count(b",") + body.count(b"[") + body.count(b"{")
        if self._values > MAX_VALUES:
            raise self._refuse((413, "too_large", f"The body has more than {MAX_VALUES} values. Send fewer."))
        return message

    def dropped(self) -> None:
        """Give back the room of what nobody read."""
        self._room.take(-sum(map(_size, self._ahead)))
        self._ahead.clear()

    def _refuse(self, refusal: Refusal) -> BodyRefused:
        self.refusal = refusal
        return BodyRefused()


def too_large(size: int) -> Refusal:
    return 413, "too_large", f"The body has more than {size} bytes."


def _size(message: Message) -> int:
    return len(message.get("body", b""))
