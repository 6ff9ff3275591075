"""The confidence node's view of a run: its features, its arbiter, its verdict and, if asked for, its silence.

Left out: the rules (`zoomagent/confidence`) and measuring (`weighing.py`, `closing.py`).
"""

import functools
import math
from collections.abc import Sequence
from pathlib import Path

from zoomagent.confidence import claims, learned, selection
from zoomagent.confidence.arbiter import Arbiter, load, neutral
from zoomagent.confidence.features import Features, observed
from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.errors import SettingInvalid
from zoomagent.graphs.asking import NodeRun
from zoomagent.graphs.endings import model_step, step_words
from zoomagent.graphs.regions import without_names
from zoomagent.graphs.sentences import summary
from zoomagent.graphs.state import State, Update, VerdictRecord
from zoomagent.graphs.weighing import (
    both_answers,
    candidate_of,
    outcome_record,
    seen_of,
    verdict_record,
    weighing_of,
    withhold,
)
from zoomagent.models.loading import weights_of

NEUTRAL = "neutral"
"""An arbiter for collecting records: it believes every crop, so that runs go the way that they go with an arbiter."""
NO_ARBITER = "none"
OUTSIDE = "The question or its picture is of no kind that the model's confidence was certified on."


# The arbiter of a run


def arbiter_of(run: NodeRun) -> Arbiter | None:
    """The file that was named, else the packaged arbiter, which is for the weights that it was fitted on and no others,
    whatever they are called; None where it vouches for other questions or other pictures only."""
    arbiter = any_arbiter(run)
    if arbiter is None or why_outside(arbiter, run.state["question"], run.state.get("looks", ())):
        return None
    return arbiter


def any_arbiter(run: NodeRun) -> Arbiter | None:
    """The same arbiter, whatever it vouches for."""
    if run.context.arbiter is not None:
        return load_once(run.context.arbiter)
    packaged, weights = load_once("nano"), weights_of(run.bench.model)
    return packaged if packaged is not None and weights and weights == packaged.provenance.weights else None


@functools.cache
def load_once(name: str) -> Arbiter | None:
    """Of a name that a user gave, or the packaged one's."""
    if name == NEUTRAL:
        return neutral()
    found = load(name)
    if found is None and name != NO_ARBITER:
        raise SettingInvalid(f"There is no arbiter {Path(name).name!r}. Give a file of zoomagent train calibrate.")
    return found


def why_outside(arbiter: Arbiter, question: str, looks: Sequence[float]) -> str:
    """What of the question or of its picture is of no kind that the arbiter was certified on; "" where nothing is."""
    words = arbiter.unknown(without_names(question))[:5]
    if words:
        return f"no question that was certified holds the words {', '.join(repr(word) for word in words)}"
    return "" if arbiter.knows(looks) else "no picture that was certified looks like this one"


def why_uncalibrated(run: NodeRun) -> str:
    """Why the arbiter there is says nothing about this question; "" where it does, or where there is none."""
    arbiter = any_arbiter(run)
    why = why_outside(arbiter, run.state["question"], run.state.get("looks", ())) if arbiter else ""
    return f"The confidence is not calibrated: {why}." if why else ""


# What the run knows


def features_of(state: State) -> Features:
    """What the run knows about its answers."""
    parts = [r["here"] for r in state.get("regions", []) if r["parent"] and r["fate"] != "found"]
    searched = state.get("searched")
    micro = candidate_of(state["micro"]) if "micro" in state else None
    found = [target for target in state.get("targets", []) if target["fate"] == "located" and target["crop"]]
    found = found if micro else []
    reads = [check["value"] for check in state.get("checks", []) if micro and check["kind"] == "reads"]
    proof = state.get("proof") if micro else None
    side = max(state["picture"]["width"], state["picture"]["height"]) if searched else 1
    return observed(
        candidate_of(state["macro"]),
        micro,
        weighing_of(state) if micro else None,
        options=len(state.get("options", [])),
        tried=len(state.get("tried", [])) or None,
        whole=state.get("phrases") == [] or None,
        # The surest a search was of a region below the whole in which nothing could be shown.
        here=max((here for here in parts if here is not None), default=None),
        seen=seen_of(state) if micro else None,
        mattered=proof["shown"] - proof["blanked"] if proof else None,
        crop_share=crop_share(state) if micro else None,
        depth=max((target["depth"] for target in found), default=None),
        targets=len(found) or None,
        reads=reads[-1] >= 0.5 if reads else None,
        claims_all=claims.claims_all(state["question"], state["macro"]["text"]),
        searched=(searched is not None and micro is not None) or None,
        complete=searched["complete"] if searched else None,
        least=searched["least"] / side if searched else None,
        found=sum(number for _, number in searched["found"]) if searched else None,
        picture=state.get("looks"),
    )


def crop_share(state: State) -> float | None:
    """Side of the largest crop as a share of the picture's."""
    whole = state["picture"]["width"] * state["picture"]["height"]
    boxes = [view["box"] for view in state.get("views", []) if view["id"] in state["micro"]["views"]]
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in boxes]
    crops = [area for area in areas if area < whole]
    return math.sqrt(max(crops) / whole) if crops else None


# The verdict


@model_step
async def arbitrate(run: NodeRun) -> Update:
    """Choose one answer, say why, and hold it back where it is not sure enough."""
    state, outside = run.state, why_uncalibrated(run)
    choice = choose_answer(run)
    verdict = verdict_record(state, choice)
    reason = verdict["reason"]
    if outside and run.context.rule == "learned":
        reason = f"{reason} {outside}".strip()
    verdict = {**verdict, "reason": f"{summary(state, choice.perspective)} {reason}".strip()}
    why = why_withheld(run, verdict)
    if why is not None:
        verdict = withhold(verdict, why)
    outcome = outcome_record(state, state[choice.perspective])
    if outside and outcome["kind"] == "answered":
        outcome = {**outcome, "kind": "answered_degraded", "reasons": [*outcome["reasons"], OUTSIDE]}
    words = f"Chose the {choice.perspective} answer. {verdict['reason']}"
    return {"verdict": verdict, "outcome": outcome, "steps": step_words(words)}


def choose_answer(run: NodeRun) -> selection.Choice:
    """One of the two answers, by the rule asked for."""
    state, rule = run.state, run.context.rule
    pair, macro = both_answers(state), candidate_of(state["macro"])
    if rule == "macro":
        return selection.take("macro", macro, "The answer from the whole picture was asked for.")
    if pair is None and rule != "learned":
        return selection.take("macro", macro, "There is no other answer to compare it with.")
    if pair is not None and rule == "micro":
        return selection.take("micro", pair[1], "The answer with the crop was asked for.")
    if pair is not None and rule == "dualfocus":
        return selection.choose(*pair, weighing_of(state), seen_of(state))
    micro, known = pair[1] if pair else None, not why_uncalibrated(run)
    return learned.choose(macro, micro, features_of(state), arbiter_of(run), weighing_of(state), known=known)


def why_withheld(run: NodeRun, verdict: VerdictRecord) -> str | None:
    """Why the answer is not given: the error rate asked for could not be promised. None where it is given."""
    alpha, arbiter = run.context.target_error, arbiter_of(run)
    if alpha is None or verdict["text"] == CANNOT_TELL:
        return None
    if why_uncalibrated(run):
        return "Not answered: an error rate was asked for, and nothing of this kind was certified."
    if arbiter is None:
        return "Not answered: an error rate was asked for, and without an arbiter none can be promised."
    gate = run.context.gate if run.context.strategy == "auto" else None
    return arbiter.cutoff(alpha, gate_at=gate).refusal(verdict["confidence"])
