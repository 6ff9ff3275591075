"""Asking the model within a run's budget: the one place where graphs call it.

Before a call the budget is looked at, afterwards the bill is written into the state. When the conversation
does not fit the model it is tried once more with views of half the pixels. Whatever stops a call is a
RunError; its code says which budget ended (`budget_calls`, `budget_visual_tokens`, `budget_seconds`) or what
the server did. Left out: what to do about it (`endings.py`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from langgraph.runtime import Runtime

from zoomagent.errors import ContextTooLong, ModelUnavailable, RunError
from zoomagent.graphs.billing import Bill, open_bill
from zoomagent.graphs.context import Bench, Budget, Context, Live, bench_of
from zoomagent.graphs.state import CallRecord, ProblemRecord, State, TurnRecord, Update
from zoomagent.models.base import Likelihood, Message, Reply, Text, ToolCall, Usage
from zoomagent.models.metering import metered
from zoomagent.text import MAX_TEXT, storable

Answer = TypeVar("Answer")
GRACE = 1.0
"""Seconds after its deadline that a model has to end the call itself, with its own reason, before it is cut off."""

MAX_CALLS, MAX_NAME = 100, 200
"""Tool calls of one reply, and characters of a tool's name, that are kept for the same reason."""


@dataclass(frozen=True)
class Shown:
    """Turns as they were really shown, the view records they need, and what had to be changed to make them
    fit."""

    turns: list[TurnRecord]
    problems: list[ProblemRecord]


@dataclass(frozen=True)
class Asked:
    """Replies, the turns that led to them, and the update that books the call."""

    replies: list[Reply]
    shown: Shown
    update: Update


@dataclass(frozen=True)
class Desk:
    """Everything a node needs to ask: the state it saw, the run's settings, the open picture and model."""

    state: State
    context: Context
    bench: Bench
    step: str
    opened: float
    bill: Bill


async def desk_of(name: str, state: State, runtime: Runtime[Context]) -> Desk:
    """The desk of the node `name`."""
    opened = time.monotonic()
    return Desk(state, runtime.context, await bench_of(state, runtime), name, opened, open_bill())


async def ask(
    desk: Desk,
    turns: Sequence[TurnRecord],
    *,
    n: int = 1,
    keep_calls: int = 0,
    tools: Sequence[Mapping[str, Any]] = (),
) -> Asked:
    """Generate the next assistant turn. `keep_calls` calls must stay in the budget for what has to come."""
    temperature = 0.0 if n == 1 else 0.7

    async def generate(messages: list[Message], deadline: float | None) -> list[Reply]:
        replies = await desk.bench.model.generate(
            messages, max_tokens=desk.context.max_tokens, temperature=temperature, n=n, tools=tools, deadline=deadline
        )
        return [kept(reply) for reply in replies]

    began, views = time.monotonic(), [view for turn in turns for view in turn["views"]]
    with metered(calls_left(desk, views, keep_calls)) as meter:
        try:
            replies, shown = await _fitting(desk, Shown(list(turns), []), generate, keep_calls)
        except RunError:
            book(desk, "generate", views, meter.usage, time.monotonic() - began, meter.requests)
            raise
    usage = meter.usage if meter.requests else read_once([reply.usage for reply in replies])
    return Asked(replies, shown, _booked(desk, shown, "generate", usage, time.monotonic() - began, meter.requests or 1))


async def score(
    desk: Desk, turns: Sequence[TurnRecord], continuations: Sequence[str]
) -> tuple[list[Likelihood] | None, Update]:
    """Likelihoods of given next turns, or None when the model can not say, and the booking of the call."""

    async def measure(messages: list[Message], deadline: float | None) -> list[Likelihood] | None:
        return await desk.bench.model.score(messages, continuations, deadline=deadline)

    began, views = time.monotonic(), [view for turn in turns for view in turn["views"]]
    with metered(calls_left(desk, views)) as meter:
        try:
            likelihoods, shown = await _fitting(desk, Shown(list(turns), []), measure, 0)
        except RunError:
            book(desk, "score", views, meter.usage, time.monotonic() - began, meter.requests)
            raise
    requests = meter.requests or (likelihoods is not None)
    if not requests:
        return None, Update(problems=shown.problems)
    return likelihoods, _booked(desk, shown, "score", meter.usage, time.monotonic() - began, requests)


