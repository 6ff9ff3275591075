"""The page's pictures and clips: files named by their content, opened when needed, cut into tiles for looking closer.

    gallery = Gallery(Path("zoomagent-runs/pictures"))
    name = gallery.add(content)
    with gallery.lent(name) as picture:             # of a clip nine frames of the whole, or those that `name` says
        tile(picture, level=2, column=0, row=1)

Level 0 is the original, every further one half as wide; a tile is TILE pixels a side, less at the right and the lower
edge. All tiles are rendered from the original. A picture that no run was asked about goes when the gallery closes, or
when MOST_UNASKED newer ones came.
Left out: who may ask (`guard.py`).
"""

import asyncio
import io
import math
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from PIL import Image

from zoomagent.errors import InputRefused, StoreError
from zoomagent.files import write_whole
from zoomagent.geometry import Box, Size, whole
from zoomagent.media import Limits, Picture, Recording, SoundLimits, VideoLimits, open_media
from zoomagent.media.limits import own_limits
from zoomagent.media.video.sheet import sheet_of
from zoomagent.moments import GRID
from zoomagent.page.names import file_and_sheet, unknown

TILE = 512
SMALL = 160
"""Longer side, in pixels, of the small picture of a kept run."""
MOST_OPEN = 6
CLIP_BYTES = 128_000_000
"""What decoded frames of an open clip may fill (ours): as many may be open as pictures."""
MOST_UNASKED = 32
"""Files kept at most that no run was asked about (ours)."""


