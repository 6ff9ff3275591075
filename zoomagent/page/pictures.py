"""What a run looked at, rendered again from the original picture for the page: the stage, the crops, the tree's cards.

Each view is rendered as the model saw it; on the stage also as sharp as the original allows. Pictures leave here as
`data:` URLs. Left out: drawing on files (`saving.py`), the page's looks (`page/`).
"""

import base64
import io
from dataclasses import dataclass
from typing import Any

from PIL import Image

from zoomagent.geometry import Box, Size
from zoomagent.media import Picture
from zoomagent.page.tree import Node, fate_words, path, tree, walk
from zoomagent.run_record import Corners, Evidence, RunRecord

PREVIEW_SIDE = 1600
"""Longer side of the picture as people see it; the model may have seen less."""
DETAIL_SIDE = 720
"""Longer side of a region on the stage."""
CARD_SIDE = 448
"""Longer side of a card's picture; views that the model saw larger are shrunk to it."""


@dataclass(frozen=True)
class Pictures:
    """What a run looked at, rendered for people. `seen` and `details` are by box: as the model saw it, and sharp."""

    size: Size
    preview: Image.Image
    macro: tuple[Evidence, Image.Image] | None
    crops: list[tuple[Evidence, Image.Image]]
    root: Node
    seen: dict[Corners, Image.Image]
    details: dict[Corners, Image.Image]


def rendered(answer: RunRecord, picture: Picture) -> Pictures:
    """All that the page and the files need."""
    root = tree(answer)
    assert root is not None, "an opened picture has a tree"
    views = [(item, picture.view(Box(*item.box), Size(*item.size))) for item in answer.evidence]
    whole = Box(0, 0, picture.size.width, picture.size.height)
    return Pictures(
        size=picture.size,
        preview=picture.view(whole, _within(picture.size, PREVIEW_SIDE)),
        macro=next((view for view in views if view[0].perspective == "macro"), None),
        crops=[view for view in views if view[0].perspective == "micro"],
        root=root,
        seen={node.box: _seen(picture, node) for node in walk(root)},
        details={node.box: _sharp(picture, node) for node in path(root)},
    )


def stage(pictures: Pictures) -> dict[str, Any]:
    """The large picture of the page: overlays in original pixels, and the way of the zoom, step by step."""
    width, height = pictures.size.width, pictures.size.height
    way = path(pictures.root)
    last = way[-1].evidence if way else None
    return {
        "width": width,
        "height": height,
        "original": _url(pictures.preview, "JPEG"),
        "seen": _url(pictures.macro[1], "JPEG") if pictures.macro else None,
        "seen_size": pictures.macro[0].size if pictures.macro else None,
        "way": [_leg(pictures, node) for node in way],
        "crop": _rectangle(way[-1].box) if way else None,
        "target": _rectangle(last.target) if last and last.target else None,
        "others": [_rectangle(node.box) for node in walk(pictures.root) if node.number and node not in way],
        "path": "|".join([f"0 0 {width} {height}", *(_near(node.box, width, height) for node in way)]),
    }


def crops(pictures: Pictures) -> list[dict[str, Any]]:
    """The crops that were answered from, as the model saw them."""
    return [{"e": item, "url": _url(image, "PNG"), "box": list(item.box)} for item, image in pictures.crops]


def top(pictures: Pictures) -> dict[str, Any] | None:
    """The tree of views as nested cards, each with its picture and the boxes in it; None when nothing was shown."""
    return _card(pictures, pictures.root) if pictures.root.sizes or pictures.root.children else None


def png(image: Image.Image) -> bytes:
    """The image as a PNG file."""
    return _encoded(image, "PNG")


def _seen(picture: Picture, node: Node) -> Image.Image:
    box = Box(*node.box)
    shown = node.evidence.size if node.evidence else node.sizes[0] if node.sizes else (box.width, box.height)
    return picture.view(box, _within(Size(*shown), CARD_SIDE))


def _sharp(picture: Picture, node: Node) -> Image.Image:
    box = Box(*node.box)
    return picture.view(box, _within(box.size, DETAIL_SIDE))


def _within(size: Size, side: int) -> Size:
    """`size`, shrunk to at most `side`."""
    scale = min(1.0, side / max(size.width, size.height))
    return Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))


def _leg(pictures: Pictures, node: Node) -> dict[str, Any]:
    """One step of the zoom: where it lies, sharp and as the model saw it."""
    detail, seen = _url(pictures.details[node.box], "JPEG"), _url(pictures.seen[node.box], "PNG")
    return {"box": _rectangle(node.box), "detail": detail, "seen": seen}


def _card(pictures: Pictures, node: Node) -> dict[str, Any]:
    image = pictures.seen[node.box]
    scale = image.width / (node.box[2] - node.box[0])
    return {
        "n": node,
        "url": _url(image, "JPEG"),
        "width": image.width,
        "height": image.height,
        "sizes": ", ".join(f"{width} × {height}" for width, height in node.sizes),
        "inner": [
            {"number": child.number, "crop": child.crop, **_inside(child, node, scale)} for child in node.children
        ],
        "children": [_card(pictures, child) for child in node.children],
        "regions": [{"r": region, "fate": fate_words(region, node)} for region in node.regions],
    }


def _inside(child: Node, node: Node, scale: float) -> dict[str, float]:
    """The child's box in its parent's picture; search regions may reach a little beyond it."""
    left, top, right, bottom = child.box
    x, y = max(left, node.box[0]) - node.box[0], max(top, node.box[1]) - node.box[1]
    width, height = min(right, node.box[2]) - node.box[0] - x, min(bottom, node.box[3]) - node.box[1] - y
    return {"x": x * scale, "y": y * scale, "width": max(width * scale, 1), "height": max(height * scale, 1)}


def _rectangle(box: Corners) -> dict[str, float]:
    left, top, right, bottom = box
    size = {"width": right - left, "height": bottom - top}
    middle = {"cx": (left + right) / 2, "cy": (top + bottom) / 2}
    return {"x": left, "y": top, "right": right, "bottom": bottom, **size, **middle}


def _near(box: Corners, width: int, height: int) -> str:
    """The viewBox of the stage zoomed to a box: with some surroundings, shaped like the picture."""
    scale = min(1.0, max((box[2] - box[0]) / width, (box[3] - box[1]) / height) / 0.7)
    w, h = width * scale, height * scale
    x = min(max((box[0] + box[2] - w) / 2, 0), width - w)
    y = min(max((box[1] + box[3] - h) / 2, 0), height - h)
    return f"{x:.2f} {y:.2f} {w:.2f} {h:.2f}"


def _encoded(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **({"quality": 88} if form == "JPEG" else {}))
    return buffer.getvalue()


def _url(image: Image.Image, form: str) -> str:
    return f"data:image/{form.lower()};base64,{base64.b64encode(_encoded(image, form)).decode()}"
