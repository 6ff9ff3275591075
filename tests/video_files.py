"""Clips as files, made in the tests: every frame carries its own number in black and white blocks.

data = clip(60, gop=12)                      # mp4, H.264
number_in(image)                             # which frame an image is
"""

import io
from collections.abc import Callable, Sequence
from typing import Any

import av
from PIL import Image, ImageDraw

BITS, BLOCK = 10, 16
SIZE = (BITS * BLOCK, 96)


def numbered(number: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """A frame with its number as blocks in its upper half."""
    image = Image.new("RGB", size, (90, 120, 60 + number % 100))
    pen = ImageDraw.Draw(image)
    for bit in range(BITS):
        shade = 235 if number >> bit & 1 else 20
        pen.rectangle((bit * BLOCK, 0, (bit + 1) * BLOCK - 1, size[1] // 2), fill=(shade, shade, shade))
    return image


def number_in(image: Image.Image) -> int:
    grey = image.convert("L")
    values: list[Any] = [grey.getpixel((bit * BLOCK + BLOCK // 2, 12)) for bit in range(BITS)]
    return sum(int(value > 127) << bit for bit, value in enumerate(values))


def clip(
    count: int = 40,
    *,
    gop: int = 12,
    b_frames: int = 2,
    rate: int = 20,
    format: str = "mp4",
    codec: str = "libx264",
    stamps: Sequence[int] | None = None,
    draw: Callable[[int], Image.Image] = numbered,
    cover: bool = False,
    pixels: str = "yuv420p",
) -> bytes:
    """A clip of `count` frames in the container `format`. `stamps` are its frames' times in milliseconds."""
    target = io.BytesIO()
    with av.open(target, "w", format=format) as container:
        first = draw(0)
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, pixels
        context = stream.codec_context
        if codec == "libx264":
            context.options = {
                "g": str(gop),
                "bf": str(b_frames),
                "sc_threshold": "0",
                "crf": "12",
                "preset": "ultrafast",
            }
            if b_frames:
                context.options = {**context.options, "preset": "veryfast"}
        else:
            context.options = {"g": str(gop), "q": "3"}
            context.gop_size, context.max_b_frames = gop, b_frames
        if stamps is not None:
            from fractions import Fraction

            context.time_base = Fraction(1, 1000)
        for number in range(count):
            frame = av.VideoFrame.from_image(draw(number))
            frame.pts = number if stamps is None else stamps[number]
            if stamps is not None:
                frame.time_base = context.time_base
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return target.getvalue()
