"""A model asks for a moment of a clip, and is shown its frames as its profile says; refusals are told to it."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clip_world import RED, SIDE, ClipWorld, Sighted, shades
from fake_model import FAKE_PROFILE, Call, FakeModel
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from zoomagent import ZoomAgent
from zoomagent.answer import Answer
from zoomagent.errors import MomentInvalid, ToolArgsInvalid, ToolError
from zoomagent.geometry import Size
from zoomagent.media.video.sheet import Sheet
from zoomagent.media.video.video import Video
from zoomagent.models.base import Pixels, Reply, Text, ToolCall
from zoomagent.models.profiles import Profile
from zoomagent.models.words.chat import arrange
from zoomagent.moments import Moment, TimeSpace, moment_from_model, moment_to_model
from zoomagent.tools.definitions import VIDEO_ZOOM, ZOOM_IN
from zoomagent.tools.dispatch import run_call
from zoomagent.tools.episode import read_attempt
from zoomagent.tools.progress import Look
from zoomagent.tools.viewing import ToolResult, ViewStore
from zoomagent.tools.zooming_in_time import time_of

SHOWN = Moment(20_000, 26_000)
SPACES: tuple[TimeSpace, ...] = ("seconds", "share", "hundred")
QUESTION = "What is written on the red circle?"
TIMED = replace(FAKE_PROFILE, frames="timed")


def call(segment: object, index: int = 0, name: str = VIDEO_ZOOM) -> ToolCall:
    return ToolCall("c", name, json.dumps({"segment": segment, "label": "red circle", "img_idx": index}))


@pytest.fixture
def views() -> ViewStore:
    video = ClipWorld(SHOWN).video
    return ViewStore(Sheet(video, video.moment, 3), FAKE_PROFILE)


def run_in(views: ViewStore, made: ToolCall, indexed: Sequence[str] = ()) -> ToolResult:
    indexed = indexed or [views.whole()["id"]]
    return asyncio.run(run_call(views, FakeModel(profile=views.profile), made, indexed, [VIDEO_ZOOM, ZOOM_IN]))


# Times


@given(st.integers(1, 4 * 3_600_000), st.floats(0, 1), st.floats(0, 1), st.sampled_from(SPACES))
def test_a_moment_written_for_a_model_is_read_back_within_the_spaces_step(
    duration: int, one: float, other: float, space: TimeSpace
) -> None:
    start, end = sorted((int(one * duration), int(other * duration)))
    step = 0 if space == "seconds" else 1 + duration // 10_000
    if end - start <= 2 * step:
        return
    read = moment_from_model(moment_to_model(Moment(start, end), space, duration), space, duration)
    assert abs(read.start - start) <= step and abs(read.end - end) <= step


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=4), st.sampled_from(SPACES))
def test_whatever_a_model_writes_is_a_moment_of_the_clip_or_refused_in_words(
    values: list[float], space: TimeSpace
) -> None:
    try:
        moment = moment_from_model(values, space, 60_000)
    except MomentInvalid as error:
        assert "segment" in str(error)
    else:
        assert 0 <= moment.start < moment.end <= 60_000


# The tool


def test_a_segment_is_shown_as_a_sheet_of_its_own_frames(views: ViewStore) -> None:
    result = run_in(views, call([20, 26]))
    [record] = result.views
    assert record["sheet"] == {"moment": SHOWN.as_list(), "grid": 3, "hidden": []} and record["depth"] == 1
    assert result.text.startswith("img_idx 1 shows 9 frames, row by row, of the segment [20.0, 26.0] (in seconds")
    assert isinstance(views.picture, Sheet) and isinstance(views.picture.video, Video)
    shown = np.asarray(views.picture.other(SHOWN, 3).view(views.picture.cell(4), views.picture.video.size))
    own = np.asarray(views.picture.video.frame(23_000))
    assert (shown == own).all(), "a zoom in time is rendered from the frames' own pixels"


@pytest.mark.parametrize(("segment", "grid"), [([20.0, 20.03], 1), ([20.0, 20.15], 2), ([0, 60], 3)])
def test_a_segment_of_few_frames_shows_no_frame_twice(views: ViewStore, segment: list[float], grid: int) -> None:
    [record] = (run_in(views, call(segment))).views
    assert record["sheet"]["grid"] == grid


def test_a_model_of_timed_frames_is_shown_as_many_as_there_is_room_for(views: ViewStore) -> None:
    views = ViewStore(views.picture, TIMED)
    result = run_in(views, call([20, 26]))
    times = [time for record in result.views if (time := time_of(record)) is not None]
    assert len(times) == TIMED.max_images - 1 == len(result.views) and times == sorted(set(times))
    assert all(SHOWN.holds(time) for time in times)
    assert result.text.splitlines()[0].startswith("img_idx 1 shows the video at 20.428 (in seconds")
    # All of them cost about as much as one view.
    assert views.tokens(record["id"] for record in result.views) <= 1.1 * TIMED.visual_tokens(Size(1024, 1024))


def test_a_box_in_a_frame_that_was_asked_for_is_cut_from_that_frame(views: ViewStore) -> None:
    first = run_in(views, call([23, 23.001]))
    frame = first.views[0]
    indexed = [views.whole()["id"], frame["id"]]
    x, y, half = RED.x, RED.y, RED.size / 2
    box = [round(1000 * n) for n in (x - half, y - half, x + half, y + half)]
    made = ToolCall("c", ZOOM_IN, json.dumps({"bbox_2d": box, "label": "it", "img_idx": 1}))
    [crop] = (run_in(views, made, indexed)).views
    assert crop["sheet"] == frame["sheet"] and crop["source"] == frame["id"] and crop["depth"] == 2
    image = views.image(crop["id"])
    assert shades(image, "red") > 0.2 * image.width * image.height
    # From its record alone the view is rendered again.
    again = ViewStore(views.picture, FAKE_PROFILE)
    assert again.holds(crop)
    again.know([crop])
    assert np.array_equal(np.asarray(again.image(crop["id"])), np.asarray(image))


@pytest.mark.parametrize(
    ("segment", "wrong"),
    [([26, 20], MomentInvalid), ([5, 5], MomentInvalid), ([70, 90], MomentInvalid), ([-9, 0], MomentInvalid),
     (["a", "b"], MomentInvalid), ([1], ToolArgsInvalid), (7, MomentInvalid), ([1, 2, 3], ToolArgsInvalid)],
)  # fmt: skip
def test_a_segment_that_is_none_is_refused_with_what_to_write(
    views: ViewStore, segment: object, wrong: type[ToolError]
) -> None:
    with pytest.raises(wrong, match=r"segment|\[start, end\]"):
        run_in(views, call(segment))


def test_the_same_moment_again_and_a_zoom_too_deep_are_refused(views: ViewStore) -> None:
    whole = views.whole()["id"]
    before = [Look(VIDEO_ZOOM, whole, moment=Moment(20_000, 26_000))]
    with pytest.raises(ToolArgsInvalid, match="nothing new"):
        read_attempt(views, call([20.1, 26]), [whole], [VIDEO_ZOOM], 3, before, 2)
    assert read_attempt(views, call([10, 16]), [whole], [VIDEO_ZOOM], 3, before, 2).look.moment == Moment(
        10_000, 16_000
    )
    with pytest.raises(ToolArgsInvalid, match="as close"):
        read_attempt(views, call([10, 16]), [whole], [VIDEO_ZOOM], 0, [], 1)


def test_the_same_box_in_other_frames_is_another_look(views: ViewStore) -> None:
    whole, frame = views.whole()["id"], views.sheet(Moment(23_000, 23_001), 1)["id"]
    made = ToolCall("c", ZOOM_IN, json.dumps({"bbox_2d": [0, 0, 300, 300], "label": "it", "img_idx": 1}))
    looked = read_attempt(views, made, [whole, frame], [ZOOM_IN], 3, [], 1).look
    other = views.sheet(Moment(9_000, 9_001), 1)["id"]
    assert read_attempt(views, made, [whole, other], [ZOOM_IN], 3, [looked], 2)
    with pytest.raises(ToolArgsInvalid, match="nothing new"):
        read_attempt(views, made, [whole, frame], [ZOOM_IN], 3, [looked], 2)


def test_a_picture_has_no_segments() -> None:
    model = FakeModel(respond=lambda call: "47")
    with ZoomAgent(model, strategy="tools") as agent:
        agent.ask(Image.new("RGB", (400, 300)), "What is it?")
    offered = [tool["function"]["name"] for made in model.history for tool in made.options.get("tools", ())]
    assert ZOOM_IN in offered and VIDEO_ZOOM not in offered


# In a run


class Asking(Sighted):
    """Begins with the whole clip, asks for `calls` one after the other, then answers by what it sees last."""

    def __init__(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> None:
        super().__init__("whole picture")
        self.calls = calls

    def reply(self, call: Call) -> Any:
        if not call.options.get("tools"):
            return super().reply(call)
        made = sum(len(message.tool_calls) for message in call.messages)
        if made < len(self.calls):
            name, arguments = self.calls[made]
            return Reply("", "tool_calls", tool_calls=(ToolCall("x", name, json.dumps(arguments)),), model="fake")
        image = call.views[-1].image
        return "47" if shades(image, "red") > 0.05 * image.width * image.height else "Cannot tell"


BOX = [round(1000 * n) for n in (RED.x - 0.1, RED.y - 0.1, RED.x + 0.1, RED.y + 0.1)]
FRAME = (VIDEO_ZOOM, {"segment": [23, 23.01], "label": "red circle", "img_idx": 0})
CLOSER = (ZOOM_IN, {"bbox_2d": BOX, "label": "red circle", "img_idx": 1})


def ask(calls: Sequence[tuple[str, dict[str, Any]]], profile: Profile = FAKE_PROFILE) -> tuple[Answer, FakeModel]:
    sighted = Asking(calls)
    model = FakeModel(profile=profile, respond=sighted.reply, respond_score=scores)
    with ZoomAgent(model, strategy="tools", arbiter="none") as agent:
        return agent.ask(ClipWorld(SHOWN).video, QUESTION), model


def scores(call: Call) -> list[float]:
    """The answer is likely where something red is shown large; in grey it is not."""
    large = any(shades(view.image, "red") > 0.05 * view.image.width * view.image.height for view in call.views)
    return [-0.05 if large and text == "47" else -3.0 for text in call.options["continuations"]]


def test_a_moment_that_the_model_asks_for_is_looked_at_proved_and_shown(tmp_path: Path) -> None:
    answer, model = ask([FRAME, CLOSER])
    assert answer.text == "47" and answer.picture is not None and answer.picture.sheet is not None
    assert "Answered from the frame at 23.005 s." in answer.reasons
    sheet = answer.picture.sheet
    assert sheet.grid == 1 and SHOWN.start <= sheet.moment[0] < sheet.moment[1] <= SHOWN.end
    assert (answer.picture.width, answer.picture.height) == (SIDE, SIDE)
    rests = [item for item in answer.evidence if item.chosen and item.perspective == "micro"]
    assert rests and all(item.moment and SHOWN.start <= item.moment[0] <= SHOWN.end for item in rests)
    assert rests[-1].mattered and rests[-1].phrase == "red circle" and rests[-1].box in answer.boxes
    assert {item.sheet.grid for item in answer.evidence if item.sheet} == {3}, "the whole clip is another picture"
    told = next(made for made in model.history if made.options.get("tools"))
    assert "9 frames, row by row, of the segment [0.0, 60.0] of a video that lasts from 0.0 to 60.0" in told.text
    answer.save(tmp_path / "run", ClipWorld(SHOWN).video)
    page = (tmp_path / "run" / "page.html").read_text()
    assert "The whole clip" in page and "The frame at 23.005 s" in page and "Crop" in page
    again = Answer.model_validate_json((tmp_path / "run" / "answer.json").read_text())
    assert again == answer


def test_a_refused_segment_is_told_once_and_the_run_goes_on() -> None:
    wrong = (VIDEO_ZOOM, {"segment": [50, 20], "label": "it", "img_idx": 0})
    answer, model = ask([wrong, FRAME, CLOSER])
    assert answer.text == "47" and sum("is no part of the clip" in made.text for made in model.history) >= 1
    last = [made for made in model.history if made.options.get("tools")][-1]
    assert last.text.count("is no part of the clip") == 1


def test_timed_frames_stand_behind_their_times_wherever_their_views_go() -> None:
    answer, model = ask([(VIDEO_ZOOM, {"segment": [20, 26], "label": "it", "img_idx": 0})], TIMED)
    last = [made for made in model.history if made.options.get("tools")][-1]
    [told] = [message for message in last.messages if message.role == "tool"]
    frames = [part for part in told.parts if isinstance(part, Pixels)]
    assert len(frames) == TIMED.max_images - 1 and frames[0].before == "<20.4 seconds>"
    for stay in (False, True):
        arranged = arrange(last.messages, replace(TIMED, images_in_tool_messages=stay))
        parts = [part for message in arranged for part in message.parts]
        for number, part in enumerate(parts):
            if isinstance(part, Pixels) and part.key in {frame.key for frame in frames}:
                before = parts[number - 1]
                assert isinstance(before, Text) and before.text.endswith(frames_by_key(frames)[part.key].before)


def frames_by_key(frames: Sequence[Pixels]) -> dict[str, Pixels]:
    return {frame.key: frame for frame in frames}
