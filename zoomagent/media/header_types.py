"""What the header readers share: the result, and a bounded cursor over the bytes. No format is known here."""

from dataclasses import dataclass
from typing import Literal

from zoomagent.errors import InputRefused
from zoomagent.geometry import Size
from zoomagent.media.spool import Spool

Format = Literal["JPEG", "PNG", "WEBP", "GIF", "BMP"]

MAX_PARTS = 1000
"""A file with more metadata parts than this is refused (ours)."""

_AHEAD = 1 << 16


@dataclass(frozen=True)
class Header:
    """`size` is as stored, before the EXIF `orientation`. `layout` names channels and depth for the decoder's
    choice; `weight` and `parts` are bytes and number of metadata parts; `damaged` says what is broken but may
    still be decoded when asked."""

    format: Format
    size: Size
    layout: str
    orientation: int = 1
    frames: int = 1
    weight: int = 0
    parts: int = 0
    icc: bool = False
    damaged: str = ""

    @property
    def upright(self) -> Size:
        return Size(self.size.height, self.size.width) if self.orientation >= 5 else self.size


def corrupt(why: str) -> InputRefused:
    """The refusal of a file that breaks its own format."""
    return InputRefused(f"The picture file is damaged: {why}. Give an intact file.", code="corrupt_image")


class Cursor:
    """Reads forward through a spool in large blocks."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._block = b""
        self._start = 0
        self.place = 0

    @property
    def end(self) -> int:
        return self._spool.size

    def peek(self, count: int) -> bytes:
        """Up to `count` bytes without moving."""
        low = self.place - self._start
        if low < 0 or low + count > len(self._block):
            self._block, self._start, low = self._spool.at(self.place, max(count, _AHEAD)), self.place, 0
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

    def part(self, count: int) -> bytes:
        """A part of at most 64 kB, as JPEG has them."""
        if count < 0:
            raise corrupt("its header is broken")
        return self.take(count)

    def skip(self, count: int) -> None:
        """Move on, perhaps past the end."""
        self.place += max(0, count)
