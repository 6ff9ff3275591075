"""Videos: the frame asked for is the last one not after its time; a sheet's pixels are its frames' own."""

import base64
import os
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from video_files import SIZE, clip, number_in, numbered

from zoomagent.errors import InputRefused
from zoomagent.geometry import Box, Size, whole
from zoomagent.media import Video, VideoLimits, open_media, open_picture, open_video
from zoomagent.media.decoding import worker
from zoomagent.media.video import decoded
from zoomagent.media.video.sheet import Sheet
from zoomagent.moments import Moment

STAMPS = [1000 + number * number * 7 for number in range(40)]
KINDS: dict[str, dict[str, Any]] = {
    "mp4": {},
    "mp4, one group": {"gop": 250},
    "mp4, key frames only": {"gop": 1, "b_frames": 0},
    "mp4, uneven, begins late": {"stamps": STAMPS},
    "mov": {"format": "mov"},
    "mkv": {"format": "matroska"},
    "webm": {"format": "webm", "codec": "libvpx", "b_frames": 0},
    "avi": {"format": "avi", "codec": "mpeg4", "b_frames": 0},
    "avi, frames out of order": {"format": "avi"},
    "avi, many frames out of order": {"format": "avi", "b_frames": 8, "gop": 30},
    "avi, groups that need the one before": {"format": "avi", "codec": "mpeg4", "b_frames": 2, "gop": 6},
}


@cache
def made(kind: str) -> bytes:
    return clip(40, **KINDS[kind])


