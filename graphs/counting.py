"""A model that counts: tools ask it like any other, and every call is held against the run's budget and booked.

    model = Counting(desk)
    boxes = await ground(model, views, view, phrase)
    return {**model.booked(), ...}

Left out: dialogues that are kept in the state (`asking.py`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

from zoomagent.errors import ModelUnavailable, RunError
from zoomagent.graphs.asking import (
    GRACE,
    Desk,
    book,
    calls_left,
    check_budget,
    kept,
    read_once,
    seconds_left,
    time_is_up,
)
from zoomagent.graphs.state import CallRecord, Update
from zoomagent.models.base import Likelihood, Message, Pixels, Reply, Usage
from zoomagent.models.metering import metered
from zoomagent.strategy import MAX_TOKENS

T = TypeVar("T")


class Counting:
    """Satisfies `zoomagent.models.base.Model` for the time of one node. `keep` calls stay in the budget, which is
    shared with the nodes that run at the same time, `shares` with this one."""

    def __init__(self, desk: Desk, keep: int = 1, shares: int = 1) -> None:
        self._desk, self._keep, self._shares = desk, keep, shares
        self._model = desk.bench.model
        self._calls: list[CallRecord] = []
        self._shown: list[str] = []
        self.name, self.profile = self._model.name, self._model.profile

    def booked(self) -> Update:
        """The calls made, and the views they showed."""
        records = [self._desk.bench.views.record(view) for view in dict.fromkeys(self._shown)]
        return Update(calls=self._calls, views=records)

    async def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int = MAX_TOKENS,
        temperature: float = 0.0,
        n: int = 1,
        tools: Sequence[Mapping[str, Any]] = (),
        deadline: float | None = None,
    ) -> list[Reply]:
        began = time.monotonic()
        with metered(calls_left(self._desk, _views(messages), self._keep, self._shares)) as meter:
            try:
                replies = await self._within(
                    messages,
                    lambda until: self._model.generate(
                        messages, max_tokens=max_tokens, temperature=temperature, n=n, tools=tools, deadline=until
                    ),
                )
            except RunError:
                self._book("generate", messages, meter.usage, time.monotonic() - began, meter.requests)
                raise
        usage = meter.usage if meter.requests else read_once([reply.usage for reply in replies])
        self._book("generate", messages, usage, time.monotonic() - began, meter.requests or 1)
        return [kept(reply) for reply in replies]

    async def score(
        self, messages: Sequence[Message], continuations: Sequence[str], *, deadline: float | None = None
    ) -> list[Likelihood] | None:
        began, scored = time.monotonic(), None
        with metered(calls_left(self._desk, _views(messages), self._keep, self._shares)) as meter:
            try:
                scored = await self._within(
                    messages, lambda until: self._model.score(messages, continuations, deadline=until)
                )
            finally:
                requests = meter.requests or (scored is not None)
                self._book("score", messages, meter.usage, time.monotonic() - began, requests)
        return scored

    async def aclose(self) -> None:
        """The model is the run's, and stays open."""

    async def _within(self, messages: Sequence[Message], call: Callable[[float | None], Awaitable[T]]) -> T:
        """The call, held against the budget of calls, tokens and seconds."""
        check_budget(self._desk, _views(messages), self._keep, self._shares)
        left = seconds_left(self._desk)
        until = None if left is None else time.monotonic() + left
        try:
            async with asyncio.timeout(None if left is None else left + GRACE):
                return await call(until)
        except (TimeoutError, ModelUnavailable) as error:
            if until is not None and time.monotonic() >= until:
                raise time_is_up(self._desk.context.budget, str(error)) from error
            raise

    def _book(
        self,
        kind: Literal["generate", "score"],
        messages: Sequence[Message],
        usage: Usage,
        seconds: float,
        requests: int = 1,
    ) -> None:
        views = _views(messages)
        calls = book(self._desk, kind, views, usage, seconds, requests)
        self._calls += calls
        self._shown += views if calls else []


def _views(messages: Sequence[Message]) -> list[str]:
    return [part.key for message in messages for part in message.parts if isinstance(part, Pixels)]
