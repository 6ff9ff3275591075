"""The end of a closer look: ask again with the crops, or with what a search found, and measure whether the crops
mattered.

One crop: DualFocus' two turns (the box as the model would have said it, then the whole and the crop). Several: the
whole with the boxes drawn in, and every crop. The evidence proof scores the answer once more with the crops blanked:
what the same words are worth then is what the crops were not needed for (a counterfactual that benchmarks make after
the fact, made at run time). Left out: what follows from it (`judging.py`).
"""

import math

from langgraph.runtime import Runtime

from zoomagent.confidence.likelihood import usable
from zoomagent.confidence.replies import plain
from zoomagent.errors import RunError, ToolError
from zoomagent.geometry import Box
from zoomagent.graphs.asking import Desk, ask, desk_of, offered, score
from zoomagent.graphs.context import Context
from zoomagent.graphs.deciding import located
from zoomagent.graphs.endings import said, step
from zoomagent.graphs.judging import arbiter_of
from zoomagent.graphs.state import (
    CheckRecord,
    ProblemRecord,
    ProofRecord,
    SearchRecord,
    State,
    TargetRecord,
    TurnRecord,
    Update,
    dialogue,
)
from zoomagent.graphs.turns import reply_turn, said_turn, shown_in, user_turn
from zoomagent.graphs.weighing import MATTERS, candidate_record
from zoomagent.prompts import CUES, box_prompt, micro_prompt, searched_prompt, several_prompt
from zoomagent.tools.cropping import written
from zoomagent.tools.reading import read
from zoomagent.tools.searching import least_seen

UNREAD = 'The crops were not read letter by letter: pip install "zoomagent[ocr]".'


@step
async def answer(state: State, runtime: Runtime[Context]) -> Update:
    """Ask the question again with the crops: the micro answer."""
    desk = await desk_of("answer", state, runtime)
    attempt = state.get("attempts", 0) + 1
    name, targets = f"closer-{attempt}", located(state)
    targets = _fitting(desk, targets)
    turns = _one(desk, name, targets[0]) if len(targets) == 1 else _several(desk, name, targets)
    asked = await ask(desk, turns)
    shown = asked.shown.turns
    micro = candidate_record(asked.replies[0], state, desk.context.strategy, shown_in(shown))
    found, unread = await _read(desk, name, targets, micro["text"]) if desk.context.ocr else ([], [])
    notes = [note["text"] for note in (*found, *unread)]
    return {
        **asked.update,
        "messages": [*shown, reply_turn(name, f"{name}-reply", asked.replies[0])],
        "micro": micro,
        "closer": name,
        "attempts": attempt,
        "answered": state["policy"],
        "checks": found,
        "problems": [*asked.update.get("problems", []), *unread],
        "steps": said(" ".join([f"Looked closer and read: {micro['text']}", *notes]), micro["views"]),
    }


def _fitting(desk: Desk, targets: list[TargetRecord]) -> list[TargetRecord]:
    """As many targets as the model takes crops beside the whole; those that are seen best, in their order."""
    room = max(1, desk.bench.model.profile.max_images - 1)
    best = sorted(targets, key=lambda target: -1.0 if target["seen"] is None else target["seen"], reverse=True)[:room]
    return [target for target in targets if target in best]


async def _read(
    desk: Desk, name: str, targets: list[TargetRecord], text: str
) -> tuple[list[CheckRecord], list[ProblemRecord]]:
    """Whether character recognition of the crops finds the answer; nothing where it finds no text at all. A reader
    that is not installed is a problem that takes nothing from the answer."""
    crops = [target["crop"] for target in targets]
    try:
        lines = [line.text for crop in crops for line in await read(desk.bench.views, crop)]
    except ToolError as error:
        if error.code != "ocr_missing":
            raise RunError(str(error), code=error.code) from error
        return [], [ProblemRecord(id="unread", code=error.code, text=UNREAD, stops=False)]
    if not lines:
        return [], []
    agrees = plain(text).replace(" ", "") in plain("".join(lines)).replace(" ", "")
    told = f"Read letter by letter: {', '.join(lines)}; the answer is {'' if agrees else 'not '}among it."
    return [CheckRecord(id=f"reads-{name}", kind="reads", views=crops, text=told, value=float(agrees))], []


def _one(desk: Desk, name: str, target: TargetRecord) -> list[TurnRecord]:
    """DualFocus' dialogue for one crop."""
    state, views = desk.state, desk.bench.views
    whole = views.whole()["id"]
    assert target["box"] is not None
    pointed = str(written(views, whole, Box(*target["box"])))
    return [
        user_turn(name, f"{name}-where", [whole], box_prompt(state["question"], views.profile.space)),
        said_turn(name, f"{name}-box", pointed),
        user_turn(name, f"{name}-closer", [target["crop"]], micro_prompt(state["question"], offered(desk))),
    ]


def _several(desk: Desk, name: str, targets: list[TargetRecord]) -> list[TurnRecord]:
    """The marked whole, where the model takes so many views, and a crop for each."""
    state, views = desk.state, desk.bench.views
    whole = views.whole()["id"]
    crops = [target["crop"] for target in targets]
    fits = 2 + len(crops) <= views.profile.max_images
    marked = [views.marked(whole, [Box(*target["box"]) for target in targets if target["box"]])["id"]] if fits else []
    question = (several_prompt if fits else micro_prompt)(state["question"], offered(desk))
    return [
        user_turn(name, f"{name}-what", [whole], CUES + state["question"]),
        said_turn(name, f"{name}-named", ", ".join(target["phrase"] for target in targets)),
        user_turn(name, f"{name}-closer", [*marked, *crops], question),
    ]


