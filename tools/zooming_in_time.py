"""The zoom in time: frames of a moment of the clip, as many as one look can hold.

    result = zoom_in_time(views, view, Moment(12_000, 15_000), room=4)

Models that take a sheet are shown nine frames row by row, or fewer where the moment has fewer; the others as many
frames as there is room for, each a view of its own that is shown behind its time. Together they cost about as much as
one view. Every pixel is the clip's own. Left out: where in the frames to look (`zooming.py`).
"""

from zoomagent.errors import ToolArgsInvalid
from zoomagent.media.video.sheet import Sheet
from zoomagent.media.video.video import Video
from zoomagent.moments import Moment, slices
from zoomagent.tools.viewing import ToolResult, ViewRecord, ViewStore

GRID = 3
"""Frames a side of a sheet (ours), as of a search in time."""
TIMED = 8
"""Frames shown one by one, at most (ours)."""


def clip_of(views: ViewStore) -> Video:
    """The clip that a run is about. ToolArgsInvalid where the run is on a picture, or on a sound."""
    if not isinstance(views.picture, Sheet) or not isinstance(views.picture.video, Video):
        raise ToolArgsInvalid("This is no clip: it has no frames. Zoom in on a region, or answer.")
    return views.picture.video


def zoom_in_time(views: ViewStore, view: str, moment: Moment, *, room: int = TIMED) -> ToolResult:
    """New views of `moment`, asked for after `view`; at most `room` of them."""
    video = clip_of(views)
    frames = 1 + video.number_at(moment.end - 1) - video.number_at(moment.start)
    if views.profile.frames == "sheet" or room < 2:
        grid = next((grid for grid in (1, 2) if frames <= grid * grid), GRID)
        return ToolResult("", (views.sheet(moment, grid, source=view),))
    count = max(1, min(frames, room, TIMED))
    most = max(views.profile.min_pixels, views.profile.max_pixels // count)
    records: list[ViewRecord] = []
    for part in slices(moment, count):
        at = part.middle
        record = views.sheet(Moment(at, at + 1), 1, source=view, max_pixels=most)
        records += [record] if record not in records else []
    return ToolResult("", tuple(records))


def time_of(record: ViewRecord) -> int | None:
    """The time of a view that shows one frame of a clip, in milliseconds; None for any other view."""
    sheet = record.get("sheet")
    if sheet is None or sheet["grid"] != 1:
        return None
    return Moment(*sheet["moment"]).middle
