"""The world's sounds: the same for the same seed, each kind at its moment, and unlike the others."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from zoomagent.cli.main import app
from zoomagent.data.world.clips import DURATION, draw_clip
from zoomagent.data.world.scene import SMALL
from zoomagent.data.world.sounds import (
    KINDS,
    VOICES,
    SoundEvent,
    SoundKind,
    Soundscape,
    draw_sounds,
    drawn_sound,
    samples_of,
    sounding_video,
    track_of,
)
from zoomagent.geometry import Size, whole
from zoomagent.media.video.sheet import Sheet
from zoomagent.moments import Moment

INSIDE = Moment(4000, 6000)


def alone(kind: SoundKind) -> Soundscape:
    return Soundscape((SoundEvent(kind, INSIDE, 0.5, 0.5),), 10_000, 0.0005, "hiss", (1, 2))


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_sounds_in_its_moment_and_nowhere_else(kind: SoundKind) -> None:
    samples = np.abs(samples_of(alone(kind)))
    inside = samples[4 * 16_000 : 6 * 16_000]
    outside = np.concatenate([samples[: 4 * 16_000], samples[6 * 16_000 :]])
    assert inside.max() > 0.1 and outside.max() < 0.01
    tenths = inside.reshape(10, -1).max(axis=1)
    assert (tenths > 0.05).all(), "from its beginning to its end"


def test_kinds_are_told_apart_by_where_they_are_loud() -> None:
    middles: dict[SoundKind, list[float]] = {}
    for kind in KINDS:
        sound = drawn_sound(alone(kind))
        shown = np.asarray(Sheet(sound, INSIDE, 1).view(whole(sound.size), Size(96, 96)).convert("L"), float) ** 2
        heights = np.arange(96)[::-1, None]
        middles[kind] = [float((part * heights).sum() / part.sum()) for part in (shown[:, 5:25], shown[:, -25:-5])]
    (rise, risen), (fall, fallen) = middles["rising sweep"], middles["falling sweep"]
    assert risen - rise > 20 and fall - fallen > 20
    steady = {kind: sum(ends) / 2 for kind, ends in middles.items() if abs(ends[0] - ends[1]) < 8}
    assert set(steady) >= {"beep", "low hum", "hiss"}
    assert steady["low hum"] + 15 < steady["beep"] < steady["hiss"] - 15


def test_sounds_are_a_function_of_seed_and_index_alone() -> None:
    for index in range(20):
        scape = draw_sounds(3, index)
        assert scape == draw_sounds(3, index) and (samples_of(scape) == samples_of(scape)).all()
        kinds = [event.kind for event in scape.events]
        assert len(set(kinds)) == len(kinds) == 3 and scape.never not in kinds
        assert all(0 <= e.moment.start < e.moment.end <= scape.duration for e in scape.events)
    assert draw_sounds(3, 0) != draw_sounds(4, 0) != draw_sounds(4, 1)


def test_a_clips_track_belongs_to_the_thing_that_is_asked_about() -> None:
    for index in range(4):
        clip = draw_clip(SMALL, 1, index, 0.2)
        with sounding_video(clip, 64) as video, video.sound() as sound:
            assert sound.duration == DURATION == video.duration
            loud = np.nonzero(np.abs(sound.samples(sound.moment)) > 0.05)[0] / 16
        [event] = track_of(clip).events
        assert event.kind == VOICES[clip.item.colour]
        assert abs(loud[0] - clip.moment.start) < 150 and abs(loud[-1] - clip.moment.end) < 150


def test_the_world_is_written_with_sounds_and_their_moments(tmp_path: Path) -> None:
    for name in ("a", "b"):
        args = ["data", "world", str(tmp_path / name), "--scenes", "1", "--size", "256", "--sounds", "2"]
        assert CliRunner().invoke(app, args).exit_code == 0
    rows = json.loads((tmp_path / "a" / "sounds.json").read_text())
    assert len(rows) == 2 and all(len(row["questions"]) == 4 for row in rows)
    assert [question["moment"] for question in rows[0]["questions"]][-1] is None
    for row in rows:
        assert (tmp_path / "a" / row["file"]).read_bytes() == (tmp_path / "b" / row["file"]).read_bytes()
