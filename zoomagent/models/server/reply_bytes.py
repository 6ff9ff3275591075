"""Bytes to and from a server. Of a reply so much is read, of an error its beginning; nothing is unpacked.

    httpx2.AsyncClient(event_hooks={"response": [bound]})
    client.post(…, content=pieces(request))

Headers are not believed: bytes are counted as they come, and are UTF-8, as JSON is. Left out: what the
bytes mean (`completion.py`).
"""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx2

from zoomagent.models.server.server_errors import ReplyTooLarge

MAX_REPLY_BYTES = 8 * 1024 * 1024
"""The largest body of a reply (ours). The likelihoods of a prompt of 30,000 tokens take 6 MB."""

MAX_ERROR_BYTES = 64 * 1024
"""How much of an error's body is read (ours): its message stands at the beginning."""


HIDDEN = b"(the key)"
SECRET = 12
"""Characters from which a key is one: shorter ones (EMPTY, test) are words of replies too."""
ESCAPES = 8
"""Backslashes before one character of a key that are seen through: JSON inside JSON doubles them."""

PIECE = 256 * 1024
"""Bytes of a request that are handed over at once (ours): a whole one may hold many pictures."""

LOOKED = 32 * 1024
"""Bytes of a reply in which the key is looked for at once (ours): some milliseconds."""


async def pieces(request: bytes) -> AsyncIterator[bytes]:
    """A request piece by piece, so that other runs have their turn in between."""
    for start in range(0, len(request), PIECE):
        yield request[start : start + PIECE]


async def bound(response: httpx2.Response, hidden: str = "") -> None:
    """Count what is read of a response, before it is read. Nothing compressed was asked for, and what comes compressed
    could unpack to anything: an error's body is then left as it is, a reply is refused. `hidden` is a secret that is
    not read back where a server repeats it."""
    is_error = response.status_code >= 400
    if response.headers.pop("content-encoding", "identity").lower() != "identity" and not is_error:
        raise httpx2.DecodingError("compressed, though that was not asked for")
    response.encoding = "utf-8"  # else a header names the codec: one that raises, or that is none of text
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _BoundedStream(response.stream, is_error, hidden if len(hidden) >= SECRET else "")


def hide(text: str, secret: str) -> str:
    """`text` without a secret that was put together from parts of a reply."""
    return text.replace(secret, HIDDEN.decode()) if len(secret) >= SECRET else text


def spellings(secret: str) -> re.Pattern[bytes]:
    """The secret as JSON may write it, also in a text inside a text: any character may be escaped. Without the
    backslashes before the first, so that a reply full of backslashes costs no more than another."""
    spelled = []
    for character in secret:
        digits = "".join(f"[{digit}{digit.upper()}]" for digit in f"{ord(character):04x}")
        spelled.append(rf"(?:{re.escape(character)}|\\u{digits})")
    return re.compile(rf"\\{{0,{ESCAPES}}}".join(spelled).encode())


async def without(body: bytes, secret: re.Pattern[bytes], longest: int) -> bytes:
    """`body` without a secret that is at most `longest` bytes long however it is spelled. A bit at a time: the search
    through megabytes would hold up every other run."""
    kept, start = [], 0
    while start < len(body):
        end = start + LOOKED
        found = secret.search(body, start, end + longest)
        if found and found.start() < end:
            # Backslashes before it spelled its first character: left there, they would spell the next one.
            kept += [body[start : found.start()].rstrip(b"\\"), HIDDEN]
            end = found.end()
        else:
            kept.append(body[start:end])
        start = end
        await asyncio.sleep(0)
    return b"".join(kept)


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, is_error: bool, secret: str) -> None:
        self._inner, self._is_error, self._secret = inner, is_error, secret

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks, received = [], 0
        async for chunk in self._inner:
            received += len(chunk)
            if self._is_error and received > MAX_ERROR_BYTES:
                break
            if received > MAX_REPLY_BYTES:
                raise ReplyTooLarge(f"more than {MAX_REPLY_BYTES} bytes")
            chunks.append(chunk)
        whole = b"".join(chunks)
        longest = len(self._secret) * (ESCAPES + len(rb"\u0000"))
        yield await without(whole, spellings(self._secret), longest) if self._secret else whole

    async def aclose(self) -> None:
        await self._inner.aclose()
