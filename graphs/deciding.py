"""The policy of a run: look closer or not, in which way, and when it is enough.

`auto` begins with a gate: where the calibrated confidence in the whole picture's answer is high, nothing more is done,
unless the answer claims something about the whole picture ("No", a count, a comparison), which one look never earns.
Then it takes the cheapest way that may work: what can be pointed at is cut out (`point`; without an arbiter, which
would tell a wrong crop, `locate` names, points and checks); what cannot is searched for (`search`); what must be
counted is looked for everywhere (`count`). A model that drives tools itself and gives no likelihoods gets `tools` last.
A named policy is tried alone. Regions that were given with the question are looked at, always, and nothing is searched
for. An answer with crops settles the matter unless it is "Cannot tell", a "No" that was not earned, or one that the
arbiter does not believe; where the original holds more detail than the crop showed, the same
things are looked for once more inside it (a zoom of a zoom). Pure but for opening the picture; no model is asked."""

from collections.abc import Sequence

from zoomagent.confidence import claims
from zoomagent.confidence.learned import gated
from zoomagent.confidence.relations import relates_things
from zoomagent.errors import RunError, SettingInvalid
from zoomagent.graphs.asking import NodeRun
from zoomagent.graphs.endings import model_step, step_words
from zoomagent.graphs.judging import arbiter_of, features_of
from zoomagent.graphs.regions import name_of_region
from zoomagent.graphs.state import Policy, State, TargetRecord, Update, regions_of, stopped
from zoomagent.graphs.weighing import is_no_answer
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
PAIR: tuple[Policy, ...] = ("locate", "search", "tools")
"""The order of `auto` where one thing is compared with another: both are needed, and one crop of both tells little."""
BELIEVED = 0.8
"""Calibrated confidence from which an answer from a crop that was only pointed at settles the matter (ours)."""
WORDS: dict[Policy, str] = {
    "locate": "Look closer: ask what must be seen, and where it is.",
    "point": "Look closer: ask where the answer lies.",
    "count": "Look closer: find all that the question is about.",
    "search": "Look closer: search the picture region by region.",
    "tools": "Look closer: let the model call tools.",
}


@model_step
async def decide(run: NodeRun) -> Update:
    """Whether to look closer, and how."""
    state, context = run.state, run.context
    if context.strategy not in ORDERS:
        text = f"The graph `zoom` has no strategy {context.strategy!r}. Ask the graph `macro_micro`."
        raise SettingInvalid(text)
    if context.budget.depth < 1:
        raise RunError("The budget allows no zoom. Raise its depth.", code="budget_depth")
    reason = why_enough(run)
    if reason:
        return {"settled": reason, "steps": step_words(reason)}
    if state.get("about") and "policy" not in state:
        return begin_with_given(run)
    deeper = deeper_targets(run)
    if deeper:
        return {"targets": deeper, "steps": step_words("The crop does not settle it; look closer inside it.")}
    policy = next_policy(run)
    if policy is not None:
        return begin(state, policy)
    if has_unused_crop(state):
        return {"steps": step_words("Not everything was found; answer with what was.")}
    if has_searched(state):
        return {"steps": step_words("Ask once more, with what the search of the whole picture came to.")}
    return {"settled": "Every way of looking closer was tried.", "steps": step_words("Every way was tried.")}


# What was found


def open_targets(state: State) -> list[TargetRecord]:
    """What is still to be found."""
    return [target for target in state.get("targets", []) if target["fate"] == "wanted"]


def found_targets(state: State) -> list[TargetRecord]:
    """What was found."""
    return [target for target in state.get("targets", []) if target["fate"] == "located"]


def phrases_of(targets: Sequence[TargetRecord]) -> str:
    """The things by name."""
    return ", ".join(target["phrase"] for target in targets)


def has_unused_crop(state: State) -> bool:
    """Whether something was found and cut out, and the question not asked with it yet."""
    used = state["micro"]["views"] if "micro" in state else []
    return any(target["crop"] and target["crop"] not in used for target in found_targets(state))


def has_searched(state: State) -> bool:
    """Whether a search has ended that found nothing, or had all things of a name to find, and that the question was not
    asked with yet."""
    if "searched" in state or state.get("policy") not in ("search", "count"):
        return False
    fates = {target["fate"] for target in state.get("targets", [])}
    return bool(fates) and fates <= {"missing", "counted"}


# When it is enough


