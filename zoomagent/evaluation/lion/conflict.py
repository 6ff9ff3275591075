"""Do image tasks and region tasks get into each other's way, and does an adapter for each help? Does an aggregator?

    measure(settings, progress)                         # JSON lines in `out`: taken up again where it was killed

Every arm sees the same scenes in an order that its seed decides, as many steps as every other, and is asked the same
unseen scenes through the checkpoint that it leaves. `order` mixed: rows of both tasks in every batch. stages: first the
image tasks, then the region tasks, as LION's stages. `forgetful` is a base that was first taught the image tasks with
all of its text weights, and has lost its sense of place over it: there the tasks do conflict. Left out: tags.
"""

import asyncio
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from zoomagent.data.world.render import render
from zoomagent.data.world.scene import SMALL, SPLITS, draw_scene
from zoomagent.evaluation.lion.arms import Aggregator, Arm, Name
from zoomagent.evaluation.lion.questions import BenchQuestion, questions, score
from zoomagent.evaluation.lion.results import ArmResult, ArmResults
from zoomagent.evaluation.lion.teaching import CANVAS, School, Taught, lots_of, see_all, teach
from zoomagent.files import whole_folder
from zoomagent.models.base import Message, Pixels, Text
from zoomagent.models.loading import load_model
from zoomagent.models.local.parallel import TASKS
from zoomagent.strategy import Task
from zoomagent.training.base import Base
from zoomagent.training.nano.run import keep_memory
from zoomagent.training.sft.exporting import copy_side_files

Order = Literal["mixed", "stages"]
PARALLEL = 0.2
"""The rate of LION's own adapters beside low rank's, whose output is divided by the rank."""
FULL_RATE = 1e-3
"""Peak rate of the text weights, where the forgetful base is made."""


@dataclass(frozen=True)
class Settings:
    """One comparison. `steps` are those of each task, `rows` pictures each: an arm of both makes twice as many.
    `scenes` are the pictures to learn from, `tested` the unseen ones. `size` is the rank of one task's adapter.
    `forgetting` steps make the forgetful base; 0 takes the model as it is."""

    model: str
    out: Path
    steps: int = 120
    seeds: tuple[int, ...] = (1, 2, 3)
    rows: int = 4
    scenes: int = 800
    tested: int = 150
    size: int = 4
    rate: float = 2e-2
    order: Order = "mixed"
    forgetting: int = 0


Wanted = tuple[Name, Aggregator]
CONFLICT: tuple[Wanted, ...] = (
    ("untaught", "none"), ("image", "none"), ("region", "none"), ("shared", "none"), ("mixture", "none"),
    ("switch", "none"), ("parallel", "none"),
)  # fmt: skip
STAGED = CONFLICT[:-1]
"""Stage by stage: LION's own form has no adapter that is held back here."""
AGGREGATORS: tuple[Wanted, ...] = (("region", "none"), ("region", "level"), ("region", "attention"))


def measure(
    settings: Settings, arms: Sequence[Wanted], progress: Callable[[str], None] = lambda said: None
) -> list[ArmResult]:
    """Teach and ask every arm with every seed. What is in the folder already is not done again."""
    keep_memory()
    kept = ArmResults(settings.out / "lion.jsonl")
    noted = {name: value for name, value in asdict(settings).items() if name not in ("out", "seeds")}
    school: tuple[Base, dict[Task, list[Taught]]] | None = None
    found: list[ArmResult] = []
    for seed in settings.seeds:
        for name, aggregator in arms:
            arm = name if aggregator == "none" else f"{name}, {aggregator}"
            number = 0 if name == "untaught" else seed
            one = kept.get(arm, number, noted)
            if one is None:
                progress(f"{arm}, seed {number}")
                if school is None:
                    base = _base(settings, progress)
                    school = base, _rows(base, settings)
                made, seconds, scores = _teach_and_ask(*school, settings, name, aggregator, seed)
                one = kept.add(ArmResult(arm, number, noted, made.parameters(), seconds, scores))
            found += [one] if one not in found else []
    return found


