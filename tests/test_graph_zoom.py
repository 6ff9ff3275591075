"""The agent's graph with a model that tells the truth: every policy finds what can be found."""

import pytest
from fake_model import Call, Scripted
from PIL import ImageChops
from truthful_model import last_text
from zoom_world import (
    ABSENT,
    ALSO,
    BACKGROUND,
    FAR,
    FAR_LEFT_OF_NEAR,
    NEAR,
    NEAR_LEFT_OF_ALSO,
    NEAR_SMALLER_THAN_ALSO,
    READ_BIG,
    READ_FAR,
    READ_NEAR,
    Ran,
    even,
    pixels_of,
    scene,
    scripted,
    truthful,
)

from zoomagent import prompts
from zoomagent.data.world.questions import Question
from zoomagent.data.world.scene import Item
from zoomagent.geometry import Box, Size, coverage, iou
from zoomagent.graphs.context import Budget
from zoomagent.graphs.zoom import graph
from zoomagent.tools.marking import MARKS

OPTIONS = ("12", "47", "83", "Cannot tell")


def crop_of(ran: Ran, item: Item) -> float:
    """Share of the item that the best crop of the answer shows."""
    return max((coverage(pixels_of(item), Box(*box)) for box in ran.answer.boxes), default=0.0)


@pytest.mark.parametrize(
    ("strategy", "question", "item"),
    [
        ("locate", READ_NEAR, NEAR),
        ("search", READ_NEAR, NEAR),
        ("search", READ_FAR, FAR),
        ("tools", READ_NEAR, NEAR),
        ("auto", READ_NEAR, NEAR),
        ("auto", READ_FAR, FAR),
    ],
)
@pytest.mark.parametrize("options", [(), OPTIONS])
def test_a_policy_finds_what_only_a_close_view_shows(
    strategy: str, question: Question, item: Item, options: tuple[str, ...]
) -> None:
    ran = truthful(question, options, strategy=strategy)
    assert (ran.kind, ran.text, ran.state["macro"]["text"]) == ("answered", question.answer, "Cannot tell")
    assert crop_of(ran, item) == 1.0
    [evidence] = [seen for seen in ran.answer.evidence if seen.perspective == "micro"]
    assert evidence.target is not None and iou(Box(*evidence.target), pixels_of(item)) > 0.5
    assert evidence.phrase == ("it" if strategy == "tools" else item.name)


@pytest.mark.parametrize("strategy", ["locate", "search", "auto"])
def test_a_question_about_the_whole_is_left_to_the_whole(strategy: str) -> None:
    ran = truthful(BACKGROUND, strategy=strategy)
    assert ran.text == "gray" and len(ran.model.history) == 2 and "micro" not in ran.state
    assert "as a whole" in ran.state["settled"]


@pytest.mark.parametrize("strategy", ["locate", "search", "tools", "auto"])
def test_what_is_not_there_is_not_found(strategy: str) -> None:
    ran = truthful(ABSENT, strategy=strategy)
    assert (ran.kind, ran.text) == ("answered", "Cannot tell")
    assert all(target["fate"] == "missing" for target in ran.state.get("targets", []))


def test_where_nothing_is_found_the_answer_from_the_whole_stands_and_says_why() -> None:
    ran = scripted(lambda call: "[]" if prompts.GROUND in call.text else "Exit", strategy="locate")
    assert (ran.text, ran.kind, ran.state["verdict"]["perspective"]) == ("Exit", "answered", "macro")
    assert ran.state["verdict"]["reason"].startswith("Read from the whole picture.")
    assert "tried" in ran.state["settled"]


# auto


def test_auto_searches_for_what_could_not_be_pointed_at() -> None:
    ran = truthful(READ_FAR)
    assert ran.state["tried"] == ["locate", "search"]
    assert ran.nodes.index("ground") < ran.nodes.index("search")
    assert ran.state["targets"][0]["policy"] == "search"


def test_auto_does_not_search_for_what_was_pointed_at() -> None:
    assert truthful(READ_NEAR).state["tried"] == ["locate"]


def test_auto_is_no_dearer_than_searching_at_once_but_for_the_pointing() -> None:
    direct, auto = truthful(READ_FAR, strategy="search"), truthful(READ_FAR)
    assert len(auto.model.history) == len(direct.model.history) + 1


def test_a_crop_in_which_the_thing_is_not_seen_is_not_answered_from() -> None:
    """Pointing that fails the check counts as not found."""

    def respond(call: Call) -> Scripted:
        return "[10, 10, 90, 90]" if prompts.GROUND in call.text else "Exit"

    def scores(call: Call) -> list[float]:
        return [-4.0, -0.02] if prompts.SEE in call.text else even(call)

    ran = scripted(respond, scores, strategy="locate")
    assert ran.state["targets"][0]["fate"] == "missing" and "micro" not in ran.state
    unchecked = scripted(respond, scores, strategy="locate", check=False)
    assert "micro" in unchecked.state and not unchecked.asked(prompts.SEE)


# Several things


