"""The read tool: the text in a view, by rapidocr (`pip install zoomagent[ocr]`), whose models travel in its wheel.

    lines = await read(views, crop["id"])       # Line("Exit 12", Box(...) in original pixels, 0.99)

The region is read from the original at its own size (at most `MAX_SIDE`), not as small as the model is shown it; so
reading tells the model what it cannot see, and checks what it says. Settings: as measured on crops, detection must not
magnify (rapidocr's own settings are ten times slower there). Left out: whether the text answers the question.
"""

import asyncio
import threading
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from zoomagent.errors import ToolError
from zoomagent.geometry import Box, Size, grow_to, intersect
from zoomagent.tools.viewing import ViewStore, box_of

MAX_SIDE = 1920
"""Longer sides are read at this size: text that is too small then asks for a closer look (ours)."""

SETTINGS = {"Global.log_level": "critical", "Det.limit_type": "max", "Det.limit_side_len": 960}

_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Line:
    """A line of text, where it is in original pixels, and how sure the reader is, 0 to 1."""

    text: str
    box: Box
    score: float


async def read(views: ViewStore, view: str) -> list[Line]:
    """The lines of text in `view`, from top to bottom. A ToolError says when nothing is there to read with."""
    return await asyncio.to_thread(read_now, views, view)


def read_now(views: ViewStore, view: str) -> list[Line]:
    """The same, in this thread."""
    record = views.record(view)
    if record.get("blank"):
        return []
    region = box_of(record)
    share = min(1.0, MAX_SIDE / max(region.width, region.height))
    size = Size(max(1, round(region.width * share)), max(1, round(region.height * share)))
    image = np.asarray(views.picture.view(region, size).convert("RGB"))
    with _ONE_AT_A_TIME:
        found = _engine()(image[:, :, ::-1], use_det=True, use_cls=True, use_rec=True)
    if found.boxes is None or found.txts is None or found.scores is None:
        return []
    lines, across, down = [], region.width / size.width, region.height / size.height
    for text, corners, score in zip(found.txts, found.boxes, found.scores, strict=True):
        # Four corners in the picture that was read: the box around them, in original pixels.
        xs = [region.left + x * across for x, _ in corners.tolist()]
        ys = [region.top + y * down for _, y in corners.tolist()]
        box = Box(int(min(xs)), int(min(ys)), round(max(xs)), round(max(ys)))
        lines.append(Line(text, grow_to(intersect(box, region), views.picture.size, 1), float(score)))
    return lines


@cache
def _engine() -> Any:
    """The reader, made once (a second or two)."""
    try:
        import onnxruntime  # noqa: F401  (rapidocr would miss it only later)
        from rapidocr import RapidOCR
    except ImportError:
        raise ToolError(
            'Text can not be read here: pip install "zoomagent[ocr]". Look closer with another tool.',
            code="ocr_missing",
        ) from None
    return RapidOCR(params=dict(SETTINGS))
