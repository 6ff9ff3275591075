"""Where is what sounds? A model that tells colours by what it hears points at the right thing, and muted at none."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clip_world import BLUE, RED, SIDE, shades
from fake_model import FAKE_PROFILE, Call, FakeModel, Scripted

from zoomagent import ZoomAgent, prompts
from zoomagent.answer import Answer
from zoomagent.data.world.clips import DURATION, Clip, drawn_video
from zoomagent.data.world.scene import Scene
from zoomagent.data.world.sounds import drawn_sound, sounding_video, track_of
from zoomagent.geometry import Box, iou
from zoomagent.graphs.sounding import asks_for_source
from zoomagent.media import Video
from zoomagent.media.sound.sound import sound_of
from zoomagent.moments import Moment

SOUNDS = Moment(20_000, 26_000)
WHERE = "Where is what sounds?"


def clip_of(target: int) -> Clip:
    """A red circle and a blue square, both there all the time; one of them is asked about, so it sounds."""
    spans = [Moment(0, DURATION), Moment(0, DURATION)]
    spans[target] = SOUNDS
    return Clip(Scene(1, "plain", "gray", (RED, BLUE)), tuple(spans), target, 1 - target, "green star")


def voice(image: Any) -> str | None:
    """The colour of what sounds, by the spectrogram: red things hum, blue ones beep."""
    notes = np.asarray(image.convert("L"), int)
    loud = np.nonzero(notes.max(axis=1) > 200)[0]
    if not len(loud) or (notes == 127).all():
        return None
    return "red" if loud.mean() > notes.shape[0] * 0.6 else "blue"


def reply(call: Call) -> Scripted:
    spectrogram, frame = call.views
    colour = voice(spectrogram.image)
    if colour is None:
        return "[]"
    item = RED if colour == "red" else BLUE
    assert shades(frame.image, colour) > 4
    return str([round(1000 * edge) for edge in item.box])


def scores(call: Call) -> list[float]:
    likely = reply(call) == call.options["continuations"][0]
    return [-0.5 if likely else -9.0]


def asked(video: Video, question: str = WHERE, **profile: Any) -> tuple[Answer, FakeModel]:
    model = FakeModel(profile=replace(FAKE_PROFILE, **profile), respond=reply, respond_score=scores)
    with ZoomAgent(model) as agent, video:
        return agent.ask(video, question), model


@pytest.mark.parametrize(("target", "item"), [(0, RED), (1, BLUE)])
def test_what_sounds_is_pointed_at_and_the_sound_mattered(target: int, item: Any) -> None:
    answer, model = asked(sounding_video(clip_of(target), SIDE))
    assert answer.outcome.kind == "answered" and answer.cost.model_calls == 3
    [evidence] = answer.evidence
    assert iou(Box(*evidence.box), Box(*(round(SIDE * edge) for edge in item.box))) > 0.9
    assert evidence.mattered is True and evidence.delta == pytest.approx(8.5)
    assert evidence.moment is not None and SOUNDS.holds(evidence.moment[0])
    assert answer.picture is not None and answer.picture.sheet is not None and answer.picture.sheet.grid == 1
    first = model.history[0]
    assert prompts.SPECTROGRAM + prompts.SOURCE in first.text and len(first.views) == 2
    assert Answer.model_validate_json(answer.model_dump_json()) == answer


def test_it_is_kept_and_saved(tmp_path: Path) -> None:
    model, store = FakeModel(profile=FAKE_PROFILE, respond=reply, respond_score=scores), tmp_path / "runs.sqlite"
    with ZoomAgent(model, checkpointer=store) as agent, sounding_video(clip_of(0), SIDE) as video:
        answer = agent.ask(video, WHERE, thread_id="one")
        assert agent.ask(video, WHERE, thread_id="one").text == answer.text and len(model.history) == 3
        answer.save(tmp_path / "run", video)
    assert (tmp_path / "run" / "page.html").is_file() and (tmp_path / "run" / "crop-1.png").is_file()


def test_a_muted_clip_gives_cannot_tell_and_asks_nobody() -> None:
    clip = clip_of(0)
    silent = drawn_video(clip, SIDE, lambda: sound_of(np.zeros(DURATION * 16, np.float32)))
    answer, model = asked(silent)
    assert answer.text == "Cannot tell" and not answer.boxes and not model.history
    noise = replace(track_of(clip), events=())
    answer, model = asked(drawn_video(clip, SIDE, lambda: drawn_sound(noise)))
    assert answer.text == "Cannot tell" and not answer.boxes and len(model.history) == 1


def test_a_clip_without_a_sound_is_refused() -> None:
    answer, _ = asked(drawn_video(clip_of(0), SIDE))
    assert answer.outcome.kind == "refused" and answer.outcome.code == "no_sound"


def test_a_model_that_hears_is_given_the_clips_sound() -> None:
    _, model = asked(sounding_video(clip_of(1), SIDE), sound="audio")
    spectrogram, frame = model.history[0].views
    assert spectrogram.wav is not None and frame.wav is None and len(spectrogram.wav) == 44 + 2 * 16 * 3001


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (WHERE, True),
        ("Where is the thing that makes the noise?", True),
        ("where does the sound come from", True),
        ("Which thing is heard?", True),
        ("Where is the sound desk?", False),
        ("What sounds first?", False),
        ("Where is the red circle?", False),
    ],
)
def test_which_questions_ask_for_the_source(question: str, expected: bool) -> None:
    assert asks_for_source(question) is expected
