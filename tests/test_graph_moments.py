"""Questions about a clip's time: found, bounded, proved; never there is said; budgets and kills change no answer."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from clip_world import SIDE, ClipWorld
from hypothesis import given, settings
from hypothesis import strategies as st

from zoomagent.answer import Answer
from zoomagent.data.world.clips import DURATION, GAP, draw_clip
from zoomagent.data.world.scene import SMALL
from zoomagent.graphs.context import Budget
from zoomagent.graphs.timing import asks_for_after, timing_of
from zoomagent.media.video.sheet import Sheet
from zoomagent.moments import Moment, iou
from zoomagent.run_record import Step
from zoomagent.tools import bounding, seeking
from zoomagent.tools.bounding import Edge
from zoomagent.tools.viewing import ViewStore

RED = Moment(20_000, 26_000)
WHEN = "When is the red circle there?"


def spans(answer: Answer) -> list[Moment]:
    return [Moment(span.start, span.end) for span in answer.moments]


@pytest.mark.parametrize("red", [RED, Moment(55_000, DURATION), Moment(31_000, 33_000)])
def test_a_moment_is_found_bounded_and_proved(red: Moment) -> None:
    answer = ClipWorld(red).ask(WHEN)
    assert answer.outcome.kind == "answered"
    assert iou(spans(answer)[0], red) > 0.85
    assert answer.cost.model_calls <= 20
    [first, *_] = answer.evidence
    assert first.mattered is True and first.delta is not None and first.delta > 1
    assert first.moment == (answer.moments[0].start, answer.moments[0].end)
    assert answer.picture is not None and answer.picture.width == 3 * SIDE
    assert Answer.model_validate_json(answer.model_dump_json()) == answer


def test_what_is_never_there_is_said_with_what_can_have_been_missed() -> None:
    answer = ClipWorld(RED).ask("When is the green star there?")
    assert answer.text == "Never" and not answer.moments and answer.confidence is None
    assert "nothing longer than" in answer.reasons[0]
    assert answer.cost.model_calls <= 12


def test_how_long_and_how_often_and_in_which_order() -> None:
    blue = Moment(40_000, 52_000)
    assert ClipWorld(RED, blue).ask("Is the red circle there before the blue square?").text == "Yes"
    assert ClipWorld(RED, blue).ask("Is the red circle there after the blue square?").text == "No"
    often = ClipWorld(RED, blue, budget=Budget(calls=80)).ask("How often is the red circle there?")
    assert often.text == "1" and len(often.moments) == 1
    long = ClipWorld(RED, blue).ask("How long is the blue square there?")
    assert long.text.endswith(" s") and abs(float(long.text[:-2]) - 12) < 1.5


OFTEN = "How often is the red circle there?"
ENOUGH = Budget(calls=90)


@pytest.mark.parametrize(
    "times",
    [
        [Moment(10_000, 45_000)],
        [Moment(9100 + 6670 * number, 10_900 + 6670 * number) for number in range(3)],
        pytest.param(
            [Moment(10_000 + 5000 * number, 13_000 + 5000 * number) for number in range(4)], marks=pytest.mark.slow
        ),
        [Moment(3000, 28_000), Moment(31_000, 58_000)],
    ],
)
def test_every_moment_is_counted_once(times: list[Moment]) -> None:
    """Long or short, near each other or at the clip's ends."""
    answer = ClipWorld(times, budget=ENOUGH).ask(OFTEN)
    assert answer.text == str(len(times)) and answer.outcome.kind == "answered"
    found = sorted(spans(answer), key=lambda moment: moment.start)
    assert len(found) == len(times) and all(iou(a, b) > 0.8 for a, b in zip(found, times, strict=True))
    if len(times) == 1:
        assert answer.cost.model_calls <= Budget().calls, "the usual budget is enough"


