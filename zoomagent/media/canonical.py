"""Any Pillow image or array -> upright RGB with 8 bits, and notes on what was changed.

Pure pixel work on images already opened; reading files and limits are left out. numpy is imported only where an
array is met.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageChops

from zoomagent.errors import InputRefused
from zoomagent.geometry import Box, Size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
_GROUNDS: tuple[Colour, ...] = (WHITE, (0, 0, 0), (128, 128, 128))
_NEAR, _VISIBLE, _LOST = 40, 32, 0.02
"""A pixel this near to its ground in grey is not seen; one of less alpha does not count; white is left where more than
this share would be lost (ours)."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def to_rgb(image: Image.Image, background: Colour | None, *, plain_inks: bool = False) -> tuple[Image.Image, list[str]]:
    """RGB with 8 bits a channel; alpha laid on `background` (None: on what it shows against), deep greys scaled.

    `plain_inks` undoes Pillow's belief that every CMYK JPEG is stored inverted, as Adobe does.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image, []
    if is_deep(image):
        import numpy as np

        return array_to_rgb(np.asarray(image), background)
    if image.mode == "CMYK":
        inks = ImageChops.invert(image) if plain_inks else image
        return inks.convert("RGB"), ["cmyk_converted"]
    if has_alpha(image):
        return flatten(image, background), ["alpha_flattened"]
    return image.convert("RGB"), [] if image.mode == "L" else [f"mode_{image.mode.lower()}_converted"]


def is_deep(image: Image.Image) -> bool:
    """Whether its values have more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def has_alpha(image: Image.Image) -> bool:
    """Whether some of it may be transparent."""
    return "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa")


def flatten(image: Image.Image, background: Colour | None) -> Image.Image:
    """`image` laid on a plain colour: what lies under full transparency is gone."""
    layer = _layer(image)
    canvas = Image.new("RGB", layer.size, background or backdrop(layer))
    canvas.paste(layer, mask=layer.getchannel("A"))
    return canvas


def backdrop(image: Image.Image) -> Colour:
    """White, or where too much of the picture is as light, whichever of white, black and grey hides the least of it."""
    layer = _layer(image)
    alpha = layer.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return WHITE
    seen = layer.convert("L").histogram(mask=alpha.point([255 * (value >= _VISIBLE) for value in range(256)]))
    lost = [sum(seen[max(0, ground[0] - _NEAR) : ground[0] + _NEAR + 1]) for ground in _GROUNDS]
    return WHITE if lost[0] <= _LOST * sum(seen) else _GROUNDS[lost.index(min(lost))]


def _layer(image: Image.Image) -> Image.Image:
    if image.mode in ("La", "RGBa"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    return image.convert("RGBA")


def upright(image: Image.Image, orientation: int) -> tuple[Image.Image, list[str]]:
    """The image as its EXIF orientation means it; any value but 2 to 8 changes nothing."""
    if orientation not in _UPRIGHT:
        return image, []
    return image.transpose(_UPRIGHT[orientation]), [f"exif_orientation_{orientation}_applied"]


def array_to_rgb(array: NDArray[np.generic], background: Colour | None) -> tuple[Image.Image, list[str]]:
    """An array of height x width, or with 1 to 4 channels last (grey, grey+alpha, RGB, RGBA)."""
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or not 1 <= channels <= 4 or 0 in array.shape:
        raise InputRefused(
            f"An array of shape {array.shape!r} is no picture. Give height x width x 3, RGB.",
            code="unsupported_image",
        )
    eight, notes = to_eight_bits(array)
    image = Image.fromarray(eight.reshape(eight.shape[:2]) if channels == 1 else eight)
    rgb, more = to_rgb(image, background)
    return rgb, notes + more


def to_eight_bits(array: NDArray[np.generic]) -> tuple[NDArray[np.uint8], list[str]]:
    """uint8 as it is; all else by `value_range`, and alpha by its own range."""
    import numpy as np

    if array.dtype == np.uint8:
        return np.ascontiguousarray(array, dtype=np.uint8), []
    if array.dtype.kind not in "buif":
        raise InputRefused(
            f"An array of {array.dtype} is no picture. Give uint8, uint16 or float.", code="unsupported_image"
        )
    with np.errstate(over="ignore"):  # what no float holds becomes infinite, and that becomes 0
        values = np.nan_to_num(array.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    colours = values.shape[2] - 1 if values.ndim == 3 and values.shape[2] in (2, 4) else None
    parts = [values] if colours is None else [values[..., :colours], values[..., colours:]]
    fractions = array.dtype.kind == "f"
    ranges = [value_range(float(part.min()), float(part.max()), fractions, array.dtype.kind == "b") for part in parts]
    scaled = [(part - low) * (255.0 / ((high - low) or 1.0)) for part, (low, high) in zip(parts, ranges, strict=True)]
    eight = np.clip(np.rint(scaled[0] if colours is None else np.concatenate(scaled, axis=2)), 0, 255)
    low, high = ranges[0]
    return eight.astype(np.uint8), [f"scaled_{low:g}_to_{high:g}"]


def value_range(least: float, most: float, fractions: bool = False, flags: bool = False) -> tuple[float, float]:
    """Which values become black and white. Whole numbers reach from 0 to the power of two that holds them: 12 bits in
    16 are 12. From the least to the largest where they are few of those, or have a sign; fractions up to 1 from 0 to 1.
    """
    if flags or (fractions and least >= 0 and most <= 1):
        return 0.0, 1.0
    if least >= 0 and most <= 255:
        return 0.0, 255.0
    top = float(2 ** int(most).bit_length() - 1) if most > 0 else 0.0
    if least >= 0 and not fractions and top <= 65535 and (most == least or most - least >= top / 8):
        return 0.0, top
    return least, most


def stored_box(box: Box, orientation: int, stored: Size) -> Box:
    """Where `box` of the upright picture lies in the stored one."""
    w, h = stored.width, stored.height
    left, top, right, bottom = box.corners
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
