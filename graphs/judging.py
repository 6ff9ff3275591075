"""The confidence node's view of a run: its features, its arbiter, its verdict and, if asked for, its silence.

Left out: the rules (`zoomagent/confidence`) and measuring (`weighing.py`, `closing.py`).
"""

import functools
import math
from typing import Any

from langgraph.runtime import Runtime

from zoomagent.confidence import claims, learned, selection
from zoomagent.confidence.arbiter import Arbiter, load, neutral
from zoomagent.confidence.features import Features, observed
from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.confidence.selection import Choice
from zoomagent.graphs.absence import unearned
from zoomagent.graphs.asking import Desk, desk_of
from zoomagent.graphs.context import Context
from zoomagent.graphs.endings import said, step
from zoomagent.graphs.sentences import summary
from zoomagent.graphs.state import OutcomeRecord, State, Update, VerdictRecord
from zoomagent.graphs.weighing import both, candidate, outcome_of, seen_of, undecided, verdict_of, weighed
from zoomagent.models.loading import weights_of


@functools.cache
def _load(name: str) -> Arbiter | None:
    return neutral() if name == NEUTRAL else load(name)


def arbiter_of(desk: Desk) -> Arbiter | None:
    """The file that was named, else the packaged arbiter, which is for the weights that it was fitted on and no others,
    whatever they are called; None where it vouches for other questions or other pictures only."""
    arbiter = any_arbiter(desk)
    return arbiter if arbiter is not None and not strange(arbiter, desk.state) else None


def strange(arbiter: Arbiter, state: State) -> str:
    """What of the question or of its picture is of no kind that the arbiter was certified on; "" where nothing is."""
    words = arbiter.unknown(state["question"])[:5]
    if words:
        return f"no question that was certified holds the words {', '.join(repr(word) for word in words)}"
    return "" if arbiter.knows(state.get("looks", ())) else "no picture that was certified looks like this one"


def any_arbiter(desk: Desk) -> Arbiter | None:
    if desk.context.arbiter is not None:
        return _load(desk.context.arbiter)
    packaged, weights = _load("nano"), weights_of(desk.bench.model)
    return packaged if packaged is not None and weights and weights == packaged.provenance.weights else None


NEUTRAL = "neutral"
"""An arbiter for collecting records: it believes every crop, so that runs go the way that they go with an arbiter."""


def outside(desk: Desk) -> str:
    """Why the arbiter there is says nothing about this question; "" where it does, or where there is none."""
    arbiter = any_arbiter(desk)
    why = strange(arbiter, desk.state) if arbiter else ""
    return f"The confidence is not calibrated: {why}." if why else ""


def features_of(state: State) -> Features:
    """What the run knows about its answers."""
    macro, options = candidate(state["macro"]), len(state.get("options", []))
    tried, whole = len(state.get("tried", [])) or None, state.get("phrases") == [] or None
    claims_all = claims.claims_all(state["question"], state["macro"]["text"])
    if "micro" not in state:
        return observed(
            macro, options=options, tried=tried, whole=whole, here=_here(state), claims_all=claims_all,
            picture=state.get("looks"), **_search(state),
        )  # fmt: skip
    micro = candidate(state["micro"])
    found = [target for target in state.get("targets", []) if target["fate"] == "located" and target["crop"]]
    proof = state.get("proof")
    return observed(
        macro,
        micro,
        weighed(state),
        options=options,
        tried=tried,
        whole=whole,
        here=_here(state),
        seen=seen_of(state),
        mattered=proof["shown"] - proof["blanked"] if proof else None,
        crop_share=_crop_share(state),
        depth=max((target["depth"] for target in found), default=None),
        targets=len(found) or None,
        reads=_reads(state),
        claims_all=claims_all,
        searched="searched" in state or None,
        picture=state.get("looks"),
        **_search(state),
    )


def _search(state: State) -> dict[str, Any]:
    """What a search of the whole picture came to, where there was one."""
    if "searched" not in state:
        return {}
    record, side = state["searched"], max(state["picture"]["width"], state["picture"]["height"])
    found = sum(number for _, number in record["found"])
    return {"complete": record["complete"], "least": record["least"] / side, "found": found}


