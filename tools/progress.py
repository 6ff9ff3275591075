"""Does another look get anywhere? Calls that repeat what was done, and too many calls, are told apart.

    why = stuck(history, call)
    if why: ...                       # one of WORDS; tell the model, or stop

Two looks are the same when the same tool looks at almost the same box (intersection over union of `SAME`, so a box
that drifts by a pixel is no progress) of the same frames, at almost the same moment, or asks the same of the same
view where there is no box. Going to and fro between two regions (A, B, A', B') is no progress either, even when they
wander. Pure. Left out: what to do about it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from zoomagent import moments
from zoomagent.geometry import Box, iou
from zoomagent.moments import Moment

Stuck = Literal["turn_full", "run_full", "same", "to_and_fro"]

PER_TURN = 4
"""Calls of one turn that are run; the rest is refused (ours)."""

PER_RUN = 12
"""Calls of one run (ours, as many as Mini-o3 is evaluated with)."""

SAME = 0.9
NEAR = 0.5
"""Intersection over union of boxes that show the same, and of boxes around the same thing (ours)."""

WORDS: dict[Stuck, str] = {
    "turn_full": f"Not run: at most {PER_TURN} calls in one turn. Look at the results first.",
    "run_full": f"Not run: {PER_RUN} calls have been made. Answer by what you have seen.",
    "same": "Not run: this has been done before and shows nothing new. Look elsewhere, or answer.",
    "to_and_fro": "Not run: you are going to and fro between the same regions. Look elsewhere, or answer.",
}

TOO_CLOSE = "This image is as close as may be looked. Look at another one, or answer."
"""What a zoom into a view at the depth budget is told."""


@dataclass(frozen=True)
class Look:
    """A call: which tool on which view, at which box in original pixels (None: no box), asking what, in which
    turn of the model; of a clip, at which moment, or in which `frames` the box lies ("": the picture's)."""

    tool: str
    view: str
    box: Box | None = None
    label: str = ""
    turn: int = 0
    moment: Moment | None = None
    frames: str = ""


def stuck(history: Sequence[Look], new: Look) -> Stuck | None:
    """Why `new` should not be run after the calls of `history` that were; None when it may."""
    if sum(look.turn == new.turn for look in history) >= PER_TURN:
        return "turn_full"
    if len(history) >= PER_RUN:
        return "run_full"
    if any(_alike(look, new, SAME) for look in history):
        return "same"
    if len(history) < 3:
        return None
    a, b, again_a = history[-3:]
    wanders = _alike(a, again_a, NEAR) and _alike(b, new, NEAR) and not _alike(again_a, new, NEAR)
    return "to_and_fro" if wanders else None


def _alike(a: Look, b: Look, least: float) -> bool:
    if a.tool != b.tool:
        return False
    if a.moment is not None and b.moment is not None:
        return moments.iou(a.moment, b.moment) >= least
    if a.box is None or b.box is None:
        return (a.view, a.box, a.label) == (b.view, b.box, b.label)
    return a.frames == b.frames and iou(a.box, b.box) >= least
