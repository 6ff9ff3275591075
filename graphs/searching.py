"""The policies `search` and `count`: one region a step, so that every look can be seen, stopped and resumed.

`search` looks at the most probable region first, until the thing is found or nothing is worth a look; the algorithm is
the search tool's (`zoomagent/tools/searching.py`). `count` finds all things of a name, part by part, and never says
"three" before everything was looked at. Where the first look could tell, the largest view of the whole that the
model takes is listed first, and that is enough where it bears out the number. Else that view is asked which parts may
show some, and these are listed. What several views list is counted once; where the whole lists another number than its
parts, the other parts are listed too. Left out: the answer that follows (`closing.py`).
"""

from typing import Literal

from zoomagent.confidence import claims
from zoomagent.confidence.replies import abstains
from zoomagent.errors import ToolError
from zoomagent.geometry import Box, intersect
from zoomagent.graphs.asking import BudgetedModel, NodeRun
from zoomagent.graphs.deciding import open_targets
from zoomagent.graphs.endings import model_step, step_words
from zoomagent.graphs.state import TargetRecord, Update, merge
from zoomagent.tools.instances import distinct, instances_in, whole_things
from zoomagent.tools.searching import (
    RegionRecord,
    best,
    is_fine_enough,
    look_at,
    part_boxes,
    parts_to_list,
    root,
)
from zoomagent.tools.viewing import ViewStore, box_of

DOUBTED = 0.003
"""Share under which a part is not listed, however much the counts differ (ours)."""
PLAIN = 2.5
"""A thing of so many times the smallest visible side is plain in its view (ours)."""


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
    # Of several things that a question relates to each other, each is there: it is looked for to the end.
    expected = len(run.state.get("phrases", [])) > 1 and claims.takes_for_granted(run.state["question"])
    depth = run.context.budget.depth
    look = await look_at(BudgetedModel(run), views, regions, region, expected=expected, depth=depth)
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
            "several": look.several,
        }
        update["targets"] = [found]
    return {**update, "steps": step_words(f"{words}.", [region["view"]], [region["box"]])}


@model_step
async def count(run: NodeRun) -> Update:
    """List the things of one name in the next view that may show some; when there is none left, count them."""
    target, views = open_targets(run.state)[0], run.bench.views
    phrase, listed = target["phrase"], target.get("listed", [])
    mine = [region for region in run.state.get("regions", []) if region["phrase"] == phrase]
    start = mine[0] if mine else root(views.largest(views.whole()["id"]), phrase)
    if len(mine) < 2 and part_boxes(views, start):
        # Where the first look could tell, the list of the whole may bear out the number that it gave; where it could
        # not, the parts are judged first.
        said = run.state["macro"]["text"]
        seen = start["here"] is not None and is_fine_enough(views, start)
        if listed and seen and claims.number(said) == len(target.get("whole", [])):
            return finish_count(target, mine, views)
        if listed or abstains(said):
            return await divide(run, target, start)
    region = start if not mine else next((region for region in mine if region["fate"] == "open"), None)
    if region is None:
        return finish_count(target, mine, views)
    boxes, note = await list_instances(run, region)
    # A list that cannot be used shows nothing, and not that nothing is there.
    here = None if boxes is None else float(bool(boxes))
    shown: RegionRecord = {**region, "here": here, "fate": "found" if boxes else "refuted"}
    name: Literal["found", "whole"] = "found" if region["parent"] else "whole"
    record: TargetRecord = {**target, "listed": [*listed, region["view"]]}
    record[name] = [box.as_list() for box in distinct([*(Box(*box) for box in target.get(name, [])), *(boxes or [])])]
    words = f"Listed {phrase} in {region['box']}: {len(boxes or [])}.{note}"
    steps = step_words(words, [region["view"]], [box.as_list() for box in boxes or []])
    return {"regions": [shown], "targets": [record], "steps": steps}


async def divide(run: NodeRun, target: TargetRecord, start: RegionRecord) -> Update:
    """Which parts of the whole may show some: nine, or four where the whole shows all that it lists plainly."""
    views = run.bench.views
    record = views.record(start["view"])
    plainly = PLAIN * views.profile.smallest_visible * box_of(record).width / record["size"][0]
    whole = [Box(*box) for box in target.get("whole", [])]
    quarters = bool(whole) and all(min(box.width, box.height) >= plainly for box in whole)
    here, parts = await parts_to_list(BudgetedModel(run), views, start, quarters=quarters)
    worth = sum(part["fate"] == "open" for part in parts)
    if not target.get("listed"):
        # The whole is listed too, for what no part shows whole, unless nothing is there at all.
        start = {**start, "here": here, "fate": "open" if worth else "split"}
    words = f"Looked for {target['phrase']} in the whole picture: {worth} parts may show some."
    return {"regions": [start, *parts], "steps": step_words(words, [start["view"]], [start["box"]])}


async def list_instances(run: NodeRun, region: RegionRecord) -> tuple[list[Box] | None, str]:
    """The things in a region's view; those that its border may cut are left to the neighbours. None, and a note, where
    the list cannot be used."""
    views = run.bench.views
    if region["parent"]:
        add_part(views, region)
    try:
        boxes = await instances_in(BudgetedModel(run), views, region["view"], region["phrase"])
    except ToolError as error:
        return None, f" The list cannot be used: {error}"
    return whole_things(boxes, views, region["view"]), ""


def finish_count(target: TargetRecord, regions: list[RegionRecord], views: ViewStore) -> Update:
    """The count; parts that were passed over come first where they hold what the whole listed, or where the whole
    listed another number than its parts. What the whole listed counts only where no part that was listed shows all of
    it: the parts are the closer look."""
    parts = [region for region in regions if region["parent"]]
    whole = [Box(*box) for box in target.get("whole", [])]
    apart = [box for box in whole if not any(part["here"] is not None and shows(views, part, box) for part in parts)]
    found = [box.as_list() for box in distinct([*(Box(*box) for box in target.get("found", [])), *apart])]
    unlisted = [part for part in parts if part["view"] not in target.get("listed", [])]
    worth = [part for part in unlisted if any(shows(views, part, box) for box in apart)]
    if len(found) != len(whole):
        worth = [part for part in unlisted if part in worth or part["prior"] >= DOUBTED]
    if worth:
        opened: list[RegionRecord] = [{**region, "fate": "open"} for region in worth]
        words = f"The whole and its parts differ in {target['phrase']}: {len(opened)} more parts are listed."
        return {"regions": opened, "steps": step_words(words)}
    record: TargetRecord = {**target, "fate": "counted", "found": found}
    return {"targets": [record], "steps": step_words(f"Counted {target['phrase']}: {len(found)}.", boxes=found)}


def shows(views: ViewStore, part: RegionRecord, box: Box) -> bool:
    """Whether all of a box lies in a part, and not at a border that may cut it."""
    add_part(views, part)
    return intersect(Box(*part["box"]), box) == box and bool(whole_things([box], views, part["view"]))


def add_part(views: ViewStore, part: RegionRecord) -> None:
    """Make sure of a part's view: one that was only thought of is none yet where a run goes on in another process."""
    source, limit = views.largest(views.whole()["id"])["id"], views.profile.whole_pixels or None
    views.add(Box(*part["box"]), source=source, max_pixels=limit)
