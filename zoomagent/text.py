"""Text from outside (models, servers, files, errors) as every store, page and terminal takes it.

    storable(reply)            no half characters, and no more than a reply can be
    printable(reply)           nothing that moves, hides or colours what stands around it

Pure. Left out: markup of terminals and pages, which must not read such text at all.
"""

import unicodedata

MAX_TEXT = 64 * 1024
"""Characters of a text from outside that are kept (ours): a server that ignores `max_tokens` must not fill the
checkpoints."""


def storable(text: str, most: int = MAX_TEXT) -> str:
    """At most `most` characters of `text`, with U+FFFD for half characters (lone surrogates): UTF-8 has none."""
    kept = text[:most]
    return kept if kept.isascii() else kept.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def printable(text: str) -> str:
    """`text` with everything that could move, hide or colour other text spelled out as an escape."""
    pieces = []
    for character in text:
        category = unicodedata.category(character)
        if category[0] != "C" and category not in ("Zl", "Zp"):
            pieces.append(character)
        elif character in "\n\t\r":
            pieces.append({"\n": "\\n", "\t": "\\t", "\r": "\\r"}[character])
        else:
            pieces.append(f"\\x{ord(character):02x}" if ord(character) < 0x100 else f"\\u{ord(character):04x}")
    return "".join(pieces)
