"""Asking the model within a run's budget: the one place where nodes call it, and where every call is billed.

    model = BudgetedModel(run)                       for tools, which take any model
    boxes = await ground(model, views, view, phrase)

    exchange = await ask(run, turns)                 for dialogues that are kept in the state
    likelihoods = await score(run, turns, texts)

A `NodeRun` is what a node is given: the state, the settings, the open picture and the model, and the bill of what the
node has spent so far, which is known even where it breaks off. Before a call the budget is looked at, afterwards the
call is booked. A dialogue that does not fit the model is asked once more with views of half the pixels. Whatever stops
a call is a RunError; its code says which budget ended (`budget_calls`, `budget_visual_tokens`, `budget_seconds`) or
what the server did. Left out: what to do about it (`endings.py`).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from zoomagent.errors import ContextTooLong, ModelUnavailable, RunError
from zoomagent.graphs.context import Bench, Context, Live
from zoomagent.graphs.regions import written_question
from zoomagent.graphs.state import (
    CallRecord,
    ProblemRecord,
    State,
    ToolCallRecord,
    TurnRecord,
    Update,
    regions_of,
)
from zoomagent.media.sound.sound import Sound
from zoomagent.media.video.sheet import Sheet
from zoomagent.models.base import Likelihood, Message, Pixels, Reply, Text, ToolCall, Usage
from zoomagent.models.metering import Meter, metered
from zoomagent.models.profiles import Profile
from zoomagent.prompts import HEARD, SPECTROGRAM, TAGGED, UNHINTED, timed
from zoomagent.strategy import MAX_TOKENS, Task
from zoomagent.text import MAX_TEXT, storable
from zoomagent.tools.seeking import shows_all
from zoomagent.tools.viewing import ViewRecord, ViewStore, box_of
from zoomagent.tools.zooming_in_time import time_of

T = TypeVar("T")
Kind = Literal["generate", "score"]

MOST_HEARD = 60_000
"""Milliseconds of sound that a model is given at a time (ours); of more it is shown the spectrogram alone."""
GRACE = 1.0
"""Seconds after its deadline that a model has to end the call itself, with its own reason, before it is cut off."""

MAX_CALLS, MAX_NAME = 100, 200
"""Tool calls of one reply, and characters of a tool's name, that are kept: the state must stay small."""


# What a node is given


@dataclass(frozen=True)
class NodeRun:
    """One run of one node: the state it saw, the run's settings, the open picture and model, and its bill, to which
    every call of the model is added as it is made. Nodes that run at the same time have a bill each."""

    state: State
    context: Context
    bench: Bench
    name: str
    began: float
    calls: list[CallRecord] = field(default_factory=list)
    views: list[ViewRecord] = field(default_factory=list)
    problems: list[ProblemRecord] = field(default_factory=list)

    def options(self) -> Sequence[str]:
        """The question's options as the model is asked; DualFocus' published procedure shows them to every model."""
        options = self.state.get("options", [])
        if self.context.strategy == "dualfocus-published":
            return options
        return self.bench.views.profile.offered(options)

    def question(self, view: str) -> str:
        """The question as it is asked about `view`: its regions in the model's space of that view."""
        return written_question(self.state["question"], regions_of(self.state), self.bench.views, [view])

    def seconds_left(self) -> float | None:
        """Seconds of the budget that are left now; opening and earlier steps count, the pause after a kill does not."""
        if self.context.budget.seconds is None:
            return None
        before = sum(step["seconds"] for step in self.state.get("steps", []))
        before += self.context.spent if isinstance(self.context, Live) else 0.0
        return self.context.budget.seconds - before - (time.monotonic() - self.began)

    def with_bill(self, update: Update) -> Update:
        """The update, and what was paid for it, shown and changed on the way."""
        views = [*self.views, *update.get("views", [])]
        problems = [*self.problems, *update.get("problems", [])]
        bill = Update(calls=list(self.calls), views=views, problems=problems)
        return {**bill, **update, **bill}


def branch(state: State) -> str:
    """What tells the records of nodes apart that were fanned out: they begin with the same numbers."""
    return f"-{state['sent']}" if "sent" in state else ""


