"""Questions about a sound: found in time, bounded, proved; silence is said, and on what an answer rests."""

import base64
import dataclasses
import io
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_model import Call, FakeModel
from fake_server import FakeServer, Guise, Seen
from numpy.typing import NDArray
from sound_files import tone, wav
from sound_world import PROFILE, SoundWorld

from zoomagent import ZoomAgent, prompts
from zoomagent.answer import Answer
from zoomagent.clips import HEARD, READ, UNTAUGHT
from zoomagent.graphs.asking import introduced
from zoomagent.graphs.context import Budget
from zoomagent.graphs.timing import timing_of
from zoomagent.media.sound.sound import sound_of
from zoomagent.media.video.sheet import Sheet
from zoomagent.models.base import Message, Pixels, Text
from zoomagent.models.server.openai_server import OpenAIModel
from zoomagent.models.server.retrying import RetryPolicy
from zoomagent.moments import Moment, iou
from zoomagent.run_record import Step
from zoomagent.tools.viewing import ViewStore

WHEN = "When is the alarm?"


def spans(answer: Answer) -> list[Moment]:
    return [Moment(span.start, span.end) for span in answer.moments]


@pytest.mark.parametrize(
    ("alarm", "duration"),
    [
        (Moment(2000, 3000), 10_000),
        (Moment(9000, 9900), 10_000),
        (Moment(31_000, 31_200), 60_000),
        (Moment(0, 60_000), 60_000),
        (Moment(180_000, 182_000), 240_000),
    ],
)
def test_a_moment_is_found_bounded_and_proved(alarm: Moment, duration: int) -> None:
    answer = SoundWorld(alarm, duration).ask(WHEN)
    assert answer.outcome.kind == "answered" and answer.cost.model_calls <= Budget().calls
    assert iou(spans(answer)[0], alarm) > 0.85
    [first, *_] = answer.evidence
    assert first.mattered is True and first.delta is not None and first.delta > 1
    [span] = answer.moments
    assert first.moment == (span.start, span.end) and span.start <= span.at < span.end
    assert Answer.model_validate_json(answer.model_dump_json()) == answer


def test_what_never_sounds_is_said_with_what_can_have_been_missed() -> None:
    answer = SoundWorld(Moment(2000, 3000)).ask("When is the siren heard?")
    assert answer.text == "Never" and not answer.moments and answer.confidence is None
    assert "too thin to be seen" in answer.reasons[0] and answer.cost.model_calls <= 12


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (WHEN, "Never"),
        ("How often is the alarm heard?", "0"),
        ("What is to be heard?", "Cannot tell"),
        ("Does the alarm sound before the bell?", "Cannot tell"),
    ],
)
def test_a_muted_sound_gives_no_answer_whatever_the_model_would_say(question: str, text: str) -> None:
    world = SoundWorld(Moment(2000, 3000), 10_000)
    world.samples = np.zeros_like(world.samples)
    answer = world.ask(question)
    assert answer.text == text and not answer.moments and "silent" in answer.reasons[0]
    assert answer.cost.model_calls == 0


@pytest.mark.parametrize("milliseconds", [1, 3, 8, 20])
@pytest.mark.parametrize("arbiter", [None, "none"])
def test_a_sound_shorter_than_a_sheets_cells_has_an_outcome(milliseconds: int, arbiter: str | None) -> None:
    sound = wav(tone(milliseconds / 1000, 0, 1))
    with ZoomAgent("nano", arbiter=arbiter) as agent:
        outcome = agent.ask(sound, WHEN).outcome
    assert outcome.kind in ("answered", "answered_degraded") or outcome.code == "outside_world"


def test_a_moment_that_is_muted_is_found_no_more() -> None:
    world = SoundWorld(Moment(2000, 3000), 10_000)
    world.samples[2 * 16_000 : 3 * 16_000] = world.samples[:16_000]
    assert world.ask(WHEN).text == "Never"


def test_every_time_is_counted() -> None:
    times = [Moment(5000 * number, 5000 * number + 800) for number in (1, 4, 8)]
    answer = SoundWorld(times, budget=Budget(calls=120)).ask("How often can you hear the alarm?")
    assert answer.text == "3" and answer.confidence is None
    found = sorted(spans(answer), key=lambda moment: moment.start)
    assert all(iou(a, b) > 0.8 for a, b in zip(found, times, strict=True))


