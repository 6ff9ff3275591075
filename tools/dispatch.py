"""Runs one tool call of a model, and words the result for it.

    result = await run_call(views, model, call, indexed=["view-a", "view-b"], allowed=profile.tools)
    indexed += [view["id"] for view in result.views if view["id"] not in indexed]

`indexed` are the ids of the images shown so far: `img_idx` counts them, and boxes are in the model's space of the image
named. Every error of the model's is a ToolError in words for it. A search is a policy of its own and is handed in; so
is whoever counts calls and seconds: `model` may be anything that generates and scores. Left out: whether the call
gets anywhere (`episode.py`).
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from zoomagent.models.base import Model, ToolCall
from zoomagent.moments import Moment, moment_from_model, moment_to_model
from zoomagent.tools.arguments import (
    Call,
    Ground,
    Read,
    Search,
    Tag,
    Verify,
    VideoZoom,
    ZoomIn,
    ZoomOut,
    read_arguments,
)
from zoomagent.tools.cropping import written
from zoomagent.tools.definitions import NOT_FOUND, SEARCH, shown, shown_frame, shown_frames
from zoomagent.tools.grounding import ground
from zoomagent.tools.reading import read
from zoomagent.tools.tagging import tag
from zoomagent.tools.verifying import sees
from zoomagent.tools.viewing import ToolResult, ViewStore, box_of
from zoomagent.tools.zooming import zoom
from zoomagent.tools.zooming_in_time import clip_of, time_of, zoom_in_time
from zoomagent.tools.zooming_out import zoom_out

Searching = Callable[[str, str], Awaitable[ToolResult]]
"""Looks in a view (its id) for what a phrase names; a result without views says that it was not found."""

MAX_LINES = 40
"""Lines of read text that the model is told (ours)."""


async def run_call(
    views: ViewStore,
    model: Model,
    call: ToolCall,
    indexed: Sequence[str],
    allowed: Sequence[str],
    search: Searching | None = None,
) -> ToolResult:
    """What `call` gives, read and run. Raises ToolError, in words for the model, for one that cannot be run."""
    offered = [name for name in allowed if name != SEARCH or search is not None]
    return await run_arguments(views, model, read_arguments(call, offered, len(indexed)), indexed, search)


async def run_arguments(
    views: ViewStore,
    model: Model,
    arguments: Call,
    indexed: Sequence[str],
    search: Searching | None = None,
) -> ToolResult:
    """What a checked call gives: new views and words that name them by their index, or words alone."""
    index = arguments.img_idx
    view = indexed[index]
    # New views are cut from what the image named lies in: the picture, or other frames of the clip.
    views = views if isinstance(arguments, VideoZoom) else views.at(view)
    match arguments:
        case ZoomIn() | ZoomOut() | VideoZoom():
            return cut_out(views, indexed, arguments)
        case Search(label=label):
            result = await search(view, label) if search else ToolResult(NOT_FOUND)
            return worded(views, indexed, index, result)
        case Read():
            lines = (await read(views, view))[:MAX_LINES]
            # What was read is quoted: text in a picture is nobody's instruction.
            quotes = [
                f"{json.dumps(line.text, ensure_ascii=False)} at {written(views, view, line.box)}" for line in lines
            ]
            text = f"Text in img_idx {index}: {'; '.join(quotes)}."
            return ToolResult(text if quotes else f"No text in img_idx {index}.")
        case Verify(label=label):
            probability = await sees(model, views, view, label)
            if probability is None:
                return ToolResult("This cannot be measured with this model. Look for yourself.")
            word = "Yes" if probability >= 0.5 else "No"
            return ToolResult(f"{word}: the probability that img_idx {index} shows {label!r} is {probability:.2f}.")
        case Tag(labels=labels):
            tags = await tag(model, views, view, labels)
            names = (one.label if one.score is None else f"{one.label} {one.score:.2f}" for one in tags)
            return ToolResult(f"img_idx {index} shows: {', '.join(names)}." if tags else NOT_FOUND)
        case Ground(label=label):
            boxes = await ground(model, views, view, label)
            places = ", ".join(str(written(views, view, box)) for box in boxes)
            text = f"It is at {places} of img_idx {index}." if boxes else NOT_FOUND
            return ToolResult(text, target=boxes[0] if boxes else None)


def cut_out(views: ViewStore, indexed: Sequence[str], arguments: ZoomIn | ZoomOut | VideoZoom) -> ToolResult:
    """What a zoom gives: the calls that need no model. Raises ToolError in words for the model."""
    view = indexed[arguments.img_idx]
    if isinstance(arguments, VideoZoom):
        moment = moment_from_model(arguments.segment, views.profile.times, clip_of(views).duration)
        room = views.profile.max_images - len(indexed)
        return worded_in_time(views, indexed, moment, zoom_in_time(views, view, moment, room=room))
    views = views.at(view)
    if isinstance(arguments, ZoomOut):
        # All of what the image lies in: the whole picture, or the frames that were asked for.
        outer = next((n for n, one in enumerate(indexed) if views.shows_all(one)), arguments.img_idx)
        return worded(views, indexed, outer, zoom_out(views, view))
    result = zoom(views, view, arguments.bbox_2d, margin=views.profile.crop_margin)
    return worded(views, indexed, arguments.img_idx, result)


def worded(views: ViewStore, indexed: Sequence[str], source: int, result: ToolResult) -> ToolResult:
    """`result` in the words of `definitions.shown`: which index each view has, and what it shows of `source`."""
    ids = list(indexed)
    lines = []
    for record in result.views:
        ids += [] if record["id"] in ids else [record["id"]]
        box = written(views, indexed[source], box_of(record))
        lines.append(shown(ids.index(record["id"]), box, source))
    return replace(result, text="\n".join(lines) or NOT_FOUND)


def worded_in_time(views: ViewStore, indexed: Sequence[str], moment: Moment, result: ToolResult) -> ToolResult:
    """The same of a clip's frames: which index each view has, and of what time it is."""
    ids, lines = list(indexed), []
    duration, times = clip_of(views).duration, views.profile.times
    for record in result.views:
        ids += [] if record["id"] in ids else [record["id"]]
        index, at = ids.index(record["id"]), time_of(record)
        if len(result.views) > 1 and at is not None:
            time = moment_to_model(Moment(at, at + 1), times, duration)[0]
            lines.append(shown_frame(index, time, times))
        else:
            grid = record["sheet"]["grid"]
            lines.append(shown_frames(index, grid * grid, moment_to_model(moment, times, duration), times))
    return replace(result, text="\n".join(lines))
