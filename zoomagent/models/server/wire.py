"""Our messages as the JSON of the chat completions API. Images travel as data URLs of pixels and nothing
else.

No EXIF, ICC profile or text chunk leaves with them, and the pixels are already upright: some servers forget
to turn them. For models that pad to a square, the square is made here, so that a server that crops instead
changes nothing.
"""

import base64
import io
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from PIL import Image

from zoomagent.models.base import Message, Pixels, Text
from zoomagent.models.profiles import Profile

PADDING = (122, 116, 104)
"""CLIP's mean colour, with which LLaVA pads."""

JPEG_ABOVE = 4_000_000
"""Views of more pixels than this are sent as JPEG of quality 95; smaller ones as PNG, exact (ours)."""


class DataUrls:
    """Encodes views for any thread; the last `max_bytes` of URLs are kept, so that every turn sends the
    same bytes cheaply."""

    def __init__(self, pad_to_square: bool, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._pad = pad_to_square
        self._max_bytes = max_bytes
        self._bytes = 0
        self._one = threading.Lock()
        self._kept: OrderedDict[tuple[str, int, int], str] = OrderedDict()

    def of(self, view: Pixels) -> str:
        key = (view.key, *view.image.size)
        with self._one:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        # Not under the lock: a view takes a tenth of a second, and other runs encode theirs meanwhile.
        url = data_url(padded(view.image) if self._pad else view.image)
        with self._one:
            if key not in self._kept:
                self._kept[key] = url
                self._bytes += len(url)
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._kept.popitem(last=False)[1])
            return url


def data_url(image: Image.Image) -> str:
    """The pixels of `image`, without any of its metadata."""
    bare = Image.new("RGB", image.size)
    bare.paste(image)
    large = image.width * image.height > JPEG_ABOVE
    buffer = io.BytesIO()
    if large:
        bare.save(buffer, "JPEG", quality=95, subsampling=0)
    else:
        bare.save(buffer, "PNG", compress_level=1)
    return f"data:image/{'jpeg' if large else 'png'};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def padded(image: Image.Image) -> Image.Image:
    """`image` in the middle of a square."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), PADDING)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def to_wire(messages: Sequence[Message], urls: DataUrls) -> list[dict[str, Any]]:
    """The `messages` field of a request."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        # Plain text where there is no view: every server takes that.
        content: str | list[dict[str, Any]] = "".join(part.text for part in message.parts if isinstance(part, Text))
        if any(isinstance(part, Pixels) for part in message.parts):
            content = [wired for part in message.parts for wired in wire_parts(part, urls)]
        turn: dict[str, Any] = {"role": message.role, "content": content}
        if message.tool_call_id is not None:
            turn["tool_call_id"] = message.tool_call_id
        if message.tool_calls:
            turn["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in message.tool_calls
            ]
            turn["content"] = turn["content"] or None
        turns.append(turn)
    return turns


def wire_parts(part: Text | Pixels, urls: DataUrls) -> list[dict[str, Any]]:
    """A part of a message; behind a view its sound, as OpenAI writes it."""
    if isinstance(part, Text):
        return [{"type": "text", "text": part.text}]
    shown = {"type": "image_url", "image_url": {"url": urls.of(part)}}
    if part.wav is None:
        return [shown]
    audio = {"data": base64.b64encode(part.wav).decode(), "format": "wav"}
    return [shown, {"type": "input_audio", "input_audio": audio}]


def wire_urls(profile: Profile) -> DataUrls:
    return DataUrls(pad_to_square=profile.space == "square")
