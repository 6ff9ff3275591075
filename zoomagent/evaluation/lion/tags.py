"""What tags are worth: "Is there a red circle?" where many things are too small to be seen in the whole.

    measure(settings, progress)                         # JSON lines in the folder of `bench lion`

Every arm learns the same questions for as many steps: queries, keys and values of the text model, as in the stage of
tags, and the hint's row where it has one. Tags name all that is there, and a share of them is replaced by names of what
is not: in training 0, 30 and 60 % in turn, when asked each by itself. `untagged` learns the same without tags, `tags`
with them, `hint` with the soft prompt before them, `unpointed` as `hint` on next-token loss alone. Left out: a tagger.
How often its tags are right is what is varied here.
"""

import asyncio
import json
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image

from zoomagent.confidence.replies import same_answer
from zoomagent.data.world.questions import SMALLEST
from zoomagent.data.world.render import render
from zoomagent.data.world.scene import DEEP, SPLITS, Scene, draw_scene
from zoomagent.evaluation.lion.results import ArmResult, ArmResults
from zoomagent.evaluation.lion.teaching import CANVAS, School, Taught, lots_of, see_all, teach
from zoomagent.files import whole_folder
from zoomagent.graphs.asking import tag_parts
from zoomagent.models.base import Message, Pixels, Text
from zoomagent.models.loading import load_model
from zoomagent.models.profiles import Profile
from zoomagent.prompts import macro_prompt
from zoomagent.training.base import Base
from zoomagent.training.lion.level import HINT, add_hint
from zoomagent.training.lion.lookup import WEIGHT, Lookup, asked_places
from zoomagent.training.lion.rows import with_wrong
from zoomagent.training.lion.run import learn_tags
from zoomagent.training.nano.batching import Batch
from zoomagent.training.nano.branches import HIDDEN
from zoomagent.training.nano.looks import Row
from zoomagent.training.nano.packing import Branch
from zoomagent.training.nano.pointing import spoken_masks
from zoomagent.training.nano.run import keep_memory
from zoomagent.training.sft.exporting import copy_side_files

Name = Literal["untagged", "tags", "hint", "unpointed"]
ARMS: tuple[Name, ...] = get_args(Name)
WRONG = (0.0, 0.3, 0.6)
KINDS = tuple(f"{round(100 * wrong)} % {kind}" for wrong in WRONG for kind in ("all", "seen", "hidden", "absent"))
"""The columns: the share of wrong tags, and what was asked about."""
SEED = 29
"""Of the scenes to learn from, and of those that are asked."""
QUESTION = "Is there a {name}?"


@dataclass(frozen=True)
class TagSettings:
    """`scenes` to learn from, `tested` unseen ones, four questions each."""

    model: str
    out: Path
    steps: int = 150
    seeds: tuple[int, ...] = (1, 2, 3)
    rows: int = 4
    scenes: int = 800
    tested: int = 150
    rate: float = 1e-3


@dataclass(frozen=True)
class TagQuestion:
    """Whether a thing is there. `kind`: seen, hidden or between, by its size in the whole view; absent."""

    name: str
    there: bool
    kind: str

    @property
    def prompt(self) -> str:
        return macro_prompt(QUESTION.format(name=self.name))

    @property
    def answer(self) -> str:
        return "Yes" if self.there else "No"


def tag_questions(scene: Scene, side: int, rng: np.random.Generator) -> list[TagQuestion]:
    """Two things that are there, two that are not."""
    largest: dict[str, float] = {}
    for item in scene.items:
        largest[item.name] = max(largest.get(item.name, 0.0), item.size * side)
    absent = [name for name in every_name() if name not in largest]
    asked = []
    for name in rng.permutation(list(largest))[:2].tolist():
        size = largest[name]
        kind = "seen" if size >= SMALLEST else "hidden" if size <= HIDDEN else "between"
        asked.append(TagQuestion(name, True, kind))
    return asked + [TagQuestion(name, False, "absent") for name in rng.permutation(absent)[:2].tolist()]


def every_name() -> list[str]:
    return [f"{colour} {shape}" for colour in DEEP.colours for shape in DEEP.shapes]


def tags_of(scene: Scene, wrong: float, random_: random.Random) -> tuple[str, ...]:
    """The names of all that is there, a share of them replaced by others."""
    return with_wrong(tuple(dict.fromkeys(item.name for item in scene.items)), every_name(), wrong, random_)


def measure(settings: TagSettings, progress: Callable[[str], None] = lambda said: None) -> list[ArmResult]:
    """Teach and ask every arm with every seed. What is in the folder already is not done again."""
    keep_memory()
    kept = ArmResults(settings.out / "lion.jsonl")
    noted = {name: value for name, value in asdict(settings).items() if name not in ("out", "seeds")}
    found = []
    for seed in settings.seeds:
        for name in ARMS:
            one = kept.get(name, seed, noted)
            if one is None:
                progress(f"{name}, seed {seed}")
                one = kept.add(_measure_arm(name, seed, settings, noted))
            found.append(one)
    return found


