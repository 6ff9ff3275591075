"""A description whose phrases carry boxes, each looked at: tell -> place (a phrase a step) -> verify (the same).

A model that writes boxes into its words (`Profile.boxed_words`) describes the whole in one reply. Any other names what
it sees in the whole and in its quarters, and is asked for the boxes of each name. Then every box is cut from the
original, and the model says whether the phrase can be seen there: boxes that do not show it go, and a phrase without
any is marked, or dropped where the words are a list of names. Boxes go through pixels once; no dialogue holds those of
an earlier view. Where the budget ends, what was found stays, and the rest is unchecked. Left out: moments, which need a
video.

    await graph.ainvoke({"image": "photo.jpg", "question": "…", "grounded": True}, context=Context(model="nano"))
"""

from collections.abc import Sequence

from langgraph.graph import END, START, StateGraph

from zoomagent.confidence.claims import negative
from zoomagent.confidence.selection import SEEN
from zoomagent.errors import RunError, ToolError
from zoomagent.geometry import Box, is_y_first
from zoomagent.graphs.asking import BudgetedModel, NodeRun
from zoomagent.graphs.context import Context
from zoomagent.graphs.endings import choice, model_step, step_words, stop
from zoomagent.graphs.looking import admit, picture_record
from zoomagent.graphs.state import (
    OutcomeRecord,
    PhraseFate,
    PhraseRecord,
    Question,
    State,
    Update,
    VerdictRecord,
    stopped,
)
from zoomagent.models.base import Message, Text
from zoomagent.models.words.interleaved import Interleaved, parse_interleaved
from zoomagent.prompts import TAGS, describe_prompt
from zoomagent.tools.cropping import locate
from zoomagent.tools.grounding import is_whole
from zoomagent.tools.instances import distinct, instances_in, whole_things
from zoomagent.tools.tagging import names_in
from zoomagent.tools.verifying import sees
from zoomagent.tools.viewing import ViewRecord, box_of
from zoomagent.tools.zooming import surroundings

MAX_PHRASES = 24
"""Phrases of one description that are looked at (ours)."""
MAX_BOXES = 8
"""Boxes of one phrase (ours)."""
TOKENS = 512
"""Length of a description."""
LISTED = ", "


# The words


@model_step
async def tell(run: NodeRun) -> Update:
    """Have the model describe the whole, with boxes where it writes them; else name what it sees in all parts."""
    looks = await admit(run, question="")
    # A description stands without any further call.
    views, model = run.bench.views, BudgetedModel(run, keep=0)
    whole, form = views.whole()["id"], run.bench.model.profile.boxed_words
    update: Update = {"picture": picture_record(run), "looks": looks}
    if form != "none":
        prompt = describe_prompt(form, views.profile.space)
        message = Message("user", (await views.pixels(whole), Text(prompt)))
        [reply] = await model.generate([message], max_tokens=TOKENS, task="image")
        said = parse_interleaved(reply.text, y_first=is_y_first(views.profile.space))
        phrases = told_phrases(run, said, whole)
        if phrases:
            words = step_words(f"Described the whole: {said.words}", [whole])
            # JSON is a list of names: those that are not seen can go without leaving a torn sentence.
            description = said.words.strip() if form == "phrase" else ""
            return {**update, "description": description, "told": phrases, "steps": words}
    parts = [views.whole(), *quarters(run, views.whole())]
    named: dict[str, list[str]] = {}
    ended: Update = {}
    for part in parts:
        message = Message("user", (await views.pixels(part["id"]), Text(TAGS)))
        try:
            [reply] = await model.generate([message], task="image")
        except RunError as error:
            ended = end_of_budget(run, error, bool(named))
            break
        for name in names_in(reply):
            # A number is no thing, and neither is a word for nothing.
            if any(character.isalpha() for character in name) and not negative(name) and name != "nothing":
                named.setdefault(name, []).append(part["id"])
    steps = step_words(f"Named: {LISTED.join(named)}", [part["id"] for part in parts])
    listed = list(named.items())[:MAX_PHRASES]
    phrases = [phrase_record(number, name, at, "open", [], []) for number, (name, at) in enumerate(listed)]
    return {**update, **ended, "description": "", "told": phrases, "steps": steps}


def end_of_budget(run: NodeRun, error: RunError, paid: bool) -> Update:
    """What a step leaves beside its findings where the budget ends in it: no further look. Raises any other error, and
    one that nothing was paid for before."""
    if not paid or not error.code.startswith("budget_"):
        raise error
    return {"problems": stop(run.state, error.code, str(error))["problems"]}


def told_phrases(run: NodeRun, said: Interleaved, view: str) -> list[PhraseRecord]:
    """The phrases of a description, their boxes in original pixels; boxes that cannot be used are left out."""
    records = []
    lead = len(said.words) - len(said.words.lstrip())
    for number, phrase in enumerate(said.phrases[:MAX_PHRASES]):
        boxes = []
        for box in phrase.boxes[:MAX_BOXES]:
            try:
                boxes.append(locate(run.bench.views, view, box))
            except ToolError:
                continue
        if not said.text(phrase).strip():
            continue
        fate: PhraseFate = "placed" if boxes else "unplaced"
        place = [max(0, phrase.start - lead), max(0, phrase.end - lead)]
        records.append(phrase_record(number, said.text(phrase), [view], fate, boxes, place))
    return records


def phrase_record(
    number: int, text: str, views: list[str], fate: PhraseFate, boxes: Sequence[Box], place: list[int]
) -> PhraseRecord:
    found = [box.as_list() for box in boxes]
    return PhraseRecord(
        id=f"phrase-{number + 1}", text=text, views=views, fate=fate, boxes=found, place=place, seen=[], crops=[]
    )