def _here(state: State) -> float | None:
    """The surest a search was of a region below the whole in which nothing could be shown."""
    parts = [r for r in state.get("regions", []) if r["parent"] and r["fate"] != "found"]
    return max((r["here"] for r in parts if r["here"] is not None), default=None)


def _crop_share(state: State) -> float | None:
    """Side of the largest crop as a share of the picture's."""
    whole = state["picture"]["width"] * state["picture"]["height"]
    shown = [view["box"] for view in state.get("views", []) if view["id"] in state["micro"]["views"]]
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in shown]
    crops = [area for area in areas if area < whole]
    return math.sqrt(max(crops) / whole) if crops else None


def _reads(state: State) -> bool | None:
    found = [check["value"] for check in state.get("checks", []) if check["kind"] == "reads"]
    return found[-1] >= 0.5 if found else None


def needs_weighing(state: State, context: Context, arbiter: Arbiter | None) -> bool:
    """Whether both answers must be scored in one dialogue: DualFocus' rule, or nothing better at hand."""
    return undecided(state) and (context.rule == "dualfocus" or (context.rule == "learned" and arbiter is None))


@step
async def arbitrate(state: State, runtime: Runtime[Context]) -> Update:
    """Choose one answer, say why, and hold it back where it is not sure enough."""
    desk = await desk_of("arbitrate", state, runtime)
    choice = _choice(desk)
    verdict = verdict_of(state, choice)
    why = unearned(state, verdict["text"], verdict["perspective"])
    if why:
        verdict = VerdictRecord(
            **{**verdict, "confidence": None, "confidence_from": None, "reason": _with(verdict, why)}
        )
    other = outside(desk)
    if other and desk.context.rule == "learned":
        verdict = VerdictRecord(**{**verdict, "reason": _with(verdict, other)})
    sentence = summary(state, choice.perspective)
    verdict = _held_back(desk, VerdictRecord(**{**verdict, "reason": f"{sentence} {verdict['reason']}".strip()}))
    outcome = outcome_of(state, state[choice.perspective])
    if other and outcome["kind"] == "answered":
        outcome = OutcomeRecord(**{**outcome, "kind": "answered_degraded", "reasons": [*outcome["reasons"], OUTSIDE]})
    words = f"Chose the {choice.perspective} answer. {verdict['reason']}"
    return {"verdict": verdict, "outcome": outcome, "steps": said(words)}


OUTSIDE = "The question or its picture is of no kind that the model's confidence was certified on."


def _with(verdict: VerdictRecord, more: str) -> str:
    return f"{verdict['reason']} {more}".strip()


def _choice(desk: Desk) -> Choice:
    state, rule = desk.state, desk.context.rule
    pair, macro = both(state), candidate(state["macro"])
    if rule == "macro":
        return selection.take("macro", macro, "The answer from the whole picture was asked for.")
    if pair is None and rule != "learned":
        return selection.take("macro", macro, "There is no other answer to compare it with.")
    if pair is not None and rule == "micro":
        return selection.take("micro", pair[1], "The answer with the crop was asked for.")
    if pair is not None and rule == "dualfocus":
        return selection.choose(*pair, weighed(state), features_of(state).seen)
    micro = pair[1] if pair else None
    return learned.choose(macro, micro, features_of(state), arbiter_of(desk), weighed(state), known=not outside(desk))


def _held_back(desk: Desk, verdict: VerdictRecord) -> VerdictRecord:
    """The verdict, or "Cannot tell" where the error asked for could not be promised."""
    alpha, arbiter = desk.context.target_error, arbiter_of(desk)
    if alpha is None or verdict["text"] == CANNOT_TELL:
        return verdict
    if outside(desk):
        why: str | None = "Not answered: an error rate was asked for, and nothing of this kind was certified."
    elif arbiter is None:
        why = "Not answered: an error rate was asked for, and without an arbiter none can be promised."
    else:
        gate = desk.context.gate if desk.context.strategy == "auto" else None
        why = arbiter.cutoff(alpha, gate_at=gate).refusal(verdict["confidence"])
    if why is None:
        return verdict
    reason = f"{why} {verdict['reason']}"
    return VerdictRecord(**{**verdict, "text": CANNOT_TELL, "withheld": verdict["text"], "reason": reason})
