"""The policy `tools`: the model calls tools itself until it answers.

One turn of the model a step, with every call it makes run and answered: a result, or words that say what was wrong.
Calls that get nowhere are refused (`zoomagent/tools/episode.py`); a model that goes on calling is stopped, and the run
answers with what it has. What a picture says is never an instruction: all that a turn can do is call the tools offered.
Models that write another dialect than function calls are read in theirs (`zoomagent/models/words/dialects.py`).
"""

from collections.abc import Sequence
from dataclasses import replace

from zoomagent.errors import ToolError
from zoomagent.geometry import Box
from zoomagent.graphs.asking import (
    BudgetedModel,
    Exchange,
    NodeRun,
    ask,
    assistant_turn,
    reply_turn,
    tool_turn,
    user_turn,
    views_of,
)
from zoomagent.graphs.deciding import found_targets
from zoomagent.graphs.endings import model_step, step_words, stop
from zoomagent.graphs.reading import check_reading
from zoomagent.graphs.state import ToolLookRecord, TurnRecord, Update, dialogue
from zoomagent.graphs.weighing import candidate_record
from zoomagent.media.video.sheet import Sheet
from zoomagent.media.video.video import Video
from zoomagent.models.base import ToolCall
from zoomagent.models.words.dialects import p2r_calls, read_calls
from zoomagent.models.words.unwrapping import is_call
from zoomagent.moments import Moment, moment_to_model
from zoomagent.prompts import clip_words, macro_prompt
from zoomagent.tools.definitions import SEARCH, TIME_UNITS, VIDEO_ZOOM, ZOOM_IN, ZOOM_OUT, definitions
from zoomagent.tools.dispatch import run_arguments
from zoomagent.tools.episode import frames_of, read_attempt
from zoomagent.tools.progress import Look
from zoomagent.tools.searching import search
from zoomagent.tools.viewing import ToolResult

TURNS = 8
"""Turns of the model in one run."""
SHOWING = (ZOOM_IN, ZOOM_OUT, SEARCH, VIDEO_ZOOM)
"""Tools whose results are views."""
UNREADABLE = (
    "This call could not be read, so nothing was done. Call a tool with one JSON object "
    '{"name": ..., "arguments": {...}}, or answer the question in words.'
)


@model_step
async def drive(run: NodeRun) -> Update:
    """Ask the model for its next turn and run what it calls."""
    state, profile = run.state, run.bench.model.profile
    offered = tools_for(run)
    prompt = macro_prompt(state["question"], run.options())
    if VIDEO_ZOOM in offered:
        prompt = f"{told_of_clip(run)}{prompt}"
    # Regions that were given are shown beside the whole, as many as fit.
    crops = [target["crop"] for target in found_targets(state) if target.get("given")][: profile.max_images - 1]
    first = user_turn("tools", "tools-question", [run.bench.views.whole()["id"], *crops], prompt)
    turns = dialogue(state, "tools") or [first]
    number = sum(turn["role"] == "assistant" for turn in turns)
    if number >= TURNS:
        return stop(state, "tool_loop", f"The model called tools for {TURNS} turns and did not answer.")
    exchange = await ask(run, turns, tools=definitions(offered, profile.space, profile.times), task="region")
    reply = exchange.reply
    if not reply.tool_calls:
        text, written = read_calls(profile.tool_dialect, reply.text)
        reply = replace(reply, text=text, tool_calls=written)
        exchange = replace(exchange, replies=[reply])
    if reply.tool_calls:
        # Nine letters and digits: Mistral's servers take no other ids.
        calls = [replace(call, id=f"call{number:02}{i:03}") for i, call in enumerate(reply.tool_calls)]
        return await run_calls(run, exchange, calls)
    if profile.tool_dialect == "p2r" and p2r_calls(reply.text) == ():
        words = "The model says that the whole picture decides."
        return {"settled": words, "steps": step_words(words)}
    if is_call(reply.text):
        return complain(run, exchange)
    micro = candidate_record(run, exchange)
    # The views that its tools showed; the whole, where it called none that shows.
    whole = run.bench.views.whole()["id"]
    shown = [view for view in dict.fromkeys(micro["views"]) if view != whole] or [whole]
    checks, problems = await check_reading(run, "tools", shown, micro["text"])
    notes = [note["text"] for note in (*checks, *problems)]
    answer = reply_turn("tools", f"tools-answer-{len(exchange.turns)}", reply)
    return {
        "messages": [*exchange.turns, answer],
        "micro": micro,
        "closer": "tools",
        "checks": checks,
        "problems": problems,
        "steps": step_words(" ".join([f"Answered with tools at hand: {micro['text']}", *notes])),
    }


