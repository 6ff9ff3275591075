"""The cheapest way to a wanted accuracy, or to a wanted error among what is answered, out of measured rows.

    zoomagent bench run --set vstar --data … --strategy macro,auto,search --calls 4,8,16,32 --results runs/sweep.jsonl
    zoomagent bench advise runs/sweep.jsonl --accuracy 0.85

Accuracy: the lower end of a row's 95 % interval must reach it. Error: a row answers from a confidence on, and leaves
the rest unanswered; of each row the least confidence is taken from which, of the answers of one half of the questions,
at most that share is wrong with 90 % certainty, tried from the strictest on (Learn then Test,
`confidence/abstention.py`; the other half chooses where to begin). Among rows that reach it, the cheapest wins. It
holds for questions like those measured, and for no others. Left out: rows that were not measured.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from zoomagent.confidence.abstention import learn_then_test
from zoomagent.confidence.records import draw
from zoomagent.evaluation.results import Result
from zoomagent.evaluation.scoring import cluster_interval
from zoomagent.evaluation.table import cell

DELTA, STEPS = 0.1, 50
"""How probably the error may be above the one that is wanted, and how many confidences are tried (ours)."""
Cost = Literal["visual_tokens", "calls", "seconds"]


@dataclass(frozen=True)
class Advice:
    """One row: what it reaches and costs a question. `threshold` is the least confidence with which to answer, and
    `coverage` the share of questions that is answered then; 1.0 without one."""

    row: str
    n: int
    accuracy: float
    low: float
    visual_tokens: float
    calls: float
    seconds: float
    threshold: float | None
    coverage: float
    reached: bool


def advise(
    results: Sequence[Result], accuracy: float | None, error: float | None, coverage: float, cost: Cost
) -> list[Advice]:
    """Every row, the cheapest first; which of them `reached` what is wanted."""
    found = []
    for row in dict.fromkeys(result.key.row for result in results):
        mine = [r for r in results if r.key.row == row]
        n = len(mine)
        low, _ = cluster_interval([r.score for r in mine], [r.picture or r.key.case for r in mine])
        threshold, answered = (None, 1.0) if error is None else _cutoff(mine, error)
        reached = (accuracy is None or low >= accuracy) and (error is None or threshold is not None)
        advice = Advice(
            row=row,
            n=n,
            accuracy=sum(r.score for r in mine) / n,
            low=low,
            visual_tokens=sum(r.visual_tokens for r in mine) / n,
            calls=sum(r.calls for r in mine) / n,
            seconds=sum(r.seconds for r in mine) / n,
            threshold=threshold,
            coverage=answered,
            reached=reached and answered >= coverage,
        )
        found.append(advice)
    return sorted(found, key=lambda one: (getattr(one, cost), -one.low))


def _cutoff(mine: Sequence[Result], error: float) -> tuple[float | None, float]:
    """The least confidence with which to answer, and the share that is answered then. Questions of one picture stay on
    one side, and one seed of each counts, as the others are no questions of their own."""
    first = min(r.key.seed for r in mine)
    known = [r for r in mine if r.confidence is not None and r.answered and not r.abstained and r.key.seed == first]
    begin = [r for r in known if draw(r.picture or str(r.key.case), "advise") < 0.5]
    certify = [r for r in known if r not in begin]
    if not begin or not certify:
        return None, 0.0
    # Confidences to try: from the one at which the error of these questions is most surely below what is wanted, down
    # in even steps. The first failed test ends the search, so it must begin where it most probably succeeds.
    # Confidences of a model need not be calibrated, so its own errors decide.
    surest = sorted(begin, key=lambda r: -(r.confidence or 0.0))
    number = np.arange(1, len(surest) + 1)
    wrong = np.cumsum([not r.right for r in surest])
    enough = number >= math.log(DELTA) / math.log1p(-error)
    strength = np.where(enough, (error - wrong / number) * np.sqrt(number), -np.inf)
    places = np.unique(np.linspace(int(np.argmax(strength)), len(surest) - 1, STEPS).astype(int))
    thresholds = [surest[place].confidence or 0.0 for place in places]
    confidences = [r.confidence or 0.0 for r in certify]
    cutoff = learn_then_test(confidences, [r.right for r in certify], thresholds, error, DELTA)
    answered = [r for r in known if cutoff.answers(r.confidence)]
    return cutoff.threshold, len(answered) / max(1, sum(r.key.seed == first for r in mine))


def advice_table(found: Sequence[Advice], wanted: str) -> str:
    """The rows for people, and which one to take."""
    head = "| row | n | accuracy [lower end] | visual tokens | calls | seconds | answer from | answered | reached |"
    lines = [head, "|---|--:|---|--:|--:|--:|--:|--:|---|"]
    for one in found:
        cells = [
            cell(one.row),
            str(one.n),
            f"{one.accuracy:.1%} [{one.low:.1%}]",
            f"{one.visual_tokens:.0f}",
            f"{one.calls:.2f}",
            f"{one.seconds:.2f}",
            "–" if one.threshold is None else f"{one.threshold:.3f}",
            f"{one.coverage:.0%}",
            "yes" if one.reached else "no",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    best = next((one for one in found if one.reached), None)
    if best is None:
        return "\n".join([*lines, "", f"No measured row reaches {wanted}. Measure more questions, or other rows."])
    from_ = "" if best.threshold is None else f", answering from a confidence of {best.threshold:.3f}"
    return "\n".join([*lines, "", f"The cheapest row with {wanted}: {best.row}{from_}."])
