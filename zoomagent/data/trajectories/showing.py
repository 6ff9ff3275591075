"""Trajectories to look at: the whole with its boxes, every crop, and the turns; a page or one picture.

    zoomagent data view OUT --n 6 --out look.html

Boxes: amber is what a view shows, green the target, white the nested boxes. Pictures are opened as in a run and
rendered from the original. The page is made of the pieces of a run's page (`page/run_html.py`). Left out: counts
(`card.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from textwrap import wrap

import orjson
from PIL import Image, ImageDraw, ImageFont

from zoomagent.data.trajectories.card import SPLITS, read_card
from zoomagent.data.trajectories.trajectory import ImagePart, Trajectory, read_parquet
from zoomagent.errors import InputRefused
from zoomagent.geometry import Box, Size
from zoomagent.media import Picture, open_picture
from zoomagent.media.limits import Limits, own_limits
from zoomagent.page.pictures import inlined_shot
from zoomagent.page.run_html import one_page

WHOLE, CROP = 420, 200
"""Longer sides of the pictures, in pixels."""
AMBER, GREEN, WHITE = "#f5a623", "#2ecc40", "#ffffff"
PAD, LINE, WIDTH = 12, 18, 1100


@dataclass(frozen=True)
class Sheet:
    """A trajectory as pictures and lines; `wrong` lines are not to be learned."""

    title: str
    pictures: tuple[Image.Image, ...]
    lines: tuple[tuple[str, str, bool], ...]


def show(folder: Path, n: int, out: Path, limits: Limits | None = None) -> int:
    """Write `n` trajectories, kinds mixed, as a page (.html) or a picture (.png); how many there were."""
    card = folder / "card.json"
    if not card.is_file():
        raise InputRefused(
            "The folder holds no card.json. Give one that `data trajectories` finished.", code="not_a_file"
        )
    images = folder / read_card(card)["images"]
    sheets = [sheet(one, images, limits) for one in sample_of_each_kind(folder, n)]
    if out.suffix == ".png":
        as_picture(sheets).save(out)
    else:
        out.write_text(as_page(sheets), encoding="utf-8")
    return len(sheets)


def sample_of_each_kind(folder: Path, n: int) -> list[Trajectory]:
    """The first `n` trajectories, one of each kind after the other."""
    kinds: dict[str, list[Trajectory]] = {}
    for file in (file for side in SPLITS for file in sorted((folder / side).glob("*.parquet"))[:1]):
        for one in read_parquet(file):
            kinds.setdefault(one.kind, []).append(one)
    rounds = zip_longest(*(kinds[kind] for kind in sorted(kinds)))
    return [one for group in rounds for one in group if one is not None][:n]


def sheet(one: Trajectory, images: Path, limits: Limits | None = None) -> Sheet:
    """The trajectory's pictures and turns."""
    with open_picture(images / one.image, limits=limits or own_limits()) as picture:
        whole = _view(picture, Box(0, 0, one.width, one.height), WHOLE)
        draw, scale = ImageDraw.Draw(whole), whole.width / one.width
        boxes = [*((box, WHITE, 1) for box in one.nested[1:]), *((view.box, AMBER, 2) for view in one.views[1:])]
        for box, colour, width in [*boxes, *((box, GREEN, 2) for box in one.targets)]:
            left, top, right, bottom = (round(value * scale) for value in box)
            draw.rectangle((left, top, max(left + 1, right - 1), max(top + 1, bottom - 1)), outline=colour, width=width)
        pictures = [whole, *(_view(picture, Box(*view.box), CROP) for view in one.views[1:])]
    lines: list[tuple[str, str, bool]] = []
    for turn in one.messages:
        said = [f"[{part.view}]" if isinstance(part, ImagePart) else part.text for part in turn.content]
        for call in turn.tool_calls:
            said.append(f"{call.function.name}({orjson.dumps(call.function.arguments).decode()})")
        lines.append((turn.role, " ".join(said), turn.role == "assistant" and not turn.learn))
    return Sheet(
        f"{one.kind}: {one.id}, picture {one.image_id}, {one.width}x{one.height}", tuple(pictures), tuple(lines)
    )


def _view(picture: Picture, box: Box, longer: int) -> Image.Image:
    scale = longer / max(box.width, box.height)
    return picture.view(box, Size(max(1, round(box.width * scale)), max(1, round(box.height * scale)))).copy()


def as_page(sheets: Sequence[Sheet]) -> str:
    """One HTML page, of the pieces that a run's page is made of."""
    shown = [
        {
            "title": one.title,
            "shots": [inlined_shot(image, "PNG") for image in one.pictures],
            "turns": [
                {
                    "name": role,
                    "text": text,
                    "time": "not to be learned" if wrong else "",
                    "side": "wrong" if wrong else "",
                    "marks": False,
                    "share": None,
                }
                for role, text, wrong in one.lines
            ],
        }
        for one in sheets
    ]
    return one_page("trajectories.html", {"sheets": shown})


def as_picture(sheets: Sequence[Sheet]) -> Image.Image:
    """All sheets, one below the other."""
    drawn = [_draw_sheet(one) for one in sheets]
    canvas = Image.new("RGB", (WIDTH, max(1, sum(image.height for image in drawn))), WHITE)
    top = 0
    for image in drawn:
        canvas.paste(image, (0, top))
        top += image.height
    return canvas


def _draw_sheet(one: Sheet) -> Image.Image:
    text = [
        (line, wrong)
        for role, said, wrong in one.lines
        for line in [line for part in f"{role}: {said}".split("\n") for line in wrap(part, 150) or [""]]
    ]
    rows = max(image.height for image in one.pictures)
    canvas = Image.new("RGB", (WIDTH, rows + LINE * (len(text) + 1) + 4 * PAD), WHITE)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=13)
    draw.text((PAD, PAD), one.title, "#000000", font)
    left, top = PAD, 2 * PAD + LINE
    for image in one.pictures:
        canvas.paste(image, (left, top))
        left += image.width + PAD
    for i, (line, wrong) in enumerate(text):
        draw.text((PAD, top + rows + PAD + LINE * i), line, "#bb0000" if wrong else "#333333", font)
    return canvas
