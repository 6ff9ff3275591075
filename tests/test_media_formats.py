"""Ordinary pictures of every size open, in every format; "damaged" is said of damaged files only; none is half there.

Memory is by format: libwebp and progressive JPEG need several times what others do.
"""

import io
import struct
import zlib
from collections.abc import Callable

import pytest
from PIL import Image
from zoo import animation, chunk, exif, jpeg, photo, png, saved

from zoomagent.errors import InputRefused
from zoomagent.geometry import Box, Size, whole
from zoomagent.media import Limits, open_picture, opening
from zoomagent.media.decoding import jobs

GRADIENT = Image.linear_gradient("L")


def large(side: int, mode: str, kind: str, **options: object) -> bytes:
    return saved(GRADIENT.resize((side, side)).convert(mode), kind, **options)


FORMATS: dict[str, Callable[[int], bytes]] = {
    "webp": lambda side: large(side, "RGB", "WEBP", quality=50, method=0),
    "webp alpha": lambda side: large(side, "RGBA", "WEBP", quality=50, method=0),
    "webp turned": lambda side: large(side, "RGB", "WEBP", quality=50, method=0, exif=b"Exif\0\0" + exif(6)),
    "jpeg": lambda side: large(side, "RGB", "JPEG"),
    "jpeg progressive": lambda side: large(side, "RGB", "JPEG", progressive=True, subsampling=0),
    "jpeg cmyk progressive": lambda side: large(side, "CMYK", "JPEG", progressive=True),
    "png alpha turned": lambda side: large(side, "RGBA", "PNG", compress_level=1, exif=b"Exif\0\0" + exif(8)),
    "gif": lambda side: large(side, "L", "GIF"),
}


def check(data: bytes, side: int) -> None:
    """It opens, and its first and last corner look as they were drawn."""
    with open_picture(data, limits=Limits(max_bytes=100_000_000)) as picture:
        assert picture.size == Size(side, side)
        assert picture.view(whole(picture.size), Size(100, 100)).size == (100, 100)
        assert picture.view(Box(0, 0, 200, 200), Size(200, 200)).size == (200, 200)
        assert picture.view(Box(side - 200, side - 200, side, side), Size(200, 200)).size == (200, 200)


