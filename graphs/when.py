"""The nodes of the graph of moments: understand, seek, bound, prove, tell.

Each asks the model as little as a step can, so that a killed run goes on in the middle of a search. What is found is
bounded to a tenth of itself, or to a frame. Left out: the wiring (`moments.py`), what a question's words mean
(`timing.py`), and looking closer inside a frame, which is the work of the graph `zoom`.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace

from zoomagent.confidence.looks import looks_of
from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.errors import InputRefused, OutsideWorld
from zoomagent.graphs.asking import BudgetedModel, NodeRun
from zoomagent.graphs.endings import model_step, step_words
from zoomagent.graphs.judging import any_arbiter
from zoomagent.graphs.locating import named
from zoomagent.graphs.looking import picture_record
from zoomagent.graphs.sounding import asks_for_source
from zoomagent.graphs.state import (
    CheckRecord,
    MomentRecord,
    OutcomeRecord,
    ProofRecord,
    State,
    TimingRecord,
    Update,
    VerdictRecord,
    stopped,
)
from zoomagent.graphs.timing import asks_for_after, timing_of
from zoomagent.graphs.weighing import MATTERS, UNPROMISED, withhold
from zoomagent.media.recording import Recording
from zoomagent.media.sound.sound import Sound
from zoomagent.media.video.sheet import Sheet
from zoomagent.models.base import Message, Text
from zoomagent.moments import Moment, intersect, joined, seconds, widened, words
from zoomagent.prompts import CUES
from zoomagent.tools import bounding, seeking
from zoomagent.tools.bounding import Edge, Side, is_there
from zoomagent.tools.verifying import sees
from zoomagent.tools.viewing import SheetRecord, ViewStore

NEVER = "Never"
AT_LEAST = "at least "
MOST_OFTEN = 5
"""Moments of one thing that are looked for (ours)."""
MOST_THINGS = 2
"""Things of a question about what is to be seen that are looked for in time: a sheet can show the frames of two."""
SIDES: tuple[Side, Side] = (-1, 1)
MUTED = "The sound is silent: there is nothing to be heard in it."
STRIDE = 3
"""Where a thing's moments are counted, edges are felt for in steps of at most so many of the finest stretches: 27 looks
for all of a clip (ours)."""


def sheet_of(views: ViewStore) -> Sheet:
    """The run's picture, which must be a sheet of a clip's frames."""
    if not isinstance(views.picture, Sheet):
        raise InputRefused("This graph answers about clips and sounds. Ask `zoom` about pictures.", code="bad_state")
    return views.picture


@model_step
async def understand(run: NodeRun) -> Update:
    """What is asked of the clip's time, and about which things; the model names them where the words do not."""
    views, question = run.bench.views, run.state["question"]
    sheet = sheet_of(views)
    await asyncio.to_thread(admit_frames, run, sheet)
    if not sheet.video.shows_all and asks_for_source(question):
        text = "The clip's sound and its frame are to be shown together."
        timing = TimingRecord(kind="source", phrases=[])
        return {"picture": picture_record(run), "timing": timing, "steps": step_words(text)}
    kind, phrases = timing_of(question, heard=sheet.video.shows_all)
    if is_silent(sheet.video):
        timing = TimingRecord(kind=kind, phrases=[])
        return {"picture": picture_record(run), "timing": timing, "steps": step_words(MUTED)}
    if run.state.get("options"):
        kind, phrases = "look", []
    if not phrases:
        view = views.sheet(sheet.moment, sheet.grid)["id"]
        message = Message("user", (await views.pixels(view), Text(CUES + question)))
        [reply] = await BudgetedModel(run).generate([message], max_tokens=run.context.max_tokens, task="image")
        found = named(reply.text, question)
        phrases = [] if found == [question] or len(found) > MOST_THINGS else list(dict.fromkeys(found))
    text = f"To be found in time: {', '.join(phrases)}." if phrases else "Nothing in particular is to be found in time."
    timing = TimingRecord(kind=kind, phrases=phrases)
    return {"picture": picture_record(run), "timing": timing, "steps": step_words(text)}


