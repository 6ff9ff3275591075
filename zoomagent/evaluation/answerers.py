"""Who answers the rows of a published set: strategies and rivals, over one model or several servers of the same one.

    answerers = Answerers("option", ways, [load_a(), load_b()], [load_a, load_b])
    given = await answerers.contestants[Way("auto")](picture, question, options)

A picture goes to the same server every time, so that what it remembers of it serves again. Where a server is away, the
next one is asked from the start; where all are, the outcome says so. Left out: which questions are asked (`public.py`),
workers on other machines (`public_cluster.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoomagent.agent import ZoomAgent
from zoomagent.batch.asking import AWAY, ranked
from zoomagent.errors import SettingInvalid
from zoomagent.evaluation.contestants import (
    AGENT,
    RIVALS,
    Contestant,
    Given,
    Media,
    make_agent,
    of_agent,
    of_pointing,
    of_rival,
    of_seeking,
)
from zoomagent.evaluation.rivals.frames import IN_TIME, glance
from zoomagent.evaluation.sets.public.question import Rule
from zoomagent.graphs.context import Budget
from zoomagent.models.base import Model
from zoomagent.models.loading import fingerprint
from zoomagent.models.local.in_process import InProcessModel

BASE = "macro"
SEEKING = "auto"


@dataclass(frozen=True)
class Way:
    """How questions are answered: a strategy or a rival, and its limits (0: its own)."""

    strategy: str
    calls: int = 0
    pixels: int = 0


def rows_of(rule: Rule) -> tuple[str, ...]:
    """What can be asked of a set with this rule, beside the model without zoom. A box is pointed at in the whole. In a
    clip all strategies of the agent's seek alike."""
    if rule == "box":
        return ()
    return (SEEKING, *IN_TIME) if rule == "moment" else (*AGENT, *RIVALS)


class Answerers:
    """A contestant for each way, to be closed. `shared` are the servers as rivals ask them; `loads` give each anew,
    for an agent of its own: connections belong to one event loop. A model in this process is shared by all."""

    def __init__(
        self,
        rule: Rule,
        ways: Sequence[Way],
        shared: Sequence[Model],
        loads: Sequence[Callable[[], Model]],
        arbiter: str | Path | None = None,
    ) -> None:
        # No arbiter is fitted on clips.
        self._rule, self._arbiter = rule, arbiter or ("none" if rule == "moment" else None)
        self._agents: list[tuple[ZoomAgent, Model]] = []
        self._shared = tuple(shared)
        self.contestants = {
            way: of_several([self._contestant(way, *one) for one in zip(self._shared, loads, strict=True)])
            for way in ways
        }

    @property
    def is_in_process(self) -> bool:
        return any(isinstance(model, InProcessModel) for model in self._shared)

    def forget(self) -> None:
        """Models in this process forget the pictures before, so that each row pays for its own."""
        for model in self._shared:
            if isinstance(model, InProcessModel):
                model.forget()

    async def aclose(self) -> None:
        """Give back what rivals shared, in the event loop that they were asked in."""
        for model in self._shared:
            if not isinstance(model, InProcessModel):
                await model.aclose()

    def close(self) -> None:
        """Close the agents, each with the model that was loaded for it, in the event loop that both belong to."""
        for agent, model in self._agents:
            if not isinstance(model, InProcessModel):
                agent._background.run(model.aclose())
            agent.close()

    def _contestant(self, way: Way, shared: Model, load: Callable[[], Model]) -> Contestant:
        is_glance = self._rule == "moment" and way.strategy == BASE
        if is_glance or way.strategy not in AGENT:
            return of_rival(glance if is_glance else (RIVALS | IN_TIME)[way.strategy], shared)
        budget = Budget(calls=way.calls) if way.calls else None
        model = shared if isinstance(shared, InProcessModel) else load()
        agent = make_agent(model, way.strategy, self._arbiter, budget)
        self._agents.append((agent, model))
        return {"box": of_pointing, "moment": of_seeking}.get(self._rule, of_agent)(agent)


def of_several(each: Sequence[Contestant]) -> Contestant:
    """The contestant on the server that a picture belongs to, or on the next where that is away."""
    numbered = {str(place): one for place, one in enumerate(each)}

    async def contestant(picture: Media, question: str, options: Sequence[str]) -> Given:
        for place in ranked(picture.id, list(numbered)):
            given = await numbered[place](picture, question, options)
            if not given.code.startswith(AWAY):
                break
        return given

    return contestant


def shared_name(models: Sequence[str], fields: dict[str, object]) -> str:
    """What results are kept under. A server's model is known by its name: where it is served may change. SettingInvalid
    where several are not servers of one named model."""
    names = {model.partition("#")[2] if model.startswith(("http://", "https://")) else "" for model in models}
    if len(models) > 1 and (len(names) > 1 or "" in names):
        raise SettingInvalid("Several --model are servers of one model: give each as URL#NAME with the same name.")
    name = names.pop()
    # With its sign: a served model may be called nano, or as a folder here is.
    return fingerprint(f"#{name}" if name else models[0], fields)