@pytest.mark.parametrize(
    ("kind", "side"),
    [("webp", 5000), ("webp turned", 4890), ("jpeg progressive", 4890), ("jpeg cmyk progressive", 5000)],
)
def test_formats_that_need_more_memory_get_it(kind: str, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Just below and just above the size from which on pictures are decoded by parts."""
    monkeypatch.setenv("ZOOMAGENT_CACHE", "off")
    check(FORMATS[kind](side), side)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("backend", ["vips", "pillow"])
def test_98_megapixels_open_in_every_format(kind: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOOMAGENT_CACHE", "off")
    if backend == "pillow":
        monkeypatch.setattr(jobs, "find_spec", lambda name: None)
    check(FORMATS[kind](9900), 9900)


@pytest.mark.parametrize("kind", ["webp", "jpeg progressive"])
def test_a_good_file_that_gets_too_little_memory_is_not_called_damaged(kind: str) -> None:
    with pytest.raises(InputRefused) as refusal:
        open_picture(FORMATS[kind](4800), limits=Limits(decode_bytes=12_000_000, decode_bytes_per_pixel=1))
    assert refusal.value.code == "decode_memory" and "decode_bytes" in str(refusal.value)


# Half pictures


def png_of_rows(rows: int, width: int = 640, height: int = 480, *, interlaced: bool = False) -> bytes:
    """A PNG whose compressed rows end properly, but too early."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, interlaced)
    body = chunk(b"IDAT", zlib.compress((b"\0" + bytes([200]) * (3 * width)) * rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")


def noise(kind: str, **options: object) -> bytes:
    return saved(Image.effect_noise((640, 480), 80).convert("RGB"), kind, **options)


def ended(data: bytes, share: float) -> bytes:
    """A JPEG cut off there, and ended as if that were all."""
    return data[: int(len(data) * share)] + b"\xff\xd9"


def apng_without_rows(frame: int) -> bytes:
    """An animation one frame of which holds next to nothing, with right checksums."""
    data, parts, place, number = animation("PNG", 4), [], 8, -1
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        name, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        place += 12 + length
        number += name == b"fcTL"
        if name == b"fdAT" and number == frame:
            body = body[:4] + zlib.compress(bytes(100))
        parts.append(chunk(name, body))
    return data[:8] + b"".join(parts)


HALVES: dict[str, Callable[[], bytes]] = {
    **{f"png {rows} rows": lambda rows=rows: png_of_rows(rows) for rows in (0, 1, 100, 479)},  # type: ignore[misc]
    "png interlaced": lambda: png_of_rows(100, interlaced=True),
    "png without pixels": lambda: png()[:33] + chunk(b"IEND", b""),
    "png two streams": lambda: png_of_rows(100)[:-12] + chunk(b"IDAT", zlib.compress(b"x" * 9)) + chunk(b"IEND", b""),
    **{f"jpeg {share}": lambda share=share: ended(noise("JPEG"), share) for share in (0.1, 0.5, 0.9)},  # type: ignore[misc]
    "jpeg grey": lambda: ended(saved(Image.effect_noise((640, 480), 80), "JPEG"), 0.5),
    "jpeg 4:2:0": lambda: ended(noise("JPEG", subsampling=2), 0.5),
    "jpeg restarts": lambda: ended(noise("JPEG", restart_marker_rows=2), 0.5),
    "jpeg restarts, at a mark": lambda: at_a_mark(noise("JPEG", restart_marker_rows=2)),
    "jpeg with a thumbnail": lambda: ended(with_exif_of(noise("JPEG"), jpeg()), 0.6),
    "jpeg progressive, first scan": lambda: ended(noise("JPEG", progressive=True), 0.015),
}


def at_a_mark(data: bytes) -> bytes:
    return data[: data.index(b"\xff\xd5")] + b"\xff\xd9"


def with_exif_of(data: bytes, thumbnail: bytes) -> bytes:
    """A JPEG whose metadata hold another, which has an end of its own."""
    body = b"Exif\0\0" + exif(1) + thumbnail
    return data[:2] + struct.pack(">BBH", 0xFF, 0xE1, len(body) + 2) + body + data[2:]


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("parts", [False, True])
def test_half_a_picture_is_never_filled_up_without_a_word(
    kind: str, parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is decoded by parts, as large pictures are: then when what is missing is looked at."""
    monkeypatch.setenv("ZOOMAGENT_CACHE", "off")
    if parts:
        monkeypatch.setattr(opening, "LARGE_PIXELS", 10_000)
    data = HALVES[kind]()
    with pytest.raises(InputRefused) as refusal, open_picture(data) as picture:
        for _ in range(2):
            picture.view(whole(picture.size), picture.size)
    assert refusal.value.code == "corrupt_image"


def test_half_a_picture_is_shown_with_a_note_where_that_is_allowed() -> None:
    with open_picture(png_of_rows(100), allow_truncated=True) as picture:
        assert "damage_allowed" in picture.notes


@pytest.mark.parametrize("frame", [1, 2, 3])
def test_a_frame_without_its_rows_is_refused_and_those_before_it_are_shown(frame: int) -> None:
    data = apng_without_rows(frame)
    open_picture(data, frame=frame - 1).close()
    with pytest.raises(InputRefused) as refusal:
        open_picture(data, frame=frame)
    assert refusal.value.code == "corrupt_image"


WHOLE: dict[str, Callable[[], bytes]] = {
    "flat": lambda: jpeg(Image.new("RGB", (640, 480), "white")),
    "flat progressive": lambda: jpeg(Image.new("RGB", (640, 480), "white"), progressive=True),
    "flat end": lambda: jpeg(photo_with_flat_end()),
    "flat end, progressive": lambda: jpeg(photo_with_flat_end(), progressive=True),
    "flat end, restarts": lambda: jpeg(photo_with_flat_end(), restart_marker_rows=1),
    "flat end, grey": lambda: jpeg(photo_with_flat_end().convert("L")),
    "flat end, cmyk": lambda: jpeg(photo_with_flat_end().convert("CMYK")),
    "odd sides": lambda: jpeg(photo_with_flat_end().crop((0, 0, 637, 471)), subsampling=2),
    "tail": lambda: jpeg(photo_with_flat_end()) + b"tail" * 100,
    "with a thumbnail": lambda: with_exif_of(jpeg(photo_with_flat_end()), jpeg()),
    "two pictures": lambda: jpeg(photo_with_flat_end()) + jpeg(),
    "one pixel": lambda: jpeg(Image.new("RGB", (1, 1))),
    "png interlaced, 7 sizes": lambda: png_of_rows(1, 1, 1, interlaced=True),
    "apng": lambda: animation("PNG", 4),
}


def photo_with_flat_end() -> Image.Image:
    image = photo(640, 480)
    image.paste("white", (0, 400, 640, 480))
    return image


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("parts", [False, True])
def test_a_picture_that_ends_flat_is_whole(kind: str, parts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOOMAGENT_CACHE", "off")
    if parts:
        monkeypatch.setattr(opening, "LARGE_PIXELS", 10_000)
    with open_picture(WHOLE[kind]()) as picture:
        for _ in range(2):
            assert picture.view(whole(picture.size), picture.size).size == (picture.size.width, picture.size.height)


@pytest.mark.parametrize("height", [1, 86, 87, 88, 2000, 3000])
@pytest.mark.parametrize("piece", [1, 100, 10**9])
def test_flat_rows_without_a_checksum_are_whole(height: int, piece: int) -> None:
    """Some programs leave out the checksum of the rows; what zlib has not given out yet is there all the same."""
    data = zlib.compress((b"\0" + bytes(3000)) * height)[:-4]
    pieces = b"".join(chunk(b"IDAT", data[at : at + piece]) for at in range(0, len(data), piece))
    head = struct.pack(">IIBBBBB", 1000, height, 8, 2, 0, 0, 0)
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + pieces + chunk(b"IEND", b"")
    open_picture(file, limits=Limits(max_aspect=2000)).close()


def test_a_broken_later_frame_does_not_touch_the_first() -> None:
    data = animation("PNG", 4)
    at = data.rindex(b"fcTL")
    broken = data[: at - 4] + chunk(b"fcTL", b"short") + data[at + 4 + 26 + 4 :]
    open_picture(broken).close()


def test_a_bit_that_costs_no_pixel_is_forgiven() -> None:
    """Nonsense between the last scan and the end is a warning of libjpeg's, nothing else."""
    data = jpeg(photo_with_flat_end())
    open_picture(data[:-2] + b"abcdef" + data[-2:]).close()


@pytest.mark.parametrize("marker", [0xE0, 0xE1, 0xE5, 0xED, 0xFE])
def test_too_many_parts_of_a_jpeg_are_called_so(marker: int) -> None:
    part = struct.pack(">BBH", 0xFF, marker, 4) + b"ab"
    data = jpeg()
    with pytest.raises(InputRefused) as refusal:
        open_picture(data[:2] + part * 1001 + data[2:])
    assert refusal.value.code == "metadata_too_large"
    open_picture(data[:2] + part * 900 + data[2:]).close()


@pytest.mark.parametrize("tile", [(200, 150), (64, 48), (97, 150)])
@pytest.mark.parametrize("plain", [False, True])
def test_a_jpeg_2000_without_some_of_its_tiles_is_damaged(tile: tuple[int, int], plain: bool) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((200, 150), 50).convert("RGB").save(buffer, "JPEG2000", tile_size=tile, no_jp2=plain)
    data = bytearray(buffer.getvalue())
    with open_picture(bytes(data)) as picture:
        assert picture.view(whole(picture.size), picture.size).getextrema()
    # Twice as wide, of tiles as before: half of them are not there.
    at = data.index(b"\xff\x4f\xff\x51") + 8
    data[at : at + 4] = (400).to_bytes(4, "big")
    if not plain:
        header = data.index(b"ihdr") + 8
        data[header : header + 4] = (400).to_bytes(4, "big")
    with pytest.raises(InputRefused) as refused, open_picture(bytes(data)) as picture:
        picture.view(whole(picture.size), picture.size)
    assert refused.value.code == "corrupt_image"
