"""open_video: a file, bytes or a `data:` URL that is a clip -> Video, or InputRefused with a stable code.

The bytes are spooled (read once). What they are is found by their first bytes here, and the decoder is told: mp4 and
mov, mkv and webm, avi. Nothing else is a video, whatever its name says. Addresses are never fetched. Needs the extra
`video`.
"""

import contextlib
import os
import re
from importlib.util import find_spec
from pathlib import Path

from zoomagent.errors import FetchRefused, InputRefused
from zoomagent.media.data_url import data_url_blocks
from zoomagent.media.limits import Limits
from zoomagent.media.paths import is_file_uri, local_path
from zoomagent.media.spool import Spool, regular_file, spool_blocks, spool_bytes, spool_path
from zoomagent.media.video.decoded import probed
from zoomagent.media.video.limits import VideoLimits
from zoomagent.media.video.video import Video

START = 64
"""Bytes by which a format is known."""
_STILL = rb"....ftyp(avif|avis|hei[cxms]|hev[cxms]|mif1|msf1)"
_SIGNS = (
    ("mov", rb"....(ftyp|moov|mdat|wide|free|skip)"),
    ("matroska", rb"\x1a\x45\xdf\xa3"),
    ("avi", rb"RIFF....AVI "),
)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://|(https?|file|ftp|concat|pipe|data):", re.IGNORECASE)
MISSING = 'Videos and sounds need an extra. Run: pip install "zoomagent[video]"'


def format_of(start: bytes) -> str | None:
    """FFmpeg's name of the format of a clip that begins with these bytes; None for what is none."""
    if re.match(_STILL, start, re.DOTALL):
        return None
    return next((name for name, pattern in _SIGNS if re.match(pattern, start, re.DOTALL)), None)


def open_video(source: str | Path | bytes, *, limits: VideoLimits | None = None) -> Video:
    """Open `source` as a clip within `limits`."""
    limits = limits or VideoLimits()
    if not isinstance(source, str | Path | bytes):
        text = f"This {type(source).__name__} is no video. Give a path, bytes or a data: URL."
        raise InputRefused(text, code="unsupported_video")
    with contextlib.ExitStack() as unless_opened:
        spool = spool_recording(source, limits)
        unless_opened.callback(spool.close)
        format = format_of(spool.at(0, START))
        if format is None:
            text = "This is no video that zoomagent reads. Give mp4, mov, mkv, webm or avi."
            raise InputRefused(text, code="unsupported_video")
        if find_spec("av") is None:
            raise InputRefused(f"{MISSING}.", code="unsupported_video")
        video = probed(spool, format, limits)
        unless_opened.pop_all()
        return video


def first_bytes(source: str | Path | bytes, limits: Limits | None = None) -> bytes:
    """The first START bytes of a source, by which its format is known; none of what cannot be read."""
    limits = limits or Limits()
    if isinstance(source, bytes):
        return source[:START]
    try:
        if isinstance(source, str) and source[:5].lower() == "data:":
            # Of base64 only as much as holds the first bytes is decoded.
            comma = source.find(",", 0, 1100)
            is_base64 = comma >= 0 and ";base64" in source[:comma].lower()
            head = source[: comma + 1 + 4 * (START // 3)] if is_base64 else source
            return next(data_url_blocks(head, limits), b"")[:START]
        if isinstance(source, str) and _ADDRESS.match(source) and not is_file_uri(source):
            return b""
        path = local_path(source) if isinstance(source, str) else source.expanduser()
        with os.fdopen(regular_file(path, limits.roots), "rb") as file:
            return file.read(START)
    except (InputRefused, OSError, RuntimeError):
        return b""  # what is wrong is told by whoever opens it as a picture


def spool_recording(source: str | Path | bytes, limits: Limits) -> Spool:
    """The bytes of a clip or sound, read once."""
    if isinstance(source, bytes):
        return spool_bytes(source, limits)
    if isinstance(source, Path):
        return spool_path(source.expanduser() if source.parts[:1] == ("~",) else source, limits)
    if source[:5].lower() == "data:":
        return spool_blocks(data_url_blocks(source, limits), limits, len(source))
    if _ADDRESS.match(source) and not is_file_uri(source):
        raise FetchRefused("Addresses of videos and sounds are not fetched. Give the file, its bytes or a data: URL.")
    return spool_path(local_path(source), limits)
