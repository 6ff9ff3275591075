"""The learned rule: which answer to trust by calibrated probability, and why, in words.

    early = gated(features, arbiter, at=0.95)         -> Choice when no closer look is needed, else None
    choice = choose(macro, micro, features, arbiter, weighed)

Without an arbiter for the model the choice is DualFocus', and the reason says that its confidence is not calibrated.
Left out: the probabilities themselves (`arbiter.py`), abstaining (`abstention.py`).
"""

from dataclasses import replace

from zoomagent.confidence import selection
from zoomagent.confidence.arbiter import Arbiter, Judgement
from zoomagent.confidence.features import Features
from zoomagent.confidence.selection import Candidate, Choice, Weighed

UNCALIBRATED = "The confidence is not calibrated: there is no arbiter for this model."
WHOLE = "the answer from the whole picture"
CROP = "the one with the crop"
MATTERS = 0.7
"""Nats from which crops count as having mattered: the answer is at least twice as likely with them."""


def gated(features: Features, arbiter: Arbiter | None, at: float) -> Choice | None:
    """The macro answer when the gate is at least `at` sure of it; None when a closer look is needed."""
    if arbiter is None:
        return None
    confidence = arbiter.gate_confidence(features)
    if confidence < at:
        return None
    reason = (
        f"{_sentence(WHOLE)} is right with {percent(confidence)} by calibration, at least the {percent(at)} asked for"
    )
    return Choice("macro", confidence, "calibrated", f"{reason}: no closer look.")


def choose(
    macro: Candidate,
    micro: Candidate | None,
    features: Features,
    arbiter: Arbiter | None,
    weighed: Weighed | None = None,
    known: bool = True,
) -> Choice:
    """The answer that is more probably right, with that probability as confidence. Where the question is not `known` to
    the model's arbiter, there is no such probability, and the caller says why."""
    if arbiter is None:
        return _uncalibrated(macro, micro, features, weighed, known)
    judgement = arbiter.judge(features)
    return Choice(judgement.perspective, judgement.confidence, "calibrated", _reason(judgement, features))


def _uncalibrated(
    macro: Candidate, micro: Candidate | None, features: Features, weighed: Weighed | None, known: bool
) -> Choice:
    if micro is None:
        choice = selection.take("macro", macro, "")
    elif features.searched and micro.answer.valid:
        # Told of everything that was found, the model knew more: likelihoods of the two dialogues do not compare.
        choice = selection.take("micro", micro, "")
    else:
        choice = selection.choose(macro, micro, weighed, features.seen)
    return replace(choice, reason=" ".join(text for text in (choice.reason, UNCALIBRATED if known else "") if text))


def _reason(judgement: Judgement, features: Features) -> str:
    sure = percent(judgement.confidence)
    if judgement.micro is None:
        return f"{_sentence(WHOLE)} is right with {sure} by calibration."
    if features.searched:
        return f"An answer after such a search is right with {sure} by calibration."
    evidence = ", ".join(_evidence(features))
    said = (
        f"Both looks gave the same answer, right with {sure} by calibration" if features.agree else _against(judgement)
    )
    return f"{said}: {evidence}." if evidence else f"{said}."


def _against(judgement: Judgement) -> str:
    assert judgement.micro is not None
    if judgement.perspective == "micro":
        first, second = ("the answer with the crop", judgement.micro), ("the one from the whole", judgement.macro)
    else:
        first, second = ("the answer from the whole", judgement.macro), (CROP, judgement.micro)
    return (
        f"{_sentence(first[0])} is right with {percent(first[1])} by calibration, {second[0]} with {percent(second[1])}"
    )


def _evidence(features: Features) -> list[str]:
    """What was weighed, as far as it is known."""
    found = [_mattered(features.mattered), _seen(features.seen), _weighed(features), _votes(features.votes)]
    if features.reads is not None:
        found.append("reading it letter by letter agrees" if features.reads else "reading it letter by letter differs")
    if features.agree is False:
        found += [_abstaining(features), _invalid(features), "the two differ"]
    return [text for text in found if text]


def _mattered(nats: float | None) -> str:
    if nats is None:
        return ""
    return f"the crop {'' if nats >= MATTERS else 'hardly '}mattered ({nats:.1f} nats)"


def _seen(share: float | None) -> str:
    if share is None:
        return ""
    return f"the thing asked for is {'' if share >= 0.5 else 'not '}visible in it ({share:.2f})"


def _weighed(features: Features) -> str:
    if features.shared_macro is None or features.shared_micro is None:
        return ""
    return f"log-likelihood a token {features.shared_macro:.2f} (whole) against {features.shared_micro:.2f} (crop)"


def _votes(share: float | None) -> str:
    return "" if share is None else f"{share:.0%} of the samples with both images say the crop's answer"


def _abstaining(features: Features) -> str:
    whole, crop = features.macro_abstains, features.micro_abstains
    return f"the {'whole' if whole else 'crop'} says that it cannot tell" if whole or crop else ""


def _invalid(features: Features) -> str:
    """That a reply names none of the options: it is not taken, however probable."""
    names = [
        side for side, valid in (("whole", features.macro_valid), ("crop", features.micro_valid)) if valid is False
    ]
    return f"the answer from the {' and the '.join(names)} names none of the options" if names else ""


def percent(p: float) -> str:
    """A probability as people read it; never rounded to certainty."""
    if p > 0.99:
        return "over 99 %"
    return "under 1 %" if p < 0.01 else f"{100 * p:.0f} %"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
