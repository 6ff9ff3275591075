"""Boxes in the order that a model writes them come to one place; what cannot be used is told in the outcome."""

from dataclasses import replace

import pytest
from fake_model import FAKE_PROFILE, Call, FakeModel
from PIL import Image

from zoomagent import ZoomAgent, prompts
from zoomagent.geometry import Space

PICTURE = Image.effect_noise((800, 600), 60).convert("RGB")


def agent(box: str, space: Space = "thousand", strategy: str = "locate") -> ZoomAgent:
    def respond(call: Call) -> str:
        last = call.text.rsplit(prompts.GROUND, 1)
        if len(last) > 1 or prompts.BOX in call.text and "two images" not in call.text:
            return box
        return "sign" if call.text.startswith(prompts.CUES) and len(call.views) == 1 else "Exit 12"

    model = FakeModel(
        profile=replace(FAKE_PROFILE, space=space, crop_margin=0.0), respond=respond, respond_score=lambda _: None
    )
    return ZoomAgent(model, strategy=strategy, proof=False, check=False)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("box", "space"),
    [
        ("[100, 200, 300, 400]", "thousand"),
        ('[{"box_2d": [200, 100, 400, 300], "label": "sign"}]', "thousand-yx"),
        ("[200, 100, 400, 300]", "thousand-yx"),
        ('{"x1": 100, "y1": 200, "x2": 300, "y2": 400}', "thousand-yx"),
        ("<|box_start|>(100,200),(300,400)<|box_end|>", "thousand"),
        ("<box>100 200 300 400</box>", "thousand"),
    ],
)
@pytest.mark.parametrize("strategy", ["locate", "dualfocus"])
def test_every_shape_of_one_box_is_one_place(box: str, space: Space, strategy: str) -> None:
    answer = agent(box, space, strategy).ask(PICTURE, "What is written on the sign?")
    [evidence] = [one for one in answer.evidence if one.perspective == "micro"]
    assert evidence.target == (80, 120, 240, 240) and answer.outcome.kind == "answered"


@pytest.mark.parametrize("box", ['[{"box_2d": [200, 100, 400, 300]}]', "over there", '{"bbox_2d": [1, 2, 3]}'])
@pytest.mark.parametrize("strategy", ["locate", "auto", "dualfocus"])
def test_a_box_that_can_not_be_used_is_told_in_the_outcome(box: str, strategy: str) -> None:
    answer = agent(box, strategy=strategy).ask(PICTURE, "What is written on the sign?")
    assert answer.outcome.kind == "answered_degraded" and "no usable box" in answer.outcome.reasons[0]


def test_a_model_that_says_that_there_is_none_is_no_fault() -> None:
    answer = agent("[]").ask(PICTURE, "What is written on the sign?")
    assert answer.outcome.kind == "answered" and answer.text == "Exit 12"
