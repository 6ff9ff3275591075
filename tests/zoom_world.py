"""One drawn scene with things of three sizes, and runs of the agent's graph on it.

    ran = truthful(READ_NEAR, strategy="locate")       the model tells the truth, as far as its views show it
    ran = scripted(respond, scores)                    the model says what the test says

`NEAR` is seen in the whole but not read, `FAR` is not seen there, `BIG` can be read at once.
"""

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from fake_model import FAKE_PROFILE, Call, FakeModel, Scripted
from truthful_model import Truth, last_text

from zoomagent.answer import Answer, from_state
from zoomagent.confidence.arbiter import Arbiter, Certified, Head, Provenance, save
from zoomagent.confidence.calibration import Platt
from zoomagent.confidence.features import FIELDS, GATE_FIELDS, Features, vector
from zoomagent.data.world.questions import Question
from zoomagent.data.world.render import render
from zoomagent.data.world.scene import Item, Scene
from zoomagent.geometry import Box
from zoomagent.graphs import state as states
from zoomagent.graphs.context import Bench, Live
from zoomagent.graphs.state import State
from zoomagent.graphs.zoom import graph
from zoomagent.media import Picture, open_picture
from zoomagent.prompts import MICRO
from zoomagent.tools.viewing import ViewStore

SIDE = 1024
PROFILE = replace(FAKE_PROFILE, multiple=16, min_pixels=16 * 16, max_pixels=128 * 128, crop_pixels=80 * 80, min_side=16)
NEAR = Item("circle", "red", 0.72, 0.30, 0.08, "47", 0, 0)
"""10 pixels in the whole: seen there, its letters (4 pixels) are not."""
ALSO = Item("diamond", "green", 0.12, 0.15, 0.07, "90", 0, 0)
FAR = Item("square", "blue", 0.31, 0.81, 0.03, "83", 0, 0)
"""4 pixels in the whole: not seen there."""
BIG = Item("triangle", "yellow", 0.60, 0.70, 0.20, "15", 0, 0)
SCENE = Scene(1, "plain", "gray", (NEAR, FAR, ALSO, BIG))

READ_NEAR = Question("What is written on the red circle?", "47", "read", (0,), ("red circle",))
READ_FAR = Question("What is written on the blue square?", "83", "read", (1,), ("blue square",))
READ_BIG = Question("What is written on the yellow triangle?", "15", "read", (3,), ("yellow triangle",))
NEAR_LEFT_OF_ALSO = Question(
    "Is the red circle left of the green diamond?", "No", "relation", (0, 2), ("red circle", "green diamond")
)
FAR_LEFT_OF_NEAR = Question(
    "Is the blue square left of the red circle?", "Yes", "relation", (1, 0), ("blue square", "red circle")
)
NEAR_SMALLER_THAN_ALSO = Question(
    "Is the red circle smaller than the green diamond?", "No", "relation", (0, 2), ("red circle", "green diamond")
)
"""Two things, and no places: the model must say it."""
BACKGROUND = Question("What colour is the background?", "gray", "ground")
ABSENT = Question("What is written on the green star?", "Cannot tell", "absent", (), ("green star",))


@cache
def scene() -> Picture:
    """The scene drawn, opened once."""
    return open_picture(render(SCENE, SIDE, SIDE, full_side=SIDE))


def pixels_of(item: Item) -> Box:
    left, top, right, bottom = (round(edge * SIDE) for edge in item.box)
    return Box(left, top, right, bottom)


@dataclass(frozen=True)
class Ran:
    """What came of a run, and what the model was asked."""

    state: State
    model: FakeModel
    views: ViewStore

    @property
    def answer(self) -> Answer:
        return from_state(self.state, model="fake", strategy="auto")

    @property
    def nodes(self) -> list[str]:
        return [step["name"] for step in self.state["steps"]]

    @property
    def kind(self) -> str:
        return self.state["outcome"]["kind"]

    @property
    def text(self) -> str:
        return self.state["verdict"]["text"]

    def asked(self, start: str) -> list[Call]:
        """The calls that ended with a prompt that starts so."""
        return [call for call in self.model.history if last_text(call).startswith(start)]


