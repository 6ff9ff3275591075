"""A policy of your own in the place of locate and search: `python examples/custom_policy.py`.

Here a colour detector says where to look, on the original's pixels; zoomagent's own nodes cut that out, check it, ask
again, prove that the crops mattered, and decide.
"""

import asyncio
from pathlib import Path

import cv2
import numpy as np
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

import zoomagent
from zoomagent.geometry import Box, Size, whole
from zoomagent.graphs.closing import answer, prove
from zoomagent.graphs.context import Bench, Context, Live, bench_of
from zoomagent.graphs.endings import said, step
from zoomagent.graphs.judging import arbitrate
from zoomagent.graphs.locating import check
from zoomagent.graphs.macro_micro import look
from zoomagent.graphs.state import Question, State, TargetRecord, Update
from zoomagent.graphs.zoom import weigh
from zoomagent.media import Picture, open_picture
from zoomagent.models.loading import load_model
from zoomagent.tools.viewing import ViewStore

SCENE = Path(zoomagent.__file__).parent / "data" / "example" / "scene.jpg"


def yellow(picture: Picture) -> Box | None:
    """The box around the largest yellow spot, in pixels of the original."""
    side = Size(picture.size.width // 4, picture.size.height // 4)
    red, green, blue = np.asarray(picture.view(whole(picture.size), side), np.int16).transpose(2, 0, 1)
    mask = (red > 180) & (green > 150) & (blue < 110)
    count, _, spots, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return None
    left, top, width, height = (4 * int(n) for n in max(spots[1:], key=lambda spot: spot[cv2.CC_STAT_AREA])[:4])
    return Box(left, top, left + width, top + height)


@step
async def point(state: State, runtime: Runtime[Context]) -> Update:
    """The policy: say what was found, and where."""
    bench = await bench_of(state, runtime)
    box = yellow(bench.views.picture)
    if box is None:
        return {"settled": "Nothing is yellow.", "steps": said("Nothing is yellow.")}
    target = TargetRecord(
        id="target-1", phrase="yellow circle", fate="located", source="", depth=1, box=box.as_list(), crop="",
        seen=None, policy="locate",
    )  # fmt: skip
    return {"targets": [target], "policy": "locate", "steps": said("The detector points.", [], [box.as_list()])}


def after_point(state: State) -> str:
    return "weigh" if "settled" in state else "check"


builder = StateGraph(State, context_schema=Context, input_schema=Question)
for node in (look, point, check, answer, prove, weigh, arbitrate):
    builder.add_node(node)
builder.add_edge(START, "look")
builder.add_edge("look", "point")
builder.add_conditional_edges("point", after_point, ["check", "weigh"])
builder.add_edge("check", "answer")
builder.add_edge("answer", "prove")
builder.add_edge("prove", "weigh")
builder.add_edge("weigh", "arbitrate")
builder.add_edge("arbitrate", END)
graph = builder.compile(name="detector")


async def main() -> None:
    model = load_model("nano")
    with open_picture(SCENE) as picture:
        context = Live(bench=Bench(ViewStore(picture, model.profile), model))
        asked = Question(image=picture.id, question="What is written on the yellow circle?")
        done = await graph.ainvoke(asked, context=context)
    for record in done["steps"]:
        print(f"{record['name']:10} {record['text']}")
    print("answer    ", done["verdict"]["text"], done["outcome"]["kind"])
    await model.aclose()


if __name__ == "__main__":
    asyncio.run(main())
