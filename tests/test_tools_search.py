"""The search tool: its regions leave nothing out, the most probable comes first, and it ends."""

import asyncio
import math
from collections.abc import Callable

import numpy as np
import pytest
from fake_model import Call, FakeModel
from hypothesis import given
from hypothesis import strategies as st
from truthful_model import Truth
from zoom_world import ABSENT, PROFILE, READ_FAR, SCENE, even, pixels_of, scene

from zoomagent import prompts
from zoomagent.data.world.questions import Question
from zoomagent.data.world.render import render
from zoomagent.data.world.scene import DEEP, draw_scene
from zoomagent.geometry import Box, coverage, intersect
from zoomagent.media import open_picture
from zoomagent.models.base import Reply
from zoomagent.tools import searching
from zoomagent.tools.searching import LOOKS, RegionRecord, best, enough, look_at, merged, part_box, root, search
from zoomagent.tools.viewing import ToolResult, ViewRecord, ViewStore, box_of

SIDES = st.integers(3, 9000)


@st.composite
def regions(draw: st.DrawFn) -> tuple[Box, Box]:
    """A picture, and a region of it."""
    width, height = draw(SIDES), draw(SIDES)
    left, top = draw(st.integers(0, width - 3)), draw(st.integers(0, height - 3))
    right, bottom = draw(st.integers(left + 3, width)), draw(st.integers(top + 3, height))
    return Box(0, 0, width, height), Box(left, top, right, bottom)


@given(regions())
def test_nine_parts_lie_in_the_picture_and_cover_all_of_their_parent(case: tuple[Box, Box]) -> None:
    picture, parent = case
    parts = [part_box(parent, number, picture) for number in range(1, 10)]
    assert all(coverage(part, picture) == 1.0 and part.area > 0 for part in parts)
    xs = {edge for part in parts for edge in (part.left, part.right - 1)} | {parent.left, parent.right - 1}
    ys = {edge for part in parts for edge in (part.top, part.bottom - 1)} | {parent.top, parent.bottom - 1}
    for x in {x + d for x in xs for d in (-1, 0, 1) if parent.left <= x + d < parent.right}:
        for y in {y + d for y in ys for d in (-1, 0, 1) if parent.top <= y + d < parent.bottom}:
            assert any(p.left <= x < p.right and p.top <= y < p.bottom for p in parts), (x, y)


@given(st.integers(200, 9000), st.integers(200, 9000))
def test_parts_are_numbered_row_by_row(width: int, height: int) -> None:
    whole = Box(0, 0, width, height)
    for number in range(1, 10):
        part = part_box(whole, number, whole)
        x, y = (number - 1) % 3, (number - 1) // 3
        third = Box(x * width // 3 + 1, y * height // 3 + 1, (x + 1) * width // 3 - 1, (y + 1) * height // 3 - 1)
        assert coverage(third, part) == 1.0


# Which region is next


def region(name: str, prior: float, fate: str = "open", phrase: str = "it") -> RegionRecord:
    view = ViewRecord(id=name, picture="p", box=[0, 0, 9, 9], size=[9, 9], source="", depth=0)
    return RegionRecord(**{**root(view, phrase), "prior": prior, "fate": fate})  # type: ignore[typeddict-item]


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=30))
def test_the_most_probable_region_is_next(priors: list[float]) -> None:
    every = [region(str(i), prior) for i, prior in enumerate(priors)]
    every.append(region("other", 1.0, phrase="something else"))
    chosen = best(every, "it")
    assert chosen is not None and chosen["prior"] == max(priors) and chosen["phrase"] == "it"


def test_what_is_hardly_probable_is_not_looked_at() -> None:
    assert best([region("a", searching.WORTH / 2)], "it") is None
    assert best([region("a", searching.WORTH / 2), region("b", searching.WORTH)], "it") is not None


def test_a_search_ends_after_its_looks() -> None:
    done = [region(str(i), 0.5, "split") for i in range(LOOKS - 1)]
    assert best([*done, region("x", 0.5)], "it") is not None
    assert best([*done, region("last", 0.5, "refuted"), region("x", 0.5)], "it") is None


def test_it_takes_less_and_less_to_point() -> None:
    looked = [RegionRecord(**{**region(str(i), 0.5, "split"), "here": 0.1}) for i in range(40)]
    marks = [enough(looked[:n], "it") for n in range(40)]
    assert marks == sorted(marks, reverse=True) and marks[0] == searching.SURE and marks[-1] == searching.LEAST


# Whole searches


def seek(
    respond_score: Callable[[Call], list[float] | None],
    phrase: str = "it",
    reply: str = "[400, 400, 600, 600]",
    logprob: float | None = -0.1,
) -> tuple[ToolResult, FakeModel, ViewStore]:
    views = ViewStore(scene(), PROFILE)
    model = FakeModel(profile=PROFILE, respond=lambda call: reply, respond_score=respond_score, logprob=logprob)
    return asyncio.run(search(model, views, views.whole()["id"], phrase)), model, views


def looked_at(model: FakeModel) -> list[str]:
    return [call.views[0].key for call in model.history if prompts.PARTS in call.text]


def digits(**shares: float) -> list[float]:
    rest = (1 - sum(shares.values())) / (10 - len(shares))
    return [math.log(shares.get(f"d{number}", rest)) for number in range(10)]


