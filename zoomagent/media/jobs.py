"""Jobs for the decoder process, made from a file's header: what to do, how, and under which limits."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import IO, Any

from zoomagent.geometry import Box
from zoomagent.media.canonical import Colour
from zoomagent.media.header_types import Header
from zoomagent.media.limits import Limits
from zoomagent.media.spool import Spool
from zoomagent.media.worker import decode

_LEISURE_PIXELS = 24_000_000
"""`Limits.decode_seconds` is for pictures up to this size; larger ones get proportionally more (ours)."""


@dataclass(frozen=True)
class Options:
    """How a file is to be read: everything beside its bytes that decides its pixels."""

    background: Colour = (255, 255, 255)
    frame: int = 0
    allow_truncated: bool = False

    @property
    def name(self) -> str:
        return f"{self.background!r} {self.frame} {self.allow_truncated}"


@dataclass(frozen=True)
class Decoding:
    """A spooled file with its header and options, ready to be decoded in the worker."""

    spool: Spool
    header: Header
    options: Options
    limits: Limits

    @property
    def streams(self) -> bool:
        """Whether libvips can read this file row by row."""
        plain_jpeg = self.header.format == "JPEG" and self.header.layout[0] in "13"
        plain_png = self.header.format == "PNG" and "-16" not in self.header.layout
        still = self.options.frame == 0 and "i" not in self.header.layout
        return (plain_jpeg or plain_png) and still and find_spec("pyvips") is not None

    @property
    def shrinks(self) -> bool:
        """Whether the file can be decoded at a fraction of its size."""
        return self.header.format == "JPEG" and self.header.layout[0] in "13"

    def rows(self, target: IO[bytes], *, stream: bool) -> list[str]:
        """All rows into `target`; the notes on what was converted."""
        reply = self._run({"do": "rows", "vips": stream and self.streams}, target)
        return [str(note) for note in reply["notes"]]

    def coarse(self, target: IO[bytes], shrink: int) -> None:
        """The picture at 1/`shrink` into `target`."""
        self._run({"do": "coarse", "shrink": shrink, "vips": self.streams}, target)

    def regions(self, target: IO[bytes], boxes: list[Box]) -> None:
        """The stored boxes one after the other into `target`."""
        self._run({"do": "regions", "boxes": [box.as_list() for box in boxes]}, target)

    def _run(self, job: dict[str, Any], target: IO[bytes]) -> dict[str, Any]:
        size, limits = self.header.size, self.limits
        job |= {
            "format": self.header.format,
            "size": [size.width, size.height],
            "background": list(self.options.background),
            "frame": self.options.frame,
            "truncated": self.options.allow_truncated,
            "plain_inks": self.header.format == "JPEG" and self.header.layout == "4",
            "memory": limits.decode_bytes + limits.decode_bytes_per_pixel * size.pixels,
            "seconds": limits.decode_seconds * max(1.0, size.pixels / _LEISURE_PIXELS),
        }
        with self.spool.lent() as source_fd:
            return decode(job, source_fd, target.fileno())
