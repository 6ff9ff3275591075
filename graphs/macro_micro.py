"""DualFocus as a state machine: the answer from the whole, the answer with a closer look, and the choice
between them.

    look -> locate -> zoom -> answer_again -> weigh -> arbitrate

Prompts, the order of turns, the crop and the selection follow DualFocus' evaluation code. Ours: boxes in the
model's own space, one repair turn for an unusable box, a margin that grows with the box, budgets, and "Cannot
tell". The macro answer is never shown in the micro dialogue; the two paths meet only when they are weighed.
Left out: zooms into zooms, other policies.

    await graph.ainvoke({"image": "photo.jpg", "question": "..."}, context=Context(model="nano"))
"""

from typing import Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from zoomagent.confidence.likelihood import of_tokens
from zoomagent.errors import BoxInvalid, OutputTruncated, RunError, ToolError
from zoomagent.geometry import is_y_first
from zoomagent.graphs.admission import admit
from zoomagent.graphs.asking import Desk, ask, desk_of, offered
from zoomagent.graphs.context import Context
from zoomagent.graphs.endings import said, step, stop
from zoomagent.graphs.state import (
    PictureRecord,
    Question,
    State,
    TurnRecord,
    Update,
    dialogue,
    stopped,
)
from zoomagent.graphs.turns import reply_turn, shown_in, user_turn
from zoomagent.graphs.weighing import candidate_record, concluded, likelihood_record, measured, undecided
from zoomagent.models.words.parsing import parse_boxes
from zoomagent.prompts import BOX_FORMAT, box_prompt, macro_prompt, micro_prompt
from zoomagent.tools.searching import least_seen
from zoomagent.tools.viewing import ViewRecord
from zoomagent.tools.zooming import zoom as zoom_in

MAX_REPAIRS = 1
"""How often the model is told what is wrong with its box."""


# Nodes


@step
async def look(state: State, runtime: Runtime[Context]) -> Update:
    """Ask about the whole picture: the macro answer."""
    desk = await desk_of("look", state, runtime)
    looks = await admit(desk)
    view = desk.bench.views.whole()["id"]
    question = user_turn("macro", "whole", [view], macro_prompt(state["question"], offered(desk)))
    asked = await ask(desk, [question])
    macro = candidate_record(asked.replies[0], state, desk.context.strategy, shown_in(asked.shown.turns))
    return {
        **asked.update,
        "picture": picture_record(desk),
        "looks": looks,
        "messages": [*asked.shown.turns, reply_turn("macro", "whole-reply", asked.replies[0])],
        "macro": macro,
        "steps": said(f"Looked at the whole picture and read: {macro['text']}", macro["views"]),
    }


@step
async def locate(state: State, runtime: Runtime[Context]) -> Update:
    """Ask where in the picture the answer lies; after a complaint, ask again in the same dialogue."""
    desk = await desk_of("locate", state, runtime)
    if desk.context.budget.depth < 1:
        raise RunError("The budget allows no zoom. Raise its depth.", code="budget_depth")
    looks = await admit(desk)
    turns = dialogue(state, "micro") or [_box_question(desk)]
    asked = await ask(desk, turns, keep_calls=1)
    reply = asked.replies[0]
    return {
        **asked.update,
        "picture": picture_record(desk),
        "looks": looks,
        "messages": [*asked.shown.turns, reply_turn("micro", f"box-reply-{len(turns)}", reply)],
        "box_likelihood": likelihood_record(of_tokens(reply.tokens)),
        "steps": said(f"Asked where to look closer. The model pointed at {reply.text}", shown_in(turns)),
    }


@step
async def zoom(state: State, runtime: Runtime[Context]) -> Update:
    """Cut what the model pointed at from the original picture, or tell the model why that is not possible."""
    desk = await desk_of("zoom", state, runtime)
    first, *_, last = dialogue(state, "micro")
    views, context = desk.bench.views, desk.context
    margin = views.profile.crop_margin if context.margin is None else context.margin
    clip = context.strategy == "dualfocus-published"
    try:
        box = _first_box(last, is_y_first(views.profile.space))
        pixels = context.margin_pixels
        result = zoom_in(views, first["views"][0], box, margin=margin, margin_pixels=pixels, clip=clip)
    except ToolError as error:
        return _complain(desk, error)
    crop = result.views[0]
    target = result.target.as_list() if result.target else crop["box"]
    return {
        "target": target,
        "crop": crop["id"],
        "views": [crop],
        "steps": said(_zoomed(crop), [crop["id"]], [crop["box"]]),
    }


@step
async def answer_again(state: State, runtime: Runtime[Context]) -> Update:
    """Ask the question again with the crop beside the whole: the micro answer."""
    desk = await desk_of("answer_again", state, runtime)
    prompt = micro_prompt(state["question"], offered(desk))
    question = user_turn("micro", "closer", [state["crop"]], prompt)
    asked = await ask(desk, [*dialogue(state, "micro"), question])
    micro = candidate_record(asked.replies[0], state, desk.context.strategy, shown_in(asked.shown.turns))
    return {
        **asked.update,
        "crop": asked.shown.turns[-1]["views"][0],
        "messages": [*asked.shown.turns, reply_turn("micro", "closer-reply", asked.replies[0])],
        "micro": micro,
        "steps": said(f"Looked at the crop beside the whole and read: {micro['text']}", micro["views"]),
    }


