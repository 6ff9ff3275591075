"""Moments: spans of a clip's time, one truth for all of zoomagent.

Every moment lives in whole milliseconds from the clip's first frame, half-open: `0 <= start < end <= duration`. All
functions are pure. Models write times in a space of their own (`TimeSpace`), which is converted here and nowhere else.
Left out: frames (`media/video/`), and who finds a moment (`tools/`).

    joined([Moment(0, 40), Moment(30, 90)])             # [Moment(0, 90)]
    moment_from_model([0.2, 0.5], "share", 60_000)      # Moment(12000, 30000)
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from zoomagent.errors import MomentInvalid

TimeSpace = Literal["seconds", "share", "hundred"]
"""How a model writes times: in seconds from the first frame (Qwen3-VL, TimeLens), from 0 to 1 of the clip
(GroundingGPT), or from 0 to 100 of it (VTimeLLM)."""

GRID = 3
"""Frames a side of a sheet that shows all of a clip (ours)."""


@dataclass(frozen=True)
class Moment:
    """A half-open span in milliseconds."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return max(0, self.end - self.start)

    @property
    def middle(self) -> int:
        return (self.start + self.end) // 2

    def holds(self, time: int) -> bool:
        return self.start <= time < self.end

    def as_list(self) -> list[int]:
        return [self.start, self.end]


def intersect(a: Moment, b: Moment) -> Moment:
    """The common part; empty (length 0) when they do not meet."""
    return Moment(max(a.start, b.start), min(a.end, b.end))


def iou(a: Moment, b: Moment) -> float:
    """Intersection over union, 0 to 1."""
    common = intersect(a, b).length
    union = a.length + b.length - common
    return common / union if union else 0.0


def joined(moments: Iterable[Moment]) -> list[Moment]:
    """The same time as moments that neither meet nor touch, in order; empty ones are left out."""
    found: list[Moment] = []
    for moment in sorted((m for m in moments if m.length), key=lambda m: m.start):
        if found and moment.start <= found[-1].end:
            found[-1] = Moment(found[-1].start, max(found[-1].end, moment.end))
        else:
            found.append(moment)
    return found


def widened(moment: Moment, margin: int, duration: int) -> Moment:
    """`moment` with `margin` milliseconds more on both sides, cut at the clip's ends."""
    return intersect(Moment(moment.start - margin, moment.end + margin), Moment(0, duration))


def slices(moment: Moment, count: int) -> list[Moment]:
    """`count` parts that follow each other without a gap. Their lengths differ by a millisecond at most; none is
    empty, so those of a moment with fewer milliseconds than parts share some."""
    edges = [moment.start + moment.length * number // count for number in range(count + 1)]
    return [Moment(start, max(start + 1, end)) for start, end in zip(edges, edges[1:], strict=False)]


def seconds(time: int) -> str:
    """Milliseconds as people read them: `7.25 s`, `2:03.5`, `1:02:03`."""
    minutes, rest = divmod(abs(time), 60_000)
    hours, minutes = divmod(minutes, 60)
    sign, plain = "-" if time < 0 else "", f"{rest / 1000:.3f}".rstrip("0").rstrip(".")
    if not hours and not minutes:
        return f"{sign}{plain} s"
    padded = plain if rest >= 10_000 else f"0{plain}"
    return f"{sign}{hours}:{minutes:02}:{padded}" if hours else f"{sign}{minutes}:{padded}"


def words(moment: Moment) -> str:
    """`7.25 s to 9 s`."""
    return f"{seconds(moment.start)} to {seconds(moment.end)}"


def moment_from_model(values: Sequence[float], space: TimeSpace, duration: int) -> Moment:
    """The moment that a model means by start and end. What reaches beyond the clip is cut, as boxes are.

    Raises MomentInvalid, in words for the model, for what is no part of the clip."""
    end = moment_to_model(Moment(0, duration), space, duration)[1]
    if len(values) != 2 or not all(math.isfinite(value) for value in values):
        raise MomentInvalid(f"A segment is two finite numbers, [start, end], from 0 to {end:g}.")
    start, stop = (milliseconds_from_model(min(max(value, 0.0), end), space, duration) for value in values)
    if stop <= start:
        raise MomentInvalid(f"The segment {list(values)} is no part of the clip: give 0 <= start < end <= {end:g}.")
    return Moment(start, min(stop, duration))


def milliseconds_from_model(value: float, space: TimeSpace, duration: int) -> int:
    """A time that a model wrote."""
    scale = {"seconds": 1000.0, "share": float(duration), "hundred": duration / 100}[space]
    return round(value * scale)


def moment_to_model(moment: Moment, space: TimeSpace, duration: int) -> list[float]:
    """Start and end as a model writes them, rounded as finely as the space is of use: a millisecond, or less than a
    thousandth of the clip."""
    times = moment.as_list()
    if space == "seconds":
        return [time / 1000 for time in times]
    share = [time / max(1, duration) for time in times]
    return [round(one, 4) for one in share] if space == "share" else [round(100 * one, 2) for one in share]
