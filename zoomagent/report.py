"""Answer.save: what a run leaves behind for people. answer.json, macro.png, crop-1.png …, and page.html.

The page is one file that needs no network: pictures are inlined, all text is escaped, and its policy allows nothing
but its own style and script. Pixels are rendered again from the picture, which must be the one that was asked about.
Every file appears whole or not at all. Left out: the page's looks (`page/`).
"""

import base64
import hashlib
import io
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image, ImageDraw

from zoomagent.answer import Answer, Corners, Evidence, Source
from zoomagent.errors import InputRefused, StoreError
from zoomagent.geometry import Box, Size
from zoomagent.media import Picture, open_picture
from zoomagent.page_data import costs, outcome_words, sides, timeline

PAGE = Path(__file__).parent / "page"
PREVIEW_SIDE = 1600
"""Longer side of the picture as people see it; the model may have seen less."""

AMBER, WHITE, BLACK = (255, 176, 32), (255, 255, 255), (0, 0, 0)


@dataclass(frozen=True)
class Pictures:
    """What a run looked at, rendered for people: the picture, and each view as the model saw it."""

    size: Size
    preview: Image.Image
    macro: tuple[Evidence, Image.Image] | None
    crops: list[tuple[Evidence, Image.Image]]


def save(answer: Answer, folder: Path, source: Source) -> Path:
    """Write the run into `folder`, which is made if need be; returns the page's path."""
    pictures = _pictures(answer, source) if answer.picture is not None else None
    page = render_page(answer, pictures)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if pictures is not None:
            _write(folder / "macro.png", _png(drawn(answer, pictures)))
            for number, (_, crop) in enumerate(pictures.crops, start=1):
                _write(folder / f"crop-{number}.png", _png(crop))
        _write(folder / "answer.json", answer.model_dump_json(indent=2).encode())
        _write(folder / "page.html", page.encode())
    except OSError as error:
        text = f"The run can not be written ({error.strerror}). Name a folder that can be written to."
        raise StoreError(text, code="store_io") from error
    return folder / "page.html"


def drawn(answer: Answer, pictures: Pictures) -> Image.Image:
    """The whole picture with the boxes that were looked at, and where the model pointed."""
    image = pictures.preview.copy()
    pen, scale = ImageDraw.Draw(image), image.width / pictures.size.width
    for evidence, _ in pictures.crops:
        _outline(pen, evidence.box, scale, AMBER, 3)
        if evidence.target is not None:
            _outline(pen, evidence.target, scale, WHITE, 1)
    return image


def render_page(answer: Answer, pictures: Pictures | None) -> str:
    """The page as text."""
    style, script = ((PAGE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    environment = Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html").render(
        a=answer,
        outcome_words=outcome_words(answer),
        stage=_stage(pictures) if pictures else None,
        crops=[_crop(evidence, image) for evidence, image in pictures.crops] if pictures else [],
        sides=sides(answer),
        steps=timeline(answer),
        costs=costs(answer),
        version=version("zoomagent"),
        style=Markup(style),
        style_hash=_hash(style),
        script=Markup(script),
        script_hash=_hash(script),
    )


def _pictures(answer: Answer, source: Source) -> Pictures:
    if source.value is None:
        raise ValueError("This answer does not know its picture any more. Give it: answer.save(folder, image=…).")
    if isinstance(source.value, Picture):
        return _rendered(answer, source.value)
    with (source.opener or open_picture)(source.value) as picture:
        return _rendered(answer, picture)


def _rendered(answer: Answer, picture: Picture) -> Pictures:
    assert answer.picture is not None
    if picture.id != answer.picture.id:
        raise InputRefused("This is not the picture that was asked about. Give that one.", code="other_picture")
    scale = min(1.0, PREVIEW_SIDE / max(picture.size.width, picture.size.height))
    preview = Size(max(1, round(picture.size.width * scale)), max(1, round(picture.size.height * scale)))
    views = [(item, picture.view(Box(*item.box), Size(*item.size))) for item in answer.evidence]
    return Pictures(
        size=picture.size,
        preview=picture.view(Box(0, 0, picture.size.width, picture.size.height), preview),
        macro=next((view for view in views if view[0].perspective == "macro"), None),
        crops=[view for view in views if view[0].perspective == "micro"],
    )


def _stage(pictures: Pictures) -> dict[str, Any]:
    """The large picture of the page with its overlays, in original pixels."""
    width, height = pictures.size.width, pictures.size.height
    stage: dict[str, Any] = {"width": width, "height": height, "original": _url(pictures.preview, "JPEG")}
    stage |= {"seen": None, "seen_size": None, "crop": None, "target": None}
    if pictures.macro is not None:
        evidence, image = pictures.macro
        stage |= {"seen": _url(image, "JPEG"), "seen_size": evidence.size}
    if pictures.crops:
        evidence, image = pictures.crops[-1]
        stage |= {"crop": _rectangle(evidence.box), "near": _near(evidence.box, width, height)}
        stage |= {"detail": _url(image, "PNG"), "target": evidence.target and _rectangle(evidence.target)}
    return stage


def _crop(evidence: Evidence, image: Image.Image) -> dict[str, Any]:
    box, target = list(evidence.box), evidence.target
    return {"url": _url(image, "PNG"), "size": evidence.size, "box": box, "target": target}


def _rectangle(box: Corners) -> dict[str, float]:
    left, top, right, bottom = box
    size = {"width": right - left, "height": bottom - top}
    return {"x": left, "y": top, "right": right, "bottom": bottom, **size} | {
        "cx": (left + right) / 2,
        "cy": (top + bottom) / 2,
    }


def _near(box: Corners, width: int, height: int) -> str:
    """The viewBox of the zoomed-in stage: the crop with some surroundings, shaped like the picture."""
    scale = min(1.0, max((box[2] - box[0]) / width, (box[3] - box[1]) / height) / 0.7)
    w, h = width * scale, height * scale
    x = min(max((box[0] + box[2] - w) / 2, 0), width - w)
    y = min(max((box[1] + box[3] - h) / 2, 0), height - h)
    return f"{x:.2f} {y:.2f} {w:.2f} {h:.2f}"


def _outline(pen: ImageDraw.ImageDraw, box: Corners, scale: float, colour: tuple[int, int, int], width: int) -> None:
    left, top, right, bottom = (round(corner * scale) for corner in box)
    corners = (left, top, max(left + 1, right - 1), max(top + 1, bottom - 1))
    pen.rectangle(_wider(corners, 2), outline=BLACK, width=width + 4)
    pen.rectangle(corners, outline=colour, width=width)


def _wider(box: Corners, by: int) -> Corners:
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def _png(image: Image.Image) -> bytes:
    return _encoded(image, "PNG")


def _encoded(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **({"quality": 88} if form == "JPEG" else {}))
    return buffer.getvalue()


def _url(image: Image.Image, form: str) -> str:
    return f"data:image/{form.lower()};base64,{base64.b64encode(_encoded(image, form)).decode()}"


def _hash(text: str) -> str:
    """The content-security-policy name of an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(content)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
