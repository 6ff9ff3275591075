"""FFmpeg (PyAV) inside the decoder process: all samples of a sound, or of a clip's own track, one channel at one rate.

The format is told, and nothing else is opened (`decoder_av.py`). A packet that cannot be decoded, and time that no
packet has, are silence: what comes after stays at its own time. A clip's track begins with the clip's first frame.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import IO, Any

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError

from zoomagent.media.decoding.decoder_av import OpensNothing, opened, stream_of

SLACK = Fraction(3, 100)
"""Seconds that a frame may begin behind the end of the one before without a gap: containers round times."""
WIDTH = 2
"""Bytes of a sample."""
ZEROS = bytes(1 << 20)


class SoundTooLong(Exception):
    """There are more samples or packets than are allowed."""


def sound(job: dict[str, Any], source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    """All samples as whole numbers of 16 bits into `target`."""
    try:
        with opened(job, source) as container:
            if len(container.streams) > job["max_streams"]:
                return {"error": "too_many_streams"}
            stream = next(iter(container.streams.audio), None)
            if stream is None:
                return {"error": "no_sound"}
            channels, rate = stream.codec_context.channels, stream.codec_context.sample_rate
            if not (1 <= channels <= job["max_channels"] and job["min_rate"] <= rate <= job["max_rate"]):
                return {"error": "corrupt_sound"}
            track = Track(target, job["rate"], job["max_seconds"] * job["rate"], _beginning(container, stream))
            for frame in _decoded(container, stream, job["max_packets"]):
                if not 0 < frame.sample_rate <= job["max_rate"]:
                    return {"error": "corrupt_sound"}
                track.add(frame)
            track.end()
            return {"samples": track.written} if track.heard else {"error": "corrupt_sound"}
    except SoundTooLong:
        return {"error": "sound_too_long"}
    except (FFmpegError, OpensNothing, ValueError, ArithmeticError, LookupError, TypeError):
        return {"error": "corrupt_sound"}
    except OSError:  # FFmpeg's own came before: the samples found no room
        return {"error": "store_full"}


def _beginning(container: InputContainer, stream: AudioStream) -> Fraction | None:
    """The time of a clip's first frame; None where the sound has its own beginning."""
    pictures = stream_of(container)
    if pictures is None or pictures.start_time is None or pictures.time_base is None:
        return None
    return pictures.start_time * pictures.time_base


def _decoded(container: InputContainer, stream: AudioStream, most: int) -> Iterator[AudioFrame]:
    stream.codec_context.thread_type, stream.codec_context.thread_count = "NONE", 1
    for number, packet in enumerate(container.demux(stream)):
        if number > most:
            raise SoundTooLong
        try:
            frames = packet.decode()
        except FFmpegError:
            continue
        yield from (frame for frame in frames if isinstance(frame, AudioFrame) and frame.samples > 0)


class Track:
    """Samples of one channel, written at their own times from `zero` on (None: from the first frame's time)."""

    def __init__(self, target: IO[bytes], rate: int, most: int, zero: Fraction | None) -> None:
        self._target, self._rate, self._most, self._zero = target, rate, most, zero
        self._resampler = self._new_resampler()
        self._shape: tuple[str, str, int] | None = None
        self._reached: Fraction | None = None
        """Where the last frame ended, in seconds."""
        self._early = 0
        """Samples that lie before the beginning, and are left out."""
        self.written, self.heard = 0, False

    def add(self, frame: AudioFrame) -> None:
        """Resample a frame; before it silence, where time is missing."""
        self.heard = True
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        start = None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
        if self._shape is None:
            first = Fraction(0) if start is None else start
            self._zero = first if self._zero is None else self._zero
            self._reached = self._zero
            self._early = max(0, round((self._zero - first) * self._rate))
            if first < self._zero:
                self._reached = first
        assert self._reached is not None and self._zero is not None
        gap = start is not None and start - self._reached > SLACK
        if self._shape is not None and (gap or shape != self._shape):
            self.end()
            self._resampler = self._new_resampler()
        if gap and start is not None:
            self._silence(round((start - self._zero) * self._rate))
            self._reached = start
        self._shape, self._reached = shape, self._reached + Fraction(frame.samples, frame.sample_rate)
        frame.pts = None
        self._write(self._resampler.resample(frame))

    def end(self) -> None:
        """What the resampler holds back."""
        if self._shape is not None:
            self._write(self._resampler.resample(None))

    def _new_resampler(self) -> AudioResampler:
        return AudioResampler(format="s16", layout="mono", rate=self._rate)

    def _write(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            data = memoryview(frame.to_ndarray().tobytes())
            skipped = min(self._early, len(data) // WIDTH)
            self._early -= skipped
            self._put(data[WIDTH * skipped :])

    def _silence(self, until: int) -> None:
        if until > self._most:
            raise SoundTooLong
        while self.written < until:
            self._put(memoryview(ZEROS)[: WIDTH * (until - self.written)])

    def _put(self, data: memoryview) -> None:
        self.written += len(data) // WIDTH
        if self.written > self._most:
            raise SoundTooLong
        while data:
            data = data[self._target.write(data) :]
