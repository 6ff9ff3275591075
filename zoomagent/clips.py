"""A question about a clip: first the time, then the place.

"When …", "how long …", "how often …" and "is … before …" are answered by the graph of moments alone. For every other
question that graph finds the time at which the thing that it names can be seen, and the agent's own graph is asked
about the frame of that time; where the frame does not tell, about nine frames around it. Where it names two things that
are seen at different times, a sheet shows both; where nothing is named or found, nine frames of the whole clip. Each is
a picture to that graph, with the budget that is left.

Nothing is calibrated for clips, so an arbiter that was not named by the user is not asked. Left out: the graphs.
"""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from zoomagent.answer import Answer, from_state
from zoomagent.confidence.replies import abstains
from zoomagent.geometry import Box
from zoomagent.graphs import moments
from zoomagent.graphs.context import Bench, Context, Live
from zoomagent.graphs.judging import NO_ARBITER
from zoomagent.graphs.state import Question, State
from zoomagent.graphs.weighing import MATTERS
from zoomagent.graphs.when import is_silent
from zoomagent.media.recording import Recording
from zoomagent.media.video.sheet import Sheet
from zoomagent.media.video.video import Video
from zoomagent.models.profiles import UNKNOWN, Profile
from zoomagent.moments import GRID, Moment, seconds, words
from zoomagent.run_record import Cost, Evidence, Looked, LookedSheet, PictureInfo, SheetInfo, Step
from zoomagent.running import run
from zoomagent.tools.viewing import SheetRecord, ViewRecord, ViewStore

MOST_GRID = 4
"""Frames a side of a sheet that shows two times, at most: more would be too small."""
ONE_ROW = 20_000
"""Milliseconds of a sound that one row shows (ours); what is longer has three."""
AGAIN = 4
"""Calls that must be left for another look, at nine frames."""


@dataclass(frozen=True)
class ClipRun:
    """What came of a question: the state of the search in time (None: there was none), those of the looks at `sheets`,
    one each, and the sheet that the last look, or the answer, is about."""

    searched: State | None
    looks: Sequence[State]
    sheet: Sheet
    sheets: Sequence[Sheet] = ()


async def ask_clip(
    video: Recording,
    question: str,
    options: Sequence[str],
    context: Context,
    bench: Callable[[Sheet], Bench],
    saver: BaseCheckpointSaver[Any] | None,
    thread: str,
    settings: dict[str, Any],
    began: float,
) -> AsyncIterator[Step | ClipRun]:
    """Steps, then what came of the question. `bench` gives the views of a sheet, and the model."""
    whole = Sheet(video, video.moment, GRID)
    searched: State | None = None
    if context.strategy != "macro":
        start = Question(image=whole.id, question=question, options=list(options), settings=settings)
        live = Live(**dict(context), bench=bench(whole), spent=time.monotonic() - began)
        async for item in run(start, live, saver, thread, moments):
            if isinstance(item, Step):
                yield item
                continue
            searched = item
        assert searched is not None
        if is_silent(video) or not needs_look(searched):
            yield ClipRun(searched, (), shown_sheet(searched, whole))
            return
    looks: list[State] = []
    sheets = sheets_to_look_at(searched, whole)
    for number, sheet in enumerate(sheets, start=2):
        spent = [call for state in (searched, *looks) if state for call in state.get("calls", [])]
        narrowed = what_is_left(context, len(spent), sum(call["visual_tokens"] for call in spent))
        if looks and (not abstains_in(looks[-1]) or narrowed.budget.calls < AGAIN):
            break
        start = Question(
            image=sheet.id, question=question, options=list(options), settings=narrowed.model_dump(mode="json")
        )
        live = Live(**dict(narrowed), bench=bench(sheet), spent=time.monotonic() - began)
        async for item in run(start, live, saver, f"{thread}/{number}"):  # no name that a user can give
            if isinstance(item, Step):
                yield item.model_copy(update={"id": f"look-{number}-{item.id}"})
            else:
                looks.append(item)
    yield ClipRun(searched, looks, sheets[len(looks) - 1], sheets[: len(looks)])


