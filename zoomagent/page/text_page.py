"""The text of a picture, saved for people and programs.

    text.json     every line with its corners, its score, and all readings of it
    text.txt      the lines alone
    lines.png     the whole picture with a frame around each line
    page.html     the same as one page that needs no network

All files appear whole, or none of them. Left out: reading (`zoomagent/tools/reading.py`).
"""

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from zoomagent.errors import StoreError
from zoomagent.files import write_together
from zoomagent.geometry import Size, whole
from zoomagent.media import Picture
from zoomagent.page.pictures import PREVIEW_SIDE, inlined_shot, png
from zoomagent.page.run_html import one_page
from zoomagent.text import printable
from zoomagent.tools.lines import Line
from zoomagent.tools.reading import PictureText

NAMES = ("text.json", "page.html", "text.txt", "lines.png")
"""What a folder that holds a saved text has at least one of."""
AMBER, BLACK = (255, 176, 32), (0, 0, 0)
MOST_DRAWN = 20_000
"""Lines that a page holds (ours); text.json holds all of them."""


def save_text(text: PictureText, lines: Sequence[Line], picture: Picture, folder: Path) -> Path:
    """Write `lines` of `text` into `folder`, which is made if need be; returns the page's path."""
    side = max(picture.size.width, picture.size.height)
    scale = min(1.0, PREVIEW_SIDE / side)
    size = Size(max(1, round(picture.size.width * scale)), max(1, round(picture.size.height * scale)))
    preview = picture.view(whole(picture.size), size)
    content = {**text.as_json(), "lines": [line.as_json() for line in lines]}
    files = {
        "text.json": json.dumps(content, indent=2).encode(),
        "text.txt": "".join(f"{printable(line.text)}\n" for line in lines).encode(),
        "lines.png": png(framed(preview, lines[:MOST_DRAWN], scale)),
        "page.html": text_html(text, lines[:MOST_DRAWN], preview).encode(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_together(folder, files)
    except OSError as error:
        words = f"The text cannot be written ({error.strerror}). Name a folder that can be written to."
        raise StoreError(words, code="store_io") from error
    return folder / "page.html"


def framed(preview: Image.Image, lines: Sequence[Line], scale: float) -> Image.Image:
    """The picture with a frame around each line."""
    image = preview.copy()
    pen = ImageDraw.Draw(image)
    for line in lines:
        corners = [(x * scale, y * scale) for x, y in line.corners]
        pen.line([*corners, corners[0]], fill=BLACK, width=4)
        pen.line([*corners, corners[0]], fill=AMBER, width=2)
    return image


def text_html(text: PictureText, lines: Sequence[Line], preview: Image.Image) -> str:
    """The page as text."""
    entries = [
        {
            "line": line,
            "points": " ".join(f"{x:g},{y:g}" for x, y in line.corners),
            "others": [one for one in line.readings if one.text != line.text],
        }
        for line in lines
    ]
    return one_page("text.html", {"text": text, "entries": entries, "shot": inlined_shot(preview, "JPEG")})
