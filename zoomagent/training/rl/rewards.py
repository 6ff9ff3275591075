"""What a rollout is worth: plain functions, and one frozen record of the parts.

    parts = judge(Rollout(reply="47", answer="47", looks=(Box(10, 10, 40, 40),)), RewardConfig())
    parts.total                       # 0.8 + 0.2 + 1.2

First stage of LFPC (arXiv 2603.27494): r_acc + r_format + [r_acc > 0] * r_tool. The second adds r_geo, measured against
nested boxes B_1 (the smallest that suffices) .. B_n. No judge: an answer is matched, or it is wrong. Left out: what
is done with rewards (`run.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from zoomagent.confidence.replies import read, same_answer
from zoomagent.errors import SettingInvalid
from zoomagent.geometry import Box, Size, coverage, iou

Scored = Literal["last", "first", "best"]
LONGEST = 1000
"""Characters from which on a reply is no answer but an enumeration (DeepEyes counts them as wrong)."""


@dataclass(frozen=True)
class RewardConfig:
    """Weights of the parts. LFPC publishes none: `accuracy`, `format` and `tool` are those of DeepEyes, which it is
    nearest to; all others are ours where nothing else is said."""

    accuracy: float = 0.8
    format: float = 0.2
    tool: float = 1.2
    geometry: float = 0.0
    """Of r_geo, which is added to the rest (how it is added is not published); 1 in the second stage."""
    iou_share: float = 0.5
    """w of r_geo = w * r_IoU + (1 - w) * r_l1."""
    overlap: float = 0.9
    """r_IoU counts only when more than this share of B_1 lies in the crop (LFPC)."""
    scored: Scored = "last"
    """Which crop is measured when there are several: the one the answer was given after, the first, or the best."""
    search: float = 0.0
    """Taken off for every search (ours). At run time one takes about ten calls of the model; and one that is answered
    from the annotation never fails, so that a policy which is not charged for it stops to point."""

    def __post_init__(self) -> None:
        if not 0 <= self.iou_share <= 1:
            raise SettingInvalid(f"iou_share must lie between 0 and 1, not {self.iou_share!r}.")


GAP = RewardConfig()
BOX = RewardConfig(geometry=1.0)


@dataclass(frozen=True)
class Rollout:
    """What a rollout came to. `looks` are the boxes that the model pointed at and was shown, `nested` the annotated
    ones; both in original pixels of a picture of `picture` pixels. `searches` and `found` are how many searches were
    run, and the crops that they gave, which nobody pointed at. `cut`: the reply ended before it was over.
    `refused` counts calls that could not be run."""

    reply: str
    answer: str
    options: Sequence[str] = ()
    looks: tuple[Box, ...] = ()
    nested: tuple[Box, ...] = ()
    picture: Size = Size(1, 1)
    searches: int = 0
    found: tuple[Box, ...] = ()
    cut: bool = False
    refused: int = 0


@dataclass(frozen=True)
class Reward:
    """The parts, each 0 to 1 and not yet weighted, the number of searches, and the weighted sum. `tool` is 0 where the
    answer is wrong."""

    accuracy: float
    format: float
    tool: float
    iou: float
    l1: float
    geometry: float
    search: float
    total: float


def judge(rollout: Rollout, config: RewardConfig = GAP) -> Reward:
    """All parts of a rollout's reward."""
    reply = rollout.reply
    right = accuracy(reply, rollout.answer, rollout.options)
    # A finished plain answer, after calls that could all be run (ours: LFPC names a format reward and not its rule).
    whole = len(reply) < LONGEST and not rollout.cut and not rollout.refused
    formed = float(whole and read(reply, rollout.options).valid)
    # LFPC, first stage: [r_acc > 0] when at least one crop was seen.
    tool = float(right > 0 and bool(rollout.looks or rollout.found))
    inner, near = _geometry(rollout, config)
    geometry = config.iou_share * inner + (1 - config.iou_share) * near
    total = config.accuracy * right + config.format * formed + config.tool * tool + config.geometry * geometry
    total -= config.search * rollout.searches
    return Reward(right, formed, tool, inner, near, geometry, float(rollout.searches), total)


def accuracy(reply: str, answer: str, options: Sequence[str] = ()) -> float:
    """1 for the right answer (the option it names, or the words themselves), else 0."""
    if len(reply) >= LONGEST:
        return 0.0
    given = read(reply, options)
    return float(given.valid and same_answer(given.text, answer))


def gated_iou(box: Box, nested: Sequence[Box], least: float) -> float:
    """max_i IoU(box, B_i) if more than `least` of B_1 lies in the box, else 0 (LFPC, second stage)."""
    return max(iou(box, wanted) for wanted in nested) if coverage(nested[0], box) > least else 0.0


def l1_nearness(box: Box, nested: Sequence[Box], picture: Size) -> float:
    """1 - min_i d(box, B_i) (LFPC, second stage)."""
    return 1.0 - min(corner_distance(box, wanted, picture) for wanted in nested)


def corner_distance(a: Box, b: Box, picture: Size) -> float:
    """Mean difference of the four coordinates, as shares of the picture's width and height (the normaliser is ours)."""
    scale = (picture.width, picture.height) * 2
    return sum(abs(x - y) / side for x, y, side in zip(a.as_list(), b.as_list(), scale, strict=True)) / 4


def _geometry(rollout: Rollout, config: RewardConfig) -> tuple[float, float]:
    """r_IoU and r_l1 of the crop that is scored; 0 without a crop, or without boxes to measure by."""
    if not rollout.looks or not rollout.nested:
        return 0.0, 0.0
    pairs = [
        (gated_iou(box, rollout.nested, config.overlap), l1_nearness(box, rollout.nested, rollout.picture))
        for box in rollout.looks
    ]
    match config.scored:
        case "first":
            return pairs[0]
        case "last":
            return pairs[-1]
        case "best":
            return max(pairs, key=lambda p: config.iou_share * p[0] + (1 - config.iou_share) * p[1])
