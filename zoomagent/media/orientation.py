"""Upright boxes of a picture that is stored turned or mirrored (EXIF orientations 1 to 8)."""

from PIL import Image

from zoomagent.geometry import Box, Size
from zoomagent.media.canonical import upright


def stored_box(box: Box, orientation: int, stored: Size) -> Box:
    """Where `box` of the upright picture lies in the stored one."""
    w, h = stored.width, stored.height
    left, top, right, bottom = box.left, box.top, box.right, box.bottom
    return {
        2: Box(w - right, top, w - left, bottom),
        3: Box(w - right, h - bottom, w - left, h - top),
        4: Box(left, h - bottom, right, h - top),
        5: Box(top, left, bottom, right),
        6: Box(top, h - right, bottom, h - left),
        7: Box(w - bottom, h - right, w - top, h - left),
        8: Box(w - bottom, left, w - top, right),
    }.get(orientation, box)


def stored_size(size: Size, orientation: int) -> Size:
    """The size at which to render stored pixels so that the upright result has `size`."""
    return Size(size.height, size.width) if orientation >= 5 else size


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Stored pixels made upright."""
    return upright(image, orientation)[0]
