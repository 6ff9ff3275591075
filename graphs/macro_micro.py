"""DualFocus as a state machine: the answer from the whole, the answer with a closer look, and the choice
between them.

    look -> locate -> zoom -> answer_again -> weigh -> arbitrate

Prompts, the order of turns, the crop and the selection follow DualFocus' evaluation code. Ours: boxes in the
model's own space, one repair turn for an unusable box, a margin that grows with the box, budgets, and "Cannot
tell". The macro answer is never shown in the micro dialogue; the two paths meet only when they are weighed.
Left out: zooms into zooms, other policies.

    await graph.ainvoke({"image": "photo.jpg", "question": "..."}, context=Context(model="nano"))
"""

import functools
from typing import Literal

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from zoomagent.confidence.likelihood import of_tokens
from zoomagent.errors import BoxInvalid, OutputTruncated, RunError, ToolError
from zoomagent.geometry import is_y_first, union
from zoomagent.graphs.asking import NodeRun, ask, assistant_turn, reply_turn, user_turn, views_of
from zoomagent.graphs.context import Context
from zoomagent.graphs.endings import choice, model_step, step, step_words, stop
from zoomagent.graphs.looking import admit, look, picture_record
from zoomagent.graphs.reading import check_reading
from zoomagent.graphs.state import Question, State, Update, dialogue, regions_of, stopped
from zoomagent.graphs.weighing import candidate_record, choose_answer, likelihood_record, needs_weighing, weigh_answers
from zoomagent.models.words.parsing import parse_boxes
from zoomagent.prompts import BOX_FORMAT, box_prompt, micro_prompt
from zoomagent.tools.cropping import written
from zoomagent.tools.zooming import zoom as zoom_in

MAX_REPAIRS = 1
"""How often the model is told what is wrong with its box."""

WEIGHING_WORDS = {
    "shared": "Scored both answers in the dialogue with both images.",
    "published": "Scored both answers as DualFocus' code does, box turn included.",
    "bound": "The model cannot score given text; what the closer look's own likelihood leaves for others decides.",
    "votes": "The model cannot score given text; samples voted.",
}


# Nodes


@model_step
async def locate(run: NodeRun) -> Update:
    """Ask where in the picture the answer lies; after a complaint, ask again in the same dialogue."""
    if run.context.budget.depth < 1:
        raise RunError("The budget allows no zoom. Raise its depth.", code="budget_depth")
    looks = await admit(run)
    views = run.bench.views
    first = user_turn("micro", "box", [views.whole()["id"]], box_prompt(run.state["question"], views.profile.space))
    regions = regions_of(run.state)
    if regions:
        # Where to look is given; the procedure takes one box.
        around = functools.reduce(union, regions)
        reply = assistant_turn("micro", "box-reply-1", str(written(views, views.whole()["id"], around)))
        return {
            "picture": picture_record(run),
            "looks": looks,
            "messages": [first, reply],
            "steps": step_words("Look closer: at what was given to be looked at.", boxes=[around.as_list()]),
        }
    turns = dialogue(run.state, "micro") or [first]
    exchange = await ask(run, turns, keep=1, task="region")
    return {
        "picture": picture_record(run),
        "looks": looks,
        "messages": [*exchange.turns, reply_turn("micro", f"box-reply-{len(turns)}", exchange.reply)],
        "box_likelihood": likelihood_record(of_tokens(exchange.reply.tokens)),
        "steps": step_words(f"Asked where to look closer. The model pointed at {exchange.reply.text}", views_of(turns)),
    }


@model_step
async def zoom(run: NodeRun) -> Update:
    """Cut what the model pointed at from the original picture, or tell the model why that is not possible."""
    turns, views, context = dialogue(run.state, "micro"), run.bench.views, run.context
    try:
        # DualFocus takes the first box of the reply; a reply that was cut off is not trusted.
        if turns[-1]["cut"]:
            raise OutputTruncated("The reply was cut off before its box was complete. Reply the box only.")
        boxes = parse_boxes(turns[-1]["text"], y_first=is_y_first(views.profile.space))
        if not boxes:
            raise BoxInvalid("The reply holds no box of four numbers.")
        result = zoom_in(
            views,
            turns[0]["views"][0],
            boxes[0],
            margin=views.profile.crop_margin if context.margin is None else context.margin,
            margin_pixels=context.margin_pixels,
            clip=context.strategy == "dualfocus-published",
        )
    except ToolError as error:
        repairs = sum(turn["role"] == "assistant" for turn in turns) - 1
        if repairs >= MAX_REPAIRS:
            return stop(run.state, error.code, f"The model named no usable box. {error}")
        complaint = user_turn("micro", f"complaint-{repairs + 1}", [], f"{error} {BOX_FORMAT[views.profile.space]}")
        return {"messages": [complaint], "steps": step_words(f"The box cannot be used; told the model: {error}")}
    crop = result.views[0]
    left, top, right, bottom = crop["box"]
    place = f"Zoomed into {crop['box']}: {right - left} x {bottom - top} original pixels"
    words = f"{place}, shown at {crop['size'][0]} x {crop['size'][1]}"
    return {
        "target": result.target.as_list() if result.target else crop["box"],
        "crop": crop["id"],
        "views": [crop],
        "steps": step_words(words, [crop["id"]], [crop["box"]]),
    }


