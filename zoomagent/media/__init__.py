"""Pixels: open safely, any region at any size, never more memory than needed.

Names are imported when first used: the decoder process lives in this package and needs next to nothing of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoomagent.media.fetching.url_rules import UrlRules
    from zoomagent.media.kinds import open_media
    from zoomagent.media.limits import Limits
    from zoomagent.media.opening import open_picture
    from zoomagent.media.picture import Picture
    from zoomagent.media.recording import Recording
    from zoomagent.media.sound.limits import SoundLimits
    from zoomagent.media.sound.opening import open_sound
    from zoomagent.media.sound.sound import Sound
    from zoomagent.media.video.limits import VideoLimits
    from zoomagent.media.video.opening import open_video
    from zoomagent.media.video.video import Video

_HOMES = {"Limits": "limits", "Picture": "picture", "UrlRules": "fetching.url_rules", "open_picture": "opening"}
_HOMES |= {"Video": "video.video", "VideoLimits": "video.limits"}
_HOMES |= {"open_media": "kinds", "open_video": "video.opening", "Recording": "recording"}
_HOMES |= {"Sound": "sound.sound", "SoundLimits": "sound.limits", "open_sound": "sound.opening"}

__all__ = ["Limits", "Picture", "Recording", "Sound", "SoundLimits", "UrlRules", "Video", "VideoLimits"]
__all__ += ["open_media", "open_picture", "open_sound", "open_video"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"zoomagent.media.{_HOMES[name]}"), name)
