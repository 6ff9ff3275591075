"""The views of one run: named records outside of which no pixel is ever shown to a model.

A record is plain JSON: which picture, which box of it in original pixels, rendered at which size, cut from
which earlier view, with which boxes drawn in, or blanked. Its id is the hash of what decides its pixels, so
equal ids promise equal pixels, and a store can be rebuilt from the picture and the records of a checkpoint.
Where the picture is a sheet of a clip's frames, a view may show another sheet of the same clip, and views may be cut
from that one (`at`).
Left out: deciding what to look at (`cropping.py`, `zooming.py`).
"""

import asyncio
import copy
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NotRequired, Self

from PIL import Image
from typing_extensions import TypedDict

from zoomagent.errors import ToolArgsInvalid
from zoomagent.geometry import Box, Size, View, whole
from zoomagent.media import Picture
from zoomagent.media.video.sheet import Sheet
from zoomagent.media.video.video import Video
from zoomagent.models.base import Pixels
from zoomagent.models.profiles import Profile
from zoomagent.moments import Moment
from zoomagent.tools.marking import marked

BLANK = (127, 127, 127)
"""The grey of a blanked view."""
MAGNIFY = 4.0
"""A small crop is drawn at most this much larger than it is (ours): more costs tokens and shows nothing."""

MOST_SIDE = 1 << 16
"""Pixels of a view's side, as in profiles."""
MOST_PIXELS = 1 << 26
"""Pixels of a view that somebody else wrote down (ours), where the model takes no larger ones."""
KEPT = 64
"""Rendered views that are kept from run to run (ours)."""


class SheetRecord(TypedDict):
    """A sheet of a clip's frames: `grid` x `grid` of them from `moment` (milliseconds), those in `hidden` moments
    grey. `heard`: of its own sound instead."""

    moment: list[int]
    grid: int
    hidden: list[list[int]]
    heard: NotRequired[bool]


class ViewRecord(TypedDict):
    """A view as plain JSON. `source` is the id of the view it was cut from, "" for the whole picture. `marks` are
    boxes in original pixels that are drawn in; a `blank` view shows nothing but grey. `sheet` is there where a view
    shows another sheet of the clip than the run's picture is: `box` lies in that one."""

    id: str
    picture: str
    box: list[int]
    size: list[int]
    source: str
    depth: int
    marks: NotRequired[list[list[int]]]
    blank: NotRequired[bool]
    sheet: NotRequired[SheetRecord]


@dataclass(frozen=True)
class ToolResult:
    """What a tool gives back: words for the model, and the new views to show it.

    `target` is the box, in original pixels, that the model pointed at; the view may show more."""

    text: str
    views: tuple[ViewRecord, ...] = ()
    target: Box | None = None


