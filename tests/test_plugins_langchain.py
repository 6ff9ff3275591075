"""The tools inside LangChain and LangGraph: content and artifact, sync and async, in agents and as a subgraph."""

import asyncio
import base64
import io
import operator
import runpy
import threading
from pathlib import Path
from typing import Annotated, Any

import pytest
from fake_model import FakeModel
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.graph import END, START, StateGraph
from mcp_world import LEAK, MARK, Stuck, data_url, dualfocus_model, picture, until
from PIL import Image
from typing_extensions import TypedDict

from zoomagent import ZoomAgent
from zoomagent.graphs import macro_micro, zoom
from zoomagent.graphs.context import Bench, Context, Live
from zoomagent.media import open_picture
from zoomagent.plugins.langchain import STEP, ZoomTool, all_tools
from zoomagent.plugins.offers.inputs import named_opener
from zoomagent.plugins.offers.offers import OFFERS
from zoomagent.plugins.offers.public import PublicAnswer
from zoomagent.tools.viewing import ViewStore

ASKED = {"image": "scan", "question": "What is written there?"}


def agent_of(model: FakeModel) -> ZoomAgent:
    return ZoomAgent(model, strategy="dualfocus", rule="dualfocus")


def tool_of(agent: ZoomAgent) -> ZoomTool:
    return ZoomTool(agent=agent, opener=named_opener({"scan": picture()}))


def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_call", "id": "call-1", "name": name, "args": arguments}


def check(message: ToolMessage) -> None:
    """One text, one crop with the square in it, and the answer as plain JSON."""
    text, image = message.content_blocks
    assert text["type"] == "text" and text["text"].startswith("42") and image["type"] == "image"
    with Image.open(io.BytesIO(base64.b64decode(image["base64"]))) as crop:
        assert crop.format == "JPEG" and image["mime_type"] == "image/jpeg"
    answer = PublicAnswer.model_validate(message.artifact, strict=False)
    assert answer.answer == "42" and answer.boxes[0].pixels[2] >= MARK[2]


def test_a_call_gives_text_crop_and_artifact() -> None:
    with agent_of(dualfocus_model()) as agent:
        check(tool_of(agent).invoke(call("answer_about_image", ASKED)))


def test_it_works_inside_a_running_loop_both_ways() -> None:
    async def both() -> None:
        with agent_of(dualfocus_model()) as agent:
            check(tool_of(agent).invoke(call("answer_about_image", ASKED)))
        with agent_of(dualfocus_model()) as agent:
            check(await tool_of(agent).ainvoke(call("answer_about_image", ASKED)))

    asyncio.run(both())


def test_every_step_is_an_event() -> None:
    async def names() -> list[str]:
        with agent_of(dualfocus_model()) as agent:
            events = tool_of(agent).astream_events(call("answer_about_image", ASKED), version="v2")
            told: list[Any] = [event["data"] async for event in events if event["name"] == STEP]
        return [step["name"] for step in told]

    told = asyncio.run(names())
    assert told[:2] == ["look", "locate"] and told[-1] == "arbitrate"


def test_every_step_reaches_the_callbacks_of_a_sync_call() -> None:
    told: list[str] = []

    class Listening(BaseCallbackHandler):
        def on_custom_event(self, name: str, data: Any, **more: Any) -> None:
            told.append(f"{name} {data['name']}")

    with agent_of(dualfocus_model()) as agent:
        tool_of(agent).invoke(call("answer_about_image", ASKED), config={"callbacks": [Listening()]})
    assert told[0] == f"{STEP} look" and told[-1] == f"{STEP} arbitrate"


def test_sync_calls_of_all_tools_share_one_thread() -> None:
    def threads() -> int:
        return sum(thread.name == "zoomagent" for thread in threading.enumerate())

    with agent_of(FakeModel(respond=lambda call: "42")) as agent:
        before = threads()
        for crop in [all_tools(agent, named_opener({"scan": picture()}))[1] for _ in range(5)]:
            shown = crop.invoke(call("crop", {"image": "scan", "box": [0.5, 0.5, 0.6, 0.7]}))
            assert shown.status == "success"
        assert threads() <= before + 1