@cache
def shared() -> Video:
    """One clip for tests that only look."""
    return open_video(made("mp4"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_frame_at_a_time_is_the_last_one_not_after_it(kind: str) -> None:
    with open_video(made(kind)) as video:
        assert len(video.times) == 40 and video.size == Size(*SIZE)
        if kind == "mp4, uneven, begins late":
            assert list(video.times) == [stamp - STAMPS[0] for stamp in STAMPS]
        draws = random.Random(3)
        for time in [0, video.duration - 1, *(draws.randrange(video.duration) for _ in range(12))]:
            expected = max(n for n, begin in enumerate(video.times) if begin <= time)
            assert number_in(video.frame(time)) == expected == video.number_at(time)
        order = [draws.randrange(40) for _ in range(9)]
        frames = list(video.regions([(number, whole(video.size), video.size) for number in order]))
        assert [number_in(frame) for frame in frames] == order, "in whatever order they are asked for"


def test_path_bytes_and_data_url_are_the_same_clip(tmp_path: Path) -> None:
    data = made("mp4")
    file = tmp_path / "clip.jpg"  # its name says nothing
    file.write_bytes(data)
    url = f"data:video/mp4;base64,{base64.b64encode(data).decode()}"
    ids = set()
    for source in (file, str(file), data, url, file.as_uri()):
        with open_media(source) as video:
            assert isinstance(video, Video)
            ids.add(video.id)
    assert len(ids) == 1
    with pytest.raises(InputRefused) as refused:
        open_picture(file)
    assert refused.value.code == "unsupported_image"


def test_what_is_no_clip_is_opened_as_a_picture(tmp_path: Path) -> None:
    numbered(5).save(tmp_path / "clip.mp4", "png")
    with open_media(tmp_path / "clip.mp4") as picture:
        assert picture.size == Size(*SIZE)
    for source in (tmp_path / "clip.mp4", b"", b"#EXTM3U\n"):
        with pytest.raises(InputRefused) as refused:
            open_video(source)
        assert refused.value.code == "unsupported_video"


@pytest.mark.parametrize("address", ["http://example.org/clip.mp4", "concat:a.mp4|b.mp4", "pipe:0", "rtsp://x/y"])
def test_no_address_is_opened(address: str) -> None:
    with pytest.raises(InputRefused) as refused:
        open_video(address)
    assert refused.value.code == "url_not_allowed"


@given(st.integers(1, 4), st.data())
@settings(max_examples=25)
def test_a_region_of_a_cell_is_that_region_of_its_frame(grid: int, data: st.DataObject) -> None:
    video = shared()
    sheet = Sheet(video, video.moment, grid)
    number = data.draw(st.integers(0, grid * grid - 1))
    cell = sheet.cell(number)
    left, top = data.draw(st.integers(0, SIZE[0] - 8)), data.draw(st.integers(0, SIZE[1] - 8))
    right, bottom = data.draw(st.integers(left + 8, SIZE[0])), data.draw(st.integers(top + 8, SIZE[1]))
    size = Size(data.draw(st.integers(4, 64)), data.draw(st.integers(4, 64)))
    shown = sheet.view(Box(cell.left + left, cell.top + top, cell.left + right, cell.top + bottom), size)
    [own] = video.regions([(video.number_at(sheet.time_of(number)), Box(left, top, right, bottom), size)])
    assert shown.tobytes() == own.tobytes()
    full = sheet.view(cell, video.size)
    assert number_in(full) == video.number_at(sheet.time_of(number))


def test_a_sheet_shows_every_frame_at_its_place() -> None:
    video = shared()
    sheet = Sheet(video, video.moment, 3)
    view = sheet.view(whole(sheet.size), sheet.size)
    for number in range(9):
        cell = sheet.cell(number)
        part = view.crop((cell.left, cell.top, cell.right, cell.bottom))
        assert part.tobytes() == video.frame(sheet.time_of(number)).tobytes()
    hidden = sheet.other(video.moment, 3, [Moment(0, 700), Moment(700, video.duration)])
    assert hidden.id != sheet.id
    some = sheet.other(video.moment, 3, [Moment(0, 500), Moment(1200, 1700)])
    greys = [some.view(some.cell(n), Size(9, 9)).getcolors() == [(81, (127, 127, 127))] for n in range(9)]
    assert greys == [some.time_of(n) < 500 or 1200 <= some.time_of(n) < 1700 for n in range(9)] and 3 < sum(greys) < 9
    assert hidden.view(whole(sheet.size), Size(30, 30)).getcolors() == [(900, (127, 127, 127))]


@given(st.integers(1, 9), st.integers(0, 1500), st.integers(100, 500), st.data())
@settings(max_examples=60)
def test_from_sheet_to_moment_to_sheet_is_the_identity(grid: int, start: int, length: int, data: st.DataObject) -> None:
    video = shared()
    sheet = Sheet(video, Moment(start, min(video.duration, start + length)), grid)
    number = data.draw(st.integers(0, grid * grid - 1))
    assert sheet.cells(sheet.cell(number)) == [number]
    assert sheet.moment_of(sheet.cell(number)) == sheet.slices[number]
    assert sheet.slices[number].holds(sheet.time_of(number))
    assert sheet.moment_of(whole(sheet.size)) == sheet.moment
    again = sheet.other(sheet.moment, grid)
    assert again.id == sheet.id and again.slices == sheet.slices


def test_a_view_decodes_no_frame_that_it_does_not_touch(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    work = worker.decode

    def counted(job: dict[str, Any], source: int, target: int) -> dict[str, Any]:
        asked.extend(stamp for stamp, _ in job.get("wanted", []))
        return work(job, source, target)

    monkeypatch.setattr(decoded, "decode", counted)
    with open_video(made("mp4")) as video:
        sheet = Sheet(video, video.moment, 3)
        sheet.view(sheet.cell(4), Size(50, 30))
        assert len(asked) == 1
        sheet.view(Box(0, 0, 2 * SIZE[0], SIZE[1]), Size(50, 30))
        assert len(asked) == 3
        sheet.view(whole(sheet.size), Size(60, 60))
        assert len(asked) == 9, "what was decoded is kept"


def test_kept_frames_stay_within_their_bytes() -> None:
    frame = 3 * SIZE[0] * SIZE[1]
    with open_video(made("mp4"), limits=VideoLimits(cache_bytes=4 * frame)) as video:
        images = list(video.regions([(n, whole(video.size), video.size) for n in range(40)]))
        assert [number_in(image) for image in images] == list(range(40))
        assert isinstance(video._frames, decoded.Decoded)
        assert len(video._frames._kept) <= 4


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"max_bytes": 1000}, "too_many_bytes"),
        ({"max_seconds": 1}, "video_too_long"),
        ({"max_frames": 39}, "video_too_long"),
        ({"max_pixels": 5000}, "corrupt_video"),
        ({"roots": ("/nowhere",)}, "path_not_allowed"),
    ],
)
def test_every_limit_is_a_refusal_of_its_own(limits: dict[str, Any], code: str, tmp_path: Path) -> None:
    file = tmp_path / "clip.mp4"
    file.write_bytes(made("mp4"))
    with pytest.raises(InputRefused) as refused:
        open_video(file, limits=VideoLimits(**limits))
    assert refused.value.code == code


def test_nothing_stays_open() -> None:
    open_video(made("mp4")).close()  # the worker is warm
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with open_video(made("mkv")) as video:
            frame = video.frame(500)
    assert len(os.listdir("/proc/self/fd")) == before
    assert number_in(frame) == 10, "a frame stays good"
    with pytest.raises(InputRefused) as refused:
        video.frame(500)
    assert refused.value.code == "picture_closed"


def damaged(data: bytes, packets: set[int]) -> bytes:
    """An AVI of which these packets hold nothing but zeros."""
    broken, at, number = bytearray(data), data.index(b"movi") + 4, 0
    while data[at : at + 2] == b"00":
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if number in packets:
            broken[at + 8 : at + 8 + size] = bytes(size)
        at, number = at + 8 + size + size % 2, number + 1
    return bytes(broken)


