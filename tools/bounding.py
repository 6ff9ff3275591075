"""Bound a moment: from a time at which something is there, feel for where it begins and where it ends.

    edge = first_probe(span, -1)                       # the times that are known so far, and the next one to look at
    edge = after(edge, seen)                           # what a look at that time showed

Steps double, up to a longest one, until the thing is gone, then the gap is halved: a look answers yes or no and is
never read for how far it is. `is_there` is such a look: one frame, one question. Of a sound a look shows the time that
lies further out, as an instant of a sound has no notes (`looked_at`). Pure but for `is_there`, so that a run
can stop and go on between any two looks. Left out: finding the time to begin with (`seeking.py`).
"""

from dataclasses import dataclass, replace
from typing import Literal

from zoomagent.confidence.replies import plain
from zoomagent.media.recording import Recording
from zoomagent.models.base import Message, Model, Text
from zoomagent.moments import Moment, intersect
from zoomagent.prompts import SEE
from zoomagent.tools.verifying import sees
from zoomagent.tools.viewing import ViewStore

SEEN = 0.5
"""Probability from which something counts as there in a frame."""
FINE = 0.1
"""An edge is known when its gap is at most this share of the moment so far (ours), or one frame."""

Side = Literal[-1, 1]


@dataclass(frozen=True)
class Edge:
    """One end of a moment. At `there` the thing was seen; at `gone`, further out, it was not (None: not known yet);
    `step` is how far the next look goes out, `most` how far it goes at most, `least` the least gap that is worth
    halving."""

    side: Side
    there: int
    gone: int | None
    step: int
    most: int
    least: int

    @property
    def done(self) -> bool:
        return self.gone is not None and abs(self.gone - self.there) <= self.least

    @property
    def next(self) -> int:
        """The time to look at next."""
        if self.gone is None:
            return self.there + self.side * self.step
        return (self.there + self.gone) // 2


LOOK = 250
"""Milliseconds of a sound that a look at an edge shows at least, where there is as much further out (ours)."""


def looked_at(edge: Edge, recording: Recording) -> Moment:
    """The time that a look at the edge's next time shows. Of a sound: from there out to where the thing is known to
    be gone, so that it shows exactly where it goes on beyond the next time. Empty where nothing lies there."""
    time = edge.next
    if not recording.shows_all:
        return Moment(time, time + 1)
    if edge.side < 0:
        start = time - edge.step if edge.gone is None else edge.gone
        return intersect(Moment(min(start, time - LOOK), time), recording.moment)
    end = time + edge.step if edge.gone is None else edge.gone
    return intersect(Moment(time, max(end, time + LOOK)), recording.moment)


def edge_from(time: int, side: Side, step: int, most: int, least: int, room: Moment) -> Edge:
    """An edge of which only a time inside is known. Beyond `room`, the clip or what other moments left of it, nothing
    is there."""
    return _ended(Edge(side, time, None, max(1, step), max(1, most), max(1, least)), room)


def after(edge: Edge, there: bool, room: Moment) -> Edge:
    """What is known of the edge after the look at its next time."""
    if edge.gone is not None:
        return replace(edge, there=edge.next) if there else replace(edge, gone=edge.next)
    if not there:
        return replace(edge, gone=edge.next)
    return _ended(replace(edge, there=edge.next, step=min(2 * edge.step, edge.most)), room)


def _ended(edge: Edge, room: Moment) -> Edge:
    """The end of the room is gone without a look."""
    if edge.gone is None and not room.holds(edge.next):
        last = room.start - 1 if edge.side < 0 else room.end
        return replace(edge, gone=last)
    return edge


def moment_between(left: Edge, right: Edge, room: Moment, frame_gap: int) -> Moment:
    """The moment by what its edges are known to be: in the middle of a gap, or where its first and last frame were
    seen, when no other frame lies between."""
    start, end = _place(left, frame_gap), _place(right, frame_gap)
    # Of a sound the part that was borne out may reach beyond the room.
    start = max(room.start, min(start, left.there, room.end - 1))
    return Moment(start, min(room.end, max(end, right.there + 1, start + 1)))


def _place(edge: Edge, frame_gap: int) -> int:
    gone = edge.there if edge.gone is None else edge.gone
    if abs(gone - edge.there) <= frame_gap:
        return edge.there if edge.side < 0 else gone
    return (edge.there + gone + 1) // 2


async def is_there(
    model: Model, views: ViewStore, view: str, phrase: str, *, deadline: float | None = None
) -> tuple[bool, float | None]:
    """Whether a view shows what `phrase` names, and with which probability (None: the model cannot score)."""
    seen = await sees(model, views, view, phrase, deadline=deadline)
    if seen is not None:
        return seen >= SEEN, seen
    message = Message("user", (await views.pixels(view), Text(SEE + phrase)))
    [reply] = await model.generate([message], max_tokens=8, deadline=deadline, task="image")
    return plain(reply.text).startswith("yes"), None
