"""Are all pixels of a file there? For the three formats where Pillow fills up what is missing and says nothing.

Runs in the decoder's process. PNG: the compressed rows are counted, frame by frame. JPEG: a picture that was cut off
and then ended properly is filled with one flat colour; where a picture ends so flat, it is decoded twice more, at an
eighth of its size: as it is, and with some bytes put in before its end. A whole picture does not mind, for its pixels
came before. JPEG 2000: every tile has a part. Left out: bytes that were
changed and still decode, which nobody can tell from a picture, and fine scans that a progressive JPEG lost.
"""

import io
import re
import struct
import zlib
from collections.abc import Callable
from typing import IO

from PIL import Image, ImageChops

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Adam7: left, top, step across, step down."""
_BLOCK = 1 << 18
_CORNER = 4
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])", re.DOTALL)
_NONSENSE = bytes(37 * i * i % 251 for i in range(256))
_FILLER = _NONSENSE + b"".join(bytes([0xFF, 0xD0 + number % 8]) + _NONSENSE for number in range(16))
"""Something that decodes, also where a JPEG is divided by restart marks."""


class _Rows:
    """Counts down the bytes that a frame's rows unfold to."""

    def __init__(self, expected: int) -> None:
        self._left = expected
        self._unfolding = zlib.decompressobj()

    def feed(self, data: bytes) -> None:
        while data and self._left > 0:
            self._left -= len(self._unfolding.decompress(data, _BLOCK))
            data = self._unfolding.unconsumed_tail

    def lack(self) -> bool:
        """Whether there were too few. What was fed may not have come out yet."""
        return self._left > 0 and len(self._unfolding.flush()) < self._left


def png_lacks_pixels(source: IO[bytes], frame: int) -> bool:
    """Whether the rows of the frame, or of one before it, end too early. Raises zlib.error where they are broken."""
    source.seek(8)
    head, size, frames, fresh = b"", (0, 0), list[_Rows](), True
    while len(start := source.read(8)) == 8:
        length, name = struct.unpack(">I4s", start)
        if name == b"fcTL" and len(frames) == frame + 1:
            break
        if name not in (b"IHDR", b"fcTL", b"IDAT", b"fdAT"):
            source.seek(length + 4, io.SEEK_CUR)
            continue
        body = source.read(length)
        source.seek(4, io.SEEK_CUR)
        if name == b"IHDR":
            head, size = body, struct.unpack(">II", body[:8])
        elif name == b"fcTL":
            size, fresh = struct.unpack(">II", body[4:12]), True
        else:
            if fresh:
                frames.append(_Rows(_bytes_of_rows(*size, head)))
                fresh = False
            frames[-1].feed(body if name == b"IDAT" else body[4:])
    return any(rows.lack() for rows in frames)


def _bytes_of_rows(width: int, height: int, head: bytes) -> int:
    """Bytes of all rows: each has one that names its filter, and whole bytes of samples."""
    bits = head[8] * _SAMPLES[head[9]]
    passes = _PASSES if head[12] else ((0, 0, 1, 1),)
    sizes = [(-(-(width - left) // across), -(-(height - top) // down)) for left, top, across, down in passes]
    return sum(rows * (1 + -(-columns * bits // 8)) for columns, rows in sizes if columns > 0 and rows > 0)


def jpeg_lacks_pixels(source: IO[bytes], image: Image.Image, overview: Callable[[IO[bytes]], Image.Image]) -> bool:
    """Whether `image`, decoded from `source`, was cut off and ended early. `overview` decodes at an eighth."""
    corner = image.crop((max(0, image.width - _CORNER), max(0, image.height - _CORNER), image.width, image.height))
    if any(len(band.getcolors() or ()) != 1 for band in corner.split()):
        return False
    source.seek(0)
    data = source.read()
    # Where the end mark stands that follows the last scan.
    place, in_scan, end = 2, False, -1
    while end < 0:
        found = _MARKER.search(data, place)
        if not found or (not in_scan and data[place : found.start()].strip(b"\xff")):
            return False
        marker, place = found[1][0], found.end()
        if marker == 0xD9:
            end = found.start()
        in_scan = in_scan or marker == 0xDA
        place += int.from_bytes(data[place : place + 2], "big")
    changed = overview(io.BytesIO(data[:end] + _FILLER + data[end:]))
    return ImageChops.difference(overview(io.BytesIO(data)), changed).getbbox() is not None


def jpeg2000_lacks_tiles(source: IO[bytes]) -> bool:
    """Whether a tile of a JPEG 2000 has no part in the file: OpenJPEG leaves its place black."""
    source.seek(0)
    data = source.read()
    at = data.find(b"\xff\x4f\xff\x51")
    if at < 0 or len(data) < at + 40:
        return True
    right, bottom, _, _, width, height, left, top = struct.unpack_from(">8I", data, at + 8)
    if not width or not height:
        return True
    tiles: int = -(-(right - left) // width) * -(-(bottom - top) // height)
    # From the size on, every marker says how far the next one is; a part of a tile says how long all of it is.
    found, at = set[int](), at + 2
    while len(data) >= at + 12 and data[at] == 0xFF:
        length = int.from_bytes(data[at + 2 : at + 4], "big") + 2
        if data[at + 1] == 0x90:
            found.add(int.from_bytes(data[at + 4 : at + 6], "big"))
            length = int.from_bytes(data[at + 6 : at + 10], "big") or len(data)  # 0: up to the end
        at += max(length, 4)
    return len(found) < tiles
