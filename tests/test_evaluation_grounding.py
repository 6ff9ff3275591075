"""The figures of grounding: right for answers made to be right, and for those made to be wrong."""

import asyncio

import numpy as np
import pytest
from fake_model import FakeModel

from zoomagent import ZoomAgent
from zoomagent.data.world.scene import SMALL
from zoomagent.evaluation.ground import measure, table
from zoomagent.evaluation.grounding import (
    TRAPS,
    PhraseFigures,
    Trap,
    box_accuracy,
    mean_iou,
    moment_iou,
    phrase_figures,
    probe_figures,
    probes,
    recall_at_one,
)
from zoomagent.geometry import Box

PICTURES = {f"p{n}": ["cup", "table", *(["dog"] if n else ["cat"]), f"thing{n}"] for n in range(6)}


@pytest.mark.parametrize("trap", TRAPS)
def test_probes_ask_as_much_about_what_is_not_there_and_never_call_it_there(trap: Trap) -> None:
    asked = probes(PICTURES, trap, np.random.default_rng(1))
    assert asked and sum(probe.there for probe in asked) * 2 == len(asked) == len(set(asked))
    assert all((probe.name in PICTURES[probe.picture]) == probe.there for probe in asked)
    if trap != "random":
        # "dog" is in most pictures, and beside what is in this one.
        assert "dog" in {probe.name for probe in asked if probe.picture == "p0" and not probe.there}
    perfect = probe_figures([(probe, probe.there) for probe in asked])
    yes = probe_figures([(probe, True) for probe in asked])
    assert (perfect.accuracy, perfect.f1, perfect.yes) == (1, 1, 0.5)
    assert (yes.accuracy, yes.recall, yes.yes) == (0.5, 1, 1) and yes.f1 == pytest.approx(2 / 3)
    assert probe_figures([]).f1 == 0


def test_boxes_and_moments_count_from_half_their_union_on() -> None:
    box = Box(0, 0, 10, 10)
    assert box_accuracy([(box, box), (None, box), (Box(0, 0, 10, 5), box), (Box(0, 0, 10, 4), box)]) == 0.5
    assert moment_iou((0, 10), (5, 15)) == pytest.approx(1 / 3) and moment_iou((0, 5), (5, 9)) == 0
    pairs = [((0, 10), (0, 10)), ((0, 6), (0, 10)), (None, (0, 10))]
    assert recall_at_one(pairs, 0.5) == pytest.approx(2 / 3) and recall_at_one(pairs, 0.7) == pytest.approx(1 / 3)
    assert mean_iou(pairs) == pytest.approx(1.6 / 3) and mean_iou([]) == 0


def test_a_wanted_box_is_found_once_and_only_under_its_name() -> None:
    box, other = Box(0, 0, 10, 10), Box(50, 50, 60, 60)
    figures = phrase_figures(
        [("Dog", [box, box]), ("cat", [other])], [("dog", [box]), ("cat", [box]), ("cat", [other])]
    )
    assert figures == PhraseFigures(right=2, found=3, wanted=3)
    assert figures.precision == figures.recall == pytest.approx(2 / 3)
    assert PhraseFigures(0, 0, 0).precision == 0


def test_a_model_that_says_yes_to_all_and_points_nowhere_gets_such_figures() -> None:
    fake = FakeModel(respond=lambda call: "[]", respond_score=lambda call: [-0.1, -3.0])
    with ZoomAgent(fake, arbiter="none") as agent:
        found = asyncio.run(measure(agent, SMALL, 2, 1))
    assert found["rec"]["acc@0.5"] == 0 and found["rec"]["n"] > 4 and found["phrases"]["found"] == 0
    assert all(one["yes"] == 1 and one["accuracy"] == 0.5 for one in found["pope"].values())
    assert "REC" in table(found)


def test_what_a_model_cannot_measure_is_no_answer() -> None:
    silent = FakeModel(respond=lambda call: "[]", respond_score=lambda call: None)
    with ZoomAgent(silent, arbiter="none") as agent:
        found = asyncio.run(measure(agent, SMALL, 3, 1))
    for one in found["pope"].values():
        assert one["n"] == 0 and one["unchecked"] > 0 and one["accuracy"] is one["f1"] is one["yes"] is None
    assert "not measured" in table(found) and "0.0 %" not in table(found).split("POPE", 1)[1]
    # Where only some can be measured, the figures are of those.
    count = iter(range(1000))
    some = FakeModel(respond=lambda call: "[]", respond_score=lambda call: [-0.1, -3.0] if next(count) % 2 else None)
    with ZoomAgent(some, arbiter="none") as agent:
        found = asyncio.run(measure(agent, SMALL, 3, 1))
    assert all(one["n"] and one["unchecked"] and one["yes"] == 1 for one in found["pope"].values())