def test_another_question_is_answered_from_the_spectrogram_of_its_time() -> None:
    answer = SoundWorld(Moment(42_000, 43_000)).ask("What kind of sound is it?")
    assert answer.text == "an alarm" and answer.picture is not None and answer.picture.sheet is not None
    start, end = answer.picture.sheet.moment
    assert start < 43_000 and end > 42_000 and end - start < 10_000
    assert "spectrogram from" in " ".join(answer.reasons)


def test_the_answer_says_what_was_read_and_the_model_is_told_so() -> None:
    world = SoundWorld(Moment(2000, 3000), 10_000)
    answer = world.ask(WHEN)
    assert READ in answer.reasons and UNTAUGHT in answer.reasons
    for call in world.model.history:
        [parts] = [message.parts for message in call.messages if any(isinstance(p, Pixels) for p in message.parts)]
        assert parts[0] == Text(prompts.SPECTROGRAM) and isinstance(parts[1], Pixels)
    taught = SoundWorld(Moment(2000, 3000), 10_000)
    taught.model.profile = dataclasses.replace(PROFILE, sound="spectrogram")
    answer = taught.ask(WHEN)
    assert READ in answer.reasons and UNTAUGHT not in answer.reasons


@pytest.mark.parametrize("calls", [1, 4])
def test_a_spent_budget_degrades_the_answer_and_is_kept(calls: int) -> None:
    answer = SoundWorld(Moment(2000, 3000), budget=Budget(calls=calls)).ask(WHEN)
    assert answer.outcome.kind == "answered_degraded" and "budget_calls" in answer.outcome.codes
    assert answer.cost.model_calls <= calls and answer.text != "Never"


def test_an_answer_about_a_sound_is_saved_with_its_spectrogram(tmp_path: Path) -> None:
    world = SoundWorld(Moment(2000, 3000), 10_000)
    answer = world.ask(WHEN)
    page = answer.save(tmp_path / "run", world.sound)
    assert page.is_file() and (tmp_path / "run" / "macro.png").is_file()


def test_a_run_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    alarm, store = Moment(2000, 3000), tmp_path / "runs.sqlite"
    whole = SoundWorld(alarm, 10_000).ask(WHEN)
    first = SoundWorld(alarm, 10_000, checkpointer=store)
    with first.agent as agent:
        steps = 0
        for item in agent.stream(first.sound, WHEN, thread_id="one"):
            steps += isinstance(item, Step)
            if steps == 5:
                break
    again = SoundWorld(alarm, 10_000, checkpointer=store)
    answer = again.ask(WHEN, thread_id="one")
    assert spans(answer) == spans(whole) and answer.text == whole.text
    assert len(again.model.history) < whole.cost.model_calls


ASKED: list[tuple[str, Any]] = [
    ("When is the alarm?", ("when", ["alarm"])),
    ("When can you hear a dog bark?", ("when", ["dog bark"])),
    ("When is the low hum heard?", ("when", ["low hum"])),
    ("When does the beep sound?", ("when", ["beep"])),
    ("At what time are the clicks audible?", ("when", ["clicks"])),
    ("When is the sound of breaking glass?", ("when", ["sound of breaking glass"])),
    ("How often does a bell ring?", ("often", ["bell ring"])),
    ("How long is the rising sweep in the recording?", ("long", ["rising sweep"])),
    ("Is the beep heard before the hum?", ("order", ["beep", "hum"])),
    ("Was the beep heard after the hum?", ("order", ["beep", "hum"])),
    ("When was this recorded?", ("look", [])),
    ("How long is the recording?", ("look", [])),
    ("What sounds first?", ("look", [])),
    ("When is the alarm, and what follows?", ("look", [])),
]


@pytest.mark.parametrize(("question", "expected"), ASKED)
def test_what_a_question_asks_of_a_sounds_time(question: str, expected: Any) -> None:
    assert timing_of(question, heard=True) == expected


def test_of_a_clip_nothing_is_heard() -> None:
    assert timing_of("When is the alarm?") == ("look", [])


# A model that hears


