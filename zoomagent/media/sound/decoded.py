"""The samples of a spooled file: decoded once, in the worker, into a file without a name that is read in parts."""

import contextlib
import hashlib
import os
import tempfile
from typing import IO

import numpy as np

from zoomagent.media.decoding.worker import decode, refusal
from zoomagent.media.sound.limits import SoundLimits
from zoomagent.media.sound.sound import Sound
from zoomagent.media.sound.spectrum import RATE, Array
from zoomagent.media.spool import Spool

WIDTH = 2
"""Bytes of a sample."""


def decoded(spool: Spool, format: str, limits: SoundLimits) -> Sound:
    """The sound of a spooled file, which may be closed then. Raises InputRefused for what holds none, or more than is
    allowed."""
    job = {
        "do": "sound",
        "format": format,
        "rate": RATE,
        "max_streams": limits.max_streams,
        "max_seconds": limits.max_seconds,
        "max_channels": limits.max_channels,
        "min_rate": limits.min_rate,
        "max_rate": limits.max_rate,
        "max_packets": limits.max_packets,
        "memory": limits.decode_bytes,
        "needs": 0,
        "seconds": limits.decode_seconds,
    }
    with contextlib.ExitStack() as unless_opened:
        target = unless_opened.enter_context(tempfile.TemporaryFile(prefix="zoomagent-"))
        with spool.lent() as source_fd:
            reply = decode(job, source_fd, target.fileno())
        count = reply.get("samples")
        # A decoder that a file took over may say anything.
        if not isinstance(count, int) or not 0 < count <= limits.max_seconds * RATE:
            raise refusal("decode_crashed" if count != 0 else "corrupt_sound")
        if os.fstat(target.fileno()).st_size != WIDTH * count:
            raise refusal("decode_crashed")
        name = hashlib.sha256(f"sound {spool.digest} {format}".encode()).hexdigest()
        sound = Sound(name, FileSamples(target, count))
        unless_opened.pop_all()
        return sound


class FileSamples:
    """Satisfies `zoomagent.media.sound.spectrum.Samples`: an hour is 115 MB of disk, and no memory."""

    def __init__(self, file: IO[bytes], count: int) -> None:
        self._file, self.count = file, count

    def read(self, start: int, end: int) -> Array:
        end = min(end, self.count)
        data = os.pread(self._file.fileno(), WIDTH * max(0, end - start), WIDTH * start)
        return np.frombuffer(data, np.int16).astype(np.float32) / np.float32(32768)

    def close(self) -> None:
        self._file.close()
