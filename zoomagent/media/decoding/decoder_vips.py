"""libvips inside the decoder process: all rows, or some regions, in one pass that keeps a few rows in memory.

Only its JPEG and PNG readers are called, by name; files are never sniffed. Needs the `large` extra.
"""

import os
from collections.abc import Callable
from typing import IO, Any

import pyvips

pyvips.cache_set_max(0)
_SAMPLE = 1_000_000
"""Pixels from which the ground is chosen, about (ours)."""
_CUT = ("premature end", "found marker 0xd9 instead of RST")
"""What libjpeg says of a picture that ends before its last row."""


def vips_rows(job: dict[str, Any], source: IO[bytes], target: IO[bytes], shrink: int = 1) -> dict[str, Any]:
    """All rows as stored, top to bottom, three bytes a pixel; a JPEG perhaps at 1/`shrink`."""

    def write(fail_on: str) -> None:
        os.lseek(target.fileno(), 0, os.SEEK_SET)
        image = _open(job, source, fail_on, **({"shrink": shrink} if shrink > 1 else {}))
        if shrink > 1:
            # libvips drops a last part of a pixel; a level holds it.
            width, height = (-(-side // shrink) for side in job["size"])
            image = image.embed(0, 0, width, height, extend="copy")
        image.rawsave_target(pyvips.Target.new_to_descriptor(target.fileno()))

    return _judged(job, write, target)


def vips_regions(job: dict[str, Any], source: IO[bytes], target: IO[bytes]) -> dict[str, Any]:
    """The job's boxes, one after the other in `target`; rows below the lowest are not decoded."""

    def write(fail_on: str) -> None:
        slicer = _Slicer(job["boxes"], target.fileno())
        sink = pyvips.TargetCustom()
        sink.on_write(slicer.write)
        _open(job, source, fail_on).crop(*slicer.extent).rawsave_target(sink)

    return _judged(job, write, target)


def _judged(job: dict[str, Any], write: Callable[[str], None], target: IO[bytes]) -> dict[str, Any]:
    """The reply of a job that `write` does. A JPEG that was cut off is a mere warning of libjpeg's, and so is much that
    costs no pixel: then the same is written again."""
    try:
        if job["truncated"]:
            write("none")
            return {"notes": []}
        try:
            write("warning" if job["format"] == "JPEG" else "error")
        except pyvips.Error as error:
            if job["format"] != "JPEG" or any(word in str(error) for word in _CUT):
                raise
            write("error")
    except pyvips.Error:
        full = os.fstatvfs(target.fileno()).f_bavail == 0
        return {"error": "store_full" if full else "corrupt_image"}
    return {"notes": []}


def vips_ground(job: dict[str, Any], source: IO[bytes]) -> dict[str, Any]:
    """The colour on which a transparent picture shows, from a sample of it."""
    from PIL import Image

    from zoomagent.media.canonical import backdrop

    os.lseek(source.fileno(), 0, os.SEEK_SET)
    stream = pyvips.Source.new_from_descriptor(source.fileno())
    try:
        image = pyvips.Image.pngload_source(stream, access="sequential", fail_on="none")
        step = max(1, int((image.width * image.height / _SAMPLE) ** 0.5))
        image = image.subsample(step, step).copy_memory()
    except pyvips.Error:
        return {"error": "corrupt_image"}
    if image.bands not in (2, 4):
        return {"background": [255, 255, 255]}
    mode = "LA" if image.bands == 2 else "RGBA"
    return {"background": list(backdrop(Image.frombytes(mode, (image.width, image.height), image.write_to_memory())))}


class _Slicer:
    """Takes the rows of the boxes' common extent as they come and writes each box's part to its place."""

    def __init__(self, boxes: list[list[int]], fd: int) -> None:
        left, right = min(box[0] for box in boxes), max(box[2] for box in boxes)
        bottom = max(box[3] for box in boxes)
        self.extent = (left, 0, right - left, bottom)
        self._fd = fd
        self._stride = 3 * (right - left)
        self._active: list[list[tuple[int, int, int]]] = [[] for _ in range(bottom)]
        place = 0
        for x0, y0, x1, y1 in boxes:
            length = 3 * (x1 - x0)
            for y in range(y0, y1):
                self._active[y].append((3 * (x0 - left), length, place))
                place += length
        self._row = 0
        self._rest = b""

    def write(self, block: bytes) -> int:
        """Called by libvips with consecutive bytes, in practice a row at a time."""
        data = memoryview(self._rest + block if self._rest else block)
        whole = len(data) // self._stride
        for start in range(0, whole * self._stride, self._stride):
            for offset, length, place in self._active[self._row]:
                os.pwrite(self._fd, data[start + offset : start + offset + length], place)
            self._row += 1
        self._rest = bytes(data[whole * self._stride :])
        return len(block)


def _open(job: dict[str, Any], source: IO[bytes], fail_on: str, **options: int) -> Any:
    """The picture as a lazy RGB pipeline. `fail_on` says from which complaint on it is an error."""
    os.lseek(source.fileno(), 0, os.SEEK_SET)
    stream = pyvips.Source.new_from_descriptor(source.fileno())
    load = pyvips.Image.jpegload_source if job["format"] == "JPEG" else pyvips.Image.pngload_source
    image = load(stream, access="sequential", fail_on=fail_on, **options)
    if image.bands in (1, 2):
        image = image.colourspace("srgb")
    return image.flatten(background=job["background"]) if image.hasalpha() else image