def kept(reply: Reply) -> Reply:
    """A reply that can be stored, whoever gave it: its first calls, which share the room that a reply has."""
    room = max(1000, MAX_TEXT // max(1, len(reply.tool_calls)))
    calls = tuple(
        ToolCall(storable(call.id, MAX_NAME), storable(call.name, MAX_NAME), storable(call.arguments, room))
        for call in reply.tool_calls[:MAX_CALLS]
    )
    return replace(reply, text=storable(reply.text), tool_calls=calls)


def offered(desk: Desk) -> Sequence[str]:
    """The question's options as the model is asked; DualFocus' published procedure shows them to every model."""
    if desk.context.strategy == "dualfocus-published":
        return desk.state.get("options", [])
    return desk.bench.views.profile.offered(desk.state.get("options", []))


def spent_tokens(state: State) -> int:
    return sum(call["visual_tokens"] for call in state.get("calls", []))


def seconds_left(desk: Desk) -> float | None:
    """Seconds of the budget that are left now; opening and earlier steps count, the pause after a kill does not."""
    if desk.context.budget.seconds is None:
        return None
    before = sum(step["seconds"] for step in desk.state.get("steps", []))
    before += desk.context.spent if isinstance(desk.context, Live) else 0.0
    return desk.context.budget.seconds - before - (time.monotonic() - desk.opened)


Call = Callable[[list[Message], float | None], Awaitable[Answer]]


async def _fitting(desk: Desk, shown: Shown, call: Call[Answer], keep_calls: int) -> tuple[Answer, Shown]:
    """Call; when the context is too long, once more with smaller views."""
    try:
        return await _within_budget(desk, shown, call, keep_calls), shown
    except ContextTooLong:
        smaller = _smaller(desk, shown)
        if smaller.turns == shown.turns:
            raise
        return await _within_budget(desk, smaller, call, keep_calls), smaller


async def _within_budget(desk: Desk, shown: Shown, call: Call[Answer], keep_calls: int) -> Answer:
    check_budget(desk, [view for turn in shown.turns for view in turn["views"]], keep_calls)
    messages = [await _message(desk.bench, turn) for turn in shown.turns]
    left = seconds_left(desk)
    deadline = None if left is None else time.monotonic() + left
    try:
        async with asyncio.timeout(None if left is None else left + GRACE):
            return await call(messages, deadline)
    except (TimeoutError, ModelUnavailable) as error:
        if deadline is not None and time.monotonic() >= deadline:
            raise time_is_up(desk.context.budget, str(error)) from error
        raise


def check_budget(desk: Desk, shown: Sequence[str], keep_calls: int = 0, shares: int = 1) -> None:
    """Raise RunError when a call that shows these views is no longer in the budget. `shares` steps like this one run
    at the same time and know nothing of each other: each counts what it spends that many times."""
    budget, state, bill = desk.context.budget, desk.state, desk.bill
    if len(state.get("calls", [])) + shares * (len(bill.calls) + 1) + keep_calls > budget.calls:
        raise RunError(f"The budget of {budget.calls} model calls is spent. Raise it.", code="budget_calls")
    need = desk.bench.views.tokens(shown)
    spent = spent_tokens(state) + shares * bill.visual_tokens
    if budget.visual_tokens is not None and spent + shares * need > budget.visual_tokens:
        raise RunError(
            f"The next call shows {need} visual tokens and {budget.visual_tokens - spent} of "
            f"{budget.visual_tokens} are left. Raise the budget or lower max_view_pixels.",
            code="budget_visual_tokens",
        )
    left = seconds_left(desk)
    if left is not None and left <= 0:
        raise time_is_up(budget)


def calls_left(desk: Desk, shown: Sequence[str], keep_calls: int = 0, shares: int = 1) -> int:
    """How many calls that show these views are still in the budget of a step; `check_budget` for many at once."""
    budget, state, bill = desk.context.budget, desk.state, desk.bill
    left = (budget.calls - keep_calls - len(state.get("calls", []))) // shares - len(bill.calls)
    need = desk.bench.views.tokens(shown)
    if budget.visual_tokens is not None and need:
        left = min(left, ((budget.visual_tokens - spent_tokens(state)) // shares - bill.visual_tokens) // need)
    return max(0, left)


def time_is_up(budget: Budget, last: str = "") -> RunError:
    """The error of a run whose seconds are spent. `last` is what the model's server said then: it may be the
    cause."""
    text = f"The budget of {budget.seconds:g} seconds is spent. Raise it."
    return RunError(f"{text} {last}".rstrip(), code="budget_seconds")


def _smaller(desk: Desk, shown: Shown) -> Shown:
    views = desk.bench.views
    turns: list[TurnRecord] = [
        {**turn, "views": [views.smaller(view)["id"] for view in turn["views"]]} for turn in shown.turns
    ]
    text = "The conversation did not fit the model, so its views were shown at half the pixels."
    return Shown(turns, [ProblemRecord(id="context", code="context", text=text, stops=False)])


async def _message(bench: Bench, turn: TurnRecord) -> Message:
    pixels = [await bench.views.pixels(view) for view in turn["views"]]
    calls = tuple(ToolCall(call["id"], call["name"], call["arguments"]) for call in turn.get("calls", []))
    words = (Text(turn["text"]),) if turn["text"] or not calls else ()
    return Message(turn["role"], (*pixels, *words), calls, turn.get("answers"))


def _booked(
    desk: Desk, shown: Shown, kind: Literal["generate", "score"], usage: Usage, seconds: float, requests: int = 1
) -> Update:
    views = [view for turn in shown.turns for view in turn["views"]]
    records = [desk.bench.views.record(view) for view in dict.fromkeys(views)]
    return Update(calls=book(desk, kind, views, usage, seconds, requests), views=records, problems=shown.problems)


def book(
    desk: Desk, kind: Literal["generate", "score"], views: Sequence[str], usage: Usage, seconds: float, requests: int
) -> list[CallRecord]:
    """Put a call on the step's bill: one entry for each of its requests, which all show the views. What was read and
    written of text stands with the first."""
    records = [desk.bench.views.record(view) for view in dict.fromkeys(views)]
    calls = []
    for number in range(requests):
        calls.append(call_record(desk, kind, views, Usage() if number else usage, seconds / requests))
        desk.bill.add(calls[-1], records)
    return calls


def call_record(
    desk: Desk, kind: Literal["generate", "score"], views: Sequence[str], usage: Usage, seconds: float
) -> CallRecord:
    """The bill of one call. Nodes that were fanned out name theirs apart."""
    sent = f"-{desk.state['sent']}" if "sent" in desk.state else ""
    return CallRecord(
        id=f"call-{len(desk.state.get('calls', [])) + len(desk.bill.calls) + 1}{sent}",
        step=desk.step,
        kind=kind,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        visual_tokens=desk.bench.views.tokens(views),
        seconds=seconds,
    )


def read_once(usages: Sequence[Usage]) -> Usage:
    """What a call in this process took: its samples share the prompt."""
    return Usage(max(usage.prompt_tokens for usage in usages), sum(usage.completion_tokens for usage in usages))
