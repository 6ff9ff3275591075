"""What the page calls its pictures: a file of the gallery by its content, and a sheet of a clip's frames by the clip,
its moment, its frames a side, and the moments that are grey in it.

    sheet_name(info)                    # "<64 digits>-12000-15000-3", with "-13000-14000" for each moment that is grey,
                                        # and "-sound" where it is a spectrogram
    file_and_sheet(name)                # the file's name, and which frames of it (None: all that it holds)

So any frames of a clip that is here can be had by name, and nothing is kept for it. Left out: pixels (`gallery.py`).
"""

import re

from zoomagent.errors import InputRefused
from zoomagent.moments import Moment
from zoomagent.run_record import PictureInfo, SheetInfo

FILE = re.compile(r"[0-9a-f]{64}")
MOST_FRAMES = 4
"""Frames a side of a sheet that the page shows at most: runs make no larger ones."""
MOST_HIDDEN = 8
"""Moments of a sheet that are grey, at most (ours): runs make five."""
_SPAN = r"-\d{1,9}-\d{1,9}"
SHEET = re.compile(rf"([0-9a-f]{{64}})({_SPAN})-([1-{MOST_FRAMES}])((?:{_SPAN}){{0,{MOST_HIDDEN}}})(-sound)?")

Frames = tuple[Moment, int, tuple[Moment, ...], bool]
"""The moment of a sheet, its frames a side, what is grey in it, and whether it is a spectrogram."""


def sheet_name(sheet: SheetInfo) -> str:
    """The name of a sheet of a clip that the gallery keeps."""
    spans = [f"{start}-{end}" for start, end in (sheet.moment, *sheet.hidden)]
    return "-".join([sheet.clip, spans[0], str(sheet.grid), *spans[1:], *(["sound"] if sheet.heard else [])])


def file_and_sheet(name: str) -> tuple[str, Frames | None]:
    """What a name means. Raises InputRefused for what is none."""
    if FILE.fullmatch(name):
        return name, None
    if found := SHEET.fullmatch(name):
        numbers = [int(number) for number in f"{found[2]}{found[4]}".split("-")[1:]]
        moment, *hidden = (Moment(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True))
        return found[1], (moment, int(found[3]), tuple(hidden), found[5] is not None)
    raise unknown()


def unknown() -> InputRefused:
    """The error for a picture that is not here."""
    return InputRefused("This picture is no longer here. Give it once more.", code="unknown_picture")


def shown_name(picture: PictureInfo) -> str:
    """The picture of an answer, which its boxes lie in."""
    return picture.id if picture.sheet is None else sheet_name(picture.sheet)


def file_name(picture: PictureInfo) -> str:
    """The file that was asked about."""
    return picture.id if picture.sheet is None else picture.sheet.clip
