"""The agent as a state machine: look, decide, act with tools, check, and arbitrate.

    START -> look -> decide --------------------------------------> weigh -> arbitrate -> END
                      |  ^                                            ^
                      |  +------------------ prove <- answer          | settled, or the budget is spent
                      v                                 ^             |
       point:  point -> confirm? -> check ----------------------------+
       locate: name -> ground (each thing) -> confirm? -> check ------+
       search: name -> search (a region a step) -> confirm? -> check -+
               or, where nothing was found, conclude
       count:  name -> count (a view a step) -> conclude
       tools:  drive (a turn a step) -> prove

Every view is cut from the original, zooms go into zooms, and every way ends in exactly one outcome. What the policies
do is in `locating.py`, `searching.py`, `driving.py`; when it is enough in `deciding.py`; the end of a closer look in
`closing.py`; the verdict in `judging.py`. DualFocus alone is the graph of `macro_micro.py`.

    await graph.ainvoke({"image": "photo.jpg", "question": "..."}, context=Context(model="nano"))
"""

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send

from zoomagent.confidence.replies import plain
from zoomagent.graphs.asking import NodeRun
from zoomagent.graphs.closing import answer, conclude, is_provable, prove
from zoomagent.graphs.context import Context
from zoomagent.graphs.deciding import (
    ORDERS,
    decide,
    found_targets,
    has_searched,
    has_unused_crop,
    open_targets,
    way_out,
)
from zoomagent.graphs.driving import drive
from zoomagent.graphs.endings import choice, model_step, step_words
from zoomagent.graphs.judging import arbiter_of, arbitrate
from zoomagent.graphs.locating import check, confirm, ground, name, point
from zoomagent.graphs.looking import look
from zoomagent.graphs.searching import count, search
from zoomagent.graphs.state import Question, State, Update
from zoomagent.graphs.tagging import tag
from zoomagent.graphs.weighing import needs_weighing, weigh_answers

Next = str | list[Send]
STRATEGIES = tuple(ORDERS)
"""The strategies that this graph runs."""


@model_step
async def weigh(run: NodeRun) -> Update:
    """Measure two different answers by one yardstick, where the rule needs it."""
    # Both answers are scored in one dialogue by DualFocus' rule, or where nothing better is at hand.
    rule = run.context.rule
    if not needs_weighing(run.state) or not (rule == "dualfocus" or (rule == "learned" and arbiter_of(run) is None)):
        return {}
    return {**await weigh_answers(run), "steps": step_words("Scored both answers in the dialogue with the crops.")}


# Routes


def route_after_look(state: State) -> str:
    return way_out(state) or ("tag" if state.get("tagging") else "decide")


def route_after_decide(state: State) -> Next:
    out = way_out(state)
    if out:
        return out
    policy = state.get("policy")
    if any(target.get("given") and not target["crop"] for target in found_targets(state)):
        return "check"  # a region that was given was not cut out yet
    if policy == "tools":
        return "drive"
    if policy == "point" and not state.get("targets"):
        return "point"
    if "phrases" not in state and not found_targets(state):
        return "name"
    if open_targets(state):
        return _search_for(state)
    return "conclude" if has_searched(state) and not has_unused_crop(state) else "answer"


def route_after_name(state: State) -> Next:
    return way_out(state) or (_search_for(state) if open_targets(state) else "decide")


def route_after_search(state: State) -> Next:
    return way_out(state) or ("search" if open_targets(state) else "confirm" if found_targets(state) else "decide")


def route_after_count(state: State) -> str:
    return way_out(state) or ("count" if open_targets(state) else "decide")


def route_after_point(state: State) -> str:
    return way_out(state) or ("confirm" if found_targets(state) else "decide")


def route_after_check(state: State) -> str:
    """Answer when everything was found, or when what is missing was looked for in every way."""
    out = way_out(state)
    if out:
        return out
    if state.get("policy") == "tools":
        return "drive"
    everything = found_targets(state) and len(found_targets(state)) == len(state["targets"])
    return "answer" if everything else "decide"


def route_after_answer(state: State, runtime: Runtime[Context]) -> str:
    out, context = way_out(state), runtime.context
    if out or not context.proof or not is_provable(state):
        return out or "decide"
    # `auto` does not pay for the proof that a crop mattered which changed nothing.
    changed = plain(state["micro"]["text"]) != plain(state["macro"]["text"])
    return "prove" if changed or context.strategy != "auto" else "decide"


def route_after_drive(state: State, runtime: Runtime[Context]) -> str:
    if "micro" in state and state.get("closer") == "tools":
        return route_after_answer(state, runtime)
    return way_out(state) or "drive"


def _search_for(state: State) -> Next:
    """Point at everything wanted at once, or search for it, or count it, one after the other."""
    policy = state.get("policy")
    if policy in ("search", "count"):
        return policy
    return [Send("ground", {**state, "sent": target["id"]}) for target in open_targets(state)]


# Graph

builder = StateGraph(State, context_schema=Context, input_schema=Question)
for node in (
    look, tag, decide, point, name, ground, confirm, search, count, drive, check, answer, conclude, prove, weigh,
    arbitrate,
):  # fmt: skip
    builder.add_node(node)
builder.add_edge(START, "look")
builder.add_conditional_edges("look", choice(route_after_look), ["tag", "decide", "weigh", END])
builder.add_conditional_edges("tag", choice(lambda state: way_out(state) or "decide"), ["decide", "weigh", END])
builder.add_conditional_edges(
    "decide",
    choice(route_after_decide),
    ["point", "name", "ground", "search", "count", "drive", "check", "weigh", "answer", "conclude", END],
)
builder.add_conditional_edges("point", choice(route_after_point), ["confirm", "decide", "weigh", END])
builder.add_conditional_edges("name", choice(route_after_name), ["ground", "search", "count", "decide", "weigh", END])
builder.add_conditional_edges("count", choice(route_after_count), ["count", "decide", "weigh", END])
builder.add_conditional_edges("conclude", choice(lambda state: way_out(state) or "decide"), ["decide", "weigh", END])
builder.add_edge("ground", "confirm")
builder.add_conditional_edges("confirm", choice(lambda state: way_out(state) or "check"), ["check", "weigh", END])
builder.add_conditional_edges("search", choice(route_after_search), ["search", "confirm", "decide", "weigh", END])
builder.add_conditional_edges("drive", choice(route_after_drive), ["drive", "prove", "decide", "weigh", END])
builder.add_conditional_edges("check", choice(route_after_check), ["answer", "drive", "decide", "weigh", END])
builder.add_conditional_edges("answer", choice(route_after_answer), ["prove", "decide", "weigh", END])
builder.add_conditional_edges("prove", choice(lambda state: way_out(state) or "decide"), ["decide", "weigh", END])
builder.add_conditional_edges(
    "weigh", choice(lambda state: "__end__" if "outcome" in state else "arbitrate"), ["arbitrate", END]
)
builder.add_edge("arbitrate", END)

graph = builder.compile(name="zoom")
"""For `langgraph dev` and Studio, which bring their own checkpointer; elsewhere compile `builder` with one."""
