"""Every call of the agent says what it is for: of a model with a part for each task, no question goes past both."""

from dataclasses import replace
from typing import Any

import pytest
from clip_world import ClipWorld
from fake_model import FakeModel
from sign_model import sign_model, sign_picture
from test_graph_describing import model as describing

from zoomagent import ZoomAgent
from zoomagent.moments import Moment
from zoomagent.prompts import BOX, GROUND, PARTS

ROUTES = {"image": "image", "region": "region"}
PLACES = (GROUND, PARTS, BOX)
"""What begins a question for a place."""


def routed(model: FakeModel) -> FakeModel:
    model.profile = replace(model.profile, routes=ROUTES)
    return model


def check_tasks(model: FakeModel) -> None:
    assert model.history
    for call in model.history:
        last = call.messages[-1].parts[-1].text  # type: ignore[union-attr]
        wanted = {"region"} if last.startswith(PLACES) else {"image", "region"}
        assert call.options["task"] in wanted, last[:80]


@pytest.mark.parametrize("tags", ["off", "auto"])
@pytest.mark.parametrize("strategy", ["macro", "locate", "search", "auto", "dualfocus", "tools", "micro"])
def test_every_strategy_names_the_task_of_each_call(strategy: Any, tags: Any) -> None:
    model = routed(sign_model())
    with ZoomAgent(model, strategy=strategy, tags=tags) as agent:
        agent.ask(sign_picture(), "What is written on the sign?")
    check_tasks(model)


@pytest.mark.parametrize("form", ["phrase", "none"])
def test_descriptions_name_the_task_of_each_call(form: Any) -> None:
    model = routed(describing("There is a red sign[500, 500, 600, 600].", form, check=[]))
    with ZoomAgent(model) as agent:
        agent.describe(sign_picture())
    check_tasks(model)


@pytest.mark.parametrize("scores", [True, False])
@pytest.mark.parametrize("question", ["When is the red circle there?", "What is written on the red circle?"])
def test_questions_about_time_name_the_task_of_each_call(question: str, scores: bool) -> None:
    world = ClipWorld(Moment(20_000, 30_000), scores=scores)
    routed(world.model)
    world.ask(question)
    check_tasks(world.model)
