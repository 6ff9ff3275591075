"""open_picture: anything that may be a picture -> Picture, or InputRefused with a stable code.

Paths, bytes, file objects and `data:` URLs are spooled (read once); a worker process reads their header and decodes
them: here no byte of theirs is walked, unfolded or decoded. http(s) URLs only under `UrlRules`. Pillow images and
arrays are trusted and converted here. Damage inside a picture of more than 24 megapixels shows when a view is asked
for, for it is not decoded before.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from PIL import Image

from zoomagent.errors import FetchRefused, InputRefused
from zoomagent.geometry import Size
from zoomagent.media.canonical import Colour, array_to_rgb, to_rgb, upright
from zoomagent.media.data_url import data_url_blocks
from zoomagent.media.decoding.header import MAX_FRAMES, START, check_format
from zoomagent.media.decoding.header_tiff import MAX_PAGES
from zoomagent.media.decoding.header_types import Header
from zoomagent.media.decoding.jobs import DecodingJob, Options, header_of, reads_parts
from zoomagent.media.decoding.worker import refusal
from zoomagent.media.fetching.url_rules import UrlRules
from zoomagent.media.large.large_file import LARGE_PIXELS, LargeFile
from zoomagent.media.large.tiff_file import TiffFile
from zoomagent.media.limits import Limits
from zoomagent.media.paths import is_file_uri, local_path
from zoomagent.media.picture import InMemory, Picture
from zoomagent.media.spool import Readable, Spool, spool_blocks, spool_bytes, spool_path, spool_stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Source = str | Path | bytes | BinaryIO | Image.Image | NDArray[np.generic]

_ORIENTATION = 0x0112
_COPIED_PIXELS = 2_000_000
"""Pictures up to this size are copied out of the memory that they were decoded to (ours)."""

_URL = re.compile(r"[a-z][a-z0-9+.-]*://|(https?|file|ftp|gopher|s3|gs|jar|blob):", re.IGNORECASE)


def open_picture(
    source: Source,
    *,
    limits: Limits | None = None,
    allow_urls: UrlRules | None = None,
    background: Colour | None = None,
    frame: int = 0,
    page: int | None = None,
    allow_truncated: bool = False,
) -> Picture:
    """Open `source` as an upright RGB picture within `limits`.

    `page` is the page of a PDF or TIFF, counted from 1; `frame` the same of any file that holds several pictures,
    counted from 0. What is transparent is laid on `background`; None takes white, or what it shows against.
    """
    limits = limits or Limits()
    options = Options(background, frame if page is None else page - 1, allow_truncated)
    if isinstance(source, Image.Image):
        return _open_image(source, limits, options)
    if isinstance(source, str | Path | bytes | Readable):
        spool = _spool(source, limits, allow_urls)
        try:
            check_format(spool.at(0, START))
            header = header_of(spool, limits, options.frame)
            # Everything that can be refused before a decoder runs.
            parts = header.format == "TIFF" and "tiled" in header.layout and reads_parts()
            limits.check_size(header.size.width, header.size.height, in_parts=parts)
            if header.damaged and not options.allow_truncated:
                raise refusal("corrupt_image")
            if not 0 <= options.frame < header.frames:
                raise refusal("bad_frame")
            decoding = DecodingJob(spool, header, options, limits)
            name = hashlib.sha256(f"file {spool.digest} {options.name}".encode()).hexdigest()
            if header.format == "TIFF" and reads_parts():
                return _open_tiff(name, decoding)
            if header.size.pixels > LARGE_PIXELS:
                notes = (*_notes(header, options), *_layout_notes(header))
                return Picture(name, header.upright, notes, LargeFile(decoding))
            image, converted = _decode_whole(decoding)
        except BaseException:
            spool.close()
            raise
        spool.close()
        return Picture(name, header.upright, (*_notes(header, options), *converted), InMemory(image))
    return _open_array(source, limits, options)


def _spool(source: str | Path | bytes | Readable, limits: Limits, rules: UrlRules | None) -> Spool:
    if isinstance(source, bytes):
        return spool_bytes(source, limits)
    if isinstance(source, Path):
        return spool_path(source.expanduser() if source.parts[:1] == ("~",) else source, limits)
    if not isinstance(source, str):
        return spool_stream(source, limits)
    if source[:5].lower() == "data:":
        return spool_blocks(data_url_blocks(source, limits), limits, len(source))
    if _URL.match(source) and not is_file_uri(source):
        if rules is None:
            raise FetchRefused(
                "Addresses are not fetched here. Give the picture itself, or allow its host: "
                "--allow-host of the command, UrlRules in Python."
            )
        from zoomagent.media.fetching.fetch import fetch

        return spool_bytes(fetch(source, rules, limits.max_bytes), limits)
    return spool_path(local_path(source), limits)


def _open_tiff(name: str, decoding: DecodingJob) -> Picture:
    """A TIFF by parts; one of a size that is kept in memory is decoded now, so that damage shows."""
    header, source = decoding.header, TiffFile(decoding)
    notes = (*_notes(header, decoding.options), *source.notes)
    if header.size.pixels > LARGE_PIXELS:
        return Picture(name, header.upright, notes, source)
    image = source.all()
    source.close()
    return Picture(name, header.upright, notes, InMemory(image))


def _notes(header: Header, options: Options) -> tuple[str, ...]:
    """What is done to every format alike."""
    others = header.frames - 1
    most = MAX_FRAMES if header.format in ("GIF", "WEBP") else MAX_PAGES
    more = "_or_more" if header.format != "PNG" and header.frames >= most else ""
    found = {
        f"frames_ignored_{others}{more}": others > 0,
        f"exif_orientation_{header.orientation}_applied": header.orientation > 1,
        "icc_profile_ignored": header.icc,
        "smaller_than_56_pixels": min(header.size.width, header.size.height) < 56,
        "damage_allowed": options.allow_truncated,
        f"drawn_at_{header.dpi}_dpi": header.dpi > 0,
    }
    return tuple(note for note, true in found.items() if true)


def _layout_notes(header: Header) -> tuple[str, ...]:
    """What the worker will convert, as far as the header of a large file tells."""
    png_alpha = header.format == "PNG" and (header.layout[0] in "46" or "t" in header.layout)
    found = {
        "alpha_flattened": png_alpha,
        "cmyk_converted": header.format == "JPEG" and header.layout[0] == "4",
        "deep_colour_reduced": header.format == "PNG" and "-16" in header.layout,
    }
    return tuple(note for note, true in found.items() if true)


def _decode_whole(decoding: DecodingJob) -> tuple[Image.Image, list[str]]:
    """All pixels of a small file, upright, in memory."""
    with _shared_memory() as target:
        notes = decoding.upright_rows(target)
        # The pixels, larger ones without a copy: that of 24 megapixels costs 50 ms. Small ones are copied, for a
        # mapping holds a descriptor.
        if os.fstat(target.fileno()).st_size != 4 * decoding.header.upright.pixels:
            raise refusal("decode_crashed")
        rows: Any = mmap.mmap(target.fileno(), 0, access=mmap.ACCESS_READ)
        image = Image.frombuffer(
            "RGBX", (decoding.header.upright.width, decoding.header.upright.height), rows, "raw", "RGBX", 0, 1
        )
        mapped = image if decoding.header.upright.pixels > _COPIED_PIXELS else image.convert("RGB")
        return mapped, notes


def _shared_memory() -> IO[bytes]:
    """A file for pixels that the decoder can fill but not make shorter: reading a mapped one then would end us."""
    if sys.platform != "linux":
        return tempfile.TemporaryFile()
    fd = os.memfd_create("zoomagent-pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return os.fdopen(fd, "w+b")


def _open_image(image: Image.Image, limits: Limits, options: Options) -> Picture:
    limits.check_size(*image.size)
    try:
        image.load()  # Pillow turns a TIFF while it loads
        orientation = image.getexif().get(_ORIENTATION, 1)
        rgb, notes = to_rgb(image, options.background)
        rgb, more = upright(rgb, orientation)
        return _of_pixels(rgb.copy() if rgb is image else rgb, notes + more)
    except Exception as error:  # it may be decoded only now, and Pillow raises almost anything for what is wrong
        raise InputRefused(
            f"This Pillow image cannot be used ({type(error).__name__}): it is closed, damaged or mislabelled. "
            "Give the file, or image.convert('RGB').",
            code="corrupt_image" if isinstance(error, OSError) else "unsupported_image",
        ) from error


def _open_array(array: object, limits: Limits, options: Options) -> Picture:
    import numpy as np

    if not isinstance(array, np.ndarray) or array.ndim not in (2, 3):
        raise InputRefused(
            f"This {type(array).__name__} is no picture. Give a path, bytes, a Pillow image or an RGB array.",
            code="unsupported_image",
        )
    limits.check_size(int(array.shape[1]), int(array.shape[0]))
    return _of_pixels(*array_to_rgb(array, options.background))


def _of_pixels(image: Image.Image, notes: list[str]) -> Picture:
    digest = hashlib.sha256(f"pixels {image.mode} {image.width}x{image.height}\n".encode())
    digest.update(image.tobytes())
    return Picture(digest.hexdigest(), Size(*image.size), tuple(notes), InMemory(image))
