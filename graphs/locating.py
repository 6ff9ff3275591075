"""The policies `locate` and `point`: have the model point at what must be seen, and cut it out.

`point` asks where the answer lies, in DualFocus' words, and cuts that out. For `locate` one question names the things
(a picture is one of none), then each is pointed at on its own, at the same time. A box that cannot be used is
complained about once. A person may be asked to confirm or redraw the boxes before anything is cut. Left out: regions
that are too small to be pointed at (`searching.py`)."""

import re
from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import TypeAdapter, ValidationError

from zoomagent.confidence.replies import plain
from zoomagent.confidence.selection import SEEN
from zoomagent.errors import InputRefused, ToolError
from zoomagent.geometry import Box, clamp
from zoomagent.graphs.asking import BudgetedModel, NodeRun
from zoomagent.graphs.context import Context, bench_of
from zoomagent.graphs.deciding import found_targets, is_believed, open_targets, phrases_of
from zoomagent.graphs.endings import model_step, step, step_words
from zoomagent.graphs.sentences import POINTED
from zoomagent.graphs.state import CheckRecord, ProblemRecord, State, TargetRecord, Update
from zoomagent.models.base import Message, Text
from zoomagent.models.words.unwrapping import is_call, listed
from zoomagent.prompts import BOX_FORMAT, CUES, VISIBLE, box_prompt, ground_prompt
from zoomagent.tools.grounding import boxes_in
from zoomagent.tools.verifying import sees, yes
from zoomagent.tools.viewing import ViewRecord, box_of
from zoomagent.tools.zooming import surroundings

MAX_TARGETS = 4
MAX_PHRASE = 80
_WHOLE = re.compile(
    r"(?:i say |say )?(?:the |an? )?(?:whole|entire|full|complete) (?:picture|image|photo|scene)"
    r"|(?:整张|整个|整幅|整張|整個|全)(?:图片|图像|圖片|圖像|图|圖|画面|照片)|(?:画像|画面|写真)?全体"
    r"|전체 ?(?:사진|그림|이미지)"
    r"|(?:la|toda la) imagen (?:completa|entera)|toda la imagen|l'image entière|toute l'image"
    r"|(?:das )?(?:ganze|gesamte) bild"
    r"|(?:l')?intera immagine|(?:a )?imagem (?:inteira|toda)|вс[ея] (?:картина|изображение|картинка)|всё изображение"
)


# What to look for


@model_step
async def name(run: NodeRun) -> Update:
    """Ask which things must be seen to answer."""
    state, views = run.state, run.bench.views
    whole = views.whole()["id"]
    message = Message("user", (await views.pixels(whole), Text(CUES + run.question(whole))))
    [reply] = await BudgetedModel(run).generate([message], max_tokens=run.context.max_tokens, task="image")
    phrases = named(reply.text, state["question"])
    words = f"To be seen: {', '.join(phrases)}." if phrases else "The whole picture decides."
    if len(phrases) > 1 and is_believed(run):
        enough = "The question compares things, and the crop shows them."
        # What was pointed at was given up for the names; the answer rests on it again.
        pointed: list[TargetRecord] = [
            {**t, "fate": "located"} for t in state.get("targets", []) if t["phrase"] == POINTED
        ]
        steps = step_words(f"{words} {enough}", [whole])
        return {"phrases": phrases, "targets": pointed, "settled": enough, "steps": steps}
    targets = [new_target(number, phrase, state) for number, phrase in enumerate(phrases, 1)]
    return {"phrases": phrases, "targets": targets, "steps": step_words(words, [whole])}


def named(reply: str, question: str) -> list[str]:
    """The things a reply names: none for the whole picture, the question itself when the reply is no list of names."""
    found = [] if is_call(reply) else listed(reply)
    if len(found) == 1 and _WHOLE.fullmatch(plain(found[0])):
        return []
    fits = found and all(len(phrase) <= MAX_PHRASE for phrase in found)
    return found[:MAX_TARGETS] if fits else [question]


def new_target(number: int, phrase: str, state: State) -> TargetRecord:
    """A thing that is to be found."""
    return TargetRecord(
        id=f"target-{number}",
        phrase=phrase,
        fate="wanted",
        source="",
        depth=1,
        box=None,
        crop="",
        seen=None,
        policy=state["policy"],
    )


# Where it is


@model_step
async def point(run: NodeRun) -> Update:
    """Have the model point at where the answer lies, whatever that is."""
    state, views = run.state, run.bench.views
    whole, space = views.whole()["id"], run.bench.model.profile.space
    message = Message("user", (await views.pixels(whole), Text(box_prompt(run.question(whole), space))))
    [reply] = await BudgetedModel(run).generate([message], task="region")
    try:
        boxes = boxes_in(reply, views, whole)
    except ToolError:
        boxes = []
    if not boxes:
        return {"steps": step_words("The model could not point at where the answer lies.", [whole])}
    box = boxes[0].as_list()
    target: TargetRecord = {**new_target(1, POINTED, state), "fate": "located", "box": box}
    return {"targets": [target], "steps": step_words(f"Pointed at {box}.", [whole], [box])}


