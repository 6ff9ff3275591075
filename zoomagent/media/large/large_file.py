"""Pixels of a large file, decoded no further than the views need.

Levels are whole pictures at 1/1, 1/4, 1/8 in raw files (`cache.py` keeps them for the next run). An overview of a
JPEG makes a coarse level by reduced decoding. The first close look (one view, or several asked for at once) reads
just its regions in one pass that stops below them. The second, or `prepare`, makes level 1 in the background; a view
waits only for its own rows, and every later one costs milliseconds.
"""

import contextlib
import hashlib
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import IO

from PIL import Image

from zoomagent.errors import ZoomAgentError
from zoomagent.geometry import Box, Size, whole
from zoomagent.media.canonical import stored_box, stored_size, turned
from zoomagent.media.decoding.jobs import DecodingJob
from zoomagent.media.large.cache import cached, present
from zoomagent.media.large.growing import GrowingLevel, Watch
from zoomagent.media.large.rawfile import RawFile

LARGE_PIXELS = 24_000_000
"""Pictures up to this size are decoded whole and kept in memory (ours)."""

_COARSE_PIXELS = 8_000_000
_PASS_PIXELS = 64_000_000
Request = tuple[Box, Size]


class LargeFile:
    """A `Pixels` source over a spooled file."""

    def __init__(self, decoding: DecodingJob) -> None:
        self._decoding = decoding
        self._stored = decoding.header.size
        self._orientation = decoding.header.orientation
        self._full: GrowingLevel | None = None
        self._failed: list[GrowingLevel] = []
        self._coarse: dict[int, RawFile] = {}
        self._lock = threading.Lock()
        self._coarse_lock = threading.Lock()
        self._first_look = threading.Lock()
        key = f"{decoding.spool.digest} {decoding.options.name} rows 1"
        self._name = hashlib.sha256(key.encode()).hexdigest()

    def regions(self, requests: Sequence[Request]) -> Iterator[Image.Image]:
        """All views asked for, in order, with as few passes over the file as can be."""
        stored = [
            (stored_box(box, self._orientation, self._stored), stored_size(size, self._orientation))
            for box, size in requests
        ]
        levels = []
        for box, size in stored:
            # The coarsest level that still has more pixels than the view.
            scale = min(box.width / size.width, box.height / size.height)
            fits = [s for s in (8, 4) if s <= scale and self._stored.pixels // (s * s) <= _COARSE_PIXELS]
            levels.append(fits[0] if fits else 1)
        close = [request for request, shrink in zip(stored, levels, strict=True) if shrink == 1]
        with contextlib.ExitStack() as files:
            overviews = threading.Thread(target=self._make_coarse, args=(set(levels) - {1},))
            overviews.start()
            try:
                looks = self._close_looks(close, files)
            finally:
                overviews.join()
            for request, shrink in zip(stored, levels, strict=True):
                if shrink == 1:
                    view = next(looks)
                else:
                    box, size = request
                    left, top, right, bottom = (edge / shrink for edge in box.as_list())
                    view = self._level(shrink).fraction((left, top, right, bottom), size)
                yield turned(view, self._orientation)

    def prepare(self) -> None:
        """Begin to decode level 1."""
        self._level_1()

    def close(self) -> None:
        with self._lock, self._coarse_lock:
            for level in (self._full, *self._failed, *self._coarse.values()):
                if level is not None:
                    level.close()
            self._decoding.spool.close()

    def _close_looks(self, requests: list[Request], files: contextlib.ExitStack) -> Iterator[Image.Image]:
        """At full size: from level 1, or in one pass over the file when it is the first look."""
        streams = self._decoding.streams and sum(box.area for box, _ in requests) <= _PASS_PIXELS
        known = self._full is not None or present(self._file(1), self._bytes(self._stored))
        if not requests or known or not streams or not self._first_look.acquire(blocking=False):
            return (self._level_1().rows(box.bottom).region(box, size) for box, size in requests)
        target = files.enter_context(tempfile.TemporaryFile(prefix="zoomagent-"))  # noqa: SIM115 (closed by `files`)
        self._decoding.regions(target, [box for box, _ in requests])
        return self._cut_slices(target, requests)

    def _cut_slices(self, file: IO[bytes], requests: list[Request]) -> Iterator[Image.Image]:
        offset = 0
        for box, size in requests:
            yield RawFile(file, box.size, offset).region(whole(box.size), size)
            offset += 3 * box.area

    def _level_1(self) -> GrowingLevel:
        with self._lock:
            if self._full is not None and self._full.failed:
                self._failed.append(self._full)  # another thread may still read its upper rows
                self._full = None
            if self._full is None:
                self._full = GrowingLevel(self._stored, self._make_level_1)
            return self._full

    def _make_level_1(self, watch: Watch) -> IO[bytes]:
        def write(file: IO[bytes]) -> None:
            watch(file)
            self._decoding.stored_rows(file)

        return cached(self._file(1), self._bytes(self._stored), write)

    def _make_coarse(self, shrinks: set[int]) -> None:
        """Make coarse levels beside other work. What fails here fails again, and is told, when they are used."""
        for shrink in shrinks:
            with contextlib.suppress(ZoomAgentError):
                self._level(shrink)

    def _level(self, shrink: int) -> RawFile:
        def write(file: IO[bytes]) -> None:
            if self._decoding.shrinks:
                self._decoding.coarse(file, shrink)
            else:
                level = self._level_1().rows(self._stored.height)
                file.write(level.reduced(whole(self._stored), shrink).tobytes())

        with self._coarse_lock:
            if shrink not in self._coarse:
                size = Size(-(-self._stored.width // shrink), -(-self._stored.height // shrink))
                self._coarse[shrink] = RawFile(cached(self._file(shrink), self._bytes(size), write), size)
            return self._coarse[shrink]

    def _file(self, shrink: int) -> str:
        return f"{self._name}-{shrink}.rgb"

    @staticmethod
    def _bytes(size: Size) -> int:
        return 3 * size.pixels
