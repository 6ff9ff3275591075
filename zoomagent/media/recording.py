"""Recording: what has a time of its own, a clip or a sound, of which any moment can be had as a picture.

Times are whole milliseconds from its beginning. `Sheet` (video/sheet.py) lays such pictures row by row. Left out: how
a moment is drawn, which is the frame in its middle (video/) or its spectrogram (sound/).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import ClassVar, Self

from PIL import Image

from zoomagent.geometry import Box, Size
from zoomagent.media.lifetime import Lifetime
from zoomagent.moments import Moment

GREY = (127, 127, 127)
"""What is hidden for a proof."""
CellRequest = tuple[Moment, Box, Size]
"""The moment that a cell stands for, a region of the cell in its own pixels, and the size to render it at."""


class Recording(ABC):
    """An opened clip or sound. `id` names its content, `size` is that of the picture of one moment, `notes` says what
    was changed to get it."""

    shows_all: ClassVar[bool]
    """Whether the picture of a moment shows all of that time, and not one instant of it."""

    def __init__(
        self, id: str, size: Size, duration: int, notes: tuple[str, ...], kind: str, close: Callable[[], None]
    ) -> None:
        self.id = id
        self.size = size
        self.duration = duration
        self.notes = notes
        self._lifetime = Lifetime(kind, close)

    @property
    def moment(self) -> Moment:
        """All of its time."""
        return Moment(0, self.duration)

    @property
    @abstractmethod
    def frame_gap(self) -> int:
        """Milliseconds below which two times cannot be told apart."""

    @abstractmethod
    def cells(self, requests: Sequence[CellRequest], hidden: Sequence[Moment] = ()) -> Iterator[Image.Image]:
        """Pictures of moments, or regions of them; what lies in `hidden` moments is grey."""

    def close(self) -> None:
        """Give back memory and files. Pictures already made stay good; those that are being made are finished first."""
        self._lifetime.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
