"""Every kind of file in docs/formats.md opens and shows what was drawn; its hostile relatives end as typed refusals."""

import io
import random
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from zoo import exif, photo, png, png_of, saved

from zoomagent.errors import InputRefused
from zoomagent.geometry import Box, Size, whole
from zoomagent.media import Limits, open_picture
from zoomagent.media.decoding import jobs

pyvips = pytest.importorskip("pyvips")
pillow_heif = pytest.importorskip("pillow_heif")
pytest.importorskip("pypdfium2")

RED = (250, 10, 10)
SQUARE = Box(30, 40, 50, 60)
"""Inside the red square that `photo` draws."""


def heic(**options: object) -> bytes:
    file = io.BytesIO()
    pillow_heif.from_pillow(photo()).save(file, quality=95, **options)
    return file.getvalue()


def pages(kind: str, **options: object) -> bytes:
    """Three pages: the photo, a blue one, a green one of another size."""
    others = [Image.new("RGB", (160, 120), (0, 0, 255)), Image.new("RGB", (80, 90), (0, 255, 0))]
    return saved(photo(), kind, save_all=True, append_images=others, **options)


def vips_tiff(array: object, **options: object) -> bytes:
    return bytes(pyvips.Image.new_from_array(array).tiffsave_buffer(**options))


def deep(bits: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint16]]":
    """The photo in the lower `bits` of 16."""
    return (np.asarray(photo()).astype(np.uint16) << (bits - 8)).astype(np.uint16)


KINDS: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: saved(photo(), "JPEG", quality=95),
    "PNG": png,
    "PNG, 12 of 16 bits": lambda: png_of(deep(12), 2),
    "WebP": lambda: saved(photo(), "WEBP", lossless=True),
    "GIF": lambda: saved(photo(), "GIF"),
    "BMP": lambda: saved(photo(), "BMP"),
    "TIFF": lambda: saved(photo(), "TIFF"),
    "TIFF, LZW": lambda: saved(photo(), "TIFF", compression="tiff_lzw"),
    "TIFF, JPEG inside": lambda: saved(photo(), "TIFF", compression="jpeg", quality=95),
    "TIFF, CMYK": lambda: saved(photo().convert("CMYK"), "TIFF"),
    "TIFF, palette": lambda: saved(photo().convert("P"), "TIFF"),
    "TIFF, 12 of 16 bits": lambda: vips_tiff(deep(12)),
    "TIFF, 16 bits": lambda: vips_tiff(deep(16)),
    "TIFF, five bands": lambda: vips_tiff(np.dstack([deep(12), deep(12)[..., :2]])),
    "BigTIFF": lambda: saved(photo(), "TIFF", big_tiff=True),
    "BigTIFF, pyramid": lambda: vips_tiff(np.asarray(photo()), bigtiff=True, tile=True, pyramid=True, subifd=True),
    "AVIF": lambda: saved(photo(), "AVIF", quality=95),
    "HEIC": heic,
    "JPEG 2000": lambda: saved(photo(), "JPEG2000"),
    "JPEG 2000, stream": lambda: saved(photo(), "JPEG2000", no_jp2=True),
    "PDF": lambda: saved(photo(), "PDF", resolution=72),
}
NEED_LARGE = ("TIFF, five bands",)


def looks_right(data: bytes, **options: object) -> None:
    with open_picture(data, **options) as picture:  # type: ignore[arg-type]
        scale = picture.size.width / 160
        box = Box(*(round(edge * scale) for edge in SQUARE.as_list()))
        colour = picture.view(box, Size(5, 5)).getpixel((2, 2))
        assert isinstance(colour, tuple) and max(abs(a - b) for a, b in zip(colour, RED, strict=True)) < 40
        assert abs(picture.size.height / picture.size.width - 0.75) < 0.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parts", [True, False], ids=["vips", "pillow"])
