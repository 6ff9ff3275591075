"""What the page says, as plain values: the two answers with their bars, the timeline, the bill. No HTML, no pixels."""

import math
from typing import Any

from zoomagent.answer import Answer, Candidate, Step

SIDE_OF_STEP = {"look": "macro", "locate": "micro", "zoom": "micro", "answer_again": "micro"}
TITLES = {"macro": "Macro: the whole picture", "micro": "Micro: the whole and the crop"}
WEIGHED = {
    "shared": "per-token probability, both images shown",
    "published": "the same, box turn counted in",
    "own": "per-token probability, own dialogue",
    "votes": "samples that said the same",
}


def outcome_words(answer: Answer) -> str:
    """The outcome for people."""
    if answer.abstained:
        return "can not tell"
    code = f" · {answer.outcome.code}" if answer.outcome.code else ""
    return {"answered": "answered", "answered_degraded": "answered, with less than asked for"}.get(
        answer.outcome.kind, answer.outcome.kind + code
    )


def sides(answer: Answer) -> list[dict[str, Any]]:
    """Macro and micro with what they said, and how likely it was."""
    both = {"macro": answer.macro, "micro": answer.micro}
    return [
        {
            "name": name,
            "title": TITLES[name],
            "c": candidate,
            "chosen": answer.perspective == name,
            "bars": _bars(answer, candidate),
        }
        for name, candidate in both.items()
        if candidate is not None
    ]


def timeline(answer: Answer) -> list[dict[str, Any]]:
    """Steps with their share of the whole time, one after the other."""
    total = sum(step.seconds for step in answer.steps) or 1.0
    entries, start = [], 0.0
    for step in answer.steps:
        share = max(0.4, 100 * step.seconds / total)
        entries.append(_entry(answer, step, min(start, 99.6), share))
        start += 100 * step.seconds / total
    return entries


def costs(answer: Answer) -> list[tuple[str, str]]:
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


def _entry(answer: Answer, step: Step, start: float, share: float) -> dict[str, Any]:
    side = SIDE_OF_STEP.get(step.name) or (answer.perspective if step.name == "arbitrate" else "")
    time = f"{step.seconds:.2f} s" if step.seconds >= 1 else f"{1000 * step.seconds:.0f} ms"
    bar = {"start": start, "share": share, "time": time}
    return {"s": step, "side": side or "", "marks": bool(step.boxes), **bar}


def _bars(answer: Answer, candidate: Candidate) -> list[dict[str, Any]]:
    bars = []
    if candidate.probability is not None:
        percent = 100 * candidate.probability
        bars.append({"label": "probability where it was said", "words": f"{percent:.1f} %", "percent": percent})
    if candidate.weight is not None and answer.compared_by is not None:
        bars.append(_weight_bar(answer, candidate.weight))
    return bars


def _weight_bar(answer: Answer, weight: float) -> dict[str, Any]:
    label = WEIGHED[answer.compared_by or "own"]
    if answer.compared_by == "votes":
        votes = sum(side.weight or 0 for side in (answer.macro, answer.micro) if side is not None)
        return {"label": label, "words": f"{weight:.0f}", "percent": 100 * weight / max(votes, 1)}
    percent = 100 * math.exp(min(weight, 0.0))
    return {"label": label, "words": f"{percent:.1f} %", "percent": percent}
