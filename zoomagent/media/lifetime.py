"""How long what was opened stays open: until it is closed, and for as long as a part of it is being made.

lifetime = Lifetime("picture", pixels.close)
with lifetime.use():                    # InputRefused where it is closed
    ...
lifetime.end()                          # closes now, or when the last use is over
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from zoomagent.errors import InputRefused

T = TypeVar("T")


class Lifetime:
    """The life of something that several threads use and one of them closes. `kind` is what people call it."""

    def __init__(self, kind: str, close: Callable[[], None]) -> None:
        self._kind, self._close = kind, close
        self._ended, self._uses = False, 0
        self._lock = threading.Lock()

    def check(self) -> None:
        """InputRefused where it is closed."""
        if self._ended:
            raise InputRefused(f"This {self._kind} is closed. Open it again.", code="picture_closed")

    @contextmanager
    def use(self) -> Iterator[None]:
        """What threads make that nobody waits for any more keeps the files open until they are done."""
        with self._lock:
            self.check()
            self._uses += 1
        try:
            yield
        finally:
            with self._lock:
                self._uses -= 1
                last = self._ended and not self._uses
            if last:
                self._close()

    def during(self, items: Iterator[T]) -> Iterator[T]:
        """The items, in one use from the first to the last."""
        with self.use():
            yield from items

    def end(self) -> None:
        """Close it, once; what is being made is finished first."""
        with self._lock:
            now = not self._ended and not self._uses
            self._ended = True
        if now:
            self._close()