def is_silent(recording: Recording) -> bool:
    """Whether it is a sound in which nothing is to be heard: no model is asked then."""
    return isinstance(recording, Sound) and recording.silent


def admit_frames(run: NodeRun, sheet: Sheet) -> None:
    """Raises OutsideWorld where the model knows one world only and no frame that is looked at is of it. Frames are
    looked at one by one: a sheet of frames is like no picture that was ever certified."""
    arbiter, views = any_arbiter(run), run.bench.views
    if arbiter is None or not arbiter.provenance.world:
        return
    frames = (views.sheet(part, 1)["id"] for part in sheet.slices)
    what = "the spectrogram of a sound" if sheet.video.shows_all else "a frame of this clip"
    if not any(arbiter.knows(list(looks_of(views.image(frame)))) for frame in frames):
        raise OutsideWorld(
            f"This model only knows its own world, {arbiter.provenance.world}: no picture that was certified looks "
            f"like {what}. Start a real one: --model URL#NAME. What this one says all the same: "
            '--arbiter none (in Python arbiter="none").'
        )


# Seek


def wanted(state: State) -> str | None:
    """The thing that is looked for next; None when the search is over."""
    timing, found = state["timing"], state.get("moments", [])
    for phrase in timing["phrases"]:
        mine = [one for one in found if one["phrase"] == phrase]
        over = len(mine) >= (MOST_OFTEN if timing["kind"] == "often" else 1)
        begun = [one for one in state.get("stretches", []) if (one["phrase"], one["turn"]) == (phrase, len(mine) + 1)]
        if not over and (not begun or any(one["fate"] == "open" for one in begun)):
            return phrase
    return None


def unbounded(state: State) -> MomentRecord | None:
    """A moment whose edges are not known well enough yet; none are wanted where the question is about what is to be
    seen."""
    if state["timing"]["kind"] == "look":
        return None
    open_moment = next((one for one in state.get("moments", []) if not one["bounded"]), None)
    pair = pair_of(state)
    if open_moment is not None or pair is None or not began_together(*pair):
        return open_moment
    # Which began first is not known yet: the beginning that is known worse is felt for, down to a frame.
    return max((one for one in pair if not one["exact"]), key=lambda one: first_of(one).length, default=None)


def pair_of(state: State) -> tuple[MomentRecord, MomentRecord] | None:
    """The two moments whose order is asked for, once both are there. In a silent sound nothing is looked for."""
    timing = state.get("timing", TimingRecord(kind="look", phrases=[]))
    if timing["kind"] != "order" or len(timing["phrases"]) != 2:
        return None
    found = {one["phrase"]: one for one in reversed(state.get("moments", []))}
    first, other = (found.get(phrase) for phrase in timing["phrases"])
    return None if first is None or other is None else (first, other)


def first_of(record: MomentRecord) -> Moment:
    """When a moment may have begun, as far as it is known."""
    there, gone, _ = record["left"]
    assert there is not None
    return Moment(0 if gone is None else gone + 1, there + 1)


def began_together(one: MomentRecord, other: MomentRecord) -> bool:
    """Whether two moments may have begun at the same time."""
    return intersect(first_of(one), first_of(other)).length > 0


