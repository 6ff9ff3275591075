"""What a search in vain is worth is known, and it ends where that is enough."""

import asyncio
import math
from dataclasses import replace

import pytest
from fake_model import Call, FakeModel
from zoom_world import FAR, PROFILE, pixels_of, scene

from zoomagent.geometry import Box, coverage
from zoomagent.tools.searching import GRID, RegionRecord, least_seen, part_box, part_boxes, parts_to_list, root, search
from zoomagent.tools.viewing import ViewStore, box_of

SEARCHING = replace(PROFILE, max_pixels=256 * 256, whole_pixels=128 * 128, visible_pixels=4)
"""A search shows twice the side of the first view."""


def model_that_sees(box: Box | None, views: ViewStore, rest: float = 0.0) -> FakeModel:
    """Says by number which part of a view shows `box` whole; where none does, with `rest` spread over the parts."""

    def scores(call: Call) -> list[float]:
        if tuple(call.options["continuations"]) == ("Yes", "No"):
            return [-0.05, -4.0]
        shown = box_of(views.record(call.views[-1].key))
        whole = Box(0, 0, 1024, 1024)
        hits = [box is not None and coverage(box, part_box(shown, n, whole)) == 1.0 for n in range(1, 10)]
        if not any(hits):
            return [math.log(1 - rest), *[math.log(rest / 9 or 1e-9)] * 9]
        return [-5.0, *(-0.1 if hit else -9.0 for hit in hits)]

    return FakeModel(profile=SEARCHING, respond=lambda call: "[450, 450, 550, 550]", respond_score=scores)


def looked_at(views: ViewStore, depth: int = 1) -> list[RegionRecord]:
    """The whole and its nine parts, all looked at."""
    start = root(views.largest(views.whole()["id"]), "it")
    boxes = part_boxes(views, start)
    parts = [views.add(box) for box in boxes]
    records = [RegionRecord(**{**start, "view": v["id"], "id": v["id"], "box": v["box"]}) for v in parts]
    return [RegionRecord(**{**record, "here": 0.1}) for record in [start, *records][: 1 + 9 * depth]]


def test_a_search_begins_with_the_largest_view_that_the_model_takes() -> None:
    views = ViewStore(scene(), SEARCHING)
    model = model_that_sees(None, views)
    asyncio.run(search(model, views, views.whole()["id"], "it"))
    assert [view.image.size for view in model.history[0].views] == [(256, 256)]
    assert views.record(views.whole()["id"])["size"] == [128, 128]


def test_a_search_in_vain_ends_where_nothing_of_a_sixty_fourth_can_have_been_missed() -> None:
    views = ViewStore(scene(), SEARCHING)
    model = model_that_sees(None, views, rest=0.02)
    assert "at least 16 pixels" in asyncio.run(search(model, views, views.whole()["id"], "it")).text
    assert len(model.history) == 1


def test_it_goes_on_where_the_view_is_too_coarse_for_that() -> None:
    views = ViewStore(scene(), replace(SEARCHING, visible_pixels=8))
    model = model_that_sees(None, views, rest=0.02)
    assert "Not found" in asyncio.run(search(model, views, views.whole()["id"], "it")).text
    assert len(model.history) == 10


def test_what_is_likely_somewhere_is_looked_for_there_whatever_its_size() -> None:
    views = ViewStore(scene(), SEARCHING)
    model = model_that_sees(pixels_of(FAR), views)
    result = asyncio.run(search(model, views, views.whole()["id"], "blue square"))
    assert result.target is not None and len(model.history) <= 4


@pytest.mark.parametrize(("visible", "listed"), [(4, 2), (8, 9)])
def test_the_parts_that_may_show_one_are_listed_and_all_where_the_view_is_too_coarse(visible: int, listed: int) -> None:
    views = ViewStore(scene(), replace(SEARCHING, visible_pixels=visible))
    shares = [0.03, 0.5, 0.4, *[0.01] * 7]
    model = FakeModel(profile=SEARCHING, respond_score=lambda call: [math.log(share) for share in shares])
    start = root(views.largest(views.whole()["id"]), "square")
    here, parts = asyncio.run(parts_to_list(model, views, start))
    assert here == pytest.approx(0.97) and len(model.history) == 1
    assert [part["fate"] for part in parts] == ["open"] * listed + ["refuted"] * (9 - listed)


def test_what_was_not_found_says_down_to_which_size() -> None:
    views = ViewStore(scene(), SEARCHING)
    result = asyncio.run(search(model_that_sees(None, views), views, views.whole()["id"], "it"))
    assert result.text == f"Not found: it. Nothing of at least {round(4 * 1024 / 256)} pixels was missed."


# What cannot have been missed


def test_the_whole_alone_shows_things_of_some_view_pixels() -> None:
    views = ViewStore(scene(), SEARCHING)
    assert least_seen(views, []) == 4 * 1024 / 128


def test_the_part_that_was_not_looked_at_decides() -> None:
    views = ViewStore(scene(), SEARCHING)
    regions = looked_at(views)
    everything = least_seen(views, regions, "it")
    assert everything == pytest.approx(4 * 461 / 256, abs=0.1)
    for missing in range(1, 10):
        some = [region for i, region in enumerate(regions) if i != missing]
        assert least_seen(views, some, "it") == least_seen(views, regions[:1], "it") == 4 * 1024 / 256
    assert least_seen(views, regions, "something else") == least_seen(views, [])


def test_it_agrees_with_a_drawn_map_of_looks() -> None:
    """Paint every look's resolution on the picture's own pixels; the coarsest pixel is the answer."""
    views = ViewStore(scene(), SEARCHING)
    regions = []
    for left, top, side in ((0, 0, 700), (300, 300, 724), (0, 600, 424), (700, 0, 324), (650, 0, 374)):
        view = views.add(Box(left, top, left + side, top + side))
        record = root(view, "it")
        regions.append(RegionRecord(**{**record, "here": 0.1}))
    worst = 0.0
    for y in range(8, 1024, 16):
        for x in range(8, 1024, 16):
            looks = [r for r in regions if r["box"][0] <= x < r["box"][2] and r["box"][1] <= y < r["box"][3]]
            best = min(
                (4 * max(1.0, (r["box"][2] - r["box"][0]) / views.record(r["view"])["size"][0]) for r in looks),
                default=32.0,
            )
            worst = max(worst, best)
    assert GRID >= 32 and least_seen(views, regions, "it") == pytest.approx(worst, rel=0.02)
    assert math.isfinite(worst)
