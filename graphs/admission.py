"""Before the first call of the model: what the picture looks like, and whether a model that knows one world only is
asked about another.

Such a model (nano) would answer something, and the answer would mean nothing: the run ends with `outside_world`, and no
call is made. It goes on where no arbiter is wanted (`arbiter="none"`), without any calibrated confidence. Models that
know no single world are asked all the same; what their arbiter was not certified on costs them the calibrated number
alone (`judging.py`).
"""

import asyncio

from zoomagent.confidence.looks import looks_of
from zoomagent.errors import OutsideWorld
from zoomagent.graphs.asking import Desk
from zoomagent.graphs.deciding import ORDERS
from zoomagent.graphs.judging import any_arbiter, strange
from zoomagent.graphs.state import State


async def admit(desk: Desk) -> list[float]:
    """What the whole picture looks like. Raises OutsideWorld."""
    looks = desk.state["looks"] if "looks" in desk.state else await asyncio.to_thread(_looks, desk)
    # A file that was named is read for the strategies that go by it; the others heed the packaged arbiter alone.
    named = desk.context.arbiter is not None
    arbiter = None if named and desk.context.strategy not in ORDERS else any_arbiter(desk)
    if arbiter is not None and arbiter.provenance.world:
        why = strange(arbiter, State(**{**desk.state, "looks": looks}))
        if why:
            raise OutsideWorld(
                f"This model only knows its own world, {arbiter.provenance.world}: {why}. Start a real one: --model "
                "URL#NAME, as http://localhost:8000/v1#Qwen/Qwen3-VL-8B-Instruct. What this one says all the same: "
                '--arbiter none (in Python arbiter="none").'
            )
    return looks


def _looks(desk: Desk) -> list[float]:
    views = desk.bench.views
    return list(looks_of(views.image(views.whole()["id"])))