@step
async def weigh(state: State, runtime: Runtime[Context]) -> Update:
    """Measure two different answers by one yardstick."""
    update = await measured(await desk_of("weigh", state, runtime))
    how = update["weighing"]["how"] if "weighing" in update else "bound"
    words = {
        "shared": "Scored both answers in the dialogue with both images.",
        "published": "Scored both answers as DualFocus' code does, box turn included.",
        "bound": "The model can not score given text; what the closer look's own likelihood leaves for others decides.",
        "votes": "The model can not score given text; samples voted.",
    }
    return {**update, "steps": said(words[how])}


@step
async def arbitrate(state: State, runtime: Runtime[Context]) -> Update:
    """Choose one answer, with the reason in words."""
    update = concluded(state, runtime.context.strategy, runtime.context.target_error)
    verdict = update["verdict"]
    return {**update, "steps": said(f"Chose the {verdict['perspective']} answer. {verdict['reason']}")}


# Routes


def route_start(state: State, runtime: Runtime[Context]) -> Literal["look", "locate"]:
    return "locate" if runtime.context.strategy == "micro" else "look"


def route_after_look(state: State, runtime: Runtime[Context]) -> Literal["locate", "arbitrate", "__end__"]:
    if "outcome" in state:
        return "__end__"
    only_whole = runtime.context.strategy in ("macro", "micro")
    return "arbitrate" if only_whole or stopped(state) else "locate"


def route_after_locate(state: State) -> Literal["zoom", "look", "arbitrate", "__end__"]:
    return _out(state) or "zoom"


def route_after_zoom(state: State) -> Literal["answer_again", "locate", "look", "arbitrate", "__end__"]:
    return _out(state) or ("answer_again" if "crop" in state else "locate")


def route_after_answer(state: State, runtime: Runtime[Context]) -> Literal["weigh", "look", "arbitrate", "__end__"]:
    return _out(state) or ("weigh" if undecided(state) else "arbitrate")


def _out(state: State) -> Literal["look", "arbitrate", "__end__"] | None:
    """The way out of a run that can not look closer: over the whole picture where nothing was answered
    yet."""
    if "outcome" in state:
        return "__end__"
    if not stopped(state):
        return None
    return "arbitrate" if "macro" in state or "micro" in state else "look"


# Helpers


def picture_record(desk: Desk) -> PictureRecord:
    """The picture as opened."""
    picture = desk.bench.views.picture
    width, height = picture.size.width, picture.size.height
    least = round(least_seen(desk.bench.views, []), 1)
    return PictureRecord(id=picture.id, width=width, height=height, notes=list(picture.notes), least=least)


def _box_question(desk: Desk) -> TurnRecord:
    prompt = box_prompt(desk.state["question"], desk.bench.model.profile.space)
    return user_turn("micro", "box", [desk.bench.views.whole()["id"]], prompt)


def _first_box(turn: TurnRecord, y_first: bool) -> list[float]:
    """DualFocus takes the first box of the reply; a reply that was cut off is not trusted."""
    if turn["cut"]:
        raise OutputTruncated("The reply was cut off before its box was complete. Reply the box only.")
    boxes = parse_boxes(turn["text"], y_first=y_first)
    if not boxes:
        raise BoxInvalid("The reply holds no box of four numbers.")
    return boxes[0]


def _zoomed(crop: ViewRecord) -> str:
    left, top, right, bottom = crop["box"]
    size = f"{right - left} x {bottom - top} original pixels"
    return f"Zoomed into {crop['box']}: {size}, shown at {crop['size'][0]} x {crop['size'][1]}"


def _complain(desk: Desk, error: ToolError) -> Update:
    turns = dialogue(desk.state, "micro")
    repairs = sum(turn["role"] == "assistant" for turn in turns) - 1
    if repairs >= MAX_REPAIRS:
        return stop(desk.state, error.code, f"The model named no usable box. {error}")
    text = f"{error} {BOX_FORMAT[desk.bench.model.profile.space]}"
    complaint = user_turn("micro", f"complaint-{repairs + 1}", [], text)
    return {"messages": [complaint], "steps": said(f"The box can not be used; told the model: {error}")}


# Graph

builder = StateGraph(State, context_schema=Context, input_schema=Question)
for node in (look, locate, zoom, answer_again, weigh, arbitrate):
    builder.add_node(node)
builder.add_conditional_edges(START, route_start)
builder.add_conditional_edges("look", route_after_look)
builder.add_conditional_edges("locate", route_after_locate)
builder.add_conditional_edges("zoom", route_after_zoom)
builder.add_conditional_edges("answer_again", route_after_answer)
builder.add_edge("weigh", "arbitrate")
builder.add_edge("arbitrate", END)

graph = builder.compile(name="macro_micro")
"""For `langgraph dev` and Studio, which bring their own checkpointer; elsewhere compile `builder` with
one."""