def _teach_and_ask(
    base: Base, rows: dict[Task, list[Taught]], settings: Settings, name: Name, aggregator: Aggregator, seed: int
) -> tuple[Arm, float, dict[str, list[float]]]:
    """An arm, the processor seconds that it was taught for, and its scores."""
    arm = Arm(base, name, settings.size, seed, aggregator)
    began = time.process_time()
    if arm.tasks:
        if aggregator != "none":  # there the tower's work changes from step to step
            rows = {task: [replace(one, seen=None) for one in mine] for task, mine in rows.items()}
        _teach(arm, rows, settings, seed, base.processor.tokenizer.pad_token_id)
    seconds = time.process_time() - began
    folder = arm.export(settings.out / "arm")
    scores = asyncio.run(ask(str(folder), settings.tested, arm.tasks or TASKS))
    shutil.rmtree(folder)
    return arm, seconds, scores


def _rows(base: Base, settings: Settings) -> dict[Task, list[Taught]]:
    """A row of each task of every scene."""
    school = School(base.processor.tokenizer, base.config.vision_config, base.profile)
    made: dict[Task, list[Taught]] = {task: [] for task in TASKS}
    for index in range(settings.scenes):
        scene = draw_scene(SMALL, SEED, index)
        asked = questions(scene, np.random.default_rng([SEED, index, 17]))
        for task in TASKS:
            branches = [school.words.turn(one.prompt, one.answer) for one in asked if one.task == task]
            made[task].append(Taught(school.row(scene, branches), TASKS.index(task)))
    model = base.weights(torch.float32).eval()
    return {task: see_all(model, rows) for task, rows in made.items()}


SEED = 23
"""Of the scenes to learn from, and of those that are asked."""


def _teach(arm: Arm, rows: dict[Task, list[Taught]], settings: Settings, seed: int, pad: int) -> None:
    """Mixed: rows of both tasks in any order, so many steps as both take. Stages: the one task, then the other."""
    rate = settings.rate * (PARALLEL if arm.name == "parallel" else 1)
    if settings.order == "mixed" or len(arm.tasks) == 1:
        lots = lots_of([row for task in arm.tasks for row in rows[task]], settings.rows, seed, pad)
        teach(arm.model, lots, arm.route, arm.groups(rate), settings.steps * len(arm.tasks))
        return
    for task in ("image", "region"):
        arm.learn(task)
        teach(arm.model, lots_of(rows[task], settings.rows, seed, pad), arm.route, arm.groups(rate), settings.steps)


def _base(settings: Settings, progress: Callable[[str], None]) -> Base:
    """The model, or what is left of it after it was taught the image tasks alone."""
    base = Base.open(settings.model)
    if not settings.forgetting:
        return base
    folder = settings.out / f"forgetful-{settings.forgetting}"
    if not folder.is_dir():
        progress("the forgetful base")
        torch.manual_seed(SEED)
        model = base.weights(torch.float32).requires_grad_(False)
        text = [weight.requires_grad_(True) for weight in model.model.language_model.layers.parameters()]
        school = School(base.processor.tokenizer, base.config.vision_config, base.profile)
        lots = lots_of(_rows(base, settings)["image"], settings.rows, SEED, school.pad)
        teach(model, lots, lambda tasks: None, [{"params": text, "lr": FULL_RATE}], settings.forgetting)
        with whole_folder(folder) as draft:
            model.save_pretrained(draft)
            copy_side_files(base, draft)
    return Base.open(str(folder))


async def ask(folder: str, scenes: int, tasks: Sequence[Task]) -> dict[str, list[float]]:
    """The scores of a checkpoint on unseen scenes, by kind."""
    model: Any = load_model(folder)
    side = School(model._loaded.tokenizer, model._loaded.model.config.vision_config, model.profile).side
    asked: list[tuple[BenchQuestion, list[Message]]] = []
    for index in range(scenes):
        scene = draw_scene(SMALL, SPLITS["test"] + SEED, index)
        shown = Pixels(f"lion {index}", Image.fromarray(render(scene, side, side, full_side=CANVAS)))
        asked += [
            (one, [Message("user", (shown, Text(one.prompt)))])
            for one in questions(scene, np.random.default_rng([SPLITS["test"] + SEED, index, 17]))
            if one.task in tasks
        ]
    scores: dict[str, list[float]] = {}
    for room in sorted({one.room for one, _ in asked}):
        mine = [(one, told) for one, told in asked if one.room == room]
        replies = await model.generate_each(
            [told for _, told in mine], max_tokens=room, tasks=[one.task for one, _ in mine]
        )
        for (one, _), reply in zip(mine, replies, strict=True):
            scores.setdefault(one.kind, []).append(score(one, reply.text))
    await model.aclose()
    return scores
