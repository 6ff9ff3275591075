"""The decoder process: gets jobs on a socket, reads files it is handed, writes RGB rows to files it is handed.

It holds nothing worth stealing, may be killed at any time, and is the only place where bytes of others are walked,
unfolded or decoded. Its parent is `worker.py`; it is started as `python -m zoomagent.media.decoder SOCKET_FD`. It never
opens a file by name, and Pillow and libvips are told the format that the header reader found; each is imported when
first needed, Pillow's own limits off, for ours were checked before.
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
    _confine()
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
    except _DAMAGE as error:
        reply = {"error": "corrupt_image", "detail": type(error).__name__}
    # A library that is short of memory may call a good file broken.
    short = reply.get("error") == "corrupt_image" and job["memory"] < job["needs"]
    return {"error": "decode_memory"} if short else reply


def header(job: dict[str, Any], source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    """What the file says about itself; nothing is decoded and nothing written."""
    from zoomagent.errors import InputRefused
    from zoomagent.media.header import read_header

    try:
        return {"header": asdict(read_header(_File(source), job["max_metadata"]))}
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
        from zoomagent.media.decoder_vips import vips_rows

        return vips_rows(job, source, target)
    from zoomagent.media.canonical import to_rgb, upright

    image, _ = upright(_open(job, source), job["orientation"])
    background = _colour(job)
    width, height = image.size
    notes: list[str] = []
    step = max(1, STRIP_PIXELS // width)
    for top in range(0, height, step):
        strip = image.crop((0, top, width, min(top + step, height)))
        rgb, notes = to_rgb(strip, background, plain_inks=job["plain_inks"])
        write_all(target, rgb.tobytes("raw", job["pixel"]))
    return {"notes": notes}


def coarse(job: dict[str, Any], source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    """A JPEG decoded at an eighth, a quarter or half of its size, without decoding the rest."""
    if job["vips"]:
        from zoomagent.media.decoder_vips import vips_rows

        return vips_rows(job, source, target, shrink=job["shrink"])
    from zoomagent.media.canonical import to_rgb

    image = _open(job, source, shrink=job["shrink"])
    rgb, notes = to_rgb(image, _colour(job))
    write_all(target, rgb.tobytes())
    return {"notes": notes}


def regions(job: dict[str, Any], source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    """The job's boxes, one after the other in `target`, in a single pass that stops below the lowest."""
    from zoomagent.media.decoder_vips import vips_regions

    return vips_regions(job, source, target)


_OPERATIONS = {"header": header, "rows": rows, "coarse": coarse, "regions": regions}


def write_all(target: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[target.write(view) :]
    except OSError as error:
        raise TargetFull from error


def _open(job: dict[str, Any], source: IO[bytes], shrink: int = 1) -> Image.Image:
    """The frame, decoded. ValueError where pixels of it are missing, unless that is allowed."""
    from zoomagent.media.missing import jpeg_lacks_pixels, png_lacks_pixels

    image = _decoded(job, source, shrink)
    if job["truncated"]:
        return image
    if job["format"] == "PNG":
        lacks = png_lacks_pixels(source, job["frame"])
    else:
        lacks = job["format"] == "JPEG" and jpeg_lacks_pixels(source, image, partial(_decoded, job, shrink=8))
    if lacks:
        raise ValueError("pixels are missing")
    return image


def _decoded(job: dict[str, Any], source: IO[bytes], shrink: int) -> Image.Image:
    from PIL import Image, ImageFile, PngImagePlugin

    Image.MAX_IMAGE_PIXELS = None
    PngImagePlugin.MAX_TEXT_CHUNK = 8_000_000
    ImageFile.LOAD_TRUNCATED_IMAGES = job["truncated"]
    image: Image.Image = Image.open(source, formats=[job["format"]])
    if list(image.size) != job["size"]:
        raise ValueError("the decoder sees another size than the header reader")
    if shrink > 1:
        image.draft(image.mode, (max(1, image.width // shrink), max(1, image.height // shrink)))
    if job["frame"]:
        image.seek(job["frame"])
    image.load()
    return image


def _colour(job: dict[str, Any]) -> tuple[int, int, int]:
    red, green, blue = job["background"]
    return red, green, blue


def _confine() -> None:
    """No core dumps, no warnings, no new rights by whatever it might start; limits come with each job."""
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


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
