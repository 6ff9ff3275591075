"""RawFile: RGB rows in a file, of which any region is read at any size with little memory.

Only the rows and columns asked for are read; shrinking reads a strip at a time. Reading is by offset, so threads
do not disturb each other.
"""

import os
from typing import IO

from PIL import Image

from zoomagent.errors import StoreError
from zoomagent.geometry import Box, Size
from zoomagent.media.rendering import render

_STRIP_BYTES = 3 << 20


class RawFile:
    """A picture of `size`, three bytes a pixel, `offset` bytes into a file that this object owns."""

    def __init__(self, file: IO[bytes], size: Size, offset: int = 0) -> None:
        self._file = file
        self._offset = offset
        self.size = size

    def region(self, box: Box, size: Size) -> Image.Image:
        """The region, in this file's own pixels, rendered at `size`."""
        return self.fraction(box.corners, size)

    def fraction(self, region: tuple[float, float, float, float], size: Size) -> Image.Image:
        """The region, whose edges may lie between pixels, rendered at `size`."""
        box = Box(
            int(region[0]),
            int(region[1]),
            min(self.size.width, -int(-region[2] // 1)),
            min(self.size.height, -int(-region[3] // 1)),
        )
        across, down = (region[2] - region[0]) / size.width, (region[3] - region[1]) / size.height
        factor = max(1, int(min(across, down)) // 2)
        pixels = self.reduced(box, factor)
        left, top = (region[0] - box.left) / factor, (region[1] - box.top) / factor
        right = min(pixels.width, (region[2] - box.left) / factor)
        bottom = min(pixels.height, (region[3] - box.top) / factor)
        return render(pixels, (left, top, right, bottom), size)

    def reduced(self, box: Box, factor: int) -> Image.Image:
        """The region averaged over squares of `factor` pixels, read strip by strip."""
        if factor == 1:
            return self._read(box)
        result = Image.new("RGB", (-(-box.width // factor), -(-box.height // factor)))
        rows = max(1, _STRIP_BYTES // (3 * box.width * factor)) * factor
        for top in range(box.top, box.bottom, rows):
            strip = self._read(Box(box.left, top, box.right, min(top + rows, box.bottom)))
            result.paste(strip.reduce(factor), (0, (top - box.top) // factor))
        return result

    def length(self) -> int:
        """Bytes of pixels in the file so far."""
        return os.fstat(self._file.fileno()).st_size - self._offset

    def close(self) -> None:
        self._file.close()

    def _read(self, box: Box) -> Image.Image:
        row = 3 * self.size.width
        if 2 * box.width >= self.size.width:
            start = box.top * row + 3 * box.left
            data = self._at(start, (box.height - 1) * row + 3 * box.width)
            data += bytes(row - 3 * box.width)
            return Image.frombuffer("RGB", (box.width, box.height), data, "raw", "RGB", row, 1)
        lines = (self._at(y * row + 3 * box.left, 3 * box.width) for y in range(box.top, box.bottom))
        return Image.frombuffer("RGB", (box.width, box.height), b"".join(lines), "raw", "RGB", 0, 1)

    def _at(self, offset: int, count: int) -> bytes:
        data = os.pread(self._file.fileno(), count, self._offset + offset)
        if len(data) != count:
            raise StoreError("Decoded pixels are missing on disk. Open the picture again.", code="store_io")
        return data
