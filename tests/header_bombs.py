"""Small files that are much work before any pixel: seeded, of all five formats. `bombs()` gives them in turn.

Each is at most 25 MB; most are smaller, for what costs is the number of parts. What must happen to each is the same: it
is opened or refused, and the process that was given it does next to nothing.
"""

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

from zoo import chunk, flat_png, gif, jpeg, jpeg_segment, photo, saved, with_chunks, with_segments

MOST = 24_900_000
SIZES = (300_000, 2_500_000)
"""Bytes of the usual bomb; one of each kind is as large as may be."""


def filled(size: int, part: bytes) -> bytes:
    return part * max(1, size // len(part))


# PNG


def png_chunks(size: int, seed: random.Random, name: bytes, length: int) -> bytes:
    return with_chunks(flat_png(64, 64), filled(size, chunk(name, seed.randbytes(length))))


def png_unfolding(size: int, seed: random.Random, name: bytes, each: int) -> bytes:
    """Parts that unfold a thousandfold; every second one breaks at its end."""
    packed = zlib.compress(bytes(each), 9)
    head = b"k\0\0" if name != b"iTXt" else b"k\0\1\0\0\0"
    broken = packed[:-4] + b"\0\0\0\0"
    part = chunk(name, head + broken) + chunk(name, head + packed)
    return with_chunks(flat_png(64, 64), part * max(1, min(499, size // len(part))))


def png_pieces(size: int, seed: random.Random, length: int) -> bytes:
    """Pixels in very many parts."""
    data = flat_png(64, 64)
    at = data.index(b"IDAT") - 4
    return data[:at] + filled(size, chunk(b"IDAT", bytes(length))) + data[at:]


def png_frames(size: int, seed: random.Random, frames: int) -> bytes:
    control = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 64, 64, 0, 0, 1, 1, 0, 0))
    return with_chunks(flat_png(64, 64), chunk(b"acTL", struct.pack(">II", frames, 0)) + filled(size, control))


def png_claims(size: int, seed: random.Random, length: int) -> bytes:
    """A part that says it is much longer than the file."""
    return flat_png(64, 64)[:33] + struct.pack(">I", length) + b"zTXt" + bytes(size)


# JPEG


def jpeg_parts(size: int, seed: random.Random, marker: int, length: int) -> bytes:
    return with_segments(jpeg(photo(64, 64)), filled(size, jpeg_segment(marker, seed.randbytes(length))))


def jpeg_fill(size: int, seed: random.Random, run: int) -> bytes:
    return with_segments(jpeg(photo(64, 64)), filled(size, b"\xff" * run + jpeg_segment(0xDB, b"")))


def jpeg_exifs(size: int, seed: random.Random, entries: int) -> bytes:
    """Directories of very many entries, none of which is the orientation."""
    block = b"MM\0*" + struct.pack(">IH", 8, entries) + bytes(12 * min(entries, 5000))
    return with_segments(jpeg(photo(64, 64)), filled(size, jpeg_segment(0xE1, b"Exif\0\0" + block)))


def jpeg_scans(size: int, seed: random.Random, scans: int) -> bytes:
    """One picture's scan again and again."""
    data = jpeg(photo(64, 64), progressive=True)
    at = data.rindex(b"\xff\xda")
    return data[:at] + data[at:-2] * min(scans, size // len(data[at:-2])) + b"\xff\xd9"


# GIF


def gif_extensions(size: int, seed: random.Random, label: int, length: int) -> bytes:
    part = bytes([0x21, label]) + (bytes([length]) + bytes(length) if length else b"") + b"\0"
    return gif(1)[:19] + filled(size, part) + gif(1)[19:]


def gif_sub_blocks(size: int, seed: random.Random, length: int) -> bytes:
    data = gif(1)
    return data[:30] + filled(size, bytes([length]) + bytes(length)) + b"\0;"


def gif_frames(size: int, seed: random.Random, side: int) -> bytes:
    return gif(max(1, size // 17), side)


# WebP and BMP


def webp_chunks(size: int, seed: random.Random, name: bytes, length: int) -> bytes:
    still = saved(photo(64, 64), "WEBP", lossless=True)[12:]
    head = b"VP8X" + struct.pack("<IIHBHB", 10, 0x2C, 63, 0, 63, 0)
    part = name + struct.pack("<I", length) + bytes(length + length % 2)
    body = b"WEBP" + head + filled(size, part) + still
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_claims(size: int, seed: random.Random, length: int) -> bytes:
    data = saved(photo(64, 64), "WEBP", lossless=True)
    return data[:16] + struct.pack("<I", length) + data[20:] + bytes(size)


def bmp_claims(size: int, seed: random.Random, colours: int) -> bytes:
    data = bytearray(saved(photo(64, 64), "BMP"))
    data[46:50] = struct.pack("<I", colours)
    return bytes(data) + bytes(size)


def bmp_runs(size: int, seed: random.Random, run: bytes) -> bytes:
    """Compressed rows that go nowhere."""
    data, palette = filled(size, run), bytes(1024)
    start = 54 + len(palette)
    head = struct.pack("<IiiHHIIiiII", 40, 64, 64, 1, 8, 1, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + palette + data


Bomb = Callable[[int, random.Random], bytes]

KINDS: dict[str, Bomb] = {
    **{
        f"png {name.decode()} {length}": partial(png_chunks, name=name, length=length)
        for name in (b"tEXt", b"iTXt", b"zTXt", b"iCCP", b"eXIf", b"prVt", b"tIME", b"sPLT", b"PLTE", b"tRNS")
        for length in (0, 3, 900)
    },
    **{
        f"png unfolding {name.decode()} {each}": partial(png_unfolding, name=name, each=each)
        for name in (b"zTXt", b"iTXt", b"iCCP")
        for each in (50_000, 8_000_000)
    },
    **{f"png pieces {length}": partial(png_pieces, length=length) for length in (0, 1, 7)},
    **{f"png frames {frames}": partial(png_frames, frames=frames) for frames in (2, 2**31 - 1)},
    **{f"png claims {length}": partial(png_claims, length=length) for length in (2**31 - 1, 2**32 - 1)},
    **{
        f"jpeg {marker:X} {length}": partial(jpeg_parts, marker=marker, length=length)
        for marker in (0xDB, 0xC4, 0xDD, 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE, 0xF0)
        for length in (0, 5, 4000)
    },
    **{f"jpeg fill {run}": partial(jpeg_fill, run=run) for run in (1, 63, 64, 70)},
    **{f"jpeg exif {entries}": partial(jpeg_exifs, entries=entries) for entries in (5000, 65_535)},
    **{f"jpeg scans {scans}": partial(jpeg_scans, scans=scans) for scans in (200,)},
    **{
        f"gif extension {label:X} {length}": partial(gif_extensions, label=label, length=length)
        for label in (0xF9, 0xFE, 0xFF, 0x01, 0x00)
        for length in (0, 1, 200)
    },
    **{f"gif sub-blocks {length}": partial(gif_sub_blocks, length=length) for length in (1, 2, 255)},
    **{f"gif frames {side}": partial(gif_frames, side=side) for side in (1, 300)},
    **{
        f"webp {name.decode()} {length}": partial(webp_chunks, name=name, length=length)
        for name in (b"EXIF", b"XMP ", b"ICCP", b"ANMF", b"ALPH", b"junk")
        for length in (0, 1, 900)
    },
    **{f"webp claims {length}": partial(webp_claims, length=length) for length in (2**31, 2**32 - 2)},
    **{f"bmp claims {colours}": partial(bmp_claims, colours=colours) for colours in (257, 2**31)},
    **{f"bmp runs {run.hex()}": partial(bmp_runs, run=run) for run in (b"\0\2\0\0", b"\1\1", b"\0\0")},
}

LARGEST = (
    "png prVt 0",
    "png unfolding zTXt 8000000",
    "jpeg DB 0",
    "gif extension F9 0",
    "gif sub-blocks 1",
    "webp junk 0",
)
"""Those that took longest before headers were bounded: also as large as may be."""


def bombs() -> Iterator[tuple[str, bytes]]:
    """Every bomb with its name."""
    for name, make in KINDS.items():
        for size in SIZES:
            yield f"{name} in {size}", make(size, random.Random(f"{name} {size}"))
    for name in LARGEST:
        yield f"{name} in {MOST}", KINDS[name](MOST, random.Random(name))
