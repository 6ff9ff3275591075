"""What a run knows about its two answers when it ends, as numbers, and as the row a logistic model reads.

    features = observed(macro, micro, weighed, seen=0.99, mattered=5.2, crop_share=0.1, depth=1, targets=1)
    row, names = vector(features)                # every column
    row, names = vector(features, GATE_FIELDS)   # only what is known before any closer look

None means "not known": the column is then 0 and its `?` column 1. Values are clipped, so that a row is finite and small
whatever was measured. Left out: how the checks are made (graphs/) and what follows from them (`learned.py`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from zoomagent.confidence.likelihood import probability
from zoomagent.confidence.replies import abstains, same
from zoomagent.confidence.selection import Candidate, Comparison
from zoomagent.models.base import Likelihood

Array = NDArray[np.float64]
Share = Annotated[float, Field(ge=0, le=1)]
LogProb = Annotated[float, Field(le=0)]
Count = Annotated[int, Field(ge=0)]

MOST_LOOKS = 1000
"""Numbers that say what a picture looks like (ours): other versions may take others, and then nothing is certified."""
NATS = 10.0
"""Log-likelihoods further than this from 0 say no more than this."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class Features:
    """All there is to go by. Fields that start with `macro_` are known before any closer look."""

    macro_prob: Share | None = None
    """exp of the sum of the macro answer's log-probabilities, where it was generated."""
    macro_mean: LogProb | None = None
    """Mean log-probability per token of the same words."""
    macro_abstains: bool | None = None
    """The macro answer is "Cannot tell"."""
    macro_valid: bool | None = None
    """The macro reply answers the question."""
    macro_votes: Share | None = None
    """Share of samples from the whole picture alone that say the macro answer; for models without likelihoods."""
    macro_options: Count | None = None
    """How many options the question offers."""
    macro_claims_all: bool | None = None
    """The macro answer turns on everything in the picture (`claims.py`): the gate never passes it."""
    micro_prob: Share | None = None
    micro_mean: LogProb | None = None
    micro_abstains: bool | None = None
    micro_valid: bool | None = None
    agree: bool | None = None
    """Both answers are the same. None: there was no closer look."""
    shared_macro: LogProb | None = None
    """Mean log-likelihood of the macro answer in the micro dialogue, where both were weighed."""
    shared_micro: LogProb | None = None
    seen: Share | None = None
    """Probability that the thing asked for is visible in the crop."""
    mattered: float | None = None
    """Log-likelihood of the micro answer with the crop, minus that with the crop blanked, in nats."""
    crop_share: Share | None = None
    """Side of the crop as a share of the picture's."""
    depth: Count | None = None
    """Zooms of zooms: 1 for a crop of the whole."""
    targets: Count | None = None
    """Places that were located."""
    tried: Count | None = None
    """Ways of looking closer that were tried. None: none yet."""
    whole: bool | None = None
    """The model said that the whole picture decides."""
    here: Share | None = None
    """Largest probability by a search that the thing was in a region where it could then not be shown."""
    searched: bool | None = None
    """The micro answer was given with what a search of the whole picture found."""
    complete: bool | None = None
    """That search looked at every part."""
    least: Share | None = None
    """Side of the least thing that it cannot have missed, as a share of the picture's."""
    found: Count | None = None
    """How many things it found."""
    reads: bool | None = None
    """Optical character recognition of the crop agrees with the micro answer."""
    votes: Share | None = None
    """Share of samples with both images that say the micro answer; for models without likelihoods."""
    picture: Annotated[tuple[float, ...], Field(strict=False, max_length=MOST_LOOKS)] | None = None
    """What the whole picture looks like (`looks.py`): by this an arbiter knows its own pictures; no head reads it."""


def log_odds(p: float) -> float:
    """Log-odds of `p` held within 0.0001 and 0.9999."""
    bounded = min(max(p, 1e-4), 1 - 1e-4)
    return math.log(bounded / (1 - bounded))


def _within(low: float, high: float) -> Callable[[float], float]:
    return lambda value: min(max(value, low), high)


