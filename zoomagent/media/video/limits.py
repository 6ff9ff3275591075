"""What a video may cost. Values only, no work."""

from dataclasses import dataclass

from zoomagent.errors import InputRefused
from zoomagent.media.limits import Limits


@dataclass(frozen=True)
class VideoLimits(Limits):
    """Every bound on a video, beside those of any file (all ours). `max_pixels` is of one frame; `cache_bytes` is what
    decoded frames may fill."""

    max_pixels: int = 36_000_000
    max_bytes: int = 1_000_000_000
    decode_seconds: float = 60.0
    decode_bytes: int = 1_500_000_000
    max_seconds: int = 4 * 3600
    max_frames: int = 2_000_000
    max_streams: int = 8
    cache_bytes: int = 256_000_000

    def check_bytes(self, count: int) -> None:
        """Raise InputRefused when the file or its decoded text is too large."""
        if count > self.max_bytes:
            text = (
                f"The video has {count} bytes, more than the {self.max_bytes} allowed. Cut out the part that matters."
            )
            raise InputRefused(text, code="too_many_bytes")