def test_every_kind_shows_what_was_drawn(kind: str, parts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not parts:
        monkeypatch.setattr(jobs, "find_spec", lambda name: None)
        if kind in NEED_LARGE:
            with pytest.raises(InputRefused, match=r"zoomagent\[large\]"):
                open_picture(KINDS[kind]())
            return
    looks_right(KINDS[kind]())


def test_every_row_of_the_table_of_formats_is_tried() -> None:
    table = (Path(__file__).parents[1] / "docs" / "formats.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Z][\w 0-9]+) \|", table, re.MULTILINE)[1:]
    assert rows and all(any(kind.startswith(row) for kind in KINDS) for row in rows), rows


@pytest.mark.parametrize("kind", ["TIFF", "PDF"])
def test_pages_are_counted_from_one(kind: str) -> None:
    data = pages(kind, **({"resolution": 72} if kind == "PDF" else {}))
    looks_right(data, page=1)
    with open_picture(data, page=2) as picture:
        assert picture.view(whole(picture.size), Size(9, 9)).getpixel((4, 4)) == (0, 0, 255) or kind == "PDF"
    with open_picture(data, page=3) as picture:
        assert picture.size.width / picture.size.height == pytest.approx(80 / 90, abs=0.01)
    for missing in (0, -1, 4, 10**9):
        with pytest.raises(InputRefused, match="from 1") as refusal:
            open_picture(data, page=missing)
        assert refusal.value.code == "bad_frame"


def test_pages_of_a_tiff_open_without_libvips_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "find_spec", lambda name: None)
    with open_picture(pages("TIFF"), page=3) as picture:
        assert picture.size == Size(80, 90)
        assert picture.view(whole(picture.size), Size(9, 9)).getpixel((4, 4)) == (0, 255, 0)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("parts", [True, False], ids=["vips", "pillow"])
def test_a_turned_tiff_is_upright(turn: int, parts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pixels are those of a JPEG of the same turn, whoever decodes."""
    if not parts:
        monkeypatch.setattr(jobs, "find_spec", lambda name: None)
    turned = saved(photo(), "TIFF", tiffinfo={274: turn})
    same = png(photo(), exif=b"Exif\0\0" + exif(turn))
    with open_picture(turned) as picture, open_picture(same) as wanted:
        assert picture.size == wanted.size
        views = [one.view(whole(one.size), one.size).tobytes() for one in (picture, wanted)]
        assert views[0] == views[1]


def test_a_turned_avif_is_upright() -> None:
    with open_picture(saved(photo(), "AVIF", quality=95, exif=b"Exif\0\0" + exif(6))) as picture:
        assert picture.size == Size(120, 160)
        red = picture.view(Box(65, 35, 75, 45), Size(5, 5)).getpixel((2, 2))
        assert isinstance(red, tuple) and red[0] > 200 and red[1] < 60


# Deep data


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
def test_deep_data_is_stretched_to_the_bits_it_uses(bits: int) -> None:
    """The brightest of the photo is near white, whatever holds it."""
    grey = (np.asarray(photo().convert("L")).astype(np.uint16) << (bits - 8)).astype(np.uint16)
    sources: list[Any] = [
        grey,
        deep(bits),
        png_of(grey, 0),
        png_of(deep(bits), 2),
        vips_tiff(grey),
        vips_tiff(deep(bits)),
    ]
    sources.append(png_of(np.dstack([deep(bits), np.full_like(grey, 65535)]), 6))
    for source in sources:
        with open_picture(source) as picture:
            view = np.asarray(picture.view(whole(picture.size), picture.size))
            assert 170 < view.max() <= 255
            assert f"scaled_0_to_{2**bits - 1}" in picture.notes


def test_a_narrow_range_of_deep_values_is_stretched_to_its_ends() -> None:
    """Degrees times a hundred: all of them lie close together."""
    warmth = np.linspace(29_000, 31_000, 90 * 90).reshape(90, 90).astype(np.uint16)
    with open_picture(warmth) as picture:
        view = np.asarray(picture.view(whole(picture.size), picture.size))
        assert (view.min(), view.max()) == (0, 255) and "scaled_29000_to_31000" in picture.notes


@pytest.mark.parametrize("value", [0, 1, 255, 256, 30_000, 65_535])
def test_one_deep_value_everywhere_is_no_division_by_nothing(value: int) -> None:
    flat = np.full((60, 60), value, np.uint16)
    for source in (flat, png_of(flat, 0), vips_tiff(flat)):
        open_picture(source).close()


def test_signed_and_fractional_tiffs_reach_from_black_to_white() -> None:
    for array in (np.asarray(photo())[..., 0].astype(np.int16) - 100, np.linspace(-5, 3, 8100).reshape(90, 90)):
        with open_picture(vips_tiff(array.astype(array.dtype if array.dtype == np.int16 else np.float32))) as picture:
            view = np.asarray(picture.view(whole(picture.size), picture.size))
            assert (view.min(), view.max()) == (0, 255)


def test_a_jpeg_of_twelve_bits_is_refused_by_name() -> None:
    data = bytearray(saved(photo(), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(InputRefused, match="more than 8 bits"):
        open_picture(bytes(data))


# Transparency


def drawn(colour: tuple[int, int, int], size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A square of that colour on nothing."""
    image = Image.new("RGBA", size, (*colour, 0))
    image.paste((*colour, 255), (20, 30, 60, 70))
    return image


@pytest.mark.parametrize("colour", [(255, 255, 255), (255, 255, 0), (0, 0, 0), (250, 10, 10), (128, 128, 128)])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "GIF", "AVIF", "JPEG2000", "Pillow", "array"])
def test_what_is_drawn_on_nothing_shows(colour: tuple[int, int, int], kind: str) -> None:
    image: Image.Image = drawn(colour)
    source: Any
    if kind == "Pillow":
        source = image
    elif kind == "array":
        source = np.asarray(image)
    else:
        source = saved(image, kind)
    with open_picture(source) as picture:
        view = picture.view(whole(picture.size), picture.size).convert("L")
        inside, outside = view.getpixel((40, 50)), view.getpixel((120, 100))
        assert isinstance(inside, int | float) and isinstance(outside, int | float) and abs(inside - outside) >= 29


