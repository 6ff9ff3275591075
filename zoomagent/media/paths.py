"""Names of files as people and programs write them: plain paths, `~/...` and `file:` URIs (RFC 8089), as one path.

Nothing is opened or looked for here, and nothing is allowed: `spool.py` checks where a path leads.
"""

import os
from pathlib import Path
from urllib.parse import unquote

from zoomagent.errors import FetchRefused


def is_file_uri(text: str) -> bool:
    """Whether the text names a file of this or another machine by a URI."""
    return text[:5].lower() == "file:"


def local_path(text: str) -> Path:
    """The path that is meant. FetchRefused for a file of another machine."""
    if not is_file_uri(text):
        return Path(os.path.expanduser(text) if text.startswith("~/") else text)
    rest = text[5:]
    if rest.startswith("//"):
        host, slash, rest = rest[2:].partition("/")
        if host.lower() not in ("", "localhost") or not slash:
            raise FetchRefused("A file: address names a file of this machine: file:///folder/picture.jpg.")
        rest = slash + rest
    return Path(unquote(rest))