def run(
    model: FakeModel,
    question: Question,
    options: Sequence[str] = (),
    picture: Picture | None = None,
    views: ViewStore | None = None,
    **settings: Any,
) -> Ran:
    """Run the graph to its end, which must be an outcome and plain JSON."""
    picture = picture or scene()
    views = views or ViewStore(picture, model.profile)
    context = Live(bench=Bench(views, model), **settings)
    start = states.Question(image=picture.id, question=question.text, options=list(options))
    state = cast(State, asyncio.run(graph.ainvoke(start, context=context)))
    json.dumps(state, allow_nan=False)
    assert "outcome" in state, "every run ends in an outcome"
    for field in states.MERGED:
        ids = [entry["id"] for entry in cast(Any, state.get(field, []))]
        assert len(ids) == len(set(ids)), field
    return Ran(state, model, views)


def truthful(
    question: Question,
    options: Sequence[str] = (),
    *,
    logprob: float | None = -0.1,
    blind: Callable[[Call], bool] | None = None,
    **settings: Any,
) -> Ran:
    """A model that tells the truth; calls for which `blind` holds are answered as if nothing were to be seen."""
    views = ViewStore(scene(), PROFILE)
    truth = Truth(SCENE, question, views, options)

    def reply(call: Call) -> Scripted:
        return "[0, 0, 1000, 1000]" if blind and blind(call) else truth.reply(call)

    def scores(call: Call) -> list[float] | None:
        return None if logprob is None else truth.scores(call)

    model = FakeModel(profile=PROFILE, logprob=logprob, respond=reply, respond_score=scores)
    return run(model, question, options, views=views, **settings)


def scripted(
    respond: Callable[[Call], Scripted | Sequence[Scripted]],
    scores: Callable[[Call], list[float] | None] | None = None,
    question: Question = READ_NEAR,
    *,
    logprob: float | None = -0.1,
    **settings: Any,
) -> Ran:
    model = FakeModel(profile=PROFILE, logprob=logprob, respond=respond, respond_score=scores or even)
    return run(model, question, **settings)


def even(call: Call) -> list[float]:
    """Every continuation is as likely."""
    return [-1.0] * len(call.options["continuations"])


def closer(call: Call) -> bool:
    """Whether the call asks the question with crops."""
    return MICRO in last_text(call)


# Arbiters made by hand


def arbiter(
    path: Path,
    *,
    gate: float = 0.2,
    same: float = 0.9,
    macro: float = 0.3,
    micro: float = 0.8,
    searched: float = 0.9,
    certified: int = 0,
    weights: dict[str, float] | None = None,
) -> str:
    """A file with an arbiter that always says these probabilities, but for `weights` on features of the micro head.
    `certified` right answers with confidences from 0.5 to 1 vouch for thresholds."""
    confidences = tuple(sorted((0.5 + 0.5 * i / max(1, certified) for i in range(certified)), reverse=True))
    rights = "".join("1" if confidence > 0.6 else "0" for confidence in confidences)
    kept = Certified(final=confidences, final_right=rights, gate=confidences, gate_right=rights)
    made = Arbiter(
        provenance=Provenance(model="fake", seed=0, fitted=0, certified=certified),
        gate=_head(gate, GATE_FIELDS),
        alone=_head(gate, FIELDS),
        searched=_head(searched, FIELDS),
        same=_head(same, FIELDS),
        macro=_head(macro, FIELDS),
        micro=_head(micro, FIELDS, weights),
        reference=confidences,
        certified=kept,
    )
    save(made, path)
    return str(path)


def _head(probability: float, fields: Sequence[str], weights: dict[str, float] | None = None) -> Head:
    columns = vector(Features(), fields)[1]
    row = tuple((weights or {}).get(column, 0.0) for column in columns)
    constant = math.log(probability / (1 - probability))
    return Head(columns=columns, weights=row, intercept=constant, calibrator=Platt(slope=1, intercept=0), least=0.001)
