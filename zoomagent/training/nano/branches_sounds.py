"""Dialogues about the spectrogram of a drawn sound: what is heard in a window of it, and in which of nine stretches.

A row shows one picture, as the search in time does (`graphs/when.py`): a window as one spectrogram, or nine stretches
as a sheet. `sound/see` asks whether a kind is there, `sound/part` where, `sound/kind` what the one sound is: "Cannot
tell" where none is. Nothing is asked about what a window holds a sliver of only. Off unless a run asks for it
(`Shapes.sounds`): the packaged weights were not taught sounds.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.data.world.scene import Level
from zoomagent.data.world.sounds import KINDS, SoundEvent, SoundKind, Soundscape, draw_sounds, drawn_sound, hertz_of
from zoomagent.geometry import Size, whole
from zoomagent.media.sound.spectrum import LOWEST, RATE
from zoomagent.media.video.sheet import Sheet
from zoomagent.moments import Moment, intersect, slices
from zoomagent.prompts import PARTS, SEE, SPECTROGRAM, macro_prompt
from zoomagent.training.nano.branches import Practice, Words
from zoomagent.training.nano.dense import Fields, Targets
from zoomagent.training.nano.looks import TEXT, Look, Row
from zoomagent.training.nano.model import NanoConfig
from zoomagent.training.nano.packing import IGNORE, pack

WHAT = "What kind of sound is it?"
SHORTEST_WINDOW = 250
SEES, PLACES = 4, 4
"""Questions of each sort about one picture."""
COUNTS = (0.1, 0.3, 0.3, 0.3)
"""How often a sound has no kind, one, two or three."""
SLIVER, WHOLE_KIND = 0.08, 0.2
"""Less of a window than this is nothing to ask about; less of a sweep than this looks like a beep."""
PITCHED: tuple[SoundKind, ...] = ("beep", "rising sweep", "falling sweep")
MARGIN = 0.04
"""Of a picture's height, by which a tone is thick."""


def sound_row(words: Words, config: NanoConfig, level: Level, seed: int, index: int, is_large: bool) -> Row:
    """A row about one sound: nine stretches of it as a sheet, or one window."""
    rng = np.random.default_rng([seed, index, 29])
    scape = draw_sounds(seed, index, count=int(rng.choice(4, p=COUNTS)))
    grid, side = (3, config.search_side) if is_large else (1, config.macro_side)
    moment = _window(scape, grid, rng)
    practices = [_see(words, scape, moment, kind) for kind in _kinds(scape, rng, SEES)]
    if is_large:
        practices += [_part(words, scape, moment, kind, rng) for kind in _kinds(scape, rng, PLACES)]
    else:
        practices.append(_kind(words, scape, moment))
    asked = [practice for practice in practices if practice is not None]
    start = words.text(f"<|im_start|>user\n{SPECTROGRAM}")
    packed = pack((start, *words.view(side)), [practice.branch for practice in asked])
    items = np.full(len(packed.ids), TEXT, np.int64)
    look = _look(scape, moment, grid, side, config, level)
    items[packed.ids == words.image] = look.items
    masks = np.array([0, *(practice.about for practice in asked)], np.int64)[packed.branch]
    return Row((look,), packed, tuple(practice.name for practice in asked), items, masks)


def _window(scape: Soundscape, grid: int, rng: np.random.Generator) -> Moment:
    """All of the sound, or a part of it; half of the small ones are at an edge of something, as looks at edges are."""
    whole_moment = Moment(0, scape.duration)
    if rng.random() < (0.6 if grid > 1 else 0.3):
        return whole_moment
    least = 2000 if grid > 1 else SHORTEST_WINDOW
    length = int(np.exp(rng.uniform(np.log(least), np.log(scape.duration))))
    start = int(rng.integers(0, scape.duration - length + 1))
    if scape.events and rng.random() < 0.6:
        event = scape.events[int(rng.integers(len(scape.events)))].moment
        place = float(rng.uniform(event.start, event.end)) if rng.random() < 0.5 else float(rng.choice(event.as_list()))
        start = round(place - length * float(rng.uniform(0, 1)))
    return intersect(Moment(max(0, start), max(0, start) + length), whole_moment)


def _kinds(scape: Soundscape, rng: np.random.Generator, count: int) -> list[SoundKind]:
    """Kinds to ask about: those that sound, and others."""
    there: list[SoundKind] = [event.kind for event in scape.events]
    others: list[SoundKind] = [kind for kind in KINDS if kind not in there]
    chosen = [there[int(i)] for i in rng.permutation(len(there))][: count - 1]
    return [*chosen, *(others[int(i)] for i in rng.permutation(len(others))[: count - len(chosen)])]


