"""What a sound may cost. Values only, no work."""

from dataclasses import dataclass

from zoomagent.errors import InputRefused
from zoomagent.media.limits import Limits


@dataclass(frozen=True)
class SoundLimits(Limits):
    """Every bound on a sound, beside those of any file (all ours)."""

    max_bytes: int = 1_000_000_000
    decode_seconds: float = 240.0
    decode_bytes: int = 500_000_000
    max_seconds: int = 4 * 3600
    max_channels: int = 32
    min_rate: int = 1000
    max_rate: int = 768_000
    max_packets: int = 8_000_000
    max_streams: int = 8

    def check_bytes(self, count: int) -> None:
        """Raise InputRefused when the file or its decoded text is too large."""
        if count > self.max_bytes:
            text = (
                f"The sound has {count} bytes, more than the {self.max_bytes} allowed. Cut out the part that matters."
            )
            raise InputRefused(text, code="too_many_bytes")
