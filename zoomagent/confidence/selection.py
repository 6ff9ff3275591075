"""Which answer to trust: from the whole picture (macro) or from the whole and the crop (micro).

Pure rules over what was read and measured; each says its reason in words. DualFocus' rule: only one valid ->
that one; equal -> nothing to decide; else the higher mean log-likelihood in the one context both were scored
in; a tie or nothing to go by -> macro. Left out: learned arbitration and abstention thresholds.
"""

from dataclasses import dataclass
from typing import Literal

from zoomagent.confidence.likelihood import probability
from zoomagent.confidence.replies import Answered, same
from zoomagent.models.base import Likelihood

Perspective = Literal["macro", "micro"]
Source = Literal["likelihood", "agreement", "calibrated"]


@dataclass(frozen=True)
class Candidate:
    """One of the two answers. `own` is the likelihood of its words in the context in which they were
    generated."""

    answer: Answered
    own: Likelihood | None


@dataclass(frozen=True)
class Weighed:
    """Both answers measured by one yardstick.

    `shared`: log-likelihoods in the micro dialogue; `published`: the same diluted by the box turn; `own`:
    each in its own context; `votes`: how many of `asked` samples in the micro dialogue said the same. `words`
    are the likelihoods of the answers' words alone, from which the confidence is taken."""

    how: Literal["shared", "published", "own", "votes"]
    macro: float
    micro: float
    words: tuple[Likelihood, Likelihood] | None = None
    asked: int = 0


@dataclass(frozen=True)
class Choice:
    """`confidence` is None when there was nothing to compute it from."""

    perspective: Perspective
    confidence: float | None
    source: Source | None
    reason: str


def needs_weighing(macro: Candidate | None, micro: Candidate | None) -> bool:
    """Whether two valid answers disagree."""
    if macro is None or micro is None:
        return False
    return macro.answer.valid and micro.answer.valid and not same(macro.answer, micro.answer)


def take(perspective: Perspective, candidate: Candidate, reason: str) -> Choice:
    """Take one answer for `reason`, with its own likelihood as confidence."""
    own = candidate.own
    if own is None:
        return Choice(perspective, None, None, reason)
    return Choice(perspective, probability(own), "likelihood", reason)


def choose(macro: Candidate, micro: Candidate, weighed: Weighed | None) -> Choice:
    """DualFocus' selection."""
    if not (macro.answer.valid and micro.answer.valid):
        return _by_validity(macro, micro)
    if same(macro.answer, micro.answer):
        return take("micro", micro, "Both looks gave the same answer, so there was nothing to decide.")
    if weighed is None:
        return take("macro", macro, "The answers differ and nothing could weigh them: macro stands.")
    return _by_weight(weighed)


def _by_validity(macro: Candidate, micro: Candidate) -> Choice:
    if micro.answer.valid:
        return take("micro", micro, "The macro reply answers nothing, the micro reply does.")
    if macro.answer.valid:
        return take("macro", macro, "The micro reply answers nothing, the macro reply does.")
    if not macro.answer.text and not micro.answer.text:
        return take("macro", macro, "The model replied nothing, neither time.")
    return take("macro", macro, "Neither reply answers the question, so the macro reply stands.")


def _by_weight(weighed: Weighed) -> Choice:
    perspective: Perspective = "micro" if weighed.micro > weighed.macro else "macro"
    return Choice(perspective, _confidence(weighed, perspective), _source(weighed), _reason(weighed, perspective))


def _confidence(weighed: Weighed, perspective: Perspective) -> float | None:
    if weighed.how == "votes":
        return (weighed.micro if perspective == "micro" else weighed.macro) / weighed.asked
    if weighed.words is None:
        return None
    return probability(weighed.words[1 if perspective == "micro" else 0])


def _source(weighed: Weighed) -> Source | None:
    if weighed.how == "votes":
        return "agreement"
    return None if weighed.words is None else "likelihood"


def _reason(weighed: Weighed, perspective: Perspective) -> str:
    if weighed.macro == weighed.micro:
        return f"A tie ({_measure(weighed)}), so the macro answer stands."
    return f"The {perspective} answer weighs more: {_measure(weighed)}."


def _measure(weighed: Weighed) -> str:
    a, b = weighed.macro, weighed.micro
    if weighed.how == "votes":
        return (
            f"of {weighed.asked} samples with both images {a:.0f} said macro's and {b:.0f} micro's answer; "
            "the model gives no likelihoods, so this is agreement"
        )
    where = {
        "shared": "in the dialogue with both images",
        "published": "in the dialogue with both images, box turn counted in as published",
        "own": "each in its own dialogue, as they could not be scored in one",
    }[weighed.how]
    return f"mean log-likelihood {a:.3f} (macro) against {b:.3f} (micro), {where}"
