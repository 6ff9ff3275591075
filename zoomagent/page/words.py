"""What pages and terminals say about a run, as plain values: the confidence and its kind, the two answers with their
bars, the checks, the timeline, the bill. No HTML, no pixels; the tree of views is `tree.py`."""

import math
from typing import Any

from zoomagent.moments import Moment, seconds, words
from zoomagent.run_record import Evidence, RunRecord, Span, Step

SIDE_OF_STEP = {"look": "macro"} | dict.fromkeys(
    ("locate", "zoom", "answer_again", "name", "ground", "confirm", "search", "drive", "check", "answer", "prove"),
    "micro",
)
TITLES = {"macro": "Macro: the whole picture", "micro": "Micro: the whole and what was zoomed into"}
WEIGHED = {
    "shared": "per-token probability, both images shown",
    "published": "the same, box turn counted in",
    "bound": "per-token probability, both images shown (of macro: at most)",
    "own": "per-token probability, own dialogue",
    "votes": "samples that said the same",
}
KINDS = {
    "calibrated": "calibrated probability of being right",
    "likelihood": "the model's own probability of these words, not calibrated",
    "agreement": "share of the samples that agree, not calibrated",
}
CHECKS = {
    "seen": "Is it there?",
    "reads": "Does reading agree?",
    "mattered": "Did the crops matter?",
    "placed": "Do they lie so?",
}
NOT_SURE = "not sure enough for the error rate asked for"
LONG = 24
"""Characters of an answer above which it is set smaller, in every page (ours): so many fit one line of a wide page."""
FINEST = 0.999
"""Probabilities above are shown as "over 99.9 %": nothing is certain."""


def outcome_words(answer: RunRecord) -> str:
    """The outcome for people."""
    if answer.withheld is not None:
        return "withheld: not sure enough"
    if answer.abstained:
        return "cannot tell"
    code = f" · {answer.outcome.code}" if answer.outcome.code else ""
    return {"answered": "answered", "answered_degraded": "answered, with less than asked for"}.get(
        answer.outcome.kind, answer.outcome.kind + code
    )


def confidence_kind(answer: RunRecord) -> str:
    """What kind of number the confidence is."""
    return KINDS[answer.confidence_from] if answer.confidence_from else "a number of unknown origin, not calibrated"


def no_confidence(answer: RunRecord) -> str:
    """Why there is no confidence, in words."""
    if not answer.answered:
        return "there is no answer"
    chosen = answer.micro if answer.perspective == "micro" else answer.macro
    if chosen is None or chosen.probability is None:
        return "the model gives no likelihoods"
    return "this answer was not earned, the reason says why"


def mattered(answer: RunRecord) -> Evidence | None:
    """The evidence that was put to the proof, where one was."""
    return next((item for item in answer.evidence if item.delta is not None), None)


def mattered_words(item: Evidence) -> str:
    """What blanking the crops showed, in nats."""
    assert item.delta is not None
    least = "at least " if item.at_least else ""
    less = f"the answer is {least}{item.delta:.1f} nats less likely without the crops"
    if item.delta < 0:
        less = f"the answer is no less likely without the crops ({item.delta:.1f} nats)"
    return f"yes: {less}" if item.mattered else f"hardly: {less}"


def percent(share: float) -> str:
    """A probability as people read it; never rounded to certainty."""
    if share > FINEST:
        return "over 99.9 %"
    return "under 0.1 %" if share < 1 - FINEST else f"{100 * share:.1f} %"


def sides(answer: RunRecord) -> list[dict[str, Any]]:
    """Macro and micro with what they said, and how likely it was."""
    both = {"macro": answer.macro, "micro": answer.micro}
    found: list[dict[str, Any]] = []
    for name, candidate in both.items():
        if candidate is None:
            continue
        bars = []
        if candidate.probability is not None:
            words, share = percent(candidate.probability), 100 * candidate.probability
            bars.append({"label": "probability where it was said", "words": words, "percent": share})
        if candidate.weight is not None and answer.compared_by is not None:
            likelihood = math.exp(min(candidate.weight, 0.0))
            words, share = percent(likelihood), 100 * likelihood
            if answer.compared_by == "votes":
                votes = sum(side.weight or 0 for side in both.values() if side is not None)
                words, share = f"{candidate.weight:.0f}", 100 * candidate.weight / max(votes, 1)
            bars.append({"label": WEIGHED[answer.compared_by], "words": words, "percent": share})
        chosen = answer.perspective == name
        found.append({"name": name, "title": TITLES[name], "c": candidate, "chosen": chosen, "bars": bars})
    return found


def checks(answer: RunRecord) -> list[dict[str, Any]]:
    """What was verified: the question, the finding in words, and its measure as a bar."""
    found = []
    for check in answer.checks:
        words, share = percent(check.value), check.value
        if check.kind == "mattered":
            # Nats, as the share of the answer's likelihood that is lost without the crops.
            words, share = f"{check.value:.1f} nats", 1 - math.exp(-min(max(check.value, 0.0), 50.0))
        elif check.kind == "reads":
            words = "agrees" if check.value >= 0.5 else "differs"
        elif check.kind == "placed":
            words = "yes" if check.value else "no"
        found.append({"title": CHECKS[check.kind], "text": check.text, "words": words, "percent": 100 * share})
    return found


