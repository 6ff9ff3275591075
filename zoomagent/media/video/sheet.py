"""A sheet: a moment of a clip or sound laid row by row as one virtual picture, for whoever looks at pictures.

    sheet = Sheet(video, video.moment, 3)                  # nine frames: 5760 x 3240 pixels of a clip of 1920 x 1080
    sheet.view(box, size)                                  # rendered from the pixels of the frames that it touches

Each cell stands for a slice of the moment. Of a clip it shows the frame in its middle, of a sound all of the slice: its
spectrogram, so that a row goes on in the next one. A zoom into a cell is that frame in its own resolution, or the
spectrogram of less time. Nothing is drawn in: no numbers, no borders. `hidden` moments are grey, for proofs.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from PIL import Image

from zoomagent.errors import InputRefused
from zoomagent.geometry import Box, Size, intersect
from zoomagent.media.picture import Picture, Request
from zoomagent.media.recording import GREY, CellRequest, Recording
from zoomagent.media.video.video import Video
from zoomagent.moments import Moment, slices

MOST = 9
"""Cells a side at most (ours)."""


class Sheet(Picture):
    """`grid` x `grid` slices of `moment` as a picture. `video` is the clip or sound; a sheet that `owns` it closes
    it."""

    def __init__(
        self, video: Recording, moment: Moment, grid: int, hidden: Sequence[Moment] = (), *, owns: bool = False
    ) -> None:
        if not 1 <= grid <= MOST:
            raise ValueError(f"A sheet has 1 to {MOST} frames a side, not {grid}.")
        if not 0 <= moment.start < moment.end <= video.duration:
            raise ValueError("A sheet shows a moment of its clip.")
        self.video, self.moment, self.grid, self.hidden = video, moment, grid, tuple(hidden)
        self.slices = slices(moment, grid * grid)
        text = f"sheet {video.id} {moment.as_list()} {grid} {[span.as_list() for span in hidden]}"
        size = Size(grid * video.size.width, grid * video.size.height)
        name = hashlib.sha256(text.encode()).hexdigest()
        super().__init__(name, size, video.notes, _Cells(self, owns))

    def other(self, moment: Moment, grid: int, hidden: Sequence[Moment] = ()) -> "Sheet":
        """A sheet of another moment of the same clip."""
        return Sheet(self.video, moment, grid, hidden)

    def cell(self, number: int) -> Box:
        """Where cell `number` lies, counted from 0 row by row."""
        row, column = divmod(number, self.grid)
        width, height = self.video.size.width, self.video.size.height
        return Box(column * width, row * height, (column + 1) * width, (row + 1) * height)

    def cells(self, box: Box) -> list[int]:
        """The cells that a region touches."""
        return [number for number in range(self.grid**2) if intersect(self.cell(number), box).area > 0]

    def time_of(self, number: int) -> int:
        """The time at which cell `number` shows the clip; the middle of what it shows of a sound."""
        return self.slices[number].middle

    def moment_of(self, box: Box) -> Moment:
        """The time that a region shows: from the first to the last of the cells of which it holds a good part (the one
        that it holds most of, and those of which it holds half as much)."""
        areas = {number: intersect(self.cell(number), box).area for number in self.cells(box)}
        good = [number for number, area in areas.items() if 2 * area >= max(areas.values())]
        return Moment(self.slices[good[0]].start, self.slices[good[-1]].end)


class _Cells:
    """Satisfies `zoomagent.media.picture.Pixels`."""

    def __init__(self, sheet: Sheet, owns: bool) -> None:
        self._sheet, self._owns = sheet, owns

    def regions(self, requests: Sequence[Request]) -> Iterator[Image.Image]:
        """Every touched cell's part, from its frame's own pixels or from the samples, at its place in the view."""
        sheet, video = self._sheet, self._sheet.video
        for box, size in requests:
            places: list[tuple[int, int]] = []
            wanted: list[CellRequest] = []
            view = Image.new("RGB", (size.width, size.height), GREY)
            for number in sheet.cells(box):
                cell = sheet.cell(number)
                part = intersect(cell, box)
                left, right = (round((x - box.left) * size.width / box.width) for x in (part.left, part.right))
                top, bottom = (round((y - box.top) * size.height / box.height) for y in (part.top, part.bottom))
                if right <= left or bottom <= top:
                    continue
                own = Box(part.left - cell.left, part.top - cell.top, part.right - cell.left, part.bottom - cell.top)
                places.append((left, top))
                wanted.append((sheet.slices[number], own, Size(right - left, bottom - top)))
            for place, image in zip(places, video.cells(wanted, sheet.hidden), strict=True):
                if image.size == view.size:
                    view = image  # one cell fills the view
                else:
                    view.paste(image, place)
            yield view

    def prepare(self) -> None:
        """Nothing is decoded before it is looked at."""

    def close(self) -> None:
        if self._owns:
            self._sheet.video.close()


def sheet_of(recording: Recording, moment: Moment, grid: int, hidden: Sequence[Moment], heard: bool) -> Sheet:
    """A sheet of a clip or sound as somebody else names it; of a clip its own sound's, where it is `heard`. Raises
    InputRefused where there is no such moment."""
    if heard and isinstance(recording, Video):
        recording = recording.sound()
    if not 0 <= moment.start < moment.end <= recording.duration:
        raise InputRefused(
            "This clip or sound has no such moment. Give the one that was asked about.", code="other_picture"
        )
    return Sheet(recording, moment, grid, hidden)


def open_sheet(opener: Callable[[Any], Any], moment: Moment, grid: int, source: Any) -> Sheet:
    """The sheet of the clip that `opener` makes of `source`, which is closed with it; of an open clip, which stays
    open. Raises InputRefused where the source is no clip."""
    video = source if isinstance(source, Recording) else opener(source)
    if not isinstance(video, Recording):
        video.close()
        raise InputRefused("This is no video or sound. Give the one that was asked about.", code="other_picture")
    return Sheet(video, moment, grid, owns=video is not source)
