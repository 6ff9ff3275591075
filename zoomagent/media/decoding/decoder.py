"""The decoder process: gets jobs on a socket, reads files it is handed, writes RGB rows to files it is handed.

It holds nothing worth stealing, may be killed at any time, and is the only place where bytes of others are walked,
unfolded or decoded. Its parent is `worker.py`, which starts it as `python -m zoomagent.media.decoding.decoder FD`.
It never opens a file by name, and Pillow and libvips are told the format that the header reader found; each is
imported when first needed, Pillow's own limits off, for ours were checked before.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import socket
import struct
import sys
import warnings
import zlib
from dataclasses import asdict
from functools import partial
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

STRIP_PIXELS = 1 << 20
PR_SET_NO_NEW_PRIVS = 38


class TargetFull(Exception):
    """Pixels could not be written out."""


class UnreadTiff(Exception):
    """A TIFF of a kind that Pillow does not know."""


_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    LookupError,
    ArithmeticError,
    TypeError,
    zlib.error,
)
"""What Pillow raises, by kind of damage, for files that are no good."""


def main() -> None:
    """Serve jobs until the parent hangs up."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    # No core dumps, no warnings, no new rights by whatever it might start; limits come with each job.
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    channel.sendall(b'{"ready": true}\n')
    while True:
        message, fds, _, _ = socket.recv_fds(channel, 1 << 20, 2)
        while message and not message.endswith(b"\n"):
            message += channel.recv(1 << 20)
        if not message or len(fds) != 2:
            return
        with os.fdopen(fds[0], "rb") as source, os.fdopen(fds[1], "wb", buffering=0) as target:
            reply = run(json.loads(message), source, target)
        channel.sendall(json.dumps(reply).encode() + b"\n")


