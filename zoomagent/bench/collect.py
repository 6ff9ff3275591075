"""Ask a model questions whose answers are known, and keep what its runs knew: the records of `train calibrate`.

    zoomagent bench collect --n 1500 --level small,deep --out runs/records.jsonl --model nano
    zoomagent train calibrate runs/records.jsonl --out arbiter.json

Runs are `auto` without its gate and without an arbiter, so that both looks are taken wherever a closer one can be. Half
of the questions come with options. Scenes are of the held-out split, which neither training nor reported benches touch;
their views are drawn when they are asked for. One line a question, appended as it is answered.
"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

from zoomagent.bench.cases import Case, Settings, cases
from zoomagent.bench.scoring import same_answer
from zoomagent.confidence.records import Record
from zoomagent.data.pictures import drawn_picture
from zoomagent.data.scene import Scene
from zoomagent.geometry import Size
from zoomagent.graphs.context import Bench, Live
from zoomagent.graphs.judging import features_of
from zoomagent.graphs.state import Question, State
from zoomagent.models.base import Model
from zoomagent.running import run
from zoomagent.tools.viewing import ViewStore

SEED = 500
SIDES = {"small": 4096, "deep": 8192}


def asked(n: int, levels: tuple[str, ...], macro_side: int) -> Iterator[tuple[str, int, Scene, Case]]:
    """Level, side, scene and question; one question a scene, so that questions are independent."""
    for at, level in enumerate(levels):
        for with_options in (False, True):
            share = n // (2 * len(levels))
            seed = SEED + 2 * at + with_options
            side = SIDES[level]
            settings = Settings(
                n=share, seeds=(seed,), size=side, level=level, with_options=with_options,
                macro_side=macro_side, split="held-out", per_scene=1,
            )  # fmt: skip
            for scene, found in cases(settings):
                for case in found:
                    yield level, side, scene, case


async def collect(
    model: Model, n: int, levels: tuple[str, ...], out: Path, progress: Callable[[int], None] = lambda done: None
) -> int:
    """Append one record a question to `out`; returns how many there are. What is there already is not asked again."""
    side = model.profile.fit(Size(4096, 4096)).width
    known = out.read_text(encoding="utf-8").count("\n") if out.exists() else 0
    done = 0
    with out.open("a", encoding="utf-8") as handle:
        for level, full, scene, case in asked(n, levels, side):
            done += 1
            if done <= known:
                continue
            name = f"{level}-{case.seed}-{case.scene}"
            with drawn_picture(scene, full, name) as picture:
                state = await _run(model, ViewStore(picture, model.profile), case)
            if "macro" in state:
                handle.write(record(state, case, name).model_dump_json() + "\n")
                handle.flush()
            progress(done)
    return done


async def _run(model: Model, views: ViewStore, case: Case) -> State:
    start = Question(image=views.picture.id, question=case.question.text, options=list(case.options))
    context = Live(model=model.name, strategy="auto", gate=1.0, arbiter=NO_ARBITER, bench=Bench(views, model))
    async for item in run(start, context):
        if isinstance(item, dict):
            return item
    raise AssertionError("a run ends with its state")


NO_ARBITER = "none"
"""A name that no packaged arbiter has."""


def record(state: State, case: Case, name: str) -> Record:
    """What the run knew, and what was right."""
    features = features_of(state)
    macro = same_answer(state["macro"]["text"], case.question.answer)
    micro = same_answer(state["micro"]["text"], case.question.answer) if "micro" in state else None
    if features.agree:
        micro = macro
    return Record(id=f"{name}-{case.group}", group=name, features=features, macro_right=macro, micro_right=micro)


def collect_all(
    model: Model, n: int, levels: tuple[str, ...], out: Path, progress: Callable[[int], None] = lambda done: None
) -> int:
    """`collect` from where no event loop runs."""
    return asyncio.run(collect(model, n, levels, out, progress))
