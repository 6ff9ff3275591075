"""What a run looked at, rendered again from the original picture for the page: the stage, the crops, the tree's cards.

Each view is rendered as the model saw it; on the stage also as sharp as the original allows. Pictures leave here as
`data:` URLs. Left out: drawing on files (`saving.py`), HTML (`run_html.py`).
"""

import base64
import io
from dataclasses import dataclass
from typing import Any

from PIL import Image

from zoomagent.geometry import Box, Size
from zoomagent.media import Picture
from zoomagent.media.video.sheet import Sheet, sheet_of
from zoomagent.moments import Moment
from zoomagent.page.run_html import Shot, Shots
from zoomagent.page.tree import Node, Place, path, shown_size, tree, walk
from zoomagent.run_record import Corners, Evidence, RunRecord, SheetInfo

PREVIEW_SIDE = 1600
"""Longer side of the picture as people see it; the model may have seen less."""
DETAIL_SIDE = 720
"""Longer side of a region on the stage."""
CARD_SIDE = 448
"""Longer side of a card's picture; views that the model saw larger are shrunk to it."""


@dataclass(frozen=True)
class Pictures:
    """What a run looked at, rendered for people. `seen` and `details` are by place: as the model saw it, and sharp."""

    size: Size
    sheet: SheetInfo | None
    preview: Image.Image
    macro: tuple[Evidence, Image.Image] | None
    crops: list[tuple[Evidence, Image.Image]]
    root: Node
    seen: dict[Place, Image.Image]
    details: dict[Place, Image.Image]


def rendered(answer: RunRecord, picture: Picture) -> Pictures:
    """All that the page and the files need."""
    root = tree(answer)
    assert root is not None, "an opened picture has a tree"
    views = [(item, picture_in(picture, item.sheet).view(Box(*item.box), Size(*item.size))) for item in answer.evidence]
    whole = Box(0, 0, picture.size.width, picture.size.height)
    return Pictures(
        size=picture.size,
        sheet=answer.picture.sheet if answer.picture else None,
        preview=picture.view(whole, _shrink(picture.size, PREVIEW_SIDE)),
        macro=next((view for view in views if view[0].perspective == "macro" and view[0].sheet is None), None),
        crops=[view for view in views if view[0].perspective == "micro"],
        root=root,
        seen={
            node.place: picture_in(picture, node.sheet).view(
                Box(*node.box), _shrink(Size(*shown_size(node)), CARD_SIDE)
            )
            for node in walk(root)
        },
        details={
            node.place: picture.view(Box(*node.box), _shrink(Box(*node.box).size, DETAIL_SIDE)) for node in path(root)
        },
    )


def picture_in(picture: Picture, sheet: SheetInfo | None) -> Picture:
    """The picture that boxes lie in: of a clip, the sheet of these frames."""
    if sheet is None or not isinstance(picture, Sheet):
        return picture
    hidden = [Moment(*span) for span in sheet.hidden]
    return sheet_of(picture.video, Moment(*sheet.moment), sheet.grid, hidden, sheet.heard)


def stage(pictures: Pictures) -> dict[str, Any]:
    """The large picture of the page: overlays in original pixels, and the way of the zoom, step by step."""
    width, height = pictures.size.width, pictures.size.height
    way = path(pictures.root)
    last = way[-1].evidence if way else None
    # The viewBox of the stage at each step: with some surroundings, shaped like the picture.
    view_boxes = [f"0 0 {width} {height}"]
    for node in way:
        left, top, right, bottom = node.box
        scale = min(1.0, max((right - left) / width, (bottom - top) / height) / 0.7)
        w, h = width * scale, height * scale
        x, y = min(max((left + right - w) / 2, 0), width - w), min(max((top + bottom - h) / 2, 0), height - h)
        view_boxes.append(f"{x:.2f} {y:.2f} {w:.2f} {h:.2f}")
    return {
        "width": width,
        "height": height,
        "original": _url(pictures.preview, "JPEG"),
        "seen": _url(pictures.macro[1], "JPEG") if pictures.macro else None,
        "seen_size": pictures.macro[0].size if pictures.macro else None,
        # Each step of the zoom: where it lies, sharp and as the model saw it.
        "way": [
            {
                "box": _rectangle(node.box),
                "detail": _url(pictures.details[node.place], "JPEG"),
                "seen": _url(pictures.seen[node.place], "PNG"),
            }
            for node in way
        ],
        "crop": _rectangle(way[-1].box) if way else None,
        "target": _rectangle(last.target) if last and last.target else None,
        "others": [
            _rectangle(node.box)
            for node in walk(pictures.root)
            if not node.whole and node.sheet == pictures.sheet and node not in way
        ],
        "path": "|".join(view_boxes),
    }


def inlined(pictures: Pictures) -> Shots:
    """The pictures of a page that is one file."""
    by_view = {item.view: image for item, image in pictures.crops}
    return Shots(
        view=lambda node: inlined_shot(pictures.seen[node.place], "JPEG"),
        crop=lambda item: inlined_shot(by_view[item.view], "PNG"),
    )


def inlined_shot(image: Image.Image, form: str) -> Shot:
    """A picture inside a page."""
    return Shot(image.width, image.height, src=_url(image, form))


def png(image: Image.Image) -> bytes:
    """The image as a PNG file."""
    return _encode(image, "PNG")


def _shrink(size: Size, side: int) -> Size:
    """`size`, shrunk to at most `side`."""
    scale = min(1.0, side / max(size.width, size.height))
    return Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))


def _rectangle(box: Corners) -> dict[str, float]:
    left, top, right, bottom = box
    size = {"width": right - left, "height": bottom - top}
    middle = {"cx": (left + right) / 2, "cy": (top + bottom) / 2}
    return {"x": left, "y": top, "right": right, "bottom": bottom, **size, **middle}


def _encode(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **({"quality": 88} if form == "JPEG" else {}))
    return buffer.getvalue()


def _url(image: Image.Image, form: str) -> str:
    return f"data:image/{form.lower()};base64,{base64.b64encode(_encode(image, form)).decode()}"
