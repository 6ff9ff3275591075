"""zoomagent as a node of your own LangGraph graph: `python examples/langgraph_subgraph.py`.

The outer state shares the names it wants to share; `verdict` and `outcome` come back.
"""

import asyncio
import os
from pathlib import Path
from typing import Any

from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

import zoomagent
from zoomagent import Context, zoom_graph

EXAMPLE = Path(zoomagent.__file__).parent / "data" / "example"


class Inspection(TypedDict, total=False):
    image: str
    question: str
    verdict: Any
    outcome: Any
    report: str


def plan(state: Inspection) -> Inspection:
    return {"question": "What is written on the yellow circle?"}


def write(state: Inspection) -> Inspection:
    verdict = state["verdict"]
    return {"report": f"{state['image']}: number {verdict['text']} ({verdict['confidence']:.2f})\n{verdict['reason']}"}


def main() -> None:
    os.environ["ZOOMAGENT_IMAGES"] = str(EXAMPLE)  # the one folder from which the node opens pictures
    builder = StateGraph(Inspection, context_schema=Context)
    builder.add_node("plan", plan)
    builder.add_node("zoom", zoom_graph)
    builder.add_node("write", write)
    builder.add_edge(START, "plan")
    builder.add_edge("plan", "zoom")
    builder.add_edge("zoom", "write")
    done = asyncio.run(builder.compile().ainvoke({"image": "scene.jpg"}, context=Context(strategy="search")))
    print(done["report"])


if __name__ == "__main__":
    main()
