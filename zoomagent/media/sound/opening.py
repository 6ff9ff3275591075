"""open_sound: a file, bytes or a `data:` URL with a sound -> Sound, or InputRefused with a stable code.

wav, flac, mp3 and ogg, or the own track of an mp4, mov, mkv, webm or avi, known by their first bytes. The bytes are
spooled (read once), and the decoder is told the format; addresses are never fetched. Needs the extra `video`.
"""

import re
from importlib.util import find_spec
from pathlib import Path

from zoomagent.errors import InputRefused
from zoomagent.media.sound.decoded import decoded
from zoomagent.media.sound.limits import SoundLimits
from zoomagent.media.sound.sound import Sound
from zoomagent.media.video.opening import MISSING, START, format_of, spool_recording

_SIGNS = (
    ("wav", rb"(RIFF|RF64)....WAVE"),
    ("flac", rb"fLaC"),
    ("ogg", rb"OggS"),
    ("mp3", rb"ID3[\x02-\x04]"),
    ("mov", rb"....ftyp(M4A |M4B )"),
)
_LAYERS, _NO_RATE, _NO_BITS = (0b010, 0b100), 0b1100, (0b0000_0000, 0b1111_0000)


def sound_format_of(start: bytes) -> str | None:
    """FFmpeg's name of the format of a sound that begins with these bytes; None for what is none."""
    named = next((name for name, pattern in _SIGNS if re.match(pattern, start, re.DOTALL)), None)
    return named or ("mp3" if _is_mp3_frame(start) else None)


def _is_mp3_frame(start: bytes) -> bool:
    """Whether the first four bytes are the header of an MPEG frame of layer 2 or 3, with a rate; text in UTF-16 begins
    like one of layer 1."""
    if len(start) < 4 or start[0] != 0xFF or start[1] & 0xE0 != 0xE0:
        return False
    version = start[1] & 0b11000
    known = start[1] & 0b110 in _LAYERS and version != 0b01000
    return known and (start[2] & _NO_RATE != _NO_RATE and start[2] & 0xF0 not in _NO_BITS)


def open_sound(source: str | Path | bytes, *, limits: SoundLimits | None = None) -> Sound:
    """Open `source` as a sound within `limits`; of a clip, its own track."""
    limits = limits or SoundLimits()
    if not isinstance(source, str | Path | bytes):
        text = f"This {type(source).__name__} is no sound. Give a path, bytes or a data: URL."
        raise InputRefused(text, code="unsupported_sound")
    spool = spool_recording(source, limits)
    try:
        start = spool.at(0, START)
        format = sound_format_of(start) or format_of(start)
        if format is None:
            text = "This is no sound that zoomagent reads. Give wav, flac, mp3 or ogg, or a clip with a sound."
            raise InputRefused(text, code="unsupported_sound")
        if find_spec("av") is None:
            raise InputRefused(f"{MISSING}.", code="unsupported_sound")
        return decoded(spool, format, limits)
    finally:
        spool.close()
