"""Sounds: at their own time in every format, and spectrograms that are computed anew for every region."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("av")

from hypothesis import given, settings
from hypothesis import strategies as st
from sound_files import RATE, encoded, tone, wav

from zoomagent.errors import InputRefused
from zoomagent.geometry import Box, Size, whole
from zoomagent.media import Picture, Sound, SoundLimits, Video, open_media, open_picture, open_sound, open_video
from zoomagent.media.sound.opening import sound_format_of
from zoomagent.media.sound.sound import CELL, sound_of
from zoomagent.media.video.sheet import Sheet
from zoomagent.moments import Moment

NOISE = (0.2 * np.random.default_rng(3).standard_normal(4 * RATE)).astype(np.float32)


def heard(sound: Sound) -> tuple[float, float]:
    """From when to when there is something, in seconds."""
    loud = np.nonzero(np.abs(sound.samples(sound.moment)) > 0.2)[0]
    return float(loud[0]) / RATE, float(loud[-1]) / RATE


def grey(sound: Sound, moment: Moment, box: Box | None = None, size: Size | None = None) -> Any:
    sheet = Sheet(sound, moment, 1)
    return np.asarray(sheet.view(box or whole(CELL), size or Size(128, 128)).convert("L"), int)


FILES = {
    "wav": lambda: wav(tone(5, 2, 3)),
    "wav of 44.1 kHz and 6 channels": lambda: wav(tone(5, 2, 3, rate=44_100), 44_100, 6),
    "wav of 8 kHz": lambda: wav(tone(5, 2, 3, rate=8000), 8000),
    "flac": lambda: encoded(tone(5, 2, 3), "flac", "flac"),
    "mp3": lambda: encoded(tone(5, 2, 3), "mp3", "libmp3lame"),
    "ogg": lambda: encoded(tone(5, 2, 3, rate=48_000), "ogg", "libopus", 48_000),
}


@pytest.mark.parametrize("name", FILES)
def test_a_sound_is_at_its_own_time_in_every_format(name: str, tmp_path: Path) -> None:
    data = FILES[name]()
    (tmp_path / "no ending").write_bytes(data)
    for source in (data, tmp_path / "no ending"):
        with open_media(source) as sound:
            assert isinstance(sound, Sound) and abs(sound.duration - 5000) <= 60
            start, end = heard(sound)
            assert abs(start - 2) < 0.02 and abs(end - 3) < 0.02
    with pytest.raises(InputRefused):
        open_picture(data)


@pytest.mark.parametrize("format", ["mp4", "matroska", "avi"])
def test_a_clip_has_its_own_sound_from_its_first_frame_on(format: str) -> None:
    codec = "pcm_s16le" if format == "avi" else "aac"
    late = 0.0 if format == "avi" else 1.0
    data = encoded(tone(5, 2, 3), format, codec, pictures=30, delay=late)
    with open_media(data) as video:
        assert isinstance(video, Video)
        sound = video.sound()
        assert sound is video.sound()
        start, end = heard(sound)
        assert abs(start - 2 - late) < 0.06 and abs(end - 3 - late) < 0.06
        with open_sound(data) as again:
            assert sound.id == again.id and heard(again) == (start, end)
    with pytest.raises(InputRefused, match="closed"):
        sound.samples(sound.moment)
    with (
        open_video(encoded(tone(1, 0, 1), "mp4", "aac", pictures=5)) as mute,
        pytest.raises(InputRefused, match="no sound"),
    ):
        Video(mute.id, mute.size, mute.times, mute.duration, (), mute._frames).sound()


@given(
    st.integers(0, 6), st.integers(1, 4), st.sampled_from([64, 128, 256]), st.integers(0, 3000), st.integers(1, 1000)
)
@settings(max_examples=40, deadline=None)
def test_a_region_alone_equals_the_same_columns_of_the_whole(
    left: int, count: int, width: int, start: int, length: int
) -> None:
    """At equal scale, whatever the scale."""
    sound = sound_of(NOISE)
    moment = Moment(start, start + length)
    right = min(8, left + count)
    box = Box(left * CELL.width // 8, 0, right * CELL.width // 8, CELL.height)
    alone = grey(sound, moment, box, Size((right - left) * width // 8, 96))
    of_whole = grey(sound, moment, None, Size(width, 96))[:, left * width // 8 : right * width // 8]
    assert np.abs(alone - of_whole).max() <= 1


def test_zooming_in_time_is_a_new_transform() -> None:
    """Two clicks 15 ms apart are one in the view of seconds, and two up close: no magnified picture."""
    samples = np.zeros(2 * RATE, np.float32)
    samples[[RATE, RATE + 240]] = 0.9
    sound = sound_of(samples)
    far = Sheet(sound, sound.moment, 1)
    bright = grey(sound, sound.moment, None, Size(64, 64)).mean(axis=0)
    assert (np.diff((bright > bright.max() / 2).astype(int), prepend=0) == 1).sum() == 1
    place = CELL.width // 2
    near = np.asarray(far.view(Box(place - 4, 0, place + 6, CELL.height), Size(160, 64)).convert("L"), int).mean(axis=0)
    peaks = np.diff((near > near.max() * 0.8).astype(int), prepend=0)
    assert (peaks == 1).sum() == 2


@pytest.mark.parametrize("width", [64, 128])
def test_what_is_short_is_not_missed_in_a_wide_view(width: int) -> None:
    """Every transform counts, the loudest is shown: a tone of 50 ms has its column wherever it is."""
    for start in (7.013, 31.777):
        samples = np.zeros(60 * RATE, np.float32)
        at = round(start * RATE)
        samples[at : at + RATE // 20] = tone(0.05, 0, 0.05)
        shown = grey(sound_of(samples), Moment(0, 60_000), None, Size(width, 64))
        [*columns] = np.nonzero(shown.max(axis=0) > 200)[0]
        wanted = int(start / 60 * width)
        assert columns and all(abs(column - wanted) <= 1 for column in columns)


def test_time_goes_right_and_notes_go_up() -> None:
    low, high = (grey(sound_of(tone(4, 1, 2, hertz)), Moment(0, 4000)) for hertz in (200.0, 3000.0))
    for shown in (low, high):
        columns = np.nonzero(shown.max(axis=0) > 200)[0]
        assert 30 <= columns[0] <= 33 and 62 <= columns[-1] <= 65
    assert low[:, 48].argmax() > 100 and high[:, 48].argmax() < 60


def test_what_is_hidden_is_grey_and_the_rest_stays() -> None:
    sound = sound_of(tone(4, 1, 2))
    shown = Sheet(sound, sound.moment, 3).view(Box(0, 0, 1536, 1536), Size(192, 192))
    hidden = Sheet(sound, sound.moment, 3, [Moment(1000, 2000)]).view(Box(0, 0, 1536, 1536), Size(192, 192))
    before, after = (np.asarray(image.convert("L"), int) for image in (shown, hidden))
    assert before.max() > 200 and set(np.unique(after[before > 200])) == {127}
    assert (before == after).mean() > 0.7


def test_silence_is_black_and_said() -> None:
    sound = sound_of(np.zeros(RATE, np.float32))
    assert sound.silent and not grey(sound, sound.moment).any()
    assert not sound_of(tone(1, 0, 1, loud=0.001)).silent
    wrong: Any
    for wrong in (np.zeros(0), np.zeros((2, 2)), np.array([np.nan])):
        with pytest.raises(InputRefused):
            sound_of(wrong)


def test_limits_are_kept() -> None:
    data = wav(tone(5, 2, 3))
    for limits, code in (
        (SoundLimits(max_seconds=4), "sound_too_long"),
        (SoundLimits(max_packets=2), "sound_too_long"),
        (SoundLimits(max_bytes=1000), "too_many_bytes"),
        (SoundLimits(min_rate=20_000), "corrupt_sound"),
    ):
        with pytest.raises(InputRefused) as refused:
            open_sound(data, limits=limits)
        assert refused.value.code == code
    with pytest.raises(InputRefused) as refused:
        open_sound(wav(tone(1, 0, 1), channels=33))
    assert refused.value.code == "corrupt_sound"


def test_texts_and_pictures_are_no_sounds() -> None:
    for start in (
        b"",
        b"\xff\xd8\xff\xe0",
        b"\xff\xfeh\0i\0",
        b"\xff\xf1\x50\x80",
        b"RIFF\0\0\0\0AVI ",
        b"RIFF\0\0\0\0WEBP",
    ):
        assert sound_format_of(start) is None
    picture = open_media(np.zeros((4, 4, 3), np.uint8))
    assert isinstance(picture, Picture)


@pytest.mark.slow
def test_an_hour_fits_into_bounded_memory(tmp_path: Path) -> None:
    file = tmp_path / "hour.flac"
    file.write_bytes(encoded(np.tile(tone(10, 3, 4), 360), "flac", "flac"))
    program = f"""
import resource
from zoomagent.geometry import Size, whole
from zoomagent.media import open_sound
from zoomagent.media.video.sheet import Sheet
import transformers.audio_utils
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open_sound({str(file)!r}) as sound:
    sheet = Sheet(sound, sound.moment, 3)
    sheet.view(whole(sheet.size), Size(768, 768))
    assert sound.duration > 3_500_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    grown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert int(grown) < 300_000, f"{grown} kB"
