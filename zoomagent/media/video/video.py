"""Video: an opened clip of which any frame can be had, and any region of any frame at any size.

    with open_video("clip.mp4") as video:
        video.frame(12_300)                                # the last frame that is not after 12.3 s
        Sheet(video, video.moment, 3)                      # nine frames as one picture (sheet.py)

Times are whole milliseconds from the first frame. Where the frames come from is a `Frames` source's business; opening
is `opening.py`'s.
"""

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from PIL import Image

from zoomagent.errors import InputRefused
from zoomagent.geometry import Box, Size, whole
from zoomagent.media.recording import GREY, CellRequest, Recording
from zoomagent.media.rendering import plain_box
from zoomagent.media.sound.sound import Sound
from zoomagent.moments import Moment

FrameRequest = tuple[int, Box, Size]
"""A frame's number, a region of it in its own pixels, and the size to render it at."""


class Frames(Protocol):
    """Where a clip's pixels come from. `regions` may be called from several threads, requests in order of time."""

    def regions(self, requests: Sequence[FrameRequest]) -> Iterator[Image.Image]: ...

    def close(self) -> None: ...


class Video(Recording):
    """An opened clip. `id` names its pixels, `times` when each frame begins, `notes` what was changed to get them;
    `track` opens its sound."""

    shows_all = False

    def __init__(
        self,
        id: str,
        size: Size,
        times: Sequence[int],
        duration: int,
        notes: tuple[str, ...],
        frames: Frames,
        track: Callable[[], Sound] | None = None,
    ) -> None:
        super().__init__(id, size, duration, notes, "video", frames.close)
        self.times = times
        self._frames = frames
        self._track = track
        self._sound: Sound | None = None
        self._opening = threading.Lock()

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

    def cells(self, requests: Sequence[CellRequest], hidden: Sequence[Moment] = ()) -> Iterator[Image.Image]:
        """The frame in the middle of each moment. What is hidden is not decoded."""
        shown = [not any(span.holds(moment.middle) for span in hidden) for moment, _, _ in requests]
        frames = self.regions(
            [
                (self.number_at(moment.middle), box, size)
                for (moment, box, size), is_shown in zip(requests, shown, strict=True)
                if is_shown
            ]
        )
        for (_, _, size), is_shown in zip(requests, shown, strict=True):
            yield next(frames) if is_shown else Image.new("RGB", (size.width, size.height), GREY)

    def sound(self) -> Sound:
        """The clip's own sound, from the time of its first frame on; closed with the clip. Raises InputRefused where it
        has none."""
        if self._track is None:
            raise InputRefused("This clip has no sound.", code="no_sound")
        with self._lifetime.use(), self._opening:
            if self._sound is None:
                self._sound = self._track()
            return self._sound

    def close(self) -> None:
        super().close()
        if self._sound is not None:
            self._sound.close()
