"""The policy `search`: one region a step, the most probable first, until the thing is found or nothing is worth a look.

The algorithm is the search tool's (`zoomagent/tools/searching.py`); here every look is a step that can be seen, stopped
and resumed.
"""

from langgraph.runtime import Runtime

from zoomagent.geometry import Box
from zoomagent.graphs.asking import desk_of
from zoomagent.graphs.context import Context
from zoomagent.graphs.counting import Counting
from zoomagent.graphs.deciding import wanted
from zoomagent.graphs.endings import said, step
from zoomagent.graphs.state import State, TargetRecord, Update, merge
from zoomagent.tools.searching import Looked, RegionRecord, best, look_at, root
from zoomagent.tools.viewing import ViewStore


@step
async def search(state: State, runtime: Runtime[Context]) -> Update:
    """Look at the most probable region for the first thing that is still wanted."""
    desk = await desk_of("search", state, runtime)
    target, views = wanted(state)[0], desk.bench.views
    regions = state.get("regions", [])
    if not any(region["phrase"] == target["phrase"] for region in regions):
        regions = merge(regions, [root(views.largest(views.whole()["id"]), target["phrase"])])
    region = best(regions, target["phrase"])
    if region is None:
        return {"targets": [{**target, "fate": "missing"}], "steps": said(f"Did not find {target['phrase']}.")}
    _known(views, regions, region)
    model = Counting(desk)
    looked = await look_at(model, views, regions, region, depth=desk.context.budget.depth)
    return {
        **model.booked(),
        "regions": looked.regions,
        "targets": _found(target, region, looked),
        "steps": said(_words(target, looked), [region["view"]], [region["box"]]),
    }


def _known(views: ViewStore, regions: list[RegionRecord], region: RegionRecord) -> None:
    """Regions that were only thought of are no views yet where a run goes on in another process."""
    for parent in regions:
        if parent["id"] == region["parent"]:
            views.add(Box(*region["box"]), source=parent["view"])


def _found(target: TargetRecord, region: RegionRecord, looked: Looked) -> list[TargetRecord]:
    if looked.box is None:
        return []
    box, depth = looked.box.as_list(), region["depth"] + 1
    found = {"fate": "located", "source": region["view"], "depth": depth, "box": box, "seen": looked.seen}
    return [TargetRecord(**{**target, **found})]  # type: ignore[typeddict-item]


def _words(target: TargetRecord, looked: Looked) -> str:
    here = looked.regions[0]["here"] or 0.0
    place = f"{looked.regions[0]['box']}: {target['phrase']} is here with {here:.2f}"
    return f"Looked at {place}" + (f", at {looked.box.as_list()}." if looked.box else ".")
