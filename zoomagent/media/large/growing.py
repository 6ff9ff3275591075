"""A level that is being decoded: its upper rows can be read while the lower ones are still to come."""

import os
import threading
import time
from collections.abc import Callable
from typing import IO

from zoomagent.geometry import Size
from zoomagent.media.large.rawfile import RawFile

_POLL_SECONDS = 0.003

Watch = Callable[[IO[bytes]], None]


class GrowingLevel:
    """Runs `make(watch)` in a thread; `make` calls `watch` with the file before it is filled, and returns it full."""

    def __init__(self, size: Size, make: Callable[[Watch], IO[bytes]]) -> None:
        self._size = size
        self._make = make
        self._early: RawFile | None = None
        self._whole: RawFile | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def failed(self) -> bool:
        return self._error is not None

    def rows(self, bottom: int) -> RawFile:
        """The level, once its rows above `bottom` are there. Raises what decoding raised."""
        needed = 3 * self._size.width * bottom
        while self._whole is None:
            if self._error is not None:
                raise self._error
            early = self._early
            if early is not None and early.length() >= needed:
                return early
            time.sleep(_POLL_SECONDS)
        return self._whole

    def close(self) -> None:
        """Wait for the thread, then give back the files."""
        self._thread.join()
        for level in (self._early, self._whole):
            if level is not None:
                level.close()

    def _run(self) -> None:
        def watch(file: IO[bytes]) -> None:
            # A handle of our own: the maker may close its file and begin another.
            self._early = RawFile(os.fdopen(os.dup(file.fileno()), "rb"), self._size)

        try:
            self._whole = RawFile(self._make(watch), self._size)
        except BaseException as error:
            self._error = error
