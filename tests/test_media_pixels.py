"""What a file holds becomes upright RGB with 8 bits, and says what was changed; views show original pixels."""

import base64
import io
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw
from zoo import animation, deep_text, exif, jpeg, photo, png, png_of, saved

from zoomagent.errors import BoxInvalid, InputRefused
from zoomagent.geometry import Box, Size, whole
from zoomagent.media import Limits, Picture, open_picture
from zoomagent.media.picture import InMemory

SQUARE = Box(20, 30, 60, 70)

UNTURN = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How an upright picture is stored under each EXIF orientation."""


def pixels(picture: Picture) -> NDArray[np.int16]:
    return np.asarray(picture.view(whole(picture.size), picture.size)).astype(np.int16)


def stored(image: Image.Image, orientation: int) -> Image.Image:
    turn = UNTURN[orientation]
    return image if turn is None else image.transpose(turn)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG RGB", "PNG L", "PNG RGBA", "WEBP RGB", "JPEG RGB"])
def test_every_orientation_gives_the_same_upright_pixels(orientation: int, kind: str) -> None:
    """I10: and a crop of the marker is exact, so boxes mean upright pixels."""
    form, mode = kind.split()
    upright = photo().convert(mode)
    options = {"lossless": True} if form == "WEBP" else {"quality": 100, "subsampling": 0} if form == "JPEG" else {}
    data = saved(stored(upright, orientation), form, exif=b"Exif\0\0" + exif(orientation), **options)
    picture = open_picture(data)
    assert picture.size == Size(160, 120)
    assert (f"exif_orientation_{orientation}_applied" in picture.notes) == (orientation > 1)
    crop = picture.view(SQUARE, Size(40, 40))
    expected = upright.convert("RGB").crop((20, 30, 60, 70))
    slack = 6 if form == "JPEG" else 0
    difference = np.abs(np.asarray(crop).astype(int) - np.asarray(expected).astype(int))
    assert difference.max() <= slack
    assert np.abs(pixels(picture) - np.asarray(upright.convert("RGB"))).max() <= 12 * (form == "JPEG")


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_is_read_with_and_without_adobes_inversion(adobe: bool) -> None:
    """I12: Pillow writes the inverted kind with the Adobe mark; without the mark, inks are as they are."""
    inks = photo().convert("CMYK")
    data = saved(inks if adobe else ImageChops.invert(inks), "JPEG", quality=100, subsampling=0)
    if not adobe:
        place = data.index(b"\xff\xee\x00\x0eAdobe")
        data = data[:place] + data[place + 16 :]
    picture = open_picture(data)
    assert "cmyk_converted" in picture.notes
    assert np.abs(pixels(picture) - np.asarray(inks.convert("RGB"))).max() <= 3


def test_ycck_is_read() -> None:
    """I12: the same inks stored as YCCK: Adobe transform 2 over converted channels."""
    inks = photo().convert("CMYK")
    c, m, y, k = ImageChops.invert(inks).split()
    ycc = Image.merge("RGB", (ImageChops.invert(c), ImageChops.invert(m), ImageChops.invert(y))).convert("YCbCr")
    planes = Image.merge("CMYK", (*ycc.split(), ImageChops.invert(k)))
    data = bytearray(saved(ImageChops.invert(planes), "JPEG", quality=100, subsampling=0))
    data[data.index(b"\xff\xee\x00\x0eAdobe") + 15] = 2
    ours = pixels(open_picture(bytes(data)))
    reference = np.asarray(Image.open(io.BytesIO(bytes(data))).convert("RGB")).astype(np.int16)
    assert np.abs(ours - reference).max() <= 3


def test_deep_greys_are_scaled_and_not_clipped() -> None:
    """I13: stock conversion turns all above 255 white."""
    ramp = np.linspace(0, 65_535, 256 * 64).reshape(64, 256).astype(np.uint16)
    for picture in (open_picture(png_of(ramp, 0)), open_picture(ramp), open_picture(Image.fromarray(ramp))):
        grey = pixels(picture)[:, :, 0]
        assert np.corrcoef(grey.ravel(), ramp.ravel())[0, 1] > 0.999
        assert grey.min() == 0 and grey.max() == 255
        assert "scaled_0_to_65535" in picture.notes


def test_deep_colour_keeps_its_colours() -> None:
    """I13."""
    deep = np.asarray(photo()).astype(np.uint16) * 257
    assert np.abs(pixels(open_picture(png_of(deep, 2))) - np.asarray(photo())).max() <= 1


@pytest.mark.parametrize(
    ("array", "least", "most"),
    [
        (np.linspace(0, 1, 4096, dtype=np.float32).reshape(64, 64), 0, 255),
        (np.linspace(-5, 900, 4096, dtype=np.float64).reshape(64, 64), 0, 255),
        (np.linspace(0, 200, 4096, dtype=np.float32).reshape(64, 64), 0, 200),
        (np.array([[np.nan, np.inf], [0.0, 1.0]]).repeat(32, 0).repeat(32, 1), 0, 255),
        (np.eye(64, dtype=bool), 0, 255),
        (np.full((64, 64), -7.0), 0, 0),
        (np.full((64, 64, 1), 9, dtype=np.uint8), 9, 9),
    ],
)
def test_arrays_of_other_ranges_are_scaled(array: NDArray[np.generic], least: int, most: int) -> None:
    """I13: floats, bits."""
    found = pixels(open_picture(array))
    assert (found.min(), found.max()) == (least, most)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB key"])
def test_text_hidden_under_full_transparency_is_not_shown(mode: str) -> None:
    """I14."""
    mask = Image.new("1", (80, 80))
    ImageDraw.Draw(mask).text((10, 30), "OBEY", fill=1)
    if mode == "P":
        image = Image.new("P", (80, 80), 1)
        image.putpalette([0, 0, 0, 200, 30, 30])
        image.paste(0, mask=mask)
        data = png(image, transparency=0)
    elif mode == "RGB key":
        image = Image.new("RGB", (80, 80), (200, 30, 30))
        image.paste((1, 2, 3), mask=mask)
        data = png(image, transparency=(1, 2, 3))
    else:
        image = Image.new("RGBA", (80, 80), (200, 30, 30, 255))
        image.paste((0, 0, 0, 0), mask=mask)
        data = png(image.convert(mode))
    for background in ((255, 255, 255), (10, 200, 30)):
        picture = open_picture(data, background=background)
        assert "alpha_flattened" in picture.notes
        found = pixels(picture).reshape(-1, 3)
        dark = (found.sum(axis=1) < 60).sum()
        assert dark == 0
        assert (np.abs(found - background).max(axis=1) <= 1).any()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("source", ["bytes", "stream", "path", "data"])
def test_every_format_opens_from_every_kind_of_source(kind: str, source: str, tmp_path: Path) -> None:
    data = saved(photo(), kind)
    file = tmp_path / "no-extension"
    file.write_bytes(data)
    given_as: dict[str, str | bytes | io.BytesIO] = {
        "bytes": data,
        "stream": io.BytesIO(data),
        "path": str(file),
        "data": "data:image/tiff;base64," + base64.b64encode(data).decode(),
    }
    with open_picture(given_as[source]) as picture:
        assert picture.size == Size(160, 120)
        red = picture.view(Box(30, 40, 50, 60), Size(1, 1)).getpixel((0, 0))
        assert isinstance(red, tuple) and red[0] > 200 and red[1] < 60
        assert picture.id == open_picture(data).id


@pytest.mark.parametrize("data", [jpeg(), deep_text(photo()), animation("GIF", 2)], ids=["jpeg", "png", "gif"])
def test_names_depend_on_bytes_and_on_how_they_are_read(data: bytes) -> None:
    """I8."""
    names = {
        open_picture(data).id,
        open_picture(data, background=(0, 0, 0)).id,
        open_picture(data, allow_truncated=True).id,
        open_picture(data + b" ").id,
    }
    assert len(names) == 4
    assert open_picture(data).id == open_picture(data).id


def test_equal_bytes_of_another_shape_or_palette_have_other_names() -> None:
    """I8: 1,000 pairs."""
    flat = np.arange(3600, dtype=np.uint8)
    shapes = [(h, 3600 // h) for h in range(30, 61) if 3600 % h == 0]
    names = {open_picture(flat.reshape(shape)).id for shape in shapes}
    assert len(names) == len(shapes)
    image = Image.new("P", (8, 8), 1)
    seen = set()
    for number in range(1000):
        image.putpalette([0, 0, 0, number % 256, number // 256, 7])
        seen.add(open_picture(image).id)
    assert len(seen) == 1000


def test_views_are_original_pixels_at_any_size() -> None:
    """A view at its own size is the pixels; a smaller one is their mean; a larger one keeps flat areas flat."""
    rng = np.random.default_rng(3)
    array = rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)
    picture = open_picture(array)
    box = Box(37, 51, 137, 151)
    assert np.array_equal(np.asarray(picture.view(box, Size(100, 100))), array[51:151, 37:137])
    tiny = np.asarray(picture.view(box, Size(1, 1))).astype(int)
    assert np.abs(tiny[0, 0] - array[61:141, 47:127].mean(axis=(0, 1))).max() < 6
    flat = open_picture(np.full((50, 50, 3), 77, np.uint8))
    assert np.all(np.asarray(flat.view(Box(1, 1, 9, 4), Size(300, 200))) == 77)


def test_a_drawn_shape_is_found_again_in_views_of_views() -> None:
    picture = open_picture(photo())
    view = np.asarray(picture.view(Box(10, 20, 90, 100), Size(160, 160))).astype(int)
    rows, columns = np.nonzero((view[:, :, 0] > 240) & (view[:, :, 1] < 30))
    found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert max(abs(a - b) for a, b in zip(found, (20, 20, 100, 100), strict=True)) <= 1


hostile = st.one_of(
    st.integers(-300, 500),
    st.sampled_from([2**31 - 1, -(2**31), 2**63, 10**400, True, 1.0, 5.5, float("nan"), float("inf"), "9", None]),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hostile, hostile, hostile, hostile)
def test_any_box_is_a_crop_or_box_invalid(left: int, top: int, right: int, bottom: int) -> None:
    try:
        view = PHOTO.view(Box(left, top, right, bottom), Size(28, 28))
    except BoxInvalid:
        return
    assert view.size == (28, 28)
    assert 0 <= left < right <= 160 and 0 <= top < bottom <= 120


PHOTO = open_picture(photo())


def test_a_closed_picture_says_so() -> None:
    with open_picture(photo()) as picture:
        kept = picture.view(SQUARE, Size(40, 40))
    assert kept.getpixel((5, 5)) == (250, 10, 10)
    with pytest.raises(InputRefused) as refusal:
        picture.view(SQUARE, Size(40, 40))
    assert refusal.value.code == "picture_closed"


def test_a_view_that_is_being_made_when_its_picture_closes_is_finished_first() -> None:
    begun, go_on, told = threading.Event(), threading.Event(), list[str]()

    class Slow(InMemory):
        def regions(self, requests: Any) -> Any:
            begun.set()
            go_on.wait(5)
            told.append("rendered")
            yield from super().regions(requests)

        def close(self) -> None:
            told.append("closed")

    picture = Picture("id", Size(160, 120), (), Slow(photo()))
    with ThreadPoolExecutor(1) as pool:
        view = pool.submit(picture.view, SQUARE, Size(40, 40))
        begun.wait(5)
        picture.close()
        go_on.set()
        assert view.result(5).size == (40, 40)
    picture.close()
    assert told == ["rendered", "closed"]


def test_threads_see_what_one_sees() -> None:
    picture = open_picture(photo(400, 300))
    boxes = [Box(x, y, x + 90, y + 70) for x, y in itertools.product(range(0, 300, 37), range(0, 200, 29))]
    alone = [picture.view(box, Size(45, 35)).tobytes() for box in boxes]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda box: picture.view(box, Size(45, 35)).tobytes(), boxes)) == alone
        files = list(pool.map(lambda _: open_picture(jpeg()).id, range(12)))
    assert len(set(files)) == 1


@pytest.mark.parametrize(
    "what", [None, 7, ["a"], np.zeros((4, 4, 7)), np.zeros(9), np.array([["a"]]), io.StringIO("x")]
)
def test_what_is_no_picture_is_refused(what: object) -> None:
    with pytest.raises(InputRefused):
        open_picture(what)  # type: ignore[arg-type]


def test_images_and_arrays_obey_the_limits_too() -> None:
    limits = Limits(max_pixels=5_000)
    for source in (photo(), np.zeros((120, 160, 3), np.uint8)):
        with pytest.raises(InputRefused) as refusal:
            open_picture(source, limits=limits)
        assert refusal.value.code == "too_many_pixels"


def test_a_view_of_the_whole_is_the_askers_own() -> None:
    """The whole is rendered once for many questions: what one of them draws on it no other sees."""
    with open_picture(Image.new("RGB", (64, 64), "red")) as picture:
        size = Size(32, 32)
        for _ in range(3):
            view = picture.view(whole(picture.size), size)
            assert view.getextrema() == ((255, 255), (0, 0), (0, 0))
            view.paste((0, 0, 255), (0, 0, 32, 32))
