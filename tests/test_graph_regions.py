"""A region given with the question is written in the space of the view it is shown with, looked at, checked, proved."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from fake_model import Call, FakeModel
from sign_model import PROFILE, SIGN, sign_picture

from zoomagent import ZoomAgent
from zoomagent.geometry import Box, Space
from zoomagent.models.base import Pixels, Text
from zoomagent.strategy import Strategy
from zoomagent.tools.verifying import YES_NO

QUESTION = "What is written in {0}?"
ZOOMS = ["auto", "locate", "search", "tools", "dualfocus", "dualfocus-published", "micro"]


def model(space: Space = "thousand", micro: str = "Exit 12", **profile: Any) -> FakeModel:
    def respond(call: Call) -> str:
        return micro if len(call.views) > 1 else "Cannot tell"

    def scores(call: Call) -> list[float]:
        close = any(share(view) > 0.02 for view in call.views)
        said = call.options["continuations"]
        if tuple(said) == YES_NO:
            return [-0.1, -3.0] if close else [-3.0, -0.1]
        return [-0.1 if close and text != "Cannot tell" else -6.0 for text in said]

    taken = replace(PROFILE, space=space, **profile)
    return FakeModel(profile=taken, respond=respond, respond_score=scores)


def share(view: Pixels) -> float:
    return float(red(view).mean())


def red(view: Pixels) -> Any:
    array = np.asarray(view.image.convert("RGB")).astype(int)
    return (array[..., 0] > 180) & (array[..., 1] < 90)


def red_box(view: Pixels) -> tuple[float, ...] | None:
    """Where the sign is in a view, in shares of it."""
    mask = red(view)
    if not mask.any():
        return None
    rows, columns = np.where(mask.any(axis=1))[0], np.where(mask.any(axis=0))[0]
    height, width = mask.shape
    return columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height


def read_back(numbers: list[float], space: Space, view: Pixels) -> list[float]:
    """What four numbers mean in shares of the view, worked out apart from the code under test."""
    width, height = view.image.size
    if space == "thousand-yx":
        numbers = [numbers[1], numbers[0], numbers[3], numbers[2]]
    if space == "pixels":
        return [numbers[0] / width, numbers[1] / height, numbers[2] / width, numbers[3] / height]
    if space == "square":
        side = max(width, height)
        pads = ((side - width) / 2, (side - height) / 2) * 2
        return [(n * side - pad) / length for n, pad, length in zip(numbers, pads, (width, height) * 2, strict=True)]
    return [n / (1000 if "thousand" in space else 1) for n in numbers]


@pytest.mark.parametrize("space", get_args(Space))
@pytest.mark.parametrize("strategy", [*ZOOMS, "macro"])
def test_the_numbers_of_a_region_mean_the_same_place_in_every_view(strategy: Strategy, space: Space) -> None:
    fake = model(space)
    answer = ZoomAgent(fake, strategy=strategy, arbiter="none").ask(sign_picture(), QUESTION, regions=[SIGN])
    assert answer.answered, answer.outcome
    compared = 0
    for call in fake.history:
        for message in call.messages:
            shown = [part for part in message.parts if isinstance(part, Pixels)]
            words = " ".join(part.text for part in message.parts if isinstance(part, Text))
            assert "{0}" not in words
            for found in re.findall(r"written in \[([^\]]+)\]", words):
                view = next((view for view in shown if red_box(view)), None)
                if view is None:
                    continue  # blanked, for the proof
                place = read_back([float(n) for n in found.split(",")], space, view)
                assert place == pytest.approx(red_box(view), abs=0.02)
                compared += 1
    assert compared


@pytest.mark.parametrize("strategy", ZOOMS)
def test_a_region_is_zoomed_into_and_named_by_the_evidence(strategy: Strategy) -> None:
    fake = model()
    answer = ZoomAgent(fake, strategy=strategy, arbiter="none").ask(sign_picture(), QUESTION, regions=[SIGN])
    [evidence] = [one for one in answer.evidence if one.perspective == "micro"]
    assert answer.text == "Exit 12" and evidence.target == pytest.approx(SIGN, abs=3)
    assert evidence.phrase == "given region 0" and answer.about == (SIGN,)
    if strategy in ("auto", "locate", "search", "tools"):
        # As any other target: checked, and proved.
        assert evidence.seen is not None and evidence.seen > 0.9 and evidence.mattered is not None
    asked_where = [call for call in fake.history if call.method == "generate" and len(call.views) == 1]
    assert len(asked_where) <= 1, "where to look was asked though it was given"


@pytest.mark.parametrize("strategy", ["auto", "tools", "dualfocus"])
def test_every_one_of_several_regions_is_looked_at(strategy: Strategy) -> None:
    other = (100, 100, 300, 300)
    fake = model()
    agent = ZoomAgent(fake, strategy=strategy, arbiter="none")
    answer = agent.ask(sign_picture(), "Is {0} like {1}?", regions=[SIGN, Box(*other)])
    boxes = [one.box for one in answer.evidence if one.perspective == "micro"]
    for region in (SIGN, other):
        assert any(b[0] <= region[0] and b[1] <= region[1] and b[2] >= region[2] and b[3] >= region[3] for b in boxes)
    [names] = {", ".join(one.phrase or "" for one in answer.evidence if one.perspective == "micro")}
    assert names == "given region 0, given region 1"


REFUSED: list[tuple[str, Any]] = [
    (QUESTION, []),
    ("Is {1} like {0}?", [SIGN]),
    (QUESTION, [(0, 0, 2401, 10)]),
    (QUESTION, [(-1, 0, 10, 10)]),
    (QUESTION, [(10, 0, 10, 10)]),
    (QUESTION, [(0, 20, 10, 10)]),
    (QUESTION, [(0, 0, 1, 1)] * 17),
    (QUESTION, [(0, 0, 1)]),
    (QUESTION, [(0.5, 0, 1, 1)]),
    (QUESTION, [(True, 0, 10, 10)]),
    (QUESTION, ["0123"]),
    (QUESTION, "0123"),
    (QUESTION, 7),
    (QUESTION, [7]),
    (QUESTION, [{"left": 1}]),
    (QUESTION, [(0, 0, 10**30, 1)]),
]


@pytest.mark.parametrize(("question", "regions"), REFUSED)
@pytest.mark.parametrize("strategy", ["auto", "micro"])
def test_a_region_that_cannot_be_is_refused_before_any_call(strategy: Strategy, question: str, regions: Any) -> None:
    fake = model()
    answer = ZoomAgent(fake, strategy=strategy, arbiter="none").ask(sign_picture(), question, regions=regions)
    assert (answer.outcome.kind, answer.outcome.code) == ("refused", "bad_region")
    assert not fake.history


@pytest.mark.parametrize("edge", [2**31 + 1, 2**64, 10**400])
def test_a_region_that_no_store_takes_is_refused_where_runs_are_kept(edge: int, tmp_path: Path) -> None:
    with ZoomAgent(model(), checkpointer=tmp_path / "runs.sqlite") as agent:
        answer = agent.ask(sign_picture(), QUESTION, regions=[(0, 0, edge, 10)])
    assert (answer.outcome.kind, answer.outcome.code) == ("refused", "bad_region")


def test_braces_that_are_doubled_and_regions_that_no_word_names_are_taken() -> None:
    fake = model()
    with ZoomAgent(fake, arbiter="none") as agent:
        doubled = agent.ask(sign_picture(), "What does print({{0}}) say about {a} in {}?")
        unnamed = agent.ask(sign_picture(), "What is written here?", regions=[SIGN])
    assert doubled.answered and "print({0}) say about {a} in {}?" in fake.history[0].text
    assert unnamed.text == "Exit 12" and unnamed.evidence[-1].target == SIGN


def test_a_run_belongs_to_its_regions_and_goes_on_with_them(tmp_path: Path) -> None:
    other = (0, 0, 50, 50)
    with ZoomAgent(model(), arbiter="none", checkpointer=tmp_path / "runs.sqlite") as agent:
        first = agent.ask(sign_picture(), QUESTION, regions=[SIGN], thread_id="a")
        again = agent.ask(sign_picture(), QUESTION, regions=[SIGN], thread_id="a")
        wrong = agent.ask(sign_picture(), QUESTION, regions=[other], thread_id="a")
        plain = agent.ask(sign_picture(), "What?", thread_id="b")
        more = agent.ask(sign_picture(), "What?", regions=[SIGN], thread_id="b")
        none = agent.ask(sign_picture(), "What?", thread_id="c")
    assert again.text == first.text and again.cost.model_calls == first.cost.model_calls
    assert wrong.outcome.code == more.outcome.code == "run_mismatch"
    assert plain.answered and none.answered
    assert type(first).model_validate_json(first.model_dump_json()) == first
