"""PNG headers: chunks are walked, checksums are checked, text bombs are weighed without being blown up."""

import contextlib
import zlib
from dataclasses import dataclass

from zoomagent.geometry import Size
from zoomagent.media.decoding.exif import orientation_of
from zoomagent.media.decoding.header_types import Cursor, Header, corrupt

_BLOCK = 1 << 20
_KEPT = 1 << 16
_METADATA = (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"iCCP")


@dataclass
class _Found:
    """What the walk has seen so far."""

    ihdr: bytes = b""
    trns: bool = False
    orientation: int = 1
    frames: int = 1
    icc: bool = False
    ended: bool = False
    damaged: str = ""


def read_png(cursor: Cursor) -> Header:
    """Size, channels (`layout` is colour type, depth, `t` for tRNS, `i` for interlaced) and metadata."""
    cursor.skip(8)
    found = _Found()
    while not found.ended and len(head := cursor.maybe(8)) == 8:
        cursor.step()
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if not found.ihdr and (name != b"IHDR" or length != 13):
            raise corrupt("its header is broken")
        # The chunk's first 64 kB, and whether it is whole and its checksum right.
        checksum, kept, left = zlib.crc32(name), b"", length
        while left and (block := cursor.maybe(min(left, _BLOCK))):
            checksum, kept, left = zlib.crc32(block, checksum), kept or block[:_KEPT], left - len(block)
        body, sound = kept, left == 0 and cursor.maybe(4) == checksum.to_bytes(4, "big")
        if name in _METADATA:
            cursor.weigh(length + _count_unfolded(name, body, cursor.left))
        if name == b"IHDR" and not found.ihdr:
            if not sound:
                raise corrupt("its header's checksum is wrong")
            found.ihdr = body
        elif name in (b"PLTE", b"IDAT", b"tRNS", b"IEND") and not sound:
            found.damaged = found.damaged or "a part of it is cut or changed"
        elif name == b"eXIf":
            found.orientation = orientation_of(body)
        elif name == b"acTL" and length == 8:
            found.frames = max(1, int.from_bytes(body[:4], "big"))
        found.icc = found.icc or name == b"iCCP"
        found.trns = found.trns or name == b"tRNS"
        found.ended = name == b"IEND"
    if len(found.ihdr) != 13:
        raise corrupt("its header is broken")
    size = Size(int.from_bytes(found.ihdr[:4], "big"), int.from_bytes(found.ihdr[4:8], "big"))
    depth, colour, interlaced = found.ihdr[8], found.ihdr[9], found.ihdr[12]
    layout = f"{colour}-{depth}{'t' if found.trns else ''}{'i' if interlaced else ''}"
    damaged = found.damaged or ("" if found.ended else "it ends too early")
    return Header("PNG", size, layout, found.orientation, found.frames, found.icc, damaged)


def _count_unfolded(name: bytes, body: bytes, most: int) -> int:
    """How many bytes compressed text or a profile unfolds to, as far as its first 64 kB tell. Stops above `most`."""
    keyword, _, rest = body.partition(b"\0")
    if name == b"iTXt" and rest[:1] == b"\1":
        rest = b"\0" + rest[2:].split(b"\0", 2)[-1]
    elif name not in (b"zTXt", b"iCCP"):
        return 0
    unfolding, total, rest = zlib.decompressobj(), 0, rest[1:]
    with contextlib.suppress(zlib.error):  # what unfolded before it broke counts
        while rest and total <= most:
            total += len(unfolding.decompress(rest, _KEPT))
            rest = unfolding.unconsumed_tail
    return total
