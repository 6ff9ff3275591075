"""Opening and showing a picture or sound is part of the run: a budget of seconds ends it, whatever it waits for."""

import asyncio
import sys
import threading
from fractions import Fraction

import numpy as np
import pytest
from fake_model import FakeModel
from zoo import jpeg

from zoomagent import Budget, ZoomAgent
from zoomagent.errors import InputRefused, RunError
from zoomagent.media import Limits, open_picture
from zoomagent.media.decoding import worker
from zoomagent.media.patience import patience, seconds_left
from zoomagent.media.sound.sound import InMemorySamples, Sound
from zoomagent.media.sound.spectrum import RATE, Array, Spectrum

HANGS = (
    "import os, time, zoomagent.media.decoding.decoder as d\n"
    "def fault(job, source, target):\n    time.sleep(3600)\n"
    "d._OPERATIONS['header'] = fault\n"
    "d.main()"
)


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> list[worker.Worker]:
    """Decoders that never reply; those that were asked."""
    worker._POOL.close()
    monkeypatch.setattr(worker, "COMMAND", (sys.executable, "-c", HANGS))
    asked: list[worker.Worker] = []
    ask = worker.Worker.ask

    def noted(self: worker.Worker, *given: object) -> object:
        asked.append(self)
        return ask(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(worker.Worker, "ask", noted)
    return asked


def test_a_run_ends_with_its_seconds_while_its_picture_is_opened(hanging: list[worker.Worker]) -> None:
    with ZoomAgent(FakeModel(respond=lambda call: "Exit"), budget=Budget(seconds=1)) as agent:
        answer = agent.ask(jpeg(), "What?")
    assert (answer.outcome.kind, answer.outcome.code) == ("failed", "budget_seconds")
    assert answer.outcome.exit_status == 75
    assert len(hanging) == 1 and not hanging[0].alive()


def test_a_file_object_that_gives_nothing_does_not_hold_the_run() -> None:
    never = threading.Event()

    class Silent:
        def read(self, count: int, /) -> bytes:
            never.wait()
            return b""

    try:
        with ZoomAgent(FakeModel(respond=lambda call: "Exit"), budget=Budget(seconds=0.2)) as agent:
            assert agent.ask(Silent(), "What?").outcome.code == "budget_seconds"
    finally:
        never.set()


def test_without_a_budget_a_decoder_that_hangs_is_ended_by_its_own_limit(hanging: list[worker.Worker]) -> None:
    with pytest.raises(InputRefused) as refusal:
        open_picture(jpeg(), limits=Limits(decode_seconds=0.2))
    assert refusal.value.code == "decode_timeout"
    assert not hanging[0].alive()


def test_a_wider_limit_inside_a_narrower_one_changes_nothing() -> None:
    with patience(100), patience(1000):
        assert seconds_left() <= 100
    with patience(None):
        assert seconds_left() == float("inf")
    with patience(0), pytest.raises(RunError) as error:
        seconds_left()
    assert error.value.code == "budget_seconds"


def test_the_limit_of_one_run_is_not_that_of_another() -> None:
    async def nested() -> tuple[float, float]:
        async def one(seconds: float) -> float:
            with patience(seconds):
                await asyncio.sleep(0)
                return await asyncio.to_thread(seconds_left)

        return await asyncio.gather(one(10), one(1000))

    short, long = asyncio.run(nested())
    assert short <= 10 < long


class Watched:
    """A minute of a tone that notes how long whoever reads it may take; before the run that is for ever."""

    count = 60 * RATE

    def __init__(self) -> None:
        self.left: list[float] = []

    def read(self, start: int, end: int) -> Array:
        self.left.append(seconds_left())
        return np.full(max(0, min(end, self.count) - start), 0.1, np.float32)

    def close(self) -> None:
        """Nothing to give back."""


def test_views_of_a_run_have_what_is_left_of_its_seconds() -> None:
    samples = Watched()
    sound = Sound("tone", samples)
    before = len(samples.left)
    model = FakeModel(respond=lambda call: "Yes", respond_score=lambda call: None)
    with ZoomAgent(model, budget=Budget(seconds=500)) as agent:
        agent.ask(sound, "When is the alarm?")
    shown = samples.left[before:]
    assert shown and max(shown) <= 500


@pytest.mark.parametrize("step", [100, 20_000])
def test_a_spectrum_is_not_computed_beyond_the_time(step: int) -> None:
    with patience(0), pytest.raises(RunError) as ended:
        Spectrum(InMemorySamples(np.full(60 * RATE, 0.1, np.float32))).levels([0, step, 2 * step], Fraction(step))
    assert ended.value.code == "budget_seconds"