def run(job: dict[str, Any], source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    """One job -> its reply, under its own memory and processor limits."""
    _allow(job["memory"], job["seconds"])
    source.seek(0)
    try:
        reply = _OPERATIONS[job["do"]](job, source, target)
    except MemoryError:
        return {"error": "decode_memory"}
    except TargetFull:
        return {"error": "store_full"}
    except UnreadTiff:
        return {"error": "tiff_needs_large"}
    except _DAMAGE as error:
        reply = {"error": "corrupt_image", "detail": type(error).__name__}
    # A library that is short of memory may call a good file broken.
    short = reply.get("error") == "corrupt_image" and job["memory"] < job["needs"]
    return {"error": "decode_memory"} if short else reply


def header(job: dict[str, Any], source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    """What the file says about itself; nothing is decoded and nothing written."""
    from zoomagent.errors import InputRefused
    from zoomagent.media.decoding.header import LIBRARY, START, check_format, read_header
    from zoomagent.media.decoding.header_libraries import read_image, read_pdf

    frame, most, file = job["frame"], job["max_metadata"], _File(source)
    try:
        format = check_format(file.at(0, START))
        if format == "PDF":
            return {"header": asdict(read_pdf(source, frame))}
        if format in LIBRARY:
            return {"header": asdict(read_image(source, format, frame, most))}
        return {"header": asdict(read_header(file, most, frame))}
    except InputRefused as refusal:
        return {"error": refusal.code}


class _File:
    """A file's bytes, for the header reader."""

    def __init__(self, file: IO[bytes]) -> None:
        self._fd = file.fileno()
        self.size = os.fstat(self._fd).st_size

    def at(self, offset: int, count: int) -> bytes:
        return os.pread(self._fd, count, offset)


def rows(job: dict[str, Any], source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    """All rows, top to bottom, each pixel RGB or RGBX: as stored, or as the job's orientation means them."""
    if job["vips"]:
        from zoomagent.media.decoding.decoder_vips import vips_rows

        return vips_rows(job, source, target)
    from zoomagent.media.canonical import is_deep, to_rgb, upright
    from zoomagent.media.decoding.header import LIBRARY
    from zoomagent.media.decoding.header_libraries import plain_errors

    if job["format"] == "PDF":
        image = _pdf_page(job, source)
    elif job["format"] in LIBRARY:
        with plain_errors():
            image = _open(job, source)
    else:
        image = _open(job, source)
    if is_deep(image) or job["deep_colour"]:
        return _deep_rows(job, source, image, target)
    image, _ = upright(image, job["orientation"])
    background = _choose_background(job, image)
    width, height = image.size
    notes: list[str] = []
    step = max(1, STRIP_PIXELS // width)
    for top in range(0, height, step):
        strip = image.crop((0, top, width, min(top + step, height)))
        rgb, notes = to_rgb(strip, background, plain_inks=job["plain_inks"])
        write_all(target, rgb.tobytes("raw", job["pixel"]))
    return {"notes": notes}


def _deep_rows(job: dict[str, Any], source: IO[bytes], image: Image.Image, target: IO[bytes]) -> dict[str, Any]:
    """Values of more than 8 bits, scaled by the range of them all."""
    import numpy as np

    from zoomagent.media.canonical import array_to_rgb, upright

    values = np.asarray(image)
    if job["deep_colour"]:  # Pillow gives the upper bytes of colours only; read in the other order it gives the lower
        lower = np.asarray(_decoded(job | {"swapped": True}, source, shrink=1))
        values = values.astype(np.uint16) << 8 | lower
    rgb, notes = array_to_rgb(values, _colour(job))
    rgb, _ = upright(rgb, job["orientation"])
    write_all(target, rgb.tobytes("raw", job["pixel"]))
    return {"notes": notes}


def _pdf_page(job: dict[str, Any], source: IO[bytes]) -> Image.Image:
    """A page drawn on white, at the size that the header reader promised."""
    import pypdfium2

    from zoomagent.media.decoding.header_libraries import open_pdf

    width, height = job["size"]
    with open_pdf(source) as document:
        try:
            page = document[job["frame"]]
            bitmap = pypdfium2.PdfBitmap.new_native(width, height, pypdfium2.raw.FPDFBitmap_BGR)
            bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
            flags = pypdfium2.raw.FPDF_ANNOT
            pypdfium2.raw.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, flags)
        except pypdfium2.PdfiumError as error:
            raise ValueError("the page cannot be drawn") from error
        drawn: Image.Image = bitmap.to_pil().convert("RGB")
        return drawn


def ground(job: dict[str, Any], source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    """The colour on which a large transparent PNG shows; nothing is written."""
    from zoomagent.media.decoding.decoder_vips import vips_ground

    return vips_ground(job, source)


def survey(job: dict[str, Any], source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    """The range of values and the ground of a TIFF; nothing is written."""
    from zoomagent.media.decoding.decoder_tiff import survey as look

    return look(job, source)


def part(job: dict[str, Any], source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    """A part of one level of a TIFF."""
    from zoomagent.media.decoding.decoder_tiff import part as write

    return write(job, source, target)


def coarse(job: dict[str, Any], source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    """A JPEG decoded at an eighth, a quarter or half of its size, without decoding the rest."""
    if job["vips"]:
        from zoomagent.media.decoding.decoder_vips import vips_rows

        return vips_rows(job, source, target, shrink=job["shrink"])
    from zoomagent.media.canonical import to_rgb

    image = _open(job, source, shrink=job["shrink"])
    rgb, notes = to_rgb(image, _colour(job))
    write_all(target, rgb.tobytes())
    return {"notes": notes}


def regions(job: dict[str, Any], source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    """The job's boxes, one after the other in `target`, in a single pass that stops below the lowest."""
    from zoomagent.media.decoding.decoder_vips import vips_regions

    return vips_regions(job, source, target)


def probe(job: dict[str, Any], source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    """What a clip is, and the index of its frames."""
    from zoomagent.media.decoding.decoder_av import probe as look

    return look(job, source, target)


def frames(job: dict[str, Any], source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    """Some frames of a clip, one after the other."""
    from zoomagent.media.decoding.decoder_av import frames as write

    return write(job, source, target)


def sound(job: dict[str, Any], source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    """All samples of a sound."""
    from zoomagent.media.decoding.decoder_sound import sound as write

    return write(job, source, target)


_OPERATIONS = {"header": header, "rows": rows, "coarse": coarse, "regions": regions}
_OPERATIONS |= {"ground": ground, "survey": survey, "part": part, "probe": probe, "frames": frames, "sound": sound}


def write_all(target: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[target.write(view) :]
    except OSError as error:
        raise TargetFull from error


def _open(job: dict[str, Any], source: IO[bytes], shrink: int = 1) -> Image.Image:
    """The frame, decoded. ValueError where pixels of it are missing, unless that is allowed."""
    from zoomagent.media.decoding.missing import jpeg2000_lacks_tiles, jpeg_lacks_pixels, png_lacks_pixels

    image = _decoded(job, source, shrink)
    if job["truncated"]:
        return image
    if job["format"] == "PNG":
        lacks = png_lacks_pixels(source, job["frame"])
    elif job["format"] == "JPEG2000":
        lacks = jpeg2000_lacks_tiles(source)
    else:
        lacks = job["format"] == "JPEG" and jpeg_lacks_pixels(source, image, partial(_decoded, job, shrink=8))
    if lacks:
        raise ValueError("pixels are missing")
    return image


def _decoded(job: dict[str, Any], source: IO[bytes], shrink: int) -> Image.Image:
    from PIL import ImageFile, PngImagePlugin, UnidentifiedImageError

    from zoomagent.media.decoding.header_libraries import open_image

    PngImagePlugin.MAX_TEXT_CHUNK = 8_000_000
    ImageFile.LOAD_TRUNCATED_IMAGES = job["truncated"]
    try:
        image = open_image(source, job["format"])
        if job["frame"]:
            image.seek(job["page"])
    except UnidentifiedImageError as error:
        if job["format"] == "TIFF":
            raise UnreadTiff from error
        raise
    if list(image.size) != job["size"]:
        raise ValueError("the decoder sees another size than the header reader")
    if job.get("swapped"):
        tiles: Any = image  # only images of files have them
        tiles.tile = [tile._replace(args=_swap_order(tile.args)) for tile in tiles.tile]
    if shrink > 1:
        image.draft(image.mode, (max(1, image.width // shrink), max(1, image.height // shrink)))
    image.load()
    return image


def _swap_order(args: Any) -> Any:
    """What names the order of two bytes to Pillow's decoders, with the other order."""
    if isinstance(args, tuple):
        return (_swap_order(args[0]), *args[1:])
    little = args.endswith("L") or (args.endswith("N") and sys.byteorder == "little")
    return args[:-1] + ("B" if little else "L")


def _colour(job: dict[str, Any]) -> tuple[int, int, int] | None:
    if job["background"] is None:
        return None
    red, green, blue = job["background"]
    return red, green, blue


def _choose_background(job: dict[str, Any], image: Image.Image) -> tuple[int, int, int] | None:
    """One for all strips: chosen from the whole picture, or from a sample of a large one."""
    from zoomagent.media.canonical import backdrop, has_alpha

    chosen = _colour(job)
    if chosen is not None or not has_alpha(image):
        return chosen
    share = (STRIP_PIXELS / (image.width * image.height)) ** 0.5
    if share < 1:
        image = image.resize((max(1, int(image.width * share)), max(1, int(image.height * share))), resample=0)
    return backdrop(image)


def _allow(memory: int, seconds: float) -> None:
    """Limits for one job, on top of what the process has already used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    processor = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (processor, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    if sys.platform == "linux":
        with open("/proc/self/statm") as statm:
            mapped = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (mapped + memory, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    main()
