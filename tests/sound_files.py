"""Sounds as files for tests: waves, and whatever FFmpeg encodes of them; drawn here, no file of others."""

import io
import wave

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

RATE = 16_000
Wave = NDArray[np.float32]


def tone(seconds: float, start: float, end: float, hertz: float = 1000.0, loud: float = 0.5, rate: int = RATE) -> Wave:
    """A tone from `start` to `end` in a silence of `seconds`."""
    times = np.arange(round(seconds * rate)) / rate
    there = (times >= start) & (times < end)
    return (loud * np.sin(2 * np.pi * hertz * times) * there).astype(np.float32)


def wav(samples: Wave, rate: int = RATE, channels: int = 1) -> bytes:
    """16 bits; every channel the same."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((np.repeat(samples, channels) * 32767).astype("<i2").tobytes())
    return file.getvalue()


def encoded(
    samples: Wave, format: str, codec: str, rate: int = RATE, *, pictures: int = 0, delay: float = 0.0
) -> bytes:
    """A file of that format; with `pictures` a clip of so many frames, five a second, whose sound begins `delay`
    seconds behind the first."""
    file = io.BytesIO()
    with av.open(file, "w", format=format) as container:
        video = container.add_stream("libx264", rate=5) if pictures else None
        audio = container.add_stream(codec, rate=rate, layout="mono")
        if video is not None:
            video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
            for number in range(pictures):
                frame = av.VideoFrame.from_image(Image.new("RGB", (64, 64), (20 * number % 256, 0, 0)))
                frame.pts = number
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        whole = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        whole.sample_rate, whole.pts = rate, 0
        context = audio.codec_context
        cut = av.AudioResampler(context.format, "mono", rate, frame_size=context.frame_size or 1024)
        for part in [*cut.resample(whole), *cut.resample(None)]:
            part.pts = (part.pts or 0) + round(delay * rate)
            container.mux(audio.encode(part))
        container.mux(audio.encode(None))
    return file.getvalue()
