"""The policy `tools`: the model calls tools itself until it answers.

One turn of the model a step, with every call it makes run and answered: a result, or words that say what was wrong.
Calls that get nowhere are refused (`zoomagent/tools/episode.py`); a model that goes on calling is stopped, and the run
answers with what it has. What a picture says is never an instruction: all that a turn can do is call the tools offered.
Models that write another dialect than function calls are read in theirs (`zoomagent/models/words/dialects.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from langgraph.runtime import Runtime

from zoomagent.errors import ToolError
from zoomagent.geometry import Box
from zoomagent.graphs.asking import Desk, ask, desk_of, offered
from zoomagent.graphs.context import Context
from zoomagent.graphs.counting import Counting
from zoomagent.graphs.endings import said, step, stop
from zoomagent.graphs.state import State, ToolLookRecord, TurnRecord, Update, dialogue
from zoomagent.graphs.turns import calling_turn, reply_turn, result_turn, shown_in, user_turn
from zoomagent.graphs.weighing import candidate_record
from zoomagent.models.base import Reply, ToolCall
from zoomagent.models.words.dialects import p2r_calls, read_calls
from zoomagent.models.words.unwrapping import is_call
from zoomagent.prompts import macro_prompt
from zoomagent.tools.definitions import SEARCH, ZOOM_IN, ZOOM_OUT, definitions
from zoomagent.tools.dispatch import run_arguments
from zoomagent.tools.episode import Attempt, read_attempt
from zoomagent.tools.progress import Look
from zoomagent.tools.searching import search
from zoomagent.tools.viewing import ToolResult

TURNS = 8
"""Turns of the model in one run."""
SHOWING = (ZOOM_IN, ZOOM_OUT, SEARCH)
"""Tools whose results are views."""
UNREADABLE = (
    "This call could not be read, so nothing was done. Call a tool with one JSON object "
    '{"name": ..., "arguments": {...}}, or answer the question in words.'
)


@dataclass(frozen=True)
class Ran:
    """What one call came to: the turn that tells the model, and the look, where one was tried: looks that fail count
    too."""

    turn: TurnRecord
    look: ToolLookRecord | None


@step
async def drive(state: State, runtime: Runtime[Context]) -> Update:
    """Ask the model for its next turn and run what it calls."""
    desk = await desk_of("drive", state, runtime)
    turns = dialogue(state, "tools") or [_first(desk)]
    spoken = sum(turn["role"] == "assistant" for turn in turns)
    if spoken >= TURNS:
        return stop(state, "tool_loop", f"The model called tools for {TURNS} turns and did not answer.")
    profile = desk.bench.model.profile
    asked = await ask(desk, turns, tools=definitions(profile.tools, profile.space))
    reply = asked.replies[0]
    if not reply.tool_calls:
        text, written = read_calls(profile.tool_dialect, reply.text)
        reply = replace(reply, text=text, tool_calls=written)
    # Nine letters and digits: Mistral's servers take no other ids.
    calls = [replace(call, id=f"call{spoken:02}{i:03}") for i, call in enumerate(reply.tool_calls)]
    if not calls and profile.tool_dialect == "p2r" and p2r_calls(reply.text) == ():
        words = "The model says that the whole picture decides."
        return {**asked.update, "settled": words, "steps": said(words)}
    if not calls and is_call(reply.text):
        return _unreadable(desk, asked.update, asked.shown.turns, reply)
    if not calls:
        return _answered(desk, asked.update, asked.shown.turns, reply)
    return await _acted(desk, asked.update, asked.shown.turns, reply, calls)


def _answered(desk: Desk, update: Update, shown: list[TurnRecord], reply: Reply) -> Update:
    """The model answered: the micro answer, from everything it was shown."""
    micro = candidate_record(reply, desk.state, desk.context.strategy, shown_in(shown))
    turn = reply_turn("tools", f"tools-answer-{len(shown)}", reply)
    words = f"Answered with tools at hand: {micro['text']}"
    return {**update, "messages": [*shown, turn], "micro": micro, "closer": "tools", "steps": said(words)}


def _unreadable(desk: Desk, update: Update, shown: list[TurnRecord], reply: Reply) -> Update:
    """A call in a spelling that nobody can read: told to the model once, and never an answer."""
    if any(turn["id"] == "tools-unreadable" for turn in shown):
        stopped = stop(desk.state, "tool_loop", "The model writes tool calls that can not be read.")
        return {**update, **stopped, "problems": [*update.get("problems", []), *stopped["problems"]]}
    said_turn = reply_turn("tools", f"tools-call-{len(shown)}", reply)
    turns = [*shown, said_turn, user_turn("tools", "tools-unreadable", [], UNREADABLE)]
    return {**update, "messages": turns, "steps": said("The model wrote a call that can not be read; told it so.")}


async def _acted(
    desk: Desk, update: Update, shown: list[TurnRecord], reply: Reply, calls: Sequence[ToolCall]
) -> Update:
    """Run the calls one after the other; each is told what it came to."""
    model = Counting(desk)
    said_turn = calling_turn("tools", f"tools-call-{len(shown)}", reply.text, calls)
    turns, looks = [*shown, said_turn], list(desk.state.get("tool_looks", []))
    for call in calls:
        ran = await _run(desk, model, call, turns, looks)
        turns.append(ran.turn)
        looks += [ran.look] if ran.look else []
    booked = model.booked()
    records = [desk.bench.views.record(view) for turn in turns for view in turn["views"]]
    words = " ".join(f"{call.name}: {turn['text']}" for call, turn in zip(calls, turns[-len(calls) :], strict=True))
    return {
        **update,
        "calls": [*update["calls"], *booked["calls"]],
        "views": [*booked["views"], *records],
        "messages": turns,
        "tool_looks": looks,
        "steps": said(words, shown_in(turns[-len(calls) :]), [r["box"] for r in records[1:]]),
    }


async def _run(
    desk: Desk, model: Counting, call: ToolCall, turns: Sequence[TurnRecord], looks: Sequence[ToolLookRecord]
) -> Ran:
    indexed = list(dict.fromkeys(shown_in(turns)))
    number = sum(turn["role"] == "assistant" for turn in turns)
    most = desk.bench.model.profile.max_images
    if call.name in SHOWING and len(shown_in(turns)) >= most:
        return Ran(_told(call, f"No more than {most} images fit. Answer the question with those you have."), None)
    views, depth = desk.bench.views, desk.context.budget.depth
    history = [_as_look(record) for record in looks]
    try:
        attempt = read_attempt(views, call, indexed, views.profile.tools, depth, history, number)
    except ToolError as error:
        return Ran(_told(call, str(error)), None)

    async def searching(view: str, phrase: str) -> ToolResult:
        left = depth - views.record(view)["depth"]
        return await search(model, views, view, phrase, margin=views.profile.crop_margin, depth=left)

    record = _record(attempt, f"look-{call.id}")
    try:
        result = await run_arguments(views, model, attempt.arguments, indexed, searching)
    except ToolError as error:
        return Ran(_told(call, str(error)), record)
    shows = result.views[-1]["id"] if result.views else ""
    found = {"shows": shows, "target": result.target.as_list() if result.target else None}
    told = _told(call, result.text, [view["id"] for view in result.views])
    return Ran(told, ToolLookRecord(**{**record, **found}))  # type: ignore[typeddict-item]


def _told(call: ToolCall, text: str, views: Sequence[str] = ()) -> TurnRecord:
    return result_turn("tools", f"tools-{call.id}", list(views), text, call)


def _record(attempt: Attempt, name: str) -> ToolLookRecord:
    look = attempt.look
    box = look.box.as_list() if look.box else None
    return ToolLookRecord(
        id=name, tool=look.tool, view=look.view, box=box, label=look.label, turn=look.turn, phrase=attempt.phrase,
        shows="", target=None,
    )  # fmt: skip


def _as_look(record: ToolLookRecord) -> Look:
    box = Box(*record["box"]) if record["box"] else None
    return Look(record["tool"], record["view"], box, record["label"], record["turn"])


def _first(desk: Desk) -> TurnRecord:
    prompt = macro_prompt(desk.state["question"], offered(desk))
    return user_turn("tools", "tools-question", [desk.bench.views.whole()["id"]], prompt)
