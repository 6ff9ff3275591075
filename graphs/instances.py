"""The policy `count`: find all things of a name, part by part, and never say "three" before everything was looked at.

The whole is listed first, then every part that may show one: all nine, or those that a sweep leaves. What several views
list is counted once. Left out: finding one thing (`searching.py`), the answer that follows (`closing.py`).
"""

from langgraph.runtime import Runtime

from zoomagent.errors import ToolError
from zoomagent.geometry import Box
from zoomagent.graphs.asking import Desk, desk_of
from zoomagent.graphs.context import Context
from zoomagent.graphs.counting import Counting
from zoomagent.graphs.deciding import wanted
from zoomagent.graphs.endings import said, step
from zoomagent.graphs.state import State, TargetRecord, Update
from zoomagent.tools.instances import distinct, instances_in, whole_things
from zoomagent.tools.searching import RegionRecord, parts_of, root, sweep, sweeps
from zoomagent.tools.viewing import box_of

WORTH = 0.02
"""Share from which a swept part is listed: where several parts show the thing, they divide the shares."""


@step
async def count(state: State, runtime: Runtime[Context]) -> Update:
    """List the things of one name in the next view that may show some; when there is none left, count them."""
    desk = await desk_of("count", state, runtime)
    target, model = wanted(state)[0], Counting(desk)
    mine = [region for region in state.get("regions", []) if region["phrase"] == target["phrase"]]
    new: list[RegionRecord] = []
    if not mine:
        mine = new = await _begin(desk, model, target)
    listed = target.get("listed", [])
    region = next((r for r in mine if r["view"] not in listed and (r["here"] is None or r["here"] >= WORTH)), None)
    if region is None:
        return _counted(target)
    boxes, note = await _listed(desk, model, region)
    seen: RegionRecord = {**region, "here": region["here"] if region.get("swept") else float(bool(boxes))}
    seen["fate"] = "found" if boxes else "refuted" if region["parent"] else "split"
    found = [box.as_list() for box in distinct([*(Box(*box) for box in target.get("found", [])), *boxes])]
    record = TargetRecord(**{**target, "found": found, "listed": [*listed, region["view"]]})
    words = f"Listed {target['phrase']} in {region['box']}: {len(boxes)}.{note}"
    return {
        **model.booked(),
        "regions": [*new, seen],
        "targets": [record],
        "steps": said(words, [region["view"]], [box.as_list() for box in boxes]),
    }


async def _begin(desk: Desk, model: Counting, target: TargetRecord) -> list[RegionRecord]:
    """The whole and its nine parts; swept, where the model can."""
    views = desk.bench.views
    start = root(views.whole()["id"], box_of(views.whole()), target["phrase"])
    if not sweeps(views, start):
        return [start, *parts_of(views, start)]
    looked = await sweep(model, views, start, every=True)
    # The whole itself was not asked about alone yet.
    return [{**looked.regions[0], "swept": False}, *looked.regions[1:]]


async def _listed(desk: Desk, model: Counting, region: RegionRecord) -> tuple[list[Box], str]:
    """The things in a region's view; those that its border may cut are left to the neighbours."""
    views = desk.bench.views
    if region["parent"]:
        views.add(Box(*region["box"]), source=views.whole()["id"])
    try:
        boxes = await instances_in(model, views, region["view"], region["phrase"])
    except ToolError as error:
        return [], f" The list cannot be used: {error}"
    return whole_things(boxes, views, region["view"]), ""


def _counted(target: TargetRecord) -> Update:
    boxes = target.get("found", [])
    record = TargetRecord(**{**target, "fate": "counted", "found": boxes})
    return {"targets": [record], "steps": said(f"Counted {target['phrase']}: {len(boxes)}.", boxes=boxes)}
