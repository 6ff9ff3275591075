"""Headers that a library reads: HEIC, AVIF, JPEG 2000 and PDF. Runs in the decoder's process only.

These formats are too rich for a few lines of our own. Opening them decodes no pixels; what it may cost is bounded as
decoding is, and sizes are checked before anything is decoded. How they are opened is here too, for the decoder.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from zoomagent.errors import InputRefused
from zoomagent.geometry import Size
from zoomagent.media.decoding.header_types import Format, Header, corrupt, too_heavy

if TYPE_CHECKING:
    from PIL import Image

MAX_FRAMES = 10_000
PDF_DPI, PDF_PIXELS = 300, 24_000_000
"""A page is drawn at this resolution, or at less where it would have more pixels (ours)."""
_ORIENTATION = 0x0112
_PASSWORD = 4


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """libavif and libheif raise RuntimeError for damage; here that is a ValueError, as with all other formats."""
    try:
        yield
    except RuntimeError as error:
        raise ValueError(f"the library gave up ({type(error).__name__})") from error


def open_image(source: IO[bytes], format: Format) -> "Image.Image":
    """A Pillow image whose pixels are not decoded yet."""
    from PIL import AvifImagePlugin, Image

    Image.MAX_IMAGE_PIXELS = None
    if format == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # every thread takes of the memory that is allowed
    return Image.open(source, formats=[format])


def read_image(source: IO[bytes], format: Format, frame: int, max_metadata: int) -> Header:
    """The header of a HEIC, AVIF or JPEG 2000 file; of its first picture where it has no such frame."""
    with plain_errors():
        image = open_image(source, format)
        if sum(len(value) for value in image.info.values() if isinstance(value, bytes | str)) > max_metadata:
            raise too_heavy()
        frames = min(MAX_FRAMES, getattr(image, "n_frames", 1))
        if 0 < frame < frames:
            image.seek(frame)
        turn = image.getexif().get(_ORIENTATION, 1) if format == "AVIF" else 1  # libheif turns pictures itself
        layout = image.mode + (" alpha" if image.has_transparency_data else "")
        turn = turn if turn in range(1, 9) else 1
        return Header(format, Size(*image.size), layout, turn, frames, bool(image.info.get("icc_profile")))


def open_pdf(source: IO[bytes]) -> Any:
    """The document. InputRefused where it asks for a password or is none."""
    import pypdfium2

    try:
        return pypdfium2.PdfDocument(source)
    except pypdfium2.PdfiumError as error:
        if error.err_code == _PASSWORD:
            raise InputRefused("", code="needs_password") from error
        raise corrupt("it is no whole PDF") from error


def read_pdf(source: IO[bytes], frame: int) -> Header:
    """The size that page `frame` will be drawn at; the first page's where there is no such page."""
    import pypdfium2

    with open_pdf(source) as document:
        pages = min(MAX_FRAMES, len(document))
        if pages < 1:
            raise corrupt("it holds no page")
        try:
            width, height = document[frame if 0 <= frame < pages else 0].get_size()
        except pypdfium2.PdfiumError as error:
            raise corrupt("its page cannot be read") from error
    if not (math.isfinite(width) and math.isfinite(height) and width > 0 and height > 0):
        raise corrupt("its page has no size")
    dpi = max(1, int(min(PDF_DPI, 72 * math.sqrt(PDF_PIXELS / (width * height)))))
    size = Size(max(1, round(width * dpi / 72)), max(1, round(height * dpi / 72)))
    return Header("PDF", size, "RGB", frames=pages, dpi=dpi)
