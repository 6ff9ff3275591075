"""TIFF through libvips inside the decoder process: any part of any level of a page, in tiles or strips.

It reads what Pillow does not: many bands, whole numbers with a sign, fractions, pyramids of any size. `survey` finds
what black, white and the ground are to be, from the smallest level; `part` writes pixels. Needs the `large` extra.
"""

import os
from typing import IO, Any

import pyvips
from PIL import Image

from zoomagent.media.canonical import backdrop, value_range

_SAMPLE = 1_000_000
"""Pixels that a survey looks at, about (ours)."""


def survey(job: dict[str, Any], source: IO[bytes]) -> dict[str, Any]:
    """The range of values of a picture with more than 8 bits, and the colour that shows a transparent one."""
    try:
        image = _level(job, source)
        step = max(1, int((image.width * image.height / _SAMPLE) ** 0.5))
        image = image.subsample(step, step).copy_memory() if step > 1 else image.copy_memory()
        found: dict[str, Any] = {"range": None, "background": [255, 255, 255]}
        if image.format != "uchar":
            bands, fractions = _colours(image), image.format in ("float", "double")
            found["range"] = value_range(bands.min(), bands.max(), fractions)
        if image.hasalpha():
            shown = _eight_bits(image, found["range"])
            pixels = Image.frombytes(
                "LA" if shown.bands == 2 else "RGBA", (shown.width, shown.height), shown.write_to_memory()
            )
            found["background"] = list(backdrop(pixels))
    except pyvips.Error:
        return {"error": "corrupt_image"}
    return found


def part(job: dict[str, Any], source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    """The job's box of a level as RGB, averaged over squares of `shrink` pixels."""
    left, top, right, bottom = job["box"]
    try:
        image = _level(job, source).crop(left, top, right - left, bottom - top)
        if job["shrink"] > 1:
            image = image.shrink(job["shrink"], job["shrink"], ceil=True)
        image = _eight_bits(image, job["range"])
        if image.bands <= 2:
            image = image.colourspace("srgb")
        image = image.flatten(background=job["background"]) if image.hasalpha() else image
        image.rawsave_target(pyvips.Target.new_to_descriptor(target.fileno()))
    except pyvips.Error:
        full = os.fstatvfs(target.fileno()).f_bavail == 0
        return {"error": "store_full" if full else "corrupt_image"}
    return {"notes": []}


def _level(job: dict[str, Any], source: IO[bytes]) -> Any:
    """One directory of the file, lazily, with at most three bands of colour and one of alpha."""
    os.lseek(source.fileno(), 0, os.SEEK_SET)
    stream = pyvips.Source.new_from_descriptor(source.fileno())
    options = {"page": job["page"], "fail_on": "none" if job["truncated"] else "error"}
    if job["copy"] >= 0:
        options["subifd"] = job["copy"]
    image = pyvips.Image.tiffload_source(stream, **options)
    if [image.width, image.height] != job["size"]:
        raise pyvips.Error("the decoder sees another size than the header reader")
    if image.interpretation in ("cmyk", "lab", "labs", "xyz"):
        return image.colourspace("srgb")
    if image.bands > 4 or (image.bands == 4 and not job["alpha"]):
        image = image.extract_band(0, n=3)
    if image.format in ("complex", "dpcomplex"):
        image = image.abs()
    return image.copy(interpretation="srgb" if image.bands >= 3 else "b-w")


def _colours(image: Any) -> Any:
    return image.extract_band(0, n=image.bands - 1) if image.hasalpha() else image


def _eight_bits(image: Any, span: list[float] | None) -> Any:
    """`image` with one byte a band; alpha by the range of its own type."""
    if span is None:
        return image
    low, high = span
    scale = 255.0 / ((high - low) or 1.0)
    eight = ((_colours(image) - low) * scale).rint().cast("uchar")
    if image.hasalpha():
        whole = 65535 if image.format == "ushort" else 255
        eight = eight.bandjoin((image.extract_band(image.bands - 1) * (255.0 / whole)).rint().cast("uchar"))
    return eight.copy(interpretation="srgb" if eight.bands >= 3 else "b-w")
