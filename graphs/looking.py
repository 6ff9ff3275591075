"""The first look of every run: the whole picture, and whether this model is to be asked about it at all.

A model that knows one world only (nano) would answer something about another, and the answer would mean nothing: the
run ends with `outside_world`, and no call is made. It goes on where no arbiter is wanted (`arbiter="none"`), without
any calibrated confidence. Models that know no single world are asked all the same; what their arbiter was not certified
on costs them the calibrated number alone (`judging.py`). Left out: every closer look.
"""

import asyncio
from collections import OrderedDict

from zoomagent.confidence.arbiter import Arbiter
from zoomagent.confidence.looks import looks_of
from zoomagent.errors import OutsideWorld
from zoomagent.graphs.asking import NodeRun, ask, reply_turn, user_turn
from zoomagent.graphs.deciding import ORDERS
from zoomagent.graphs.endings import model_step, step_words
from zoomagent.graphs.judging import any_arbiter, why_outside
from zoomagent.graphs.reading import check_reading
from zoomagent.graphs.regions import check_inside
from zoomagent.graphs.state import PictureRecord, Update, regions_of
from zoomagent.graphs.weighing import candidate_record
from zoomagent.prompts import macro_prompt
from zoomagent.tools.searching import least_seen
from zoomagent.tools.viewing import ViewStore


@model_step
async def look(run: NodeRun) -> Update:
    """Ask about the whole picture: the macro answer."""
    looks = await admit(run)
    view = run.bench.views.whole()["id"]
    question = user_turn("macro", "whole", [view], macro_prompt(run.state["question"], run.options()))
    exchange = await ask(run, [question])
    macro = candidate_record(run, exchange)
    # Where nothing closer follows, what the answer rests on is the whole.
    alone = run.context.strategy == "macro"
    checks, problems = await check_reading(run, "whole", [view] if alone else [], macro["text"])
    notes = [note["text"] for note in (*checks, *problems)]
    words = " ".join([f"Looked at the whole picture and read: {macro['text']}", *notes])
    tagging: Update = {"tagging": True} if run.context.tags != "off" and not alone else {}
    return {
        **tagging,
        "picture": picture_record(run),
        "looks": looks,
        "messages": [*exchange.turns, reply_turn("macro", "whole-reply", exchange.reply)],
        "macro": macro,
        "checks": checks,
        "problems": problems,
        "steps": step_words(words, macro["views"]),
    }


_LOOKS: OrderedDict[str, tuple[float, ...]] = OrderedDict()
"""What the last pictures look like, by the name of their whole view: several questions are asked about one."""
MOST_LOOKS = 256


def _looks(views: ViewStore) -> tuple[float, ...]:
    name = views.whole()["id"]
    looks = _LOOKS.pop(name, None) or looks_of(views.image(name))
    _LOOKS[name] = looks
    if len(_LOOKS) > MOST_LOOKS:
        _LOOKS.popitem(last=False)
    return looks


async def admit(run: NodeRun, question: str | None = None) -> list[float]:
    """What the whole picture looks like. Raises OutsideWorld where the model knows another world only, and InputRefused
    for a region that is not in the picture. `question`: what is asked, where it is not the run's."""
    views = run.bench.views
    check_inside(regions_of(run.state), views.picture.size)
    # A file that was named is read for the strategies that go by it; the others heed the packaged arbiter alone.
    heeds = run.context.arbiter is None or run.context.strategy in ORDERS

    def read() -> tuple[list[float], Arbiter | None]:
        looks = run.state["looks"] if "looks" in run.state else list(_looks(views))
        return looks, any_arbiter(run) if heeds else None

    # Pixels, the arbiter's file and the weights' hash, which an event loop must not wait for.
    looks, arbiter = await asyncio.to_thread(read)
    why = (
        why_outside(arbiter, run.state["question"] if question is None else question, looks)
        if arbiter and arbiter.provenance.world
        else ""
    )
    if arbiter and why:
        raise OutsideWorld(
            f"This model only knows its own world, {arbiter.provenance.world}: {why}. Start a real one: --model "
            "URL#NAME, as http://localhost:8000/v1#Qwen/Qwen3-VL-8B-Instruct. What this one says all the same: "
            '--arbiter none (in Python arbiter="none").'
        )
    return looks


def picture_record(run: NodeRun) -> PictureRecord:
    """The picture as opened."""
    picture = run.bench.views.picture
    width, height = picture.size.width, picture.size.height
    least = round(least_seen(run.bench.views, []), 1)
    return PictureRecord(id=picture.id, width=width, height=height, notes=list(picture.notes), least=least)
