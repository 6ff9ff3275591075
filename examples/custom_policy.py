"""A policy of your own in the place of locate and search: `python examples/custom_policy.py`.

Here a colour detector says where to look, on the original's pixels; zoomagent's own nodes cut that out, check it, ask
again, prove that the crops mattered, and decide.
"""

import asyncio
from pathlib import Path

import cv2
import numpy as np

import zoomagent
from zoomagent import Box, Picture, Size, nodes

SCENE = Path(zoomagent.__file__).parent / "data" / "example" / "scene.jpg"


def yellow(picture: Picture) -> Box | None:
    """The box around the largest yellow spot, in pixels of the original."""
    side = Size(picture.size.width // 4, picture.size.height // 4)
    red, green, blue = np.asarray(picture.view(zoomagent.whole(picture.size), side), np.int16).transpose(2, 0, 1)
    mask = (red > 180) & (green > 150) & (blue < 110)
    count, _, spots, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return None
    left, top, width, height = (4 * int(n) for n in max(spots[1:], key=lambda spot: spot[cv2.CC_STAT_AREA])[:4])
    return Box(left, top, left + width, top + height)


@nodes.step
async def point(state: nodes.State, runtime: nodes.Runtime[nodes.Context]) -> nodes.Update:
    """The policy: say what was found, and where."""
    bench = await nodes.bench_of(state, runtime)
    box = yellow(bench.views.picture)
    if box is None:
        return {"settled": "Nothing is yellow.", "steps": nodes.said("Nothing is yellow.")}
    target = nodes.TargetRecord(
        id="target-1", phrase="yellow circle", fate="located", source="", depth=1, box=box.as_list(), crop="",
        seen=None, policy="locate",
    )  # fmt: skip
    return {"targets": [target], "policy": "locate", "steps": nodes.said("The detector points.", [], [box.as_list()])}


def after_point(state: nodes.State) -> str:
    return "weigh" if "settled" in state else "check"


builder = nodes.StateGraph(nodes.State, context_schema=nodes.Context, input_schema=nodes.Question)
for node in (nodes.look, point, nodes.check, nodes.answer, nodes.prove, nodes.weigh, nodes.arbitrate):
    builder.add_node(node)
builder.add_edge(nodes.START, "look")
builder.add_edge("look", "point")
builder.add_conditional_edges("point", after_point, ["check", "weigh"])
builder.add_edge("check", "answer")
builder.add_edge("answer", "prove")
builder.add_edge("prove", "weigh")
builder.add_edge("weigh", "arbitrate")
builder.add_edge("arbitrate", nodes.END)
graph = builder.compile(name="detector")


async def main() -> None:
    model = zoomagent.load_model("nano")
    with zoomagent.open_picture(SCENE) as picture:
        context = nodes.Live(bench=nodes.Bench(nodes.ViewStore(picture, model.profile), model))
        asked = nodes.Question(image=picture.id, question="What is written on the yellow circle?")
        done = await graph.ainvoke(asked, context=context)
    for record in done["steps"]:
        print(f"{record['name']:10} {record['text']}")
    print("answer    ", done["verdict"]["text"], done["outcome"]["kind"])
    await model.aclose()


if __name__ == "__main__":
    asyncio.run(main())
