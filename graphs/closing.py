"""The end of a closer look: ask again with the crops, or with what a search found, and measure whether the crops
mattered.

One crop: DualFocus' two turns (the box as the model would have said it, then the whole and the crop). Several: the
whole with the boxes drawn in, and every crop. The evidence proof scores the answer once more with the crops blanked:
what is left of its likelihood did not need the crops (a counterfactual that benchmarks make after the fact, made at run
time). Left out: what follows from it (`judging.py`).
"""

import math
from collections.abc import Sequence

from zoomagent.confidence import claims
from zoomagent.confidence.likelihood import usable
from zoomagent.confidence.relations import PLACES, Sort, is_so, relation_in
from zoomagent.confidence.replies import abstains, plain
from zoomagent.errors import RunError
from zoomagent.geometry import Box
from zoomagent.graphs.asking import NodeRun, ask, assistant_turn, labels_of, reply_turn, score, user_turn
from zoomagent.graphs.deciding import found_targets
from zoomagent.graphs.endings import model_step, step_words
from zoomagent.graphs.judging import arbiter_of
from zoomagent.graphs.reading import check_reading
from zoomagent.graphs.sentences import things_missed
from zoomagent.graphs.state import (
    CandidateRecord,
    CheckRecord,
    LikelihoodRecord,
    ProofRecord,
    SearchRecord,
    State,
    TargetRecord,
    TurnRecord,
    Update,
    dialogue,
)
from zoomagent.graphs.weighing import MATTERS, candidate_record, read_answer
from zoomagent.media.video.sheet import Sheet
from zoomagent.prompts import CUES, box_prompt, micro_prompt, searched_prompt, several_prompt
from zoomagent.tools.cropping import written
from zoomagent.tools.searching import SEEN, least_seen

# The micro answer


@model_step
async def answer(run: NodeRun) -> Update:
    """Ask the question again with the crops: the micro answer."""
    state, attempt = run.state, run.state.get("attempts", 0) + 1
    name, targets = f"closer-{attempt}", found_targets(state)
    # As many as the model takes beside the whole: those that are seen best, in their order.
    room = max(1, run.bench.model.profile.max_images - 1)
    best = sorted(targets, key=lambda target: -1.0 if target["seen"] is None else target["seen"], reverse=True)[:room]
    targets = [target for target in targets if target in best]
    measured = measure_places(run, name, targets)
    if measured is not None:
        return measured
    exchange = await ask(run, closer_turns(run, name, targets))
    micro = candidate_record(run, exchange)
    checks, problems = await check_reading(run, name, [target["crop"] for target in targets], micro["text"])
    by_boxes = relation_check(run, f"boxes-{name}", targets)
    checks = [*checks, *([by_boxes] if by_boxes else [])]
    notes = [note["text"] for note in (*checks, *problems)]
    return {
        "messages": [*exchange.turns, reply_turn(name, f"{name}-reply", exchange.reply)],
        "micro": micro,
        "closer": name,
        "attempts": attempt,
        "answered": state["policy"],
        "checks": checks,
        "problems": problems,
        "steps": step_words(" ".join([f"Looked closer and read: {micro['text']}", *notes]), micro["views"]),
    }


def measure_places(run: NodeRun, name: str, targets: Sequence[TargetRecord]) -> Update | None:
    """The answer by the boxes of two things, where the question is about nothing but how they lie to each other, and
    both were surely seen; None where the model must say it."""
    check = relation_check(run, f"placed-{name}", targets)
    relation = relation_in(run.state["question"], run.state.get("phrases", []))
    seen = [target["seen"] for target in targets if target["seen"] is not None and target["seen"] >= SEEN]
    shown = {view["id"] for view in run.state.get("views", [])}
    if check is None or relation is None or relation.sort not in PLACES or len(seen) != 2:
        return None
    said, crops = read_answer(run, relation.yes if check["value"] else relation.no), check["views"]
    if not said.valid or not shown.issuperset(crops):
        return None
    # It is as sure as it is that the boxes hold these two things.
    sure = LikelihoodRecord(logprob=math.log(seen[0] * seen[1]), tokens=1)
    # The dialogue in which both answers can be weighed. It shows nothing that the model was not shown.
    prompt = micro_prompt(run.state["question"], run.options())
    shown_turn = user_turn(name, f"{name}-closer", crops, prompt, labels_of(run.state))
    return {
        "messages": [shown_turn, assistant_turn(name, f"{name}-reply", said.text)],
        "micro": CandidateRecord(
            text=said.text, reply=said.text, letter=said.letter, valid=True, likelihood=sure, views=crops
        ),
        "closer": name,
        "attempts": run.state.get("attempts", 0) + 1,
        "answered": run.state["policy"],
        "checks": [check],
        "steps": step_words(f"{check['text']} The answer is {said.text}", crops),
    }


