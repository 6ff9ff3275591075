"""What a client may name as a picture: a data URL always; a file or an address only where the operator allowed it.

    opener = picture_opener(Allowed(roots=("/data/pictures",), hosts=("images.example.com",)))
    ZoomAgent("nano", opener=opener)

A server allows no path and no address unless told to. How paths and addresses are checked is `zoomagent/media`'s. Left
out: Pillow pictures and arrays, which are no text; a program gives them to ZoomAgent itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from zoomagent.errors import InputRefused
from zoomagent.media import Limits, Picture, UrlRules, open_picture


@dataclass(frozen=True)
class Allowed:
    """`roots`: folders below which files may be opened. `hosts`: names from which http(s) pictures may be fetched
    (`.example.com` for all below it). None of either unless given."""

    roots: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


def picture_opener(allowed: Allowed) -> Callable[[Any], Picture]:
    """The opener of an agent that serves clients: text only, within what is allowed. It raises InputRefused."""
    rules = UrlRules(allowed.hosts) if allowed.hosts else None
    opened = partial(open_picture, limits=Limits(roots=allowed.roots), allow_urls=rules)

    def opener(source: Any) -> Picture:
        if not isinstance(source, str):
            raise InputRefused("A picture is named by a data: URL, an address or a path, as text.", code="bad_input")
        return opened(source)

    return opener
