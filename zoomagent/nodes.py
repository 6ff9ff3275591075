"""zoomagent's own nodes and what they work on, for a graph of your own: `examples/custom_policy.py`.

    from zoomagent import nodes

    builder = nodes.StateGraph(nodes.State, context_schema=nodes.Context, input_schema=nodes.Question)
    builder.add_node(nodes.look)

A node takes the state and the runtime, and returns an update. Left out: how they are wired (`graphs/zoom.py`).
"""

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from zoomagent.graphs.closing import answer, prove
from zoomagent.graphs.context import Bench, Context, Live, bench_of
from zoomagent.graphs.endings import step
from zoomagent.graphs.endings import step_words as said
from zoomagent.graphs.judging import arbitrate
from zoomagent.graphs.locating import check
from zoomagent.graphs.looking import look
from zoomagent.graphs.state import Question, State, TargetRecord, Update
from zoomagent.graphs.zoom import weigh
from zoomagent.tools.viewing import ViewStore

__all__ = [
    "END",
    "START",
    "Bench",
    "Context",
    "Live",
    "Question",
    "Runtime",
    "State",
    "StateGraph",
    "TargetRecord",
    "Update",
    "ViewStore",
    "answer",
    "arbitrate",
    "bench_of",
    "check",
    "look",
    "prove",
    "said",
    "step",
    "weigh",
]
