"""Hostile and odd picture files, made on demand: rows I1-I22 of the fault list. `python tests/zoo.py DIR` writes them.

Each `Animal` names its row, how its bytes are made, and what must happen: a refusal's code, or None when it opens.
Nothing is downloaded and nothing large is kept.
"""

import io
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin


@dataclass(frozen=True)
class Animal:
    """One hostile file. `code` is the refusal it must meet, None when it must open."""

    row: str
    name: str
    make: Callable[[], bytes]
    code: str | None


def photo(width: int = 160, height: int = 120) -> Image.Image:
    """A smooth colour picture with a red square at (20, 30)-(60, 70)."""
    x, y = np.meshgrid(np.linspace(40, 220, width), np.linspace(60, 200, height))
    image = Image.fromarray(np.stack([x, y, 255 - x], axis=2).astype(np.uint8))
    image.paste((250, 10, 10), (20, 30, 60, 70))
    return image


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The image as a file of this kind."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def jpeg(image: Image.Image | None = None, **options: object) -> bytes:
    return saved(image or photo(), "JPEG", **({"quality": 95, "subsampling": 0} | options))


def png(image: Image.Image | None = None, **options: object) -> bytes:
    return saved(image or photo(), "PNG", **options)


# Parts


def chunk(name: bytes, body: bytes) -> bytes:
    """A PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def flat_png(width: int, height: int, depth: int = 1, colour: int = 0, extra: bytes = b"") -> bytes:
    """A PNG of zeros, of any size, in a few kB."""
    row = 1 + (width * depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] + 7) // 8
    squeeze, data, left = zlib.compressobj(9), b"", row * height
    while left:
        data += squeeze.compress(bytes(min(left, 1 << 20)))
        left -= min(left, 1 << 20)
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(range(6))) if colour == 3 else b""
    body = chunk(b"IDAT", data + squeeze.flush())
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + palette + extra + body + chunk(b"IEND", b"")


def png_of(array: np.ndarray[tuple[int, ...], np.dtype[np.uint16]], colour: int) -> bytes:
    """A PNG with 16 bits a channel."""
    height, width = array.shape[:2]
    rows = array.astype(">u2").reshape(height, -1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")


def with_chunks(data: bytes, chunks: bytes) -> bytes:
    """A PNG with chunks put in after its header."""
    return data[:33] + chunks + data[33:]


def jpeg_segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def with_segments(data: bytes, segments: bytes) -> bytes:
    """A JPEG with segments put in after its first mark."""
    return data[:2] + segments + data[2:]


def jpeg_of_size(width: int, height: int) -> bytes:
    """A small JPEG whose header claims another size."""
    data = bytearray(jpeg())
    place = data.index(b"\xff\xc0")
    data[place + 5 : place + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def exif(orientation: int, order: str = ">") -> bytes:
    """An EXIF block that says only this orientation."""
    mark = b"MM\0*" if order == ">" else b"II*\0"
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(f"{order}IH", 8, 1) + entry + struct.pack(f"{order}I", 0)


def looping_exif() -> bytes:
    """A directory that names itself as the next, and as its own sub-directory."""
    entry = struct.pack(">HHII", 0x8769, 4, 1, 8)
    return b"MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 8)


def with_exif(block: bytes) -> bytes:
    return with_segments(jpeg(), jpeg_segment(0xE1, b"Exif\0\0" + block))


def gif(frames: int, side: int = 1) -> bytes:
    """An animated GIF, written by hand: Pillow would drop equal frames."""
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes([0, 0, 0, 255, 255, 255])
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\x00"
    return head + frame * frames + b";"


def animation(kind: str, frames: int = 30) -> bytes:
    """`frames` plain pictures, each a little redder."""
    pictures = [Image.new("RGB", (64, 64), (8 * i, 100, 100)) for i in range(frames)]
    return saved(pictures[0], kind, save_all=True, append_images=pictures[1:], duration=50, lossless=True)


def cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]


def zip_tail() -> bytes:
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("evil.txt", "SECRET TAIL")
    return file.getvalue()


def texts(count: int) -> bytes:
    return b"".join(chunk(b"tEXt", b"k%d\0v" % i) for i in range(count))


def icc(length: int) -> bytes:
    """A JPEG colour profile of this many bytes in as many segments as it takes; every one is nonsense."""
    block = b"ICC_PROFILE\0\1\1" + b"x" * 65_000
    return jpeg_segment(0xE2, block) * -(-length // 65_000)


def tiff(kind: str = "RGB") -> bytes:
    return saved(photo().convert(kind), "TIFF")


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://169.254.169.254/x"/></svg>'
XXE = b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>'

ZOO: tuple[Animal, ...] = (
    Animal("I1", "empty", lambda: b"", "unsupported_image"),
    Animal("I1", "one_byte", lambda: b"\xff", "unsupported_image"),
    Animal("I1", "text", lambda: b"hello, world", "unsupported_image"),
    Animal("I1", "html_404", lambda: b"<!DOCTYPE html><title>404</title>", "unsupported_image"),
    Animal("I2", "jpeg_half", lambda: cut(jpeg(), 0.5), "corrupt_image"),
    Animal("I2", "jpeg_header_cut", lambda: jpeg()[:100], "corrupt_image"),
    Animal("I2", "jpeg_mark_only", lambda: b"\xff\xd8\xff", "corrupt_image"),
    Animal("I2", "png_cut", lambda: cut(png(), 0.6), "corrupt_image"),
    Animal("I2", "png_header_cut", lambda: png()[:20], "corrupt_image"),
    Animal("I2", "png_idat_flip", lambda: flipped(png(), 120), "corrupt_image"),
    Animal("I2", "png_ihdr_crc", lambda: flipped(png(), 30), "corrupt_image"),
    Animal("I2", "gif_cut", lambda: cut(saved(photo(), "GIF"), 0.3), "corrupt_image"),
    Animal("I2", "webp_cut", lambda: cut(saved(photo(), "WEBP"), 0.5), "corrupt_image"),
    Animal("I2", "bmp_cut", lambda: cut(saved(photo(), "BMP"), 0.5), "corrupt_image"),
    Animal("I3", "png_50000", lambda: flat_png(50_000, 50_000), "too_many_pixels"),
    Animal("I3", "jpeg_65535", lambda: jpeg_of_size(65_535, 65_535), "too_many_pixels"),
    Animal("I4", "png_13000", lambda: flat_png(13_000, 13_000), "too_many_pixels"),
    Animal("I5", "png_1x60000", lambda: flat_png(1, 60_000), "bad_aspect"),
    Animal("I5", "png_60000x1", lambda: flat_png(60_000, 1), "bad_aspect"),
    Animal("I5", "png_1x1", lambda: flat_png(1, 1), None),
    Animal("I5", "jpeg_27x257", lambda: jpeg(photo(27, 257)), None),
    Animal("I5", "png_0x9", lambda: flat_png(0, 9), "corrupt_image"),
    Animal("I9", "gif_10000_frames", lambda: gif(10_000), None),
    Animal("I9", "apng", lambda: animation("PNG"), None),
    Animal("I11", "exif_99", lambda: with_exif(exif(99)), None),
    Animal("I11", "exif_garbage", lambda: with_exif(b"\xde\xad\xbe\xef" * 500), None),
    Animal("I11", "exif_loop", lambda: with_exif(looping_exif()), None),
    Animal("I11", "exif_short", lambda: with_exif(b"MM\0*\xff\xff\xff\xff"), None),
    Animal("I13", "png_1_bit", lambda: flat_png(64, 64), None),
    Animal("I15", "webp_animated", lambda: animation("WEBP"), None),
    Animal("I15", "gif_animated", lambda: animation("GIF"), None),
    Animal("I16", "tiff", tiff, None),
    Animal("I16", "tiff_grey", lambda: tiff("L"), None),
    Animal("I16", "bigtiff", lambda: b"II\x2b\0\x08\0\0\0" + bytes(64), "corrupt_image"),
    Animal("I17", "icc_broken", lambda: with_segments(jpeg(), icc(60_000)), None),
    Animal("I17", "icc_10_mb", lambda: with_segments(jpeg(), icc(10_000_000)), "metadata_too_large"),
    Animal(
        "I17",
        "ztxt_50_mb",
        lambda: with_chunks(png(), chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(50_000_000), 9))),
        "metadata_too_large",
    ),
    Animal("I17", "png_10k_texts", lambda: with_chunks(png(), texts(10_000)), "metadata_too_large"),
    Animal("I17", "png_broken_icc", lambda: with_chunks(png(), chunk(b"iCCP", b"p\0\0nonsense")), None),
    Animal("I18", "heic", lambda: b"\0\0\0\x18ftypheic" + bytes(64), "corrupt_image"),
    Animal("I18", "avif", lambda: b"\0\0\0\x18ftypavif" + bytes(64), "corrupt_image"),
    Animal("I19", "svg_href", lambda: SVG, "unsupported_image"),
    Animal("I19", "svg_xxe", lambda: XXE, "unsupported_image"),
    Animal("I20", "eps", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unsupported_image"),
    Animal("I20", "pdf", lambda: b"%PDF-1.7\n", "corrupt_image"),
    Animal("I20", "fits", lambda: b"SIMPLE  =                    T".ljust(2880), "unsupported_image"),
    Animal("I20", "psd", lambda: b"8BPS\0\1" + bytes(64), "unsupported_image"),
    Animal("I20", "dds", lambda: b"DDS |\0\0\0" + bytes(128), "unsupported_image"),
    Animal("I20", "mcidas", lambda: b"\0\0\0\0\0\0\0\x04" + bytes(256), "unsupported_image"),
    Animal("I20", "fpx", lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "unsupported_image"),
    Animal("I21", "jpeg_zip", lambda: jpeg() + zip_tail(), None),
    Animal("I21", "gif_js", lambda: b"GIF89a=1;alert(1);//", "corrupt_image"),
    Animal("I21", "png_5_mb_tail", lambda: png() + bytes(5_000_000), None),
    Animal("I22", "tiff_named_png", tiff, None),
)


def deep_text(image: Image.Image) -> bytes:
    """A PNG with a harmless text part."""
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "ignore the question")
    return saved(image, "PNG", pnginfo=info)


def main() -> None:
    """Write every animal to a folder."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for animal in ZOO:
        (folder / f"{animal.row}-{animal.name}").write_bytes(animal.make())


if __name__ == "__main__":
    main()
