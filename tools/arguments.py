"""What a tool call may say: one frozen, strict model per tool, and the words for everything else.

    arguments = read_arguments(call, allowed=profile.tools, images=len(indexed))

A tool takes image indices, boxes, segments and labels. It takes no path, address or code: whatever a tool does not
know is refused. Nothing is converted: 1.0, "1" and true are no index, and -1 is not the last image. What is wrong is
raised as ToolArgsInvalid, BoxInvalid, MomentInvalid or OutputTruncated in words that say what to write. Left out:
running (`dispatch.py`), and whether a box lies in its view (`geometry.py`), a segment in its clip (`moments.py`).
"""

import logging
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from zoomagent.errors import BoxInvalid, MomentInvalid, OutputTruncated, ToolArgsInvalid, ToolError
from zoomagent.models.base import ToolCall
from zoomagent.models.words.strict_json import MAX_TEXT, json_texts, strict_object
from zoomagent.tools import definitions

log = logging.getLogger(__name__)

MAX_LABEL = 400
"""Characters of the longest label (ours)."""

Label = Annotated[str, StringConstraints(max_length=MAX_LABEL)]
Phrase = Annotated[str, StringConstraints(min_length=1, max_length=MAX_LABEL, pattern=r"\S")]


class Arguments(BaseModel):
    """Arguments of any tool; `img_idx` counts the images shown so far, from 0, the whole picture."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    img_idx: int


class ZoomIn(Arguments):
    bbox_2d: Annotated[list[float], Field(min_length=4, max_length=4)]
    label: Label


class ZoomOut(Arguments):
    pass


class Search(Arguments):
    label: Phrase


class Read(Arguments):
    pass


class Verify(Arguments):
    label: Phrase


class Tag(Arguments):
    labels: Annotated[list[Phrase], Field(max_length=definitions.MAX_LABELS)]


class Ground(Arguments):
    label: Phrase


class VideoZoom(Arguments):
    segment: Annotated[list[float], Field(min_length=2, max_length=2)]
    label: Label


Call = ZoomIn | ZoomOut | Search | Read | Verify | Tag | Ground | VideoZoom


KINDS: dict[str, type[Call]] = {
    definitions.ZOOM_IN: ZoomIn,
    definitions.ZOOM_OUT: ZoomOut,
    definitions.SEARCH: Search,
    definitions.READ: Read,
    definitions.VERIFY: Verify,
    definitions.TAG: Tag,
    definitions.GROUND: Ground,
    definitions.VIDEO_ZOOM: VideoZoom,
}


def read_arguments(call: ToolCall, allowed: Sequence[str], images: int) -> Call:
    """The checked arguments of `call`, for a model that is offered the tools `allowed` and was shown `images`."""
    kind = KINDS.get(call.name) if call.name in allowed else None
    if kind is None:
        log.warning("refused a call of a tool that is not offered: %.80r", call.name)
        raise ToolArgsInvalid(f"There is no tool {call.name[:80]!r}. The tools are: {', '.join(allowed) or 'none'}.")
    found = strict_object(call.arguments)
    if found is None:
        text = call.arguments
        if text.lstrip().startswith("{") and len(text) <= MAX_TEXT and not any(json_texts(text)):
            raise OutputTruncated(
                f"The call of {call.name} was cut off. Write it again, and nothing before or after it."
            )
        raise ToolArgsInvalid(
            f"The arguments of {call.name} are not one plain JSON object. Write one, with every name once, "
            "finite numbers, and nothing before or after it."
        )
    try:
        arguments = kind.model_validate(found)
    except ValidationError as error:
        raise explain_errors(call.name, kind, error.errors(include_url=False), images) from None
    if not 0 <= arguments.img_idx < images:
        raise ToolArgsInvalid(f"{call.name}: {_hint('img_idx', images)}.")
    return arguments


def explain_errors(name: str, kind: type[Call], errors: Sequence[ErrorDetails], images: int) -> ToolError:
    """The error for arguments of the wrong kind; a box of four things that are no numbers is a wrong box, and so with
    the two of a segment."""
    strange = [error["loc"][0] for error in errors if error["type"] == "extra_forbidden"]
    if strange:
        log.warning("refused a call of %s with the argument %.80r", name, strange[0])
        takes = ", ".join(kind.model_fields)
        return ToolArgsInvalid(f"{name} has no argument {str(strange[0])[:80]!r}. It takes exactly: {takes}.")
    hints = dict.fromkeys(_hint(str(error["loc"][0]), images) for error in errors)
    lengths = ("missing", "too_short", "too_long")
    for field, wrong in (("bbox_2d", BoxInvalid), ("segment", MomentInvalid)):
        if all(error["loc"][0] == field and error["type"] not in lengths for error in errors):
            return wrong(f"{name}: {'; '.join(hints)}.")
    return ToolArgsInvalid(f"{name}: {'; '.join(hints)}.")


def _hint(field: str, images: int) -> str:
    match field:
        case "img_idx":
            return f"img_idx must be a whole number from 0 to {images - 1}"
        case "bbox_2d":
            return "bbox_2d must be exactly four plain finite numbers [x1, y1, x2, y2]"
        case "segment":
            return "segment must be exactly two plain finite numbers [start, end]"
        case "labels":
            return f"labels must be a list of at most {definitions.MAX_LABELS} names"
        case _:
            return f"{field} must be a text of 1 to {MAX_LABEL} characters"
