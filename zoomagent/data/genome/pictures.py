"""Is a picture's file there, whole, and of the size that the tables say? Looked at without decoding a pixel.

    path, problem = look_up(Path("visual-genome"), shot, Limits())          # ("VG_100K/2.jpg", "")

Headers are read by our own bounded reader (`zoomagent.media`); that a JPEG or PNG ends as it should tells a file that
was cut off. Left out: damage inside the pixels, which shows when a view is rendered.
"""

from pathlib import Path

from zoomagent.data.genome.rows import Shot
from zoomagent.errors import InputRefused
from zoomagent.media.decoding.header import read_header
from zoomagent.media.limits import Limits
from zoomagent.media.spool import Spool

FOLDERS = ("VG_100K", "VG_100K_2", "images", "")
"""Where the released image archives put their files."""
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}


def look_up(folder: Path, shot: Shot, limits: Limits) -> tuple[str, str]:
    """The picture's path below `folder`, and what is wrong with it ("" when nothing is)."""
    name = shot.path.rsplit("/", 1)[-1]
    tried = dict.fromkeys([shot.path, *(f"{place}/{name}".lstrip("/") for place in FOLDERS)])
    path = next((one for one in tried if (folder / one).is_file()), None)
    if path is None:
        return shot.path, "pictures: missing"
    try:
        with (folder / path).open("rb") as stream:
            spool = Spool(stream, (folder / path).stat().st_size, "")
            header, end = read_header(spool, limits.max_metadata), spool.at(max(0, spool.size - 64), 64)
    except InputRefused:
        return path, "pictures: corrupt"
    if spool.size > limits.max_bytes or header.size.pixels > limits.max_pixels:
        return path, "pictures: above --max-bytes or --max-pixels"
    if header.damaged or _ENDS.get(header.format, b"") not in end:
        return path, "pictures: cut off or damaged"
    if header.upright != shot.size:
        return path, "pictures: another size than the tables say"
    return path, "pictures: turned by EXIF, and the tables' boxes may not be" if header.orientation > 1 else ""