class ViewStore:
    """Makes views of one picture, remembers their records, and renders them from the original pixels. `picture` is what
    new views are cut from."""

    def __init__(self, picture: Picture, profile: Profile, *, max_pixels: int | None = None) -> None:
        self.picture = picture
        self._first = picture
        self._sheet: SheetRecord | None = None
        self.profile = profile
        self.max_pixels = max_pixels
        self._records: dict[str, ViewRecord] = {}
        self._images: dict[str, Image.Image] = {}

    def whole(self) -> ViewRecord:
        """The whole picture at the model's size: the macro view."""
        return self.add(whole(self.picture.size), max_pixels=self.profile.whole_pixels or None)

    def add(self, box: Box, *, source: str = "", max_pixels: int | None = None) -> ViewRecord:
        """The view of `box`, at the size that suits the model. Adding the same view twice gives the same
        record."""
        size = view_size(self.profile, box, max_pixels, self.max_pixels)
        depth = self._records[source]["depth"] + 1 if source else 0
        record = ViewRecord(
            id="",
            picture=self._first.id,
            box=box.as_list(),
            size=[size.width, size.height],
            source=source,
            depth=depth,
        )
        if self._sheet is not None:
            record["sheet"] = self._sheet
        record["id"] = id_of(record)
        return self._records.setdefault(record["id"], record)

    def sheet(
        self,
        moment: Moment,
        grid: int,
        hidden: Sequence[Moment] = (),
        *,
        source: str = "",
        max_pixels: int | None = None,
    ) -> ViewRecord:
        """All of another sheet of the same clip: one frame at the size of a whole picture, several as large as the
        model takes them. `source` is the view after which it is looked at."""
        sheet = SheetRecord(moment=moment.as_list(), grid=grid, hidden=[span.as_list() for span in hidden])
        other = self._on(sheet)
        limit = (self.profile.whole_pixels or None) if grid == 1 else None
        return other.add(whole(other.picture.size), source=source, max_pixels=max_pixels or limit)

    def spectrogram(self, moment: Moment, hidden: Sequence[Moment] = ()) -> ViewRecord:
        """The spectrogram of a moment of the clip's own sound. InputRefused where it has none."""
        spans = [span.as_list() for span in hidden]
        other = self._on(SheetRecord(moment=moment.as_list(), grid=1, hidden=spans, heard=True))
        return other.add(whole(other.picture.size), max_pixels=self.profile.whole_pixels or None)

    def at(self, name: str) -> Self:
        """These views, where new ones are cut from what view `name` lies in: another sheet of the clip, as a rule the
        picture."""
        record = self.record(name)
        return self._on(record.get("sheet"))

    def _on(self, sheet: SheetRecord | None) -> Self:
        if sheet == self._sheet:
            return self
        other = copy.copy(self)
        other._sheet = sheet
        other.picture = self._first if sheet is None else self._sheet_of(sheet)
        return other

    def shows_all(self, name: str) -> bool:
        """Whether a view shows all of what new views are cut from."""
        record = self.record(name)
        return record.get("sheet") == self._sheet and box_of(record) == whole(self.picture.size)

    def _sheet_of(self, sheet: SheetRecord) -> Sheet:
        """The sheet that a record names. ValueError where there is no such sheet."""
        if not isinstance(self._first, Sheet) or any(len(span) != 2 for span in (sheet["moment"], *sheet["hidden"])):
            raise ValueError("There is no such sheet.")
        hidden = [Moment(*span) for span in sheet["hidden"]]
        if sheet.get("heard"):
            if not isinstance(self._first.video, Video):
                raise ValueError("There is no such sheet.")
            return Sheet(self._first.video.sound(), Moment(*sheet["moment"]), sheet["grid"], hidden)
        return self._first.other(Moment(*sheet["moment"]), sheet["grid"], hidden)

    def picture_of(self, record: ViewRecord) -> Picture:
        """The picture in which a view's box lies."""
        return self._sheet_of(record["sheet"]) if "sheet" in record else self._first

    def largest(self, name: str) -> ViewRecord:
        """What a view shows, at the most pixels that the model takes."""
        record = self.record(name)
        return self.at(name).add(box_of(record), source=record["source"])

    def marked(self, name: str, boxes: Sequence[Box]) -> ViewRecord:
        """The same view with `boxes` (original pixels) drawn in."""
        drawn: ViewRecord = {**self.record(name), "marks": [box.as_list() for box in boxes]}
        drawn["id"] = id_of(drawn)
        return self._records.setdefault(drawn["id"], drawn)

    def blank(self, name: str) -> ViewRecord:
        """A view of the same size that shows nothing: the counterfactual of an evidence proof."""
        grey: ViewRecord = {**self.record(name), "blank": True}
        grey["id"] = id_of(grey)
        return self._records.setdefault(grey["id"], grey)

    def know(self, records: Iterable[ViewRecord]) -> None:
        """Take in the records of a checkpoint."""
        for record in records:
            self._records.setdefault(record["id"], record)

    def holds(self, record: ViewRecord) -> bool:
        """Whether a record from outside is a view of this picture that can be rendered here."""
        left, top, right, bottom = record["box"]
        try:
            size = self.picture_of(record).size
        except ValueError:
            return False
        inside = 0 <= left < right <= size.width and 0 <= top < bottom <= size.height
        most = max(MOST_PIXELS, self.profile.max_pixels)
        return record["picture"] == self._first.id and inside and size_of(record).pixels <= most

    def emptied(self) -> "ViewStore":
        """A store for another run on the same picture. It knows no view of this one, but shares what was rendered: an
        id promises its pixels, and says nothing of whose they are."""
        other = ViewStore(self._first, self.profile, max_pixels=self.max_pixels)
        for name in list(self._images)[:-KEPT]:
            self._images.pop(name, None)
        other._images = self._images
        return other

    def record(self, name: str) -> ViewRecord:
        """The record of a view; ToolArgsInvalid names the views there are."""
        if name not in self._records:
            names = ", ".join(self._records) or "none yet"
            raise ToolArgsInvalid(f"There is no view {name!r}. The views are: {names}.")
        return self._records[name]

    def smaller(self, name: str) -> ViewRecord:
        """The same box at half the pixels, or as few as the model accepts."""
        record = self.record(name)
        half = record["size"][0] * record["size"][1] // 2
        limit = max(half, self.profile.min_pixels)
        plain = self.at(name).add(box_of(record), source=record["source"], max_pixels=limit)
        if record.get("blank"):
            return self.blank(plain["id"])
        marks = [Box(*mark) for mark in record.get("marks", [])]
        return self.marked(plain["id"], marks) if marks else plain

    def tokens(self, names: Iterable[str]) -> int:
        """Visual tokens that these views cost, each time they are shown."""
        return sum(self.profile.visual_tokens(size_of(self.record(name))) for name in names)

    def image(self, name: str) -> Image.Image:
        """The view's pixels, cut from the original. The few views of a run are kept once rendered."""
        if name in self._images:
            return self._images[name]
        record = self.record(name)
        left, top, right, bottom = record["box"]
        if record.get("blank"):
            image = Image.new("RGB", (record["size"][0], record["size"][1]), BLANK)
        else:
            image = self.picture_of(record).view(box_of(record), size_of(record))
        shares = []
        for mark in () if record.get("blank") else record.get("marks", ()):
            x0, x1 = (min(max((x - left) / (right - left), 0.0), 1.0) for x in (mark[0], mark[2]))
            y0, y1 = (min(max((y - top) / (bottom - top), 0.0), 1.0) for y in (mark[1], mark[3]))
            shares.append((x0, y0, x1, y1))
        self._images[name] = marked(image, shares) if shares else image
        return self._images[name]

    async def pixels(self, name: str) -> Pixels:
        """The view as a part of a message; rendering does not block the event loop."""
        if name in self._images:
            return Pixels(name, self._images[name])
        return Pixels(name, await asyncio.to_thread(self.image, name))


