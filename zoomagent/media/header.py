"""What a picture file says about itself, read by our own few lines of bounded Python: no decoder runs.

`check_format` sniffs the format from the first bytes (names and MIME types are not believed). `read_header` finds
size, orientation, frames and metadata, and refuses what can be refused now; for files of others it runs in the
decoder's process. PNG lives in `header_png.py`.
"""

import re
from collections.abc import Callable

from zoomagent.errors import InputRefused
from zoomagent.geometry import Size
from zoomagent.media.exif import orientation_of
from zoomagent.media.header_png import read_png
from zoomagent.media.header_types import Cursor, Header, Readable, corrupt

START = 32
"""Bytes that tell the format."""
MAX_FRAMES = 1000
"""Frames of an animation are not counted further (ours)."""

_FOREIGN = (
    ("TIFF", rb"II\*\0|MM\0\*|II\+\0|MM\0\+"),
    ("HEIC or AVIF", rb"....ftyp(heic|heix|hevc|mif1|msf1|avif|avis)"),
    ("SVG", rb"\s*(<\?xml|<!DOCTYPE svg|<svg)"),
    ("PDF", rb"%PDF"),
    ("PostScript", rb"%!PS|\xc5\xd0\xd3\xc6"),
    ("FITS", rb"SIMPLE  ="),
    ("Photoshop", rb"8BPS"),
    ("JPEG 2000", rb"\0\0\0\x0cjP"),
    ("DDS", rb"DDS "),
)


def check_format(start: bytes, size: int) -> None:
    """Raises InputRefused unless a file of `size` bytes that begins with these 32 may be read here at all."""
    _reader_of(start, size)


def read_header(source: Readable, max_metadata: int) -> Header:
    """The header of a JPEG, PNG, WebP, GIF or BMP file. Raises InputRefused for anything else, for what breaks its
    format, and for more metadata or parts than are allowed."""
    read = _reader_of(source.at(0, START), source.size)
    return read(Cursor(source, max_metadata))


def _reader_of(start: bytes, size: int) -> Callable[[Cursor], Header]:
    if start.startswith(b"\xff\xd8\xff"):
        return _jpeg
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return read_png
    if start[:6] in (b"GIF87a", b"GIF89a"):
        return _gif
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return _webp
    if start[:2] == b"BM" and size >= 26:
        return _bmp
    names = [name for name, pattern in _FOREIGN if re.match(pattern, start, re.DOTALL)]
    what = f"This looks like {names[0]}, which zoomagent does not read." if names else "This is no picture."
    raise InputRefused(f"{what} Give JPEG, PNG, WebP, GIF or BMP.", code="unsupported_image")


def _jpeg(cursor: Cursor) -> Header:
    cursor.skip(2)
    orientation, icc, adobe, progressive, frame = 1, False, False, False, b""
    while (marker := _jpeg_marker(cursor)) != 0xDA:
        length = int.from_bytes(cursor.take(2), "big") - 2
        if length < 0:
            raise corrupt("its header is broken")
        body = cursor.take(length)
        is_metadata = marker == 0xFE or 0xE0 <= marker <= 0xEF
        cursor.weigh(length if is_metadata else 0)  # no JPEG needs a thousand tables either
        if is_metadata:
            icc = icc or (marker == 0xE2 and body.startswith(b"ICC_PROFILE"))
            adobe = adobe or (marker == 0xEE and body.startswith(b"Adobe"))
            if marker == 0xE1 and body.startswith(b"Exif\0\0") and orientation == 1:
                orientation = orientation_of(body[6:])
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame, progressive = frame or body, progressive or marker not in (0xC0, 0xC1)
    if len(frame) < 6:
        raise corrupt("it has no frame header")
    size = Size(int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[1:3], "big"))
    layout = f"{frame[5]}{'a' if adobe else ''}{'p' if progressive else ''}"
    return Header("JPEG", size, layout, orientation, icc=icc)


def _jpeg_marker(cursor: Cursor) -> int:
    """The next marker's second byte; up to 64 bytes may fill up to it."""
    block = cursor.peek(66)
    fill = len(block) - len(block.lstrip(b"\xff"))
    if not 1 <= fill <= 64:
        raise corrupt("its header is broken")
    cursor.skip(fill)
    byte = cursor.take(1)[0]
    if byte in (0x00, 0xD8, 0xD9):
        raise corrupt("its header is broken")
    return byte


def _gif(cursor: Cursor) -> Header:
    cursor.skip(6)
    screen = cursor.take(7)
    size = Size(int.from_bytes(screen[0:2], "little"), int.from_bytes(screen[2:4], "little"))
    if screen[4] & 0x80:
        cursor.skip(3 << ((screen[4] & 7) + 1))
    frames = 0
    while frames < MAX_FRAMES and (kind := cursor.maybe(1)) in (b"!", b","):
        cursor.step()
        if kind == b"!":
            is_text = cursor.take(1) in (b"\xfe", b"\xff")
            length = _gif_blocks(cursor)
            if is_text:
                cursor.weigh(length)
        else:
            frames += 1
            local = cursor.take(9)[8]
            cursor.skip((3 << ((local & 7) + 1) if local & 0x80 else 0) + 1)
            _gif_blocks(cursor)
    if frames == 0:
        raise corrupt("it holds no frame")
    return Header("GIF", size, "palette", frames=frames)


def _gif_blocks(cursor: Cursor) -> int:
    """Skip sub-blocks; the last one may be cut off, which the decoder judges."""
    total = 0
    while length := cursor.maybe(1):
        if length == b"\0":
            break
        cursor.step()
        total += length[0]
        cursor.skip(length[0])
    return total


def _webp(cursor: Cursor) -> Header:
    cursor.skip(12)
    first = cursor.take(4)
    length = int.from_bytes(cursor.take(4), "little")
    body = cursor.take(10)
    size = _webp_size(first, body)
    cursor.skip(length + (length & 1) - 10)
    if first != b"VP8X":
        return Header("WEBP", size, "still")
    frames, orientation, icc = 0, 1, False
    while frames < MAX_FRAMES and len(head := cursor.maybe(8)) == 8:
        cursor.step()
        length, name = int.from_bytes(head[4:], "little"), head[:4]
        frames += name == b"ANMF"
        icc = icc or name == b"ICCP"
        if name in (b"EXIF", b"XMP ", b"ICCP"):
            cursor.weigh(length)
        if name == b"EXIF":
            exif = cursor.peek(min(length, 1 << 16))
            orientation = orientation_of(exif[6:] if exif.startswith(b"Exif\0\0") else exif)
        cursor.skip(length + (length & 1))
    return Header("WEBP", size, "extended", orientation, max(1, frames), icc)


def _webp_size(first: bytes, body: bytes) -> Size:
    if first == b"VP8X":
        return Size(1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little"))
    if first == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return Size(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if first == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = int.from_bytes(body[6:8], "little"), int.from_bytes(body[8:10], "little")
        return Size(width & 0x3FFF, height & 0x3FFF)
    raise corrupt("its header is broken")


def _bmp(cursor: Cursor) -> Header:
    head = cursor.take(26)
    if int.from_bytes(head[14:18], "little") == 12:
        return Header("BMP", Size(int.from_bytes(head[18:20], "little"), int.from_bytes(head[20:22], "little")), "bmp")
    width, height = (int.from_bytes(head[at : at + 4], "little", signed=True) for at in (18, 22))
    return Header("BMP", Size(width, abs(height)), "bmp")