@pytest.mark.parametrize("packets", [{5}, {0}, {12}, {5, 6, 17}, {23}])
@pytest.mark.parametrize(
    ("options", "group"),
    [
        ({"codec": "mjpeg", "pixels": "yuvj420p", "b_frames": 0}, 1),
        ({"codec": "mpeg4", "b_frames": 0, "gop": 8}, 8),
        ({"b_frames": 0, "gop": 8}, 8),
        ({"b_frames": 2, "gop": 8}, 8),
    ],
)
def test_a_damaged_packet_moves_no_other_frame(options: dict[str, Any], group: int, packets: set[int]) -> None:
    """What rests on it may be lost up to the next key frame; all else is where it was."""
    if options.get("codec", "libx264") == "libx264":
        packets = {packet + 1 if packet % group == 0 else packet for packet in packets}  # not its headers
    with open_video(damaged(clip(24, format="avi", **options), packets)) as video:
        assert [time // 50 for time in video.times] == list(range(24))
        singly = [number_in(video.frame(time)) for time in video.times]
        together = [
            number_in(image) for image in video.regions([(n, whole(video.size), video.size) for n in range(24)])
        ]
    hit = {packet // group for packet in packets}
    assert [n for n in range(24) if n // group not in hit and (singly[n], together[n]) != (n, n)] == []
    if group == 1:
        before = [max((k for k in range(n + 1) if k not in packets), default=1) for n in range(24)]
        assert singly == together == before


ROW = (0).to_bytes(24, "little")
PROBED = {"size": [160, 96], "frames": 1, "duration": 50, "notes": []}


@pytest.mark.parametrize(
    ("rows", "reply"),
    [
        (b"x", PROBED),
        (ROW[:-1], PROBED),
        (ROW + b"12345678", PROBED),
        (ROW + b"123", PROBED),
        (b"", {**PROBED, "frames": 0}),
        (ROW + (2**62).to_bytes(24, "little"), {**PROBED, "frames": 2}),
        (ROW, {**PROBED, "frames": "1"}),
        (ROW, {**PROBED, "size": [160, "96"]}),
        (ROW, {**PROBED, "duration": 10**30}),
        (ROW, {**PROBED, "notes": None}),
        (ROW, {}),
    ],
)
def test_whatever_a_decoder_says_about_a_clip_is_checked(
    rows: bytes, reply: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that a file took over may say anything."""

    def says(job: dict[str, Any], source: int, target: int) -> dict[str, Any]:
        os.write(target, rows)
        return reply

    monkeypatch.setattr(decoded, "decode", says)
    with pytest.raises(InputRefused) as refused:
        open_video(made("mp4"))
    assert refused.value.code == "decode_crashed"


def test_frames_that_are_being_made_are_finished_and_no_others_are_begun() -> None:
    open_video(made("mp4")).close()  # the worker is warm
    before = len(os.listdir("/proc/self/fd"))
    video = open_video(made("mp4"), limits=VideoLimits(cache_bytes=1))
    requests = [(number, whole(video.size), video.size) for number in (3, 20, 37)]
    begun, not_begun = video.regions(requests), video.regions(requests)
    first = next(begun)
    video.close()
    assert [number_in(image) for image in (first, *begun)] == [3, 20, 37]
    with pytest.raises(InputRefused) as refused:
        next(not_begun)
    assert refused.value.code == "picture_closed"
    assert len(os.listdir("/proc/self/fd")) == before
    sheet = Sheet(open_video(made("mp4")), Moment(0, 500), 2, owns=True)
    views = sheet.views([(sheet.cell(number), video.size) for number in range(4)])
    next(views)
    sheet.close()
    assert len(list(views)) == 3 and len(os.listdir("/proc/self/fd")) == before


def turned(data: bytes) -> bytes:
    """The same mp4, to be shown turned by a quarter, as phones write it."""
    at = data.index(b"tkhd") + 4 + 40
    matrix = [0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000]
    return data[:at] + b"".join(value.to_bytes(4, "big", signed=True) for value in matrix) + data[at + 36 :]


def test_a_clip_that_is_to_be_turned_is_upright() -> None:
    with open_video(turned(made("mp4"))) as video, open_video(made("mp4")) as plain:
        assert video.size == Size(SIZE[1], SIZE[0])
        assert any("turned" in note for note in video.notes)
        upright, stored = video.frame(700), plain.frame(700)
        assert upright.tobytes() == stored.transpose(Image.Transpose.ROTATE_270).tobytes()


@pytest.fixture(autouse=True, scope="module")
def closing() -> Iterator[None]:
    yield
    shared().close()