def relation_check(run: NodeRun, id: str, targets: Sequence[TargetRecord]) -> CheckRecord | None:
    """Whether two things lie to each other, or look as large, as the question asks; None where their boxes do not
    tell."""
    state, picture = run.state, run.bench.views.picture
    relation = relation_in(state["question"], state.get("phrases", []))
    boxes = {target["phrase"]: Box(*target["box"]) for target in targets if target["box"]}
    # Frames of a clip lie beside each other in their sheet, and of several things of a name any may be meant.
    if (isinstance(picture, Sheet) and picture.grid > 1) or any(target.get("several") for target in targets):
        return None
    if relation is None or set(boxes) != set(state["phrases"]):
        return None
    one, other = (state["phrases"][number] for number in (relation.first, relation.second))
    so = is_so(relation.sort, boxes[one], boxes[other])
    if so is None:
        return None
    text = f"By their boxes the {one} is {'' if so else 'not '}{SORTS[relation.sort]} the {other}."
    crops = [target["crop"] for target in targets]
    return CheckRecord(id=id, kind="placed", views=crops, text=text, value=float(so))


SORTS: dict[Sort, str] = {
    "left": "left of",
    "right": "right of",
    "above": "above",
    "below": "below",
    "larger": "larger in the picture than",
    "smaller": "smaller in the picture than",
}


def closer_turns(run: NodeRun, name: str, targets: Sequence[TargetRecord]) -> list[TurnRecord]:
    """The dialogue that shows the crops: DualFocus' own for one; for several the marked whole, where the model takes so
    many views, and a crop for each."""
    views, question = run.bench.views, run.state["question"]
    whole = views.whole()["id"]
    crops = [target["crop"] for target in targets]
    boxes = [Box(*target["box"]) for target in targets if target["box"]]
    one, given = len(targets) == len(boxes) == 1, all(target.get("given") for target in targets)
    if one or given:
        first, names = box_prompt(question, views.profile.space), ("where", "box")
        reply = ", ".join(str(written(views, whole, box)) for box in boxes)
    else:
        first, names = CUES + question, ("what", "named")
        reply = ", ".join(target["phrase"] for target in targets)
    close, prompt = crops, micro_prompt
    if not one:
        fits = 2 + len(crops) <= views.profile.max_images
        close = [views.marked(whole, boxes)["id"], *crops] if fits else crops
        prompt = several_prompt if fits else micro_prompt
    return [
        user_turn(name, f"{name}-{names[0]}", [whole], first),
        assistant_turn(name, f"{name}-{names[1]}", reply),
        user_turn(name, f"{name}-closer", close, prompt(question, run.options()), labels_of(run.state)),
    ]


@model_step
async def conclude(run: NodeRun) -> Update:
    """Ask about the whole picture once more, with what the search of all its parts found."""
    record = search_record(run)
    if is_borne_out(run.state, record):
        words = f"The search bears out what the whole picture gave: {run.state['macro']['text']}"
        return {"micro": run.state["macro"], "closer": "macro", "searched": record, "steps": step_words(words)}
    pixels = max(1, round(record["least"]))
    whole = run.bench.views.whole()["id"]
    question = searched_prompt(run.state["question"], record["found"], pixels, run.options())
    exchange = await ask(run, [user_turn("searched", "searched", [whole], question, labels_of(run.state))])
    micro = candidate_record(run, exchange)
    return {
        "messages": [*exchange.turns, reply_turn("searched", "searched-reply", exchange.reply)],
        "micro": micro,
        "closer": "searched",
        "searched": record,
        "steps": step_words(f"Told what the search found, the model says: {micro['text']}", micro["views"]),
    }


def is_borne_out(state: State, record: SearchRecord) -> bool:
    """Whether the first answer says just what the search found, so that asking again can change nothing: the number of
    all things counted, or of which there are more; a "No" about what was not found; "Cannot tell" where no option says
    that it is not there."""
    macro, numbers = state["macro"], [number for _, number in record["found"]]
    # "No" to a question that denies ("Is there no dog?") says the contrary.
    if not macro["valid"] or not record["complete"] or claims.denies(state["question"]):
        return False
    if claims.counts(state["question"]):
        names = [name for name, _ in record["found"]]
        if not claims.asks_for_all_of(state["question"], names):
            return False
        more = len(names) == 2 and claims.says_which_are_more(state["question"], names, numbers, macro["text"])
        return more or [claims.number(macro["text"])] == numbers
    if any(numbers) or things_missed(state):
        return False
    if abstains(macro["text"]):
        options = state.get("options", [])
        return bool(options) and not any(claims.negative(option) for option in options)
    return claims.negative(macro["text"])


