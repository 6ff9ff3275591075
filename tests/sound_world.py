"""A drawn sound, and a model without weights that tells the truth about its spectrograms, as far as it can see.

world = SoundWorld(Moment(2000, 3000), duration=60_000)      an alarm of 1 kHz in that moment, faint noise always
answer = world.ask("When is the alarm?")
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from fake_model import FAKE_PROFILE, Call, FakeModel, Scripted

from zoomagent import prompts
from zoomagent.agent import ZoomAgent
from zoomagent.answer import Answer
from zoomagent.media import Sound
from zoomagent.media.sound.sound import sound_of
from zoomagent.media.sound.spectrum import RATE
from zoomagent.moments import Moment

ALARM = "alarm"
PROFILE = replace(FAKE_PROFILE, max_pixels=384 * 384)


def is_bright(image: Any) -> bool:
    """Whether an image shows something loud, a column wide."""
    pixels = np.asarray(image.convert("L"), int)
    return bool(((pixels > 170).sum(axis=0) >= 2).any())


def seen(image: Any, phrase: str) -> bool:
    return ALARM in phrase and is_bright(image)


def reply(call: Call) -> Scripted:
    said = [part.text for part in call.messages[-1].parts if hasattr(part, "text")]
    if said[-1].startswith(prompts.CUES):
        return ALARM
    if said[-1].startswith(prompts.SEE):
        return "Yes" if seen(call.views[-1].image, said[-1].removeprefix(prompts.SEE)) else "No"
    return "an alarm" if is_bright(call.views[-1].image) else "Cannot tell"


def scores(call: Call) -> list[float]:
    last = [part.text for part in call.messages[-1].parts if hasattr(part, "text")][-1]
    said, image = call.options["continuations"], call.views[-1].image
    if tuple(said) == ("Yes", "No"):
        return [-0.05, -4.0] if seen(image, last.removeprefix(prompts.SEE)) else [-4.0, -0.05]
    if last.startswith(prompts.PARTS):
        phrase, third = last.removeprefix(prompts.PARTS), image.width // 3
        cells = [
            image.crop((x * third, y * third, x * third + third, y * third + third)) for y in range(3) for x in range(3)
        ]
        weights = [1.0 if seen(cell, phrase) else 0.01 for cell in cells]
        none = 0.01 if max(weights) == 1.0 else 5.0
        return [math.log(weight / (none + sum(weights))) for weight in (none, *weights)]
    return [-0.05 if text == "an alarm" else -3.0 for text in said]


class SoundWorld:
    """One sound in which an alarm sounds once or often, and an agent whose model sees it in the spectrogram."""

    def __init__(self, alarm: Moment | Sequence[Moment], duration: int = 60_000, **settings: Any) -> None:
        times = np.arange(duration * RATE // 1000) / RATE
        samples = 0.001 * np.random.default_rng(1).standard_normal(len(times)).astype(np.float32)
        for moment in [alarm] if isinstance(alarm, Moment) else alarm:
            span = slice(moment.start * RATE // 1000, moment.end * RATE // 1000)
            samples[span] += 0.5 * np.sin(2 * np.pi * 1000 * times[span])
        self.samples = samples.astype(np.float32)
        self.model = FakeModel(profile=PROFILE, respond=reply, respond_score=scores)
        self.agent = ZoomAgent(self.model, **settings)

    @property
    def sound(self) -> Sound:
        return sound_of(self.samples)

    def ask(self, question: str, **more: Any) -> Answer:
        with self.agent:
            return self.agent.ask(self.sound, question, **more)
