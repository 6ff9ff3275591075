"""The policies `locate` and `point`: have the model point at what must be seen, and cut it out.

`point` asks where the answer lies, in DualFocus' words, and cuts that out. For `locate` one question names the things
(a picture is one of none), then each is pointed at on its own, at the same time. A box that can not be used is
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
from zoomagent.graphs.asking import Desk, desk_of
from zoomagent.graphs.context import Context
from zoomagent.graphs.counting import Counting
from zoomagent.graphs.deciding import believed, located, phrases_of, wanted
from zoomagent.graphs.endings import said, step
from zoomagent.graphs.sentences import POINTED
from zoomagent.graphs.state import CheckRecord, ProblemRecord, State, TargetRecord, Update
from zoomagent.models.base import Message, Text
from zoomagent.models.words.unwrapping import is_call, listed
from zoomagent.prompts import BOX_FORMAT, CUES, box_prompt, ground_prompt
from zoomagent.tools.grounding import boxes_in
from zoomagent.tools.verifying import sees
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


@step
async def name(state: State, runtime: Runtime[Context]) -> Update:
    """Ask which things must be seen to answer."""
    desk = await desk_of("name", state, runtime)
    model, view = Counting(desk), desk.bench.views.whole()["id"]
    message = Message("user", (await desk.bench.views.pixels(view), Text(CUES + state["question"])))
    [reply] = await model.generate([message], max_tokens=desk.context.max_tokens)
    phrases = named(reply.text, state["question"])
    told = f"To be seen: {', '.join(phrases)}." if phrases else "The whole picture decides."
    targets = [_target(number, phrase, state) for number, phrase in enumerate(phrases, 1)]
    if len(phrases) > 1 and believed(desk):
        words = "The question compares things, and the crop shows them."
        return {**model.booked(), "phrases": phrases, "settled": words, "steps": said(f"{told} {words}", [view])}
    return {**model.booked(), "phrases": phrases, "targets": targets, "steps": said(told, [view])}


def named(reply: str, question: str) -> list[str]:
    """The things a reply names: none for the whole picture, the question itself when the reply is no list of names."""
    found = [] if is_call(reply) else listed(reply)
    if len(found) == 1 and _WHOLE.fullmatch(plain(found[0])):
        return []
    fits = found and all(len(phrase) <= MAX_PHRASE for phrase in found)
    return found[:MAX_TARGETS] if fits else [question]


@step
async def point(state: State, runtime: Runtime[Context]) -> Update:
    """Have the model point at where the answer lies, whatever that is."""
    desk = await desk_of("point", state, runtime)
    model, views = Counting(desk), desk.bench.views
    whole, space = views.whole()["id"], desk.bench.model.profile.space
    message = Message("user", (await views.pixels(whole), Text(box_prompt(state["question"], space))))
    [reply] = await model.generate([message])
    try:
        boxes = boxes_in(reply, views, whole)
    except ToolError:
        boxes = []
    if not boxes:
        words = "The model could not point at where the answer lies."
        return {**model.booked(), "steps": said(words, [whole])}
    found = {"fate": "located", "box": boxes[0].as_list()}
    target = TargetRecord(**{**_target(1, POINTED, state), **found})  # type: ignore[typeddict-item]
    words = f"Pointed at {boxes[0].as_list()}."
    return {**model.booked(), "targets": [target], "steps": said(words, [whole], [boxes[0].as_list()])}


@step
async def ground(state: State, runtime: Runtime[Context]) -> Update:
    """Have the model point at one thing, in the view in which it is looked for."""
    desk = await desk_of("ground", state, runtime)
    target = next(t for t in state["targets"] if t["id"] == state["sent"])
    model, views = Counting(desk, shares=len(wanted(state))), desk.bench.views
    source = target["source"] or views.whole()["id"]
    boxes, fault = await _boxes(desk, model, source, target["phrase"])
    if not boxes:
        words = f"Could not point at {target['phrase']}."
        update: Update = {"targets": [{**target, "fate": "missing"}], "steps": said(words, [source])}
        if fault:
            text = f"The model named no usable box of {target['phrase']}. {fault}"
            update["problems"] = [ProblemRecord(id=f"box-{target['id']}", code=fault.code, text=text, stops=False)]
        return {**model.booked(), **update}
    found = TargetRecord(**{**target, "fate": "located", "box": boxes[0].as_list(), "crop": "", "seen": None})
    words = f"Pointed at {target['phrase']}: {boxes[0].as_list()}."
    return {**model.booked(), "targets": [found], "steps": said(words, [source], [boxes[0].as_list()])}


async def _boxes(desk: Desk, model: Counting, source: str, phrase: str) -> tuple[list[Box], ToolError | None]:
    """Where the model points; a reply that can not be used is complained about once, and what is wrong with the second
    is given back."""
    views, space = desk.bench.views, desk.bench.model.profile.space
    first = Message("user", (await views.pixels(source), Text(ground_prompt(phrase, space))))
    [reply] = await model.generate([first])
    try:
        return boxes_in(reply, views, source), None
    except ToolError as error:
        complaint = Message("user", (Text(f"{error} {BOX_FORMAT[space]}"),))
    [again] = await model.generate([first, Message("assistant", (Text(reply.text or "[]"),)), complaint])
    try:
        return boxes_in(again, views, source), None
    except ToolError as error:
        return [], error


@step
async def confirm(state: State, runtime: Runtime[Context]) -> Update:
    """Wait for a person: True keeps the boxes; a mapping of target ids to boxes in original pixels redraws them."""
    if not runtime.context.confirm:
        return {}
    asked = [{"id": t["id"], "phrase": t["phrase"], "box": t["box"]} for t in located(state) if not t["crop"]]
    if not asked:
        return {}
    desk = await desk_of("confirm", state, runtime)
    word = interrupt({"question": state["question"], "zoom_into": asked})
    boxes = _redrawn(word, desk, {str(target["id"]) for target in asked})
    changed = [TargetRecord(**{**t, "box": boxes[t["id"]]}) for t in located(state) if t["id"] in boxes]
    words = f"A person redrew {phrases_of(changed)}." if changed else "A person confirmed the boxes."
    return {"targets": changed, "steps": said(words, boxes=list(boxes.values()))}


Redrawn = TypeAdapter(dict[str, tuple[int, int, int, int]])


def _redrawn(answered: Any, desk: Desk, asked: set[str]) -> dict[str, list[int]]:
    """The boxes a person drew, within the picture; raises InputRefused for anything else than True or boxes."""
    if answered is True:
        return {}
    try:
        drawn = Redrawn.validate_python(answered, strict=False)
        if not drawn.keys() <= asked:
            raise ValueError("a box for something that was not asked about")
        boxes = {name: Box(*corners) for name, corners in drawn.items()}
        return {name: clamp(box, desk.bench.views.picture.size).as_list() for name, box in boxes.items()}
    except (ValidationError, ValueError, ToolError) as error:
        text = "Resume with true, or with {target id: [left, top, right, bottom]} in original pixels."
        raise InputRefused(text, code="bad_resume") from error


@step
async def check(state: State, runtime: Runtime[Context]) -> Update:
    """Cut out what was found, and measure whether it can be seen there."""
    fresh = [target for target in located(state) if not target["crop"]]
    if not fresh:
        return {}
    desk = await desk_of("check", state, runtime)
    model = Counting(desk)
    targets, checks = [], []
    for target in fresh:
        crop = cut(desk, target)
        seen = target["seen"] if target["seen"] is not None else await _seen(desk, model, crop, target)
        fate = "missing" if seen is not None and seen < SEEN else "located"
        targets.append(TargetRecord(**{**target, "crop": crop["id"], "seen": seen, "fate": fate}))  # type: ignore[typeddict-item]
        checks += _noted(target, crop, seen)
    update = model.booked()
    records = [desk.bench.views.record(target["crop"]) for target in targets]
    words = " ".join(check["text"] for check in checks) or f"Cut out {phrases_of(targets)}."
    boxes = [record["box"] for record in records]
    steps = said(words, [record["id"] for record in records], boxes)
    return {**update, "views": [*update["views"], *records], "targets": targets, "checks": checks, "steps": steps}


def cut(desk: Desk, target: TargetRecord) -> ViewRecord:
    """The close view of a target: its box with surroundings, from the original."""
    views, context = desk.bench.views, desk.context
    assert target["box"] is not None
    margin = views.profile.crop_margin if context.margin is None else context.margin
    around = surroundings(Box(*target["box"]), views.picture.size, margin, context.margin_pixels)
    source = target["source"] or views.whole()["id"]
    return views.add(around, source=source, max_pixels=views.profile.crop_pixels or None)


async def _seen(desk: Desk, model: Counting, crop: ViewRecord, target: TargetRecord) -> float | None:
    if not desk.context.check or target["phrase"] == POINTED:
        return None
    close = desk.bench.views.add(
        box_of(crop), source=crop["source"], max_pixels=desk.bench.views.profile.whole_pixels or None
    )
    return await sees(model, desk.bench.views, close["id"], target["phrase"])


def _noted(target: TargetRecord, crop: ViewRecord, seen: float | None) -> list[CheckRecord]:
    if seen is None:
        return []
    text = f"{target['phrase']} can be seen in its crop with {seen:.2f}."
    return [CheckRecord(id=f"seen-{crop['id']}-{target['id']}", kind="seen", views=[crop["id"]], text=text, value=seen)]


def _target(number: int, phrase: str, state: State) -> TargetRecord:
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
