"""The policy of a run: look closer or not, in which way, and when it is enough.

`auto` begins with a gate: where the calibrated confidence in the whole picture's answer is high, nothing more is done,
unless the answer claims something about the whole picture ("No", a count, a comparison), which one look never earns.
Then it takes the cheapest way that may work: what can be pointed at is cut out (`point`; without an arbiter, which
would tell a wrong crop, `locate` names, points and checks); what cannot is searched for (`search`); what must be
counted is looked for everywhere (`count`). A model that drives tools itself and gives no likelihoods gets `tools` last.
A named policy is tried alone. An answer with crops settles the matter unless it is "Cannot tell", a "No" that was not
earned, or one that the arbiter does not believe; where the original holds more detail than the crop showed, the same
things are looked for once more inside it (a zoom of a zoom). Pure but for opening the picture; no model is asked."""

from collections.abc import Sequence

from langgraph.runtime import Runtime

from zoomagent.confidence import claims
from zoomagent.confidence.learned import gated
from zoomagent.errors import RunError, SettingInvalid
from zoomagent.graphs.asking import Desk, desk_of
from zoomagent.graphs.context import Context
from zoomagent.graphs.endings import said, step
from zoomagent.graphs.judging import arbiter_of, features_of
from zoomagent.graphs.state import Policy, State, TargetRecord, Update, stopped
from zoomagent.graphs.weighing import abstained
from zoomagent.tools.viewing import box_of, size_of

ORDERS: dict[str, tuple[Policy, ...]] = {
    "tools": ("tools",),
    "locate": ("locate",),
    "search": ("search",),
    "auto": ("locate", "search", "tools"),
}
BY_ARBITER: tuple[Policy, ...] = ("point", "search", "tools")
"""The order of `auto` where an arbiter can tell a crop that shows nothing of use."""
COUNTS: tuple[Policy, ...] = ("count",)
"""The order of `auto` and `search` where all things of a name must be found."""
BELIEVED = 0.8
"""Calibrated confidence from which an answer from a crop that was only pointed at settles the matter (ours)."""
WORDS: dict[Policy, str] = {
    "locate": "Look closer: ask what must be seen, and where it is.",
    "point": "Look closer: ask where the answer lies.",
    "count": "Look closer: find all that the question is about.",
    "search": "Look closer: search the picture region by region.",
    "tools": "Look closer: let the model call tools.",
}


@step
async def decide(state: State, runtime: Runtime[Context]) -> Update:
    """Whether to look closer, and how."""
    if runtime.context.strategy not in ORDERS:
        text = f"The graph `zoom` has no strategy {runtime.context.strategy!r}. Ask the graph `macro_micro`."
        raise SettingInvalid(text)
    desk = await desk_of("decide", state, runtime)
    if desk.context.budget.depth < 1:
        raise RunError("The budget allows no zoom. Raise its depth.", code="budget_depth")
    reason = _enough(desk)
    if reason:
        return {"settled": reason, "steps": said(reason)}
    deeper = _deeper(desk)
    if deeper:
        return {"targets": deeper, "steps": said("The crop does not settle it; look closer inside it.")}
    policy = _next(desk)
    if policy is not None:
        return _begun(state, policy)
    if unanswered(state):
        return {"steps": said("Not everything was found; answer with what was.")}
    if searched_for(state):
        return {"steps": said("Ask once more, with what the search of the whole picture came to.")}
    return {"settled": "Every way of looking closer was tried.", "steps": said("Every way was tried.")}


def wanted(state: State) -> list[TargetRecord]:
    """What is still to be found."""
    return [target for target in state.get("targets", []) if target["fate"] == "wanted"]


def located(state: State) -> list[TargetRecord]:
    """What was found."""
    return [target for target in state.get("targets", []) if target["fate"] == "located"]


def unanswered(state: State) -> bool:
    """Whether something was found and cut out, and the question not asked with it yet."""
    shown = state["micro"]["views"] if "micro" in state else []
    return any(target["crop"] and target["crop"] not in shown for target in located(state))


def searched_for(state: State) -> bool:
    """Whether a search has ended that found nothing, or had all things of a name to find, and that the question was not
    asked with yet."""
    if "searched" in state or state.get("policy") not in ("search", "count"):
        return False
    fates = {target["fate"] for target in state.get("targets", [])}
    return bool(fates) and fates <= {"missing", "counted"}