@model_step
async def seek(run: NodeRun) -> Update:
    """Look at the most probable stretch of time for the thing that is wanted."""
    state, views = run.state, run.bench.views
    sheet, phrase = sheet_of(views), wanted(state)
    assert phrase is not None
    before = [one for one in state.get("moments", []) if one["phrase"] == phrase]
    turn, stretches = len(before) + 1, state.get("stretches", [])
    stretch = seeking.best(stretches, phrase, turn) or seeking.root(phrase, sheet.video.moment, turn)
    # A question about what is to be seen needs calls for the frame, too.
    keep = run.context.budget.calls // 2 if state["timing"]["kind"] == "look" else 1
    look = await seeking.look_at(BudgetedModel(run, keep=keep), views, stretch, [known_span(one) for one in before])
    found, moment = look.found, Moment(*stretch["moment"])
    shown = f"the spectrogram from {words(moment)}" if sheet.video.shows_all else f"nine frames from {words(moment)}"
    if found is None or found["at"] is None:
        parts = (one for one in look.stretches if one["parent"] == stretch["id"])
        closer = next((one for one in parts if one["at"] is not None), None)
        told = f"{phrase} was not borne out"
        if closer is not None:
            told = f"{phrase} is there from {words(Moment(*closer['moment']))}, to be looked at closer"
        return {"stretches": look.stretches, "steps": step_words(f"Looked at {shown}: {told}.", look.views)}
    # Of a sound it is only known that a part has something of it: so its beginning is before the part's end.
    part = Moment(*found.get("part", moment.as_list()))
    inside = (part.end, part.start) if sheet.video.shows_all else (found["at"], found["at"])
    step = max(1, part.length)
    room, (first, most) = room_around(found["at"], before, sheet.video.moment), steps_of(state, step, sheet.video)
    edges = [
        edge_record(bounding.edge_from(time, side, first, most, 1, room))
        for time, side in zip(inside, SIDES, strict=True)
    ]
    seen_at = Moment(found["at"], min(sheet.video.duration, found["at"] + sheet.video.frame_gap))
    around = Moment(max(0, found["at"] - step // 2), min(sheet.video.duration, found["at"] + step // 2 + 1))
    if sheet.video.shows_all:
        seen_at, around = part, widened(part, part.length, sheet.video.duration)
    record = MomentRecord(
        id=f"moment-{len(state.get('moments', [])) + 1}",
        phrase=phrase,
        at=found["at"],
        seen=found["seen"],
        moment=seen_at.as_list(),
        stretch=around.as_list(),
        left=edges[0],
        right=edges[1],
        bounded=False,
        exact=False,
    )
    text = f"Looked at {shown}: {phrase} is there at {seconds(found['at'])}."
    return {"stretches": look.stretches, "moments": [record], "steps": step_words(text, look.views)}


def known_span(record: MomentRecord) -> Moment:
    """The time in which nothing new can be found: a moment up to where it is known to be over on both sides."""
    (_, before, _), (_, behind, _) = record["left"], record["right"]
    start, end = record["moment"]
    return Moment(start if before is None else before + 1, end if behind is None else behind)


def room_around(at: int, others: Sequence[MomentRecord], whole: Moment) -> Moment:
    """The time around `at` up to where the same thing is known not to be there, from other moments of it."""
    gone = [time for one in others for _, time, _ in (one["left"], one["right"]) if time is not None]
    start = max((time + 1 for time in gone if time < at), default=whole.start)
    return Moment(max(whole.start, start), min((time for time in gone if time > at), default=whole.end))


def steps_of(state: State, step: int, video: Recording) -> tuple[int, int]:
    """How far out the first look for an edge goes, and how far any. What is counted may be gone in between, so steps
    stay short there."""
    if state["timing"]["kind"] != "often":
        return step, video.duration
    finest = seeking.finest(video.moment)
    return finest, STRIDE * finest


# Bound


def edge_record(edge: Edge) -> list[int | None]:
    return [edge.there, edge.gone, edge.step]


def edge_of(record: list[int | None], side: Side, most: int, least: int) -> Edge:
    there, gone, step = record
    return Edge(side, there or 0, gone, step or 1, most, least)


@model_step
async def bound(run: NodeRun) -> Update:
    """One look at where a moment may begin or end."""
    record, views = unbounded(run.state), run.bench.views
    assert record is not None
    video = sheet_of(views).video
    others = [one for one in run.state["moments"] if one["phrase"] == record["phrase"] and one["id"] != record["id"]]
    room, (_, most) = room_around(record["at"], others, video.moment), steps_of(run.state, 1, video)
    left, right = edges_of(record, most, video.frame_gap)
    if record["bounded"]:
        left = replace(left, least=video.frame_gap)
    edge = left if not left.done else right
    update: Update = {"steps": []}
    if not edge.done:
        span, there, shown = bounding.looked_at(edge, video), False, []
        if span.length >= (video.frame_gap if video.shows_all else 1):
            frame = views.sheet(span, 1)
            there, _ = await is_there(BudgetedModel(run), views, frame["id"], record["phrase"])
            shown = [frame["id"]]
        when = f"From {words(span)}" if video.shows_all else f"At {seconds(edge.next)}"
        text = f"{when} {record['phrase']} is {'there' if there else 'not there'}."
        update["steps"] = step_words(text, shown)
        moved = bounding.after(edge, there, room)
        left, right = (moved, right) if edge is left else (left, moved)
    changed: MomentRecord = {**record, "left": edge_record(left), "right": edge_record(right)}
    changed["moment"] = bounding.moment_between(left, right, room, video.frame_gap).as_list()
    if video.shows_all:
        # What was borne out was a part of time; that it is there is known of the moment.
        changed["at"] = min(max(record["at"], changed["moment"][0]), changed["moment"][1] - 1)
    left, right = edges_of(changed, most, video.frame_gap)
    changed["bounded"] = record["bounded"] or (left.done and right.done)
    changed["exact"] = replace(left, least=video.frame_gap).done
    return {**update, "moments": [changed]}


def edges_of(record: MomentRecord, most: int, frame_gap: int) -> tuple[Edge, Edge]:
    """Both edges, each known well enough when its gap is a tenth of the moment, or a frame."""
    left, right = edge_of(record["left"], -1, most, 1), edge_of(record["right"], 1, most, 1)
    least = max(frame_gap, int(bounding.FINE * (right.there - left.there)))
    return replace(left, least=least), replace(right, least=least)


# Prove


@model_step
async def prove(run: NodeRun) -> Update:
    """Ask for the thing once with its moment shown, and once with the frames grey in which it was found."""
    record, views = run.state["moments"][0], run.bench.views
    hidden = [known_span(one) for one in run.state["moments"] if one["phrase"] == record["phrase"]]
    found = Moment(*record["moment"])
    around = widened(found, max(1, found.length), sheet_of(views).video.duration)
    shown = SheetRecord(moment=around.as_list(), grid=seeking.GRID, hidden=[])
    update: Update = {"shown": shown}
    if not run.context.proof:
        return update
    model = BudgetedModel(run, keep=0)
    with_it = views.sheet(around, shown["grid"])["id"]
    without = views.sheet(around, shown["grid"], hidden)["id"]
    before = await sees(model, views, with_it, record["phrase"])
    after = await sees(model, views, without, record["phrase"])
    if before is None or after is None:
        return {**update, "steps": step_words("Whether the moment mattered cannot be measured with this model.")}
    proof = ProofRecord(shown=math.log(max(before, 1e-9)), blanked=math.log(max(after, 1e-9)))
    delta = proof["shown"] - proof["blanked"]
    text = f"With the moment's frames grey, {record['phrase']} is seen with {after:.2f}, not {before:.2f}"
    text = f"{text}: the moment {'mattered' if delta >= MATTERS else 'hardly mattered'}."
    check = CheckRecord(id="mattered-moment", kind="mattered", views=[with_it, without], text=text, value=delta)
    return {**update, "proof": proof, "checks": [check], "steps": step_words(text, [with_it, without])}


# Tell


@model_step
async def tell(run: NodeRun) -> Update:
    """The answer in words, from what was found; no model is asked."""
    state = run.state
    text, reason = told(state, run.bench.views)
    least = min((one["seen"] for one in state.get("moments", []) if one["seen"] is not None), default=None)
    # How surely a moment was seen says nothing of those that were not: how often, and what began first, turn on these.
    if text in (NEVER, CANNOT_TELL) or state.get("timing", {}).get("kind") in ("often", "order"):
        least = None
    verdict = VerdictRecord(
        perspective="micro",
        text=text,
        confidence=least,
        confidence_from=None if least is None else "likelihood",
        reason=reason,
    )
    if run.context.target_error is not None and text != CANNOT_TELL:
        verdict = withhold(verdict, UNPROMISED)
    problems = state.get("problems", [])
    outcome = OutcomeRecord(
        kind="answered_degraded" if problems else "answered",
        reasons=[problem["text"] for problem in problems],
        code=None,
        exit_status=0,
        codes=[problem["code"] for problem in problems],
    )
    return {"verdict": verdict, "outcome": outcome, "steps": step_words(f"{text}. {reason}")}


def told(state: State, views: ViewStore) -> tuple[str, str]:
    """The answer's words and why."""
    video, timing = sheet_of(views).video, state.get("timing", TimingRecord(kind="look", phrases=[]))
    if timing["kind"] == "source":
        return answer_source(state)
    if is_silent(video):
        return {"when": NEVER, "long": NEVER, "often": "0"}.get(timing["kind"], CANNOT_TELL), MUTED
    found = sorted(state.get("moments", []), key=lambda one: one["moment"][0])
    names = [phrase for phrase in timing["phrases"] if not any(one["phrase"] == phrase for one in found)]
    why = " ".join(why_missed(state, phrase, views) for phrase in names)
    seen = " ".join(f"{one['phrase'].capitalize()} was seen from {words(Moment(*one['moment']))}." for one in found)
    reason = f"{seen} {why}".strip() or "The frames as a whole decide."
    if timing["kind"] == "order":
        return answer_order(state), f"{reason} What was there before, for a shorter time, may have been missed."
    if not found and names and not stopped(state):
        return ("0" if timing["kind"] == "often" else NEVER), reason
    if not found:
        return CANNOT_TELL, f"The search was not finished. {reason}" if names else reason
    if timing["kind"] == "often":
        return answer_count(state, views, reason)
    if timing["kind"] == "long":
        return seconds(found[0]["moment"][1] - found[0]["moment"][0]), reason
    return words(Moment(*found[0]["moment"])), reason


def why_missed(state: State, phrase: str, views: ViewStore) -> str:
    """What was looked at in vain, and what cannot be seen there. A sound's time is all shown, so its reason is what is
    too thin."""
    longest = seconds(longest_missed(state, phrase, views))
    if sheet_of(views).video.shows_all:
        return (
            f"No spectrogram that was looked at shows {phrase}. What takes less than {longest} is too thin to be seen."
        )
    return f"No frame that was looked at shows {phrase}: nothing longer than {longest} was missed."


def answer_source(state: State) -> tuple[str, str]:
    """Where what sounds is, as the box and the time of the frame."""
    [*found] = state.get("moments", [])
    if not found:
        return CANNOT_TELL, state["steps"][-1]["text"]
    text = f"{found[0].get('box')} at {seconds(found[0]['at'])}"
    return text, f"At {seconds(found[0]['at'])} the clip is loudest. Its spectrogram was read: nothing was heard."


def longest_missed(state: State, phrase: str, views: ViewStore) -> int:
    """Milliseconds that a thing was there at most without being found."""
    video, stretches = sheet_of(views).video, state.get("stretches", [])
    if video.shows_all:
        return seeking.longest_thin(stretches, phrase, views)
    return seeking.longest_missed(stretches, phrase, video.duration)


def answer_order(state: State) -> str:
    """Yes or No, where both things were found and one is known to have begun before the other."""
    pair = pair_of(state)
    if pair is None or began_together(*pair):
        return CANNOT_TELL
    first, other = pair
    earlier = first["moment"][0] < other["moment"][0]
    return "Yes" if earlier != asks_for_after(state["question"]) else "No"


def answer_count(state: State, views: ViewStore, reason: str) -> tuple[str, str]:
    """How many moments there are; a least number where the search ended before it found nothing more."""
    found, video = state["moments"], sheet_of(views).video
    count = len(joined(Moment(*one["moment"]) for one in found))
    stride = steps_of(state, 1, video)[1]
    missed = (longest_missed(state, one["phrase"], views) for one in found)
    longest = max(missed, default=0)
    reason = f"{reason} Moments with less than {seconds(stride)} between them may count as one."
    reason = f"{reason} Others of at most {seconds(longest)} may have been missed, so the number has no confidence."
    if len(found) < MOST_OFTEN and not stopped(state):
        return str(count), reason
    ended = "The search was not finished." if stopped(state) else f"No more than {MOST_OFTEN} are looked for."
    return f"{AT_LEAST}{count}", f"{reason} {ended}"
