"""The record of a run as plain data: the question, both answers, what was looked at, the outcome, the price.

Boxes are `(left, top, right, bottom)` in pixels of the upright original picture. All of it survives JSON. The page is
made from it (`page/`). Left out: how a run's state becomes a record (`answer.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Perspective = Literal["macro", "micro"]
Corners = tuple[int, int, int, int]
Times = tuple[int, int]
"""Start and end of a moment, in milliseconds."""


class Value(BaseModel):
    """Base of all values here: frozen, nothing unknown, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


class Outcome(Value):
    """How the run ended. `code` names the error of a run without an answer, `codes` what kept an answer from being what
    it could have been; codes are stable."""

    kind: Literal["answered", "answered_degraded", "refused", "failed"]
    reasons: tuple[str, ...] = ()
    code: str | None = None
    exit_status: int = 0
    codes: tuple[str, ...] = ()


class Candidate(Value):
    """The macro or the micro answer. `probability` is the model's own, of exactly these words, where it wrote
    them; `weight` is what the two answers were compared by, where they were."""

    text: str
    reply: str
    letter: str | None = None
    valid: bool = True
    logprob: float | None = None
    tokens: int | None = None
    probability: float | None = None
    weight: float | None = None


class SheetInfo(Value):
    """Which frames of a clip a picture is made of: `grid` x `grid` of them, row by row, from `moment` (milliseconds) of
    a clip of `duration`, those in `hidden` moments grey. `clip` is the content hash of the clip, or sound. `heard`:
    spectrograms of these moments, and no frames."""

    moment: Times
    grid: int
    duration: int
    clip: str = ""
    hidden: tuple[Times, ...] = ()
    heard: bool = False


class Evidence(Value):
    """A view and what was read from it. `target` is where the model pointed, in original pixels; the view may show
    more. `size` is what the model was shown, (width, height) in pixels. `seen` is the probability that the thing
    (`phrase`) is visible in it. `delta` is by how many nats the answer is less likely when the crops are blanked,
    `mattered` whether that is enough; None where it was not measured. `at_least`: nothing was blanked, as the first
    look at the whole left so little for this answer that `delta` is a lower bound. `moment` is the time of a clip that
    the box shows; `sheet` is there where it lies in other frames of the clip than the answer's picture is made of."""

    perspective: Perspective
    view: str
    box: Corners
    size: tuple[int, int]
    target: Corners | None = None
    text: str | None = None
    probability: float | None = None
    chosen: bool = False
    phrase: str | None = None
    depth: int = 0
    seen: float | None = None
    mattered: bool | None = None
    delta: float | None = None
    at_least: bool = False
    moment: Times | None = None
    sheet: SheetInfo | None = None


class Span(Value):
    """When a thing (`phrase`) is there in a clip: milliseconds from its first frame, half-open. `at` is a time at which
    it was seen, with probability `seen` (None: not to be measured). `bounded`: both ends were looked for."""

    phrase: str
    start: int
    end: int
    at: int
    seen: float | None = None
    bounded: bool = True


class Region(Value):
    """A region that a search looked at, or thought of. `prior` is how probable the thing was there by its parents'
    views, `here` by its own; None when it was not looked at. Boxes are original
    pixels."""

    id: str
    phrase: str
    view: str
    box: Corners
    parent: str
    depth: int
    prior: float
    here: float | None = None
    fate: Literal["open", "split", "refuted", "found"]


class Search(Value):
    """What a search of the whole picture came to. `least` is the side, in original pixels, of the least thing that it
    cannot have missed; `complete` whether every part was looked at; `found` names each thing and how many there are."""

    least: float
    complete: bool
    found: tuple[tuple[str, int], ...]


class GroundedPhrase(Value):
    """A phrase of a description, and where it is: boxes in original pixels, moments in milliseconds. `place` is where
    it stands in the answer's text. `seen`: how probably it can be seen in each box, as looked at up close; `fate`: no
    box was given (`unplaced`), none shows it (`unseen`), or it could not be measured (`unchecked`)."""

    phrase: str
    boxes: tuple[Corners, ...] = ()
    moments: tuple[tuple[int, int], ...] = ()
    place: tuple[int, int]
    seen: tuple[float, ...] = ()
    fate: Literal["seen", "unseen", "unplaced", "unchecked"]


