"""`data:` URLs as RFC 2397 writes them, strictly but for white space in base64; anything else is refused.

Base64 is read slice by slice, so that other threads get their turn. Percent encoding, which no program writes pictures
in, costs much more for a byte and is bounded by a limit of its own.
"""

import binascii
import re
from string import ascii_letters, digits, hexdigits

from zoomagent.errors import InputRefused
from zoomagent.media.limits import Limits

MAX_PERCENT = 300_000
"""Characters of a data URL that is not base64 (ours)."""

_HEAD = re.compile(r"data:[^,]{0,1024},", re.IGNORECASE)
_PLAIN = (ascii_letters + digits + "!$&'()*+,-./:;=?@_~").encode()
_BYTE = {(high + low).encode(): bytes([int(high + low, 16)]) for high in hexdigits for low in hexdigits}
_WHITE = b" \t\r\n"
_SLICE = 1 << 20


def decode_data_url(url: str, limits: Limits) -> bytes:
    """The bytes of `data:[type][;name=value]*[;base64],data`. The type is not believed."""
    head = _HEAD.match(url)
    if head is None:
        raise _bad("it has no comma after a short head")
    is_base64 = head.group()[:-1].lower().endswith(";base64")
    count = len(url) - head.end()
    limits.check_bytes(count * 3 // 4 if is_base64 else count // 3)
    if not is_base64 and count > MAX_PERCENT:
        text = f"A data URL without ;base64 has at most {MAX_PERCENT} characters. Write data:image/png;base64,..."
        raise InputRefused(text, code="too_many_bytes")
    try:
        body = url[head.end() :].encode("ascii")
    except UnicodeEncodeError as error:
        raise _bad("it holds characters that are not ASCII") from error
    return _from_base64(body) if is_base64 else _from_percent(body)


def _from_base64(body: bytes) -> bytes:
    if b"%" in body:
        for written, meant in (b"%2B", b"+"), (b"%2F", b"/"), (b"%3D", b"="), (b"%0A", b""), (b"%0D", b""):
            body = body.replace(written, meant).replace(written.lower(), meant)
    body = body.translate(None, _WHITE)  # `base64 picture.png` breaks lines
    padding = body.find(b"=")
    if len(body) % 4 or 0 <= padding < len(body) - 2:
        raise _bad("its base64 is broken")
    try:
        slices = (body[at : at + _SLICE] for at in range(0, len(body), _SLICE))
        return b"".join(binascii.a2b_base64(part, strict_mode=True) for part in slices)
    except binascii.Error as error:
        raise _bad("its base64 is broken") from error


def _from_percent(body: bytes) -> bytes:
    first, *others = body.split(b"%")
    try:
        plain = [first, *(_BYTE[part[:2]] + part[2:] for part in others)]
    except KeyError as error:
        raise _bad("a % stands before what is no number") from error
    if first.translate(None, _PLAIN) or any(part[2:].translate(None, _PLAIN) for part in others):
        raise _bad("it holds characters that must be written as %XX")
    return b"".join(plain)


def _bad(why: str) -> InputRefused:
    return InputRefused(f"This data URL can not be read: {why}. Write data:image/png;base64,...", code="bad_data_url")
