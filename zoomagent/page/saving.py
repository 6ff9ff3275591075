"""Answer.save: what a run leaves behind for people.

    answer.json   all of the answer, to be read back with Answer.model_validate_json
    macro.png     the whole picture with the boxes that were looked at
    crop-N.png    what was zoomed into and answered from, as the model saw it, in the order of answer.evidence
    page.html     the run as one page that needs no network

All files appear whole, or none of them; those of a run that was saved there before go. Left out: the page's HTML
(`run_html.py`), its pictures (`pictures.py`).
"""

import contextlib
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from pydantic import ValidationError

from zoomagent.errors import InputRefused, StoreError
from zoomagent.files import write_together
from zoomagent.media import Picture, open_media, open_picture
from zoomagent.media.video.sheet import open_sheet
from zoomagent.moments import Moment
from zoomagent.page.pictures import Pictures, inlined, png, rendered, stage
from zoomagent.page.run_html import TEMPLATES, one_page, run_values
from zoomagent.run_record import Corners, RunRecord, Source

NAMES = ("answer.json", "page.html", "macro.png", "crop-1.png")
"""What a folder that holds a run has at least one of."""
CROP = re.compile(r"crop-\d+\.png")
AMBER, WHITE, BLACK = (255, 176, 32), (255, 255, 255), (0, 0, 0)


def save(answer: RunRecord, folder: Path, source: Source) -> Path:
    """Write the run into `folder`, which is made if need be; returns the page's path."""
    pictures = None
    if answer.picture is not None:
        if source.value is None:
            raise ValueError("This answer does not know its picture any more. Give it: answer.save(folder, image=…).")
        given = source.value
        opened: contextlib.AbstractContextManager[Picture] = (
            contextlib.nullcontext(given) if isinstance(given, Picture) else opener_of(answer, source)(given)
        )
        with opened as picture:
            if picture.id != answer.picture.id:
                text = "This is not the picture that was asked about. Give that one."
                raise InputRefused(text, code="other_picture")
            pictures = rendered(answer, picture)
    files = {
        "answer.json": answer.model_dump_json(indent=2).encode(),
        "page.html": render_page(answer, pictures).encode(),
    }
    if pictures is not None:
        files["macro.png"] = png(draw_boxes(pictures, [box for phrase in answer.grounded for box in phrase.boxes]))
        files |= {f"crop-{number}.png": png(crop) for number, (_, crop) in enumerate(pictures.crops, start=1)}
    # A run is written over a run, never over another program's answer.json.
    try:
        RunRecord.model_validate_json((folder / "answer.json").read_bytes())
    except OSError:
        pass
    except ValidationError as error:
        text = f"{folder.name!r} holds an answer.json that is not zoomagent's. Name another folder."
        raise StoreError(text, code="folder_in_use") from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_together(folder, files)
        for stale in folder.glob("crop-*.png"):
            if CROP.fullmatch(stale.name) and stale.name not in files:
                stale.unlink()
    except OSError as error:
        text = f"The run cannot be written ({error.strerror}). Name a folder that can be written to."
        raise StoreError(text, code="store_io") from error
    return folder / "page.html"


def opener_of(answer: RunRecord, source: Source) -> Callable[[Any], Picture]:
    """What opens the picture that was asked about: of a clip, the sheet of its frames."""
    sheet = answer.picture.sheet if answer.picture else None
    if sheet is None:
        return source.opener or open_picture
    return partial(open_sheet, source.opener or open_media, Moment(*sheet.moment), sheet.grid)


def draw_boxes(pictures: Pictures, boxes: Sequence[Corners] = ()) -> Image.Image:
    """The whole picture with the boxes that were looked at, where the model pointed, and other `boxes`."""
    image = pictures.preview.copy()
    pen, scale = ImageDraw.Draw(image), image.width / pictures.size.width
    for evidence, _ in pictures.crops:
        if evidence.sheet is not None:
            continue
        _outline(pen, evidence.box, scale, AMBER, 3)
        if evidence.target is not None:
            _outline(pen, evidence.target, scale, WHITE, 1)
    for box in boxes:
        _outline(pen, box, scale, AMBER, 2)
    return image


def render_page(answer: RunRecord, pictures: Pictures | None) -> str:
    """The page as text."""
    values = run_values(answer, inlined(pictures) if pictures else None)
    script = (TEMPLATES / "saved.js").read_text(encoding="utf-8")
    return one_page("saved.html", {**values, "stage": stage(pictures) if pictures else None}, script)


def _outline(pen: ImageDraw.ImageDraw, box: Corners, scale: float, colour: tuple[int, int, int], width: int) -> None:
    left, top, right, bottom = (round(corner * scale) for corner in box)
    corners = (left, top, max(left + 1, right - 1), max(top + 1, bottom - 1))
    pen.rectangle((corners[0] - 2, corners[1] - 2, corners[2] + 2, corners[3] + 2), outline=BLACK, width=width + 4)
    pen.rectangle(corners, outline=colour, width=width)
