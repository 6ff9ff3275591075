"""What a run knows, as plain JSON: text, numbers, ids, boxes. A checkpoint of it is small and can be read by
anyone.

No pixels (views are named, `zoomagent/tools/viewing.py`), no classes of ours, no clock readings. Lists merge
by id, so a node that runs twice after a crash leaves one entry. Fields are part of the interface: Studio
shows them. Left out: what a run is given besides its question (`context.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, TypeVar, cast

from typing_extensions import TypedDict

from zoomagent.geometry import Box
from zoomagent.run_record import Perspective
from zoomagent.tools.searching import RegionRecord
from zoomagent.tools.seeking import StretchRecord
from zoomagent.tools.viewing import SheetRecord, ViewRecord

Policy = Literal["tools", "locate", "point", "search", "count"]


class PictureRecord(TypedDict):
    """The picture's content hash, its upright size, and what opening it had to change. `least` is the side, in its own
    pixels, of the least thing that the whole view shows."""

    id: str
    width: int
    height: int
    notes: list[str]
    least: NotRequired[float]


class ToolCallRecord(TypedDict):
    """A tool call as the model wrote it; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


class TurnRecord(TypedDict):
    """One message, its views before its text. `cut`: the reply ended before the model was done, `cut_in_thought`
    before it had said a word. `calls`: the tool
    calls of an assistant's turn; `answers`: the call that a tool's turn is the result of; `tags`: what the model is
    told before the text that it may use."""

    id: str
    dialogue: str
    role: Literal["user", "assistant", "tool"]
    views: list[str]
    text: str
    cut: bool
    cut_in_thought: NotRequired[bool]
    calls: NotRequired[list[ToolCallRecord]]
    answers: NotRequired[str]
    tags: NotRequired[list[str]]


class LikelihoodRecord(TypedDict):
    """Sum of natural-log probabilities over `tokens` tokens."""

    logprob: float
    tokens: int


class CallRecord(TypedDict):
    """One call of the model."""

    id: str
    step: str
    kind: Literal["generate", "score"]
    prompt_tokens: int
    completion_tokens: int
    visual_tokens: int
    seconds: float


class StepRecord(TypedDict):
    """What a node did, in words."""

    id: str
    name: str
    text: str
    views: list[str]
    boxes: list[list[int]]
    seconds: float


class CandidateRecord(TypedDict):
    """The macro or the micro answer. `likelihood` is that of its own tokens where they were generated."""

    text: str
    reply: str
    letter: str | None
    valid: bool
    likelihood: LikelihoodRecord | None
    views: list[str]


class TargetRecord(TypedDict):
    """A thing that must be seen to answer. `box` is where it was found, in original pixels, `crop` its close view,
    `seen` the probability that it can be seen there, `source` the view in which it is looked for. A thing that was
    `counted` was looked for everywhere: `found` holds the box of each, `listed` the views in which they were listed,
    `whole` the boxes that the view of the whole showed. One that was `given` is a region of the question. Of `several`
    that were pointed at, `box` is the first."""

    id: str
    phrase: str
    fate: Literal["wanted", "located", "missing", "counted"]
    source: str
    depth: int
    box: list[int] | None
    crop: str
    seen: float | None
    policy: Policy
    given: NotRequired[bool]
    several: NotRequired[bool]
    found: NotRequired[list[list[int]]]
    listed: NotRequired[list[str]]
    whole: NotRequired[list[list[int]]]


class TagRecord(TypedDict):
    """A name for something that `view` shows; `score` from 0 to 1, None where it was not measured."""

    id: str
    view: str
    label: str
    score: float | None


class CheckRecord(TypedDict):
    """Something that was verified, and its measure: a probability for `seen` and `reads`, nats for `mattered`,
    1 or 0 for whether things lie, or look, as the question asks (`placed`)."""

    id: str
    kind: Literal["seen", "reads", "mattered", "placed"]
    views: list[str]
    text: str
    value: float


class ToolLookRecord(TypedDict):
    """A tool call that was run: which tool on which view, at which box in original pixels, asking what. `shows` is the
    view it led to ("" for none), `target` where in the original it was pointed or found, `phrase` what was named.
    `moment` is there where a clip was zoomed into in time, in milliseconds."""

    id: str
    tool: str
    view: str
    box: list[int] | None
    label: str
    turn: int
    phrase: str
    shows: str
    target: list[int] | None
    moment: NotRequired[list[int]]


