"""TIFF and BigTIFF headers: the chain of pages is walked, a page's reduced copies are found, nothing is decoded.

A page is a directory of the main chain that is no reduced copy of another. Its copies (a pyramid) are those that
follow it in the chain, or that its SubIFDs tag names. Left out: everything else that a TIFF may say (places on the
Earth, units, colours' exact meaning): it changes no pixel.
"""

import struct
from dataclasses import dataclass

from zoomagent.geometry import Size
from zoomagent.media.decoding.header_types import Cursor, Header, Level, corrupt

MAX_PAGES = 10_000
"""Pages are not counted further (ours)."""
_MAX_TAGS, _MAX_COPIES = 1000, 32

_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 13: 4, 16: 8, 17: 8, 18: 8}
_LETTER = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_KIND, _WIDTH, _HEIGHT, _BITS, _INK, _TURN, _SAMPLES = 254, 256, 257, 258, 262, 274, 277
_TILE, _COPIES, _EXTRA, _FORMAT, _ICC = 322, 330, 338, 339, 34675
_WANTED = (_KIND, _WIDTH, _HEIGHT, _BITS, _INK, _TURN, _SAMPLES, _TILE, _COPIES, _EXTRA, _FORMAT)
_REDUCED, _CMYK = 1, 5


@dataclass(frozen=True)
class _Layout:
    """How this file writes its numbers: byte order, and 8 bytes instead of 4 where it is a BigTIFF."""

    order: str
    big: bool


@dataclass(frozen=True)
class _Directory:
    """One picture of the file: `index` is its place in the main chain, or in its page's SubIFDs."""

    index: int
    tags: dict[int, tuple[int, ...]]
    icc: bool = False

    def one(self, tag: int, otherwise: int) -> int:
        return (self.tags.get(tag) or (otherwise,))[0]

    @property
    def size(self) -> Size:
        return Size(self.one(_WIDTH, 0), self.one(_HEIGHT, 0))

    @property
    def reduced(self) -> bool:
        return bool(self.one(_KIND, 0) & _REDUCED)


def read_tiff(cursor: Cursor, frame: int) -> Header:
    """The header of page `frame`, counted from 0; of the first where there is no such page."""
    order = "<" if cursor.take(2) == b"II" else ">"
    version = _number(cursor, order, "H")
    if version == 43 and _number(cursor, order, "I") != 8:
        raise corrupt("its header is broken")
    layout = _Layout(order, version == 43)
    # The directories of the main chain. One that names an earlier one as its next ends it.
    cursor.place = 8 if layout.big else 4
    place, seen, found = _number(cursor, layout.order, "Q" if layout.big else "I"), set[int](), list[_Directory]()
    while place and place not in seen and len(found) < MAX_PAGES:
        seen.add(place)
        found.append(_directory(cursor, layout, place, len(found)))
        place = _number(cursor, layout.order, "Q" if layout.big else "I")
    if not found:
        raise corrupt("it holds no page")
    chain = found
    pages = [directory for directory in chain if not directory.reduced] or chain[:1]
    page = pages[frame] if frame < len(pages) else pages[0]
    bits = max(page.tags.get(_BITS, (1,)))
    samples, number = page.one(_SAMPLES, 1), page.one(_FORMAT, 1)
    colours = samples - len(page.tags.get(_EXTRA, ()))
    words = f"{samples}-{bits}{'f' if number == 3 else 's' if number == 2 else 'u'}"
    words += "a" if 0 < colours < samples <= 4 else ""
    words += "k" if page.one(_INK, 1) == _CMYK else ""
    turn = page.one(_TURN, 1)
    return Header(
        "TIFF",
        page.size,
        words + (" tiled" if page.one(_TILE, 0) else ""),
        turn if 1 <= turn <= 8 else 1,
        len(pages),
        page.icc,
        levels=_levels(cursor, layout, chain, page),
    )


def _directory(cursor: Cursor, layout: _Layout, place: int, index: int) -> _Directory:
    """The directory at `place`; the cursor is left where the place of the next one stands."""
    cursor.step()
    cursor.place = place
    count = _number(cursor, layout.order, "Q" if layout.big else "H")
    if count > _MAX_TAGS:
        raise corrupt("its header is broken")
    entry, room = (20, 8) if layout.big else (12, 4)
    block, tags, icc = cursor.take(entry * count), dict[int, tuple[int, ...]](), False
    following = cursor.place
    for at in range(0, len(block), entry):
        tag, kind = struct.unpack(f"{layout.order}HH", block[at : at + 4])
        number = int.from_bytes(block[at + 4 : at + 4 + room], "little" if layout.order == "<" else "big")
        length = number * _BYTES.get(kind, 1)
        icc = icc or tag == _ICC
        if tag in _WANTED and kind in _LETTER and 0 < number <= _MAX_COPIES:
            body = block[at + entry - room : at + entry]
            if length > room:
                cursor.place = int.from_bytes(body, "little" if layout.order == "<" else "big")
                body = cursor.take(length)
            tags[tag] = struct.unpack(f"{layout.order}{number}{_LETTER[kind]}", body[:length])
    cursor.place = following
    return _Directory(index, tags, icc)


def _levels(cursor: Cursor, layout: _Layout, chain: list[_Directory], page: _Directory) -> tuple[Level, ...]:
    """The page and its reduced copies, largest first. A copy of another shape is something else: a label, a photo."""
    found = [Level(page.index, -1, page.size)]
    for index, place in enumerate(page.tags.get(_COPIES, ())):
        copy = _directory(cursor, layout, place, index)
        found.append(Level(page.index, index, copy.size))
    following = chain[page.index + 1 :]
    for directory in following[:_MAX_COPIES]:
        if not directory.reduced:
            break
        found.append(Level(directory.index, -1, directory.size))
    alike, whole = list[Level](), page.size
    for level in found[1:]:
        # The same picture made smaller has sides in proportion, to two pixels of the copy.
        size = level.size
        smaller = 0 < size.width < whole.width and 0 < size.height < whole.height
        if smaller and abs(size.width - whole.width * size.height / whole.height) <= 2 + whole.width / whole.height:
            alike.append(level)
    return (found[0], *sorted(alike, key=lambda level: -level.size.pixels))


def _number(cursor: Cursor, order: str, letter: str) -> int:
    return int(struct.unpack(f"{order}{letter}", cursor.take(struct.calcsize(f"={letter}")))[0])
