"""The synthetic world to be heard: sounds of plain kinds, each for a while. A pure function of (seed, index).

    scape = draw_sounds(seed, index)                       # three kinds in ten seconds, and the name of one that is not
    sound = drawn_sound(scape)                             # a Sound
    write_sounds(Path("OUT"), seed, count=20)              # wav files, their moments and questions

A kind sounds once in a sound, so that its moment can be asked for. What a thing of a clip sounds like belongs to its
colour (`VOICES`): `track_of` is the clip's own track, in which one thing sounds while it is there. Left out: speech,
and everything that has no plain name.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from zoomagent.data.world.clips import DURATION, Clip, drawn_video
from zoomagent.media.sound.sound import Sound, sound_of
from zoomagent.media.sound.spectrum import RATE
from zoomagent.media.video.video import Video
from zoomagent.moments import Moment

SoundKind = Literal["beep", "low hum", "rising sweep", "falling sweep", "clicks", "hiss"]
KINDS: tuple[SoundKind, ...] = get_args(SoundKind)
VOICES: dict[str, SoundKind] = {
    "red": "low hum",
    "blue": "beep",
    "green": "rising sweep",
    "yellow": "falling sweep",
    "purple": "clicks",
    "orange": "hiss",
}
"""What a thing of a colour sounds like; things of other colours are silent."""
SOUND_DURATION = 10_000
LONGEST, SHORTEST = 0.4, 0.03
"""Shares of the sound that one of its kinds takes at most and at least."""
FADE = 0.005
"""Seconds in which a sound begins and ends."""
Wave = NDArray[np.float32]


@dataclass(frozen=True)
class SoundEvent:
    """A kind of sound and when it sounds; `loud` from 0 to 1, `pitch` from 0 to 1 within what its kind allows."""

    kind: SoundKind
    moment: Moment
    loud: float
    pitch: float


@dataclass(frozen=True)
class Soundscape:
    """All that sounds in `duration` milliseconds, over noise as loud as `noise`; `never` is a kind that does not."""

    events: tuple[SoundEvent, ...]
    duration: int
    noise: float
    never: SoundKind
    seed: tuple[int, ...]


def draw_sounds(seed: int, index: int, *, count: int = 3, duration: int = SOUND_DURATION) -> Soundscape:
    """Sound number `index`: `count` kinds, long and short ones, which may sound at the same time."""
    rng = np.random.default_rng([seed, index, 17])
    kinds = [KINDS[int(i)] for i in rng.permutation(len(KINDS))]
    events = []
    for kind in kinds[: min(count, len(KINDS) - 1)]:
        share = float(np.exp(rng.uniform(np.log(SHORTEST), np.log(LONGEST))))
        length = max(200, round(share * duration))
        start = int(rng.integers(0, duration - length + 1))
        loud, pitch = float(rng.uniform(0.2, 0.6)), float(rng.uniform(0, 1))
        events.append(SoundEvent(kind, Moment(start, start + length), loud, pitch))
    noise = float(np.exp(rng.uniform(np.log(0.0005), np.log(0.01))))
    return Soundscape(tuple(events), duration, noise, kinds[-1], (seed, index))


def track_of(clip: Clip, seed: int = 0) -> Soundscape:
    """The own track of a clip: the thing that is asked about sounds as long as it is there, if its colour has a
    sound."""
    voice = VOICES.get(clip.item.colour)
    never = next(kind for kind in KINDS if kind != voice)
    events = () if voice is None else (SoundEvent(voice, clip.moment, 0.4, 0.5),)
    return Soundscape(events, DURATION, 0.001, never, (seed, clip.scene.seed))


def sounding_video(clip: Clip, side: int) -> Video:
    """The clip as a Video with its own track."""
    return drawn_video(clip, side, partial(drawn_sound, track_of(clip)))


def samples_of(scape: Soundscape) -> Wave:
    """RATE samples a second."""
    rng = np.random.default_rng([*scape.seed, 19])
    samples = scape.noise * rng.standard_normal(scape.duration * RATE // 1000)
    for event in scape.events:
        start, end = (time * RATE // 1000 for time in event.moment.as_list())
        sounds = event.loud * _voice(event, end - start, rng)
        edge = min(round(FADE * RATE), (end - start) // 2)
        fade = np.minimum(1, np.minimum(np.arange(end - start), np.arange(end - start)[::-1]) / max(1, edge))
        samples[start:end] += sounds * fade
    return np.clip(samples, -1, 1).astype(np.float32)


def _voice(event: SoundEvent, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """`count` samples of a kind, from -1 to 1."""
    low, high = hertz_of(event, np.linspace(0, 1, count))
    match event.kind:
        case "low hum":
            return 0.6 * _tone(low) + 0.3 * _tone(2 * low) + 0.1 * _tone(high)
        case "clicks":
            gap, width = round((0.06 + 0.08 * event.pitch) * RATE), RATE // 400
            inside = np.arange(count) % gap < width
            return inside * rng.uniform(-1, 1, count)
        case "hiss":
            noise = np.fft.rfft(rng.standard_normal(count))
            hertz = np.fft.rfftfreq(count, 1 / RATE)
            noise[(hertz < low[0]) | (hertz > high[0])] = 0
            hiss = np.fft.irfft(noise, count)
            return np.asarray(hiss / max(1e-9, float(np.abs(hiss).max())))
        case _:
            return _tone(low)


def hertz_of(event: SoundEvent, share: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lowest and the highest tone of an event where `share` of it is over."""
    pitch, even = event.pitch, np.ones_like(share)
    match event.kind:
        case "beep":
            return (900 + 1600 * pitch) * even, (900 + 1600 * pitch) * even
        case "low hum":
            return (80 + 100 * pitch) * even, 3 * (80 + 100 * pitch) * even
        case "rising sweep":
            return (300 + 200 * pitch) * 8**share, (300 + 200 * pitch) * 8**share
        case "falling sweep":
            return (300 + 200 * pitch) * 8 ** (1 - share), (300 + 200 * pitch) * 8 ** (1 - share)
        case "clicks":
            return 20 * even, RATE / 2 * even
        case "hiss":
            return (3000 + 1500 * pitch) * even, (6000 + 1500 * pitch) * even


def _tone(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sin(2 * np.pi * np.cumsum(hertz) / RATE))


def drawn_sound(scape: Soundscape) -> Sound:
    """What sounds, as a Sound."""
    return sound_of(samples_of(scape))


def write_sounds(
    out: Path, seed: int, count: int, progress: Callable[[int], None] = lambda done: None
) -> list[dict[str, Any]]:
    """`count` wav files below `out`/sounds, and what sounds when in `out`/sounds.json: moments in milliseconds, and
    questions with their answers (None: never)."""
    (out / "sounds").mkdir(parents=True, exist_ok=True)
    rows = []
    for index in range(count):
        scape = draw_sounds(seed, index)
        name = f"sounds/{index + 1}.wav"
        sound = drawn_sound(scape)
        (out / name).write_bytes(sound.wav(sound.moment))
        events: list[dict[str, Any]] = [
            {"kind": event.kind, "moment": event.moment.as_list()} for event in scape.events
        ]
        asked: list[dict[str, Any]] = [
            {"question": f"When is the {event['kind']} heard?", "moment": event["moment"]} for event in events
        ]
        asked.append({"question": f"When is the {scape.never} heard?", "moment": None})
        rows.append({"file": name, "duration": scape.duration, "events": events, "questions": asked})
        progress(index + 1)
    (out / "sounds.json").write_text(json.dumps(rows, indent=1) + "\n")
    return rows