TRANSFORMS: dict[str, Callable[[float], float]] = {
    "macro_prob": log_odds,
    "macro_mean": _within(-NATS, 0),
    "macro_abstains": float,
    "macro_valid": float,
    "macro_votes": float,
    "macro_options": lambda count: math.log1p(min(count, 100)),
    "macro_claims_all": float,
    "micro_prob": log_odds,
    "micro_mean": _within(-NATS, 0),
    "micro_abstains": float,
    "micro_valid": float,
    "agree": float,
    "shared_macro": _within(-NATS, 0),
    "shared_micro": _within(-NATS, 0),
    "shared_gap": _within(-NATS, NATS),
    "seen": log_odds,
    "mattered": _within(-NATS, NATS),
    "crop_share": lambda share: math.log(max(share, 1e-3)),
    "depth": _within(0, 8),
    "targets": lambda count: math.log1p(min(count, 100)),
    "tried": _within(0, 8),
    "whole": float,
    "here": log_odds,
    "searched": float,
    "complete": float,
    "least": lambda share: math.log(max(share, 1e-4)),
    "found": lambda count: math.log1p(min(count, 100)),
    "reads": float,
    "votes": float,
}
FIELDS = tuple(TRANSFORMS)
GATE_FIELDS = tuple(name for name in FIELDS if name.startswith("macro_"))


def vector(features: Features, fields: Sequence[str] = FIELDS) -> tuple[Array, tuple[str, ...]]:
    """The row for a linear model with its column names: per field its value, and whether it is missing (`name?`)."""
    gap = None
    if features.shared_macro is not None and features.shared_micro is not None:
        gap = features.shared_micro - features.shared_macro
    values = vars(features) | {"shared_gap": gap}
    row: list[float] = []
    for name in fields:
        value = values[name]
        row += (0.0, 1.0) if value is None else (TRANSFORMS[name](value), 0.0)
    return np.asarray(row, dtype=np.float64), tuple(column for name in fields for column in (name, f"{name}?"))


def to_dict(features: Features) -> dict[str, Any]:
    """What is known, as plain JSON; what is not known is left out."""
    known = {name: value for name, value in asdict(features).items() if value is not None}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in known.items()}


def from_dict(values: Mapping[str, Any]) -> Features:
    """The inverse of `to_dict`. Raises pydantic's ValidationError on unknown names, wrong types and NaN."""
    return Features(**values)


def observed(
    macro: Candidate,
    micro: Candidate | None = None,
    weighed: Comparison | None = None,
    *,
    macro_votes: float | None = None,
    options: int | None = None,
    tried: int | None = None,
    whole: bool | None = None,
    here: float | None = None,
    seen: float | None = None,
    mattered: float | None = None,
    crop_share: float | None = None,
    depth: int | None = None,
    targets: int | None = None,
    reads: bool | None = None,
    claims_all: bool | None = None,
    searched: bool | None = None,
    complete: bool | None = None,
    least: float | None = None,
    found: int | None = None,
    picture: Sequence[float] | None = None,
) -> Features:
    """The features of a run from what it holds. Measured numbers that are none (NaN, infinite) count as not known."""
    compared = weighed.words if weighed and weighed.how in ("shared", "published") else None
    return Features(
        macro_prob=_prob(macro.own),
        macro_mean=_mean(macro.own),
        macro_abstains=abstains(macro.answer.text),
        macro_valid=macro.answer.valid,
        macro_votes=_share(macro_votes),
        macro_options=options,
        macro_claims_all=claims_all,
        searched=searched,
        complete=complete,
        least=_share(least),
        found=found,
        tried=tried,
        whole=whole,
        here=_share(here),
        micro_prob=_prob(micro.own) if micro else None,
        micro_mean=_mean(micro.own) if micro else None,
        micro_abstains=abstains(micro.answer.text) if micro else None,
        micro_valid=micro.answer.valid if micro else None,
        agree=same(macro.answer, micro.answer) if micro else None,
        shared_macro=_mean(compared[0]) if compared else None,
        shared_micro=_mean(compared[1]) if compared else None,
        seen=_share(seen),
        mattered=_finite(mattered),
        crop_share=_share(crop_share),
        depth=depth,
        targets=targets,
        reads=reads,
        picture=None if picture is None else tuple(picture),
        votes=_share(weighed.micro / weighed.asked) if weighed and weighed.how == "votes" and weighed.asked else None,
    )


def _prob(likelihood: Likelihood | None) -> float | None:
    return None if likelihood is None else _share(probability(likelihood))


def _mean(likelihood: Likelihood | None) -> float | None:
    mean = None if likelihood is None else _finite(likelihood.mean)
    return None if mean is None else min(mean, 0.0)


def _share(value: float | None) -> float | None:
    known = _finite(value)
    return None if known is None else min(max(known, 0.0), 1.0)


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