class Gallery:
    """Pictures, clips and sounds by name. May be used by several threads; those that are lent are never closed."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self._folder = folder
        self._limits = limits or own_limits()
        self._open: OrderedDict[str, Picture | Recording] = OrderedDict()
        self._lent: dict[str, int] = {}
        self._unasked: dict[str, None] = {}
        self._lock = threading.RLock()

    def add(self, content: bytes) -> str:
        """Keep a file of a picture, clip or sound; its name. Raises InputRefused where it is none, StoreError where it
        cannot be kept."""
        picture = self._opened(content)
        if isinstance(picture, Picture):
            picture.prepare()
        path = self._folder / picture.id
        try:
            if not path.exists():
                self._folder.mkdir(parents=True, exist_ok=True)
                write_whole(path, content)
                with self._lock:  # others go through it meanwhile
                    self._unasked[picture.id] = None
        except OSError as error:
            picture.close()
            raise StoreError(f"The picture cannot be kept ({error.strerror}). Free space.", code="store_io") from error
        with self._lock:
            if picture.id in self._open:
                picture.close()
            else:
                self._open[picture.id] = picture
            self._forget_oldest()
            # The files of the oldest pictures that nothing was asked about and nobody looks at.
            idle = [name for name in self._unasked if name not in self._open and not self._lent.get(name)]
            for name in idle[: max(0, len(self._unasked) - MOST_UNASKED)]:
                del self._unasked[name]
                (self._folder / name).unlink(missing_ok=True)
        return picture.id

    @contextmanager
    def lent(self, name: str) -> Iterator[Picture]:
        """The open picture, or a sheet of the open clip. Raises InputRefused where there is none of this name. Opening
        may decode for long."""
        file, frames = file_and_sheet(name)
        with self._lock:
            self._lent[file] = self._lent.get(file, 0) + 1
        try:
            opened = self._open_file(file)
            if isinstance(opened, Recording):
                moment, grid, hidden, heard = frames or (opened.moment, GRID, (), False)
                yield sheet_of(opened, moment, grid, hidden, heard)
            elif frames is None:
                yield opened
            else:
                raise unknown()
        finally:
            with self._lock:
                self._lent[file] -= 1
                if not self._lent[file]:
                    del self._lent[file]
                self._forget_oldest()

    @asynccontextmanager
    async def borrowed(self, name: str) -> AsyncIterator[Picture]:
        """The same for an event loop, which does not wait: a thread opens. It is given back even when cancelled."""
        loan = self.lent(name)
        opening = asyncio.create_task(asyncio.to_thread(loan.__enter__))
        try:
            yield await asyncio.shield(opening)
        finally:
            opening.add_done_callback(lambda _: loan.__exit__(None, None, None))

    def check(self, name: str) -> None:
        """Raises InputRefused where there is no picture or clip of this name."""
        if not (self._folder / file_and_sheet(name)[0]).is_file():
            raise unknown()

    def keep(self, name: str) -> None:
        """A run was asked about it: it stays when the gallery closes."""
        with self._lock:
            self._unasked.pop(name, None)

    def close(self) -> None:
        """Close all pictures; remove the files of those that nothing was asked about."""
        with self._lock:
            for picture in self._open.values():
                picture.close()
            self._open.clear()
            for name in self._unasked:
                (self._folder / name).unlink(missing_ok=True)
            self._unasked.clear()

    def _open_file(self, name: str) -> Picture | Recording:
        """Opened without the lock: others are lent theirs meanwhile. Of two openings the first stays."""
        with self._lock:
            known = self._open.get(name)
            if known is not None:
                self._open.move_to_end(name)
                return known
        self.check(name)
        opened = self._opened(self._folder / name)
        with self._lock:
            picture = self._open.setdefault(name, opened)
        if picture is not opened:
            opened.close()
        return picture

    def _opened(self, source: bytes | Path) -> Picture | Recording:
        most = self._limits.max_bytes
        clips, sounds = VideoLimits(max_bytes=most, cache_bytes=CLIP_BYTES), SoundLimits(max_bytes=most)
        return open_media(source, limits=self._limits, video_limits=clips, sound_limits=sounds)

    def _forget_oldest(self) -> None:
        idle = [name for name in self._open if not self._lent.get(name)]
        for name in idle[: max(0, len(self._open) - MOST_OPEN)]:
            self._open.pop(name).close()


def levels(size: Size) -> int:
    """How many levels a picture has; the last is one tile."""
    return 1 + max(0, math.ceil(math.log2(max(size.width, size.height) / TILE)))


def tile(picture: Picture, level: int, column: int, row: int) -> bytes:
    """A tile as a JPEG file. Raises InputRefused for one that is not there."""
    across, down = picture.size.width, picture.size.height
    step = TILE << level if 0 <= level < levels(picture.size) else 0
    if step == 0 or not 0 <= column * step < across or not 0 <= row * step < down:
        raise InputRefused("The picture has no such tile.", code="unknown_tile")
    box = Box(column * step, row * step, min(across, (column + 1) * step), min(down, (row + 1) * step))
    size = Size(max(1, math.ceil(box.width / (1 << level))), max(1, math.ceil(box.height / (1 << level))))
    return _file(picture.view(box, size), "JPEG")


def look(picture: Picture, box: Box, size: Size) -> bytes:
    """A view as the model saw it, as a PNG file, at most TILE pixels a side."""
    inside = 0 <= box.left < box.right <= picture.size.width and 0 <= box.top < box.bottom <= picture.size.height
    if not inside or min(size.width, size.height) < 1:
        raise InputRefused("The picture has no such view.", code="unknown_view")
    scale = min(1.0, TILE / max(size.width, size.height))
    shown = Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))
    return _file(picture.view(box, shown), "PNG")


def thumbnail(picture: Picture) -> bytes:
    """The whole picture as a small JPEG file, for a list."""
    scale = min(1.0, SMALL / max(picture.size.width, picture.size.height))
    size = Size(max(1, round(picture.size.width * scale)), max(1, round(picture.size.height * scale)))
    return _file(picture.view(whole(picture.size), size), "JPEG")


def _file(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **({"quality": 88, "subsampling": 0} if form == "JPEG" else {}))
    return buffer.getvalue()
