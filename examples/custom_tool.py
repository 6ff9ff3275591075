"""A tool of your own, made of zoomagent's: where is it, and is it really there? `python examples/custom_tool.py`.

`awork` lends the open picture and the model in the loop they belong to. Views are named, cut from the original, and may
be cut again; boxes are pixels of the original.
"""

import asyncio
from functools import partial
from pathlib import Path

import zoomagent
from zoomagent import Bench, search, sees

SCENE = Path(zoomagent.__file__).parent / "data" / "example" / "scene.jpg"


async def find(bench: Bench, thing: str) -> str:
    """Searches for `thing`, and asks once more with nothing but its close view in sight."""
    views, model = bench.views, bench.model
    found = await search(model, views, views.whole()["id"], thing)
    if not found.views:
        return f"{thing}: not found"
    [close] = found.views
    sure = await sees(model, views, close["id"], thing)
    return f"{thing}: found at {close['box']}, seen there with {sure:.2f}"


async def main() -> None:
    with zoomagent.ZoomAgent() as agent:
        for thing in ("yellow circle", "purple elephant"):
            print(await agent.awork(SCENE, partial(find, thing=thing)))


if __name__ == "__main__":
    asyncio.run(main())
