"""Which server answers about which picture: always the same one, so that its caches serve every question about it.

    ranked("photo.jpg", ["http://a/v1", "http://b/v1"])      # the first is asked; the next when it is away

Rendezvous hashing (Thaler and Ravishankar 1998): a server more or less moves only the pictures that it takes or
leaves. Pure.
"""

import hashlib
from collections.abc import Sequence


def ranked(image: str, servers: Sequence[str]) -> list[str]:
    """The servers, the one for this picture first."""
    return sorted(servers, key=lambda server: hashlib.sha256(f"{server}\0{image}".encode(errors="replace")).digest())
