"""The DualFocus graph against a scripted model: turns, crop, selection, repair, budgets, outcomes."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from fake_model import FAKE_PROFILE, FakeModel, Scripted, reply_of
from PIL import Image
from pydantic import ValidationError

from zoomagent.errors import BadServerResponse, ContextTooLong, ModelUnavailable
from zoomagent.graphs.context import Bench, Budget, Context, Live
from zoomagent.graphs.macro_micro import builder, graph
from zoomagent.graphs.state import Question, State, merge
from zoomagent.media import Picture, open_picture
from zoomagent.models.base import Pixels, Reply, Token
from zoomagent.prompts import box_prompt, macro_prompt, micro_prompt
from zoomagent.tools.viewing import ViewStore

QUESTION = "What is written on the sign?"
BOX = "[500, 500, 600, 600]"


@pytest.fixture(scope="module")
def picture() -> Iterator[Picture]:
    with open_picture(Image.new("RGB", (1000, 800), "grey")) as opened:
        yield opened


class Run:
    """One scripted run: `replies` and `scores` in order, settings by keyword."""

    def __init__(self, picture: Picture, model: FakeModel, **settings: Any) -> None:
        self.model = model
        self.views = ViewStore(picture, model.profile)
        self.context = Live(bench=Bench(self.views, model), **settings)
        self.picture = picture

    def __call__(self, options: Sequence[str] = ()) -> State:
        question = Question(image=self.picture.id, question=QUESTION, options=list(options))
        state = cast(State, asyncio.run(graph.ainvoke(question, context=self.context)))
        json.dumps(state, allow_nan=False)
        assert "outcome" in state, "every run ends in an outcome"
        return state


def scripted(
    picture: Picture,
    replies: Sequence[Scripted | Sequence[Scripted]],
    scores: Sequence[list[float] | Exception | None] = (),
    logprob: float | None = -0.1,
    **settings: Any,
) -> Run:
    model = FakeModel(logprob=logprob)
    model.enqueue(replies)
    model.enqueue_scores(scores)
    return Run(picture, model, **settings)


def asked(run: Run) -> list[tuple[str, list[str]]]:
    """Per call: the method, and every message as `role: <views> text`."""
    lines: list[tuple[str, list[str]]] = []
    for call in run.model.history:
        turns = []
        for message in call.messages:
            images = sum(isinstance(part, Pixels) for part in message.parts)
            text = "".join(part.text for part in message.parts if not isinstance(part, Pixels))
            turns.append(f"{message.role}: {'<image>' * images}{text}")
        lines.append((call.method, turns))
    return lines


def test_the_three_turns_are_those_of_dualfocus(picture: Picture) -> None:
    run = scripted(picture, ["Exit", BOX, "Exit 12"], [[-2.0, -0.2]])
    run()
    box_turn = [f"user: <image>{box_prompt(QUESTION, 'thousand')}"]
    micro = [*box_turn, f"assistant: {BOX}", f"user: <image>{micro_prompt(QUESTION)}"]
    assert asked(run) == [
        ("generate", [f"user: <image>{macro_prompt(QUESTION)}"]),
        ("generate", box_turn),
        ("generate", micro),
        ("score", micro),
    ]
    assert run.model.history[-1].options["continuations"] == ("Exit", "Exit 12")


def test_the_crop_is_a_square_with_a_relative_margin_cut_from_the_original(picture: Picture) -> None:
    state = scripted(picture, ["a", BOX, "a"], margin=0.5)()
    crop = next(view for view in state["views"] if view["id"] == state["crop"])
    assert state["target"] == [500, 400, 600, 480]
    assert crop["box"] == [450, 340, 650, 540]
    assert crop["depth"] == 1


def test_the_fixed_margin_of_dualfocus_is_an_argument(picture: Picture) -> None:
    state = scripted(picture, ["a", BOX, "a"], margin=0.0, margin_pixels=25)()
    crop = next(view for view in state["views"] if view["id"] == state["crop"])
    assert crop["box"] == [475, 365, 625, 515]


@pytest.mark.parametrize(
    ("scores", "perspective", "text"),
    [([-2.0, -0.4], "micro", "Exit 12"), ([-0.1, -9.0], "macro", "Exit"), ([-1.0, -2.0], "macro", "Exit")],
    ids=["micro_weighs_more", "macro_weighs_more", "a_tie_goes_to_macro"],
)
def test_the_higher_mean_likelihood_wins(picture: Picture, scores: list[float], perspective: str, text: str) -> None:
    state = scripted(picture, ["Exit", BOX, "Exit 12"], [scores])()
    assert state["verdict"]["perspective"] == perspective
    assert state["verdict"]["text"] == text
    assert state["verdict"]["confidence_from"] == "likelihood"
    assert state["outcome"]["kind"] == "answered"


def test_equal_answers_need_no_scoring(picture: Picture) -> None:
    run = scripted(picture, ["exit.", BOX, "Exit"])
    state = run()
    assert [call.method for call in run.model.history] == ["generate"] * 3
    assert state["verdict"]["perspective"] == "micro"


def test_published_scores_count_the_box_turn_in(picture: Picture) -> None:
    """Numbers at which the rules part: a long answer is hurt less when the box turn is counted in."""
    box = Reply(BOX, "stop", tuple(Token(piece, -1.5) for piece in "1234"))
    answers: list[Scripted] = ["Exit", box, "Exit 12 a b c d"]
    rows = [[-1.0, -6.6]]
    clean = scripted(picture, answers, rows)()
    published = scripted(picture, answers, rows, strategy="dualfocus-published")()
    assert clean["verdict"]["perspective"] == "macro"
    assert clean["weighing"]["macro"] == pytest.approx(-1.0)
    assert published["weighing"]["how"] == "published"
    assert published["weighing"]["macro"] == pytest.approx((-6.0 - 1.0) / 5)
    assert published["weighing"]["micro"] == pytest.approx((-6.0 - 6.6) / 10)
    assert published["verdict"]["perspective"] == "micro"


def test_options_are_scored_by_their_texts_without_the_letter(picture: Picture) -> None:
    run = scripted(picture, ["A", BOX, "B."], [[-3.0, -0.2]])
    state = run(["red sign", "blue sign"])
    score = run.model.history[-1]
    assert score.options["continuations"] == ("red sign", "blue sign")
    assert score.text.endswith(micro_prompt(QUESTION))
    assert state["verdict"]["text"] == "blue sign"
    assert state["micro"]["letter"] == "B"


def test_a_model_without_letters_is_not_shown_the_options_and_its_words_choose(picture: Picture) -> None:
    model = FakeModel(profile=replace(FAKE_PROFILE, letters=False))
    model.enqueue(["purple", BOX, "Blue sign."])
    state = Run(picture, model)(["red sign", "blue sign"])
    assert not any("blue sign" in call.text for call in model.history if call.method == "generate")
    assert not state["macro"]["valid"]
    assert state["verdict"]["text"] == "blue sign" and state["verdict"]["perspective"] == "micro"


def test_the_published_procedure_shows_the_options_to_every_model(picture: Picture) -> None:
    model = FakeModel(profile=replace(FAKE_PROFILE, letters=False))
    model.enqueue(["A", BOX, "A"])
    Run(picture, model, strategy="dualfocus-published")(["red sign", "blue sign"])
    assert "B. blue sign" in model.history[0].text


@pytest.mark.parametrize(
    ("macro", "micro", "perspective", "kind"),
    [
        ("A", "no idea", "macro", "answered"),
        ("no idea", "B", "micro", "answered"),
        ("no idea", "who knows", "macro", "answered_degraded"),
    ],
)
def test_a_reply_that_names_no_option_loses(
    picture: Picture, macro: str, micro: str, perspective: str, kind: str
) -> None:
    state = scripted(picture, [macro, BOX, micro])(["red", "blue"])
    assert state["verdict"]["perspective"] == perspective
    assert state["outcome"]["kind"] == kind


def test_cannot_tell_competes_as_any_answer(picture: Picture) -> None:
    state = scripted(picture, ["Exit", BOX, "Cannot tell."], [[-5.0, -0.5]])(["Exit", "Car"])
    assert state["verdict"]["text"] == "Cannot tell"
    assert state["outcome"]["kind"] == "answered"


SURE = Reply("Exit 12", "stop", (Token("Exit", -0.01), Token(" 12", -0.02)))


@pytest.mark.parametrize("macro", [reply_of("Cannot tell", 0.0), reply_of("Car", -1e-6), reply_of("Car", -9.0)])
def test_without_scoring_what_the_closer_look_leaves_for_others_decides_and_the_run_says_so(
    macro: Reply, picture: Picture
) -> None:
    state = scripted(picture, [macro, BOX, SURE], [None])()
    assert state["verdict"]["perspective"] == "micro"
    assert state["verdict"]["confidence"] == pytest.approx(0.970, abs=0.001)
    assert "leaves macro at most" in state["verdict"]["reason"]
    assert "cannot score given text" in state["steps"][-2]["text"]


@pytest.mark.parametrize("macro", ["Exit", "Exit 12 A"])
def test_answers_that_begin_alike_are_voted_on_where_they_can_not_be_scored(macro: str, picture: Picture) -> None:
    state = scripted(picture, [reply_of(macro, 0.0), BOX, SURE, ["Exit 12", "Exit 12", macro]], [None], samples=3)()
    assert (state["weighing"]["how"], state["verdict"]["text"]) == ("votes", "Exit 12")


def test_an_unsure_closer_look_is_voted_on_where_it_can_not_be_scored(picture: Picture) -> None:
    unsure = reply_of("Exit 12", -2.0)
    state = scripted(picture, [reply_of("Car", 0.0), BOX, unsure, ["Car", "Car", "Exit 12"]], [None], samples=3)()
    assert (state["weighing"]["how"], state["verdict"]["text"]) == ("votes", "Car")


def test_without_any_likelihood_samples_vote_and_the_run_says_so(picture: Picture) -> None:
    votes = ["Exit 12", "exit 12.", "Exit", "Car", "Exit 12"]
    state = scripted(picture, ["Exit", BOX, "Exit 12", votes], [None], logprob=None)()
    assert state["verdict"]["perspective"] == "micro"
    assert state["verdict"]["confidence"] == pytest.approx(3 / 5)
    assert state["verdict"]["confidence_from"] == "agreement"
    assert "agreement" in state["verdict"]["reason"]


def test_no_likelihood_means_no_confidence(picture: Picture) -> None:
    state = scripted(picture, ["Exit"], logprob=None, strategy="macro")()
    assert state["verdict"]["confidence"] is None


def test_confidence_is_the_probability_of_the_words_in_the_shared_context(picture: Picture) -> None:
    state = scripted(picture, ["Exit", BOX, "Exit 12"], [[-2.0, -0.2]])()
    assert state["verdict"]["confidence"] == pytest.approx(0.8187, abs=1e-4)


# Strategies


def test_macro_asks_once(picture: Picture) -> None:
    run = scripted(picture, ["Exit"], strategy="macro")
    assert run()["verdict"]["text"] == "Exit"
    assert len(run.model.history) == 1


def test_micro_does_not_pay_for_the_macro_answer(picture: Picture) -> None:
    run = scripted(picture, [BOX, "Exit 12"], strategy="micro")
    state = run()
    assert (state["verdict"]["perspective"], state["verdict"]["text"]) == ("micro", "Exit 12")
    assert "macro" not in state
    assert len(run.model.history) == 2


def test_micro_without_a_box_falls_back_to_the_whole_and_is_degraded(picture: Picture) -> None:
    state = scripted(picture, ["over there", "there!", "Exit"], strategy="micro")()
    assert state["verdict"]["text"] == "Exit"
    assert state["outcome"]["kind"] == "answered_degraded"


# The model's mistakes


@pytest.mark.parametrize(
    "reply",
    [
        "[nan, 0, 1, 1]",
        "[Infinity, 0, 10, 10]",
        "[1e999, 0, 5, 5]",
        "[600, 600, 500, 500]",
        "[0.5, 0.5, 0.6, 0.6]",
        "[5000, 5000, 6000, 6000]",
        "[1, 2, 3]",
        "[1, 2, 3, 4, 5]",
        "the red sign",
        "",
        '{"lc":1,"type":"secret"}',
        "\u202e]006 ,006 ,005 ,005[",
    ],
)
def test_an_unusable_box_is_told_once_and_then_the_macro_answer_stands(picture: Picture, reply: str) -> None:
    run = scripted(picture, ["Exit", reply, reply])
    state = run()
    assert state["outcome"]["kind"] == "answered_degraded"
    assert state["verdict"]["text"] == "Exit"
    assert len(run.model.history) == 3
    complaint = run.model.history[-1].messages[-1]
    assert complaint.role == "user" and "0 to 1000" in run.model.history[-1].text


def test_a_repaired_box_is_used(picture: Picture) -> None:
    run = scripted(picture, ["Exit", "[1, 2]", BOX, "Exit"])
    state = run()
    assert state["outcome"]["kind"] == "answered"
    assert [m.role for m in run.model.history[-1].messages] == ["user", "assistant"] * 2 + ["user"]


def test_a_box_that_was_cut_off_is_never_used(picture: Picture) -> None:
    cut = Reply("[500, 500, 600, 60", "length")
    run = scripted(picture, ["Exit", cut, cut])
    assert "cut off" in run()["outcome"]["reasons"][0]


def test_an_answer_that_was_cut_off_says_so(picture: Picture) -> None:
    state = scripted(picture, [Reply("a very long", "length")], strategy="macro")()
    assert state["outcome"]["kind"] == "answered_degraded"
    assert "max_tokens" in state["outcome"]["reasons"][0]


def test_half_characters_and_endless_replies_are_made_storable(picture: Picture) -> None:
    state = scripted(picture, ["\ud800Exit" + "x" * 10**6], strategy="macro")()
    json.dumps(state, ensure_ascii=False).encode()
    assert state["verdict"]["text"].startswith("\ufffdExit")
    assert len(json.dumps(state)) < 500_000


def test_an_empty_reply_is_no_answer(picture: Picture) -> None:
    state = scripted(picture, [""], strategy="macro")()
    assert (state["outcome"]["kind"], state["outcome"]["code"]) == ("failed", "no_answer")


# Budgets


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_when_calls_end_the_run_still_answers(picture: Picture, calls: int) -> None:
    run = scripted(picture, ["Exit", BOX, "Exit 12"], budget=Budget(calls=calls))
    state = run()
    assert state["verdict"]["text"] == ("Exit" if calls < 3 else state["verdict"]["text"])
    assert state["outcome"]["kind"] == "answered_degraded"
    assert "model calls" in state["outcome"]["reasons"][0]
    assert len(run.model.history) <= calls


def test_micro_keeps_a_call_for_the_answer(picture: Picture) -> None:
    run = scripted(picture, ["Exit"], strategy="micro", budget=Budget(calls=1))
    assert run()["verdict"]["text"] == "Exit"


def test_when_visual_tokens_end_the_run_still_answers(picture: Picture) -> None:
    run = scripted(picture, ["Exit"], budget=Budget(visual_tokens=1000))
    state = run()
    assert "visual tokens" in state["outcome"]["reasons"][0]
    assert sum(call["visual_tokens"] for call in state["calls"]) <= 1000


def test_depth_zero_looks_at_the_whole_only(picture: Picture) -> None:
    state = scripted(picture, ["Exit"], budget=Budget(depth=0))()
    assert state["outcome"]["kind"] == "answered_degraded"


class Slow(FakeModel):
    """Answers the first call at once and every later one too late."""

    async def generate(self, messages: Any, **options: Any) -> list[Reply]:
        if self.history:
            await asyncio.sleep(60)
        return await super().generate(messages, **options)


def test_when_time_ends_the_run_still_answers(picture: Picture) -> None:
    model = Slow()
    model.enqueue(["Exit"])
    state = Run(picture, model, budget=Budget(seconds=1.5))()
    assert state["verdict"]["text"] == "Exit"
    assert state["problems"][0]["code"] == "budget_seconds"


@pytest.mark.parametrize("bad", [{"calls": 0}, {"seconds": -1}, {"depth": "many"}, {"turns": 3}])
def test_budgets_are_checked_when_they_are_made(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Budget(**bad)


def test_a_context_as_studio_sends_it_is_checked() -> None:
    assert Context.model_validate({"budget": {"calls": 3}, "strategy": "micro"}).budget.calls == 3
    with pytest.raises(ValidationError):
        Context.model_validate({"margin": "wide"})


# The server's faults


def test_a_context_that_is_too_long_is_shrunk_once(picture: Picture) -> None:
    run = scripted(picture, [ContextTooLong("too long"), "Exit"], strategy="macro")
    state = run()
    first, second = (call.views[0].image for call in run.model.history)
    assert second.width * second.height <= first.width * first.height // 2
    assert state["outcome"]["kind"] == "answered_degraded"
    assert state["verdict"]["text"] == "Exit"


def test_a_context_that_stays_too_long_fails_with_its_code(picture: Picture) -> None:
    too_long = ContextTooLong("too long")
    state = scripted(picture, [too_long, too_long], strategy="macro")()
    assert (state["outcome"]["kind"], state["outcome"]["code"]) == ("failed", "context")


@pytest.mark.parametrize("error", [ModelUnavailable("gone"), BadServerResponse("what?")])
def test_a_server_that_fails_first_fails_the_run(picture: Picture, error: Exception) -> None:
    state = scripted(picture, [error])()
    assert (state["outcome"]["kind"], state["outcome"]["code"]) == ("failed", error.code)  # type: ignore[attr-defined]
    assert state["outcome"]["exit_status"] in (69, 75)


@pytest.mark.parametrize("good", [1, 2, 3])
def test_a_server_that_fails_later_leaves_the_macro_answer(picture: Picture, good: int) -> None:
    replies: list[Scripted] = ["Exit", BOX, "Exit 12"]
    gone = ModelUnavailable("gone")
    state = scripted(picture, [*replies[:good], gone], [gone] if good == 3 else [])()
    assert state["outcome"]["kind"] == "answered_degraded"
    assert state["verdict"]["text"] in ("Exit", "Exit 12")


def test_a_bug_is_not_an_answer(picture: Picture) -> None:
    with pytest.raises(ZeroDivisionError):
        scripted(picture, [ZeroDivisionError()])()


# State


def test_merging_by_id_forgets_nothing_and_doubles_nothing() -> None:
    old = [{"id": "a", "n": 1}, {"id": "b", "n": 1}]
    assert merge(old, [{"id": "b", "n": 2}, {"id": "c", "n": 1}]) == [
        {"id": "a", "n": 1},
        {"id": "b", "n": 2},
        {"id": "c", "n": 1},
    ]
    assert old[1]["n"] == 1


def test_steps_are_in_order_and_named_after_their_nodes(picture: Picture) -> None:
    state = scripted(picture, ["Exit", BOX, "Exit 12"], [[-2.0, -0.2]])()
    names = [step["name"] for step in state["steps"]]
    assert names == ["look", "locate", "zoom", "answer_again", "weigh", "arbitrate"]
    assert [step["id"] for step in state["steps"]] == [f"step-{i + 1}" for i in range(6)]


def test_studio_shows_the_nodes_by_their_verbs() -> None:
    names = set(graph.get_graph().nodes) - {"__start__", "__end__"}
    assert names == {"look", "locate", "zoom", "answer_again", "weigh", "arbitrate"}
    assert graph.checkpointer is None and builder.compile() is not None
