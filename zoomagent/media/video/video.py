"""Video: an opened clip of which any frame can be had, and any region of any frame at any size.

    with open_video("clip.mp4") as video:
        video.frame(12_300)                                # the last frame that is not after 12.3 s
        Sheet(video, video.moment, 3)                      # nine frames as one picture (sheet.py)

Times are whole milliseconds from the first frame. Where the frames come from is a `Frames` source's business; opening
is `opening.py`'s.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Protocol, Self

from PIL import Image

from zoomagent.geometry import Box, Size, whole
from zoomagent.media.lifetime import Lifetime
from zoomagent.media.rendering import plain_box
from zoomagent.moments import Moment

FrameRequest = tuple[int, Box, Size]
"""A frame's number, a region of it in its own pixels, and the size to render it at."""


class Frames(Protocol):
    """Where a clip's pixels come from. `regions` may be called from several threads, requests in order of time."""

    def regions(self, requests: Sequence[FrameRequest]) -> Iterator[Image.Image]: ...

    def close(self) -> None: ...


class Video:
    """An opened clip. `id` names its pixels, `times` when each frame begins, `notes` what was changed to get them."""

    def __init__(
        self, id: str, size: Size, times: Sequence[int], duration: int, notes: tuple[str, ...], frames: Frames
    ) -> None:
        self.id = id
        self.size = size
        self.times = times
        self.duration = duration
        self.notes = notes
        self._frames = frames
        self._lifetime = Lifetime("video", frames.close)

    @property
    def moment(self) -> Moment:
        """All of the clip."""
        return Moment(0, self.duration)

    @property
    def frame_gap(self) -> int:
        """Milliseconds from one frame to the next, on the whole."""
        return max(1, self.duration // max(1, len(self.times)))

    def number_at(self, time: int) -> int:
        """The number of the last frame that is not after `time`."""
        return max(0, bisect_right(self.times, time) - 1)

    def frame(self, time: int) -> Image.Image:
        """The last frame that is not after `time`, in full size."""
        [image] = self.regions([(self.number_at(time), whole(self.size), self.size)])
        return image

    def regions(self, requests: Sequence[FrameRequest]) -> Iterator[Image.Image]:
        """Regions of frames; those of one frame side by side and frames in order of time are decoded in one pass."""
        self._lifetime.check()
        checked = [(number, plain_box(box, self.size), size) for number, box, size in requests]
        if any(not 0 <= number < len(self.times) for number, _, _ in checked):
            raise ValueError(f"A frame's number is 0 to {len(self.times) - 1}.")
        return self._lifetime.during(self._frames.regions(checked))

    def close(self) -> None:
        """Give back memory and files. Pictures already made stay good; those that are being made are finished first."""
        self._lifetime.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
