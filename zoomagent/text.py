"""Text from outside (models, servers, files, errors) as every store, page and terminal takes it.

    storable(reply)            no half characters, and no more than a reply can be

Pure. Left out: what people see of it on a terminal (`terminal.py` spells controls out).
"""

MAX_TEXT = 64 * 1024
"""Characters of a text from outside that are kept (ours): a server that ignores `max_tokens` must not fill the
checkpoints."""


def storable(text: str, most: int = MAX_TEXT) -> str:
    """At most `most` characters of `text`, with U+FFFD for half characters (lone surrogates): UTF-8 has none."""
    kept = text[:most]
    return kept if kept.isascii() else kept.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
