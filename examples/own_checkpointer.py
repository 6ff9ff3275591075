"""Keep runs in a checkpointer of your own, here LangGraph's in memory: `python examples/own_checkpointer.py`.

A run that was killed goes on where it was when it is asked again under its name; a finished one returns its answer. A
path (`checkpointer="runs.sqlite"`) keeps them in a file; Postgres and others are LangGraph's packages.
"""

from pathlib import Path

from langgraph.checkpoint.memory import InMemorySaver

import zoomagent

SCENE = Path(zoomagent.__file__).parent / "data" / "example" / "scene.jpg"
QUESTION = "What is written on the yellow circle?"


def main() -> None:
    saver = InMemorySaver()
    with zoomagent.ZoomAgent(strategy="search", checkpointer=saver) as agent:
        first = agent.ask(SCENE, QUESTION, thread_id="circle-1")
        again = agent.ask(SCENE, QUESTION, thread_id="circle-1")
        other = agent.ask(SCENE, "Is it a circle?", thread_id="circle-1")
    print("answer", first.text, "after", first.cost.model_calls, "calls")
    print("the same run again, without a call:", again.text == first.text and again.steps == first.steps)
    print("another question under its name:", other.outcome.code)
    print("checkpoints:", len(list(saver.list({"configurable": {"thread_id": "circle-1"}}))))


if __name__ == "__main__":
    main()
