"""Runs the tools of `offers.py` for a client, whatever the face.

    async with aclosing(answering(agent, opener, arguments)) as items:
        async for item in items:                                # Step, Step, …, Told
            ...
    told = await looking(agent, opener, Crop(image="a.png", box=[0.1, 0.1, 0.2, 0.2]))

What a client is told is a value of the public schema, the same in words, and pictures: JPEG files of at most
MAX_CROP_SIDE pixels a side and PICTURE_BYTES together. Text that was read has at most TEXT_BYTES: hosts drop
results of 1 MB. A single tool raises ToolError or RunError, both safe to show; a question never does: what went
wrong is its outcome. Left out: how a face words it in its own protocol.
"""

import asyncio
import io
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from PIL import Image

from zoomagent.agent import ZoomAgent
from zoomagent.answer import Answer
from zoomagent.errors import InputRefused, RunError
from zoomagent.geometry import Box, Size, Space, View, box_from_model, whole
from zoomagent.graphs.context import Bench
from zoomagent.media import Picture, Recording
from zoomagent.media.patience import opened_in_time
from zoomagent.media.video.sheet import Sheet
from zoomagent.moments import Moment
from zoomagent.plugins.offers.offers import (
    AnswerAboutImage,
    Crop,
    Ground,
    Part,
    PublicCheck,
    PublicLine,
    PublicPlaces,
    PublicRegion,
    PublicText,
    ReadText,
    ToolArguments,
    Verify,
    Zoom,
)
from zoomagent.plugins.offers.public import (
    MAX_CROP_SIDE,
    Public,
    PublicAnswer,
    crops_of,
    public_answer,
    public_box,
    public_refusal,
)
from zoomagent.run_record import Step
from zoomagent.tools.grounding import ground
from zoomagent.tools.reading import read_view
from zoomagent.tools.searching import smallest_in
from zoomagent.tools.verifying import sees
from zoomagent.tools.viewing import MAGNIFY
from zoomagent.tools.zooming import MARGIN, surroundings

Opener = Callable[[Any], Picture | Recording]
PICTURE_BYTES = 600_000
"""Bytes of all pictures of one result, which become a third more as base64 (ours)."""
TEXT_BYTES = 60_000
"""Bytes of the lines that were read, of which a result holds two copies and a frame around each (ours)."""
_LINE_FRAME = 120
_QUALITIES = ((90, 0), (80, 2), (60, 2), (40, 2))
"""JPEG quality and subsampling, tried from the best."""
MOST_SHARE = 1e9
SPACES: dict[str, Space] = {"relative": "unit", "pixels": "pixels"}


@dataclass(frozen=True)
class Told:
    """What a client is told: a value, the same in words, and pictures (JPEG files). `failed`: there is no answer."""

    value: Public
    text: str
    pictures: tuple[bytes, ...] = ()
    failed: bool = False


# A question


async def answering(agent: ZoomAgent, opener: Opener, asked: AnswerAboutImage) -> AsyncGenerator[Step | Told, None]:
    """The steps of the run as they happen, then what the client is told. Closing it cancels the run, and closes the
    picture or clip when that has ended."""
    changes = {
        name: value
        for name in ("strategy", "rule", "target_error", "gate")
        if (value := getattr(asked, name)) is not None
    }
    chosen = agent.using(**changes) if changes else agent
    try:
        media = await opened_in_time(opener, asked.image, chosen.context.budget.seconds)
    except RunError as error:
        refusal = public_refusal(error, chosen.model_name, chosen.context.strategy)
        yield Told(refusal, answer_text(refusal), failed=True)
        return
    with media:
        regions = [region_in(media.size, region, asked.units) for region in asked.regions or ()]
        asking = chosen.astream(media, asked.question, asked.options or (), regions=regions)
        async with aclosing(asking) as items:
            async for item in items:
                yield item if isinstance(item, Step) else await asyncio.to_thread(_tell_answer, item, media)