class ProofRecord(TypedDict):
    """The log-likelihood of the micro answer with its crops, and with the crops blanked. Where the first look at the
    whole gave another answer so surely that little was left for this one, `blanked` is that little, and no call was
    needed: `bound`."""

    shown: float
    blanked: float
    bound: NotRequired[bool]


class SearchRecord(TypedDict):
    """What a search of the whole picture for all things named came to. `least` is the side in original pixels of the
    least thing that cannot have been missed; `complete` whether every part was looked at; `found` how many of each."""

    least: float
    complete: bool
    found: list[tuple[str, int]]


class TimingRecord(TypedDict):
    """What a question about a clip asks of its time, and about which things."""

    kind: Literal["when", "long", "often", "order", "look", "source"]
    phrases: list[str]


class MomentRecord(TypedDict):
    """A moment in which something was found, in milliseconds. `at` is a time at which it was seen, with the probability
    `seen`; `left` and `right` are what is known of its edges: the outermost time at which it was seen, the innermost
    one at which it was not (None: not known), the next step. `stretch` is the stretch of time in which it was found.
    It is `bounded` where both edges are known to a tenth of it, `exact` where its beginning is known to a frame. `box`
    is where in the frame at `at` the thing is, where that was asked."""

    id: str
    phrase: str
    at: int
    seen: float | None
    moment: list[int]
    stretch: list[int]
    left: list[int | None]
    right: list[int | None]
    bounded: bool
    exact: bool
    box: NotRequired[list[int]]


PhraseFate = Literal["open", "placed", "unplaced", "seen", "unseen", "unchecked"]


class PhraseRecord(TypedDict):
    """A phrase of a description. `place`: from where to where it stands in the words; `views`: where it was named;
    `boxes`: where it is, in original pixels; `crops`: the views that they were looked at in, `seen`: how probably the
    phrase can be seen in each. `fate`: `open` and `placed` are on the way; `unplaced` has no box; `unseen` had boxes,
    and none shows it; `unchecked` could not be measured."""

    id: str
    text: str
    place: list[int]
    views: list[str]
    boxes: list[list[int]]
    crops: list[str]
    seen: list[float]
    fate: PhraseFate


class WeighingRecord(TypedDict):
    """Both answers by one yardstick, see zoomagent/confidence/selection.py. `words`: macro's, micro's
    likelihood."""

    how: Literal["shared", "published", "bound", "votes"]
    macro: float
    micro: float
    words: list[LikelihoodRecord] | None
    asked: int


class ProblemRecord(TypedDict):
    """Something that made the run worth less. `stops` when no further look is possible."""

    id: str
    code: str
    text: str
    stops: bool


class VerdictRecord(TypedDict):
    """The answer chosen, and why. `withheld` is the answer that was not sure enough to be given."""

    perspective: Perspective
    text: str
    confidence: float | None
    confidence_from: Literal["likelihood", "agreement", "calibrated"] | None
    reason: str
    withheld: NotRequired[str]


class OutcomeRecord(TypedDict):
    """How the run ended. A run is done when, and only when, its state holds this. `codes` are those of what kept an
    answer from being what it could have been."""

    kind: Literal["answered", "answered_degraded", "refused", "failed"]
    reasons: list[str]
    code: str | None
    exit_status: int
    codes: NotRequired[list[str]]


Entry = TypeVar("Entry", bound=Mapping[str, Any])


def merge(old: Sequence[Entry], new: Sequence[Entry]) -> list[Entry]:
    """`old` followed by what is new; an entry with a known id takes the old one's place."""
    entries = {entry["id"]: entry for entry in [*old, *new]}
    return list(entries.values())


class Question(TypedDict):
    """What a run starts from. `image` is a path or a data: URL, or the picture's id where it is already
    open."""

    image: str
    question: str
    options: NotRequired[list[str]]
    about: NotRequired[list[list[int]]]
    """Boxes in original pixels that the question is about; `{0}` in its words is the first of them."""
    describe: NotRequired[Literal["grounded"]]
    """The run is a description, and no answer to a question."""
    settings: NotRequired[dict[str, Any]]
    """What the run was started with; it can only be resumed with the same."""


