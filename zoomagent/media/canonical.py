"""Any Pillow image or array -> upright RGB with 8 bits, and notes on what was changed.

Pure pixel work on images already opened; reading files and limits are left out. numpy is imported only where an
array is met.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageChops

from zoomagent.errors import InputRefused

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Colour = tuple[int, int, int]

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def to_rgb(image: Image.Image, background: Colour, *, plain_inks: bool = False) -> tuple[Image.Image, list[str]]:
    """RGB with 8 bits a channel; alpha laid on `background`, deep greys scaled and not clipped.

    `plain_inks` undoes Pillow's belief that every CMYK JPEG is stored inverted, as Adobe does.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image, []
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        import numpy as np

        return array_to_rgb(np.asarray(image), background)
    if image.mode == "CMYK":
        inks = ImageChops.invert(image) if plain_inks else image
        return inks.convert("RGB"), ["cmyk_converted"]
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        return flatten(image, background), ["alpha_flattened"]
    return image.convert("RGB"), [] if image.mode == "L" else [f"mode_{image.mode.lower()}_converted"]


def flatten(image: Image.Image, background: Colour) -> Image.Image:
    """`image` laid on a plain colour: what lies under full transparency is gone."""
    if image.mode in ("La", "RGBa"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    layer = image.convert("RGBA")
    canvas = Image.new("RGB", layer.size, background)
    canvas.paste(layer, mask=layer.getchannel("A"))
    return canvas


def upright(image: Image.Image, orientation: int) -> tuple[Image.Image, list[str]]:
    """The image as its EXIF orientation means it; any value but 2 to 8 changes nothing."""
    if orientation not in _UPRIGHT:
        return image, []
    return image.transpose(_UPRIGHT[orientation]), [f"exif_orientation_{orientation}_applied"]


def array_to_rgb(array: NDArray[np.generic], background: Colour) -> tuple[Image.Image, list[str]]:
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
    """uint8 as it is; uint16 by 255/65535; 0-1 floats by 255; else from the least to the largest value."""
    import numpy as np

    if array.dtype == np.uint8:
        return np.ascontiguousarray(array, dtype=np.uint8), []
    if array.dtype.kind not in "buif":
        raise InputRefused(
            f"An array of {array.dtype} is no picture. Give uint8, uint16 or float.", code="unsupported_image"
        )
    with np.errstate(over="ignore"):  # what no float holds becomes infinite, and that becomes 0
        values = np.nan_to_num(array.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if array.dtype.kind == "b" or (array.dtype.kind == "f" and low >= 0 and high <= 1):
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 65535 and (array.dtype == np.uint16 or (array.dtype.kind in "iu" and high > 255)):
        low, high = 0.0, 65535.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    scaled = (values - low) * (255.0 / ((high - low) or 1.0))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8), [f"scaled_{low:g}_to_{high:g}"]
