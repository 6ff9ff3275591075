"""Ask a model about unseen synthetic scenes with several strategies and rivals: what zooming bought, and what it cost.

    zoomagent bench haystack --n 500 --seeds 1,2,3 --size 4096 --strategy macro,micro,dualfocus,zoomeye,tiling,oracle \
        --model nano --results runs/haystack.jsonl --out runs/haystack.json

Every row answers the same questions about the same pixels: `read` what is written on a thing, `whole` (its side, colour
or shape, the background), `presence`, `count`, `compare` (two things, or two counts), and `absent`, which has no answer
("Cannot tell" is right). What is asked about may be smaller than can be seen in the whole at all; nothing is left out
for that (`sets/haystack.py`). An error counts as wrong and is counted. Scenes come from the test split, which no
training stream touches. Question (seed, scene, kind) is always the same, so results of a killed or a smaller bench are
taken up. Times leave out drawing the picture and shrinking it to the whole view, and no row finds a view ready that
another rendered. """

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from PIL import Image

from zoomagent.data.world.render import render
from zoomagent.data.world.scene import LEVELS, Scene
from zoomagent.evaluation.contestants import AGENT, ORACLE, Contestant, make_agent, of_agent, of_rival, procedure_of
from zoomagent.evaluation.results import Result, ResultFile
from zoomagent.evaluation.scoring import same_answer
from zoomagent.evaluation.sets.haystack import Settings, cases
from zoomagent.geometry import Size, whole
from zoomagent.media.picture import InMemory, Picture, Request
from zoomagent.models.base import Model
from zoomagent.models.local.in_process import InProcessModel
from zoomagent.models.profiles import whole_side

BAND = 1024
"""Least rows that are drawn at a time; fewer would be drawn finer than the rest."""


SHARING = ("tiling",)
"""Rows that keep what they saw of a scene for its other questions: their seconds are lower bounds."""


class PixelMemory(InMemory):
    """Pixels in memory, with the views that one answer rendered and, for all answers, the whole."""

    def __init__(self, image: Image.Image) -> None:
        super().__init__(image)
        self._views: dict[Request, Image.Image] = {}
        self._whole: dict[Request, Image.Image] = {}

    def regions(self, requests: Sequence[Request]) -> Iterator[Image.Image]:
        for request in requests:
            if request not in self._views:
                [self._views[request]] = super().regions([request])
            yield self._views[request]

    def keep_whole(self) -> None:
        """Keep for all answers what was rendered so far: the whole view."""
        self._whole = dict(self._views)

    def forget(self) -> None:
        """Forget what the last answer rendered: the next one must not find it ready."""
        self._views = dict(self._whole)


def draw_picture(scene: Scene, settings: Settings, seed: int, index: int) -> tuple[Picture, PixelMemory]:
    """The scene at full size, and its pixels. Its name says which one it is, which is quicker than hashing 200 MB."""
    side = settings.size
    pixels = PixelMemory(canvas(scene, side))
    picture = Picture(f"{settings.level} {seed} {index} {side}", Size(side, side), (), pixels)
    picture.view(whole(picture.size), Size(settings.macro_side, settings.macro_side))
    pixels.keep_whole()
    return picture, pixels


def canvas(scene: Scene, side: int) -> Image.Image:
    """All of a scene, drawn in bands: noise over all of an 8K picture at once would take gigabytes."""
    image = Image.new("RGB", (side, side))
    count = max(1, side // BAND)
    edges = [side * i // count for i in range(count + 1)]
    for top, bottom in pairwise(edges):
        band = render(scene, side, bottom - top, (0.0, top / side, 1.0, bottom / side), full_side=side)
        image.paste(Image.fromarray(band), (0, top))
    return image


async def run(
    settings: Settings,
    contestants: Mapping[str, Contestant],
    kept: ResultFile | None = None,
    progress: Callable[[int], None] = lambda done: None,
    forget: Callable[[], None] = lambda: None,
) -> list[Result]:
    """Ask every question of every contestant, one at a time and after `forget`, so that none profits from what the one
    before it left in the model's caches. What is in `kept` is not asked again."""
    kept = kept or ResultFile()
    results: list[Result] = []
    done = 0
    for scene, found in cases(settings):
        wanted = [(case, name) for case in found for name in contestants]
        missing = [(case, name) for case, name in wanted if case.key(settings, name) not in kept]
        if missing:
            picture, pixels = draw_picture(scene, settings, found[0].seed, found[0].scene)
            with picture:
                for case, name in missing:
                    if name not in SHARING:
                        forget()
                        pixels.forget()
                    question, start = case.question, time.perf_counter()
                    given = await contestants[name](picture, question.text, case.options)
                    seconds = time.perf_counter() - start
                    right = given.answered and same_answer(given.text, question.answer)
                    result = given.result(
                        case.key(settings, name), question.text, case.options, question.answer, right, seconds
                    )
                    kept.add(replace(result, pixels=case.pixels))
        results += [kept[case.key(settings, name)] for case, name in wanted]
        done += len(found)
        progress(done)
    return results


def measure(
    settings: Settings,
    load: Callable[[], Model],
    kept: ResultFile | None = None,
    progress: Callable[[int], None] = lambda done: None,
    arbiter: str | Path | None = None,
) -> tuple[Settings, list[Result]]:
    """Run the bench; returns the settings with the model's own macro side. A model in this process is loaded once;
    others are loaded per contestant, as connections belong to one event loop."""
    model = load()
    shared = isinstance(model, InProcessModel)
    forget = model.forget if isinstance(model, InProcessModel) else lambda: None
    settings = replace(settings, macro_side=whole_side(model.profile, settings.size))
    names = [name for name in settings.strategies if name != ORACLE]
    agents = {name: make_agent(model if shared else load(), name, arbiter) for name in names if name in AGENT}
    contestants = {
        name: of_agent(agents[name])
        if name in agents
        else of_rival(procedure_of(name, LEVELS[settings.level], settings.macro_side), model)
        for name in names
    }
    try:
        return settings, asyncio.run(run(settings, contestants, kept, progress, forget))
    finally:
        for agent in agents.values():
            agent.close()