class BudgetedModel:
    """The model of a node's run, held against the budget: satisfies `zoomagent.models.base.Model`, so tools take it.

    `keep` calls must stay in the budget for what has to come. `shares` nodes like this one run at the same time and
    know nothing of each other, so each counts what it spends that many times."""

    def __init__(self, run: NodeRun, *, keep: int = 1, shares: int = 1) -> None:
        self._run, self._keep, self._shares = run, keep, shares
        self._model = run.bench.model
        self.name, self.profile = self._model.name, self._model.profile

    async def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int = MAX_TOKENS,
        temperature: float = 0.0,
        n: int = 1,
        tools: Sequence[Mapping[str, Any]] = (),
        deadline: float | None = None,
        task: Task | None = None,
    ) -> list[Reply]:
        async with self._within_budget("generate", messages) as (until, meter):
            replies = await self._model.generate(
                introduced(messages, self._run.bench.views),
                max_tokens=max_tokens,
                temperature=temperature,
                n=n,
                tools=tools,
                deadline=until,
                **self._routed(task),
            )
            if not meter.requests:
                # In this process the samples of one call share the prompt, which was read once.
                prompt = max(reply.usage.prompt_tokens for reply in replies)
                meter.add(Usage(prompt, sum(reply.usage.completion_tokens for reply in replies)))
                meter.count()
        stored = []
        for reply in replies:
            # Whoever gave it, a reply must be one that can be kept: its first calls share the room that a reply has.
            room = max(1000, MAX_TEXT // max(1, len(reply.tool_calls)))
            calls = tuple(
                ToolCall(storable(call.id, MAX_NAME), storable(call.name, MAX_NAME), storable(call.arguments, room))
                for call in reply.tool_calls[:MAX_CALLS]
            )
            stored.append(replace(reply, text=storable(reply.text), tool_calls=calls))
        return stored

    async def score(
        self,
        messages: Sequence[Message],
        continuations: Sequence[str],
        *,
        deadline: float | None = None,
        task: Task | None = None,
    ) -> list[Likelihood] | None:
        async with self._within_budget("score", messages) as (until, meter):
            told = introduced(messages, self._run.bench.views)
            likelihoods = await self._model.score(told, continuations, deadline=until, **self._routed(task))
            if likelihoods is not None and not meter.requests:
                meter.count()
        return likelihoods

    async def aclose(self) -> None:
        """The model is the run's, and stays open."""

    def _routed(self, task: Task | None) -> dict[str, Any]:
        """The task, for models that have parts for tasks; others are called as ever."""
        return {"task": task} if self.profile.routes else {}

    @asynccontextmanager
    async def _within_budget(
        self, kind: Kind, messages: Sequence[Message]
    ) -> AsyncIterator[tuple[float | None, Meter]]:
        """Checks the budget, then gives a call its deadline and its meter; books what the meter has counted, also where
        the call fails."""
        views = [part.key for message in messages for part in message.parts if isinstance(part, Pixels)]
        calls, left = self._calls_left(views), self._run.seconds_left()
        began = time.monotonic()
        until = None if left is None else began + left
        with metered(calls) as meter:
            try:
                async with asyncio.timeout(None if left is None else left + GRACE):
                    yield until, meter
            except ContextTooLong:
                # Such a conversation is refused unread, as a rule: nobody was shown its views.
                views = views if meter.usage.prompt_tokens else []
                raise
            except (TimeoutError, ModelUnavailable) as error:
                if until is not None and time.monotonic() >= until:
                    raise self._time_is_up(str(error)) from error
                raise
            finally:
                self._book(kind, views, meter, time.monotonic() - began)

    def _calls_left(self, views: Sequence[str]) -> int:
        """How many calls that show these views are still in the budget. Raises RunError where not one is."""
        run, budget = self._run, self._run.context.budget
        left = (budget.calls - self._keep - len(run.state.get("calls", []))) // self._shares - len(run.calls)
        if left < 1:
            raise RunError(f"The budget of {budget.calls} model calls is spent. Raise it.", code="budget_calls")
        if budget.visual_tokens is not None:
            need = run.bench.views.tokens(views)
            before = sum(call["visual_tokens"] for call in run.state.get("calls", []))
            own = sum(call["visual_tokens"] for call in run.calls)
            room = budget.visual_tokens - before - self._shares * own
            if self._shares * need > room:
                raise RunError(
                    f"The next call shows {need} visual tokens and {room} of {budget.visual_tokens} are left. Raise "
                    "the budget or lower max_view_pixels.",
                    code="budget_visual_tokens",
                )
            left = min(left, room // self._shares // need) if need else left
        seconds = run.seconds_left()
        if seconds is not None and seconds <= 0:
            raise self._time_is_up()
        return left

    def _time_is_up(self, last: str = "") -> RunError:
        """The error of a run whose seconds are spent. `last` is what the model's server said then: it may be why."""
        text = f"The budget of {self._run.context.budget.seconds:g} seconds is spent. Raise it."
        return RunError(f"{text} {last}".rstrip(), code="budget_seconds")

    def _book(self, kind: Kind, views: Sequence[str], meter: Meter, seconds: float) -> None:
        """Put a call on the node's bill: one entry for each of its requests, which all show the views. What was read
        and written of text stands with the first."""
        run, store = self._run, self._run.bench.views
        for number in range(meter.requests):
            usage = Usage() if number else meter.usage
            record = CallRecord(
                id=f"call-{len(run.state.get('calls', [])) + len(run.calls) + 1}{branch(run.state)}",
                step=run.name,
                kind=kind,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                visual_tokens=store.tokens(views),
                seconds=seconds / meter.requests,
            )
            run.calls.append(record)
        if meter.requests:
            run.views.extend(store.record(view) for view in dict.fromkeys(views))


def introduced(messages: Sequence[Message], views: ViewStore) -> Sequence[Message]:
    """The messages; before their first picture, where it is of a sound, what a spectrogram is. A model that hears is
    given the sound of every picture that shows no more than MOST_HEARD."""
    first = next((i for i, one in enumerate(messages) if any(isinstance(part, Pixels) for part in one.parts)), None)
    if first is None or not shows_all(views):
        return messages
    told = list(messages)
    if views.profile.sound == "audio":
        told = [
            replace(
                turn, parts=tuple(heard_part(part, views) if isinstance(part, Pixels) else part for part in turn.parts)
            )
            for turn in told
        ]
    turn = told[first]
    place = next(i for i, part in enumerate(turn.parts) if isinstance(part, Pixels))
    heard = any(isinstance(part, Pixels) and part.wav for part in turn.parts)
    words = Text(SPECTROGRAM + HEARD if heard else SPECTROGRAM)
    told[first] = replace(turn, parts=(*turn.parts[:place], words, *turn.parts[place:]))
    return told


def heard_part(part: Pixels, views: ViewStore) -> Pixels:
    """A view of a sound with what sounds in its time: what is grey in it is silent."""
    record = views.record(part.key)
    sheet = views.picture_of(record)
    assert isinstance(sheet, Sheet) and isinstance(sheet.video, Sound)
    box = box_of(record)
    moment = sheet.moment if box.area == sheet.size.pixels else sheet.moment_of(box)
    if moment.length > MOST_HEARD:
        return part
    return replace(part, wav=sheet.video.wav(moment, [moment] if record.get("blank") else sheet.hidden))


# Dialogues


@dataclass(frozen=True)
class Exchange:
    """The turns of a dialogue as they were really shown, and what the model replied: one reply or more."""

    turns: list[TurnRecord]
    replies: list[Reply]

    @property
    def reply(self) -> Reply:
        return self.replies[0]

    @property
    def views(self) -> list[str]:
        """The views that led to the reply."""
        return views_of(self.turns)


async def ask(
    run: NodeRun,
    turns: Sequence[TurnRecord],
    *,
    n: int = 1,
    keep: int = 0,
    tools: Sequence[Mapping[str, Any]] = (),
    task: Task = "image",
) -> Exchange:
    """Generate the next assistant turn, greedily or as `n` samples. `keep` calls must stay in the budget."""
    model, temperature = BudgetedModel(run, keep=keep), 0.0 if n == 1 else 0.7

    def generate(messages: Sequence[Message]) -> Awaitable[list[Reply]]:
        options: dict[str, Any] = {"temperature": temperature, "n": n, "tools": tools, "task": task}
        return model.generate(messages, max_tokens=run.context.max_tokens, **options)

    return Exchange(*await _once_more_smaller(run, turns, generate))


async def score(run: NodeRun, turns: Sequence[TurnRecord], continuations: Sequence[str]) -> list[Likelihood] | None:
    """Likelihoods of given next turns, or None when the model cannot say."""
    model = BudgetedModel(run, keep=0)
    _, likelihoods = await _once_more_smaller(
        run, turns, lambda messages: model.score(messages, continuations, task="image")
    )
    return likelihoods


async def _once_more_smaller(
    run: NodeRun, turns: Sequence[TurnRecord], call: Callable[[Sequence[Message]], Awaitable[T]]
) -> tuple[list[TurnRecord], T]:
    """The turns as they were shown, and what `call` gave: where they do not fit the model, with smaller views."""
    views, full = run.bench.views, list(turns)
    try:
        return full, await call([await _message(run, turn) for turn in full])
    except ContextTooLong:
        smaller: list[TurnRecord] = [
            {**turn, "views": [views.smaller(view)["id"] for view in turn["views"]]} for turn in full
        ]
        if smaller == full:
            raise
    result = await call([await _message(run, turn) for turn in smaller])
    text = "The conversation did not fit the model, so its views were shown at half the pixels."
    run.problems.append(ProblemRecord(id="context", code="context", text=text, stops=False))
    return smaller, result


async def _message(run: NodeRun, turn: TurnRecord) -> Message:
    """A turn as the model is given it: its views, then its text."""
    pixels = [await run.bench.views.pixels(view) for view in turn["views"]]
    if turn["role"] == "tool" and run.bench.model.profile.frames == "timed":
        times = [time_of(run.bench.views.record(view)) for view in turn["views"]]
        pixels = [
            part if time is None else replace(part, before=timed(time))
            for part, time in zip(pixels, times, strict=True)
        ]
    calls = tuple(ToolCall(call["id"], call["name"], call["arguments"]) for call in turn.get("calls", []))
    text = turn["text"]
    if turn["role"] == "user":
        # Only now is it known how large the views are that the numbers of a region refer to.
        text = written_question(text, regions_of(run.state), run.bench.views, turn["views"])
    words = (Text(text),) if text or not calls else ()
    words = (*tag_parts(turn.get("tags", ()), run.bench.model.profile), *words)
    return Message(turn["role"], (*pixels, *words), calls, turn.get("answers"))


# Turns as the state keeps them. An id is unique among all dialogues of a run.


def user_turn(dialogue: str, name: str, views: list[str], text: str, tags: Sequence[str] = ()) -> TurnRecord:
    turn = TurnRecord(id=name, dialogue=dialogue, role="user", views=views, text=text, cut=False)
    if tags:
        turn["tags"] = list(tags)
    return turn


def labels_of(state: State) -> list[str]:
    """The tags that questions are told."""
    return [record["label"] for record in state.get("tags", [])]


def tag_parts(tags: Sequence[str], profile: Profile) -> tuple[Text, ...]:
    """What a turn with tags says before its text. The model's own token for them, where it has one, stands in a part
    of its own: no other text may spell it."""
    if not tags:
        return ()
    listed = ", ".join(tags)
    if not profile.hint:
        return (Text(UNHINTED.format(tags=listed)),)
    before, after = TAGGED.split("{hint}")
    return Text(before), Text(profile.hint, ours=True), Text(after.format(tags=listed))


def assistant_turn(dialogue: str, name: str, text: str, calls: Sequence[ToolCall] = ()) -> TurnRecord:
    """A turn of the assistant that was not generated in this dialogue, or that calls tools."""
    turn = TurnRecord(id=name, dialogue=dialogue, role="assistant", views=[], text=text, cut=False)
    if calls:
        turn["calls"] = [ToolCallRecord(id=call.id, name=call.name, arguments=call.arguments) for call in calls]
    return turn


def reply_turn(dialogue: str, name: str, reply: Reply) -> TurnRecord:
    """What the model replied."""
    turn = assistant_turn(dialogue, name, reply.text)
    turn["cut"] = reply.finish == "length"
    if reply.cut_in_thought:
        turn["cut_in_thought"] = True
    return turn


def tool_turn(dialogue: str, call: ToolCall, views: list[str], text: str) -> TurnRecord:
    """What a tool gave back."""
    name = f"{dialogue}-{call.id}"
    return TurnRecord(id=name, dialogue=dialogue, role="tool", views=views, text=text, cut=False, answers=call.id)


def views_of(turns: Sequence[TurnRecord]) -> list[str]:
    """The views of the turns, in order."""
    return [view for turn in turns for view in turn["views"]]
