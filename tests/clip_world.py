"""A drawn clip, and a model without weights that tells the truth about it, as far as the frames it is shown let it see.

world = ClipWorld(moment)                        the red circle ("47") is there in that moment, the star always
answer = world.ask("When is the red circle there?")
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from fake_model import FAKE_PROFILE, Call, FakeModel, Scripted

from zoomagent import prompts
from zoomagent.agent import ZoomAgent
from zoomagent.answer import Answer
from zoomagent.data.world.clips import DURATION, Clip, drawn_video
from zoomagent.data.world.scene import Item, Scene
from zoomagent.media import Video
from zoomagent.moments import Moment

RED = Item("circle", "red", 0.7, 0.3, 0.2, "47", 0, 0)
BLUE = Item("square", "blue", 0.3, 0.7, 0.2, "83", 0, 0)
SIDE = 128


def shades(image: Any, colour: str) -> int:
    """Pixels of an image that have about this colour."""
    r, g, b = np.moveaxis(np.asarray(image.convert("RGB"), int), 2, 0)
    return int(((r > 150) & (g < 90) & (b < 90) if colour == "red" else (b > 150) & (r < 90) & (g < 110)).sum())


class Sighted:
    """Sees what is red and what is blue in an image, and nothing else. Reads where a thing fills a good part of it;
    asked about both, it wants to see both."""

    def __init__(self, about: str) -> None:
        self.about = about

    def seen(self, image: Any, phrase: str) -> bool:
        colour = phrase.split()[0]
        return colour in ("red", "blue") and shades(image, colour) > 4

    def reply(self, call: Call) -> Scripted:
        last = [part.text for part in call.messages[-1].parts if hasattr(part, "text")][-1]
        image = call.views[-1].image
        if last.startswith(prompts.CUES):
            return self.about
        if last.startswith(prompts.SEE):
            return "Yes" if self.seen(image, last.removeprefix(prompts.SEE)) else "No"
        if last.startswith((prompts.BOX, prompts.GROUND)):
            return "[550, 150, 850, 450]"
        if "," in self.about and all(self.seen(image, colour) for colour in ("red", "blue")):
            return "both"
        share = shades(image, "red") / (image.width * image.height)
        return "47" if share > 0.015 else "Cannot tell"

    def scores(self, call: Call) -> list[float]:
        last = [part.text for part in call.messages[-1].parts if hasattr(part, "text")][-1]
        said, image = call.options["continuations"], call.views[-1].image
        if tuple(said) == ("Yes", "No"):
            there = self.seen(image, last.removeprefix(prompts.SEE))
            return [-0.05, -4.0] if there else [-4.0, -0.05]
        if last.startswith(prompts.PARTS):
            phrase, third = last.removeprefix(prompts.PARTS), image.width // 3
            cells = [
                image.crop((x * third, y * third, x * third + third, y * third + third))
                for y in range(3)
                for x in range(3)
            ]
            weights = [1.0 if self.seen(cell, phrase) else 0.01 for cell in cells]
            none = 0.01 if max(weights) == 1.0 else 5.0
            return [math.log(weight / (none + sum(weights))) for weight in (none, *weights)]
        return [-0.05 if text == "47" else -3.0 for text in said]


class ClipWorld:
    """One clip of a minute, in which the red circle is there once or often, and an agent whose model sees it."""

    def __init__(
        self,
        red: Moment | Sequence[Moment],
        blue: Moment | None = None,
        *,
        about: str = "red circle",
        scores: bool = True,
        **settings: Any,
    ) -> None:
        reds = [red] if isinstance(red, Moment) else list(red)
        scene = Scene(1, "plain", "gray", (*[RED] * len(reds), BLUE))
        self.clip = Clip(scene, (*reds, blue or Moment(0, DURATION)), 0, len(reds), "green star")
        sighted = Sighted(about)
        self.model = FakeModel(
            profile=FAKE_PROFILE, respond=sighted.reply, respond_score=sighted.scores if scores else lambda call: None
        )
        self.agent = ZoomAgent(self.model, **settings)

    @property
    def video(self) -> Video:
        return drawn_video(self.clip, SIDE)

    def ask(self, question: str, **more: Any) -> Answer:
        with self.agent:
            return self.agent.ask(self.video, question, **more)
