"""Two things that were surely found are compared by their boxes; what was not found is compared with nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clip_world import ClipWorld, Sighted
from fake_model import Call, FakeModel
from truthful_model import Truth, last_text
from zoom_world import (
    FAR_LEFT_OF_NEAR,
    NEAR_LEFT_OF_ALSO,
    NEAR_SMALLER_THAN_ALSO,
    PROFILE,
    SCENE,
    Ran,
    arbiter,
    run,
    scene,
    truthful,
)

from zoomagent import prompts
from zoomagent.data.world.questions import Question
from zoomagent.moments import Moment
from zoomagent.tools.viewing import ViewStore


def mistaken(question: Question, options: tuple[str, ...] = (), unseen: str = "", **settings: Any) -> Ran:
    """A model that finds things as they are, and reads every relation the wrong way round. It never sees what is named
    by `unseen`."""
    views = ViewStore(scene(), PROFILE)
    truth = Truth(SCENE, question, views, options if question.answer in options else ())
    wrong = {"Yes": "No", "No": "Yes"}[question.answer]

    def reply(call: Call) -> Any:
        said = truth.reply(call)
        return wrong if said == question.answer else said

    def scores(call: Call) -> Any:
        if unseen and last_text(call).endswith(unseen):
            given = call.options["continuations"]
            return [-0.01, *[-9.0] * (len(given) - 1)] if given[0] == "0" else [-9.0, -0.01]
        return truth.scores(call)

    model = FakeModel(profile=PROFILE, respond=reply, respond_score=scores)
    return run(model, question, options, views=views, **settings)


@pytest.mark.parametrize("question", [NEAR_LEFT_OF_ALSO, FAR_LEFT_OF_NEAR], ids=lambda q: q.text)
@pytest.mark.parametrize("strategy", ["auto", "search"])
def test_places_that_were_found_decide_and_the_reason_says_so(
    question: Question, strategy: str, tmp_path: Path
) -> None:
    ran = mistaken(question, strategy=strategy, arbiter=arbiter(tmp_path / "a.json"))
    assert ran.text == question.answer and ran.answer.perspective == "micro"
    assert ran.answer.reasons[0].startswith("Measured by the places of")
    [check] = [check for check in ran.answer.checks if check.kind == "placed"]
    assert check.value == float(question.answer == "Yes") and question.phrases[0] in check.text
    assert len(ran.answer.boxes) == 2
    closer = [call for call in ran.model.history if len(call.views) > 1]
    assert not closer, "nothing more is asked"


def test_an_option_is_the_answer_where_options_are_given() -> None:
    options = ("Yes", "No", "Only half of it")
    assert mistaken(NEAR_LEFT_OF_ALSO, options, strategy="search").answer.text == "No"
    others = mistaken(NEAR_LEFT_OF_ALSO, ("It is", "It is not"), strategy="search")
    assert not [check for check in others.answer.checks if check.id.startswith("placed-")], "no option says so"


@pytest.mark.parametrize("strategy", ["locate", "search"])
def test_of_several_that_were_pointed_at_none_is_measured(strategy: str) -> None:
    views = ViewStore(scene(), PROFILE)
    truth = Truth(SCENE, NEAR_LEFT_OF_ALSO, views)

    def reply(call: Call) -> Any:
        said = truth.reply(call)
        return f"[{said}, [10, 10, 60, 60]]" if last_text(call).startswith(prompts.GROUND) else said

    model = FakeModel(profile=PROFILE, respond=reply, respond_score=truth.scores)
    ran = run(model, NEAR_LEFT_OF_ALSO, views=views, strategy=strategy)
    assert [target["fate"] for target in ran.state["targets"]] == ["located", "located"]
    assert not [check for check in ran.answer.checks if check.kind == "placed"]


def test_frames_of_a_clip_are_not_compared_as_if_they_were_one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def reply(sighted: Sighted, call: Call) -> Any:
        last, image = last_text(call), call.views[-1].image
        if last.startswith(prompts.CUES):
            return "red circle, blue square"
        if last.startswith((prompts.BOX, prompts.GROUND)):
            return place_of("red" if "red" in last else "blue", image)
        return "Cannot tell"

    monkeypatch.setattr(Sighted, "reply", reply)
    answer = ClipWorld(Moment(5_000, 12_000), Moment(40_000, 50_000)).ask("Is the red circle left of the blue square?")
    assert any("red circle can be seen" in step.text for step in answer.steps)
    assert not [check for check in answer.checks if check.kind == "placed"]


def place_of(colour: str, image: Any) -> str:
    red, green, blue = np.moveaxis(np.asarray(image.convert("RGB"), int), 2, 0)
    one, other = (red, blue) if colour == "red" else (blue, red)
    down, across = np.nonzero((one > 150) & (other < 90) & (green < 110))
    if not len(across):
        return "[]"
    left, right = (1000 * end // image.width for end in (across.min(), across.max()))
    top, bottom = (1000 * end // image.height for end in (down.min(), down.max()))
    return str([int(end) for end in (left, top, right, bottom)])


def test_sizes_are_left_to_the_model() -> None:
    ran = mistaken(NEAR_SMALLER_THAN_ALSO, strategy="search")
    assert ran.text == "Yes" and not [check for check in ran.answer.checks if check.kind == "placed"]


@pytest.mark.parametrize("wrong", [True, False])
def test_a_size_that_the_boxes_contradict_has_no_confidence(wrong: bool, tmp_path: Path) -> None:
    """What looks smaller may be farther away: the model's word stands, and nothing vouches for it."""
    larger = Question(
        "Is the blue square larger than the red circle?", "No", "relation", (1, 0), ("blue square", "red circle")
    )
    settings: dict[str, Any] = {"strategy": "search", "arbiter": arbiter(tmp_path / "a.json")}
    ran = mistaken(larger, **settings) if wrong else truthful(larger, **settings)
    [check] = [check for check in ran.answer.checks if check.kind == "placed"]
    assert check.value == 0 and "not larger in the picture" in check.text
    assert ran.answer.text == ("Yes" if wrong else "No") and (ran.answer.confidence is None) == wrong
    assert ("is given without confidence" in " ".join(ran.answer.reasons)) == wrong


def test_an_answer_about_what_was_not_found_is_not_earned(tmp_path: Path) -> None:
    ran = mistaken(NEAR_LEFT_OF_ALSO, unseen="green diamond", strategy="search", arbiter=arbiter(tmp_path / "a.json"))
    assert {t["phrase"]: t["fate"] for t in ran.state["targets"]} == {
        "red circle": "located",
        "green diamond": "missing",
    }
    assert ran.answer.confidence is None or ran.answer.perspective == "macro"
    looks = [call for call in ran.asked(prompts.PARTS) if last_text(call).endswith("green diamond")]
    assert len(looks) == 10, "the whole and each of its parts: the question takes it for granted that it is there"


def test_no_answer_about_two_missing_things_is_borne_out(tmp_path: Path) -> None:
    circle = Question("Is the green circle left of the red star?", "Yes", "relation", (), ("green circle", "red star"))
    ran = mistaken(circle, strategy="search", arbiter=arbiter(tmp_path / "a.json"))
    assert {target["fate"] for target in ran.state["targets"]} == {"missing"}
    assert ran.answer.confidence is None and "did not find green circle and red star" in " ".join(ran.answer.reasons)
    assert not any("bears out" in step["text"] for step in ran.state["steps"])