def test_black_and_white_on_nothing_both_show() -> None:
    image = drawn((255, 255, 255))
    image.paste((0, 0, 0, 255), (80, 30, 120, 70))
    with open_picture(saved(image, "PNG")) as picture:
        view = picture.view(whole(picture.size), picture.size).convert("L")
        assert len({view.getpixel(place) for place in ((40, 50), (100, 50), (10, 10))}) == 3


@pytest.mark.parametrize("backend", ["vips", "pillow"])
def test_a_large_transparent_picture_shows_alike(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOOMAGENT_CACHE", "off")
    if backend == "pillow":
        monkeypatch.setattr(jobs, "find_spec", lambda name: None)
    image = drawn((255, 255, 255)).resize((6000, 4500), resample=0)
    with open_picture(saved(image, "PNG", compress_level=1)) as picture:
        assert picture.view(Box(0, 0, 100, 100), Size(20, 20)).getpixel((5, 5)) == (0, 0, 0)
        assert picture.view(Box(1200, 1600, 1300, 1700), Size(20, 20)).getpixel((5, 5)) == (255, 255, 255)


def test_a_background_that_is_named_is_taken() -> None:
    with open_picture(saved(drawn((255, 255, 255)), "PNG"), background=(255, 255, 255)) as picture:
        assert picture.view(whole(picture.size), picture.size).convert("L").getextrema() == (255, 255)


# Pyramids


@pytest.mark.parametrize(
    "copies", [{}, {"pyramid": True}, {"pyramid": True, "subifd": True}], ids=["flat", "ifd", "sub"]
)
def test_a_tiff_in_tiles_is_read_by_parts(copies: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """A square of 30 pixels in 225 megapixels, more than anything else may have."""
    monkeypatch.setenv("ZOOMAGENT_CACHE", "off")
    ground = pyvips.Image.black(15_000, 15_000, bands=3) + [40, 60, 200]
    image = ground.cast("uchar").copy(interpretation="srgb").draw_rect([250, 10, 10], 9_000, 4_000, 30, 30, fill=True)
    data = bytes(image.tiffsave_buffer(tile=True, compression="deflate", **copies))
    limits = Limits(max_pixels=1_000_000_000)
    with open_picture(data, limits=limits) as picture:
        assert picture.size == Size(15_000, 15_000)
        assert picture.view(whole(picture.size), Size(100, 100)).getpixel((5, 5)) == (40, 60, 200)
        near = picture.view(Box(8_990, 3_990, 9_040, 4_040), Size(50, 50))
        assert near.getpixel((15, 15)) == RED and near.getpixel((5, 5)) == (40, 60, 200)
        assert picture.view(Box(9_000, 4_000, 9_030, 4_030), Size(90, 90)).getpixel((45, 45)) == RED
    with pytest.raises(InputRefused, match="--max-pixels"):
        open_picture(data)


# Limits


def test_a_picture_above_a_limit_names_the_flag() -> None:
    with pytest.raises(InputRefused, match="--max-pixels"):
        open_picture(png(), limits=Limits(max_pixels=100))
    for source in (png(), io.BytesIO(png())):
        with pytest.raises(InputRefused, match="--max-bytes"):
            open_picture(source, limits=Limits(max_bytes=100))


# Hostile relatives


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("JPEG", "PNG", "WebP", "GIF", "BMP")])
def test_a_file_that_was_cut_off_is_called_damaged(kind: str) -> None:
    data = KINDS[kind]()
    for share in (0.1, 0.5, 0.9):
        with pytest.raises(InputRefused) as refusal:
            open_picture(data[: int(len(data) * share)])
        assert refusal.value.code in ("corrupt_image", "too_many_pixels", "bad_aspect"), share


