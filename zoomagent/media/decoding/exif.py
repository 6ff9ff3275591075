"""The one thing we want of EXIF: the orientation. Bounded, loop-free, and 1 for whatever makes no sense."""

import struct

_ORIENTATION = 0x0112
_SHORT, _LONG = 3, 4


def orientation_of(tiff: bytes) -> int:
    """1 to 8 from the first directory of an EXIF block (without its `Exif\\0\\0` mark), else 1."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 10:
        return 1
    (start,) = struct.unpack(f"{order}I", tiff[4:8])
    if start + 2 > len(tiff):
        return 1
    (count,) = struct.unpack(f"{order}H", tiff[start : start + 2])
    for place in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind, number = struct.unpack(f"{order}HHI", tiff[place : place + 8])
        if tag == _ORIENTATION and kind in (_SHORT, _LONG) and number == 1:
            (value,) = struct.unpack(
                f"{order}{'H' if kind == _SHORT else 'I'}", tiff[place + 8 : place + (10 if kind == _SHORT else 12)]
            )
            return int(value) if 1 <= value <= 8 else 1
    return 1
