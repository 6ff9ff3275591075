"""Jobs for the decoder process: reading a file's header, and from it what to decode, how, and under which limits."""

import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError

from zoomagent.geometry import Box
from zoomagent.media.canonical import Colour
from zoomagent.media.decoding.header_types import Header, Level
from zoomagent.media.decoding.worker import decode, refusal
from zoomagent.media.limits import Limits
from zoomagent.media.spool import Spool

_HEADER = TypeAdapter(Header)
_LEISURE_PIXELS = 24_000_000
"""`Limits.decode_seconds` is for pictures up to this size; larger ones get proportionally more (ours)."""

_MOST_WEIGHED = 1_000_000_000
"""No decoder gets more memory than for so many pixels: what is larger is read by parts."""
_BASE_MEMORY, _PIXEL_MEMORY = 64_000_000, 4
"""Bytes below which a decoder that gives up may just be short of memory."""


@dataclass(frozen=True)
class Options:
    """How a file is to be read: everything beside its bytes that decides its pixels."""

    background: Colour | None = None
    frame: int = 0
    allow_truncated: bool = False

    @property
    def name(self) -> str:
        return f"{self.background!r} {self.frame} {self.allow_truncated}"


def reads_parts() -> bool:
    """Whether libvips is there, which reads parts of a file (extra `large`)."""
    return find_spec("pyvips") is not None


def header_of(spool: Spool, limits: Limits, frame: int = 0) -> Header:
    """The header of a spooled file, read in the decoder process. Raises InputRefused for what cannot be read."""
    job = {
        "do": "header",
        "frame": frame,
        "max_metadata": limits.max_metadata,
        "memory": limits.decode_bytes,
        "needs": 0,
        "seconds": limits.decode_seconds,
    }
    with spool.lent() as source_fd:
        reply = decode(job, source_fd, source_fd)  # nothing is written
    try:
        header = _HEADER.validate_python(reply.get("header"))
    except ValidationError as error:  # a decoder that a file took over may say anything
        raise refusal("decode_crashed") from error
    if header.format == "TIFF" and not reads_parts():  # Pillow turns it by itself
        return replace(header, size=header.upright, orientation=1)
    return header


@dataclass(frozen=True)
class DecodingJob:
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
        return (plain_jpeg or plain_png) and still and reads_parts()

    @property
    def shrinks(self) -> bool:
        """Whether the file can be decoded at a fraction of its size."""
        return self.header.format == "JPEG" and self.header.layout[0] in "13"

    def upright_rows(self, target: IO[bytes]) -> list[str]:
        """All rows of the upright picture into `target`, four bytes a pixel, as Pillow keeps them in memory; the notes
        on what was converted."""
        job = {"do": "rows", "vips": False, "orientation": self.header.orientation, "pixel": "RGBX"}
        notes = self._run(job, target).get("notes")
        if not isinstance(notes, list):
            raise refusal("decode_crashed")
        return [str(note) for note in notes]

    def stored_rows(self, target: IO[bytes]) -> None:
        """All rows as they are stored into `target`, by the way that needs the least memory."""
        self._run({"do": "rows", "vips": self.streams, "orientation": 1, "pixel": "RGB"}, target)

    @property
    def _deep_colour(self) -> bool:
        """Whether Pillow would give colours of 16 bits as their upper halves alone."""
        plain = {"PNG": ("2-16", "6-16"), "TIFF": ("3-16u", "4-16ua")}
        return self.header.layout.split()[0].rstrip("ti") in plain.get(self.header.format, ())

    @cached_property
    def _ground(self) -> list[int] | None:
        """The background, where a job needs to know it before: libvips shows a PNG no row twice."""
        chosen = self.options.background
        if chosen is not None or not self.streams or self.header.format != "PNG":
            return None if chosen is None else list(chosen)
        if self.header.layout[0] not in "46" and "t" not in self.header.layout:
            return [255, 255, 255]
        with tempfile.TemporaryFile() as nothing:
            return _colour(self._run({"do": "ground"}, nothing))

    def survey(self) -> dict[str, Any]:
        """The `range` of a TIFF's values (None where they have 8 bits) and the `background` for it."""
        with tempfile.TemporaryFile() as nothing:
            found = self._run({"do": "survey", **self._place(self.header.levels[-1])}, nothing)
        span, chosen = found.get("range"), self.options.background
        if span is not None and not (isinstance(span, list) and all(isinstance(edge, int | float) for edge in span)):
            raise refusal("decode_crashed")
        return {"range": span, "background": _colour(found) if chosen is None else list(chosen)}

    def part(self, target: IO[bytes], level: Level, box: Box, shrink: int, known: dict[str, Any]) -> None:
        """The box of a TIFF's level at 1/`shrink` into `target`; `known` is what `survey` found."""
        self._run({"do": "part", "box": box.as_list(), "shrink": shrink, **self._place(level), **known}, target, box)

    def _place(self, level: Level) -> dict[str, Any]:
        size = [level.size.width, level.size.height]
        return {"page": level.page, "copy": level.copy, "size": size, "alpha": "a" in self.header.layout.split()[0]}

    def coarse(self, target: IO[bytes], shrink: int) -> None:
        """The picture at 1/`shrink` into `target`."""
        self._run({"do": "coarse", "shrink": shrink, "vips": self.streams}, target)

    def regions(self, target: IO[bytes], boxes: list[Box]) -> None:
        """The stored boxes one after the other into `target`."""
        self._run({"do": "regions", "boxes": [box.as_list() for box in boxes]}, target)

    def _run(self, job: dict[str, Any], target: IO[bytes], box: Box | None = None) -> dict[str, Any]:
        """Run a job on the whole file, or on `box` of it, under limits that grow with what is decoded."""
        size, limits = self.header.size, self.limits
        pixels = size.pixels if box is None else box.area
        weight = 1
        if box is None:
            # How many times four bytes a pixel the decoder needs, measured and rounded up. libwebp keeps three canvases
            # beside the picture, a progressive JPEG all its coefficients, Pillow grey of 16 bits twice.
            header = self.header
            deep, progressive = "-16" in header.layout, header.format == "JPEG" and "p" in header.layout
            heavy = header.format in ("WEBP", "AVIF", "HEIF", "JPEG2000")
            weight = 5 if heavy or "3-16" in header.layout or self._deep_colour else 3 if deep or progressive else 1
            weight += header.orientation > 1
        if job["do"] in ("rows", "coarse", "regions"):
            job["background"] = self._ground
        job = {
            "format": self.header.format,
            "size": [size.width, size.height],
            "background": None,
            "frame": self.options.frame,
            "page": self.header.levels[0].page if self.header.levels else self.options.frame,
            "truncated": self.options.allow_truncated,
            "plain_inks": self.header.format == "JPEG" and self.header.layout == "4",
            "deep_colour": self._deep_colour,
            "memory": limits.decode_bytes + limits.decode_bytes_per_pixel * min(weight * pixels, _MOST_WEIGHED),
            "needs": _BASE_MEMORY + _PIXEL_MEMORY * min(weight * pixels, _MOST_WEIGHED),
            "seconds": limits.decode_seconds * max(1.0, pixels / _LEISURE_PIXELS),
        } | job
        with self.spool.lent() as source_fd:
            return decode(job, source_fd, target.fileno())


def _colour(reply: dict[str, Any]) -> list[int]:
    colour = reply.get("background")
    if not (isinstance(colour, list) and len(colour) == 3 and all(value in range(256) for value in colour)):
        raise refusal("decode_crashed")
    return colour
