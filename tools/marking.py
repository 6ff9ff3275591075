"""Boxes drawn into a view, so that a model sees where its close views were cut from.

    image = marked(views.image(name), [(0.1, 0.2, 0.3, 0.4)])

Each box gets the next colour of `MARKS`. Visual marks for grounded answers are P2R's and ZoomEye's way; the
colours are ours. Left out: which boxes.
"""

from collections.abc import Sequence

from PIL import Image, ImageDraw

MARKS = ((255, 0, 255), (0, 255, 64), (255, 255, 0), (0, 255, 255))
"""Colours of the first, second ... box."""


def marked(image: Image.Image, boxes: Sequence[tuple[float, float, float, float]]) -> Image.Image:
    """A copy of `image` with `boxes` (x0, y0, x1, y1 as shares of its width and height) drawn around what they
    hold."""
    copy = image.convert("RGB")
    draw = ImageDraw.Draw(copy)
    width, height = copy.size
    line = max(1, round(max(width, height) / 100))
    for number, (x0, y0, x1, y1) in enumerate(boxes):
        corners = (round(x0 * width) - line, round(y0 * height) - line, round(x1 * width), round(y1 * height))
        draw.rectangle(corners, outline=MARKS[number % len(MARKS)], width=line)
    return copy
