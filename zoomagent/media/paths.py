"""Names of files as people and programs write them: plain paths, `~/...` and `file:` URIs (RFC 8089), as one path.

Nothing is opened or looked for here, and nothing is allowed: `spool.py` checks where a path leads.
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from zoomagent.errors import FetchRefused
from zoomagent.text import storable


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


LONGEST = 200
"""Characters of a name that are kept (ours)."""


def file_name(source: Any) -> str:
    """The file's name, or "" where the source is none."""
    if isinstance(source, Path):
        return storable(source.name)[:LONGEST]
    if not isinstance(source, str) or source[:5].lower() == "data:":
        return ""
    if source[:8].lower().startswith(("http://", "https://", "file:/")):
        try:
            path = urlsplit(source).path
        except ValueError:
            return ""
        return storable(_last(unquote(path)))[:LONGEST]
    return storable(_last(source))[:LONGEST]


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