@step
async def conclude(state: State, runtime: Runtime[Context]) -> Update:
    """Ask about the whole picture once more, with what the search of all its parts found."""
    desk = await desk_of("conclude", state, runtime)
    record = search_record(desk)
    pixels = max(1, round(record["least"]))
    whole = desk.bench.views.whole()["id"]
    question = searched_prompt(state["question"], record["found"], pixels, offered(desk))
    asked = await ask(desk, [user_turn("searched", "searched", [whole], question)])
    micro = candidate_record(asked.replies[0], state, desk.context.strategy, shown_in(asked.shown.turns))
    return {
        **asked.update,
        "messages": [*asked.shown.turns, reply_turn("searched", "searched-reply", asked.replies[0])],
        "micro": micro,
        "closer": "searched",
        "searched": record,
        "steps": said(f"Told what the search found, the model says: {micro['text']}", micro["views"]),
    }


def search_record(desk: Desk) -> SearchRecord:
    """How many of each thing were found, and from which size on nothing can have been missed."""
    state, views = desk.state, desk.bench.views
    targets, regions = state.get("targets", []), state.get("regions", [])
    least = max(least_seen(views, regions, target["phrase"]) for target in targets)
    numbers = [len(t.get("found", [])) if t["fate"] == "counted" else int(t["fate"] == "located") for t in targets]
    found = [(target["phrase"], number) for target, number in zip(targets, numbers, strict=True)]
    complete = least < least_seen(views, []) or least <= views.profile.smallest_visible
    return SearchRecord(least=round(least, 1), complete=complete, found=found)


@step
async def prove(state: State, runtime: Runtime[Context]) -> Update:
    """Score the micro answer with its crops blanked."""
    desk = await desk_of("prove", state, runtime)
    own = state["micro"]["likelihood"]
    bound = _bound(desk)
    if bound is not None:
        return bound
    *turns, last = dialogue(state, state["closer"])
    try:
        likelihoods, update = await score(desk, [_blanked(desk, turn) for turn in turns], [last["text"]])
    except RunError as error:
        if not error.code.startswith("budget_"):
            raise
        return {"proven": state["closer"], "steps": said(f"Whether the crops mattered was not measured. {error}")}
    without = usable(likelihoods[0]) if likelihoods else None
    if own is None or without is None:
        words = "Whether the crops mattered can not be measured with this model."
        return {**update, "proven": state["closer"], "steps": said(words)}
    delta = own["logprob"] - without.logprob
    proof = ProofRecord(shown=own["logprob"], blanked=without.logprob)
    text = f"{blanked_words(delta)}: they {'' if delta >= MATTERS else 'hardly '}mattered."
    crops = [view for view in state["micro"]["views"] if view != desk.bench.views.whole()["id"]]
    check = CheckRecord(id=f"mattered-{state['closer']}", kind="mattered", views=crops, text=text, value=delta)
    return {**update, "proof": proof, "proven": state["closer"], "checks": [check], "steps": said(text, crops)}


def _bound(desk: Desk) -> Update | None:
    """The proof that the first look gives for nothing: what it said so surely that this answer had little left. Only
    where an arbiter vouches for the likelihoods of this model; None where the bound does not suffice."""
    state = desk.state
    macro, micro = state["macro"], state["micro"]
    if arbiter_of(desk) is None or macro["likelihood"] is None or micro["likelihood"] is None:
        return None
    left = math.log(max(1 - math.exp(macro["likelihood"]["logprob"]), 1e-6))
    delta = micro["likelihood"]["logprob"] - left
    if plain(macro["text"]) == plain(micro["text"]) or not macro["valid"] or delta < MATTERS:
        return None
    proof = ProofRecord(shown=micro["likelihood"]["logprob"], blanked=left, bound=True)
    text = f"From the whole alone the answer had at most {math.exp(left):.1%}: the crops mattered."
    crops = [view for view in micro["views"] if view != desk.bench.views.whole()["id"]]
    check = CheckRecord(id=f"mattered-{state['closer']}", kind="mattered", views=crops, text=text, value=delta)
    return {"proof": proof, "proven": state["closer"], "checks": [check], "steps": said(text, crops)}


def blanked_words(delta: float) -> str:
    """What blanking the crops did to the answer's likelihood, in words; `delta` in nats."""
    if delta <= 0:
        return "With the crops blanked the answer is as likely or likelier"
    return (
        f"With the crops blanked the answer is {math.exp(min(delta, 50.0)):,.1f} times less likely ({delta:.1f} nats)"
    )


def _blanked(desk: Desk, turn: TurnRecord) -> TurnRecord:
    """The turn with everything blanked but the whole picture. Its marks stay: they show nothing of the crops."""
    views, whole = desk.bench.views, desk.bench.views.whole()["box"]
    kept = [view if views.record(view)["box"] == whole else views.blank(view)["id"] for view in turn["views"]]
    return {**turn, "views": kept}


def provable(state: State) -> bool:
    """Whether there is an answer from crops that was not put to the proof yet."""
    if "micro" not in state or state["micro"]["likelihood"] is None:
        return False
    if set(state["micro"]["views"]) <= set(state["macro"]["views"]):
        return False
    return state.get("proven") != state["closer"]