def _measure_arm(name: Name, seed: int, settings: TagSettings, noted: dict[str, Any]) -> ArmResult:
    torch.manual_seed(seed)
    base = Base.open(settings.model)
    model = base.weights(torch.float32).eval()
    profile = base.profile
    if name in ("hint", "unpointed"):
        profile = replace(profile, hint=HINT, hint_id=add_hint(model, base.processor.tokenizer))
    school = School(base.processor.tokenizer, base.config.vision_config, profile)
    rows = [_row(school, profile, index, name != "untagged") for index in range(settings.scenes)]
    taught = see_all(model, [Taught(row, 1) for row in rows])
    weights = learn_tags(model, profile.hint_id if profile.hint else None)
    lookup = Lookup(model)

    def point(batch: Batch) -> torch.Tensor:
        spoken = spoken_masks(batch)
        return WEIGHT * lookup.loss(spoken) if len(spoken.row) else torch.zeros(())

    began = time.process_time()
    teach(
        model,
        lots_of(taught, settings.rows, seed, school.pad),
        lambda tasks: None,
        [{"params": weights, "lr": settings.rate}],
        settings.steps,
        point if name in ("tags", "hint") else None,
    )
    seconds = time.process_time() - began
    folder = _export(base, model, profile, settings.out / "tagged")
    scores = asyncio.run(_ask(str(folder), settings.tested, name != "untagged"))
    shutil.rmtree(folder)
    learning = sum(len(one[0]) if one is model.get_input_embeddings().weight else one.numel() for one in weights)
    return ArmResult(name, seed, noted, learning, seconds, scores)


def _row(school: School, profile: Profile, index: int, tagged: bool) -> Row:
    """A scene with its questions, each with tags of its own."""
    scene, random_ = draw_scene(DEEP, SEED, index), random.Random(f"{SEED} {index}")
    tokenizer = school.words.tokenizer
    branches: list[Branch] = []
    marks: list[list[bool]] = []
    for number, one in enumerate(tag_questions(scene, school.side, np.random.default_rng([SEED, index, 19]))):
        tags = tags_of(scene, WRONG[(index + number) % len(WRONG)], random_) if tagged else ()
        said = [school.words.text(part.text) for part in tag_parts(tags, profile)]
        branch = (*said, *school.words.turn(one.prompt, one.answer))
        branches.append(branch)
        ids = [token for segment in branch for token in segment.ids]
        marks.append(asked_places(tokenizer, ids, tags, one.prompt))
    return school.row(scene, branches, marks)


def _export(base: Base, model: Any, profile: Profile, out: Path) -> Path:
    with whole_folder(out) as draft:
        model.save_pretrained(draft)
        copy_side_files(base, draft)
        base.processor.tokenizer.save_pretrained(draft)
        own = draft / "zoomagent.json"
        content: dict[str, Any] = json.loads(own.read_text(encoding="utf-8")) if own.is_file() else {}
        content |= {"hint": profile.hint, "hint_id": profile.hint_id} if profile.hint else {}
        own.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return out


async def _ask(folder: str, scenes: int, tagged: bool) -> dict[str, list[float]]:
    """The scores of a checkpoint on unseen scenes: `0 % all`, `0 % seen` and so on, by the share of wrong tags."""
    model: Any = load_model(folder)
    side = School(model._loaded.tokenizer, model._loaded.model.config.vision_config, model.profile).side
    scores: dict[str, list[float]] = {}
    for wrong in WRONG if tagged else (0.0,):
        asked: list[TagQuestion] = []
        told: list[list[Message]] = []
        for index in range(scenes):
            scene, random_ = draw_scene(DEEP, SPLITS["test"] + SEED, index), random.Random(f"test {wrong} {index}")
            shown = Pixels(f"tags {index}", Image.fromarray(render(scene, side, side, full_side=CANVAS)))
            for one in tag_questions(scene, side, np.random.default_rng([SPLITS["test"] + SEED, index, 19])):
                tags = tags_of(scene, wrong, random_) if tagged else ()
                asked.append(one)
                told.append([Message("user", (shown, *tag_parts(tags, model.profile), Text(one.prompt)))])
        replies = await model.generate_each(told, max_tokens=8, tasks=["image"] * len(told))
        for one, reply in zip(asked, replies, strict=True):
            right = float(same_answer(reply.text, one.answer))
            for kind in ("all", one.kind):
                scores.setdefault(f"{round(100 * wrong)} % {kind}", []).append(right)
    await model.aclose()
    return scores
