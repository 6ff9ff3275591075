"""An Answer as every face gives it to clients: one schema, two coordinate conventions side by side, no internals.

    public_answer(answer).model_dump(mode="json")

Boxes are `[left, top, right, bottom]`, in pixels of the upright original and as shares (0 to 1) of its width and
height; of a clip, in the sheet of its frames that `sheet` names. Moments are milliseconds of the clip. Left out: view
ids, dialogues and the trees of what was looked at, which `Answer` itself has; and pixels: `crops_of` renders the
evidence again.
"""

from typing import Literal

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from zoomagent.answer import Answer
from zoomagent.errors import RunError
from zoomagent.geometry import Box, Size
from zoomagent.graphs.endings import outcome_of_error
from zoomagent.media import Picture
from zoomagent.models.naming import name_of, own_name
from zoomagent.run_record import Corners, Cost, PictureInfo, SheetInfo

MAX_CROP_SIDE = 768
"""Longer side, in pixels, of an evidence crop in a reply (ours): large enough to read, small enough to send."""


class Public(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PublicBox(Public):
    """A region of the upright original picture."""

    pixels: tuple[int, int, int, int] = Field(description="left, top, right, bottom in pixels of the original")
    relative: tuple[float, float, float, float] = Field(description="the same as shares of width and height, 0 to 1")


class PublicMoment(Public):
    """A span of a clip in which something was found."""

    start: int = Field(description="milliseconds from the clip's first frame")
    end: int = Field(description="milliseconds; the moment ends before it")
    phrase: str = Field(description="what was looked for")


class PublicEvidence(Public):
    """A region that was looked at closely, and what was read there."""

    box: PublicBox
    text: str | None = Field(default=None, description="what the model answered with this region in sight")
    chosen: bool = Field(description="whether the answer rests on it")
    mattered: bool | None = Field(default=None, description="whether the answer needs it; null: not measured")
    delta: float | None = Field(default=None, description="by how many nats the answer is less likely with it blanked")


class PublicAnswer(Public):
    """The answer to one question about one picture or clip."""

    answer: str = Field(description='the answer; "Cannot tell" when it cannot be seen; empty when there is none')
    confidence: float | None = Field(description="probability that the answer is right, 0 to 1; null: unknown")
    confidence_from: Literal["likelihood", "agreement", "calibrated"] | None = Field(description="what it rests on")
    outcome: Literal["answered", "answered_degraded", "refused", "failed"]
    code: str | None = Field(default=None, description="stable name of the error of a run without an answer")
    abstained: bool = Field(description="whether the answer is Cannot tell")
    perspective: Literal["macro", "micro"] | None = Field(description="answered from the whole or from close views")
    reasons: tuple[str, ...] = Field(description="what was weighed, and why this answer won")
    boxes: tuple[PublicBox, ...] = Field(description="the regions the answer rests on")
    evidence: tuple[PublicEvidence, ...] = ()
    picture: tuple[int, int] | None = Field(default=None, description="width and height of the upright original")
    moments: tuple[PublicMoment, ...] = Field(default=(), description="when in a clip the things were found")
    sheet: SheetInfo | None = Field(default=None, description="which frames of a clip the picture is made of")
    cost: Cost = Cost()
    model: str = ""
    strategy: str = ""
    trace_id: str | None = Field(default=None, description="names the run where runs are kept")


def public_answer(answer: Answer) -> PublicAnswer:
    """What clients are told about a run. Codes and texts are `zoomagent.errors`' public ones."""
    picture = answer.picture
    close = [item for item in answer.evidence if item.perspective == "micro" and item.sheet is None]
    return PublicAnswer(
        answer=answer.text,
        confidence=answer.confidence,
        confidence_from=answer.confidence_from,
        outcome=answer.outcome.kind,
        code=answer.outcome.code,
        abstained=answer.abstained,
        perspective=answer.perspective,
        reasons=answer.reasons or answer.outcome.reasons,
        boxes=tuple(public_box(box, picture) for box in answer.boxes) if picture else (),
        evidence=tuple(
            PublicEvidence(
                box=public_box(item.box, picture),
                text=item.text,
                chosen=item.chosen,
                mattered=item.mattered,
                delta=item.delta,
            )
            for item in close
        )
        if picture
        else (),
        picture=(picture.width, picture.height) if picture else None,
        moments=tuple(PublicMoment(start=one.start, end=one.end, phrase=one.phrase) for one in answer.moments),
        sheet=picture.sheet if picture else None,
        cost=answer.cost,
        model=public_model(answer.model),
        strategy=answer.strategy,
        trace_id=answer.thread_id,
    )


def public_refusal(error: RunError, model: str, strategy: str) -> PublicAnswer:
    """What clients are told of a question whose picture could not be opened."""
    told = outcome_of_error(error)
    return PublicAnswer(
        answer="",
        confidence=None,
        confidence_from=None,
        outcome=told["kind"],
        code=told["code"],
        abstained=False,
        perspective=None,
        reasons=tuple(told["reasons"]),
        boxes=(),
        model=public_model(model),
        strategy=strategy,
    )


def public_model(name: str) -> str:
    """The model's name without the address or the folder it is at."""
    return name_of(name) if "://" in name else own_name(name)


def public_box(box: Corners, picture: PictureInfo | Size) -> PublicBox:
    """A box of the original in both conventions."""
    left, top, right, bottom = box
    across, down = picture.width, picture.height
    return PublicBox(pixels=box, relative=(left / across, top / down, right / across, bottom / down))


def crops_of(answer: Answer, picture: Picture, most: int = 4) -> list[Image.Image]:
    """The regions the answer rests on, cut from the original once more, at most MAX_CROP_SIDE pixels long."""
    crops = []
    for corners in list(dict.fromkeys(answer.boxes))[:most]:
        box = Box(*corners)
        factor = min(1.0, MAX_CROP_SIDE / max(box.width, box.height))
        crops.append(picture.view(box, Size(max(1, round(box.width * factor)), max(1, round(box.height * factor)))))
    return crops
