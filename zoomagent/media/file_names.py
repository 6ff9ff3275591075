"""What a picture's file is called, for people who keep many runs. Never a folder, an address or anything secret.

    file_name("/home/ada/scans/page 3.png")                     # "page 3.png"
    file_name("https://images.example.com/a/b.jpg?token=…")     # "b.jpg"

Left out: pictures without a file (data URLs, bytes, arrays), which have no name.
"""

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from zoomagent.text import storable

LONGEST = 200
"""Characters of a name that are kept (ours)."""


def file_name(source: Any) -> str:
    """The file's name, or "" where the source is none."""
    if isinstance(source, Path):
        return storable(source.name)[:LONGEST]
    if not isinstance(source, str) or source[:5].lower() == "data:":
        return ""
    if source[:8].lower().startswith(("http://", "https://", "file:/")):
        return storable(_last(unquote(_path_of(source))))[:LONGEST]
    return storable(_last(source))[:LONGEST]


def _path_of(address: str) -> str:
    try:
        return urlsplit(address).path
    except ValueError:
        return ""


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
