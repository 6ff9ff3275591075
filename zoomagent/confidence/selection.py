"""Which answer to trust: from the whole picture (macro) or from the whole and the crop (micro).

Pure rules over what was read and measured; each says its reason in words. DualFocus' rule: only one valid ->
that one; equal -> nothing to decide; else the higher mean log-likelihood in the one context both were scored
in; a tie or nothing to go by -> macro. Where a server scores no given text, likelihoods of two dialogues are not
compared, for the whole is surest where it sees nothing: what a check saw in the crop decides against "Cannot tell",
else what the crop's own dialogue leaves for other answers, else votes. Left out: learned arbitration and abstention
thresholds.
"""

import math
from dataclasses import dataclass
from typing import Literal

from zoomagent.confidence.likelihood import probability
from zoomagent.confidence.replies import CANNOT_TELL, ReadAnswer, plain, same
from zoomagent.models.base import Likelihood
from zoomagent.run_record import Perspective

Source = Literal["likelihood", "agreement", "calibrated"]
How = Literal["shared", "published", "bound", "votes"]

SEEN = 0.5
"""Probability from which a thing counts as visible in its crop."""

LEAST_LEFT = 1e-9
"""The least probability that an answer is said to leave for all others: servers round theirs."""


@dataclass(frozen=True)
class Candidate:
    """One of the two answers. `own` is the likelihood of its words in the context in which they were
    generated."""

    answer: ReadAnswer
    own: Likelihood | None


@dataclass(frozen=True)
class Comparison:
    """Both answers measured by one yardstick.

    `shared`: log-likelihoods in the micro dialogue; `published`: the same diluted by the box turn; `bound`: the micro
    answer's there, and the most that it leaves for the macro answer; `votes`: how many of `asked` samples in the micro
    dialogue said the same. `words` are the likelihoods of the answers' words alone, from which the confidence is
    taken."""

    how: How
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


def only_the_crop_tells(macro: Candidate, micro: Candidate, seen: float | None) -> bool:
    """Whether the whole says "Cannot tell" and the crop, in which a check saw the thing, does not."""
    if seen is None or seen < SEEN or not micro.answer.valid:
        return False
    return macro.answer.text == CANNOT_TELL and micro.answer.text != CANNOT_TELL


def bound(macro: Candidate, micro: Candidate) -> Comparison | None:
    """The micro answer's likelihood in its own dialogue, and the most that any other answer can have there: what it
    leaves. None where that does not settle it, or one answer begins with the other, for then they share it."""
    if macro.own is None or micro.own is None:
        return None
    texts = plain(macro.answer.text), plain(micro.answer.text)
    if texts[0].startswith(texts[1]) or texts[1].startswith(texts[0]):
        return None
    left = Likelihood(math.log(max(1 - probability(micro.own), LEAST_LEFT)), macro.own.tokens)
    if micro.own.mean <= left.mean:
        return None
    return Comparison("bound", left.mean, micro.own.mean, (left, micro.own))


def choose(macro: Candidate, micro: Candidate, weighed: Comparison | None, seen: float | None = None) -> Choice:
    """DualFocus' selection. `seen` is the probability that the thing asked for is visible in the crop."""
    if not macro.answer.valid and micro.answer.valid:
        return take("micro", micro, "The macro reply answers nothing, the micro reply does.")
    if macro.answer.valid and not micro.answer.valid:
        return take("macro", macro, "The micro reply answers nothing, the macro reply does.")
    if not macro.answer.valid:
        any_text = macro.answer.text or micro.answer.text
        reason = "Neither reply answers the question, so the macro reply stands."
        return take("macro", macro, reason if any_text else "The model replied nothing, neither time.")
    if same(macro.answer, micro.answer):
        return take("micro", micro, "Both looks gave the same answer, so there was nothing to decide.")
    scored = weighed is not None and weighed.how in ("shared", "published")
    if not scored and only_the_crop_tells(macro, micro, seen):
        return take("micro", micro, "The whole cannot tell; a check saw the thing in the crop, which can.")
    if weighed is None:
        return take("macro", macro, "The answers differ and nothing could weigh them: macro stands.")
    return choose_heavier(weighed)


def choose_heavier(weighed: Comparison) -> Choice:
    """The answer that weighs more; the macro answer where they weigh the same."""
    perspective: Perspective = "micro" if weighed.micro > weighed.macro else "macro"
    confidence: float | None = None
    source: Source | None = None
    if weighed.how == "votes":
        source, confidence = "agreement", max(weighed.macro, weighed.micro) / weighed.asked
    elif weighed.words is not None:
        source, confidence = "likelihood", probability(weighed.words[1 if perspective == "micro" else 0])
    words = measure_words(weighed)
    reason = f"The {perspective} answer weighs more: {words}."
    if weighed.macro == weighed.micro:
        reason = f"A tie ({words}), so the macro answer stands."
    return Choice(perspective, confidence, source, reason)


def measure_words(weighed: Comparison) -> str:
    """What was measured, in words."""
    a, b = weighed.macro, weighed.micro
    if weighed.how == "votes":
        return (
            f"of {weighed.asked} samples with both images {a:.0f} said macro's and {b:.0f} micro's answer; "
            "given answers cannot be scored, so this is agreement"
        )
    if weighed.how == "bound":
        return (
            f"mean log-likelihood {b:.3f} (micro) in the dialogue with both images, which leaves macro at most {a:.3f}"
        )
    where = "in the dialogue with both images"
    where += ", box turn counted in as published" if weighed.how == "published" else ""
    return f"mean log-likelihood {a:.3f} (macro) against {b:.3f} (micro), {where}"
