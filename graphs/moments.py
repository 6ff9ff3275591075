"""When in a clip or sound: a state machine that finds something in time, bounds it, and proves it.

    START -> understand -> seek (a stretch a step) -> bound (a look a step) -> prove -> tell -> END
                              |                          |
                              |                          |
                              +---- never there ---------+--> tell
    "Where is what sounds?" of a clip: understand -> source -> tell

The run's picture is a sheet of the clip or sound (`media/video/sheet.py`); its views may show other sheets of the same
clip. State, budgets and outcomes are those of `zoom.py`. A question about what is to be seen ends with the moment in
which to look: `zoomagent/clips.py` hands it on to `zoom.py`, on the frame that was found. The nodes are in `when.py`.
"""

from langgraph.graph import END, START, StateGraph

from zoomagent.graphs.context import Context
from zoomagent.graphs.endings import choice
from zoomagent.graphs.sounding import source
from zoomagent.graphs.state import Question, State, stopped
from zoomagent.graphs.when import bound, prove, seek, tell, unbounded, understand, wanted


def next_node(state: State) -> str:
    """Bound what was found, seek what is wanted, and tell when both is done or nothing more may be spent."""
    if "outcome" in state:
        return END
    if stopped(state):
        return "tell"
    if state["timing"]["kind"] == "source":
        return "tell" if any(step["name"] == "source" for step in state["steps"]) else "source"
    if unbounded(state):
        return "bound"
    if wanted(state):
        return "seek"
    provable = state.get("moments") and state["timing"]["kind"] != "look" and "shown" not in state
    return "prove" if provable else "tell"


builder = StateGraph(State, context_schema=Context, input_schema=Question)
for node in (understand, seek, bound, prove, source, tell):
    builder.add_node(node)
builder.add_edge(START, "understand")
for name in ("understand", "seek", "bound"):
    builder.add_conditional_edges(name, choice(next_node), ["seek", "bound", "prove", "source", "tell", END])
for name in ("prove", "source"):
    builder.add_conditional_edges(name, choice(lambda state: END if "outcome" in state else "tell"), ["tell", END])
builder.add_edge("tell", END)

graph = builder.compile(name="moments")
"""For `langgraph dev` and Studio; elsewhere compile `builder` with a checkpointer."""
