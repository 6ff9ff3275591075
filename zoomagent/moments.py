"""Moments: spans of a clip's time, one truth for all of zoomagent.

Every moment lives in whole milliseconds from the clip's first frame, half-open: `0 <= start < end <= duration`. A
model writes moments in a space of its own; the conversion happens here and is called at the model's edge and nowhere
else. All functions are pure. Left out: reading moments out of a model's text, and frames (`media/video/`).

    moment = moment_from_model([12.3, 15.0], "seconds", shown, duration)        # or MomentInvalid
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from zoomagent.errors import MomentInvalid

TimeSpace = Literal["seconds", "share", "hundred"]
"""How a model writes the two ends of a moment: `seconds` of the clip (Qwen3-VL, TimeLens); `share` 0-1 of what it is
shown (GroundingGPT); `hundred` 0-100 of what it is shown (VTimeLLM)."""

STEPS: dict[TimeSpace, float] = {"seconds": 0.001, "share": 0.001, "hundred": 1.0}
"""How finely a space is written."""
SCALES: dict[TimeSpace, float] = {"share": 1.0, "hundred": 100.0}
OVERSHOOT = 0.5
"""An end this share of the scale outside it is clipped; further out, it is another scale (ours)."""
EDGE = 10
"""Milliseconds that a model's seconds may miss the clip's ends by and still lie in it (ours): it rounds."""


@dataclass(frozen=True)
class Moment:
    """A half-open span in milliseconds. Any ints may be given; `clamp` puts it inside a clip."""

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


def set_iou(a: Iterable[Moment], b: Iterable[Moment]) -> float:
    """Intersection over union of all time in two sets of moments; 1 where both are empty."""
    left, right = joined(a), joined(b)
    common = sum(intersect(one, other).length for one in left for other in right)
    union = sum(m.length for m in left) + sum(m.length for m in right) - common
    return common / union if union else 1.0


def clamp(moment: Moment, duration: int) -> Moment:
    """The part of `moment` inside a clip, at least one millisecond.

    Raises MomentInvalid when less than half of it lies inside, or when it is reversed or empty.
    """
    if moment.end <= moment.start:
        raise MomentInvalid("The moment has no length. Give start < end.")
    inside = intersect(moment, Moment(0, duration))
    if inside.length * 2 < moment.length or inside.length == 0:
        raise MomentInvalid(
            f"Less than half of the moment lies in the clip of {seconds(duration)}. Give one inside it."
        )
    return inside


def widened(moment: Moment, margin: int, duration: int) -> Moment:
    """`moment` with `margin` milliseconds more on both sides, cut at the clip's ends."""
    return intersect(Moment(moment.start - margin, moment.end + margin), Moment(0, duration))


def slices(moment: Moment, count: int) -> list[Moment]:
    """`count` parts that follow each other without a gap. Their lengths differ by a millisecond at most."""
    edges = [moment.start + moment.length * number // count for number in range(count + 1)]
    return [Moment(start, end) for start, end in zip(edges, edges[1:], strict=False)]


def moment_from_model(values: Sequence[float], space: TimeSpace, shown: Moment, duration: int) -> Moment:
    """The moment that a model meant by two numbers about `shown`, a moment of a clip of `duration` milliseconds.

    Raises MomentInvalid for what is no moment of the clip in this space."""
    if len(values) != 2 or any(isinstance(value, bool) or not math.isfinite(value) for value in values):
        raise MomentInvalid("A moment is two numbers: its start and its end.")
    if space == "seconds":
        start, end = (round(min(max(value, -1e9), 1e9) * 1000) for value in values)
        near = widened(Moment(start, end), 0, duration) if start >= -EDGE and end <= duration + EDGE else None
        return clamp(near if near and near.length else Moment(start, end), duration)
    scale = SCALES[space]
    if any(not -OVERSHOOT * scale <= value <= (1 + OVERSHOOT) * scale for value in values):
        raise MomentInvalid(f"The numbers of a moment lie between 0 and {scale:g}.")
    first, last = (min(max(value / scale, 0.0), 1.0) for value in values)
    if last <= first:
        raise MomentInvalid("The moment has no length. Give start < end.")
    start = shown.start + round(first * shown.length)
    return clamp(Moment(start, max(start + 1, shown.start + round(last * shown.length))), duration)


def moment_to_model(moment: Moment, space: TimeSpace, shown: Moment) -> list[float]:
    """The two numbers by which a model would write `moment` when it is shown `shown`."""
    if space == "seconds":
        return [moment.start / 1000, moment.end / 1000]
    places = round(-math.log10(STEPS[space]))
    ends = ((time - shown.start) / shown.length * SCALES[space] for time in (moment.start, moment.end))
    return [round(end, places) for end in ends]


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
