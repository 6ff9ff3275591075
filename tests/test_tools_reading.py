"""Text in pictures is read at the picture's own size, where it stands; without a reader that is said."""

import asyncio
import sys
from collections.abc import Iterator
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from fake_model import FAKE_PROFILE
from PIL import Image

from zoomagent.errors import ToolError
from zoomagent.geometry import Box, coverage
from zoomagent.media import Picture, open_picture
from zoomagent.tools import reading
from zoomagent.tools.cropping import crop
from zoomagent.tools.reading import read
from zoomagent.tools.viewing import ViewStore

reads = pytest.mark.skipif(find_spec("rapidocr") is None, reason="needs the extra `ocr`")
SIGN, SMALL = Box(1195, 840, 1390, 895), Box(890, 280, 980, 310)


@pytest.fixture(scope="module")
def picture() -> Iterator[Picture]:
    """A grey picture with a sign and, elsewhere, words of 12 pixels."""
    drawn = np.full((1500, 2000, 3), 200, np.uint8)
    cv2.putText(drawn, "EXIT 1234", (1205, 880), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (20, 20, 20), 3)
    cv2.putText(drawn, "tiny words", (900, 300), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (10, 10, 10), 1)
    with open_picture(Image.fromarray(drawn)) as opened:
        yield opened


@pytest.fixture
def views(picture: Picture) -> ViewStore:
    return ViewStore(picture, FAKE_PROFILE)


@reads
def test_text_is_read_with_its_place_in_the_original(views: ViewStore) -> None:
    view = crop(views, views.whole()["id"], [560, 500, 740, 640]).views[0]["id"]
    [line] = asyncio.run(read(views, view))
    assert line.text == "EXIT 1234" and 0.9 < line.score <= 1
    assert coverage(line.box, SIGN) > 0.95 and coverage(SIGN, line.box) > 0.5


@reads
def test_text_is_read_at_the_pictures_size_and_not_at_the_models(picture: Picture) -> None:
    views = ViewStore(picture, FAKE_PROFILE, max_pixels=64 * 64)
    view = crop(views, views.whole()["id"], [420, 170, 520, 220]).views[0]
    assert view["size"][0] < 120, "the model is shown it too small to read"
    [line] = asyncio.run(read(views, view["id"]))
    assert line.text == "tiny words" and coverage(line.box, SMALL) > 0.9


@reads
def test_where_nothing_is_written_nothing_is_read(views: ViewStore) -> None:
    assert asyncio.run(read(views, crop(views, views.whole()["id"], [0, 0, 200, 100]).views[0]["id"])) == []


@reads
def test_a_blanked_view_holds_no_text(views: ViewStore) -> None:
    view = crop(views, views.whole()["id"], [560, 500, 740, 640]).views[0]["id"]
    assert asyncio.run(read(views, views.blank(view)["id"])) == []


@pytest.mark.parametrize("missing", ["rapidocr", "onnxruntime"])
def test_without_the_extra_the_model_and_the_user_are_told(
    views: ViewStore, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    reading._engine.cache_clear()
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ToolError, match=r"pip install .zoomagent\[ocr\].*another tool") as told:
        asyncio.run(read(views, views.whole()["id"]))
    assert told.value.code == "ocr_missing"
