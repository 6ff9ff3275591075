"""A region of pixels at another size: averaged over areas when it shrinks, smooth when it grows."""

from PIL import Image

from zoomagent.errors import BoxInvalid
from zoomagent.geometry import Box, Size


def plain_box(box: Box, picture: Size) -> Box:
    """`box` in plain Python ints inside the picture, or BoxInvalid: no image library sees anything else."""
    corners = box.corners
    if any(isinstance(value, bool) or not isinstance(value, int) for value in corners):
        raise BoxInvalid("A box is four whole numbers of original pixels.")
    left, top, right, bottom = (int(value) for value in corners)
    if not (0 <= left < right <= picture.width and 0 <= top < bottom <= picture.height):
        raise BoxInvalid(
            f"The box does not lie in the picture of {picture.width}x{picture.height} pixels. "
            "Use zoomagent.geometry.clamp first."
        )
    return Box(left, top, right, bottom)


def render(image: Image.Image, region: tuple[float, float, float, float], size: Size) -> Image.Image:
    """The region of `image` (its own pixels, fractions allowed) at `size`."""
    width, height = region[2] - region[0], region[3] - region[1]
    if (width, height) == (size.width, size.height) and all(float(edge).is_integer() for edge in region):
        left, top, right, bottom = (int(edge) for edge in region)
        return image.crop((left, top, right, bottom))
    shrinks = width >= size.width and height >= size.height
    how = Image.Resampling.HAMMING if shrinks else Image.Resampling.BICUBIC
    return image.resize((size.width, size.height), how, box=region)
