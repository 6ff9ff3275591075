"""The tools as a model is offered them: OpenAI function definitions, and the words of their results.

`zoom_in` has the name and the arguments that Qwen's own zoom tool has, so models trained on that one know ours.
Boxes are in the space that the model's profile declares, of the image that `img_idx` names; 0 is the whole
picture, and every tool result says which index its image has. Times are in the space that it declares for them, of the
whole clip; `video_zoom_tool` is offered where the picture is made of a clip's frames. Left out: running them.
"""

from collections.abc import Sequence
from typing import Any

from zoomagent.errors import SettingInvalid
from zoomagent.geometry import Space, is_y_first
from zoomagent.moments import TimeSpace

ZOOM_IN = "image_zoom_in_tool"
ZOOM_OUT = "image_zoom_out_tool"
SEARCH = "image_search_tool"
READ = "image_read_tool"
VERIFY = "image_verify_tool"
TAG = "image_tag_tool"
GROUND = "image_ground_tool"
VIDEO_ZOOM = "video_zoom_tool"

UNITS: dict[Space, str] = {
    "pixels": "in pixels of that image",
    "unit": "each from 0 to 1",
    "thousand": "each from 0 to 1000",
    "square": "each from 0 to 1",
    "thousand-yx": "each from 0 to 1000",
}
TIME_UNITS: dict[TimeSpace, str] = {
    "seconds": "in seconds from the clip's first frame",
    "share": "each from 0 to 1 of the clip",
    "hundred": "each from 0 to 100 of the clip",
}
NOT_FOUND = "Not found."
MAX_LABELS = 32
"""Names that one call may give to choose from (ours): each costs the model a question."""


def zoom_in_definition(space: Space) -> dict[str, Any]:
    box = {
        "type": "array",
        "items": {"type": "number"},
        "minItems": 4,
        "maxItems": 4,
        "description": f"{'[y1, x1, y2, x2]' if is_y_first(space) else '[x1, y1, x2, y2]'}, {UNITS[space]}",
    }
    label = {"type": "string", "description": "what the region shows"}
    text = "Zoom in on a region of an image. The region is cut from the original pixels."
    return _function(ZOOM_IN, text, {"bbox_2d": box, "label": label})


def video_zoom_definition(times: TimeSpace) -> dict[str, Any]:
    segment = {
        "type": "array",
        "items": {"type": "number"},
        "minItems": 2,
        "maxItems": 2,
        "description": f"[start, end], {TIME_UNITS[times]}",
    }
    label = {"type": "string", "description": "what the segment shows"}
    text = "Zoom in on a segment of the video: frames of it in its own time are shown."
    return _function(VIDEO_ZOOM, text, {"segment": segment, "label": label})


def search_definition() -> dict[str, Any]:
    label = {"type": "string", "description": "what to look for"}
    text = "Search an image for something too small to be seen in it, and zoom in on it."
    return _function(SEARCH, text, {"label": label})


def definitions(names: Sequence[str], space: Space, times: TimeSpace = "seconds") -> list[dict[str, Any]]:
    """The definitions of the tools called `names`, in that order, for a model that writes boxes in `space` and times in
    `times`."""
    claim = {"type": "string", "description": "what may be seen in the image"}
    thing = {"type": "string", "description": "what to point at"}
    labels = {
        "type": "array",
        "items": {"type": "string"},
        "maxItems": MAX_LABELS,
        "description": "names to choose from; empty to have the objects named",
    }
    known = {
        ZOOM_IN: zoom_in_definition(space),
        ZOOM_OUT: _function(ZOOM_OUT, "Go back from a close view to a wider region around it.", {}),
        SEARCH: search_definition(),
        READ: _function(READ, "Read the text in an image.", {}),
        VERIFY: _function(VERIFY, "Check whether something can really be seen in an image.", {"label": claim}),
        TAG: _function(TAG, "Name the objects in an image.", {"labels": labels}),
        GROUND: _function(GROUND, "Say where something is in an image.", {"label": thing}),
        VIDEO_ZOOM: video_zoom_definition(times),
    }
    for name in names:
        if name not in known:
            raise SettingInvalid(f"There is no tool {name!r}. The tools are: {', '.join(known)}.")
    return [known[name] for name in names]


def shown(index: int, box: Sequence[float], source: int) -> str:
    """What a tool says about the image it made; `box` in the model's space of image `source`."""
    return f"img_idx {index} shows {list(box)} of img_idx {source}."


def shown_frames(index: int, count: int, moment: Sequence[float], times: TimeSpace) -> str:
    """What a tool says about a sheet that it made of a clip's frames; `moment` in the model's space of times."""
    frames = "the frame" if count == 1 else f"{count} frames, row by row,"
    return f"img_idx {index} shows {frames} of the segment {list(moment)} ({TIME_UNITS[times]})."


def shown_frame(index: int, time: float, times: TimeSpace) -> str:
    """What a tool says about one frame of several that it made; `time` in the model's space of times."""
    return f"img_idx {index} shows the video at {time} ({TIME_UNITS[times]})."


def _function(name: str, description: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The definition of a tool whose last argument is the index of an image."""
    index = {"type": "integer", "description": "index of the image, 0 is the whole picture"}
    properties = {**arguments, "img_idx": index}
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}