def needs_look(searched: State) -> bool:
    """Whether the question is about what is to be seen, and the search did not end without an answer."""
    timing = searched.get("timing")
    return timing is not None and timing["kind"] == "look" and searched["outcome"]["kind"] in ANSWERED


ANSWERED = ("answered", "answered_degraded")


def sheets_to_look_at(searched: State | None, whole: Sheet) -> list[Sheet]:
    """The frame at which the one thing was seen, then nine frames around it; a sheet that shows two things; else nine
    frames of the clip."""
    found = searched.get("moments", []) if searched else []
    if whole.video.shows_all:
        return sheets_to_listen_to([Moment(*one["stretch"]) for one in found], whole)
    if not found:
        return [whole]
    frame = whole.other(Moment(found[0]["at"], found[0]["at"] + 1), 1)
    if len(found) == 1:
        return [frame, whole.other(Moment(*found[0]["stretch"]), GRID)]
    both = sheet_of_both(found[0]["at"], found[1]["at"], whole)
    return [whole] if both is None else [both, whole]


def sheets_to_listen_to(stretches: Sequence[Moment], whole: Sheet) -> list[Sheet]:
    """The spectrogram of the time at which the one thing was found, then that of all; of all where there are more."""
    everything = whole if whole.moment.length > ONE_ROW else whole.other(whole.moment, 1)
    return [whole.other(stretches[0], 1), everything] if len(stretches) == 1 else [everything]


def sheet_of_both(one: int, other: int, whole: Sheet) -> Sheet | None:
    """A sheet with as few frames as can be whose first and last are those of two times; None where one is too near an
    end of the clip."""
    video = whole.video
    assert isinstance(video, Video)
    numbers = sorted(video.number_at(time) for time in (one, other))
    if numbers[0] == numbers[1]:
        return whole.other(Moment(one, one + 1), 1)
    ends = [*video.times[numbers[0] : numbers[0] + 2], *video.times[numbers[1] : numbers[1] + 2], video.duration]
    # In the middle of both frames, so that rounding leads to no other.
    first, last = (ends[0] + ends[1]) // 2, (ends[2] + ends[3]) // 2
    for grid in range(2, MOST_GRID + 1):
        apart = (last - first) / (grid * grid - 1)
        start, end = round(first - apart / 2), round(last + apart / 2)
        if start >= 0 and end <= video.duration:
            return whole.other(Moment(start, end), grid)
    return None


def shown_sheet(searched: State, whole: Sheet) -> Sheet:
    """The sheet that shows the first moment with what is around it; all of the clip where there is none."""
    if "shown" not in searched:
        return whole
    return whole.other(Moment(*searched["shown"]["moment"]), searched["shown"]["grid"])


def what_is_left(context: Context, calls: int, visual_tokens: int) -> Context:
    """The settings with what is left of the budget. Only an arbiter that was named is asked."""
    budget = context.budget
    tokens = None if budget.visual_tokens is None else max(1, budget.visual_tokens - visual_tokens)
    left = budget.model_copy(update={"calls": max(1, budget.calls - calls), "visual_tokens": tokens})
    return context.model_copy(update={"budget": left, "arbiter": context.arbiter or NO_ARBITER})


def abstains_in(state: State) -> bool:
    verdict = state.get("verdict")
    return verdict is not None and abstains(verdict["text"]) and not verdict.get("withheld")


def what_was_read(recording: Recording, profile: Profile) -> list[str]:
    """What an answer about a sound rests on."""
    if not recording.shows_all:
        return []
    if profile.sound == "audio":
        return [HEARD]
    return [READ] if profile.sound != "none" else [READ, UNTAUGHT]


