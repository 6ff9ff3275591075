"""The table of a published set: accuracy by the rule of its authors, gain and harm, and what it costs.

Beside the columns of the haystack's table (`table.py`), of which `low` and `high` are widened where questions share a
picture or were asked under several seeds: `together`, the share of circles that are wholly right (MMBench's circular
evaluation, MMVP's pairs); `iou` where the set says what must be seen; `r30`, `r50`, `r70` for moments, of
which the accuracy is the mean IoU; `f1` and `yes` for questions of Yes and No;
tokens, and their price for a thousand questions. Questions that were not answered count as wrong. Left out: which of
two rows is better, question by question (`compare.py`).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from zoomagent.evaluation.public import Plan
from zoomagent.evaluation.results import Result
from zoomagent.evaluation.scoring import cluster_interval
from zoomagent.evaluation.sets.public.question import Rule
from zoomagent.evaluation.sets.public.worth import yes_or_no
from zoomagent.evaluation.table import Row, cell, rows
from zoomagent.geometry import Box, iou
from zoomagent.graphs.timing import timing_of
from zoomagent.models.profiles import Profile, whole_side
from zoomagent.prompts import PARTS, SEE, ground_prompt, macro_prompt


@dataclass(frozen=True)
class Price:
    """What a million tokens cost, read and written, in any money."""

    prompt: float
    completion: float

    def of(self, prompt_tokens: float, completion_tokens: float) -> float:
        """A thousand questions of so many tokens each."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1000


def public_rows(
    results: Sequence[Result], categories: Sequence[str], price: Price | None = None, of_time: bool = False
) -> list[Row]:
    """The rows of `table.rows`, with what a published set has besides."""
    table = rows(results, categories if len(categories) > 1 else ())
    for row in table:
        mine = [r for r in results if r.key.row == row["strategy"] and row["kind"] in ("all", r.key.group)]
        row |= _scores(mine) | _bill(mine, price)
        for least in RECALLS:
            row[f"r{least}"] = sum(100 * r.score >= least for r in mine) / len(mine) if of_time else None
    return table


def _scores(mine: Sequence[Result]) -> Row:
    scores = [r.score for r in mine]
    low, high = cluster_interval(scores, [r.picture or r.key.question for r in mine])
    seeds: defaultdict[int, list[float]] = defaultdict(list)
    circles: defaultdict[tuple[str, int], list[bool]] = defaultdict(list)
    for r in mine:
        seeds[r.key.seed].append(r.score)
        if r.circle:
            circles[r.circle, r.key.seed].append(r.right)
    # How well the boxes that answers rest on meet what must be seen: of each target the best IoU, averaged over a
    # question's targets, then over questions, as TreeBench's authors do.
    ious = []
    for r in (r for r in mine if r.targets):
        best = [max((iou(Box(*box), Box(*target)) for box in r.boxes), default=0.0) for target in r.targets]
        ious.append(sum(best) / len(best))
    return {
        "accuracy": sum(scores) / len(scores),
        "low": low,
        "high": high,
        "by_seed": {str(seed): sum(some) / len(some) for seed, some in sorted(seeds.items())},
        "together": sum(map(all, circles.values())) / len(circles) if circles else None,
        "iou": sum(ious) / len(ious) if ious else None,
        **_yes_figures(mine),
    }


def _yes_figures(mine: Sequence[Result]) -> Row:
    """F1 of "Yes" and the share of "Yes", as POPE's authors report them; None for other questions."""
    if not mine or any(r.options or r.wanted.lower() not in ("yes", "no") for r in mine):
        return {"f1": None, "yes": None}
    said = [r.answered and not r.abstained and yes_or_no(r.given) == "yes" for r in mine]
    true = [r.wanted.lower() == "yes" for r in mine]
    hits = sum(a and b for a, b in zip(said, true, strict=True))
    return {"f1": 2 * hits / max(1, sum(said) + sum(true)), "yes": sum(said) / len(said)}


def _bill(mine: Sequence[Result], price: Price | None) -> Row:
    """Tokens and their price. None where a model counts none (one in this process, a rival's scores)."""
    prompt = sum(r.prompt_tokens for r in mine) / len(mine)
    completion = sum(r.completion_tokens for r in mine) / len(mine)
    known = all(r.prompt_tokens for r in mine if r.calls)
    return {
        "prompt_tokens": prompt if known else None,
        "completion_tokens": completion if known else None,
        "price": price.of(prompt, completion) if known and price else None,
    }