def way_out(state: State) -> str | None:
    """The way out: the run has ended, or nothing further can be looked at."""
    if "outcome" in state:
        return "__end__"
    return "weigh" if stopped(state) or "settled" in state else None


def why_enough(run: NodeRun) -> str:
    """Why no further look is needed, or nothing."""
    state, context = run.state, run.context
    if "policy" not in state:
        gates = context.strategy == "auto" and not state.get("about")
        early = gated(features_of(state), arbiter_of(run), context.gate) if gates else None
        return early.reason if early else ""
    if state.get("about") and "micro" in state:
        return "The regions that were given were looked at."
    if state.get("phrases") == [] and state["policy"] != "tools":
        return "The question is about the picture as a whole."
    if "searched" in state:
        return "The whole picture was searched."
    if "micro" not in state or is_no_answer(state["micro"]):
        return ""
    # What was only pointed at must be believed. Once another way of looking was begun, that one has to answer.
    doubtful = state["policy"] != "point" or claims.negative(state["micro"]["text"]) or not is_believed(run)
    if state.get("answered") == "point" and arbiter_of(run) is not None and doubtful:
        return ""
    return "There is an answer from a closer look."


def is_believed(run: NodeRun) -> bool:
    """Whether there is an answer from a closer look that the arbiter holds for right."""
    state, arbiter = run.state, arbiter_of(run)
    if arbiter is None or "micro" not in state or is_no_answer(state["micro"]):
        return False
    return arbiter.judge(features_of(state)).confidence >= BELIEVED


# The next way of looking closer


def deeper_targets(run: NodeRun) -> list[TargetRecord]:
    """The same things, to be looked for inside their crops, where the original shows more than the crop did."""
    state, views = run.state, run.bench.views
    if "micro" not in state or state["policy"] != "locate":
        return []
    deeper: list[TargetRecord] = []
    for target in found_targets(state):
        crop = views.record(target["crop"])
        if target["depth"] >= run.context.budget.depth or size_of(crop).width >= box_of(crop).width:
            return []
        deeper.append({**target, "fate": "wanted", "source": target["crop"], "depth": target["depth"] + 1})
    return deeper


def next_policy(run: NodeRun) -> Policy | None:
    """The next way, the cheapest first, that was not tried and that this model can go."""
    state, strategy = run.state, run.context.strategy
    if strategy in ("auto", "search") and claims.counts(state["question"]):
        order = COUNTS
    elif strategy == "auto" and relates_things(state["question"]):
        order = PAIR
    else:
        order = BY_ARBITER if strategy == "auto" and arbiter_of(run) is not None else ORDERS[strategy]
    # `auto` lets a model call tools only where no likelihoods say what its own looks are worth.
    likelihoods = "macro" not in state or state["macro"]["likelihood"] is not None
    tools = strategy == "tools" or (not likelihoods and run.bench.model.profile.tool_dialect != "none")
    left = [policy for policy in order if policy not in state.get("tried", []) and (tools or policy != "tools")]
    return left[0] if left else None


def begin_with_given(run: NodeRun) -> Update:
    """The state in which the regions of the question are looked at: they are where to look, so nothing is searched."""
    policy: Policy = "tools" if run.context.strategy == "tools" else "locate"
    targets = [
        TargetRecord(
            id=f"target-{number + 1}",
            phrase=name_of_region(number),
            fate="located",
            source="",
            depth=1,
            box=box.as_list(),
            crop="",
            seen=None,
            policy=policy,
            given=True,
        )
        for number, box in enumerate(regions_of(run.state))
    ]
    words = step_words("Look closer: at what was given to be looked at.", boxes=[t["box"] or [] for t in targets])
    return {"policy": policy, "tried": [policy], "targets": targets, "steps": words}


def begin(state: State, policy: Policy) -> Update:
    """The state in which a policy begins: what was not found, or did not answer, is wanted again."""
    targets: list[TargetRecord]
    if state.get("policy") == "point":
        # What was pointed at by the question has no name to search for; `name` asks for the names.
        targets = [{**target, "fate": "missing"} for target in found_targets(state)]
    else:
        again = found_targets(state) if "micro" in state else []
        missing = [target for target in state.get("targets", []) if target["fate"] == "missing"]
        targets = [
            {**t, "box": None, "crop": "", "seen": None, "source": "", "depth": 1, "fate": "wanted", "policy": policy}
            for t in (*again, *missing)
        ]
    tried = [*state.get("tried", []), policy]
    return {"policy": policy, "tried": tried, "targets": targets, "steps": step_words(WORDS[policy])}
