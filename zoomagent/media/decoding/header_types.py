"""What the header readers share: the result, and a cursor that bounds every count. No format is known here.

A reader tells the cursor of every part it walks over, whatever the part is, and of all metadata; the cursor ends the
walk when there is too much. So the cost of reading a header is bounded by the file's size, and is small.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from zoomagent.errors import InputRefused
from zoomagent.geometry import Size

Format = Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000", "PDF"]

MAX_PARTS = 1000
"""A file with more metadata parts than this is refused (ours)."""

_STEPS, _STEP_BYTES = 10_000, 200
"""Parts of any kind: so many, and one more for so many bytes of the file. A GIF has the smallest parts of all formats:
sub-blocks of 255 bytes (ours)."""

_AHEAD = 1 << 16


@dataclass(frozen=True)
class Level:
    """A picture inside a TIFF: its `page` in the main chain, and which of that page's SubIFDs it is (-1: itself)."""

    page: int
    copy: int
    size: Size


@dataclass(frozen=True)
class Header:
    """`size` is as stored, before the EXIF `orientation`. `layout` names channels and depth for the decoder's
    choice; `damaged` says what is broken but may still be decoded when asked; `levels` are a TIFF page and its reduced
    copies, `dpi` the resolution at which a page of a PDF is drawn."""

    format: Format
    size: Size
    layout: str
    orientation: int = 1
    frames: int = 1
    icc: bool = False
    damaged: str = ""
    levels: tuple[Level, ...] = ()
    dpi: int = 0

    @property
    def upright(self) -> Size:
        return Size(self.size.height, self.size.width) if self.orientation >= 5 else self.size


class Readable(Protocol):
    """Bytes that can be read at any offset."""

    @property
    def size(self) -> int: ...

    def at(self, offset: int, count: int) -> bytes: ...


def corrupt(why: str) -> InputRefused:
    """The refusal of a file that breaks its own format."""
    return InputRefused(f"The picture file is damaged: {why}. Give an intact file.", code="corrupt_image")


def too_heavy() -> InputRefused:
    """The refusal of a file that is more wrapping than picture."""
    return InputRefused(
        "The picture carries more metadata, or is cut into more parts, than is allowed. Save it anew without metadata.",
        code="metadata_too_large",
    )


class Cursor:
    """Reads forward in large blocks. `left` is how many bytes of metadata may still come."""

    def __init__(self, source: Readable, max_metadata: int) -> None:
        self._source = source
        self._block = b""
        self._start = 0
        self._steps = _STEPS + source.size // _STEP_BYTES
        self._parts = MAX_PARTS
        self.left = max_metadata
        self.place = 0

    def step(self) -> None:
        """One more part, of whatever kind."""
        self._steps -= 1
        if self._steps < 0:
            raise too_heavy()

    def weigh(self, count: int) -> None:
        """One more part of metadata, of `count` bytes."""
        self._parts, self.left = self._parts - 1, self.left - count
        if self._parts < 0 or self.left < 0:
            raise too_heavy()

    def peek(self, count: int) -> bytes:
        """Up to `count` bytes without moving."""
        low = self.place - self._start
        if low < 0 or low + count > len(self._block):
            self._block, self._start, low = self._source.at(self.place, max(count, _AHEAD)), self.place, 0
        return self._block[low : low + count]

    def maybe(self, count: int) -> bytes:
        """Up to `count` bytes, fewer at the end of the file."""
        found = self.peek(count)
        self.place += len(found)
        return found

    def take(self, count: int) -> bytes:
        """Exactly `count` bytes, or the file is corrupt."""
        found = self.maybe(count)
        if len(found) != count:
            raise corrupt("it ends too early")
        return found

    def skip(self, count: int) -> None:
        """Move on, perhaps past the end."""
        self.place += max(0, count)
