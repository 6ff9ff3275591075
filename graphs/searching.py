"""The policies `search` and `count`: one region a step, so that every look can be seen, stopped and resumed.

`search` looks at the most probable region first, until the thing is found or nothing is worth a look; the algorithm is
the search tool's (`zoomagent/tools/searching.py`). `count` finds all things of a name, part by part, and never says
"three" before everything was looked at: the largest view of the whole that the model takes is asked first which parts
may show some; these are listed. What several views list is counted once; where the whole lists another number than its
parts, the other parts are listed too. Left out: the answer that follows (`closing.py`).
"""

from zoomagent.errors import ToolError
from zoomagent.geometry import Box
from zoomagent.graphs.asking import BudgetedModel, NodeRun
from zoomagent.graphs.deciding import open_targets
from zoomagent.graphs.endings import model_step, step_words
from zoomagent.graphs.state import TargetRecord, Update, merge
from zoomagent.tools.instances import distinct, instances_in, whole_things
from zoomagent.tools.searching import RegionRecord, best, look_at, part_boxes, root, worth_listing

DOUBTED = 0.003
"""Share under which a part is not listed, however much the counts differ (ours)."""


@model_step
async def search(run: NodeRun) -> Update:
    """Look at the most probable region for the first thing that is still wanted."""
    target, views = open_targets(run.state)[0], run.bench.views
    phrase, regions = target["phrase"], run.state.get("regions", [])
    if not any(region["phrase"] == phrase for region in regions):
        regions = merge(regions, [root(views.largest(views.whole()["id"]), phrase)])
    region = best(regions, phrase)
    if region is None:
        return {"targets": [{**target, "fate": "missing"}], "steps": step_words(f"Did not find {phrase}.")}
    for parent in regions:
        if parent["id"] == region["parent"]:
            # Regions that were only thought of are no views yet where a run goes on in another process.
            views.add(Box(*region["box"]), source=parent["view"])
    look = await look_at(BudgetedModel(run), views, regions, region, depth=run.context.budget.depth)
    here = look.regions[0]["here"] or 0.0
    words = f"Looked at {look.regions[0]['box']}: {phrase} is here with {here:.2f}"
    update: Update = {"regions": look.regions, "targets": []}
    if look.box is not None:
        words = f"{words}, at {look.box.as_list()}"
        found: TargetRecord = {
            **target,
            "fate": "located",
            "source": region["view"],
            "depth": region["depth"] + 1,
            "box": look.box.as_list(),
            "seen": look.seen,
        }
        update["targets"] = [found]
    return {**update, "steps": step_words(f"{words}.", [region["view"]], [region["box"]])}


@model_step
async def count(run: NodeRun) -> Update:
    """List the things of one name in the next view that may show some; when there is none left, count them."""
    target, views, model = open_targets(run.state)[0], run.bench.views, BudgetedModel(run)
    phrase = target["phrase"]
    mine = [region for region in run.state.get("regions", []) if region["phrase"] == phrase]
    if not mine:
        # Ask the largest view of the whole which parts show one. A picture that it shows in full has no parts.
        start = root(views.largest(views.whole()["id"]), phrase)
        regions = await worth_listing(model, views, start) if part_boxes(views, start) else [start]
        worth = sum(region["fate"] == "open" for region in regions[1:])
        words = f"Looked for {phrase} in the whole picture: {worth} parts may show some."
        return {"regions": regions, "steps": step_words(words, [start["view"]], [start["box"]])}
    region = next((region for region in mine if region["fate"] == "open"), None)
    if region is None:
        return finish_count(target, mine)
    boxes, note = await list_instances(run, model, region)
    listed: RegionRecord = {**region, "here": float(bool(boxes)), "fate": "found" if boxes else "refuted"}
    found = [box.as_list() for box in distinct([*(Box(*box) for box in target.get("found", [])), *boxes])]
    record: TargetRecord = {
        **target,
        "found": found,
        "first": target.get("first", len(found)),
        "listed": [*target.get("listed", []), region["view"]],
    }
    words = f"Listed {phrase} in {region['box']}: {len(boxes)}.{note}"
    return {
        "regions": [listed],
        "targets": [record],
        "steps": step_words(words, [region["view"]], [box.as_list() for box in boxes]),
    }


async def list_instances(run: NodeRun, model: BudgetedModel, region: RegionRecord) -> tuple[list[Box], str]:
    """The things in a region's view, and a note where the list cannot be used; those that its border may cut are left
    to the neighbours."""
    views = run.bench.views
    if region["parent"]:
        source, limit = views.largest(views.whole()["id"])["id"], views.profile.whole_pixels or None
        views.add(Box(*region["box"]), source=source, max_pixels=limit)
    try:
        boxes = await instances_in(model, views, region["view"], region["phrase"])
    except ToolError as error:
        return [], f" The list cannot be used: {error}"
    return whole_things(boxes, views, region["view"]), ""


def finish_count(target: TargetRecord, regions: list[RegionRecord]) -> Update:
    """The count; where the whole listed another number than its parts, the parts that were passed over come first."""
    boxes = target.get("found", [])
    doubted = [r for r in regions if r["parent"] and r["here"] is None and r["prior"] >= DOUBTED]
    if len(boxes) != target.get("first", 0) and doubted:
        opened: list[RegionRecord] = [{**region, "fate": "open"} for region in doubted]
        words = f"The whole and its parts differ in {target['phrase']}: {len(opened)} more parts are listed."
        return {"regions": opened, "steps": step_words(words)}
    record: TargetRecord = {**target, "fate": "counted", "found": boxes}
    return {"targets": [record], "steps": step_words(f"Counted {target['phrase']}: {len(boxes)}.", boxes=boxes)}