def _enough(desk: Desk) -> str:
    """Why no further look is needed, or nothing."""
    state, context = desk.state, desk.context
    if "policy" not in state:
        early = gated(features_of(state), arbiter_of(desk), context.gate) if context.strategy == "auto" else None
        return early.reason if early else ""
    if state.get("phrases") == [] and state["policy"] != "tools":
        return "The question is about the picture as a whole."
    if "searched" in state:
        return "The whole picture was searched."
    if "micro" in state and not abstained(state["micro"]) and not _doubtful(desk):
        return "There is an answer from a closer look."
    return ""


def _doubtful(desk: Desk) -> bool:
    """Whether an answer from a crop that was only pointed at needs another way of looking. Once one was begun, that one
    has to answer."""
    state = desk.state
    if state.get("answered") != "point" or arbiter_of(desk) is None:
        return False
    return state["policy"] != "point" or claims.negative(state["micro"]["text"]) or not believed(desk)


def believed(desk: Desk) -> bool:
    """Whether there is an answer from a closer look that the arbiter holds for right."""
    state, arbiter = desk.state, arbiter_of(desk)
    if arbiter is None or "micro" not in state or abstained(state["micro"]):
        return False
    return arbiter.judge(features_of(state)).confidence >= BELIEVED


def _deeper(desk: Desk) -> list[TargetRecord]:
    """The same things, to be looked for inside their crops, where the original shows more than the crop did."""
    state, views = desk.state, desk.bench.views
    if "micro" not in state or state["policy"] != "locate":
        return []
    found = located(state)
    for target in found:
        crop = views.record(target["crop"])
        if target["depth"] >= desk.context.budget.depth or size_of(crop).width >= box_of(crop).width:
            return []
    return [TargetRecord(**{**t, "fate": "wanted", "source": t["crop"], "depth": t["depth"] + 1}) for t in found]


def _next(desk: Desk) -> Policy | None:
    """The next way that was not tried and that this model can go."""
    tried = desk.state.get("tried", [])
    untried = [policy for policy in _order(desk) if policy not in tried]
    return next((policy for policy in untried if _can(desk, policy)), None)


def _order(desk: Desk) -> tuple[Policy, ...]:
    """The ways of looking closer for this question, the cheapest first."""
    strategy = desk.context.strategy
    if strategy in ("auto", "search") and claims.counts(desk.state["question"]):
        return COUNTS
    return BY_ARBITER if strategy == "auto" and arbiter_of(desk) is not None else ORDERS[strategy]


def _can(desk: Desk, policy: Policy) -> bool:
    if policy != "tools" or desk.context.strategy == "tools":
        return True
    likelihoods = desk.state["macro"]["likelihood"] is not None if "macro" in desk.state else True
    return not likelihoods and desk.bench.model.profile.tool_dialect != "none"


def _begun(state: State, policy: Policy) -> Update:
    """The state in which a policy begins: what was not found, or did not answer, is wanted again."""
    pointed = state.get("policy") == "point"
    again = located(state) if "micro" in state and not pointed else []
    missing = [target for target in state.get("targets", []) if target["fate"] == "missing"]
    fresh = [_afresh(target, policy) for target in (*again, *missing)]
    if pointed:
        # What was pointed at by the question has no name to search for; `name` asks for the names.
        fresh = [TargetRecord(**{**target, "fate": "missing"}) for target in located(state)]
    tried = [*state.get("tried", []), policy]
    return {"policy": policy, "tried": tried, "targets": fresh, "steps": said(WORDS[policy])}


def _afresh(target: TargetRecord, policy: Policy) -> TargetRecord:
    kept = {"box": None, "crop": "", "seen": None, "source": "", "depth": 1}
    return TargetRecord(**{**target, **kept, "fate": "wanted", "policy": policy})  # type: ignore[typeddict-item]


def leave(state: State) -> str | None:
    """The way out: the run has ended, or nothing further can be looked at."""
    if "outcome" in state:
        return "__end__"
    return "weigh" if stopped(state) or "settled" in state else None


def phrases_of(targets: Sequence[TargetRecord]) -> str:
    return ", ".join(target["phrase"] for target in targets)
