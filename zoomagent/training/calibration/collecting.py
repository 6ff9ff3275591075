"""Ask a model questions whose answers are known, and keep what its runs knew: the records of `train calibrate`.

    zoomagent bench collect --n 1500 --worlds small,deep,fine,varied,other --out runs/records.jsonl --model nano
    zoomagent train calibrate runs/records.jsonl --out arbiter.json

Runs are `auto` as it goes with an arbiter, but for its gate, so that both looks are taken wherever a closer one can be;
every fourth reads crops letter by letter too. No question is left out because the model gets it wrong. Wordings that no
training used are among them. Scenes are of the held-out split, which neither training nor reported benches touch; their
views are drawn when they are asked for. One line a question, appended as it is answered.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from zoomagent.confidence.records import Record, kept_ids
from zoomagent.data.world.varied import Variety
from zoomagent.data.world.wordings import Style
from zoomagent.evaluation.scoring import same_answer
from zoomagent.evaluation.sets.asked import Task, World, tasks
from zoomagent.evaluation.sets.other_world import Materials
from zoomagent.graphs.context import Bench, Live
from zoomagent.graphs.judging import NEUTRAL, features_of
from zoomagent.graphs.state import Question, State
from zoomagent.journal import Journal
from zoomagent.models.base import Model
from zoomagent.models.profiles import whole_side
from zoomagent.running import run
from zoomagent.tools.viewing import ViewStore

SEED = 500
STYLES: tuple[Style, ...] = ("plain", "trained", "kept back")
KINDS: dict[World, str] = {
    "small": "own", "deep": "own", "fine": "own", "varied": "other looks", "other": "other hands", "foreign": "foreign",
}  # fmt: skip
"""Kinds of pictures for each of which an error rate must hold: what holds for a mixture may break for one of them."""
READS_EVERY = 4
"""Every so many runs read their crops letter by letter too, where the extra `ocr` is there."""


def held_out(
    n: int,
    worlds: Sequence[World],
    macro_side: int,
    materials: Materials | None = None,
    variety: Variety | None = None,
    split: str = "held-out",
    seed: int = SEED,
) -> Iterator[Task]:
    """`n` questions in equal shares of the worlds and of the wordings."""
    ways = [(world, style) for world in worlds for style in (STYLES if world != "foreign" else STYLES[:1])]
    for number, (world, style) in enumerate(ways):
        share = n // len(ways) + (number < n % len(ways))
        found = tasks(
            world, n=share, seed=seed + 10 * number, split=split, style=style, macro_side=macro_side,
            materials=materials, variety=variety,
        )  # fmt: skip
        yield from (task for task in found if task.question.answer)


async def collect(
    model: Model,
    asked: Sequence[Task],
    out: Path,
    ocr: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> int:
    """Append one record a question to `out`; returns how many there are. What is there already is not asked again."""
    with Journal(out) as journal:
        known = kept_ids(journal.lines())
        kept = len(known)
        for done, task in enumerate(asked, 1):
            if task.name not in known:
                state = await ask_for_record(model, task, ocr=ocr and done % READS_EVERY == 0)
                if "macro" in state:
                    journal.add([record(state, task).model_dump_json().encode()])
                    kept += 1
            progress(done)
    return kept


async def ask_for_record(model: Model, task: Task, ocr: bool = False) -> State:
    """The whole state of a run that takes every look."""
    with task.open() as picture:
        views = ViewStore(picture, model.profile)
        start = Question(image=picture.id, question=task.question.text, options=list(task.options))
        context = Live(model=model.name, strategy="auto", gate=1.0, ocr=ocr, arbiter=NEUTRAL, bench=Bench(views, model))
        async for item in run(start, context):
            if isinstance(item, dict):
                return item
    raise RuntimeError("a run ended without its state")


def record(state: State, task: Task) -> Record:
    """What the run knew, and what was right."""
    features, wanted = features_of(state), task.question.answer
    macro = same_answer(state["macro"]["text"], wanted)
    micro = same_answer(state["micro"]["text"], wanted) if "micro" in state else None
    if features.agree:
        micro = macro
    return Record(
        id=task.name, group=task.name, question=task.question.text, features=features, macro_right=macro,
        micro_right=micro, kind=KINDS[task.world], foreign=task.world == "foreign",
    )  # fmt: skip


def collect_all(
    model: Model,
    n: int,
    worlds: Sequence[World],
    out: Path,
    materials: Materials | None = None,
    variety: Variety | None = None,
    ocr: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> int:
    """`collect` from where no event loop runs."""
    side = whole_side(model.profile, 4096)
    asked = list(held_out(n, worlds, side, materials, variety))
    return asyncio.run(collect(model, asked, out, ocr, progress))
