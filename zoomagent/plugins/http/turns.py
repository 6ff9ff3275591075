"""Whose turn it is: so many requests at once, and so many bytes of their bodies together.

    turns = Turns(places=16, size=160 << 20)
    async with turns.turn(weight):      # waits; who does not fit lets smaller ones by
        ...

A body costs five times its size while it is read and decoded: what may be sent at once bounds the server's memory.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Places and bytes that are free. Belongs to one event loop."""

    def __init__(self, places: int, size: int) -> None:
        self._places, self._bytes, self._size = places, size, size
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def is_free(self, weight: int) -> bool:
        """Whether a request with a body of so many bytes need not wait."""
        return self._places > 0 and min(weight, self._size) <= self._bytes

    @asynccontextmanager
    async def turn(self, weight: int) -> AsyncIterator[None]:
        """In its turn, in the order of coming as far as there is room. One heavier than all there is goes alone."""
        weight = min(weight, self._size)
        if self.is_free(weight):
            self._take(weight)
        else:
            comes: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((weight, comes))
            try:
                await comes
            except asyncio.CancelledError:
                if comes.done() and not comes.cancelled():
                    self._give_back(weight)
                raise
            finally:
                self._waiting = [one for one in self._waiting if one[1] is not comes]
        try:
            yield
        finally:
            self._give_back(weight)

    def _take(self, weight: int) -> None:
        self._places -= 1
        self._bytes -= weight

    def _give_back(self, weight: int) -> None:
        self._places += 1
        self._bytes += weight
        for heavy, comes in self._waiting:
            if not comes.done() and self.is_free(heavy):
                self._take(heavy)
                comes.set_result(None)
