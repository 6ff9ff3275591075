"""One tool call of a model, from what it wrote to what it is told: the same for a run, for training and for rewards.

    attempt = read_attempt(views, call, indexed, offered, depth, history, turn)     # raises ToolError, in words
    result = await run_arguments(views, model, attempt.arguments, indexed, search)  # `dispatch.py`

A call is read once: its arguments are checked, its box is found in the original, and it is held against the calls
before it. Left out: running it (`dispatch.py`), and where attempts and results are kept (a run's state, an episode).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from zoomagent.errors import ToolArgsInvalid
from zoomagent.models.base import ToolCall
from zoomagent.moments import moment_from_model
from zoomagent.tools.arguments import Call, Search, VideoZoom, ZoomIn, read_arguments
from zoomagent.tools.cropping import locate
from zoomagent.tools.progress import TOO_CLOSE, WORDS, Look, stuck
from zoomagent.tools.viewing import ViewStore
from zoomagent.tools.zooming_in_time import clip_of


@dataclass(frozen=True)
class Attempt:
    """A call that may be run. `look` is what progress is measured by, `phrase` the one thing that the call names."""

    arguments: Call
    look: Look
    phrase: str


def read_attempt(
    views: ViewStore,
    call: ToolCall,
    indexed: Sequence[str],
    offered: Sequence[str],
    depth: int,
    history: Sequence[Look],
    turn: int,
) -> Attempt:
    """The call as it may be run. `indexed` are the ids of the images shown so far, `depth` is how often a zoom may go
    into a zoom, `history` are the calls that were run, `turn` counts the model's turns.

    Raises ToolError, in words for the model, for a call that cannot be run or gets nowhere."""
    arguments = read_arguments(call, offered, len(indexed))
    view = indexed[arguments.img_idx]
    if isinstance(arguments, ZoomIn | Search | VideoZoom) and views.record(view)["depth"] >= depth:
        raise ToolArgsInvalid(TOO_CLOSE)
    box = locate(views.at(view), view, arguments.bbox_2d) if isinstance(arguments, ZoomIn) else None
    moment = None
    if isinstance(arguments, VideoZoom):
        moment = moment_from_model(arguments.segment, views.profile.times, clip_of(views).duration)
    label = "" if box or moment else str(arguments.model_dump(exclude={"img_idx"}))
    look = Look(call.name, view, box, label, turn, moment, frames_of(views, view))
    if why := stuck(history, look):
        raise ToolArgsInvalid(WORDS[why])
    named = getattr(arguments, "label", "")
    return Attempt(arguments, look, named)


def frames_of(views: ViewStore, view: str) -> str:
    """What names the other frames of the clip that a view lies in; "" for the picture."""
    sheet = views.record(view).get("sheet")
    return "" if sheet is None else f"{sheet['moment']} {sheet['grid']} {sheet['hidden']}"
