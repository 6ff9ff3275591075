"""What a picture may cost: checked from the header, before anything is decoded. Values only, no work."""

from dataclasses import dataclass

from zoomagent.errors import InputRefused

PIXEL_CEILING = 178_956_970
"""No limit may be set above this (Pillow's own error threshold)."""


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
        if not 0 < self.max_pixels <= PIXEL_CEILING:
            raise ValueError(f"max_pixels must be 1 to {PIXEL_CEILING}, got {self.max_pixels!r}.")

    def check_size(self, width: int, height: int) -> None:
        """Raise InputRefused when a picture of this size is too large or too long."""
        if width <= 0 or height <= 0:
            raise InputRefused("The picture has no pixels. Give another file.", code="corrupt_image")
        if width * height > self.max_pixels:
            raise InputRefused(
                f"The picture has {width}x{height} pixels, more than the {self.max_pixels} allowed. "
                "Raise Limits.max_pixels or give a smaller one.",
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
                "Raise Limits.max_bytes or give a smaller one.",
                code="too_many_bytes",
            )
