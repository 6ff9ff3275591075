"""`data:` URLs as RFC 2397 writes them, strictly; anything else is refused."""

import base64
import binascii
import re

from zoomagent.errors import InputRefused
from zoomagent.media.limits import Limits

_HEAD = re.compile(r"data:[^,]{0,1024},", re.IGNORECASE)
_PLAIN = re.compile(r"(?:[!$&-;=?-Z_a-z~]|%[0-9A-Fa-f]{2})*")


def decode_data_url(url: str, limits: Limits) -> bytes:
    """The bytes of `data:[type][;name=value]*[;base64],data`. The type is not believed."""
    head = _HEAD.match(url)
    if head is None:
        raise _bad("it has no comma after a short head")
    is_base64 = head.group()[:-1].lower().endswith(";base64")
    count = len(url) - head.end()
    limits.check_bytes(count * 3 // 4 if is_base64 else count // 3)
    body = url[head.end() :]
    return _from_base64(body) if is_base64 else _from_percent(body)


def _from_base64(body: str) -> bytes:
    plain = body.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=")
    if plain.endswith("===") or len(plain) % 4:
        raise _bad("its base64 is broken")
    try:
        return base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _bad("its base64 is broken") from error


def _from_percent(body: str) -> bytes:
    if not _PLAIN.fullmatch(body):
        raise _bad("it holds characters that must be written as %XX")
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m.group(1), 16)]), body.encode("ascii"))


def _bad(why: str) -> InputRefused:
    return InputRefused(f"This data URL can not be read: {why}. Write data:image/png;base64,...", code="bad_data_url")
