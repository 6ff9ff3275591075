"""The tools policy reads and writes the dialects in which models without function calls were trained."""

from dataclasses import replace

import pytest
from fake_model import FAKE_PROFILE, FakeModel
from PIL import Image

from zoomagent import ZoomAgent
from zoomagent.geometry import Space
from zoomagent.models.profiles import ToolDialect

PICTURE = Image.effect_noise((800, 600), 60).convert("RGB")
MINI_O3 = '<grounding>{"bbox_2d": [0.1, 0.1, 0.5, 0.5], "source": "original_image"}</grounding>'
DEEPER = '<grounding>{"bbox_2d": [0.2, 0.2, 0.6, 0.6], "source": "observation_1"}</grounding>'
P2R = '[{"bbox_2d": [100, 100, 500, 500], "label": "sign"}]'


def agent(dialect: ToolDialect, replies: list[str]) -> tuple[ZoomAgent, FakeModel]:
    space: Space = "unit" if dialect == "mini-o3" else "thousand"
    model = FakeModel(profile=replace(FAKE_PROFILE, tool_dialect=dialect, space=space))
    model.enqueue(["Cannot tell", *replies])
    return ZoomAgent(model, strategy="tools", proof=False, rule="micro"), model


@pytest.mark.parametrize(("dialect", "call"), [("mini-o3", MINI_O3), ("p2r", P2R)])
def test_a_call_in_the_models_own_dialect_zooms_and_is_told_back_as_written(dialect: ToolDialect, call: str) -> None:
    asking, model = agent(dialect, [f"Let me see. {call}" if dialect == "mini-o3" else call, "42"])
    answer = asking.ask(PICTURE, "What is written there?")
    assert answer.text == "42" and len(answer.boxes) == 1
    left, top, right, bottom = answer.boxes[0]
    assert left <= 80 and top <= 60 and right >= 400 and bottom >= 300
    told = [call for call in model.history if call.method == "generate"][-1]
    assert len(told.views) == 2


def test_an_observation_can_be_zoomed_into() -> None:
    asking, _ = agent("mini-o3", [MINI_O3, DEEPER, "42"])
    answer = asking.ask(PICTURE, "What is written there?")
    assert answer.text == "42" and max(item.depth for item in answer.evidence) == 2


def test_an_empty_list_means_the_whole_picture_decides() -> None:
    asking, model = agent("p2r", ["[]"])
    answer = asking.ask(PICTURE, "What is written there?")
    assert answer.text == "Cannot tell" and answer.outcome.kind == "answered" and len(model.history) == 2
