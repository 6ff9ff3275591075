"""Opened pictures that a process keeps: rollouts of a group, and neighbouring rows, look at the same one.

    picture = opened("pictures/1.jpg")         # a zoomagent.media.Picture, decoded once

The least recently used go when all together hold more than `MOST_BYTES`; the newest always stays. What still uses a
picture keeps it: a batch of episodes has as many open as it has questions. Left out: noticing that a file changed.
"""

from collections import OrderedDict
from pathlib import Path
from threading import Lock

from zoomagent.media import Picture, open_picture
from zoomagent.media.limits import own_limits

MOST_BYTES = 192_000_000
"""64 megapixels decoded (ours): a hundred and more of Visual Genome's pictures, or four of 4,000 x 4,000."""


class Opened:
    """A least-recently-used cache bounded by bytes. May be called from several threads."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._kept: OrderedDict[str, Picture] = OrderedDict()
        self._lock = Lock()

    def __call__(self, path: str) -> Picture:
        """The picture in a file. Raises InputRefused when it cannot be opened."""
        with self._lock:
            found = self._kept.pop(path, None)
        picture = found or open_picture(Path(path), limits=own_limits())
        with self._lock:
            self._kept[path] = picture
            while len(self._kept) > 1 and self.bytes > self._most:
                self._kept.popitem(last=False)
        return picture

    @property
    def bytes(self) -> int:
        """What the kept pictures hold decoded: three bytes a pixel, those that lie in files too."""
        return sum(3 * picture.size.pixels for picture in self._kept.values())


opened = Opened()
