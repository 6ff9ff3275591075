"""A supervisor agent that has pictures looked at by a tool: `python examples/langgraph_supervisor.py`.

The supervisor is scripted here, so that it runs without a key; put your own chat model in its place.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

import zoomagent
from zoomagent import all_tools, named_opener

SCENE = Path(zoomagent.__file__).parent / "data" / "example" / "scene.jpg"
ASKED = {"image": "scene", "question": "What is written on the yellow circle?", "strategy": "search"}


class Supervisor(GenericFakeChatModel):
    """Says what its script says. A real one reads the tool's answer."""

    def bind_tools(self, tools: Sequence[Any], **options: Any) -> Runnable[Any, AIMessage]:
        return self


def supervised(chat: Supervisor, tools: Sequence[BaseTool]) -> Any:
    """The agent: it thinks, has a tool called where it wants to, and thinks again."""
    supervisor = chat.bind_tools(tools)

    def think(state: MessagesState) -> dict[str, list[AnyMessage]]:
        return {"messages": [supervisor.invoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("think", think)
    builder.add_node("tools", ToolNode(tools))
    builder.add_edge(START, "think")
    builder.add_conditional_edges("think", tools_condition)
    builder.add_edge("tools", "think")
    return builder.compile()


def main() -> None:
    call = {"type": "tool_call", "id": "1", "name": "answer_about_image", "args": ASKED}
    script = [AIMessage("Let me look closer.", tool_calls=[call]), AIMessage("The circle's number is in the answer.")]
    with zoomagent.ZoomAgent() as agent:
        graph = supervised(Supervisor(messages=iter(script)), all_tools(agent, named_opener({"scene": SCENE})))
        done = graph.invoke({"messages": [HumanMessage("Which number is on the yellow circle?")]})
    for message in done["messages"]:
        print(f"{message.type:6} {message.text}")
    told = done["messages"][2]
    print("evidence", [block["type"] for block in told.content_blocks], told.artifact["boxes"][0]["pixels"])


if __name__ == "__main__":
    main()