def quarters(run: NodeRun, whole: ViewRecord) -> list[ViewRecord]:
    """Four parts that overlap a little, so that nothing is cut by all of them."""
    size, views = run.bench.views.picture.size, run.bench.views
    across, down = -(-size.width * 5 // 9), -(-size.height * 5 // 9)
    corners = [(x, y) for y in (0, size.height - down) for x in (0, size.width - across)]
    most = views.profile.whole_pixels or None
    return [views.add(Box(x, y, x + across, y + down), source=whole["id"], max_pixels=most) for x, y in corners]


# Where each is, and whether it can be seen there


@model_step
async def place(run: NodeRun) -> Update:
    """Ask for the boxes of one name, in every view in which it was named."""
    views, model = run.bench.views, BudgetedModel(run)
    phrase = next(phrase for phrase in run.state["told"] if phrase["fate"] == "open")
    boxes: list[Box] = []
    ended: Update = {}
    for view in phrase["views"]:
        try:
            found = await instances_in(model, views, view, phrase["text"])
        except ToolError:
            continue
        except RunError as error:
            ended = end_of_budget(run, error, bool(boxes))
            break
        boxes += whole_things(found, views, view)
    things = distinct(boxes)[:MAX_BOXES]
    fate: PhraseFate = "placed" if things else "unplaced"
    record: PhraseRecord = {**phrase, "boxes": [box.as_list() for box in things], "fate": fate}
    words = f"{phrase['text']}: {len(things)} found." if things else f"{phrase['text']} could not be pointed at."
    return {**ended, "told": [record], "steps": step_words(words, phrase["views"], record["boxes"])}


@model_step
async def verify(run: NodeRun) -> Update:
    """Cut out every box of one phrase, and measure whether the phrase can be seen there."""
    views, model = run.bench.views, BudgetedModel(run, keep=0)
    phrase = next(phrase for phrase in run.state["told"] if phrase["fate"] == "placed")
    whole = views.whole()
    crops, seen, kept = list[ViewRecord](), list[float | None](), list[list[int]]()
    ended: Update = {}
    for number, corners in enumerate(phrase["boxes"]):
        box = Box(*corners)
        around = surroundings(box, views.picture.size, views.profile.crop_margin, run.context.margin_pixels)
        crop = views.add(around, source=whole["id"], max_pixels=views.profile.crop_pixels or None)
        # What fills the whole was looked at already.
        close = whole if is_whole(box, box_of(whole)) else crop
        try:
            value = await sees(model, views, close["id"], phrase["text"]) if run.context.check else None
        except RunError as error:
            ended = end_of_budget(run, error, number > 0)
            kept += phrase["boxes"][number:]
            seen.append(None)
            break
        crops.append(crop)
        if value is None or value >= SEEN:
            kept.append(corners)
            seen.append(value)
    fate: PhraseFate = "unseen" if not kept else "seen" if run.context.check and None not in seen else "unchecked"
    record: PhraseRecord = {**phrase, "boxes": kept, "fate": fate, "crops": [crop["id"] for crop in crops]}
    record["seen"] = [value for value in seen if value is not None]
    words = f"{phrase['text']}: {len(kept)} of {len(phrase['boxes'])} can be seen up close."
    steps = step_words(words, [crop["id"] for crop in crops], [crop["box"] for crop in crops])
    return {**ended, "views": crops, "told": [record], "steps": steps}


@model_step
async def finish(run: NodeRun) -> Update:
    """Put the words together: of a list only what was seen, or could not be checked; the rest stands nowhere."""
    state = run.state
    told, problems = state.get("told", []), state.get("problems", [])
    if stopped(state) and not told:
        last = problems[-1]
        failed = OutcomeRecord(kind="failed", reasons=[last["text"]], code=last["code"], exit_status=75)
        return {"outcome": failed, "steps": step_words(f"Nothing was described. {last['text']}")}
    update: Update = {}
    text = state.get("description", "")
    if not text:
        kept, text = list[PhraseRecord](), ""
        for phrase in told:
            if not phrase["boxes"] and phrase["fate"] != "open":
                kept.append({**phrase, "place": []})
                continue
            text += LISTED if text else ""
            kept.append({**phrase, "place": [len(text), len(text) + len(phrase["text"])]})
            text += phrase["text"]
        update["told"] = kept
        text = text or "Nothing that can be named."
    checked = sum(phrase["fate"] == "seen" for phrase in told)
    reason = f"{checked} of {len(told)} phrases can be seen where they are pointed at."
    verdict = VerdictRecord(perspective="macro", text=text, confidence=None, confidence_from=None, reason=reason)
    outcome = OutcomeRecord(
        kind="answered_degraded" if problems else "answered",
        reasons=[problem["text"] for problem in problems],
        code=None,
        exit_status=0,
        codes=[problem["code"] for problem in problems],
    )
    return {**update, "verdict": verdict, "outcome": outcome, "steps": step_words(reason)}


# Graph


def route(state: State) -> str:
    """The next phrase to place or to verify; the end where there is none, or nothing can be spent any more."""
    if "outcome" in state:
        return "__end__"
    if stopped(state):
        return "finish"
    fates = [phrase["fate"] for phrase in state.get("told", [])]
    return "place" if "open" in fates else "verify" if "placed" in fates else "finish"


builder = StateGraph(State, context_schema=Context, input_schema=Question)
for node in (tell, place, verify, finish):
    builder.add_node(node)
builder.add_edge(START, "tell")
for name in ("tell", "place", "verify"):
    builder.add_conditional_edges(name, choice(route), ["place", "verify", "finish", END])
builder.add_edge("finish", END)

graph = builder.compile(name="describe")