def search_record(run: NodeRun) -> SearchRecord:
    """How many of each thing were found, and from which size on nothing can have been missed."""
    state, views = run.state, run.bench.views
    targets, regions = state.get("targets", []), state.get("regions", [])
    least = max(least_seen(views, regions, target["phrase"]) for target in targets)
    numbers = [len(t.get("found", [])) if t["fate"] == "counted" else int(t["fate"] == "located") for t in targets]
    found = [(target["phrase"], number) for target, number in zip(targets, numbers, strict=True)]
    complete = least < least_seen(views, []) or least <= views.profile.smallest_visible
    return SearchRecord(least=round(least, 1), complete=complete, found=found)


# The proof


@model_step
async def prove(run: NodeRun) -> Update:
    """Score the micro answer with its crops blanked."""
    state, views = run.state, run.bench.views
    own, whole = state["micro"]["likelihood"], views.whole()
    crops = [view for view in state["micro"]["views"] if view != whole["id"]]
    bound = proof_without_call(run)
    if bound is None and f"placed-{state['closer']}" in {check["id"] for check in state.get("checks", [])}:
        return {
            "proven": state["closer"],
            "steps": step_words("The answer rests on places, which no blank takes away."),
        }
    if bound is not None:
        text = f"From the whole alone the answer had at most {math.exp(bound['blanked']):.1%}: the crops mattered."
        return proof_update(state, bound, text, crops)
    *turns, last = dialogue(state, state["closer"])
    # Everything is blanked but the whole picture. Its marks stay: they show nothing of the crops.
    blanked: list[TurnRecord] = [
        {**t, "views": [v if views.shows_all(v) else views.blank(v)["id"] for v in t["views"]]} for t in turns
    ]
    try:
        likelihoods = await score(run, blanked, [last["text"]])
    except RunError as error:
        if not error.code.startswith("budget_"):
            raise
        words = f"Whether the crops mattered was not measured. {error}"
        return {"proven": state["closer"], "steps": step_words(words)}
    without = usable(likelihoods[0]) if likelihoods else None
    if own is None or without is None:
        words = "Whether the crops mattered cannot be measured with this model."
        return {"proven": state["closer"], "steps": step_words(words)}
    delta = own["logprob"] - without.logprob
    less = f"{math.exp(min(delta, 50.0)):,.1f} times less likely ({delta:.1f} nats)"
    text = f"With the crops blanked the answer is {less if delta > 0 else 'as likely or likelier'}"
    text = f"{text}: they {'' if delta >= MATTERS else 'hardly '}mattered."
    return proof_update(state, ProofRecord(shown=own["logprob"], blanked=without.logprob), text, crops)


def proof_update(state: State, proof: ProofRecord, text: str, crops: list[str]) -> Update:
    """What a proof adds to the state."""
    value = proof["shown"] - proof["blanked"]
    check = CheckRecord(id=f"mattered-{state['closer']}", kind="mattered", views=crops, text=text, value=value)
    return {"proof": proof, "proven": state["closer"], "checks": [check], "steps": step_words(text, crops)}


def proof_without_call(run: NodeRun) -> ProofRecord | None:
    """The proof that the first look gives for nothing: what it said so surely that this answer had little left. Only
    where an arbiter vouches for the likelihoods of this model; None where the bound does not suffice."""
    macro, micro = run.state["macro"], run.state["micro"]
    if arbiter_of(run) is None or macro["likelihood"] is None or micro["likelihood"] is None:
        return None
    left = math.log(max(1 - math.exp(macro["likelihood"]["logprob"]), 1e-6))
    delta = micro["likelihood"]["logprob"] - left
    if plain(macro["text"]) == plain(micro["text"]) or not macro["valid"] or delta < MATTERS:
        return None
    return ProofRecord(shown=micro["likelihood"]["logprob"], blanked=left, bound=True)


def is_provable(state: State) -> bool:
    """Whether there is an answer from crops that was not put to the proof yet."""
    if "macro" not in state or "micro" not in state or state["micro"]["likelihood"] is None:
        return False
    if set(state["micro"]["views"]) <= set(state["macro"]["views"]):
        return False
    return state.get("proven") != state.get("closer")