@pytest.mark.parametrize(("calls", "most"), [(90, 5), (32, 4)])
def test_a_count_that_ended_early_is_a_least_number_without_a_confidence(calls: int, most: int) -> None:
    seven = [Moment(1000 + 8000 * number, 4000 + 8000 * number) for number in range(7)]
    answer = ClipWorld(seven, budget=Budget(calls=calls)).ask(OFTEN)
    assert answer.text.startswith("at least ") and 1 <= int(answer.text.split()[-1]) <= most
    assert answer.confidence is None and answer.confidence_from is None
    assert len({moment.start // 8000 for moment in spans(answer)}) == int(answer.text.split()[-1])


@pytest.mark.parametrize("question", [OFTEN, "Is the red circle there before the blue square?"])
def test_what_turns_on_moments_that_nobody_saw_has_no_confidence(question: str) -> None:
    """Two flashes of the red circle are missed. How surely a third moment was seen says nothing about them."""
    reds = [Moment(2010, 2060), Moment(30_000, 40_000), Moment(50_100, 50_160)]
    answer = ClipWorld(reds, Moment(20_000, 22_000), budget=ENOUGH).ask(question)
    assert answer.text in ("1", "No") and len(answer.moments) in (1, 2)
    assert answer.confidence is None and answer.confidence_from is None
    assert "may have been missed" in " ".join(answer.reasons)


def test_what_was_found_is_hidden_all_of_it_when_another_time_is_sought() -> None:
    times = [Moment(0, 20_000), Moment(24_000, 40_000), Moment(50_000, 57_000)]
    world = ClipWorld(times)
    video = world.video
    views = ViewStore(Sheet(video, video.moment, 3), world.model.profile)
    stretch = seeking.root("red circle", video.moment, 3)
    look = asyncio.run(seeking.look_at(world.model, views, stretch, times[:2]))
    assert look.found is not None and look.found["at"] is not None and times[2].holds(look.found["at"])
    assert len(world.model.history) == 2, "one look at the sheet, one at the frame"


@pytest.mark.parametrize("red", [Moment(0, DURATION), Moment(2000, 58_000)])
def test_what_is_there_nearly_always_is_not_never_there(red: Moment) -> None:
    answer = ClipWorld(red).ask(WHEN)
    assert answer.answered and iou(spans(answer)[0], red) > 0.85


@pytest.mark.parametrize(
    ("apart", "word", "expected"),
    [(0, "before", "Cannot tell"), (400, "before", "Yes"), (-400, "before", "No"), (400, "after", "No")],
)
def test_which_came_first_is_told_down_to_a_frame_and_no_further(apart: int, word: str, expected: str) -> None:
    world = ClipWorld(Moment(20_000, 41_000), Moment(20_000 + apart, 47_000), budget=ENOUGH)
    answer = world.ask(f"Was the red circle seen {word} the blue square?")
    assert answer.text == expected


def test_a_model_that_cannot_score_answers_in_words() -> None:
    answer = ClipWorld(Moment(0, 12_000), scores=False).ask(WHEN)
    assert answer.answered
    assert answer.confidence_from is None


@pytest.mark.parametrize("calls", [1, 4])
def test_a_spent_budget_degrades_the_answer_and_is_kept(calls: int) -> None:
    answer = ClipWorld(RED, budget=Budget(calls=calls)).ask(WHEN)
    assert answer.outcome.kind == "answered_degraded" and "budget_calls" in answer.outcome.codes
    assert answer.cost.model_calls <= calls
    assert answer.text != "Never"


def test_no_error_rate_is_promised_for_clips() -> None:
    answer = ClipWorld(RED, target_error=0.05).ask(WHEN)
    assert answer.text == "Cannot tell" and answer.withheld is not None


def test_other_questions_are_answered_from_the_frame_that_was_found() -> None:
    answer = ClipWorld(RED).ask("What is written on the red circle?")
    assert answer.text == "47"
    assert answer.picture is not None and answer.picture.sheet is not None
    assert answer.picture.sheet.grid == 1
    for item in answer.evidence:
        assert item.moment is not None and RED.start <= item.moment[0] < RED.end
    assert answer.confidence_from != "calibrated"
    assert len({step.id for step in answer.steps}) == len(answer.steps)


@pytest.mark.parametrize(
    ("red", "blue"),
    [
        (Moment(9000, 11_000), Moment(48_000, 51_000)),
        (Moment(41_000, 42_000), Moment(30_000, 31_000)),
        (Moment(20_000, 40_000), Moment(20_000, 40_000)),
        (Moment(0, 1000), Moment(59_000, DURATION)),
    ],
)
def test_a_question_about_two_things_is_answered_from_a_sheet_that_shows_both(red: Moment, blue: Moment) -> None:
    world = ClipWorld(red, blue, about="red circle, blue square", budget=ENOUGH)
    answer = world.ask("Are the circle and the square of one size?")
    assert answer.picture is not None and answer.picture.sheet is not None
    shown = answer.picture.sheet
    sheet = Sheet(world.video, Moment(*shown.moment), shown.grid)
    times = [sheet.time_of(number) for number in range(shown.grid**2)]
    [reason] = [reason for reason in answer.reasons if reason.startswith("Answered from ")]
    if red.start == 0:
        assert shown.moment == (0, DURATION) and "of the whole clip. Red circle was seen" in reason
    else:
        assert answer.text == ("47" if shown.grid == 1 else "both")
        assert any(red.holds(time) for time in times) and any(blue.holds(time) for time in times)
        assert shown.grid <= 4 and "whole clip" not in reason
        assert ("the frame at" if shown.grid == 1 else f"{shown.grid**2} frames from") in reason


def test_a_question_about_many_things_is_answered_from_the_whole_clip_without_a_search() -> None:
    world = ClipWorld(RED, about="red circle, blue square, star")
    answer = world.ask("What is in this clip?")
    assert answer.moments == () and answer.picture is not None and answer.picture.sheet is not None
    assert (
        answer.picture.sheet.moment == (0, DURATION) and "Answered from 9 frames of the whole clip." in answer.reasons
    )


def test_a_look_takes_no_thread_that_a_user_may_name(tmp_path: Path) -> None:
    store = tmp_path / "runs.sqlite"
    for thread in ("one", "one.2", "one-2", "one:2", "one.3"):
        answer = ClipWorld(RED, checkpointer=store).ask(f"What does {thread} say?", thread_id=thread)
        assert answer.outcome.kind == "answered" and answer.text == "47", thread


def test_a_run_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    whole = ClipWorld(RED).ask(WHEN)
    store = tmp_path / "runs.sqlite"
    first = ClipWorld(RED, checkpointer=store)
    with first.agent as agent:
        steps = 0
        for item in agent.stream(first.video, WHEN, thread_id="one"):
            steps += isinstance(item, Step)
            if steps == 4:
                break
    again = ClipWorld(RED, checkpointer=store)
    answer = again.ask(WHEN, thread_id="one")
    assert spans(answer) == spans(whole) and answer.text == whole.text
    assert len(again.model.history) < whole.cost.model_calls
    assert ClipWorld(RED, checkpointer=store).ask(WHEN, thread_id="one").text == whole.text


def test_a_run_is_saved_with_the_sheet_that_shows_when(tmp_path: Path) -> None:
    world = ClipWorld(RED)
    with world.agent as agent:
        answer = agent.ask(world.video, WHEN)
        page = answer.save(tmp_path / "run")
    assert page.exists() and (tmp_path / "run" / "macro.png").exists()
    back = Answer.model_validate_json((tmp_path / "run" / "answer.json").read_text())
    assert back == answer
    back.save(tmp_path / "again", world.video)
    assert (tmp_path / "again" / "macro.png").read_bytes() == (tmp_path / "run" / "macro.png").read_bytes()


# Without a model


@given(st.integers(0, 999), st.integers(1, 1000), st.integers(1, 400), st.integers(1, 60))
@settings(max_examples=200)
def test_edges_are_found_to_the_gap_asked_for(start: int, length: int, step: int, least: int) -> None:
    """Whatever the moment and the time inside it that the search begins with."""
    whole = Moment(0, 1000)
    moment = Moment(start, min(1000, start + length))
    at = moment.middle
    edges: list[Edge] = []
    for side in (-1, 1):
        edge = bounding.edge_from(at, side, step, 2 * step, least, whole)
        looks = 0
        while not edge.done:
            looks += 1
            edge = bounding.after(edge, moment.holds(edge.next), whole)
        assert looks <= 1 + 1000 // step + 10
        assert moment.holds(edge.there)
        edges.append(edge)
    found = bounding.moment_between(edges[0], edges[1], whole, 1)
    assert 0 <= found.start < found.end <= 1000
    assert abs(found.start - moment.start) <= least and abs(found.end - moment.end) <= least
    if least == 1:
        assert found == moment


@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.2, 0.08, 0.03]))
@settings(max_examples=30)
def test_a_clip_is_a_function_of_its_seed(index: int, length: float) -> None:
    clip = draw_clip(SMALL, 7, index, length)
    assert clip == draw_clip(SMALL, 7, index, length)
    assert abs(clip.moment.length - length * DURATION) <= GAP
    assert clip.moment.start >= 0 and clip.moment.end <= DURATION
    names = [item.name for item in clip.scene.items]
    assert names.count(clip.item.name) == 1 and clip.never not in names
    assert clip.item in clip.at(clip.moment.start).items and clip.item in clip.at(clip.moment.end - 1).items
    assert clip.item not in clip.at(clip.moment.end).items


