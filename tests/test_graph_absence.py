"""What denies something is earned by looks that could have seen it, or given without confidence; and it says so."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_model import Call, FakeModel, Scripted
from truthful_model import Truth, last_text
from zoom_world import (
    ABSENT,
    BACKGROUND,
    FAR,
    NEAR,
    PROFILE,
    SCENE,
    Ran,
    arbiter,
    even,
    pixels_of,
    run,
    scene,
)

from zoomagent import ZoomAgent, prompts
from zoomagent.data.world.questions import Question, hits_of
from zoomagent.geometry import Box, Size, coverage, intersect
from zoomagent.graphs.context import Budget
from zoomagent.models.profiles import Profile
from zoomagent.page.words import mattered_words
from zoomagent.strategy import Strategy
from zoomagent.tools.searching import part_box
from zoomagent.tools.viewing import ViewStore, box_of

SEARCHING = replace(PROFILE, max_pixels=256 * 256, whole_pixels=128 * 128, visible_pixels=4)
THERE = Question("Is there a blue square?", "Yes", "presence", (1,), ("blue square",))
NOT_THERE = Question("Is there a green star?", "No", "presence", (), ("green star",))
SQUARES = Question("How many squares are there?", "1", "count", (1,), ("square",))
NONE = Question("How many stars are there?", "0", "count", (), ("star",))


def believing(
    question: Question,
    tmp_path: Path | None,
    macro: str = "No",
    pointed: str = "",
    lists_whole: bool = True,
    ghost: list[int] | None = None,
    broken: bool = False,
    profile: Profile = SEARCHING,
    **settings: Any,
) -> Ran:
    """A model that says `macro` of the whole and the truth of what close views show, and that lists, in the whole only
    where `lists_whole`, and there a `ghost` too. Lists that are `broken` cannot be read. It points at `pointed`, where
    that is given."""
    views = ViewStore(scene(), profile)
    truth = Truth(SCENE, question, views)

    def visible(call: Call, index: int) -> bool:
        item = SCENE.items[index]
        return any(
            coverage(pixels_of(item), truth.region(view)) == 1.0
            and item.size * 1024 / truth.region(view).width * view.image.width >= 4
            for view in call.views
        )

    def reply(call: Call) -> Scripted:
        last = last_text(call)
        if last.startswith(prompts.EVERY):
            name = last.removeprefix(prompts.EVERY).split("\n")[0]
            view = truth.region(call.views[-1])
            if broken:
                return "[[100, 100,"
            if view.width == 1024 and not lists_whole:
                return "[]"
            boxes = [intersect(pixels_of(SCENE.items[i]), view) for i in hits_of(name, SCENE) if visible(call, i)]
            ghosts = [ghost] if ghost and view.width == 1024 else []
            return str([*(written(box, view) for box in boxes if box.area), *ghosts])
        if last.startswith(prompts.SEARCHED):
            found = [part.split() for part in last.split(prompts.FOUND)[1].split(".\n")[0].split(", ")]
            number = int(found[0][-1])
            return str(number) if question.kind == "count" else "Yes" if number else "No"
        if prompts.MICRO in last:
            return truth.reply(call)
        if last.startswith(prompts.BOX) and pointed:
            return pointed
        if last.startswith((prompts.CUES, prompts.BOX, prompts.GROUND)):
            return truth.reply(call)
        return macro

    def scores(call: Call) -> list[float]:
        last = last_text(call)
        if last.startswith(prompts.PARTS):
            shown = box_of(views.record(call.views[-1].key))
            hits = [i for i in hits_of(last.removeprefix(prompts.PARTS), SCENE) if visible(call, i)]
            parts = [part_box(shown, number, Box(0, 0, 1024, 1024)) for number in range(1, 10)]
            found = [any(coverage(pixels_of(SCENE.items[i]), part) == 1.0 for i in hits) for part in parts]
            return [-5.0 if any(found) else -0.02, *(-0.5 if hit else -5.5 for hit in found)]
        return truth.scores(call)

    model = FakeModel(profile=profile, respond=reply, respond_score=scores)
    if tmp_path is not None:
        settings["arbiter"] = arbiter(tmp_path / "a.json", gate=0.999, micro=0.95, same=0.95, searched=0.97)
    return run(model, question, views=views, **settings)


def written(box: Box, view: Box) -> list[int]:
    scale = 1000 / view.width
    return [round((v - (view.left, view.top)[i % 2]) * scale) for i, v in enumerate(box.as_list())]


def test_a_sure_no_about_a_thing_that_is_there_is_turned_by_a_search(tmp_path: Path) -> None:
    """The whole cannot show it (4 pixels), says "No", and the gate is as sure as can be."""
    ran = believing(THERE, tmp_path)
    assert (ran.text, ran.state["verdict"]["perspective"]) == ("Yes", "micro")
    assert max(coverage(pixels_of(FAR), Box(*box)) for box in ran.answer.boxes) == 1.0


def test_a_no_is_earned_by_a_search_and_says_down_to_which_size(tmp_path: Path) -> None:
    ran = believing(NOT_THERE, tmp_path)
    verdict, searched = ran.state["verdict"], ran.answer.searched
    assert (ran.text, verdict["confidence_from"]) == ("No", "calibrated") and verdict["confidence"] == pytest.approx(
        0.97
    )
    assert searched is not None and searched.complete and searched.found == (("green star", 0),)
    assert round(searched.least) == round(4 * 1024 / 256)
    assert verdict["reason"].startswith(
        "The whole picture was searched for things of at least 16 pixels: found no green star."
    )


def test_a_crop_that_was_doubted_does_not_settle_what_a_search_did_not_find(tmp_path: Path) -> None:
    """What was pointed at says No, and is doubted. The search that follows finds nothing, and that earns the answer."""
    ran = believing(NOT_THERE, tmp_path, pointed="[100, 100, 300, 300]")
    assert ran.nodes.index("answer") < ran.nodes.index("search") < ran.nodes.index("conclude")
    assert ran.answer.searched is not None and ran.answer.confidence == pytest.approx(0.97)


@pytest.mark.parametrize("agree", [True, False])
def test_the_other_parts_are_counted_too_where_the_whole_and_its_parts_differ(tmp_path: Path, agree: bool) -> None:
    ran = believing(SQUARES, tmp_path, macro="7", lists_whole=agree)
    lists = len(ran.asked(prompts.EVERY))
    assert ran.text == "1" and (1 < lists < 10 if agree else lists == 10)


@pytest.mark.parametrize("question", [SQUARES, NONE])
def test_a_number_that_the_list_of_the_whole_bears_out_is_not_counted_again(tmp_path: Path, question: Question) -> None:
    """The first look, the names, one list: nothing else is asked, and the count is earned down to what the list saw."""
    views = replace(SEARCHING, max_pixels=512 * 512)
    ran = believing(question, tmp_path, macro=question.answer, profile=views)
    assert (ran.text, ran.answer.cost.model_calls, len(ran.asked(prompts.EVERY))) == (question.answer, 3, 1)
    searched = ran.answer.searched
    assert searched is not None and searched.complete and round(searched.least) == round(4 * 1024 / 512)
    assert ran.state["verdict"]["confidence_from"] == "calibrated" and not ran.asked(prompts.SEARCHED)


@pytest.mark.parametrize(("macro", "options", "asked"), [
    ("No", ("Yes", "No"), 0), ("Yes", ("Yes", "No"), 1), ("Cannot tell", (), 1), ("Cannot tell", ("Yes", "No"), 1),
    ("Cannot tell", ("47", "12", "Cannot tell"), 0),
])  # fmt: skip
def test_what_a_search_in_vain_bears_out_is_not_asked_again(
    tmp_path: Path, macro: str, options: tuple[str, ...], asked: int
) -> None:
    ran = believing(NOT_THERE, tmp_path, macro=macro, options=options)
    assert len(ran.asked(prompts.SEARCHED)) == asked and ran.answer.searched is not None
    assert ran.text == ("No" if asked or macro == "No" else "Cannot tell")


def test_a_no_about_two_things_that_the_crop_shows_keeps_the_crop_and_its_confidence(tmp_path: Path) -> None:
    """Pointed at both, read "No", and named: the crop settles it, and the answer denies nothing unseen."""
    asked = "Does the red circle touch the green diamond?"
    touching = Question(asked, "No", "relation", (0, 2), ("red circle", "green diamond"))
    ran = believing(touching, tmp_path, pointed="[100, 100, 900, 500]")
    assert (ran.text, ran.nodes.count("search")) == ("No", 0) and "compares things" in ran.state["settled"]
    assert ran.state["verdict"]["confidence"] == pytest.approx(0.95)
    assert [target["fate"] for target in ran.state["targets"]] == ["located"]


@pytest.mark.parametrize("macro", ["0", "none", "1"])
def test_a_list_that_cannot_be_read_bears_nothing_out(tmp_path: Path, macro: str) -> None:
    """An error is no answer: what could not be listed was not seen, and the number is given without confidence."""
    ran = believing(SQUARES, tmp_path, macro=macro, profile=replace(SEARCHING, max_pixels=512 * 512), broken=True)
    searched = ran.answer.searched
    assert searched is not None and searched.least == 4 * 1024 / 128 and not searched.complete
    assert ran.answer.confidence is None and "not earned" in ran.state["verdict"]["reason"]


@pytest.mark.parametrize(("macro", "borne_out"), [("No", True), ("Yes", False)])
def test_what_both_lists_say_is_not_asked_again(macro: str, borne_out: bool, tmp_path: Path) -> None:
    more = Question("Are there more stars than squares?", "No", "more", (1,), ("star", "square"))
    ran = believing(more, tmp_path, macro=macro)
    found = ran.answer.searched
    assert found is not None and found.complete and dict(found.found) == {"star": 0, "square": 1}
    assert any("bears out" in step["text"] for step in ran.state["steps"]) == borne_out


@pytest.mark.parametrize(("asked", "macro"), [
    ("Are there more than 5 squares on the stars?", "Yes"),
    ("Is the number of squares more than twice that of stars?", "Yes"),
    ("How many of the squares are left of the star?", "1"),
    ("How many squares hold a star?", "1"),
])  # fmt: skip
def test_a_list_of_things_bears_out_no_answer_about_some_of_them(asked: str, macro: str, tmp_path: Path) -> None:
    """One square and no star were found, which is not what is asked: the model is asked again."""
    names = ("square",) if "hold" in asked else ("square", "star")
    ran = believing(Question(asked, "0", "more", (1,), names), tmp_path, macro=macro)
    assert ran.answer.searched is not None and ran.answer.searched.complete
    assert not any("bears out" in step["text"] for step in ran.state["steps"])


def test_a_no_to_a_comparison_is_no_number_that_a_list_could_bear_out(tmp_path: Path) -> None:
    more = Question("Are there more stars than squares?", "No", "more", (1,), ("star", "square"))
    ran = believing(more, tmp_path, macro="No")
    asked = [last_text(call).removeprefix(prompts.PARTS) for call in ran.asked(prompts.PARTS)]
    assert {"star", "square"} <= set(asked)


def test_what_the_whole_lists_and_no_closer_list_shows_is_not_counted(tmp_path: Path) -> None:
    ran = believing(SQUARES, tmp_path, macro="7", ghost=[100, 100, 160, 160])
    assert ran.text == "1" and len(ran.answer.boxes) == 1


def test_a_crop_that_changed_nothing_is_not_proved(tmp_path: Path) -> None:
    read = Question("What is written on the red circle?", "47", "read", (0,), ("red circle",))
    file = arbiter(tmp_path / "unsure.json", gate=0.1, micro=0.95, same=0.95)
    changed, same = (believing(read, None, macro=said, arbiter=file) for said in ("12", "47"))
    assert changed.text == same.text == "47"
    assert "prove" in changed.nodes and "prove" not in same.nodes


@pytest.mark.parametrize(("question", "number"), [(SQUARES, 1), (NONE, 0)])
def test_a_count_looks_everywhere_and_says_what_it_found(tmp_path: Path, question: Question, number: int) -> None:
    ran = believing(question, tmp_path, macro="7")
    assert ran.text == str(number) and ran.state["tried"] == ["count"]
    assert ran.answer.searched is not None and ran.answer.searched.found == ((question.phrases[0], number),)
    assert len(ran.answer.boxes) == number and ran.state["verdict"]["confidence"] == pytest.approx(0.97)
    if number:
        assert coverage(pixels_of(FAR), Box(*ran.answer.boxes[0])) > 0.9


def test_a_count_whose_budget_ends_is_not_earned(tmp_path: Path) -> None:
    ran = believing(SQUARES, tmp_path, macro="0", budget=Budget(calls=4))
    assert ran.state["verdict"]["confidence"] is None and ran.kind == "answered_degraded"
    assert "without confidence" in ran.state["verdict"]["reason"]


@pytest.mark.parametrize("strategy", ["macro", "dualfocus", "locate", "tools"])
@pytest.mark.parametrize(("question", "macro"), [(NOT_THERE, "No"), (NONE, "0"), (ABSENT, "Cannot tell")])
def test_a_denial_without_a_search_has_no_confidence(strategy: Strategy, question: Question, macro: str) -> None:
    def reply(call: Call) -> Scripted:
        return "[0, 0, 1000, 1000]" if "bounding box" in last_text(call) else macro

    model = FakeModel(
        profile=PROFILE, respond=reply, respond_score=lambda call: [-1.0] * len(call.options["continuations"])
    )
    with ZoomAgent(model, strategy=strategy) as agent:
        answer = agent.ask(scene(), question.text)
    assert answer.answered and answer.text == macro and answer.confidence is None
    assert any("claim about the whole picture" in reason for reason in answer.reasons)


@pytest.mark.parametrize("strategy", ["macro", "micro", "dualfocus"])
def test_an_error_rate_is_never_ignored(strategy: Strategy) -> None:
    """These strategies compare likelihoods that nobody calibrated: what was asked cannot be promised."""
    model = FakeModel(
        profile=PROFILE,
        respond=lambda call: "[100, 100, 300, 300]" if "bounding box" in last_text(call) else "red",
        respond_score=lambda call: [-1.0] * len(call.options["continuations"]),
    )
    with ZoomAgent(model, strategy=strategy, target_error=0.05) as agent:
        answer = agent.ask(scene(), "What colour is the circle?")
    assert (answer.text, answer.withheld) == ("Cannot tell", "red")
    assert answer.reasons[0].startswith("Not answered")


def test_a_picture_shown_with_all_its_pixels_may_be_denied_at_once() -> None:
    small = scene().view(Box(0, 0, 96, 96), Size(96, 96))
    model = FakeModel(profile=PROFILE, respond=lambda call: "No")
    with ZoomAgent(model, strategy="macro") as agent:
        answer = agent.ask(small, NOT_THERE.text)
    assert answer.text == "No" and answer.confidence is not None


def test_what_is_plainly_seen_needs_no_search(tmp_path: Path) -> None:
    ran = believing(BACKGROUND, tmp_path, macro="gray")
    assert len(ran.model.history) == 1 and ran.state["verdict"]["confidence"] == pytest.approx(0.999)


def test_nothing_denied_is_passed_by_the_gate_however_sure(tmp_path: Path) -> None:
    for macro in ("No", "0", "Yes", "three", "Cannot tell"):
        ran = believing(NOT_THERE, tmp_path, macro=macro)
        assert "search" in ran.nodes, macro


def test_a_question_with_words_that_were_never_certified_gets_no_calibrated_number(tmp_path: Path) -> None:
    file = Path(arbiter(tmp_path / "b.json", gate=0.999))
    content = json.loads(file.read_text())
    content["words"] = ["is", "there", "a", "green", "star"]
    file.write_text(json.dumps(content))

    def model() -> FakeModel:
        return FakeModel(profile=PROFILE, respond=lambda call: "No", respond_score=even)

    known = run(model(), NOT_THERE, arbiter=str(file))
    other = Question("Is there an umbrella?", "No", "presence", (), ("umbrella",))
    ran = run(model(), other, arbiter=str(file), target_error=0.2)
    assert "umbrella" not in known.state["verdict"]["reason"]
    assert ran.state["verdict"]["confidence_from"] != "calibrated" and ran.text == "Cannot tell"
    assert "'umbrella'" in ran.state["verdict"]["reason"] and ran.kind == "answered_degraded"


def test_the_proof_costs_no_call_where_the_first_look_left_nothing(tmp_path: Path) -> None:
    read = Question("What is written on the red circle?", "47", "read", (0,), ("red circle",))
    ran = believing(read, tmp_path, macro="Cannot tell")
    assert ran.text == "47" and ran.state["proof"].get("bound") is True
    assert coverage(pixels_of(NEAR), Box(*ran.answer.boxes[0])) == 1.0
    assert ran.answer.evidence[-1].at_least and "at least" in mattered_words(ran.answer.evidence[-1])
    assert ran.answer.evidence[-1].mattered is True and "the crops mattered" in ran.state["checks"][-1]["text"]
    assert [call["step"] for call in ran.state["calls"]] == ["look", "point", "answer"]