HEARD = "The model was given the sound and shown its spectrogram; of more than a minute at a time, that alone."
READ = "A spectrogram was read: nothing was heard."
UNTAUGHT = "This model is not known to have been taught sounds: zoomagent doctor measures how well it reads them."


# The answer


def answer_of(run: ClipRun, model: str, strategy: str, seconds: float) -> Answer:
    """One answer of all that was done: the last look's, or the search's; all steps and the whole price."""
    states = [state for state in (run.searched, *run.looks) if state]
    parts = [from_state(state, model=model, strategy=strategy) for state in states]
    last, first, shown, given = parts[-1], parts[0], frames_in(run), info_of(run.sheet)
    evidence = evidence_of(last, shown, run.sheet) if run.looks else proof_of(run, last)
    # The answer's picture: the frames that it rests on, where the model asked for others than it was given.
    rests_on = [item.sheet or given for item in evidence if item.chosen and item.perspective == "micro"]
    info = rests_on[-1] if rests_on else given
    evidence = [placed(item, item.sheet or given, info) for item in evidence]
    sheet = run.sheet.other(Moment(*info.moment), info.grid)
    picture = last.picture or PictureInfo(id=sheet.id, width=sheet.size.width, height=sheet.size.height)
    made = {"id": sheet.id, "width": sheet.size.width, "height": sheet.size.height, "sheet": info}
    boxes, regions = (last.boxes, last.regions) if info == given else ((), ())
    return last.model_copy(
        update={
            "cost": cost_of(parts, seconds),
            "steps": steps_of(parts, run, info == given),
            "moments": first.moments if run.searched else (),
            "views": tuple(Looked(**one.model_dump(exclude={"sheet"})) for one in shown if one.sheet == info),
            "frames": tuple(one for one in shown if one.sheet != info),
            "regions": regions,
            "picture": picture.model_copy(update=made) if last.outcome.kind in ANSWERED else None,
            "evidence": tuple(evidence),
            "boxes": boxes or tuple(item.box for item in evidence if item.chosen and item.sheet is None),
            "reasons": last.reasons if not run.looks else (*last.reasons, *where_looked(first, run, sheet)),
        }
    )


def placed(item: Evidence, sheet: SheetInfo, picture: SheetInfo) -> Evidence:
    """Evidence that lies in the frames `sheet`, of an answer whose picture are the frames `picture`."""
    return item.model_copy(update={"sheet": None if sheet == picture else sheet})


def cost_of(parts: Sequence[Answer], seconds: float) -> Cost:
    """What all parts cost."""
    return Cost(
        model_calls=sum(part.cost.model_calls for part in parts),
        visual_tokens=sum(part.cost.visual_tokens for part in parts),
        prompt_tokens=sum(part.cost.prompt_tokens for part in parts),
        completion_tokens=sum(part.cost.completion_tokens for part in parts),
        seconds=max(seconds, sum(part.cost.seconds for part in parts)),
        seconds_in_model=sum(part.cost.seconds_in_model for part in parts),
    )


def steps_of(parts: Sequence[Answer], run: ClipRun, rests_on_given: bool) -> tuple[Step, ...]:
    """The steps of all parts. Boxes of another look, or in other frames, lie in another picture than the answer's."""
    steps = list(parts[0].steps) if run.searched else []
    for number, part in enumerate(parts[1:] if run.searched else parts, start=2):
        boxes = {} if part is parts[-1] and rests_on_given else {"boxes": ()}
        steps += [step.model_copy(update={"id": f"look-{number}-{step.id}", **boxes}) for step in part.steps]
    return tuple(steps)


def info_of(sheet: Sheet) -> SheetInfo:
    """A sheet as plain values."""
    return SheetInfo(
        moment=(sheet.moment.start, sheet.moment.end),
        grid=sheet.grid,
        duration=sheet.video.duration,
        clip=sheet.video.id,
        hidden=tuple((span.start, span.end) for span in sheet.hidden),
        heard=sheet.video.shows_all,
    )


