"""Picture: an upright RGB picture of which any region can be had at any size.

    with open_picture("scan.jpg") as picture:
        picture.view(Box(400, 300, 900, 700), Size(448, 364))     # from original pixels, always

Where the pixels come from is a `Pixels` source's business; opening is `opening.py`'s.
"""

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Protocol, Self

from PIL import Image

from zoomagent.geometry import Box, Size
from zoomagent.media.lifetime import Lifetime
from zoomagent.media.rendering import plain_box, render

MAX_VIEW_PIXELS = 64_000_000
"""No view is rendered larger than this (ours): a model is never shown as much."""

KEPT_PIXELS = 2_000_000
"""No larger view of the whole is kept for the next question (ours)."""

Request = tuple[Box, Size]
"""A region of the original and the size to render it at."""


class Pixels(Protocol):
    """Where a picture's pixels come from. `regions` may be called from several threads."""

    def regions(self, requests: Sequence[Request]) -> Iterator[Image.Image]: ...

    def prepare(self) -> None: ...

    def close(self) -> None: ...


class InMemory:
    """Pixels that are all decoded and small enough to keep."""

    def __init__(self, image: Image.Image) -> None:
        image.load()
        self._image = image  # RGB, or RGBX where it lies in mapped memory

    def regions(self, requests: Sequence[Request]) -> Iterator[Image.Image]:
        for box, size in requests:
            view = render(self._image, box.corners, size)
            yield view if view.mode == "RGB" else view.convert("RGB")

    def prepare(self) -> None:
        """All is ready."""

    def close(self) -> None:
        """Nothing to give back."""


class Picture:
    """An opened picture. `id` names its pixels, `notes` says what was changed to get them."""

    def __init__(self, id: str, size: Size, notes: tuple[str, ...], pixels: Pixels) -> None:
        self.id = id
        self.size = size
        self.notes = notes
        self._pixels = pixels
        self._lifetime = Lifetime("picture", pixels.close)
        # The last view of the whole: every question about the picture begins with it.
        self._whole: Image.Image | None = None

    def view(self, box: Box, size: Size) -> Image.Image:
        """The region `box` of the original, rendered at `size`. May be called from several threads."""
        is_whole = box == Box(0, 0, self.size.width, self.size.height)
        kept = self._whole
        if is_whole and kept is not None and kept.size == (size.width, size.height):
            self._lifetime.check()
            return kept.copy()
        [image] = self.views([(box, size)])
        if is_whole and size.pixels <= KEPT_PIXELS:
            # A copy: whoever asked may draw on the other.
            self._whole = image.copy()
        return image

    def views(self, requests: Sequence[Request]) -> Iterator[Image.Image]:
        """Several views, one after the other: on a large file not yet decoded, much quicker than asking singly."""
        self._lifetime.check()
        for _, size in requests:
            if min(size.width, size.height) < 1 or size.pixels > MAX_VIEW_PIXELS:
                raise ValueError(f"A view is 1 to {MAX_VIEW_PIXELS} pixels, not {size.width}x{size.height}.")
        return self._lifetime.during(
            self._pixels.regions([(plain_box(box, self.size), size) for box, size in requests])
        )

    def prepare(self) -> None:
        """Begin to decode a large file in the background, say while a model thinks. Returns at once."""
        self._pixels.prepare()

    def close(self) -> None:
        """Give back memory and files. Views already made stay good; one that is being made is finished first."""
        self._whole = None
        self._lifetime.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
