"""Large files: whatever way their pixels come, views are the same; nothing half-written is ever seen."""

import io
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from zoo import ZOO, exif, jpeg, png, saved

from zoomagent.errors import InputRefused, SettingInvalid, StoreError
from zoomagent.geometry import Box, Size, whole
from zoomagent.media import Picture, opening
from zoomagent.media import open_picture as really_open
from zoomagent.media.decoding import jobs, worker
from zoomagent.media.large import large_file as large

WIDE, HIGH = 1200, 900
BOXES = [Box(0, 0, 200, 100), Box(1000, 800, 1200, 900), Box(333, 221, 733, 521), Box(600, 0, 900, 900)]


def scene() -> Image.Image:
    """Smooth, with sharp squares in known places."""
    x, y = np.meshgrid(np.linspace(20, 230, WIDE), np.linspace(40, 210, HIGH))
    image = Image.fromarray(np.stack([x, y, 255 - x], axis=2).astype(np.uint8))
    for place in range(0, 800, 100):
        image.paste((250, 20, place // 4), (place, place, place + 37, place + 21))
    return image


FILES = {
    "jpeg": lambda: jpeg(scene()),
    "jpeg 4:2:0": lambda: jpeg(scene(), subsampling=2),
    "jpeg grey": lambda: jpeg(scene().convert("L")),
    "jpeg progressive": lambda: jpeg(scene(), progressive=True),
    "jpeg cmyk": lambda: jpeg(scene().convert("CMYK")),
    "png": lambda: png(scene()),
    "png grey": lambda: png(scene().convert("L")),
    "png alpha": lambda: png(scene().convert("RGBA")),
    "png palette": lambda: png(scene().quantize(200)),
    "png deep": lambda: png(Image.fromarray(np.asarray(scene().convert("L")).astype(np.uint16) * 257)),
    "webp": lambda: saved(scene(), "WEBP", lossless=True),
    "gif": lambda: saved(scene(), "GIF"),
    "bmp": lambda: saved(scene(), "BMP"),
}


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(opening, "LARGE_PIXELS", 10_000)
    monkeypatch.setenv("ZOOMAGENT_CACHE", str(tmp_path / "cache"))
    yield


@pytest.fixture(params=["vips", "pillow"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "pillow":
        monkeypatch.setattr(jobs, "find_spec", lambda name: None)
    else:
        pytest.importorskip("pyvips")
    return str(request.param)


def open_picture(data: bytes, **options: object) -> Picture:
    picture = really_open(data, **options)  # type: ignore[arg-type]
    assert isinstance(picture._pixels, large.LargeFile)
    return picture


def reference(data: bytes, monkeypatch: pytest.MonkeyPatch, **options: object) -> Picture:
    """The same file decoded whole into memory."""
    with monkeypatch.context() as patch:
        patch.setattr(opening, "LARGE_PIXELS", 10_000_000)
        return really_open(data, **options)  # type: ignore[arg-type]


def array(image: Image.Image) -> NDArray[np.int16]:
    return np.asarray(image).astype(np.int16)


@pytest.mark.parametrize("kind", FILES)
def test_every_way_to_the_pixels_shows_the_same(kind: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """First look (regions), second look (level 1), several at once, and overviews."""
    data = FILES[kind]()
    known = reference(data, monkeypatch)
    with open_picture(data) as picture:
        assert picture.size == known.size and picture.id == known.id
        for box in BOXES:
            assert np.abs(array(picture.view(box, box.size)) - array(known.view(box, box.size))).max() <= 2
        for size in (Size(120, 90), Size(300, 225), Size(700, 500)):
            ours, theirs = picture.view(whole(picture.size), size), known.view(whole(picture.size), size)
            assert np.abs(array(ours) - array(theirs)).mean() < 2.5
    with open_picture(data) as picture:
        views = list(picture.views([(box, box.size) for box in BOXES] + [(whole(picture.size), Size(120, 90))]))
        for box, view in zip(BOXES, views, strict=False):
            assert np.abs(array(view) - array(known.view(box, box.size))).max() <= 2
        assert views[-1].size == (120, 90)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_files_show_upright_regions(orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(scene(), "PNG", exif=b"Exif\0\0" + exif(orientation))
    known = reference(data, monkeypatch)
    with open_picture(data) as picture:
        assert picture.size == known.size
        boxes = [Box(10, 20, 300, 120), Box(500, 600, 900, 888), Box(0, 0, 900, 900)]
        for box in boxes + boxes:
            assert np.array_equal(array(picture.view(box, box.size)), array(known.view(box, box.size)))
        size = Size(picture.size.width // 10, picture.size.height // 10)
        ours, theirs = picture.view(whole(picture.size), size), known.view(whole(picture.size), size)
        assert np.abs(array(ours) - array(theirs)).mean() < 2.5


def settle(picture: Picture) -> None:
    """Wait until level 1 is whole."""
    assert isinstance(picture._pixels, large.LargeFile)
    picture.prepare()
    growing = picture._pixels._level_1()
    growing._thread.join()
    growing.rows(HIGH)


def levels(cache: Path) -> list[str]:
    return sorted(path.name[-6:] for path in cache.iterdir()) if cache.exists() else []


@pytest.fixture
def jobs_run(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The decoder's jobs, in order."""
    seen: list[str] = []
    really = worker.Worker.ask

    def ask(self: worker.Worker, job: dict[str, object], source_fd: int, target_fd: int) -> object:
        if job["do"] != "header":
            seen.append(str(job["do"]))
        return really(self, job, source_fd, target_fd)

    monkeypatch.setattr(worker.Worker, "ask", ask)
    return seen


def test_a_jpeg_is_decoded_no_further_than_needed(jobs_run: list[str], tmp_path: Path) -> None:
    pytest.importorskip("pyvips")
    data = jpeg(scene())
    with open_picture(data) as picture:
        assert jobs_run == []
        picture.view(whole(picture.size), Size(120, 90))
        picture.view(Box(0, 0, 1000, 800), Size(100, 80))
        assert jobs_run == ["coarse"]
        picture.view(BOXES[0], Size(200, 100))
        assert jobs_run == ["coarse", "regions"]
        picture.view(BOXES[1], Size(200, 100))
        picture.view(BOXES[2], Size(200, 100))
        assert jobs_run == ["coarse", "regions", "rows"]
    assert levels(tmp_path / "cache") == ["-1.rgb", "-8.rgb"]
    with open_picture(data) as picture:
        picture.view(BOXES[3], Size(200, 100))
        picture.view(whole(picture.size), Size(120, 90))
    assert jobs_run == ["coarse", "regions", "rows"], "the second run decodes nothing"


def test_prepare_decodes_once_for_all(jobs_run: list[str]) -> None:
    with open_picture(png(scene())) as picture:
        picture.prepare()
        picture.view(BOXES[0], Size(200, 100))
        picture.view(whole(picture.size), Size(100, 75))
    assert jobs_run == ["rows"]


def test_other_readings_of_a_file_share_no_level(tmp_path: Path) -> None:
    transparent = png(Image.new("RGBA", (WIDE, HIGH), (0, 0, 0, 0)))
    for colour in ((255, 0, 0), (0, 0, 255)):
        with open_picture(transparent, background=colour) as picture:
            for _ in range(2):
                assert picture.view(BOXES[0], Size(50, 50)).getpixel((9, 9)) == colour


def test_the_cache_keeps_to_its_cap_and_drops_the_oldest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    level = 3 * WIDE * HIGH
    monkeypatch.setenv("ZOOMAGENT_CACHE_BYTES", str(2 * level + 100))
    names = []
    for shade in range(4):
        with open_picture(png(Image.new("RGB", (WIDE, HIGH), (shade, 0, 0)))) as picture:
            settle(picture)
            names = sorted((tmp_path / "cache").iterdir(), key=os.path.getmtime)
            assert sum(path.stat().st_size for path in names) <= 2 * level + 100
    assert len(names) == 2


def test_the_cache_removes_its_own_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else lies in its folder, however old and large: it is neither removed nor counted."""
    cache = tmp_path / "cache"
    cache.mkdir()
    digest = "0123456789abcdef" * 4
    others = ["thesis.doc", "draft-chapter1", "draft-thesis.doc", f"{digest}-1.rgb.bak", f"{digest}.rgb", "a-1.rgb"]
    others += [f"{digest.upper()}-1.rgb", f"x{digest}-1.rgb", f"{digest}-12.rgb", f"{digest}-1.rgb\n"]
    for name in others:
        (cache / name).write_bytes(bytes(3_000_000))
        os.utime(cache / name, (0, 0))
    (cache / f"{digest}-8.rgb").mkdir()
    old = cache / f"{digest}-1.rgb"
    old.write_bytes(bytes(3_000_000))
    os.utime(old, (0, 0))
    monkeypatch.setenv("ZOOMAGENT_CACHE_BYTES", str(5_000_000))
    with open_picture(png(scene())) as picture:
        settle(picture)
    assert not old.exists(), "it made room for itself"
    assert all((cache / name).stat().st_size == 3_000_000 for name in others)
    assert levels(cache).count("-1.rgb") == 4, "its own, and three that only look like it"


@pytest.mark.parametrize("text", ["abc", "-1", "4GB", "1e9", "٤", "9" * 30, " 4"])
def test_a_cap_that_is_no_number_is_told(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOOMAGENT_CACHE_BYTES", text)
    with open_picture(png(scene())) as picture, pytest.raises(SettingInvalid, match="ZOOMAGENT_CACHE_BYTES"):
        for _ in range(2):
            picture.view(BOXES[0], Size(200, 100))


@pytest.mark.parametrize("setting", ["off", "file", "readonly", "small"])
def test_a_cache_that_can_not_be_used_is_done_without(
    setting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D1: off, in the place of a file, not writable, smaller than one level."""
    (tmp_path / "file").write_bytes(b"")
    places = {"off": "off", "file": tmp_path / "file", "readonly": "/proc/no", "small": tmp_path / "small"}
    monkeypatch.setenv("ZOOMAGENT_CACHE", str(places[setting]))
    monkeypatch.setenv("ZOOMAGENT_CACHE_BYTES", "1000" if setting == "small" else "1000000000")
    with open_picture(png(scene())) as picture:
        picture.prepare()
        assert picture.view(Box(0, 0, 37, 21), Size(37, 21)).getpixel((3, 3)) == (250, 20, 0)
    assert not levels(tmp_path / "small")


def test_a_full_disk_is_told_apart_from_a_broken_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOOMAGENT_CACHE", "off")
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("zoomagent.media.large.cache.shutil.disk_usage", lambda path: usage)
    with open_picture(png(scene())) as picture, pytest.raises(StoreError) as full:
        settle(picture)
    assert full.value.code == "store_full"


def test_a_torn_level_is_not_believed(tmp_path: Path) -> None:
    data = png(scene())
    with open_picture(data) as picture:
        settle(picture)
    (kept,) = (tmp_path / "cache").iterdir()
    os.truncate(kept, 1000)
    with open_picture(data) as picture:
        assert picture.view(Box(0, 0, 37, 21), Size(37, 21)).getpixel((3, 3)) == (250, 20, 0)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_damage_shows_in_the_view_and_leaves_nothing_behind(kind: str, backend: str, tmp_path: Path) -> None:
    """I2: the half that is there is not shown as if it were all."""
    data = FILES[kind]()
    with pytest.raises(InputRefused) as refusal, open_picture(data[: len(data) // 2]) as picture:
        picture.view(Box(0, 0, WIDE, HIGH), Size(WIDE, HIGH))
        picture.view(Box(0, 0, WIDE, HIGH), Size(WIDE, HIGH))
    assert refusal.value.code == "corrupt_image"
    assert levels(tmp_path / "cache") == []


def test_damage_is_shown_when_asked(backend: str) -> None:
    data = jpeg(scene())
    with open_picture(data[: len(data) // 2], allow_truncated=True) as picture:
        for _ in range(2):
            assert picture.view(Box(0, 0, WIDE, HIGH), Size(WIDE, HIGH)).getpixel((3, 3))[0] > 200  # type: ignore[index]


def test_threads_decode_once_and_see_the_same(jobs_run: list[str]) -> None:
    data = png(scene())
    with open_picture(data) as picture:
        picture.view(BOXES[0], Size(20, 20))
        start = threading.Barrier(6)

        def look(box: Box) -> bytes:
            start.wait()
            return picture.view(box, Size(100, 100)).tobytes()

        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(look, [BOXES[2]] * 6))
    assert len(set(found)) == 1 and jobs_run.count("rows") == 1


def test_processes_do_not_share_a_place_in_the_file() -> None:
    """An overview and close looks at once, in two decoders over the same bytes, again and again."""
    rng = np.random.default_rng(1)
    data = jpeg(Image.fromarray(rng.integers(0, 256, (HIGH, WIDE, 3), dtype=np.uint8)))
    for number in range(5):
        with open_picture(data + bytes([number])) as picture:
            views = picture.views([(whole(picture.size), Size(120, 90)), *((box, box.size) for box in BOXES)])
            assert len(list(views)) == 1 + len(BOXES)


def test_hostile_files_meet_the_same_end_when_large() -> None:
    """Every file of the zoo, as if it were large: a picture or a typed refusal."""
    for animal in ZOO:
        try:
            with really_open(animal.make()) as picture:
                picture.view(whole(picture.size), Size(56, 56))
        except InputRefused as refusal:
            assert animal.code == refusal.code, animal.name
        else:
            assert animal.code is None, animal.name


def test_pillow_sees_what_we_see() -> None:
    """No bytes are lost on the way: an exact copy of Pillow's own decoding."""
    data = FILES["png"]()
    with open_picture(data) as picture:
        ours = picture.view(whole(picture.size), picture.size)
    assert ours.tobytes() == Image.open(io.BytesIO(data)).convert("RGB").tobytes()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors as Linux lists them")
def test_a_file_that_breaks_while_it_is_decoded_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often its views are asked for; after it is closed, nothing is open any more."""
    monkeypatch.setenv("ZOOMAGENT_CACHE", "off")
    data = jpeg(scene())
    really_open(jpeg()).close()
    before = len(os.listdir("/proc/self/fd"))
    for broken in (data[: len(data) // 2], saved(scene(), "WEBP")[:-100], saved(scene(), "GIF")[:-2000]):
        with open_picture(broken) as picture:
            for _ in range(5):
                with pytest.raises(InputRefused):
                    picture.view(Box(0, 800, 1200, 900), Size(120, 10))
    assert len(os.listdir("/proc/self/fd")) <= before + worker.SPARE
