"""A file that is much work before its first pixel costs the process that was given it next to nothing.

What is measured is processor time of this process; how long a decoder's process may work is bounded by its own limits.
"""

import time

import pytest
from header_bombs import KINDS, MOST, bombs
from zoo import jpeg

from zoomagent.errors import InputRefused
from zoomagent.media import open_picture

CODES = {"metadata_too_large", "corrupt_image", "too_many_pixels", "decode_timeout", "decode_memory", "bad_aspect"}
MOST_SECONDS = 0.1


def test_every_header_bomb_is_opened_or_refused_at_little_cost() -> None:
    open_picture(jpeg()).close()
    seen, slow = dict[str, str](), dict[str, float]()
    for name, data in bombs():
        assert len(data) <= 25_000_000
        began = time.process_time()
        try:
            open_picture(data).close()
            seen[name] = "opened"
        except InputRefused as refusal:
            seen[name] = refusal.code
        spent = time.process_time() - began
        if spent > MOST_SECONDS:
            slow[name] = spent
    assert len(seen) >= 200
    assert set(seen.values()) <= CODES | {"opened"}
    assert slow == {}
    assert "decode_timeout" not in seen.values(), [name for name, code in seen.items() if code == "decode_timeout"]


@pytest.mark.parametrize("kind", ["png prVt 0", "jpeg DB 0", "gif extension F9 0", "gif sub-blocks 1", "webp junk 0"])
def test_what_is_all_parts_is_refused_as_that(kind: str) -> None:
    import random

    with pytest.raises(InputRefused) as refusal:
        open_picture(KINDS[kind](MOST // 5, random.Random(1)))
    assert refusal.value.code == "metadata_too_large"