def frames_in(run: ClipRun) -> tuple[LookedSheet, ...]:
    """The views of all that the model was shown, each with the frames that it lies in."""
    whole = run.sheet.other(run.sheet.video.moment, GRID)
    shown = [(view, whole) for view in (run.searched.get("views", []) if run.searched else [])]
    for state, sheet in zip(run.looks, run.sheets, strict=True):
        shown += [(view, sheet) for view in state.get("views", [])]
    return tuple(looked_sheet(view, sheet) for view, sheet in shown if not view.get("blank") and not view.get("marks"))


def evidence_of(answer: Answer, shown: Sequence[LookedSheet], given: Sheet) -> list[Evidence]:
    """The evidence of a look at the frames `given`, with the time that each box shows, and the frames it lies in."""
    sheets = {looked.view: looked.sheet for looked in shown}
    items = []
    for item in answer.evidence:
        info = sheets.get(item.view, info_of(given))
        moment = given.other(Moment(*info.moment), info.grid).moment_of(Box(*item.box))
        items.append(item.model_copy(update={"moment": (moment.start, moment.end), "sheet": info}))
    return items


def looked_sheet(view: ViewRecord, picture: Sheet) -> LookedSheet:
    """A view of a run on `picture`, with the frames in which its box lies."""
    own = SheetRecord(moment=picture.moment.as_list(), grid=picture.grid, hidden=[s.as_list() for s in picture.hidden])
    made = view.get("sheet", own)
    fields = {name: view[name] for name in ("source", "box", "size", "depth")}
    info = {**made, "duration": picture.video.duration, "clip": picture.video.id}
    info["heard"] = made.get("heard", False) or picture.video.shows_all
    return LookedSheet.model_validate({"view": view["id"], **fields, "sheet": info})


def where_looked(first: Answer, run: ClipRun, sheet: Sheet) -> list[str]:
    """How the frames `sheet` were chosen that a question about what is to be seen was answered from."""
    found = first.reasons[:1] if run.searched is not None and first.moments else ()
    if sheet.video.shows_all:
        return [" ".join([f"Answered from the spectrogram from {words(sheet.moment)}.", *found])]
    frames = f"{sheet.grid**2} frames from {words(sheet.moment)}"
    if sheet.grid == 1:
        frames = f"the frame at {seconds(sheet.time_of(0))}"
    elif sheet.moment == sheet.video.moment:
        frames = f"{sheet.grid**2} frames of the whole clip"
    return [" ".join([f"Answered from {frames}.", *found])]


def proof_of(run: ClipRun, answer: Answer) -> list[Evidence]:
    """The cells that show the first moment, and what making them grey did."""
    state = run.searched
    if state is None or "shown" not in state:
        return []
    sheet, record = run.sheet, state["moments"][0]
    moment, proof = Moment(*record["moment"]), state.get("proof")
    cells = [sheet.cell(n) for n in range(sheet.grid**2) if moment.holds(sheet.time_of(n))]
    cells = [Box(*record["box"])] if "box" in record else cells
    cells = cells or [sheet.cell(min(range(sheet.grid**2), key=lambda n: abs(sheet.time_of(n) - moment.middle)))]
    rows: dict[int, Box] = {}
    for cell in cells:
        row = rows.get(cell.top, cell)
        rows[cell.top] = Box(min(row.left, cell.left), cell.top, max(row.right, cell.right), cell.bottom)
    delta = proof["shown"] - proof["blanked"] if proof else None
    items = []
    for box in rows.values():
        record_of = ViewStore(sheet, UNKNOWN).add(box)
        items.append(
            Evidence(
                perspective="micro",
                view=record_of["id"],
                box=box.corners,
                size=(record_of["size"][0], record_of["size"][1]),
                text=answer.text,
                chosen=True,
                phrase=record["phrase"],
                seen=record["seen"],
                delta=delta,
                mattered=None if delta is None else delta >= MATTERS,
                moment=(moment.start, moment.end),
            )
        )
    return items