def timeline(answer: RunRecord) -> list[dict[str, Any]]:
    """Steps with their share of the whole time, one after the other."""
    total = sum(step.seconds for step in answer.steps) or 1.0
    entries, start = [], 0.0
    for step in answer.steps:
        share = max(0.4, 100 * step.seconds / total)
        entries.append({**step_entry(step, answer.perspective), "start": min(start, 99.6), "share": share})
        start += 100 * step.seconds / total
    return entries


def times(answer: RunRecord) -> list[dict[str, Any]]:
    """When each thing is there: its spans and when it was seen, in thousandths of the clip, and both in words."""
    sheet = answer.picture.sheet if answer.picture else None
    if sheet is None:
        return []

    def place(time: int) -> float:
        return 1000 * min(max(time, 0), sheet.duration) / max(1, sheet.duration)

    of_phrase: dict[str, list[Span]] = {}
    for span in answer.moments:
        of_phrase.setdefault(span.phrase, []).append(span)
    return [
        {
            "phrase": phrase,
            # A moment of a frame in a clip of hours is still to be seen.
            "spans": [
                {
                    "x": min(place(one.start), 996),
                    "width": max(4, place(one.end) - place(one.start)),
                    "at": place(one.at),
                }
                for one in spans
            ],
            "words": [span_words(one) for one in spans],
            "duration": seconds(sheet.duration),
        }
        for phrase, spans in of_phrase.items()
    ]


def span_words(span: Span) -> str:
    """When a thing is there, or one time at which it was seen."""
    return words(Moment(span.start, span.end)) if span.bounded else f"seen at {seconds(span.at)}"


def step_entry(step: Step, perspective: str | None = None) -> dict[str, Any]:
    """A step in words; without a share of a whole that is not known while the run goes on."""
    return {
        "name": step.name,
        "text": step.text,
        "side": side_of(step, perspective),
        "marks": bool(step.boxes),
        "time": f"{step.seconds:.2f} s" if step.seconds >= 1 else f"{1000 * step.seconds:.0f} ms",
        "share": None,
    }


def side_of(step: Step, perspective: str | None = None) -> str:
    """To which of the two answers a step belongs; what decides between them belongs to the one chosen."""
    return SIDE_OF_STEP.get(step.name) or (perspective if step.name == "arbitrate" else None) or ""


def costs(answer: RunRecord) -> list[tuple[str, str]]:
    """The bill."""
    cost = answer.cost
    return [
        ("model calls", f"{cost.model_calls:,}"),
        ("visual tokens", f"{cost.visual_tokens:,}"),
        ("prompt tokens", f"{cost.prompt_tokens:,}"),
        ("tokens written", f"{cost.completion_tokens:,}"),
        ("seconds", f"{cost.seconds:.2f}"),
        ("in the model", f"{cost.seconds_in_model:.2f}"),
    ]


def circumstances(answer: RunRecord) -> list[tuple[str, str]]:
    """What made the answer: picture, model, date, version, and the settings that were given a value."""
    picture, made = answer.picture, answer.made
    rows = [("picture", picture.name)] if picture and picture.name else []
    rows += [("size", f"{picture.width} × {picture.height} pixels")] if picture else []
    rows += [("model", answer.model), ("strategy", answer.strategy)]
    if made is None:
        return rows
    named = {name: value for name, value in made.settings.items() if name != "strategy"}
    budget = named.pop("budget", {})
    rows += [("asked", made.at.replace("T", " ").replace("+00:00", " UTC")), ("zoomagent", made.version)]
    given = {**named, **{f"most {name}": value for name, value in budget.items()}}
    for name, value in given.items():
        if value in (None, {}, []):
            continue
        words = str(value)
        if isinstance(value, bool):
            words = "yes" if value else "no"
        elif isinstance(value, dict):
            words = ", ".join(f"{key} {one}" for key, one in value.items())
        rows.append((name.replace("_", " "), words))
    return rows


def text_pieces(answer: RunRecord) -> list[dict[str, Any]]:
    """The words of a description, in order: those between phrases, and each phrase with its boxes and what is known of
    them. Nothing where no phrase carries boxes."""
    pieces: list[dict[str, Any]] = []
    place = 0
    for number, phrase in enumerate(answer.grounded):
        start, end = phrase.place
        if not place <= start <= end <= len(answer.text):
            return []
        pieces.append({"text": answer.text[place:start], "number": None})
        told = {
            "seen": f"seen up close with {percent(min(phrase.seen, default=0.0))}",
            "unseen": "not seen where it was pointed at",
            "unplaced": "nowhere pointed at",
            "unchecked": "not checked",
        }[phrase.fate]
        boxes = [list(box) for box in phrase.boxes]
        pieces.append(
            {"text": answer.text[start:end], "number": number, "fate": phrase.fate, "told": told, "boxes": boxes}
        )
        place = end
    return [*pieces, {"text": answer.text[place:], "number": None}] if pieces else []
