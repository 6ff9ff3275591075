"""What a picture file says about itself, read by our own few lines of bounded Python: no decoder runs.

`check_format` sniffs the format from the first bytes (names and MIME types are not believed). `read_header` finds
size, orientation, frames and metadata, and refuses what can be refused now; for files of others it runs in the
decoder's process. PNG lives in `header_png.py`, TIFF in `header_tiff.py`, what libraries read in
`header_libraries.py`.
"""

import re
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

from zoomagent.errors import InputRefused
from zoomagent.geometry import Size
from zoomagent.media.decoding.exif import orientation_of
from zoomagent.media.decoding.header_png import read_png
from zoomagent.media.decoding.header_tiff import read_tiff
from zoomagent.media.decoding.header_types import Cursor, Format, Header, Readable, corrupt

START = 32
"""Bytes that tell the format."""
MAX_FRAMES = 1000
"""Frames of an animation are not counted further (ours)."""

_FOREIGN = (
    ("SVG", rb"\s*(<\?xml|<!DOCTYPE svg|<svg)"),
    ("PostScript", rb"%!PS|\xc5\xd0\xd3\xc6"),
    ("FITS", rb"SIMPLE  ="),
    ("Photoshop", rb"8BPS"),
    ("DDS", rb"DDS "),
)


_SIGNS: tuple[tuple[Format, bytes], ...] = (
    ("JPEG", rb"\xff\xd8\xff"),
    ("PNG", rb"\x89PNG\r\n\x1a\n"),
    ("GIF", rb"GIF8[79]a"),
    ("WEBP", rb"RIFF....WEBP"),
    ("BMP", rb"BM.{24}"),
    ("TIFF", rb"II\*\0|MM\0\*|II\+\0|MM\0\+"),
    ("AVIF", rb"....ftyp(avif|avis|(mif1|msf1).{4}(....)?(....)?(avif|avis))"),
    ("HEIF", rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)"),
    ("JPEG2000", rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"),
    ("PDF", rb"\s*%PDF-"),
)
READ = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF, HEIC, JPEG 2000 or PDF"
"""The formats as people call them."""
LIBRARY: tuple[Format, ...] = ("AVIF", "HEIF", "JPEG2000", "PDF")
"""Formats whose header a library reads."""
_EXTRAS = {"HEIF": ("pillow_heif", "heic", "HEIC"), "PDF": ("pypdfium2", "pdf", "PDF")}


def check_format(start: bytes) -> Format:
    """The format of a file that begins with these bytes. InputRefused for one that is not read, or not without an
    extra that is not installed."""
    known = [format for format, pattern in _SIGNS if re.match(pattern, start, re.DOTALL)]
    if not known:
        names = [name for name, pattern in _FOREIGN if re.match(pattern, start, re.DOTALL)]
        what = f"This looks like {names[0]}, which zoomagent does not read." if names else "This is no picture."
        raise InputRefused(f"{what} Give {READ}.", code="unsupported_image")
    module, extra, name = _EXTRAS.get(known[0], ("", "", ""))
    if module and find_spec(module) is None:
        text = f'{name} files need an extra. Run: pip install "zoomagent[{extra}]", or save it as JPEG or PNG.'
        raise InputRefused(text, code="unsupported_image")
    return known[0]


def read_header(source: Readable, max_metadata: int, frame: int = 0) -> Header:
    """The header of a file that our own lines read; a TIFF's is that of one page. Raises InputRefused for anything
    else, for what breaks its format, and for more metadata or parts than are allowed."""
    readers: dict[Format, Callable[[Cursor], Header]] = {
        "JPEG": _jpeg,
        "PNG": read_png,
        "GIF": _gif,
        "WEBP": _webp,
        "BMP": _bmp,
        "TIFF": partial(read_tiff, frame=frame),
    }
    format = check_format(source.at(0, START))
    if format not in readers:
        raise InputRefused(f"The header of {format} is not read here.", code="unsupported_image")
    return readers[format](Cursor(source, max_metadata))


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
    if frame[0] != 8:
        raise InputRefused("JPEG of 12 bits is not read. Save it as PNG or TIFF of 16 bits.", code="deep_jpeg")
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