ASKED: list[tuple[str, Any]] = [
    ("When is the red circle there?", ("when", ["red circle"])),
    ("At what time can you see a yellow star in the video?", ("when", ["yellow star"])),
    ("When does the man open the door?", ("when", ["man open the door"])),
    (
        'When does "a man, who sits, gets up before the cat" happen?',
        ("when", ["a man, who sits, gets up before the cat"]),
    ),
    ("How long does “the dog runs” happen?", ("long", ["the dog runs"])),
    ('When is "the red cup" there?', ("when", ["the red cup"])),
    ('When does "the dog" run past "the cat"?', ("when", ['"the dog" run past "the cat"'])),
    ("When do we see the man who wears a hat?", ("when", ["man who wears a hat"])),
    ("When can we see a dog?", ("when", ["dog"])),
    ("When's the end sign visible?", ("when", ["end sign"])),
    ("At what moment a dog appears?", ("when", ["dog"])),
    ("From when till when was player 10 on screen?", ("when", ["player 10"])),
    ("How long is the blue square visible?", ("long", ["blue square"])),
    ("For how many seconds does a dog appear?", ("long", ["dog"])),
    ("How often does a red circle appear?", ("often", ["red circle"])),
    ("How many times is the cat shown in the clip?", ("often", ["cat"])),
    ("Was the cat seen after the dog?", ("order", ["cat", "dog"])),
    ("Is the cat ever there before the dog is seen?", ("order", ["cat", "dog"])),
    ("Does the cat come before the dog appears?", ("order", ["cat", "dog"])),
]
OF_WHAT_IS_SEEN = [
    "What does the sign say?",
    "How many red circles are there?",
    "When?",
    "Whenever is a word",
    "When the red circle is there, what is written on it?",
    "When the red circle is there what is written on it?",
    "When the light is red where is the man visible?",
    "When is the cat visible and what colour is it?",
    "When is the cat there, and for how long?",
    "When was this filmed?",
    "When was the church built?",
    "When did they film this?",
    "When does the video end?",
    "When can I park here?",
    "When is the red circle not there?",
    "How long is the red circle?",
    "How long are the fish in the bowl?",
    "How long does this clip last?",
    "How long until the cat appears?",
    "How often is the bin emptied, by the sign?",
    "How many times is the word stop written on the sign?",
    "Is the cup before the plate in the row?",
    "Are the forks after the knives in the picture?",
    "Is there a cat before 10 s?",
    "Is the cat seen after 0:30?",
    "Was the dog there before second 12?",
    "Was the dog there before ten seconds?",
    "Is the cat there before the end?",
    "Does it rain before this?",
]


@pytest.mark.parametrize(("question", "expected"), ASKED)
def test_what_a_question_asks_of_time(question: str, expected: Any) -> None:
    assert timing_of(question) == expected
    assert asks_for_after(question) == (" after " in question)


@pytest.mark.parametrize("question", OF_WHAT_IS_SEEN)
def test_a_question_of_what_is_to_be_seen_is_none_of_time(question: str) -> None:
    """Whatever it begins with. Answered from frames it may still be answered; taken for one of time it cannot."""
    assert timing_of(question) == ("look", [])
