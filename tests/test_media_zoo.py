"""Every hostile file of the zoo meets its outcome: a picture, or a refusal with its code; never anything else."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from zoo import ZOO, Animal, deep_text, flat_png, gif, jpeg, photo

from zoomagent.errors import InputRefused
from zoomagent.geometry import Size, whole
from zoomagent.media import Limits, open_picture
from zoomagent.media.decoding import worker


@pytest.mark.parametrize("animal", ZOO, ids=lambda animal: f"{animal.row}-{animal.name}")
def test_each_hostile_file_meets_its_outcome(animal: Animal) -> None:
    data = animal.make()
    if animal.code is None:
        with open_picture(data) as picture:
            view = picture.view(whole(picture.size), Size(56, 56))
            assert view.mode == "RGB" and view.size == (56, 56)
        return
    with pytest.raises(InputRefused) as refusal:
        open_picture(data)
    assert refusal.value.code == animal.code
    assert "/" not in str(refusal.value).replace("image/png", "")


REFUSED_BY_HEADER = ("I1", "I3", "I5", "I16", "I17", "I18", "I19", "I20", "I22")


@pytest.mark.parametrize(
    "animal",
    [animal for animal in ZOO if animal.code and animal.row in REFUSED_BY_HEADER],
    ids=lambda animal: animal.name,
)
def test_what_the_header_tells_is_not_decoded(animal: Animal, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = worker.Worker.ask

    def headers_only(self: worker.Worker, job: dict[str, Any], source: int, target: int) -> dict[str, Any]:
        assert job["do"] == "header", "a decoder was asked"
        return ask(self, job, source, target)

    monkeypatch.setattr(worker.Worker, "ask", headers_only)
    data = animal.make()
    with pytest.raises(InputRefused):
        open_picture(data)


def test_our_limits_leave_pillows_own_alone() -> None:
    before = Image.MAX_IMAGE_PIXELS
    open_picture(jpeg()).close()
    assert before is not None and before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("name", ["gif_10000_frames", "gif_animated", "webp_animated", "apng"])
def test_animations_show_their_first_frame_and_say_so(name: str) -> None:
    """I9, I15."""
    data = next(animal for animal in ZOO if animal.name == name).make()
    open_picture(jpeg()).close()
    start = time.process_time()
    picture = open_picture(data)
    assert time.process_time() - start < 0.2
    note = "frames_ignored_999_or_more" if name == "gif_10000_frames" else "frames_ignored_29"
    assert note in picture.notes


@pytest.mark.parametrize("name", ["gif_animated", "webp_animated", "apng"])
def test_a_frame_can_be_chosen_and_a_missing_one_is_refused(name: str) -> None:
    """I15."""
    data = next(animal for animal in ZOO if animal.name == name).make()
    picture = open_picture(data, frame=20)
    red = picture.view(whole(picture.size), picture.size).getpixel((30, 30))
    assert isinstance(red, tuple) and abs(red[0] - 160) <= 3
    for missing in (30, 5000, -1):
        with pytest.raises(InputRefused) as refusal:
            open_picture(data, frame=missing)
        assert refusal.value.code == "bad_frame"


@pytest.mark.parametrize("kind", ["jpeg_half", "png_cut", "png_idat_flip"])
def test_damage_is_shown_when_asked(kind: str) -> None:
    """I2: grey where pixels are missing, and a note."""
    data = next(animal for animal in ZOO if animal.name == kind).make()
    try:
        picture = open_picture(data, allow_truncated=True)
    except InputRefused as refusal:
        assert kind == "png_idat_flip" and refusal.code == "corrupt_image"
        return
    assert picture.size == Size(160, 120) and "damage_allowed" in picture.notes


def test_small_pictures_say_that_they_are_small() -> None:
    """I5."""
    assert "smaller_than_56_pixels" in open_picture(flat_png(1, 1)).notes


def test_too_many_bytes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    """I6: a sparse file of 500 MB, a stream without end, 100 MB of base64."""
    file = tmp_path / "big.png"
    with file.open("wb") as big:
        big.truncate(500_000_000)

    class Endless:
        taken = 0

        def read(self, count: int, /) -> bytes:
            self.taken += count
            return bytes(count)

    endless = Endless()
    for source in (file, "data:image/png;base64," + "A" * 100_000_000, endless, bytes(30_000_000)):
        start = time.process_time()
        with pytest.raises(InputRefused) as refusal:
            open_picture(source)  # type: ignore[arg-type]
        assert refusal.value.code == "too_many_bytes"
        assert time.process_time() - start < 1
    assert endless.taken <= 25_000_001


def test_a_picture_at_the_limit_opens_with_bounded_memory() -> None:
    """I4: decided by our limit; the decoder process may use 4 bytes a pixel and 256 MB, and does with less."""
    limits = Limits(max_pixels=100_000_000)
    with open_picture(flat_png(5_000, 4_990), limits=limits) as picture:
        assert picture.view(whole(picture.size), Size(56, 56)).getpixel((5, 5)) == (0, 0, 0)
    with pytest.raises(InputRefused) as refusal:
        open_picture(flat_png(5_000, 4_990), limits=Limits(max_pixels=24_949_999))
    assert refusal.value.code == "too_many_pixels"
    with pytest.raises(ValueError, match="max_pixels"):
        Limits(max_pixels=10**12)
    with pytest.raises(InputRefused) as refusal:
        open_picture(flat_png(20_000, 10_000), limits=Limits(max_pixels=10**9))
    assert refusal.value.code == "too_many_pixels" and "TIFF in tiles" in str(refusal.value)


def test_metadata_never_reaches_the_pixels_or_the_notes() -> None:
    picture = open_picture(deep_text(photo()))
    assert not any("ignore" in note for note in picture.notes)
    assert open_picture(jpeg(photo())).view(whole(Size(160, 120)), Size(160, 120)).info == {}


def test_the_file_may_change_after_opening(tmp_path: Path) -> None:
    """I24: bytes are read once."""
    file = tmp_path / "p.jpg"
    file.write_bytes(jpeg())
    picture = open_picture(file)
    before = picture.view(whole(picture.size), Size(80, 60)).tobytes()
    file.write_bytes(gif(1))
    os.truncate(file, 3)
    assert picture.view(whole(picture.size), Size(80, 60)).tobytes() == before