class Update(TypedDict, total=False):
    """What a node may change."""

    picture: PictureRecord
    """The picture as opened."""
    looks: list[float]
    """What the whole picture looks like, in numbers (zoomagent/confidence/looks.py)."""
    views: list[ViewRecord]
    """Every view that was shown to the model."""
    messages: list[TurnRecord]
    """Both dialogues, in order."""
    macro: CandidateRecord
    """The answer from the whole picture."""
    micro: CandidateRecord
    """The answer from the whole picture and the crop."""
    target: list[int]
    """Where the model pointed, in original pixels."""
    crop: str
    """The view that was zoomed into."""
    box_likelihood: LikelihoodRecord | None
    """Likelihood of the box turn, for the published selection rule."""
    weighing: WeighingRecord
    """The measurement that decides between two different answers."""
    policy: Policy
    """What is being tried."""
    tried: list[Policy]
    """What was tried, in order."""
    settled: str
    """Why no further look is needed."""
    phrases: list[str]
    """What must be seen to answer; empty when the whole picture decides."""
    targets: list[TargetRecord]
    """The same things, and where they were found."""
    regions: list[RegionRecord]
    """Every region that a search looked at or may look at."""
    tagging: bool
    """Whether what the picture shows is named next, for the later questions."""
    tags: list[TagRecord]
    """Names of what the picture shows, which questions were told."""
    checks: list[CheckRecord]
    """What was verified."""
    tool_looks: list[ToolLookRecord]
    """Tool calls that were run."""
    proof: ProofRecord
    """Whether the crops mattered."""
    proven: str
    """The dialogue whose answer was put to the proof."""
    closer: str
    """The dialogue in which the micro answer stands."""
    attempts: int
    """How often the question was asked with crops."""
    answered: Policy
    """The way of looking that gave the micro answer."""
    searched: SearchRecord
    """What a search of the whole picture came to."""
    timing: TimingRecord
    """What a question about a clip asks of its time."""
    stretches: list[StretchRecord]
    """Every stretch of a clip's time that was looked at or may be."""
    moments: list[MomentRecord]
    """When what was looked for was found."""
    shown: SheetRecord
    """The sheet that shows the moments."""
    description: str
    """The words of a description; none where its phrases are a list of names."""
    told: list[PhraseRecord]
    """The phrases of a description."""
    calls: list[CallRecord]
    """Every call of the model, for the budget and the bill."""
    steps: list[StepRecord]
    """What happened, in words."""
    problems: list[ProblemRecord]
    """What went wrong on the way."""
    verdict: VerdictRecord
    """The answer."""
    outcome: OutcomeRecord
    """How the run ended."""


class State(Question, total=False):
    """`Update` with the rules by which updates join the state. `sent` names the target that a fanned-out node is
    about; it is no part of the state that is kept."""

    picture: PictureRecord
    looks: list[float]
    views: Annotated[list[ViewRecord], merge]
    messages: Annotated[list[TurnRecord], merge]
    macro: CandidateRecord
    micro: CandidateRecord
    target: list[int]
    crop: str
    box_likelihood: LikelihoodRecord | None
    weighing: WeighingRecord
    policy: Policy
    tried: list[Policy]
    settled: str
    phrases: list[str]
    targets: Annotated[list[TargetRecord], merge]
    regions: Annotated[list[RegionRecord], merge]
    tagging: bool
    tags: Annotated[list[TagRecord], merge]
    checks: Annotated[list[CheckRecord], merge]
    tool_looks: Annotated[list[ToolLookRecord], merge]
    proof: ProofRecord
    proven: str
    closer: str
    attempts: int
    answered: Policy
    searched: SearchRecord
    timing: TimingRecord
    stretches: Annotated[list[StretchRecord], merge]
    moments: Annotated[list[MomentRecord], merge]
    shown: SheetRecord
    sent: str
    description: str
    told: Annotated[list[PhraseRecord], merge]
    calls: Annotated[list[CallRecord], merge]
    steps: Annotated[list[StepRecord], merge]
    problems: Annotated[list[ProblemRecord], merge]
    verdict: VerdictRecord
    outcome: OutcomeRecord


MERGED = (
    "views", "messages", "calls", "steps", "problems", "targets", "regions", "tags", "checks", "tool_looks", "told",
    "stretches", "moments",
)  # fmt: skip


def dialogue(state: State, which: str) -> list[TurnRecord]:
    """The turns of one dialogue so far."""
    return [turn for turn in state.get("messages", []) if turn["dialogue"] == which]


def regions_of(state: State) -> list[Box]:
    """The regions that were given with the question."""
    return [Box(*region) for region in state.get("about", [])]


def stopped(state: State) -> bool:
    """Whether no further look is possible."""
    return any(problem["stops"] for problem in state.get("problems", []))


def known(state: State, update: Update) -> State:
    """The state after `update`: what the next node will see."""
    after = dict(state) | dict(update)
    for field in MERGED:
        after[field] = merge(cast(Any, state.get(field, [])), cast(Any, update.get(field, [])))
    return cast(State, after)
