"""What the agent's graph keeps: small plain JSON from which a run goes on anywhere, and boxes a person may redraw."""

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import pytest
from fake_model import FakeModel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.types import Command
from PIL import Image
from truthful_model import Truth
from zoom_world import (
    FAR,
    FAR_LEFT_OF_NEAR,
    NEAR,
    NEAR_LEFT_OF_ALSO,
    PROFILE,
    READ_FAR,
    READ_NEAR,
    SCENE,
    pixels_of,
    scene,
)

from zoomagent.data.world.questions import Question
from zoomagent.data.world.render import render
from zoomagent.geometry import Box, iou
from zoomagent.graphs import state as states
from zoomagent.graphs.context import Bench, Live
from zoomagent.graphs.state import State
from zoomagent.graphs.zoom import builder
from zoomagent.media import Picture, open_picture
from zoomagent.tools.viewing import ViewStore

CONFIG: Any = {"configurable": {"thread_id": "one"}}


class Fresh:
    """A process of its own: a store of views and a model that know nothing of what was done before."""

    def __init__(self, question: Question, picture: Picture | None = None, **settings: Any) -> None:
        picture = picture or scene()
        views = ViewStore(picture, PROFILE)
        truth = Truth(SCENE, question, views)
        self.model = FakeModel(profile=PROFILE, respond=truth.reply, respond_score=truth.scores)
        self.context = Live(bench=Bench(views, self.model), **settings)
        self.start = states.Question(image=picture.id, question=question.text, options=[])


def step_by_step(question: Question, saver: Any, **settings: Any) -> tuple[State, int]:
    """Every step in a process of its own, killed right after it."""
    steps = 0

    async def one(first: bool) -> State:
        fresh = Fresh(question, **settings)
        graph = builder.compile(checkpointer=saver, interrupt_after="*")
        start = fresh.start if first else None
        return cast(State, await graph.ainvoke(start, CONFIG, context=fresh.context))

    state = asyncio.run(one(True))
    while "outcome" not in state:
        steps += 1
        assert steps < 40
        state = asyncio.run(one(False))
    return state, steps


def comparable(state: State) -> Any:
    """All but the clock."""
    kept = json.loads(json.dumps(state))
    for entry in [*kept["calls"], *kept["steps"]]:
        del entry["seconds"]
    return {name: value for name, value in kept.items() if not name.startswith("__")}


@pytest.mark.parametrize("question", [READ_NEAR, READ_FAR, FAR_LEFT_OF_NEAR, NEAR_LEFT_OF_ALSO], ids=lambda q: q.text)
@pytest.mark.parametrize("strategy", ["auto", "search", "tools"])
def test_a_run_goes_on_in_another_process_after_any_step(question: Question, strategy: Any) -> None:
    fresh = Fresh(question, strategy=strategy)
    undisturbed = cast(State, asyncio.run(builder.compile().ainvoke(fresh.start, context=fresh.context)))
    state, steps = step_by_step(question, InMemorySaver(), strategy=strategy)
    assert steps >= 2
    assert comparable(state) == comparable(undisturbed)


def test_checkpoints_of_a_large_picture_are_small_plain_json(tmp_path: Path) -> None:
    file = tmp_path / "runs.sqlite"

    async def run(picture: Picture) -> list[Any]:
        fresh = Fresh(FAR_LEFT_OF_NEAR, picture)
        async with AsyncSqliteSaver.from_conn_string(str(file)) as saver:
            graph = builder.compile(checkpointer=saver)
            await graph.ainvoke(fresh.start, CONFIG, context=fresh.context, durability="sync")
            return [snapshot async for snapshot in graph.aget_state_history(CONFIG)]

    with open_picture(Image.fromarray(render(SCENE, 3472, 3472, full_side=3472))) as picture:
        history = asyncio.run(run(picture))
    assert len(history) >= 10
    for snapshot in history:
        json.dumps(snapshot.values, allow_nan=False)
    assert file.stat().st_size < 500_000


# A person's word on the boxes


def asked_to_confirm(saver: InMemorySaver, question: Question = READ_NEAR, strategy: str = "locate") -> Any:
    fresh = Fresh(question, confirm=True, strategy=strategy)
    state = asyncio.run(builder.compile(checkpointer=saver).ainvoke(fresh.start, CONFIG, context=fresh.context))
    assert not any("MICRO" in call.text for call in fresh.model.history)
    [waiting] = state["__interrupt__"]
    return waiting.value


def resumed(saver: InMemorySaver, word: Any, question: Question = READ_NEAR, strategy: str = "locate") -> State:
    fresh = Fresh(question, confirm=True, strategy=strategy)
    graph = builder.compile(checkpointer=saver)
    return cast(State, asyncio.run(graph.ainvoke(Command(resume=word), CONFIG, context=fresh.context)))


def test_a_person_is_asked_before_anything_is_cut() -> None:
    saver = InMemorySaver()
    [asked] = asked_to_confirm(saver)["zoom_into"]
    assert iou(Box(*asked["box"]), pixels_of(NEAR)) > 0.9 and asked["phrase"] == "red circle"
    state = resumed(saver, True)
    assert state["verdict"]["text"] == "47" and state["targets"][0]["box"] == asked["box"]
    assert any("confirmed" in step["text"] for step in state["steps"])


@pytest.mark.parametrize("question", [READ_NEAR, READ_FAR])
def test_what_a_search_found_is_asked_about_too(question: Question) -> None:
    saver, item = InMemorySaver(), {READ_NEAR: NEAR, READ_FAR: FAR}[question]
    [asked] = asked_to_confirm(saver, question, "search")["zoom_into"]
    assert iou(Box(*asked["box"]), pixels_of(item)) > 0.5
    state = resumed(saver, True, question, "search")
    assert state["verdict"]["text"] == question.answer and state["targets"][0]["box"] == asked["box"]


def test_a_redrawn_box_is_the_one_that_is_cut() -> None:
    saver = InMemorySaver()
    asked_to_confirm(saver)
    state = resumed(saver, {"target-1": [600, 200, 860, 420]})
    crop = next(view for view in state["views"] if view["id"] == state["targets"][0]["crop"])
    assert state["targets"][0]["box"] == [600, 200, 860, 420]
    assert Box(*crop["box"]).left <= 600 and Box(*crop["box"]).right >= 860
    assert state["verdict"]["text"] == "47"


def test_a_person_may_redraw_one_of_several() -> None:
    saver = InMemorySaver()
    asked = asked_to_confirm(saver, NEAR_LEFT_OF_ALSO)["zoom_into"]
    state = resumed(saver, {"target-2": [50, 60, 250, 260]}, NEAR_LEFT_OF_ALSO)
    first, second = state["targets"]
    assert first["box"] == asked[0]["box"] and second["box"] == [50, 60, 250, 260]


@pytest.mark.parametrize(
    "word",
    [
        False,
        "yes",
        [1, 2, 3, 4],
        {"target-1": [1, 2, 3]},
        {"target-1": "all"},
        {"target-1": [5000, 5000, 6000, 6000]},
        {"target-1": [300, 300, 200, 200]},
        {"target-1": [10, 10, 10, 10]},
        {"target-9": [10, 10, 90, 90]},
        {"target-1": [1e400, 0, 1, 1]},
    ],
)
def test_any_other_word_is_refused_in_words_that_help(word: Any) -> None:
    saver = InMemorySaver()
    asked_to_confirm(saver)
    state = resumed(saver, word)
    assert (state["outcome"]["kind"], state["outcome"]["code"]) == ("refused", "bad_resume")
    assert "original pixels" in state["outcome"]["reasons"][0]