def view_size(profile: Profile, box: Box, *max_pixels: int | None) -> Size:
    """The size at which `box` (original pixels) is shown: as the model likes it, within every limit that is given, and
    never magnified beyond sense."""
    limits = (*max_pixels, round(box.area * MAGNIFY**2))
    return profile.fit(box.size, min(limit for limit in limits if limit is not None))


def id_of(record: ViewRecord) -> str:
    """The content name of a view: what decides its pixels, and nothing else."""
    width, height = record["size"]
    name = _hashed(f"{record['picture']}|{width}x{height}", [record["box"]])
    if "sheet" in record:
        sheet = record["sheet"]
        heard = "|heard" if sheet.get("heard") else ""
        name = _hashed(f"{name}|{sheet['grid']}{heard}", [sheet["moment"], *sheet["hidden"]])
    if record.get("marks"):
        name = _hashed(name, record["marks"])
    return _hashed(name, []) if record.get("blank") else name


def _hashed(what: str, boxes: list[list[int]]) -> str:
    return f"view-{hashlib.sha256(f'{what}|{boxes}'.encode()).hexdigest()[:20]}"


def box_of(record: ViewRecord) -> Box:
    left, top, right, bottom = record["box"]
    return Box(left, top, right, bottom)


def size_of(record: ViewRecord) -> Size:
    width, height = record["size"]
    return Size(width, height)


def as_view(record: ViewRecord) -> View:
    """The record as geometry's value."""
    return View(record["picture"], box_of(record), size_of(record))