class Check(Value):
    """Something that was verified, in words, and its measure: a probability, nats for `mattered`, 1 or 0 for whether
    things lie, or look, as the question asks (`placed`)."""

    id: str
    kind: Literal["seen", "reads", "mattered", "placed"]
    views: tuple[str, ...] = ()
    text: str
    value: float


class Looked(Value):
    """A view that the model was shown, and the earlier view it was cut from ("" for the whole picture)."""

    view: str
    source: str
    box: Corners
    size: tuple[int, int]
    depth: int


class LookedSheet(Looked):
    """The same of a view of other frames of a clip than the answer's picture is made of: its box lies in `sheet`."""

    sheet: SheetInfo


class Step(Value):
    """What one node of the graph did. Boxes are original pixels."""

    id: str
    name: str
    text: str
    views: tuple[str, ...] = ()
    boxes: tuple[Corners, ...] = ()
    seconds: float = 0.0


class Cost(Value):
    """The price. Visual tokens count each time a view is shown; `seconds` is the whole run as waited for."""

    model_calls: int = 0
    visual_tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    seconds_in_model: float = 0.0


class Tag(Value):
    """A name for something in a view, with its score from 0 to 1 where it was measured."""

    label: str
    score: float | None = None
    view: str


class PictureInfo(Value):
    """The picture that was asked about: content hash, upright size, what opening it changed. `least` is the side, in
    its own pixels, of the least thing that the view of the whole shows. `name` is its file's, without the folder."""

    id: str
    width: int
    height: int
    notes: tuple[str, ...] = ()
    least: float | None = None
    name: str = ""
    sheet: SheetInfo | None = None


class Made(Value):
    """What made an answer: the version of zoomagent, when the run ended (UTC), and the settings it ran with. No key, no
    folder and no address is among them."""

    version: str
    at: str
    settings: dict[str, Any] = {}


class RunRecord(Value):
    """One answered, or not answered, question. `withheld` is the answer that was not sure enough for the error rate
    asked for; `about` are the regions that were given with the question (`{0}` in its words is the first); `views`
    is the tree of what was looked at (`frames`: in other frames of a clip), `regions` the tree of a search, `grounded`
    the phrases of a description."""

    question: str
    options: tuple[str, ...] = ()
    about: tuple[Corners, ...] = ()
    text: str = ""
    confidence: float | None = None
    confidence_from: Literal["likelihood", "agreement", "calibrated"] | None = None
    withheld: str | None = None
    outcome: Outcome
    perspective: Perspective | None = None
    reasons: tuple[str, ...] = ()
    boxes: tuple[Corners, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    cost: Cost = Cost()
    steps: tuple[Step, ...] = ()
    checks: tuple[Check, ...] = ()
    views: tuple[Looked, ...] = ()
    frames: tuple[LookedSheet, ...] = ()
    regions: tuple[Region, ...] = ()
    searched: Search | None = None
    moments: tuple[Span, ...] = ()
    """When things were found in a clip; empty for pictures."""
    grounded: tuple[GroundedPhrase, ...] = ()
    tags: tuple[Tag, ...] = ()
    macro: Candidate | None = None
    micro: Candidate | None = None
    compared_by: Literal["shared", "published", "bound", "own", "votes"] | None = None
    """`own` stands in answers of earlier versions only."""
    picture: PictureInfo | None = None
    model: str = ""
    strategy: str = ""
    thread_id: str | None = None
    made: Made | None = None
    features: dict[str, float | int | bool | list[float]] | None = None

    @property
    def answered(self) -> bool:
        """Whether there is an answer, if need be a degraded one."""
        return self.outcome.kind in ("answered", "answered_degraded")

    @property
    def abstained(self) -> bool:
        """Whether the answer is "Cannot tell"."""
        return self.answered and self.text == "Cannot tell"


@dataclass(frozen=True)
class Source:
    """Where the picture came from and how to open it. No part of an answer's value: answers are equal without it."""

    value: Any = field(default=None, compare=False)
    opener: Callable[[Any], Any] | None = field(default=None, compare=False)
