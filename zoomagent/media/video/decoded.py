"""Frames of a spooled file: decoded in the worker when they are asked for, the last used kept as far as bytes allow."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from PIL import Image

from zoomagent.geometry import Size
from zoomagent.media.decoding.worker import decode, refusal
from zoomagent.media.rendering import render
from zoomagent.media.sound.decoded import decoded as decoded_sound
from zoomagent.media.sound.limits import SoundLimits
from zoomagent.media.spool import Spool
from zoomagent.media.video.limits import VideoLimits
from zoomagent.media.video.video import FrameRequest, Video

ROW_BYTES = 24
"""Of each frame: when it begins, its time stamp, and its key frame's."""
BATCH_BYTES = 128_000_000
"""Frames that one job decodes fill at most this much (ours), or are one."""
FRAME_WEIGHT = 80
"""Bytes a pixel that a decoder may need: 16 frames that others refer to, the one it makes, and what it converts."""


@dataclass(frozen=True)
class Index:
    """When each frame begins, by what time stamp a decoder knows it, and from which key frame on it is decoded."""

    times: array[int]
    stamps: array[int]
    keys: array[int]


def probed(spool: Spool, format: str, limits: VideoLimits) -> Video:
    """The spooled clip as a Video. Raises InputRefused for what is none, or is more than is allowed."""
    job = {
        "do": "probe",
        "format": format,
        "max_streams": limits.max_streams,
        "max_frames": limits.max_frames,
        "max_seconds": limits.max_seconds,
        "max_pixels": limits.max_pixels,
        "memory": limits.decode_bytes,
        "needs": 0,
        "seconds": limits.decode_seconds,
    }
    with tempfile.TemporaryFile(prefix="zoomagent-") as target:
        with spool.lent() as source_fd:
            reply = decode(job, source_fd, target.fileno())
        target.seek(0)
        data = target.read(ROW_BYTES * limits.max_frames)
    # A decoder that a file took over may say anything.
    if len(data) % ROW_BYTES:
        raise refusal("decode_crashed")
    rows = array("q", data)
    size, duration = reply.get("size"), reply.get("duration")
    notes, times = reply.get("notes"), rows[0::3]
    plain = isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)
    ordered = bool(times) and times[0] == 0 and all(a <= b for a, b in zip(times, times[1:], strict=False))
    most = 1000 * limits.max_seconds
    # A frame begins at the next whole millisecond, a clip ends at the last one.
    spans = ordered and isinstance(duration, int) and 0 < duration <= most and times[-1] <= most + 1
    if not (plain and spans and isinstance(notes, list) and len(times) == reply.get("frames")):
        raise refusal("decode_crashed")
    assert isinstance(size, list) and isinstance(duration, int)
    limits.check_size(*size)
    index = Index(times, rows[1::3], rows[2::3])
    name = hashlib.sha256(f"video {spool.digest} {format}".encode()).hexdigest()
    frames = Decoded(spool, format, Size(*size), index, limits)
    track = partial(decoded_sound, spool, format, SoundLimits(max_seconds=limits.max_seconds))
    notes = tuple(str(note) for note in notes)
    return Video(name, Size(*size), times, max(duration, times[-1] + 1), notes, frames, track)


class Decoded:
    """Satisfies `zoomagent.media.video.video.Frames`."""

    def __init__(self, spool: Spool, format: str, size: Size, index: Index, limits: VideoLimits) -> None:
        self._spool, self._format, self._size, self._index, self._limits = spool, format, size, index, limits
        self._kept: OrderedDict[int, Image.Image] = OrderedDict()
        self._lock = threading.Lock()

    def regions(self, requests: Sequence[FrameRequest]) -> Iterator[Image.Image]:
        """Each region from its frame's own pixels. Nobody decodes a frame that another thread is decoding."""
        most = max(1, min(BATCH_BYTES, self._limits.cache_bytes) // (3 * self._size.pixels))
        left = list(requests)
        while left:
            numbers = list(dict.fromkeys(number for number, _, _ in left))[:most]
            count = next((i for i, request in enumerate(left) if request[0] not in numbers), len(left))
            with self._lock:
                images = self._frames(sorted(numbers))
            for number, box, size in left[:count]:
                yield render(images[number], box.corners, size)
            left = left[count:]

    def close(self) -> None:
        with self._lock:
            self._kept.clear()
            self._spool.close()

    def _frames(self, numbers: Sequence[int]) -> dict[int, Image.Image]:
        """The frames in full size: kept ones, and the rest in one job."""
        wanted = [number for number in numbers if number not in self._kept]
        images = {number: self._kept[number] for number in numbers if number in self._kept}
        size, limits = self._size, self._limits
        job: dict[str, Any] = {
            "do": "frames",
            "format": self._format,
            "size": [size.width, size.height],
            "wanted": [[self._index.stamps[number], self._index.keys[number]] for number in wanted],
            "max_pixels": limits.max_pixels,
            "memory": limits.decode_bytes + FRAME_WEIGHT * size.pixels,
            "needs": 0,
            "seconds": limits.decode_seconds,
        }
        with tempfile.TemporaryFile(prefix="zoomagent-") as target:
            if wanted:
                with self._spool.lent() as source_fd:
                    decode(job, source_fd, target.fileno())
                target.seek(0)
            for number in wanted:
                data = target.read(3 * size.pixels)
                if len(data) != 3 * size.pixels:
                    raise refusal("decode_crashed")
                images[number] = Image.frombytes("RGB", (size.width, size.height), data)
        for number in numbers:
            self._kept[number] = images[number]
            self._kept.move_to_end(number)
        while len(self._kept) > max(1, self._limits.cache_bytes // (3 * self._size.pixels)):
            self._kept.popitem(last=False)
        return images
