"""`data:` URLs as RFC 2397 writes them, strictly but for white space in base64; anything else is refused.

Base64 is read slice by slice, so that other threads get their turn and little memory is touched, and by pydantic's
reader, which takes a quarter of the time of Python's own. Percent encoding, which no program writes pictures in, costs
much more for a byte and is bounded by a limit of its own.
"""

import re
from collections.abc import Iterator
from string import ascii_letters, digits, hexdigits

from pydantic import ConfigDict, TypeAdapter, ValidationError

from zoomagent.errors import InputRefused
from zoomagent.media.limits import Limits

MAX_PERCENT = 300_000
"""Characters of a data URL that is not base64 (ours)."""
MAX_ESCAPED = 16_000_000
"""Characters of one that is, where some are written as %2B, %2F or %3D (ours)."""

_HEAD = re.compile(r"data:[^,]{0,1024},", re.IGNORECASE)
_PLAIN = (ascii_letters + digits + "!$&'()*+,-./:;=?@_~").encode()
_BYTE = {(high + low).encode(): bytes([int(high + low, 16)]) for high in hexdigits for low in hexdigits}
_WHITE = " \t\r\n"
"""`base64 picture.png` breaks lines."""
_ESCAPES = {"%2B": "+", "%2F": "/", "%3D": "=", "%0A": "", "%0D": ""}
_SLICE = 1 << 19
_BASE64 = TypeAdapter(bytes, config=ConfigDict(val_json_bytes="base64"))


def data_url_blocks(url: str, limits: Limits) -> Iterator[bytes]:
    """The bytes of `data:[type][;name=value]*[;base64],data`, part by part. The type is not believed."""
    head = _HEAD.match(url)
    if head is None:
        raise _bad("it has no comma after a short head")
    is_base64 = head.group()[:-1].lower().endswith(";base64")
    count = len(url) - head.end()
    limits.check_bytes(count * 3 // 4 if is_base64 else count // 3)
    if not is_base64 and count > MAX_PERCENT:
        text = f"A data URL without ;base64 has at most {MAX_PERCENT} characters. Write data:image/png;base64,..."
        raise InputRefused(text, code="too_many_bytes")
    if is_base64 and count > MAX_ESCAPED and "%" in url:
        text = f"A data URL with %2B, %2F or %3D has at most {MAX_ESCAPED} characters. Write + / = as they are."
        raise InputRefused(text, code="too_many_bytes")
    if is_base64:
        return _decode_base64(url, head.end())
    return iter([_decode_percent(url[head.end() :])])


def _decode_base64(text: str, start: int) -> Iterator[bytes]:
    rest, padded = "", False
    lines = any(white in text for white in _WHITE)
    for at in range(start, len(text), _SLICE):
        part = rest + text[at : at + _SLICE]
        cut = part.rfind("%", max(0, len(part) - 2))  # an escape may go on in the next part
        part, tail = (part[:cut], part[cut:]) if cut >= 0 else (part, "")
        if "%" in part:
            for written, meant in _ESCAPES.items():
                part = part.replace(written, meant).replace(written.lower(), meant)
        for white in _WHITE if lines else "":
            part = part.replace(white, "")
        # Whole groups of four characters, and what is left for the next part.
        fours = len(part) // 4 * 4
        part, rest = part[:fours], part[fours:] + tail
        if padded or not part.isascii() or "-" in part or "_" in part:
            raise _bad("its base64 is broken")
        padded = part.endswith("=")
        try:
            yield _BASE64.validate_strings(part, strict=True)
        except ValidationError:
            raise _bad("its base64 is broken") from None  # the error holds the text
    if rest:
        raise _bad("its base64 is cut off")


def _decode_percent(text: str) -> bytes:
    if not text.isascii():
        raise _bad("it holds characters that are not ASCII")
    first, *others = text.encode().split(b"%")
    try:
        plain = [first, *(_BYTE[part[:2]] + part[2:] for part in others)]
    except KeyError as error:
        raise _bad("a % stands before what is no number") from error
    if first.translate(None, _PLAIN) or any(part[2:].translate(None, _PLAIN) for part in others):
        raise _bad("it holds characters that must be written as %XX")
    return b"".join(plain)


def _bad(why: str) -> InputRefused:
    return InputRefused(f"This data URL cannot be read: {why}. Write data:image/png;base64,...", code="bad_data_url")
