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
from zoomagent.confidence.selection import Candidate, Choice, Comparison

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
    weighed: Comparison | None = None,
    known: bool = True,
) -> Choice:
    """The answer that is more probably right, with that probability as confidence. Where the question is not `known` to
    the model's arbiter, there is no such probability, and the caller says why."""
    if arbiter is not None:
        judgement = arbiter.judge(features)
        return Choice(judgement.perspective, judgement.confidence, "calibrated", explain(judgement, features))
    if micro is None:
        choice = selection.take("macro", macro, "")
    elif features.searched and micro.answer.valid:
        # Told of everything that was found, the model knew more: likelihoods of the two dialogues do not compare.
        choice = selection.take("micro", micro, "")
    else:
        choice = selection.choose(macro, micro, weighed, features.seen)
    return replace(choice, reason=" ".join(text for text in (choice.reason, UNCALIBRATED if known else "") if text))


def explain(judgement: Judgement, features: Features) -> str:
    """Why an arbiter chose this answer."""
    sure = percent(judgement.confidence)
    if judgement.micro is None:
        return f"{_sentence(WHOLE)} is right with {sure} by calibration."
    if features.searched:
        return f"An answer after such a search is right with {sure} by calibration."
    macro, micro = percent(judgement.macro), percent(judgement.micro)
    if features.agree:
        text = f"Both looks gave the same answer, right with {sure} by calibration"
    elif judgement.perspective == "micro":
        text = f"The answer with the crop is right with {micro} by calibration, the one from the whole with {macro}"
    else:
        text = f"The answer from the whole is right with {macro} by calibration, {CROP} with {micro}"
    evidence = ", ".join(evidence_in(features))
    return f"{text}: {evidence}." if evidence else f"{text}."


def evidence_in(features: Features) -> list[str]:
    """What was weighed, in words, as far as it is known."""
    found = []
    if features.mattered is not None:
        hardly = "" if features.mattered >= MATTERS else "hardly "
        found.append(f"the crop {hardly}mattered ({features.mattered:.1f} nats)")
    if features.seen is not None:
        visible = "visible" if features.seen >= 0.5 else "not visible"
        found.append(f"the thing asked for is {visible} in it ({features.seen:.2f})")
    if features.shared_macro is not None and features.shared_micro is not None:
        whole, crop = features.shared_macro, features.shared_micro
        found.append(f"log-likelihood a token {whole:.2f} (whole) against {crop:.2f} (crop)")
    if features.votes is not None:
        found.append(f"{features.votes:.0%} of the samples with both images say the crop's answer")
    if features.reads is not None:
        found.append(f"reading it letter by letter {'agrees' if features.reads else 'differs'}")
    if features.agree is False:
        if features.macro_abstains or features.micro_abstains:
            found.append(f"the {'whole' if features.macro_abstains else 'crop'} says that it cannot tell")
        # A reply that names none of the options is not taken, however probable it is.
        sides = (("whole", features.macro_valid), ("crop", features.micro_valid))
        invalid = [side for side, valid in sides if valid is False]
        if invalid:
            found.append(f"the answer from the {' and the '.join(invalid)} names none of the options")
        found.append("the two differ")
    return found


def percent(p: float) -> str:
    """A probability as people read it; never rounded to certainty."""
    if p > 0.99:
        return "over 99 %"
    return "under 1 %" if p < 0.01 else f"{100 * p:.0f} %"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