@model_step
async def answer_again(run: NodeRun) -> Update:
    """Ask the question again with the crop beside the whole: the micro answer."""
    prompt = micro_prompt(run.state["question"], run.options())
    question = user_turn("micro", "closer", [run.state["crop"]], prompt)
    exchange = await ask(run, [*dialogue(run.state, "micro"), question])
    micro = candidate_record(run, exchange)
    crop = exchange.turns[-1]["views"][0]
    checks, problems = await check_reading(run, "closer", [crop], micro["text"])
    notes = [note["text"] for note in (*checks, *problems)]
    words = " ".join([f"Looked at the crop beside the whole and read: {micro['text']}", *notes])
    return {
        "crop": crop,
        "messages": [*exchange.turns, reply_turn("micro", "closer-reply", exchange.reply)],
        "micro": micro,
        "checks": checks,
        "problems": problems,
        "steps": step_words(words, micro["views"]),
    }


@model_step
async def weigh(run: NodeRun) -> Update:
    """Measure two different answers by one yardstick."""
    update = await weigh_answers(run)
    how = update["weighing"]["how"] if "weighing" in update else "bound"
    return {**update, "steps": step_words(WEIGHING_WORDS[how])}


@step
async def arbitrate(state: State, runtime: Runtime[Context]) -> Update:
    """Choose one answer, with the reason in words."""
    update = choose_answer(state, runtime.context.strategy, runtime.context.target_error)
    verdict = update["verdict"]
    return {**update, "steps": step_words(f"Chose the {verdict['perspective']} answer. {verdict['reason']}")}


# Routes


def route_start(state: State, runtime: Runtime[Context]) -> Literal["look", "locate"]:
    return "locate" if runtime.context.strategy == "micro" else "look"


def route_after_look(state: State, runtime: Runtime[Context]) -> Literal["locate", "arbitrate", "__end__"]:
    if "outcome" in state:
        return "__end__"
    only_whole = runtime.context.strategy in ("macro", "micro")
    return "arbitrate" if only_whole or stopped(state) else "locate"


def route_after_locate(state: State) -> Literal["zoom", "look", "arbitrate", "__end__"]:
    return way_out(state) or "zoom"


def route_after_zoom(state: State) -> Literal["answer_again", "locate", "look", "arbitrate", "__end__"]:
    return way_out(state) or ("answer_again" if "crop" in state else "locate")


def route_after_answer(state: State) -> Literal["weigh", "look", "arbitrate", "__end__"]:
    return way_out(state) or ("weigh" if needs_weighing(state) else "arbitrate")


def way_out(state: State) -> Literal["look", "arbitrate", "__end__"] | None:
    """The way out of a run that cannot look closer: over the whole picture where nothing was answered
    yet."""
    if "outcome" in state:
        return "__end__"
    if not stopped(state):
        return None
    return "arbitrate" if "macro" in state or "micro" in state else "look"


# Graph

builder = StateGraph(State, context_schema=Context, input_schema=Question)
for node in (look, locate, zoom, answer_again, weigh, arbitrate):
    builder.add_node(node)
builder.add_conditional_edges(START, choice(route_start))
builder.add_conditional_edges("look", choice(route_after_look))
builder.add_conditional_edges("locate", choice(route_after_locate))
builder.add_conditional_edges("zoom", choice(route_after_zoom))
builder.add_conditional_edges("answer_again", choice(route_after_answer))
builder.add_edge("weigh", "arbitrate")
builder.add_edge("arbitrate", END)

graph = builder.compile(name="macro_micro")
"""For `langgraph dev` and Studio, which bring their own checkpointer; elsewhere compile `builder` with
one."""
