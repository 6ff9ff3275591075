"""All things of a name are listed, each once, however many views show it."""

import asyncio
from dataclasses import replace

from fake_model import FakeModel
from hypothesis import given
from hypothesis import strategies as st
from zoom_world import PROFILE, scene

from zoomagent import prompts
from zoomagent.geometry import Box, intersect
from zoomagent.tools.instances import distinct, instances_in, whole_things
from zoomagent.tools.viewing import ViewStore, box_of


def test_the_boxes_that_a_model_lists_come_back_in_original_pixels() -> None:
    views = ViewStore(scene(), PROFILE)
    model = FakeModel(profile=PROFILE, respond=lambda call: "[[0, 0, 500, 500], [500, 500, 750, 1000]]")
    boxes = asyncio.run(instances_in(model, views, views.whole()["id"], "circle"))
    assert boxes == [Box(0, 0, 512, 512), Box(512, 512, 768, 1024)]
    assert prompts.EVERY + "circle" in model.history[0].text


def test_nothing_listed_is_nothing_there() -> None:
    views = ViewStore(scene(), PROFILE)
    model = FakeModel(profile=PROFILE, respond=lambda call: "[]")
    assert asyncio.run(instances_in(model, views, views.whole()["id"], "circle")) == []


@st.composite
def apart(draw: st.DrawFn) -> list[Box]:
    """Squares on a grid: none touches another."""
    cells = draw(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), unique=True, min_size=1, max_size=20))
    return [Box(100 * x + 10, 100 * y + 10, 100 * x + 10 + draw(st.integers(20, 80)), 100 * y + 90) for x, y in cells]


@given(apart(), st.randoms(use_true_random=False))
def test_things_that_were_listed_again_count_once(boxes: list[Box], random: "st.DataObject") -> None:
    again = [replace(box, left=box.left + 3, bottom=box.bottom - 3) for box in boxes]
    cut = [replace(box, right=box.left + max(4, box.width // 2)) for box in boxes]
    listed = [*boxes, *again, *cut]
    random.shuffle(listed)  # type: ignore[attr-defined]
    assert len(distinct(listed)) == len(boxes)


@given(apart())
def test_the_largest_box_of_a_thing_is_kept(boxes: list[Box]) -> None:
    inner = [Box(b.left + 4, b.top + 4, b.right - 4, b.bottom - 4) for b in boxes]
    assert set(distinct([*inner, *boxes])) == set(boxes)
    assert all(intersect(a, b).area == 0 for a in distinct(boxes) for b in distinct(boxes) if a != b)


def test_what_a_border_may_cut_is_left_to_the_neighbour_but_not_at_the_picture_s_edge() -> None:
    views = ViewStore(scene(), PROFILE)
    part = views.add(Box(0, 0, 512, 512), source=views.whole()["id"])
    inside, at_edge, cut = Box(100, 100, 200, 200), Box(0, 50, 40, 90), Box(450, 100, 511, 200)
    assert whole_things([inside, at_edge, cut], views, part["id"]) == [inside, at_edge]
    assert box_of(part).right == 512