@pytest.mark.parametrize(
    "kind", ["TIFF, LZW", "TIFF, 12 of 16 bits", "BigTIFF, pyramid", "AVIF", "HEIC", "JPEG 2000", "PDF"]
)
@pytest.mark.parametrize("parts", [True, False], ids=["vips", "pillow"])
def test_changed_bytes_end_as_a_picture_or_a_refusal(kind: str, parts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not parts:
        monkeypatch.setattr(jobs, "find_spec", lambda name: None)
    data, chance = KINDS[kind](), random.Random(kind)
    for turn in range(25):
        changed = bytearray(data)
        for _ in range(chance.choice((1, 3, 20))):
            changed[chance.randrange(min(len(data), 400) if turn % 2 else len(data))] = chance.randrange(256)
        try:
            with open_picture(bytes(changed)) as picture:
                picture.view(whole(picture.size), Size(20, 20))
        except InputRefused as refusal:
            assert refusal.code != "decode_crashed"


def directory(place: int, following: int, **tags: int) -> bytes:
    """A little-endian TIFF directory of one-pixel strips that lie nowhere."""
    values = {256: tags.get("width", 64), 257: tags.get("height", 64), 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 279: 64}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    return struct.pack("<H", len(values)) + entries + struct.pack("<I", following)


def chain(count: int, *, loops: bool = False) -> bytes:
    length, start = len(directory(0, 0)), 8 + 64 * 64
    body = bytes(64 * 64)
    for index in range(count):
        last = index == count - 1
        body += directory(0, (start if loops else 0) if last else start + (index + 1) * length)
    return b"II*\0" + struct.pack("<I", start) + body


def test_thousands_of_pages_are_counted_to_a_limit() -> None:
    with open_picture(chain(30_000)) as picture:
        assert "frames_ignored_9999_or_more" in picture.notes
    open_picture(chain(30_000), page=9_000).close()
    with pytest.raises(InputRefused) as refusal:
        open_picture(chain(30_000), page=20_000)
    assert refusal.value.code == "bad_frame"


def test_a_chain_of_pages_that_loops_ends() -> None:
    with open_picture(chain(3, loops=True)) as picture:
        assert "frames_ignored_2" in picture.notes


@pytest.mark.parametrize("place", [1, 7, 10**6, 2**32 - 1])
def test_a_tiff_that_points_nowhere_is_damaged(place: int) -> None:
    with pytest.raises(InputRefused) as refusal:
        open_picture(b"II*\0" + struct.pack("<I", place) + bytes(100))
    assert refusal.value.code == "corrupt_image"


@pytest.mark.parametrize("kind", ["TIFF", "BigTIFF", "JPEG 2000", "AVIF", "HEIC"])
def test_a_size_that_lies_is_no_picture(kind: str) -> None:
    """The header says 60,000 x 60,000; there are as many bytes as before."""
    changed = KINDS[kind]()
    if kind == "TIFF":
        changed = b"II*\0" + struct.pack("<I", 8) + directory(8, 0, width=60_000, height=60_000)
    elif kind == "BigTIFF":
        changed = re.sub(rb"(\x00\x01|\x01\x01)\x04\0\x01\0{7}\xa0\0\0\0|", lambda found: found.group(), changed)
        place = changed.index(struct.pack("<HHQI", 256, 4, 1, 160))
        changed = changed[: place + 12] + struct.pack("<I", 60_000) + changed[place + 16 :]
    else:
        mark = {"JPEG 2000": b"ihdr", "AVIF": b"ispe\0\0\0\0", "HEIC": b"ispe\0\0\0\0"}[kind]
        size = struct.pack(">II", 60_000, 60_000)
        changed = re.sub(re.escape(mark) + b".{8}", lambda found: mark + size, changed, flags=re.DOTALL)
    with pytest.raises(InputRefused) as refusal:
        open_picture(changed)
    assert refusal.value.code in ("corrupt_image", "too_many_pixels", "bad_aspect", "decode_memory")


def pdf(box: str, body: str = "0 0 1 rg 0 0 9999 9999 re f", count: str = "1") -> bytes:
    """A page by hand; readers mend the missing table of places."""
    return (
        "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        f"2 0 obj<</Type/Pages/Kids[3 0 R]/Count {count}>>endobj\n"
        f"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[{box}]/Contents 4 0 R>>endobj\n"
        f"4 0 obj<</Length {len(body)}>>stream\n{body}\nendstream endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
    ).encode()


def test_a_page_is_drawn_with_at_most_24_megapixels() -> None:
    for box in ("0 0 14400 14400", "0 0 2000000 2000000", "0 0 1e30 1e30"):
        try:
            with open_picture(pdf(box)) as picture:
                assert picture.size.pixels <= 24_500_000
        except InputRefused as refusal:
            assert refusal.code in ("corrupt_image", "too_many_pixels"), box


@pytest.mark.parametrize(
    "box", ["0 0 100000 1", "0 0 0.0001 9000", "5 5 5 5", "0 0 nan inf", "0 0 -1 -1", "0 0 1e39 1"]
)
def test_odd_page_boxes_are_refused_or_drawn_small(box: str) -> None:
    try:
        with open_picture(pdf(box)) as picture:
            assert picture.size.pixels <= 24_500_000
    except InputRefused as refusal:
        assert refusal.code in ("bad_aspect", "corrupt_image", "too_many_pixels")


@pytest.mark.parametrize("count", ["1000000000", "-5", "0", "99999999999999999999"])
def test_a_pdf_that_lies_about_its_pages_is_no_trap(count: str) -> None:
    for page in (1, 2, 5000):
        try:
            open_picture(pdf("0 0 200 100", count=count), page=page).close()
        except InputRefused as refusal:
            assert refusal.code in ("bad_frame", "corrupt_image")


def test_a_page_that_draws_without_end_is_stopped() -> None:
    endless = "q 1 0 0 1 0 0 cm 0 0 9999 9999 re B* Q\n" * 400_000
    with pytest.raises(InputRefused) as refusal:
        open_picture(pdf("0 0 14400 14400", endless), limits=Limits(decode_seconds=0.5, max_bytes=50_000_000))
    assert refusal.value.code in ("decode_timeout", "decode_memory", "corrupt_image")


def test_a_stream_that_unfolds_to_gigabytes_is_stopped() -> None:
    bomb = zlib.compress(zlib.compress(b"0 " * 600_000_000, 9), 9)
    page = pdf("0 0 200 100", "X").replace(b"/Length 1", b"/Filter[/FlateDecode/FlateDecode]/Length %d" % len(bomb))
    try:
        open_picture(page.replace(b"stream\nX", b"stream\n" + bomb)).close()
    except InputRefused as refusal:
        assert refusal.code in ("decode_timeout", "decode_memory", "decode_crashed", "corrupt_image")


def test_a_pdf_with_a_password_says_so() -> None:
    locked = pdf("0 0 200 100").replace(
        b"trailer<<",
        b"trailer<</ID[<" + b"00" * 16 + b"><" + b"00" * 16 + b">]/Encrypt<</Filter/Standard/V 1/R 2"
        b"/O<" + b"41" * 32 + b">/U<" + b"42" * 32 + b">/P -4>>",
    )
    with pytest.raises(InputRefused, match="password"):
        open_picture(locked)


@pytest.mark.parametrize(("module", "kind", "extra"), [("pillow_heif", "HEIC", "heic"), ("pypdfium2", "PDF", "pdf")])
def test_a_missing_extra_is_named(module: str, kind: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoomagent.media.decoding import header

    monkeypatch.setattr(header, "find_spec", lambda name: None)
    with pytest.raises(InputRefused, match=rf"zoomagent\[{extra}\]") as refusal:
        open_picture(KINDS[kind]())
    assert refusal.value.code == "unsupported_image"