def test_a_cancelled_call_cancels_its_run() -> None:
    model = Stuck()

    async def ask() -> None:
        with agent_of(model) as agent:
            asked = asyncio.create_task(tool_of(agent).ainvoke(call("answer_about_image", ASKED)))
            await until(lambda: bool(model.history))
            asked.cancel()
            await until(lambda: model.stopped == 1, seconds=1.0)

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("answer_about_image", {"image": "scan"}, "tool_args_invalid"),
        ("answer_about_image", {**ASKED, "path": "/etc"}, "tool_args_invalid"),
        ("crop", {"image": "scan", "box": [5, 5, 9, 9]}, "box_invalid"),
        ("crop", {"image": "/etc/passwd", "box": [0.1, 0.1, 0.2, 0.2]}, "path_not_allowed"),
        ("crop", {"image": "scan", "box": "all"}, "tool_args_invalid"),
    ],
)
def test_what_a_model_calls_wrongly_it_is_told(name: str, arguments: dict[str, Any], code: str) -> None:
    with agent_of(FakeModel()) as agent:
        tools = {tool.name: tool for tool in all_tools(agent, named_opener({"scan": picture()}))}
        message = tools[name].invoke(call(name, arguments))
    assert message.status == "error" and str(message.content).startswith(f"{code}: ")
    assert not LEAK.search(str(message.content))


def test_a_refused_picture_is_an_error_of_the_tool_not_an_exception() -> None:
    with agent_of(FakeModel()) as agent:
        message = ZoomTool(agent=agent).invoke(call("answer_about_image", {**ASKED, "image": "/etc/passwd"}))
    assert message.status == "error" and str(message.content).startswith("path_not_allowed: ")


def test_all_tools_are_offered_with_their_own_schemas() -> None:
    with agent_of(FakeModel()) as agent:
        tools = all_tools(agent)
        assert [tool.name for tool in tools] == [offer.name for offer in OFFERS]
        for tool, offer in zip(tools, OFFERS, strict=True):
            assert tool.get_input_schema() is offer.arguments and tool.description == offer.text
        crop = all_tools(agent, named_opener({"scan": picture()}))[1]
        shown = crop.invoke(call("crop", {"image": "scan", "box": [0.5, 0.5, 0.6, 0.7]}))
    assert shown.artifact["box"]["pixels"] == list(MARK)


def test_a_supervisor_agent_calls_it_and_reads_what_it_says() -> None:
    example = runpy.run_path(str(Path(__file__).parent.parent / "examples" / "langgraph_supervisor.py"))
    turns = [AIMessage("", tool_calls=[call("answer_about_image", ASKED)]), AIMessage("It says 42.")]
    with agent_of(dualfocus_model()) as agent:
        graph = example["supervised"](example["Supervisor"](messages=iter(turns)), [tool_of(agent)])
        done = graph.invoke({"messages": [HumanMessage("What is written on the scan?")]})
    _, _, told, last = done["messages"]
    check(told)
    assert last.content == "It says 42."


class Report(TypedDict, total=False):
    """The state of a graph around ours: it shares the names it wants to share."""

    image: str
    question: str
    verdict: Any
    outcome: Any
    report: Annotated[list[str], operator.add]


def around(graph: Any) -> Any:
    def write(state: Report) -> Report:
        return {"report": [f"{state['outcome']['kind']}: {state['verdict']['text']}"]}

    builder = StateGraph(Report, context_schema=Context)
    builder.add_node("zoom", graph)
    builder.add_node("write", write)
    builder.add_edge(START, "zoom")
    builder.add_edge("zoom", "write")
    builder.add_edge("write", END)
    return builder.compile()


def test_the_graph_is_a_node_of_another_graph_which_sees_what_it_shares() -> None:
    model = dualfocus_model()
    with open_picture(picture()) as opened:
        bench = Bench(ViewStore(opened, model.profile), model)
        live = Live(strategy="dualfocus", rule="dualfocus", bench=bench)
        asked = {"image": "scan", "question": "What is written there?"}
        done = asyncio.run(around(macro_micro.graph).ainvoke(asked, context=live))
    assert done["report"] == ["answered: 42"] and "views" not in done


def test_as_a_node_it_opens_data_urls_by_itself() -> None:
    context = Context(model="nano", strategy="auto", proof=False)
    scene = Image.open(Path(__file__).parents[1] / "zoomagent" / "data" / "example" / "scene.jpg").resize((512, 512))
    asked = {"image": data_url(scene), "question": "What colour is the background?"}
    done = asyncio.run(around(zoom.graph).ainvoke(asked, context=context))
    assert done["outcome"]["kind"].startswith("answered") and done["report"]
