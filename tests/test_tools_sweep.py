"""A sweep looks at every part beside the whole, some in one call; and what a search in vain is worth is known."""

import asyncio
import math
from dataclasses import replace

import pytest
from fake_model import Call, FakeModel
from zoom_world import FAR, PROFILE, pixels_of, scene

from zoomagent import prompts
from zoomagent.geometry import Box, coverage
from zoomagent.tools.searching import GRID, RegionRecord, least_seen, part_boxes, root, search, sweep, sweeps
from zoomagent.tools.viewing import ViewStore, box_of

SWEEPING = replace(PROFILE, sweep=3, visible_pixels=4)


def model_that_sees(box: Box | None, views: ViewStore) -> FakeModel:
    """Says by which numbered part `box` is shown whole."""

    def scores(call: Call) -> list[float]:
        said = call.options["continuations"]
        if tuple(said) == ("Yes", "No"):
            return [-0.05, -4.0]
        if prompts.SWEEP not in call.text:
            return [-0.1, *[-5.0] * 9]
        parts = [box_of(views.record(view.key)) for view in call.views[1:]]
        hit = next((i + 1 for i, part in enumerate(parts) if box and coverage(box, part) == 1.0), 0)
        return [-0.05 if number == hit else -5.0 for number in range(len(said))]

    return FakeModel(profile=SWEEPING, respond=lambda call: "[450, 450, 550, 550]", respond_score=scores)


def swept(model: FakeModel, views: ViewStore, every: bool = False) -> list[RegionRecord]:
    start = root(views.whole()["id"], box_of(views.whole()), "it")
    return asyncio.run(sweep(model, views, start, every=every)).regions


def test_nine_parts_are_seen_in_three_calls_with_the_whole_beside_them() -> None:
    views = ViewStore(scene(), SWEEPING)
    model = model_that_sees(None, views)
    regions = swept(model, views)
    assert len(model.history) == 3 and all(len(call.views) == 4 for call in model.history)
    assert [region["fate"] for region in regions] == ["split", *["refuted"] * 9]
    labels = [part.text for part in model.history[0].messages[0].parts if hasattr(part, "text")]
    assert labels[:3] == ["1: ", "2: ", "3: "] and labels[3].endswith("it")


@pytest.mark.parametrize(("every", "calls"), [(False, 1), (True, 3)])
def test_a_sweep_stops_where_the_thing_is_surely_seen_unless_all_is_to_be_found(every: bool, calls: int) -> None:
    views = ViewStore(scene(), SWEEPING)
    first = part_boxes(views, root(views.whole()["id"], box_of(views.whole()), "it"))[0]
    model = model_that_sees(Box(first.left + 9, first.top + 9, first.left + 30, first.top + 30), views)
    regions = swept(model, views, every)
    assert len(model.history) == calls
    assert sum(region["here"] is not None for region in regions) == 3 * calls


def test_a_search_sweeps_first_and_points_into_the_part_that_shows_it() -> None:
    views = ViewStore(scene(), SWEEPING)
    model = model_that_sees(pixels_of(FAR), views)
    result = asyncio.run(search(model, views, views.whole()["id"], "blue square"))
    assert result.target is not None and len(model.history) <= 5
    part = next(call for call in model.history if prompts.GROUND in call.text).views[0]
    assert coverage(pixels_of(FAR), box_of(views.record(part.key))) == 1.0


def test_models_that_were_not_taught_or_take_few_pictures_do_not_sweep() -> None:
    for profile in (PROFILE, replace(SWEEPING, max_images=3)):
        views = ViewStore(scene(), profile)
        assert not sweeps(views, root(views.whole()["id"], box_of(views.whole()), "it"))


def test_what_was_not_found_says_down_to_which_size() -> None:
    views = ViewStore(scene(), SWEEPING)
    result = asyncio.run(search(model_that_sees(None, views), views, views.whole()["id"], "it"))
    assert result.text == f"Not found: it. Nothing of at least {round(4 * 461 / 128)} pixels was missed."


# What cannot have been missed


def test_the_whole_alone_shows_things_of_some_view_pixels() -> None:
    views = ViewStore(scene(), SWEEPING)
    assert least_seen(views, []) == 4 * 1024 / 128


def test_the_part_that_was_not_looked_at_decides() -> None:
    views = ViewStore(scene(), SWEEPING)
    regions = swept(model_that_sees(None, views), views)
    everything = least_seen(views, regions, "it")
    assert everything == pytest.approx(4 * 461 / 128, abs=0.1)
    for missing in range(1, 10):
        some = [region for i, region in enumerate(regions) if i != missing]
        assert least_seen(views, some, "it") == least_seen(views, [])
    assert least_seen(views, regions, "something else") == least_seen(views, [])


def test_it_agrees_with_a_drawn_map_of_looks() -> None:
    """Paint every look's resolution on the picture's own pixels; the coarsest pixel is the answer."""
    views = ViewStore(scene(), SWEEPING)
    regions = []
    for left, top, side in ((0, 0, 700), (300, 300, 724), (0, 600, 424), (700, 0, 324), (650, 0, 374)):
        view = views.add(Box(left, top, left + side, top + side))
        record = root(view["id"], box_of(view), "it")
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