def public_report(
    plan: Plan, results: Sequence[Result], profiles: Sequence[Profile], price: Price | None = None
) -> dict[str, Any]:
    """What `--out` writes: the rows, and all that one must know to compare them with others."""
    first = results[0]
    return {
        "set": plan.kind.name,
        "title": plan.kind.title,
        "source": plan.kind.source,
        "scoring": plan.kind.scoring,
        "questions": len(plan.places),
        "part": plan.part,
        "published": plan.kind.count,
        "notes": list(plan.contents.notes),
        "models": list(dict.fromkeys(r.key.model for r in results)),
        "seeds": sorted({r.key.seed for r in results}),
        # What the model is shown: side of the whole for a picture of 4K, and its limits.
        "pixels": [
            {
                "whole_side": whole_side(profile, 4096),
                "max_pixels": profile.max_pixels,
                "crop_pixels": profile.crop_pixels or None,
            }
            for profile in profiles
        ],
        "prompt": _words(plan.kind.rule, first, profiles[0]),
        "price": asdict(price) if price else None,
        "rows": public_rows(
            results, [name for name in plan.contents.categories if name], price, plan.kind.rule == "moment"
        ),
    }


def _words(rule: Rule, first: Result, profile: Profile) -> str:
    """What the model is asked about the first question."""
    if rule == "box":
        return ground_prompt(first.question, profile.space)
    if rule == "moment":
        [phrase] = timing_of(first.question)[1]
        return f"{PARTS}{phrase}\n{SEE}{phrase}"
    return macro_prompt(first.question, profile.offered(first.options))


RECALLS = (30, 50, 70)
"""Hundredths of an IoU."""
SHARES = ("gain", "harm", "together", "iou", *(f"r{least}" for least in RECALLS), "f1", "yes")
NAMES = {"iou": "IoU", "f1": "F1", "yes": "yes", **{f"r{least}": f"R@1 0.{least // 10}" for least in RECALLS}}
COLUMNS = ("calls", "visual tokens", "seconds", "price/1000", "ECE", "errors")
"""Columns that every table has; those of SHARES that hold nothing are left out."""


def public_markdown(report: dict[str, Any]) -> str:
    """The report for people: what was asked, the table, and accuracy by kind where there are several."""
    table = report["rows"]
    of_all = [row for row in table if row["kind"] == "all"]
    shares = [name for name in SHARES if any(row[name] is not None for row in of_all)]
    head = [*(NAMES.get(name, name) for name in shares), *COLUMNS]
    shown = ", ".join(f"{one['max_pixels']} (a square whole: {one['whole_side']} a side)" for one in report["pixels"])
    part = "" if report["part"] == "all" else f" (the {report['part']} half)"
    lines = [
        f"{report['title']}: {report['questions']} of {report['published'] or report['questions']} questions{part}, "
        f"seeds {', '.join(map(str, report['seeds']))}; {report['scoring']}.",
        f"Model: {', '.join(report['models'])}. Most pixels of a view: {shown}. macro is the same model without zoom.",
        *report["notes"],
        "",
        f"| row | {'mIoU' if 'r30' in shares else 'accuracy'} [95 %] | {' | '.join(head)} |",
        "|---|---|" + "--:|" * len(head),
        *(_line(row, shares) for row in of_all),
    ]
    kinds = list(dict.fromkeys(row["kind"] for row in table if row["kind"] != "all"))
    if kinds:
        names = [row["strategy"] for row in of_all]
        cells = {(row["kind"], row["strategy"]): row for row in table}
        lines += ["", f"| kind | n | {' | '.join(map(cell, names))} |", "|---|--:|" + "--:|" * len(names)]
        for kind in kinds:
            found = [cells[kind, name] for name in names]
            accuracies = " | ".join(f"{row['accuracy']:.1%}" for row in found)
            lines.append(f"| {cell(kind)} | {found[0]['n']} | {accuracies} |")
    return "\n".join([*lines, "", "The words of the first question:", "", "```", report["prompt"], "```"])


def _line(row: Row, shares: Sequence[str]) -> str:
    said = [
        cell(row["strategy"]),
        f"{row['accuracy']:.1%} [{row['low']:.1%}, {row['high']:.1%}]",
        *("–" if row[name] is None else f"{row[name]:.1%}" for name in shares),
        f"{row['calls']:.2f}",
        f"{row['visual_tokens']:.0f}",
        f"{row['seconds']:.2f}",
        "–" if row["price"] is None else f"{row['price']:.2f}",
        "–" if row["ece"] is None else f"{row['ece']:.3f}",
        str(row["errors"]),
    ]
    return f"| {' | '.join(said)} |"
