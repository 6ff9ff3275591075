"""LION inside the agent: `auto` as it is, beside `auto` whose model has routes, and tags.

    measure("nano", "runs/lion/checkpoint", settings, kept)

The questions are the haystack's, and so are the counts (`evaluation/run.py`). An arbiter knows one model's weights: the
packaged one does not fit what LION's stages made of nano. So `auto` is asked without one too; that row is the fair one
beside LION's. What switching between tasks costs stands here too. Left out: servers.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from zoomagent.agent import ZoomAgent
from zoomagent.data.world.render import render
from zoomagent.data.world.scene import SMALL, SPLITS, draw_scene
from zoomagent.errors import SettingInvalid
from zoomagent.evaluation.contestants import of_agent
from zoomagent.evaluation.results import Result, ResultFile
from zoomagent.evaluation.run import run
from zoomagent.evaluation.scoring import wilson
from zoomagent.evaluation.sets.haystack import Settings
from zoomagent.models.base import Message, Pixels, Text
from zoomagent.models.loading import fingerprint, load_model
from zoomagent.models.profiles import whole_side
from zoomagent.prompts import SEE
from zoomagent.strategy import Task

ROWS = ("auto", "auto, no arbiter", "auto, routes", "auto, routes, tags")
SEED = 31


def measure(
    base: str, lion: str, settings: Settings, kept: ResultFile, progress: Callable[[int], None] = lambda done: None
) -> list[Result]:
    """Every row on every question. Raises SettingInvalid where the second model has no routes."""
    plain, routed = _model(base), _routed(lion)
    settings = replace(
        settings,
        strategies=ROWS,
        model=f"{fingerprint(base, {})} {fingerprint(lion, {})}",
        macro_side=whole_side(plain.profile, settings.size),
    )
    agents = dict(
        zip(
            ROWS,
            (
                ZoomAgent(plain),
                ZoomAgent(plain, arbiter="none"),
                ZoomAgent(routed, arbiter="none"),
                ZoomAgent(routed, arbiter="none", tags="auto"),
            ),
            strict=True,
        )
    )

    def forget() -> None:
        plain.forget()
        routed.forget()

    try:
        contestants = {name: of_agent(agent) for name, agent in agents.items()}
        return asyncio.run(run(settings, contestants, kept, progress, forget))
    finally:
        for agent in agents.values():
            agent.close()


def rows(found: list[Result]) -> list[dict[str, Any]]:
    """Accuracy with its interval, answers "Cannot tell", calls, visual tokens and seconds, by row."""
    table = []
    for name in ROWS:
        mine = [one for one in found if one.key.strategy == name]
        if not mine:
            continue
        n, right = len(mine), sum(one.right for one in mine)
        low, high = wilson(right, n)
        table.append(
            {
                "row": name,
                "n": n,
                "right": right / n,
                "low": low,
                "high": high,
                "abstained": sum(one.abstained for one in mine) / n,
                "calls": sum(one.calls for one in mine) / n,
                "visual_tokens": sum(one.visual_tokens for one in mine) / n,
                "seconds": sum(one.seconds for one in mine) / n,
            }
        )
    return table


def switching(base: str, lion: str, pictures: int) -> list[dict[str, Any]]:
    """Processor milliseconds (median) to read a prompt and score two words after it: of a new picture, again for the
    same task, and for the other one."""
    return [asyncio.run(_times(name, model, pictures)) for name, model in ((base, _model(base)), (lion, _routed(lion)))]


async def _times(name: str, model: Any, pictures: int) -> dict[str, Any]:
    side = whole_side(model.profile, 1024)
    taken: dict[str, list[float]] = {}
    tasks: tuple[tuple[str, Task], ...] = (("new picture", "image"), ("same task", "image"), ("other task", "region"))
    for index in range(pictures):
        scene = draw_scene(SMALL, SPLITS["test"] + SEED, index)
        shown = Pixels(f"switching {index}", Image.fromarray(render(scene, side, side, full_side=1024)))
        told = [Message("user", (shown, Text(SEE + scene.items[0].name)))]
        for place, task in tasks:
            began = time.process_time()
            await model.score(told, ["Yes", "No"], task=task)
            taken.setdefault(place, []).append(1000 * (time.process_time() - began))
    await model.aclose()
    return {"model": Path(name).name, "pictures": pictures, **{place: median(each) for place, each in taken.items()}}


def _model(source: str) -> Any:
    from zoomagent.models.local.in_process import InProcessModel

    model = load_model(source)
    if not isinstance(model, InProcessModel):
        raise SettingInvalid(f"{source!r} is on a server. Name a model that runs in this process.")
    return model


def _routed(source: str) -> Any:
    model = _model(source)
    if not model.profile.routes:
        raise SettingInvalid(f"{source!r} has no routes. Name a checkpoint of zoomagent train lion.")
    return model
