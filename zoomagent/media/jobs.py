"""Jobs for the decoder process: reading a file's header, and from it what to decode, how, and under which limits."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError

from zoomagent.geometry import Box
from zoomagent.media.canonical import Colour
from zoomagent.media.header_types import Header
from zoomagent.media.limits import Limits
from zoomagent.media.spool import Spool
from zoomagent.media.worker import decode, refusal

_HEADER = TypeAdapter(Header)
_LEISURE_PIXELS = 24_000_000
"""`Limits.decode_seconds` is for pictures up to this size; larger ones get proportionally more (ours)."""

_BASE_MEMORY, _PIXEL_MEMORY = 64_000_000, 4
"""Bytes below which a decoder that gives up may just be short of memory."""


@dataclass(frozen=True)
class Options:
    """How a file is to be read: everything beside its bytes that decides its pixels."""

    background: Colour = (255, 255, 255)
    frame: int = 0
    allow_truncated: bool = False

    @property
    def name(self) -> str:
        return f"{self.background!r} {self.frame} {self.allow_truncated}"


def header_of(spool: Spool, limits: Limits) -> Header:
    """The header of a spooled file, read in the decoder process. Raises InputRefused for what can not be read."""
    job = {
        "do": "header",
        "max_metadata": limits.max_metadata,
        "memory": limits.decode_bytes,
        "needs": 0,
        "seconds": limits.decode_seconds,
    }
    with spool.lent() as source_fd:
        reply = decode(job, source_fd, source_fd)  # nothing is written
    try:
        return _HEADER.validate_python(reply.get("header"))
    except ValidationError as error:  # a decoder that a file took over may say anything
        raise refusal("decode_crashed") from error


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

    def upright_rows(self, target: IO[bytes]) -> list[str]:
        """All rows of the upright picture into `target`, four bytes a pixel, as Pillow keeps them in memory; the notes
        on what was converted."""
        job = {"do": "rows", "vips": False, "orientation": self.header.orientation, "pixel": "RGBX"}
        return [str(note) for note in self._run(job, target)["notes"]]

    def stored_rows(self, target: IO[bytes]) -> None:
        """All rows as they are stored into `target`, by the way that needs the least memory."""
        self._run({"do": "rows", "vips": self.streams, "orientation": 1, "pixel": "RGB"}, target)

    @property
    def _weight(self) -> int:
        """How many times four bytes a pixel the decoder needs, measured and rounded up. libwebp keeps three canvases
        beside the picture, a progressive JPEG all its coefficients, Pillow grey of 16 bits twice."""
        header = self.header
        deep, progressive = "-16" in header.layout, header.format == "JPEG" and "p" in header.layout
        weight = 5 if header.format == "WEBP" else 3 if deep or progressive else 1
        return weight + (header.orientation > 1)

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
            "memory": limits.decode_bytes + limits.decode_bytes_per_pixel * self._weight * size.pixels,
            "needs": _BASE_MEMORY + _PIXEL_MEMORY * self._weight * size.pixels,
            "seconds": limits.decode_seconds * max(1.0, size.pixels / _LEISURE_PIXELS),
        }
        with self.spool.lent() as source_fd:
            return decode(job, source_fd, target.fileno())