class Ears:
    """A served model that goes by what it is sent to hear, and by nothing that it sees."""

    def __init__(self) -> None:
        self.sent: list[NDArray[np.float32] | None] = []

    def heard(self, request: dict[str, Any]) -> NDArray[np.float32] | None:
        """The samples of the last sound of a request; None where it has none."""
        parts = [part for message in request["messages"] for part in message["content"] if isinstance(part, dict)]
        places = [place for place, part in enumerate(parts) if part["type"] == "input_audio"]
        if not places:
            return None
        assert parts[places[-1] - 1]["type"] == "image_url", "behind its picture"
        audio = parts[places[-1]]["input_audio"]
        with wave.open(io.BytesIO(base64.b64decode(audio["data"]))) as file:
            assert audio["format"] == "wav" and file.getframerate() == 16_000
            return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / np.float32(32768)


class EarServer(FakeServer):
    def __init__(self) -> None:
        super().__init__(self._said, Guise(name="omni", logprobs=False, given=False))
        self.ears = Ears()

    def _said(self, seen: Seen) -> str:
        samples = self.ears.heard(self.requests[-1])
        self.ears.sent.append(samples)
        if samples is None:
            return "Cannot tell"
        loud = np.abs(samples) > 0.2
        if prompts.PARTS in seen.text:
            parts = [bool(part.any()) for part in np.array_split(loud, 9)]
            return str(parts.index(True) + 1 if any(parts) else 0)
        if prompts.SEE in seen.text:
            return "Yes" if loud.any() else "No"
        return "an alarm" if loud.any() else "Cannot tell"


def test_a_model_that_hears_is_sent_the_sound_of_what_it_is_shown() -> None:
    world, server = SoundWorld(Moment(2000, 3000), 10_000), EarServer()
    profile = dataclasses.replace(PROFILE, sound="audio", likelihood_of_given=False, likelihood_of_reply=False)
    retries = RetryPolicy(attempts=1)
    model = OpenAIModel("http://fake/v1", "omni", profile=profile, transport=server.transport(), retries=retries)
    with ZoomAgent(model) as agent:
        answer = agent.ask(world.sound, WHEN)
    assert iou(spans(answer)[0], Moment(2000, 3000)) > 0.85 and HEARD in answer.reasons and READ not in answer.reasons
    assert all(samples is not None for samples in server.ears.sent)
    lengths = {len(samples) for samples in server.ears.sent if samples is not None}
    assert max(lengths) == 160_000 and min(lengths) <= 8000, "all of it, and single looks"
    texts = [part["text"] for part in server.requests[0]["messages"][0]["content"] if part["type"] == "text"]
    assert texts[0] == prompts.SPECTROGRAM + prompts.HEARD


def test_what_is_hidden_is_silent_and_what_is_long_is_only_shown() -> None:
    world = SoundWorld(Moment(2000, 3000), 70_000)
    views = ViewStore(Sheet(world.sound, Moment(0, 70_000), 3), dataclasses.replace(PROFILE, sound="audio"))
    for moment, hidden, length, loud in (
        (Moment(0, 9000), [], 144_000, True),
        (Moment(0, 9000), [Moment(1900, 3100)], 144_000, False),
        (Moment(0, 70_000), [], 0, False),
    ):
        view = views.sheet(moment, 3, hidden)["id"]
        [told] = introduced([Message("user", (Pixels(view, views.image(view)), Text("?")))], views)
        [shown] = [part for part in told.parts if isinstance(part, Pixels)]
        samples = np.frombuffer((shown.wav or b"")[44:], "<i2")
        assert len(samples) == length and bool((np.abs(samples) > 6000).any()) == loud


@pytest.mark.parametrize("question", [WHEN, "How often is the alarm heard?", "What is the alarm?"])
@pytest.mark.parametrize("duration", [1, 5, 26, 40])
@pytest.mark.parametrize("part", [1, 5, 9])
def test_a_sound_of_a_few_milliseconds_has_moments_of_its_own_time(question: str, duration: int, part: int) -> None:
    def scores(call: Call) -> list[float]:
        """The part is the likeliest, and whatever is shown is there."""
        count = len(call.options["continuations"])
        return [-0.1 if number == (part if count > 2 else 0) else -5.0 for number in range(count)]

    model = FakeModel(respond=lambda call: "Yes", respond_score=scores)
    with ZoomAgent(model) as agent:
        answer = agent.ask(sound_of(np.full(16 * duration, 0.1, np.float32)), question)
    assert answer.outcome.kind.startswith("answered")
    assert all(0 <= span.start <= span.at < span.end <= duration for span in answer.moments)
