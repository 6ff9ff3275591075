"""How one row is answered: by the agent in front of the server that has its picture, or the next when that is away.

    async with Agents(Setup(models=("nano",), folder=Path("."))) as agents:
        answer = await agents.ask(row)

`Setup` is plain and picklable: a Ray worker makes the same agents from it. A relative path begins at `folder`,
any other is taken as it is: whoever runs a batch may read what its rows name.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from zoomagent.agent import ZoomAgent
from zoomagent.answer import Answer
from zoomagent.batch.rows import Row
from zoomagent.errors import ModelUnavailable, RateLimited
from zoomagent.media import Limits, UrlRules, open_media

Ask = Callable[[Row], Awaitable[Answer]]

AWAY = (ModelUnavailable.code, RateLimited.code)
"""Codes after which the next server is asked."""


@dataclass(frozen=True)
class Setup:
    """What answers the rows. `models`: one, or several servers of the same model. `folder`: where paths begin.
    `settings`: what ZoomAgent takes besides. `limits`: how large a picture may be."""

    models: tuple[str, ...] = ("nano",)
    folder: Path = Path()
    hosts: tuple[str, ...] = ()
    connections: int = 16
    settings: dict[str, Any] = field(default_factory=dict)
    limits: Limits = Limits()

    def agent(self, model: str) -> ZoomAgent:
        rules = UrlRules(self.hosts) if self.hosts else None
        opener = partial(open_media, limits=self.limits, allow_urls=rules)
        return ZoomAgent(model, opener=opener, connections=self.connections, **self.settings)

    @property
    def kept(self) -> dict[str, Any]:
        """What answers depend on, as it lies beside them."""
        from zoomagent.models.loading import fingerprint

        context = self.agent(self.models[0]).context.model_dump(mode="json", exclude={"model"})
        # A server's model is known by its name, not by where it is served: servers may come and go. An unnamed one is
        # known by its address.
        names = {
            (model.partition("#")[2] if model.startswith(("http://", "https://")) else "") or fingerprint(model)
            for model in self.models
        }
        return {"models": sorted(names), **context}


class Agents:
    """One agent for every model of a setup."""

    def __init__(self, setup: Setup) -> None:
        self._folder = setup.folder
        self._agents = {model: setup.agent(model) for model in setup.models}

    async def ask(self, row: Row) -> Answer:
        """The answer to a row, by the first server that is there until its end."""
        image, answer = self._place(row.image), None
        for model in ranked(row.image, list(self._agents)):
            answer = await self._agents[model].aask(image, row.question, row.options, regions=row.regions)
            codes = (answer.outcome.code or "", *answer.outcome.codes)
            if not any(code.startswith(AWAY) for code in codes):  # else the server went away over it
                break
        assert answer is not None, "a setup has a model"
        return answer

    def _place(self, image: str) -> str:
        known = image[:8].lower().startswith(("data:", "file:", "http://", "https://", "~/"))
        return image if known else str(self._folder / image)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(asyncio.to_thread(agent.close) for agent in self._agents.values()))


def ranked(image: str, servers: Sequence[str]) -> list[str]:
    """The servers, the one for this picture first."""
    return sorted(servers, key=lambda server: hashlib.sha256(f"{server}\0{image}".encode(errors="replace")).digest())