def tools_for(run: NodeRun) -> tuple[str, ...]:
    """The tools that the model is offered for this picture. Dialects with calls of their own have none for a clip."""
    sheet, profile = run.bench.views.picture, run.bench.views.profile
    has_frames = isinstance(sheet, Sheet) and isinstance(sheet.video, Video)
    of_clip = has_frames and profile.tool_dialect in ("openai", "hermes")
    return (*profile.tools, *(profile.clip_tools if of_clip else ()))


def told_of_clip(run: NodeRun) -> str:
    """Of what time the first image is, and how long the clip: what a segment can be told by."""
    sheet, profile = run.bench.views.picture, run.bench.model.profile
    assert isinstance(sheet, Sheet), "only a clip has segments"
    span, duration = sheet.moment, sheet.video.duration
    if sheet.grid == 1:
        span = Moment(sheet.time_of(0), sheet.time_of(0) + 1)
    shown, whole = (moment_to_model(one, profile.times, duration) for one in (span, sheet.video.moment))
    return clip_words(sheet.grid**2, shown, whole, TIME_UNITS[profile.times])


def complain(run: NodeRun, exchange: Exchange) -> Update:
    """A call in a spelling that nobody can read: told to the model once, and never an answer."""
    before = exchange.turns
    if any(turn["id"] == "tools-unreadable" for turn in before):
        return stop(run.state, "tool_loop", "The model writes tool calls that cannot be read.")
    call = reply_turn("tools", f"tools-call-{len(before)}", exchange.reply)
    turns = [*before, call, user_turn("tools", "tools-unreadable", [], UNREADABLE)]
    return {"messages": turns, "steps": step_words("The model wrote a call that cannot be read; told it so.")}


async def run_calls(run: NodeRun, exchange: Exchange, calls: Sequence[ToolCall]) -> Update:
    """Run the calls one after the other; each is told what it came to."""
    model, before = BudgetedModel(run), exchange.turns
    turns = [*before, assistant_turn("tools", f"tools-call-{len(before)}", exchange.reply.text, calls)]
    looks = list(run.state.get("tool_looks", []))
    for call in calls:
        turn, look = await run_one(run, model, call, turns, looks)
        turns.append(turn)
        looks += [look] if look else []
    results = turns[-len(calls) :]
    records = [run.bench.views.record(view) for view in views_of(turns)]
    words = " ".join(f"{call.name}: {turn['text']}" for call, turn in zip(calls, results, strict=True))
    return {
        "views": records,
        "messages": turns,
        "tool_looks": looks,
        "steps": step_words(words, views_of(results), [record["box"] for record in records[1:]]),
    }


async def run_one(
    run: NodeRun,
    model: BudgetedModel,
    call: ToolCall,
    turns: Sequence[TurnRecord],
    looks: Sequence[ToolLookRecord],
) -> tuple[TurnRecord, ToolLookRecord | None]:
    """The turn that tells the model what a call came to, and the look, where one was tried: looks that fail count
    too."""
    views, depth, images = run.bench.views, run.context.budget.depth, views_of(turns)
    indexed, most = list(dict.fromkeys(images)), run.bench.model.profile.max_images
    number = sum(turn["role"] == "assistant" for turn in turns)
    if call.name in SHOWING and len(images) >= most:
        text = f"No more than {most} images fit. Answer the question with those you have."
        return tool_turn("tools", call, [], text), None
    history = [
        Look(
            look["tool"],
            look["view"],
            Box(*look["box"]) if look["box"] else None,
            look["label"],
            look["turn"],
            Moment(*look["moment"]) if "moment" in look else None,
            frames_of(views, look["view"]),
        )
        for look in looks
    ]
    try:
        attempt = read_attempt(views, call, indexed, tools_for(run), depth, history, number)
    except ToolError as error:
        return tool_turn("tools", call, [], str(error)), None
    record = ToolLookRecord(
        id=f"look-{call.id}",
        tool=attempt.look.tool,
        view=attempt.look.view,
        box=attempt.look.box.as_list() if attempt.look.box else None,
        label=attempt.look.label,
        turn=attempt.look.turn,
        phrase=attempt.phrase,
        shows="",
        target=None,
    )
    if attempt.look.moment:
        record["moment"] = attempt.look.moment.as_list()

    async def search_in(view: str, phrase: str) -> ToolResult:
        left, there = depth - views.record(view)["depth"], views.at(view)
        return await search(model, there, view, phrase, margin=views.profile.crop_margin, depth=left)

    try:
        result = await run_arguments(views, model, attempt.arguments, indexed, search_in)
    except ToolError as error:
        return tool_turn("tools", call, [], str(error)), record
    record["shows"] = result.views[-1]["id"] if result.views else ""
    record["target"] = result.target.as_list() if result.target else None
    return tool_turn("tools", call, [view["id"] for view in result.views], result.text), record
