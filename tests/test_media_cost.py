"""What a large, plain file costs the process that opens it: walking and decoding happen elsewhere."""

import base64
import io
import os
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zoomagent.errors import InputRefused
from zoomagent.geometry import Box, Size, whole
from zoomagent.media import Limits, open_picture
from zoomagent.media.data_url import data_url_blocks
from zoomagent.media.decoding import worker

MOST = 0.1
"""Processor seconds that a file of 25 MB may cost before it is opened or refused. Measured: 0.03, as a URL 0.06."""

KINDS = {
    "JPEG": lambda image: _saved(image, "JPEG", quality=60),
    "PNG": lambda image: _saved(image.convert("L"), "PNG", compress_level=0),
    "BMP": lambda image: _saved(image.convert("L"), "BMP"),
    "GIF": lambda image: _saved(image.convert("L").reduce(2), "GIF"),
    "WebP": lambda image: _saved(Image.linear_gradient("L").resize(image.size).convert("RGB"), "WEBP", method=0),
    "BMP of few pixels": lambda image: _saved(image.crop((0, 0, 2880, 2880)), "BMP"),
}


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:
    """A file of almost 25 MB, where the format fills it up."""
    file = io.BytesIO()
    image.save(file, form, **options)
    assert file.tell() < 25_000_000
    return file.getvalue()


def test_parts_of_a_data_url_are_read_as_the_whole_wherever_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoomagent.media.data_url._SLICE", 16)
    escapes = {"+": "%2B", "/": "%2F", "=": "%3D"}
    for number in range(2_000):
        rng = random.Random(number)
        data = rng.randbytes(rng.randrange(60)) if number % 3 else b"\xff" * rng.randrange(60)
        text = "".join(rng.choice([one, escapes.get(one, one)]) for one in base64.b64encode(data).decode())
        assert b"".join(data_url_blocks("data:;base64," + text, Limits())) == data
        at = rng.randrange(len(text) + 1)
        for broken in ("=", "A", "%", "-", "é", "\ud800", "===="):
            with pytest.raises(InputRefused):
                b"".join(data_url_blocks(f"data:;base64,{text[:at]}{broken}{text[at:]}.", Limits()))


@pytest.mark.parametrize("at", [1, 4, 5_000, 19_999, -1])
@pytest.mark.parametrize("white", ["\n", "\r\n", " ", "\t"])
def test_white_space_in_base64_is_passed_over_wherever_it_stands(at: int, white: str) -> None:
    data = random.Random(5).randbytes(15_000)
    text = base64.b64encode(data).decode()
    assert b"".join(data_url_blocks(f"data:;base64,{text[:at]}{white}{text[at:]}", Limits())) == data


@pytest.fixture(scope="module")
def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(7).integers(0, 256, (3990, 6000, 3), dtype=np.uint8))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_25_megabytes_costs_a_tenth_of_a_second_however_it_is_given(
    kind: str, noise: Image.Image, tmp_path: Path
) -> None:
    data = KINDS[kind](noise)
    (tmp_path / "picture").write_bytes(data)
    text = "data:image/x;base64," + base64.b64encode(data).decode()
    ways: list[Callable[[], Any]] = [
        lambda: open_picture(data),
        lambda: open_picture(tmp_path / "picture"),
        lambda: open_picture(io.BytesIO(data)),
        lambda: open_picture(text),
    ]
    assert [way for way in range(4) if _least(ways[way]) > MOST] == []


def test_a_data_url_of_25_megabytes_that_breaks_at_its_end_costs_no_more() -> None:
    good = base64.b64encode(os.urandom(24_000_000)).decode()
    for end in ("!AAA", "A=AA", "-_-_", "é", "%2", "%2B%2B"):
        assert _least(partial(_refused, f"data:;base64,{good}{end}")) < MOST, end


def _refused(url: str) -> Any:
    with pytest.raises(InputRefused, match="data URL") as caught:
        open_picture(url)
    return io.BytesIO(str(caught.value).encode())


def _least(open_it: Callable[[], Any]) -> float:
    """The least of three tries: another program may be in the way of one."""
    tries = []
    for _ in range(3):
        began = time.process_time()
        open_it().close()
        tries.append(time.process_time() - began)
    return min(tries)


def test_views_of_pixels_that_are_not_copied_are_those_of_the_picture() -> None:
    image = Image.fromarray(np.random.default_rng(8).integers(0, 256, (1500, 2000, 3), dtype=np.uint8))
    with open_picture(_saved(image, "PNG")) as picture:
        whole_again = picture.view(whole(picture.size), picture.size)
        assert (whole_again.mode, whole_again.tobytes()) == ("RGB", image.tobytes())
        box, size = Box(3, 5, 1703, 1405), Size(333, 222)
        smaller = image.resize((333, 222), Image.Resampling.HAMMING, box=(3, 5, 1703, 1405))
        assert picture.view(box, size).tobytes() == smaller.tobytes()


def test_pictures_that_are_dropped_give_back_their_descriptors() -> None:
    data = _saved(Image.new("RGB", (2000, 1500)), "PNG")
    open_picture(data).close()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with open_picture(data) as picture:
            picture.view(whole(picture.size), Size(56, 56))
    del picture
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_decoder_can_not_cut_off_memory_that_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Reading a mapped file beyond its new end would end this process."""
    evil = tmp_path / "evil.py"
    evil.write_text(
        "import os, sys\nsys.argv[0] = ''\nfrom zoomagent.media.decoding import decoder\n"
        "rows = decoder._OPERATIONS['rows']\n"
        "def cut(job, source, target):\n    reply = rows(job, source, target)\n    cut.kept = os.dup(target.fileno())\n"
        "    try:\n        os.ftruncate(cut.kept, 0)\n    except PermissionError:\n        pass\n    return reply\n"
        "decoder._OPERATIONS['rows'] = cut\ndecoder.main()\n"
    )
    worker._POOL.close()
    monkeypatch.setattr(worker, "COMMAND", (*worker.COMMAND[:2], str(evil)))
    with open_picture(_saved(Image.new("RGB", (2000, 1500), "red"), "PNG")) as picture:
        assert picture.view(whole(picture.size), Size(1, 1)).getpixel((0, 0)) == (255, 0, 0)
    worker._POOL.close()