def _heard(scape: Soundscape, moment: Moment, kind: SoundKind) -> bool | None:
    """Whether a window holds a kind; None where it cannot be told."""
    for event in scape.events:
        shared = intersect(event.moment, moment).length
        if not shared:
            continue
        is_sliver = shared < max(40.0, SLIVER * moment.length) and shared < event.moment.length
        if event.kind == kind:
            is_flat = kind in PITCHED[1:] and shared < WHOLE_KIND * event.moment.length
            is_between = kind == "clicks" and shared < 200
            return None if is_sliver or is_flat or is_between else True
        if event.kind in PITCHED and kind in PITCHED and shared < WHOLE_KIND * event.moment.length:
            return None
    return any(event.kind == kind and intersect(event.moment, moment).length for event in scape.events)


def _see(words: Words, scape: Soundscape, moment: Moment, kind: SoundKind) -> Practice | None:
    there = _heard(scape, moment, kind)
    if there is None:
        return None
    return Practice("sound/see", words.turn(SEE + kind, "Yes" if there else "No"), (), _bit(scape, kind))


def _part(words: Words, scape: Soundscape, moment: Moment, kind: SoundKind, rng: np.random.Generator) -> Practice:
    """Which of nine stretches holds it; of several any one is right, so that they come to share the probability."""
    event = next((event for event in scape.events if event.kind == kind), None)
    shared = [0 if event is None else intersect(event.moment, part).length for part in slices(moment, 9)]
    number = 0
    if max(shared) >= 40:
        right = [place for place, length in enumerate(shared, 1) if length >= 0.6 * max(shared)]
        number = right[int(rng.integers(len(right)))]
    name = "sound/part" if number else "sound/part/none"
    return Practice(name, words.turn(PARTS + kind, str(number)), (), _bit(scape, kind) if number else 0)


def _kind(words: Words, scape: Soundscape, moment: Moment) -> Practice | None:
    """What the one sound of a window is; nothing is asked where there are several."""
    heard = {kind: _heard(scape, moment, kind) for kind in KINDS}
    there = [kind for kind in KINDS if heard[kind]]
    if len(there) > 1 or None in heard.values():
        return None
    said, mask = (there[0], _bit(scape, there[0])) if there else (CANNOT_TELL, 0)
    name = "sound/kind" if there else "sound/silence"
    return Practice(name, words.turn(macro_prompt(WHAT), said), (), mask)


def _bit(scape: Soundscape, kind: SoundKind) -> int:
    """The event of a kind as a bit mask, as `located.about` has it for items."""
    return sum(1 << (number + 1) for number, event in enumerate(scape.events) if event.kind == kind)


# Pixels


def _look(scape: Soundscape, moment: Moment, grid: int, side: int, config: NanoConfig, level: Level) -> Look:
    """The spectrogram, and which event each of its cells shows."""
    sheet = Sheet(drawn_sound(scape), moment, grid)
    pixels = np.array(sheet.view(whole(sheet.size), Size(side, side)), np.uint8)
    count, patches = side // config.cell, side // config.patch
    items = _cell_events(scape.events, slices(moment, grid * grid), grid, count)
    # What cells of a picture are named by, these are not.
    none = np.full((count**2, len(Fields(level).sizes())), IGNORE, np.int64)
    return Look(pixels, items, none, np.full(patches**2, IGNORE, np.int64))


def _cell_events(events: Sequence[SoundEvent], parts: Sequence[Moment], grid: int, count: int) -> Targets:
    """The number of the event in each of `count` x `count` cells, -1 for none; by when it sounds and how high."""
    from transformers.audio_utils import hertz_to_mel

    mel = partial(hertz_to_mel, mel_scale="slaney")
    lowest, highest = mel(LOWEST), mel(RATE / 2)
    items = np.full((count, count), -1, np.int64)
    centres = (np.arange(count) + 0.5) / count * grid
    for row, y in enumerate(centres):
        height = 1 - y % 1
        for column, x in enumerate(centres):
            part = parts[int(y) * grid + int(x)]
            time = part.start + (x % 1) * part.length
            for number, event in enumerate(events):
                share = (time - event.moment.start) / event.moment.length
                if 0 <= share < 1:
                    low, high = (
                        (mel(hertz) - lowest) / (highest - lowest) for hertz in hertz_of(event, np.array([share]))
                    )
                    margin = MARGIN * grid / 2 + 0.5 * grid / count
                    if float(low[0]) - margin <= height <= float(high[0]) + margin:
                        items[row, column] = number
    return items.reshape(-1)