def test_several_things_are_pointed_at_separately_and_all_is_kept() -> None:
    ran = truthful(NEAR_LEFT_OF_ALSO, strategy="locate")
    grounded = ran.asked(prompts.GROUND)
    assert [("red circle" in call.text, "green diamond" in call.text) for call in grounded] == [
        (True, False),
        (False, True),
    ]
    calls = [call for call in ran.state["calls"] if call["step"] == "ground"]
    steps = [step for step in ran.state["steps"] if step["name"] == "ground"]
    assert len(calls) == len(steps) == 2 and len({c["id"] for c in calls} | {s["id"] for s in steps}) == 4
    boxes = [Box(*target["box"]) for target in ran.state["targets"] if target["box"]]
    assert all(iou(box, pixels_of(item)) > 0.9 for box, item in zip(boxes, (NEAR, ALSO), strict=True))
    assert "sent" not in ran.state


@pytest.mark.parametrize("strategy", ["locate", "search"])
def test_several_things_are_answered_from_the_marked_whole_and_their_crops(strategy: str) -> None:
    ran = truthful(NEAR_SMALLER_THAN_ALSO, strategy=strategy)
    [last] = [call for call in ran.asked(prompts.MARKED) if call.method == "generate"]
    plain, marked, *crops = last.views
    assert len(crops) == 2 and plain.image.size == marked.image.size and plain.key != marked.key
    colours = {colour for _, colour in marked.image.getcolors(2**16) or []}
    assert {MARKS[0], MARKS[1]} <= colours and MARKS[2] not in colours
    assert (ran.text, crop_of(ran, NEAR), crop_of(ran, ALSO)) == ("No", 1.0, 1.0)


def test_what_was_found_is_used_where_the_rest_was_not() -> None:
    ran = truthful(FAR_LEFT_OF_NEAR, strategy="locate")
    fates = {target["phrase"]: target["fate"] for target in ran.state["targets"]}
    assert fates["blue square"] == "missing"
    assert "answer with what was" in " ".join(step["text"] for step in ran.state["steps"])
    assert ran.state["micro"]["text"] == "Cannot tell" and crop_of(ran, NEAR) > 0


def test_auto_searches_only_for_what_is_still_missing() -> None:
    ran = truthful(FAR_LEFT_OF_NEAR)
    assert ran.text == "Yes"
    policies = {target["phrase"]: target["policy"] for target in ran.state["targets"]}
    assert policies == {"blue square": "search", "red circle": "locate"}
    assert {region["phrase"] for region in ran.state["regions"]} == {"blue square"}


def test_of_many_things_named_only_a_few_are_looked_for() -> None:
    names = ", ".join(f"thing {i}" for i in range(50))
    ran = scripted(lambda call: names if prompts.CUES in call.text else "[]", strategy="locate")
    assert len(ran.asked(prompts.GROUND)) == 4


# A zoom inside a zoom


def test_a_zoom_inside_a_zoom_is_cut_from_the_original() -> None:
    asked: list[Call] = []

    def respond(call: Call) -> Scripted:
        if prompts.GROUND in call.text:
            asked.append(call)
            return "[500, 100, 900, 500]" if len(asked) == 1 else "[450, 400, 650, 600]"
        return "Exit 12" if prompts.MICRO in last_text(call) and len(asked) == 2 else "Cannot tell"

    ran = scripted(
        respond,
        lambda call: [-0.1, -4.0] if len(call.options["continuations"]) == 2 else even(call),
        strategy="locate",
        margin=0.0,
    )
    records = {view["id"]: view for view in ran.state["views"]}
    [target] = ran.state["targets"]
    outer, inner = records[target["source"]], records[target["crop"]]
    assert ran.state["micro"]["text"] == "Exit 12" and inner["depth"] == target["depth"] == 2
    assert outer["box"] == [512, 102, 922, 512] and inner["box"] == [697, 266, 779, 348]
    shown = next(call.views[-1].image for call in reversed(ran.model.history) if call.views[-1].key == inner["id"])
    assert len(shown.getcolors(2**16) or []) > 50, "the thing is in it, so that its pixels tell"
    direct = scene().view(Box(*inner["box"]), Size(*inner["size"]))
    assert ImageChops.difference(shown.convert("RGB"), direct.convert("RGB")).getbbox() is None


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_zooms_go_no_deeper_than_allowed(depth: int) -> None:
    """The model always points inside and never can tell."""
    respond = {True: "[100, 100, 900, 900]", False: "Cannot tell"}
    ran = scripted(
        lambda call: respond[prompts.GROUND in call.text],
        lambda call: [-0.1, -4.0] if len(call.options["continuations"]) == 2 else even(call),
        strategy="locate",
        margin=0.0,
        budget=Budget(depth=depth, calls=100),
    )
    assert ran.nodes.count("ground") == depth
    assert max(view["depth"] for view in ran.state["views"]) == depth


def test_a_thing_shown_with_all_its_pixels_is_not_looked_into_again() -> None:
    ran = truthful(READ_BIG, strategy="locate")
    assert ran.nodes.count("ground") == 1


def test_studio_shows_the_nodes_by_their_verbs() -> None:
    names = set(graph.get_graph().nodes) - {"__start__", "__end__"}
    waits = {"confirm"}
    asks = {
        "look",
        "name",
        "ground",
        "search",
        "drive",
        "check",
        "answer",
        "prove",
        "weigh",
        "point",
        "conclude",
        "count",
        "tag",
    }
    assert names == asks | waits | {"decide", "arbitrate"}