async def answer_told(agent: ZoomAgent, opener: Opener, asked: AnswerAboutImage) -> Told:
    """The same without the steps."""
    async with aclosing(answering(agent, opener, asked)) as items:
        async for item in items:
            if isinstance(item, Told):
                return item
    raise AssertionError("a run ends with what the client is told")


def _tell_answer(answer: Answer, media: Picture | Recording) -> Told:
    public, crops = public_answer(answer), []
    if isinstance(media, Picture):
        crops = crops_of(answer, media)
    elif answer.picture and (made := answer.picture.sheet):
        sheet = Sheet(media, Moment(*made.moment), made.grid)
        crops = crops_of(answer, sheet) or [sheet.view(whole(sheet.size), shown_size(whole(sheet.size)))]
    files = tuple(jpeg(crop, PICTURE_BYTES // max(1, len(crops))) for crop in crops)
    return Told(public, answer_text(public), files, failed=not answer.answered)


def answer_text(answer: PublicAnswer) -> str:
    """The answer in a few lines, for a model or a person to read."""
    if answer.outcome in ("refused", "failed"):
        return f"{answer.code}: {' '.join(answer.reasons)}"
    sure = "" if answer.confidence is None else f" ({answer.confidence_from} confidence {answer.confidence:.2f})"
    place = "the sheet shown" if answer.sheet else "the original"
    boxes = "".join(f"\nIt rests on {list(box.pixels)} (pixels of {place})." for box in answer.boxes)
    times = "".join(f"\n{one.phrase}: {one.start / 1000:.3f} to {one.end / 1000:.3f} s." for one in answer.moments)
    return f"{answer.answer}{sure}\n{' '.join(answer.reasons)}{times}{boxes}"


# Single tools


async def looking(agent: ZoomAgent, opener: Opener, asked: ToolArguments) -> Told:
    """What one tool gives. Raises ToolError and RunError."""
    with await opened_in_time(opener, asked.image, agent.context.budget.seconds) as picture:
        if isinstance(picture, Recording):
            text = "This tool takes pictures. Ask answer_about_image about a clip or sound."
            raise InputRefused(text, code="unsupported_image")
        match asked:
            case Crop() | Zoom():
                return await asyncio.to_thread(_show_region, picture, asked)
            case ReadText():
                return await agent.awork(picture, lambda bench: _read_lines(bench, asked))
            case Verify():
                return await agent.awork(picture, lambda bench: _verify_thing(bench, asked))
            case Ground():
                boxes = await agent.awork(
                    picture, lambda bench: ground(bench.model, bench.views, _view(bench, asked), asked.thing)
                )
                public = tuple(public_box(box.corners, picture.size) for box in boxes)
                text = "\n".join(f"{list(box.pixels)} (pixels of the original)" for box in public) or "Not found."
                return Told(PublicPlaces(boxes=public, picture=_size(picture)), text)
            case _:
                raise TypeError(f"{type(asked).__name__} is no single tool; use answering.")


def _show_region(picture: Picture, asked: Crop | Zoom) -> Told:
    box = box_in(picture.size, asked.box, asked.units)
    if isinstance(asked, Zoom):
        box = surroundings(box, picture.size, MARGIN, 0)
    image = picture.view(box, shown_size(box))
    region = PublicRegion(box=public_box(box.corners, picture.size), size=image.size, picture=_size(picture))
    text = f"Shows {box.as_list()} (pixels of the original, which is {picture.size.width}x{picture.size.height})."
    return Told(region, text, (jpeg(image),))


async def _read_lines(bench: Bench, asked: ReadText) -> Told:
    picture = bench.views.picture
    read = await read_view(bench.views, _view(bench, asked))
    told = tuple(
        PublicLine(text=line.text, box=public_box(line.box.corners, picture.size), score=line.score)
        for line in read.lines
    )
    kept = _as_fits(told)
    text = "\n".join(f"{line.text!r} at {list(line.box.pixels)}" for line in kept) or "No text was read."
    if len(kept) < len(told):
        text += f"\n{len(told) - len(kept)} more lines were read. Name a smaller box to get them."
    if not read.complete:
        text += "\nNot all of it was looked at. Name a smaller box to read the rest."
    complete = read.complete and len(kept) == len(told)
    return Told(PublicText(lines=kept, picture=_size(picture), complete=complete), text)


def _as_fits(lines: tuple[PublicLine, ...]) -> tuple[PublicLine, ...]:
    """The first lines, as many as a result holds."""
    sizes = accumulate(len(line.text.encode()) + _LINE_FRAME for line in lines)
    return tuple(line for line, size in zip(lines, sizes, strict=True) if size <= TEXT_BYTES)


async def _verify_thing(bench: Bench, asked: Verify) -> Told:
    name = _view(bench, asked)
    probability = await sees(bench.model, bench.views, name, asked.thing)
    visible = None if probability is None else probability >= 0.5
    width, height = bench.views.record(name)["size"]
    least = smallest_in(bench.views, name)
    if probability is None:
        text = "This model cannot measure it."
    else:
        word = "Yes" if visible else "No"
        text = f"{word}: {asked.thing!r} can be seen at {width} x {height} pixels with probability {probability:.2f}."
    if not visible:
        text += f" A thing of less than {least} pixels of the original may be missed at that size; look at parts of it."
    size = _size(bench.views.picture)
    told = PublicCheck(visible=visible, probability=probability, shown=(width, height), least=least, picture=size)
    return Told(told, text)


def _view(bench: Bench, asked: Part) -> str:
    """The id of the view that is asked about."""
    views = bench.views
    if asked.box is None:
        return views.whole()["id"]
    box = box_in(views.picture.size, asked.box, asked.units)
    return views.add(box, max_pixels=views.profile.crop_pixels or None)["id"]


# Boxes and pictures


def box_in(size: Size, box: list[float], units: str | None) -> Box:
    """The box that a client means, in pixels of the original. Raises BoxInvalid; nothing is guessed."""
    return box_from_model(box, SPACES[units or "relative"], View("", whole(size), size), size)


def region_in(size: Size, region: list[float], units: str | None) -> list[Any]:
    """The region that a client means, in pixels of the original, nothing clipped: what cannot be is refused by the
    run."""
    if units == "pixels":
        return [int(number) if number.is_integer() else number for number in region]
    # What is far outside stays so, as a number that there is.
    left, top, right, bottom = (
        min(max(share, -MOST_SHARE), MOST_SHARE) * side
        for share, side in zip(region, (size.width, size.height) * 2, strict=True)
    )
    least = 1e-6  # a share that was rounded is no pixel more
    return [math.floor(left + least), math.floor(top + least), math.ceil(right - least), math.ceil(bottom - least)]


def shown_size(box: Box) -> Size:
    """The size a client is shown a region at: magnified where it is small, at most MAX_CROP_SIDE a side."""
    factor = min(MAGNIFY, MAX_CROP_SIDE / max(box.width, box.height))
    return Size(max(1, round(box.width * factor)), max(1, round(box.height * factor)))


def jpeg(image: Image.Image, most: int = PICTURE_BYTES) -> bytes:
    """A file of at most so many bytes: of less quality, at last smaller, where the picture is full of detail."""
    rgb = image.convert("RGB")
    for quality, subsampling in _QUALITIES:
        file = io.BytesIO()
        rgb.save(file, "JPEG", quality=quality, subsampling=subsampling)
        if file.tell() <= most:
            return file.getvalue()
    return jpeg(rgb.resize((max(1, rgb.width // 2), max(1, rgb.height // 2)), Image.Resampling.BOX), most)


def _size(picture: Picture) -> tuple[int, int]:
    return picture.size.width, picture.size.height
