"""What a picture may cost: checked from the header, before anything is decoded. Values only, no work."""

from dataclasses import dataclass

from zoomagent.errors import InputRefused

PIXEL_CEILING = 178_956_970
"""A picture that is decoded whole is never larger (Pillow's own error threshold)."""
PARTS_CEILING = 100_000_000_000
"""Nor is one that is read by parts: a TIFF in tiles."""


@dataclass(frozen=True)
class Limits:
    """Every bound on an input. `roots`, when given, are the only folders from which paths may be opened.

    `decode_seconds` is processor time; a decoder that merely waits is stopped after three times as long. A decoder has
    `decode_bytes`, and `decode_bytes_per_pixel` more: some formats (WebP) several times that.
    """

    max_pixels: int = 100_000_000
    max_bytes: int = 25_000_000
    max_aspect: float = 200.0
    max_metadata: int = 4_000_000
    decode_seconds: float = 10.0
    decode_bytes_per_pixel: int = 4
    decode_bytes: int = 256_000_000
    roots: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.max_pixels <= PARTS_CEILING:
            raise ValueError(f"max_pixels must be 1 to {PARTS_CEILING}, got {self.max_pixels!r}.")

    def check_size(self, width: int, height: int, *, in_parts: bool = False) -> None:
        """Raise InputRefused when a picture of this size is too large or too long."""
        if width <= 0 or height <= 0:
            raise InputRefused("The picture has no pixels. Give another file.", code="corrupt_image")
        if width * height > self.max_pixels:
            raise InputRefused(
                f"The picture has {width}x{height} pixels, more than the {self.max_pixels} allowed. Allow more with "
                "--max-pixels of the command (Limits.max_pixels in Python), or give a smaller one.",
                code="too_many_pixels",
            )
        if width * height > PIXEL_CEILING and not in_parts:
            raise InputRefused(
                f"The picture has {width}x{height} pixels. Above {PIXEL_CEILING} only TIFF in tiles is read, with the "
                'extra large (pip install "zoomagent[large]"). Save it as such a TIFF, or give a smaller one.',
                code="too_many_pixels",
            )
        if max(width, height) > self.max_aspect * min(width, height):
            raise InputRefused(
                f"The picture is {width}x{height}: longer than {self.max_aspect:g} to 1. Cut it into parts.",
                code="bad_aspect",
            )

    def check_bytes(self, count: int) -> None:
        """Raise InputRefused when the file or its decoded text is too large."""
        if count > self.max_bytes:
            raise InputRefused(
                f"The picture has {count} bytes, more than the {self.max_bytes} allowed. "
                "Allow more with --max-bytes of the command (Limits.max_bytes in Python), or give a smaller one.",
                code="too_many_bytes",
            )


OWN_BYTES, OWN_PIXELS = 128 * 1024 * 1024, PIXEL_CEILING
"""What a person's own pictures may have, on the command line and the page, unless it is told otherwise (ours)."""


def own_limits(max_bytes: int = OWN_BYTES, max_pixels: int = OWN_PIXELS) -> Limits:
    """The limits of a person who opens pictures of their own: more of everything, and more time."""
    return Limits(max_bytes=max_bytes, max_pixels=max_pixels, decode_seconds=60.0)
