"""The policy `count`: find all things of a name, part by part, and never say "three" before everything was looked at.

The largest view of the whole that the model takes is asked first which parts may show some; these are listed, one a
step. What several views list is counted once; where the whole lists another number than its parts, the other parts are
listed too. Left out: finding one thing (`searching.py`), the answer that follows
(`closing.py`)."""

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
from zoomagent.tools.searching import RegionRecord, part_boxes, root, worth_listing

DOUBTED = 0.003
"""Share under which a part is not listed, however much the counts differ (ours)."""


@step
async def count(state: State, runtime: Runtime[Context]) -> Update:
    """List the things of one name in the next view that may show some; when there is none left, count them."""
    desk = await desk_of("count", state, runtime)
    target, model = wanted(state)[0], Counting(desk)
    mine = [region for region in state.get("regions", []) if region["phrase"] == target["phrase"]]
    if not mine:
        return await _begin(desk, model, target)
    region = next((region for region in mine if region["fate"] == "open"), None)
    if region is None:
        return _doubted(target, mine) or _counted(target)
    boxes, note = await _listed(desk, model, region)
    seen: RegionRecord = {**region, "here": float(bool(boxes)), "fate": "found" if boxes else "refuted"}
    found = [box.as_list() for box in distinct([*(Box(*box) for box in target.get("found", [])), *boxes])]
    first = target.get("first", len(found))
    listed = [*target.get("listed", []), region["view"]]
    record = TargetRecord(**{**target, "found": found, "first": first, "listed": listed})
    words = f"Listed {target['phrase']} in {region['box']}: {len(boxes)}.{note}"
    return {
        **model.booked(),
        "regions": [seen],
        "targets": [record],
        "steps": said(words, [region["view"]], [box.as_list() for box in boxes]),
    }


async def _begin(desk: Desk, model: Counting, target: TargetRecord) -> Update:
    """Ask the largest view of the whole which parts show one. A picture that it shows in full has no parts."""
    views = desk.bench.views
    start = root(views.largest(views.whole()["id"]), target["phrase"])
    regions = await worth_listing(model, views, start) if part_boxes(views, start) else [start]
    worth = sum(region["fate"] == "open" for region in regions[1:])
    words = f"Looked for {target['phrase']} in the whole picture: {worth} parts may show some."
    return {**model.booked(), "regions": regions, "steps": said(words, [start["view"]], [start["box"]])}


async def _listed(desk: Desk, model: Counting, region: RegionRecord) -> tuple[list[Box], str]:
    """The things in a region's view; those that its border may cut are left to the neighbours."""
    views = desk.bench.views
    if region["parent"]:
        source, limit = views.largest(views.whole()["id"])["id"], views.profile.whole_pixels or None
        views.add(Box(*region["box"]), source=source, max_pixels=limit)
    try:
        boxes = await instances_in(model, views, region["view"], region["phrase"])
    except ToolError as error:
        return [], f" The list cannot be used: {error}"
    return whole_things(boxes, views, region["view"]), ""


def _doubted(target: TargetRecord, regions: list[RegionRecord]) -> Update | None:
    """Where the whole listed another number than its parts, the parts that were passed over are listed too."""
    passed = [r for r in regions if r["parent"] and r["here"] is None and r["prior"] >= DOUBTED]
    if len(target.get("found", [])) == target.get("first", 0) or not passed:
        return None
    opened = [RegionRecord(**{**region, "fate": "open"}) for region in passed]
    words = f"The whole and its parts differ in {target['phrase']}: {len(opened)} more parts are listed."
    return {"regions": opened, "steps": said(words)}


def _counted(target: TargetRecord) -> Update:
    boxes = target.get("found", [])
    record = TargetRecord(**{**target, "fate": "counted", "found": boxes})
    return {"targets": [record], "steps": said(f"Counted {target['phrase']}: {len(boxes)}.", boxes=boxes)}
