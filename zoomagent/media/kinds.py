"""open_media: whatever may be a clip, a sound or a picture, opened as what its first bytes say."""

from pathlib import Path
from typing import Any

from zoomagent.media.limits import Limits
from zoomagent.media.opening import open_picture
from zoomagent.media.picture import Picture
from zoomagent.media.recording import Recording
from zoomagent.media.sound.limits import SoundLimits
from zoomagent.media.sound.opening import open_sound, sound_format_of
from zoomagent.media.video.limits import VideoLimits
from zoomagent.media.video.opening import first_bytes, format_of, open_video


def open_media(
    source: Any,
    *,
    limits: Limits | None = None,
    video_limits: VideoLimits | None = None,
    sound_limits: SoundLimits | None = None,
    **more: Any,
) -> Picture | Recording:
    """A clip as a Video, a sound as a Sound, all else as `open_picture(source, limits=limits, **more)` opens it."""
    start = first_bytes(source, limits) if isinstance(source, str | Path | bytes) else b""
    if sound_format_of(start):
        return open_sound(source, limits=sound_limits)
    if format_of(start):
        return open_video(source, limits=video_limits)
    return open_picture(source, limits=limits, **more)


def is_recording(source: str | Path | bytes, limits: Limits | None = None) -> bool:
    """Whether the source begins as a clip or a sound does. What cannot be read is none."""
    start = first_bytes(source, limits)
    return bool(sound_format_of(start) or format_of(start))
