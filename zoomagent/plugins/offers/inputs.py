"""What a client may name as a picture or clip: a data URL always; a file or address where the operator allowed it.

    opener = picture_opener(Allowed(roots=("/data/pictures",), hosts=("images.example.com",)))
    ZoomAgent("nano", opener=opener)

A server allows no path and no address unless told to; a path that does not begin at the top is one below a root. How
paths and addresses are checked is `zoomagent/media`'s. `named_opener` lets a program name its own pictures. Left out:
Pillow pictures and arrays, which are no text; a program gives them to ZoomAgent itself.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from zoomagent.errors import InputRefused
from zoomagent.media import Limits, Picture, Recording, SoundLimits, UrlRules, VideoLimits, open_media

MAX_PATH = 4096
"""Characters of a path that is looked for below the roots."""


@dataclass(frozen=True)
class Allowed:
    """`roots`: folders below which files may be opened. `hosts`: names from which http(s) pictures may be fetched
    (`.example.com` for all below it; clips are never fetched). None of either unless given. `max_bytes` bounds each
    picture and clip, `max_pixels` each picture."""

    roots: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    max_bytes: int = Limits.max_bytes
    max_pixels: int = Limits.max_pixels


def picture_opener(allowed: Allowed) -> Callable[[Any], Picture | Recording]:
    """The opener of an agent that serves clients: text only, within what is allowed. It raises InputRefused."""
    rules = UrlRules(allowed.hosts) if allowed.hosts else None
    limits = Limits(roots=allowed.roots, max_bytes=allowed.max_bytes, max_pixels=allowed.max_pixels)
    clips = VideoLimits(roots=allowed.roots, max_bytes=allowed.max_bytes)
    sounds = SoundLimits(roots=allowed.roots, max_bytes=allowed.max_bytes)
    opened = partial(open_media, limits=limits, video_limits=clips, sound_limits=sounds, allow_urls=rules)

    def opener(source: Any) -> Picture | Recording:
        if not isinstance(source, str):
            raise InputRefused("A picture is named by a data: URL, an address or a path, as text.", code="bad_input")
        named = 0 < len(source) <= MAX_PATH and "\0" not in source and ":" not in source.split("/", 1)[0]
        if not allowed.roots or not named or source.startswith("~/") or os.path.isabs(source):
            return opened(source)
        # A relative path: below the root that has such a file, else below the first one. Asks nothing outside them.
        places = [os.path.abspath(os.path.join(root, source)) for root in allowed.roots]
        for place, root in zip(places, allowed.roots, strict=True):
            top = os.path.abspath(root)
            if os.path.commonpath([top, place]) == top and os.path.isfile(place):
                return opened(place)
        return opened(places[0])

    return opener


def named_opener(pictures: Mapping[str, Any], allowed: Allowed = Allowed()) -> Callable[[Any], Picture | Recording]:
    """The same, but the names in `pictures` stand for what the program itself gives (anything `open_media` takes)."""
    opened = picture_opener(allowed)

    def opener(source: Any) -> Picture | Recording:
        known = isinstance(source, str) and source in pictures
        return open_media(pictures[source]) if known else opened(source)

    return opener