def test_no_region_is_looked_at_twice_and_the_search_ends() -> None:
    """The thing is always somewhere and never seen: the worst case."""

    def scores(call: Call) -> list[float]:
        return digits(d5=0.5, d0=0.1) if prompts.PARTS in call.text else [-4.0, -0.02]

    result, model, views = seek(scores)
    seen = looked_at(model)
    assert result.views == () and len(seen) == len(set(seen)) <= LOOKS + 9
    boxes = [box_of(views.record(view)) for view in seen]
    for i, box in enumerate(boxes):
        for earlier in boxes[:i]:
            near_twin = intersect(box, earlier).area >= 0.8 * box.area and earlier.area <= 1.5 * box.area
            assert not near_twin, (box, earlier)


def test_what_every_view_denies_costs_the_whole_and_its_parts() -> None:
    """No single look rules a part out, and none of the parts, once looked at, has parts worth a look."""
    result, model, _ = seek(lambda call: digits(d0=0.9991))
    assert result.text.startswith("Not found") and len(model.history) == 1 + 9


def test_where_the_whole_says_part_nine_part_nine_is_next() -> None:
    def scores(call: Call) -> list[float]:
        return digits(d9=0.6, d0=0.2) if prompts.PARTS in call.text else [-4.0, -0.02]

    _, model, views = seek(scores, reply="[]")
    assert box_of(views.record(looked_at(model)[1])) == part_box(Box(0, 0, 1024, 1024), 9, Box(0, 0, 1024, 1024))


def test_what_was_pointed_at_counts_only_when_it_is_seen() -> None:
    def scores(sees: bool) -> Callable[[Call], list[float]]:
        return lambda call: digits(d5=0.98) if prompts.PARTS in call.text else [-0.1, -4.0] if sees else [-4.0, -0.1]

    assert seek(scores(True))[0].views and len(seek(scores(True))[1].history) == 3
    assert not seek(scores(False))[0].views


def test_without_likelihoods_the_number_that_is_written_leads_the_way() -> None:
    views = ViewStore(scene(), PROFILE)
    truth = Truth(SCENE, READ_FAR, views)

    def respond(call: Call) -> str | Reply | Exception:
        if prompts.PARTS not in call.text:
            return truth.reply(call)
        shares = truth.parts(call, "blue square")
        return f"{shares.index(max(shares))}."

    model = FakeModel(profile=PROFILE, respond=respond, respond_score=lambda call: None, logprob=None)
    result = asyncio.run(search(model, views, views.whole()["id"], "blue square"))
    assert result.target is not None and coverage(pixels_of(SCENE.items[1]), box_of(result.views[0])) == 1.0


def test_a_region_shown_pixel_by_pixel_has_no_parts() -> None:
    views = ViewStore(scene(), PROFILE)
    small = views.add(Box(100, 100, 160, 160), source=views.whole()["id"])
    model = FakeModel(profile=PROFILE, respond=lambda call: "[]", respond_score=even)
    looked = asyncio.run(look_at(model, views, [], root(small, "it")))
    assert [record["fate"] for record in looked.regions] == ["refuted"]


def test_a_look_changes_its_region_and_adds_its_parts() -> None:
    views = ViewStore(scene(), PROFILE)
    start = root(views.whole(), "it")
    looked = asyncio.run(
        look_at(FakeModel(profile=PROFILE, respond=lambda call: "[]", respond_score=even), views, [start], start)
    )
    tree = merged([start], looked.regions)
    assert len(tree) == 10 and tree[0]["fate"] == "split" and tree[0]["here"] == pytest.approx(0.9)
    doubt = searching.DOUBT
    assert sum(part["prior"] for part in tree[1:]) == pytest.approx((1 - doubt) * 0.9 + doubt)
    assert all(part["parent"] == start["id"] and part["depth"] == 1 for part in tree[1:])


def test_what_is_not_in_the_scene_is_not_found() -> None:
    views = ViewStore(scene(), PROFILE)
    truth = Truth(SCENE, ABSENT, views)
    model = FakeModel(profile=PROFILE, respond=truth.reply, respond_score=truth.scores)
    assert not asyncio.run(search(model, views, views.whole()["id"], "green star")).views


def test_fifty_small_things_in_fifty_scenes_are_found_in_few_calls() -> None:
    """Things of 2 to 3 pixels in the whole, told the truth."""
    found, calls = 0, []
    for index in range(50):
        drawn = draw_scene(DEEP, 77, index)
        names = [item.name for item in drawn.items]
        item = min((i for i in drawn.items if names.count(i.name) == 1), key=lambda i: i.size)
        question = Question("?", "x", "read", (drawn.items.index(item),))
        with open_picture(render(drawn, 1024, 1024, full_side=1024)) as picture:
            views = ViewStore(picture, PROFILE)
            truth = Truth(drawn, question, views)
            model = FakeModel(profile=PROFILE, respond=truth.reply, respond_score=truth.scores)
            result = asyncio.run(search(model, views, views.whole()["id"], item.name))
        calls.append(len(model.history))
        found += bool(result.views) and coverage(pixels_of(item), box_of(result.views[0])) == 1.0
    assert found == 50
    assert np.mean(calls) <= 13 and max(calls) <= 3 * LOOKS
