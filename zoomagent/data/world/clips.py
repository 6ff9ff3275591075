"""The synthetic world in time: clips in which things are there for a while. No files.

    clip = draw_clip(SMALL, seed, index, length=0.08)      # one thing is there for 8 % of the clip
    video = drawn_video(clip, 1024)                        # a Video; its frames are drawn at the size asked for

A clip is a scene whose things have spans of time; it is a pure function of (level, seed, index, length). Things appear
and go; they do not move. Left out: sounds (`sounds.py`), files (a test writes them), and what is asked
(`evaluation/sets/moments.py`).
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from zoomagent.data.world.render import render
from zoomagent.data.world.scene import Item, Level, Scene, draw_scene
from zoomagent.geometry import Size
from zoomagent.media.sound.sound import Sound
from zoomagent.media.video.video import FrameRequest, Video
from zoomagent.moments import Moment

DURATION, GAP = 60_000, 40
"""Milliseconds of a clip, and from frame to frame."""
THINGS = 5
"""Things in a clip at most."""
OTHERS = (0.05, 0.3)
"""For which share of the clip the others are there."""
LEAST_GAP = 0.03
"""What lies at least between two things' beginnings, as a share of the clip, so that their order can be told."""


@dataclass(frozen=True)
class Clip:
    """`spans[i]` is when item i of the scene is there. `target` is the item that is asked about, `other`
    a second one with a span of its own, `never` a name that no item has."""

    scene: Scene
    spans: tuple[Moment, ...]
    target: int
    other: int
    never: str

    @property
    def item(self) -> Item:
        return self.scene.items[self.target]

    @property
    def moment(self) -> Moment:
        """When the thing that is asked about is there."""
        return self.spans[self.target]

    def at(self, time: int) -> Scene:
        """What there is to see at a time."""
        pairs = zip(self.scene.items, self.spans, strict=True)
        return replace(self.scene, items=tuple(item for item, span in pairs if span.holds(time)))


def draw_clip(level: Level, seed: int, index: int, length: float) -> Clip:
    """Clip number `index`: one thing of a name that nothing else has is there for `length` of it."""
    rng = np.random.default_rng([seed, index, round(length * 1000), 11])
    scene = draw_scene(level, seed, index)
    counts = Counter(item.name for item in scene.items)
    single = [i for i, item in enumerate(scene.items) if counts[item.name] == 1]
    kept = [int(i) for i in rng.permutation(single)[:THINGS]]
    spans = [_span(rng, length)]
    while len(spans) < len(kept):
        span = _span(rng, float(rng.uniform(*OTHERS)))
        if abs(span.start - spans[0].start) >= LEAST_GAP * DURATION:
            spans.append(span)
    names = [f"{colour} {shape}" for colour in level.colours for shape in level.shapes]
    never = [name for name in names if name not in counts]
    items = tuple(scene.items[i] for i in kept)
    return Clip(replace(scene, items=items), tuple(spans), 0, 1, never[int(rng.integers(len(never)))])


def _span(rng: np.random.Generator, length: float) -> Moment:
    """A moment of that share of the clip, on frames."""
    frames = max(1, round(length * DURATION / GAP))
    start = int(rng.integers(0, DURATION // GAP - frames + 1))
    return Moment(start * GAP, (start + frames) * GAP)


def drawn_video(clip: Clip, side: int, track: Callable[[], Sound] | None = None) -> Video:
    """The clip as a Video of `side` x `side` pixels, named by what is drawn; `track` gives its sound."""
    name = hashlib.sha256(f"{clip!r} {side}".encode()).hexdigest()
    return Video(name, Size(side, side), range(0, DURATION, GAP), DURATION, (), DrawnFrames(clip, side), track)


class DrawnFrames:
    """Satisfies `zoomagent.media.video.video.Frames`."""

    def __init__(self, clip: Clip, side: int) -> None:
        self._clip, self._side = clip, side

    def regions(self, requests: Sequence[FrameRequest]) -> Iterator[Image.Image]:
        for number, box, size in requests:
            left, top, right, bottom = (edge / self._side for edge in box.as_list())
            scene = self._clip.at(number * GAP)
            yield Image.fromarray(render(scene, size.width, size.height, (left, top, right, bottom), self._side))

    def close(self) -> None:
        """Nothing to give back."""
