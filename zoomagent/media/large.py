"""Pixels of a large file, decoded no further than the views need.

Levels are whole pictures at 1/1, 1/4, 1/8 in raw files (`cache.py` keeps them for the next run): an overview of a
JPEG makes a coarse level by reduced decoding; the first close look reads just its regions in one pass that stops
below them; the second makes level 1, from which every later look costs milliseconds.
"""

import hashlib
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

from PIL import Image

from zoomagent.geometry import Box, Size, whole
from zoomagent.media.cache import cached, present
from zoomagent.media.jobs import Decoding
from zoomagent.media.orientation import stored_box, stored_size, turned
from zoomagent.media.rawfile import RawFile

LARGE_PIXELS = 24_000_000
"""Pictures up to this size are decoded whole and kept in memory (ours)."""

_COARSE_PIXELS = 8_000_000
_PASS_PIXELS = 64_000_000
Request = tuple[Box, Size]


class LargeFile:
    """A `Pixels` source over a spooled file."""

    def __init__(self, decoding: Decoding) -> None:
        self._decoding = decoding
        self._stored = decoding.header.size
        self._orientation = decoding.header.orientation
        self._levels: dict[int, RawFile] = {}
        self._locks = {shrink: threading.Lock() for shrink in (1, 4, 8)}
        self._first_look = threading.Lock()
        key = f"{decoding.spool.digest} {decoding.options.name} rows 1"
        self._name = hashlib.sha256(key.encode()).hexdigest()

    def regions(self, requests: Sequence[Request]) -> list[Image.Image]:
        """All views asked for, with as few passes over the file as can be."""
        stored = [
            (stored_box(box, self._orientation, self._stored), stored_size(size, self._orientation))
            for box, size in requests
        ]
        close = [request for request in stored if self._shrink(*request) == 1]
        far = [request for request in stored if self._shrink(*request) > 1]
        with ThreadPoolExecutor(1) as pool:
            overviews = pool.submit(lambda: [self._from_level(self._shrink(*r), *r) for r in far])
            looks = iter(self._close_looks(close))
            others = iter(overviews.result())
        views = [next(looks) if self._shrink(*r) == 1 else next(others) for r in stored]
        return [turned(view, self._orientation) for view in views]

    def prepare(self) -> None:
        """Decode level 1 now, so that the views to come are quick."""
        self._level(1)

    def close(self) -> None:
        for shrink, lock in self._locks.items():
            with lock:
                if level := self._levels.pop(shrink, None):
                    level.close()
        self._decoding.spool.close()

    def _shrink(self, box: Box, size: Size) -> int:
        """The coarsest level that still has more pixels than the view."""
        scale = min(box.width / size.width, box.height / size.height)
        fits = [s for s in (8, 4) if s <= scale and self._stored.pixels // (s * s) <= _COARSE_PIXELS]
        return fits[0] if fits else 1

    def _from_level(self, shrink: int, box: Box, size: Size) -> Image.Image:
        level = self._level(shrink)
        x, y = level.size.width / self._stored.width, level.size.height / self._stored.height
        return level.fraction((box.left * x, box.top * y, box.right * x, box.bottom * y), size)

    def _close_looks(self, requests: list[Request]) -> list[Image.Image]:
        """At full size: from level 1, or in one pass over the file when it is the first look."""
        if not requests:
            return []
        area = sum(box.area for box, _ in requests)
        streams = self._decoding.streams and area <= _PASS_PIXELS
        known = 1 in self._levels or present(self._file(1), self._bytes(self._stored))
        if known or not streams or not self._first_look.acquire(blocking=False):
            return [self._from_level(1, *request) for request in requests]
        with tempfile.TemporaryFile(prefix="zoomagent-") as target:
            self._decoding.regions(target, [box for box, _ in requests])
            views, offset = [], 0
            for box, size in requests:
                part = RawFile(target, box.size, offset)
                views.append(part.region(whole(box.size), size))
                offset += 3 * box.area
        return views

    def _level(self, shrink: int) -> RawFile:
        with self._locks[shrink]:
            if shrink not in self._levels:
                self._levels[shrink] = self._make(shrink)
            return self._levels[shrink]

    def _make(self, shrink: int) -> RawFile:
        size = Size(-(-self._stored.width // shrink), -(-self._stored.height // shrink))
        if shrink == 1:
            file = cached(self._file(1), self._bytes(size), self._write_rows)
        elif self._decoding.shrinks:
            file = cached(self._file(shrink), self._bytes(size), lambda f: self._decoding.coarse(f, shrink))
        else:
            file = cached(self._file(shrink), self._bytes(size), lambda f: self._write_reduced(f, shrink))
        return RawFile(file, size)

    def _write_rows(self, file: IO[bytes]) -> None:
        self._decoding.rows(file, stream=True)

    def _write_reduced(self, file: IO[bytes], shrink: int) -> None:
        file.write(self._level(1).reduced(whole(self._stored), shrink).tobytes())

    def _file(self, shrink: int) -> str:
        return f"{self._name}-{shrink}.rgb"

    @staticmethod
    def _bytes(size: Size) -> int:
        return 3 * size.pixels
