"""Pixels of a TIFF: any part, decoded from the level that has just enough of them, through libvips (extra `large`).

A pyramid of gigapixels costs what its views cost: tiles around them are read, nothing is kept. One without reduced
copies is read once for each view of the whole. Without libvips, TIFF is decoded whole by Pillow, as other formats are.
"""

import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image

from zoomagent.geometry import Box, Size, whole
from zoomagent.media.canonical import stored_box, stored_size, turned
from zoomagent.media.decoding.header_types import Level
from zoomagent.media.decoding.jobs import DecodingJob
from zoomagent.media.large.rawfile import RawFile
from zoomagent.media.picture import Request
from zoomagent.media.rendering import render


class TiffFile:
    """A `Pixels` source over a spooled TIFF."""

    def __init__(self, decoding: DecodingJob) -> None:
        self._decoding = decoding
        self._lock = threading.Lock()
        self._known: dict[str, Any] | None = None

    def regions(self, requests: Sequence[Request]) -> Iterator[Image.Image]:
        header = self._decoding.header
        for box, size in requests:
            stored = stored_box(box, header.orientation, header.size)
            view = self._view(stored, stored_size(size, header.orientation))
            yield turned(view, header.orientation)

    def all(self) -> Image.Image:
        """The whole page, upright, at its own size."""
        header = self._decoding.header
        return turned(self._part(header.levels[0], whole(header.size), 1), header.orientation)

    @property
    def notes(self) -> list[str]:
        """What was converted."""
        span, layout = self._survey()["range"], self._decoding.header.layout.split()[0]
        found = {
            f"scaled_{span[0]:g}_to_{span[1]:g}" if span else "": span is not None,
            "cmyk_converted": "k" in layout,
            "alpha_flattened": "a" in layout,
        }
        return [note for note, true in found.items() if true]

    def prepare(self) -> None:
        """Nothing is decoded ahead: any part is as near as any other."""

    def close(self) -> None:
        self._decoding.spool.close()

    def _view(self, box: Box, size: Size) -> Image.Image:
        """The stored region at `size`, from the smallest level that has at least as many pixels."""
        page = self._decoding.header.size
        level = next(
            level
            for level in reversed(self._decoding.header.levels)
            if level.size == page
            or (
                box.width * level.size.width >= size.width * page.width
                and box.height * level.size.height >= size.height * page.height
            )
        )
        across, down = level.size.width / page.width, level.size.height / page.height
        edges = (box.left * across, box.top * down, box.right * across, box.bottom * down)
        part = Box(
            int(edges[0]),
            int(edges[1]),
            max(int(edges[0]) + 1, min(level.size.width, -int(-edges[2] // 1))),
            max(int(edges[1]) + 1, min(level.size.height, -int(-edges[3] // 1))),
        )
        shrink = max(1, int(min(part.width / size.width, part.height / size.height)) // 2)
        pixels = self._part(level, part, shrink)
        left, top = (edges[0] - part.left) / shrink, (edges[1] - part.top) / shrink
        right = min(pixels.width, (edges[2] - part.left) / shrink)
        bottom = min(pixels.height, (edges[3] - part.top) / shrink)
        return render(pixels, (left, top, right, bottom), size)

    def _part(self, level: Level, box: Box, shrink: int) -> Image.Image:
        size = Size(-(-box.width // shrink), -(-box.height // shrink))
        with tempfile.TemporaryFile(prefix="zoomagent-") as target:
            self._decoding.part(target, level, box, shrink, self._survey())
            return RawFile(target, size).region(whole(size), size)

    def _survey(self) -> dict[str, Any]:
        with self._lock:
            if self._known is None:
                self._known = self._decoding.survey()
            return self._known
