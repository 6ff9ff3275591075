"""open_picture: anything that may be a picture -> Picture, or InputRefused with a stable code."""

import hashlib
import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoomagent.errors import InputRefused
from zoomagent.geometry import Size
from zoomagent.media.canonical import Colour, array_to_rgb, to_rgb, upright
from zoomagent.media.limits import Limits
from zoomagent.media.picture import InMemory, Picture

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")

Source = str | Path | bytes | BinaryIO | Image.Image | NDArray[np.generic]


def open_picture(
    source: Source,
    *,
    limits: Limits | None = None,
    background: Colour = (255, 255, 255),
    frame: int = 0,
    allow_truncated: bool = False,
) -> Picture:
    """Open a path, bytes, file object, Pillow image or array as an upright RGB picture."""
    limits = limits or Limits()
    if isinstance(source, np.ndarray):
        limits.check_size(source.shape[1] if source.ndim > 1 else 0, source.shape[0])
        return _of_image(*array_to_rgb(source, background))
    if isinstance(source, Image.Image):
        limits.check_size(*source.size)
        rgb, notes = to_rgb(source, background)
        rgb, more = upright(rgb, source.getexif().get(0x0112, 1))
        return _of_image(rgb, notes + more)
    data = _read(source)
    limits.check_bytes(len(data))
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            limits.check_size(*image.size)
            rgb, notes = to_rgb(image, background)
            rgb, more = upright(rgb, image.getexif().get(0x0112, 1))
            rgb.load()
    except OSError as error:
        raise InputRefused("The picture can not be read. Give another file.", code="corrupt_image") from error
    return _of_image(rgb, notes + more)


def _read(source: str | Path | bytes | BinaryIO) -> bytes:
    if isinstance(source, bytes):
        return source
    if isinstance(source, str | Path):
        return Path(source).read_bytes()
    return source.read()


def _of_image(image: Image.Image, notes: list[str]) -> Picture:
    digest = hashlib.sha256(f"RGB {image.width}x{image.height}\n".encode())
    digest.update(image.tobytes())
    return Picture(digest.hexdigest(), Size(*image.size), tuple(notes), InMemory(image))