@model_step
async def ground(run: NodeRun) -> Update:
    """Have the model point at one thing, in the view in which it is looked for. A reply that cannot be used is
    complained about once."""
    target = next(t for t in run.state["targets"] if t["id"] == run.state["sent"])
    phrase, views, space = target["phrase"], run.bench.views, run.bench.model.profile.space
    model, source = BudgetedModel(run, shares=len(open_targets(run.state))), target["source"] or views.whole()["id"]
    messages = [Message("user", (await views.pixels(source), Text(ground_prompt(phrase, space))))]
    boxes: list[Box] = []
    fault: ToolError | None = None
    for _ in range(2):
        [reply] = await model.generate(messages, task="region")
        try:
            boxes, fault = boxes_in(reply, views, source), None
            break
        except ToolError as error:
            fault = error
            complaint = Message("user", (Text(f"{error} {BOX_FORMAT[space]}"),))
            messages += [Message("assistant", (Text(reply.text or "[]"),)), complaint]
    if boxes:
        box = boxes[0].as_list()
        found: TargetRecord = {**target, "fate": "located", "box": box, "crop": "", "seen": None}
        found["several"] = len(boxes) > 1
        return {"targets": [found], "steps": step_words(f"Pointed at {phrase}: {box}.", [source], [box])}
    words = step_words(f"Could not point at {phrase}.", [source])
    update: Update = {"targets": [{**target, "fate": "missing"}], "steps": words}
    if fault:
        text = f"The model named no usable box of {phrase}. {fault}"
        update["problems"] = [ProblemRecord(id=f"box-{target['id']}", code=fault.code, text=text, stops=False)]
    return update


RedrawnBoxes = TypeAdapter(dict[str, tuple[int, int, int, int]])
"""What a person may answer instead of True: boxes in original pixels by the ids of their targets."""


@step
async def confirm(state: State, runtime: Runtime[Context]) -> Update:
    """Wait for a person: True keeps the boxes; a mapping of target ids to boxes in original pixels redraws them."""
    fresh = [target for target in found_targets(state) if not target["crop"]]
    if not runtime.context.confirm or not fresh:
        return {}
    size = (await bench_of(state, runtime)).views.picture.size
    zoom_into = [{"id": t["id"], "phrase": t["phrase"], "box": t["box"]} for t in fresh]
    reply: Any = interrupt({"question": state["question"], "zoom_into": zoom_into})
    boxes: dict[str, list[int]] = {}
    if reply is not True:
        try:
            redrawn = RedrawnBoxes.validate_python(reply, strict=False)
            if not redrawn.keys() <= {target["id"] for target in fresh}:
                raise ValueError("a box for something that was not asked about")
            boxes = {name: clamp(Box(*corners), size).as_list() for name, corners in redrawn.items()}
        except (ValidationError, ValueError, ToolError) as error:
            text = "Resume with true, or with {target id: [left, top, right, bottom]} in original pixels."
            raise InputRefused(text, code="bad_resume") from error
    changed: list[TargetRecord] = [{**t, "box": boxes[t["id"]]} for t in found_targets(state) if t["id"] in boxes]
    words = f"A person redrew {phrases_of(changed)}." if changed else "A person confirmed the boxes."
    return {"targets": changed, "steps": step_words(words, boxes=list(boxes.values()))}


# Is it really there


@model_step
async def check(run: NodeRun) -> Update:
    """Cut out what was found, and measure whether it can be seen there."""
    fresh = [target for target in found_targets(run.state) if not target["crop"]]
    if not fresh:
        return {}
    views, model = run.bench.views, BudgetedModel(run)
    targets: list[TargetRecord] = []
    checks: list[CheckRecord] = []
    for target in fresh:
        crop, phrase, seen = cut_out(run, target), target["phrase"], target["seen"]
        if seen is None and run.context.check and phrase != POINTED:
            close = views.add(box_of(crop), source=crop["source"], max_pixels=views.profile.whole_pixels or None)
            if target.get("given"):
                seen = await yes(model, views, close["id"], VISIBLE + run.question(close["id"]))
            else:
                seen = await sees(model, views, close["id"], phrase)
        # What was given is looked at whatever the model thinks of it.
        there = seen is None or seen >= SEEN or target.get("given", False)
        targets.append({**target, "crop": crop["id"], "seen": seen, "fate": "located" if there else "missing"})
        if seen is not None:
            text = f"{phrase} can be seen in its crop with {seen:.2f}."
            if target.get("given"):
                text = f"The answer can be seen in the {phrase} with {seen:.2f}."
            name = f"seen-{crop['id']}-{target['id']}"
            checks.append(CheckRecord(id=name, kind="seen", views=[crop["id"]], text=text, value=seen))
    records = [views.record(target["crop"]) for target in targets]
    words = " ".join(check["text"] for check in checks) or f"Cut out {phrases_of(targets)}."
    steps = step_words(words, [record["id"] for record in records], [record["box"] for record in records])
    return {"views": records, "targets": targets, "checks": checks, "steps": steps}


def cut_out(run: NodeRun, target: TargetRecord) -> ViewRecord:
    """The close view of a target: its box with surroundings, from the original. A target that was found has a box; one
    that a damaged state leaves without is shown whole."""
    views, context = run.bench.views, run.context
    whole = views.whole()
    margin = views.profile.crop_margin if context.margin is None else context.margin
    around = surroundings(Box(*(target["box"] or whole["box"])), views.picture.size, margin, context.margin_pixels)
    return views.add(around, source=target["source"] or whole["id"], max_pixels=views.profile.crop_pixels or None)
