"""The haystack's table, from its results: accuracy with intervals, gain and harm, price, and how good confidences are.

One row per strategy and kind, `all` first, then by the size of the smallest thing that matters (in pixels of the whole
view). Gain and harm are against the `macro` row, question by question. `ece` and `aurc` are over the answers that came
with a confidence (`ece_calibrated`: with a calibrated one); `coverage` is the share answered with something else than
"Cannot tell", `selective` how often such an answer was right. `mattered`: of the answers given with a close view, the
share whose close view was shown to matter; `mattered_changed`: the same over those that differ from macro's."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, get_args

from zoomagent.confidence.metrics import aurc, ece
from zoomagent.evaluation.contestants import ORACLE
from zoomagent.evaluation.results import Result
from zoomagent.evaluation.scoring import gain_and_harm, same_answer, wilson
from zoomagent.evaluation.sets.haystack import SIZES, Group, Settings, size_name
from zoomagent.text import printable

Row = dict[str, Any]


def with_oracle(results: Sequence[Result]) -> list[Result]:
    """The results, and those of someone who knows which of macro's and micro's answers to take, and pays for both."""
    sides: dict[str, dict[tuple[int, int, str], Result]] = {"macro": {}, "micro": {}}
    for result in results:
        if result.key.strategy in sides:
            sides[result.key.strategy][result.key.case] = result
    oracle = []
    for case, macro in sides["macro"].items():
        micro = sides["micro"].get(case)
        if micro is None:
            continue
        best = micro if micro.right and not macro.right else macro
        chosen = replace(
            best,
            key=replace(best.key, strategy=ORACLE),
            calls=macro.calls + micro.calls,
            visual_tokens=macro.visual_tokens + micro.visual_tokens,
            seconds=macro.seconds + micro.seconds,
        )
        oracle.append(chosen)
    return [*results, *oracle]


def rows(results: Sequence[Result], kinds: Sequence[str] = (*get_args(Group), *SIZES)) -> list[Row]:
    """The table: a row for each strategy with its limits, of all questions and of each kind. Macro had the same
    pixels."""
    table = []
    macro = {(r.key.case, r.key.pixels): r for r in results if r.key.strategy == "macro"}
    for name in dict.fromkeys(r.key.row for r in results):
        own = [r for r in results if r.key.row == name]
        for kind in ("all", *kinds):
            mine = [r for r in own if kind in ("all", r.key.group, size_name(r.pixels))]
            if mine:
                base = [macro.get((r.key.case, r.key.pixels)) for r in mine]
                table.append(_row(name, kind, mine, base))
    return table


def _row(strategy: str, kind: str, mine: Sequence[Result], base: Sequence[Result | None]) -> Row:
    n, hits = len(mine), sum(r.right for r in mine)
    low, high = wilson(hits, n)
    known = [(r.confidence, r.right) for r in mine if r.confidence is not None]
    calibrated = [(r.confidence, r.right) for r in mine if r.confidence is not None and r.calibrated]
    confidence = {
        "ece": ece([c for c, _ in known], [right for _, right in known]) if known else None,
        "aurc": aurc([c for c, _ in known], [right for _, right in known]) if known else None,
        "confident": len(known) / len(mine),
        "ece_calibrated": ece([c for c, _ in calibrated], [right for _, right in calibrated]) if calibrated else None,
    }
    told = [r for r in mine if r.answered and not r.abstained]
    coverage = {
        "coverage": len(told) / len(mine),
        "abstained": sum(r.abstained for r in mine) / len(mine),
        "selective": sum(r.right for r in told) / len(told) if told else None,
    }
    shown = [(r, b) for r, b in zip(mine, base, strict=True) if r.zoomed and r.mattered is not None]
    changed = [r for r, b in shown if b is not None and not same_answer(r.given, b.given)]
    mattered = {"mattered": _share([r for r, _ in shown]), "mattered_changed": _share(changed)}
    seeds = {seed: [r.right for r in mine if r.key.seed == seed] for seed in sorted({r.key.seed for r in mine})}
    by_seed = {str(seed): sum(rights) / len(rights) for seed, rights in seeds.items()}
    return {
        "strategy": strategy,
        "kind": kind,
        "n": n,
        "accuracy": hits / n,
        "low": low,
        "high": high,
        **_moved(mine, base),
        "calls": sum(r.calls for r in mine) / n,
        "visual_tokens": sum(r.visual_tokens for r in mine) / n,
        "seconds": sum(r.seconds for r in mine) / n,
        **confidence,
        **coverage,
        **mattered,
        "errors": sum(not r.answered for r in mine),
        "by_seed": by_seed,
    }


def _moved(mine: Sequence[Result], base: Sequence[Result | None]) -> Row:
    """Gain and harm; None unless every question has a macro answer."""
    known = [r.right for r in base if r is not None]
    if len(known) < len(mine):
        return {"gain": None, "harm": None}
    gain, harm = gain_and_harm(known, [r.right for r in mine])
    return {"gain": gain, "harm": harm}


def _share(results: Sequence[Result]) -> float | None:
    return sum(bool(r.mattered) for r in results) / len(results) if results else None


def report(settings: Settings, results: Sequence[Result], keep_answers: bool = False) -> dict[str, Any]:
    """What `--out` writes: the rows and the run's settings, with every answer when asked for."""
    content: dict[str, Any] = {"settings": asdict(settings), "rows": rows(results)}
    if keep_answers:
        content["answers"] = [asdict(r) for r in results]
    return content


def cell(name: str) -> str:
    """A name of others' as one cell of a table, whatever stands in it."""
    return printable(name).replace("|", "\\|")


COLUMNS = ("gain", "harm", "calls", "visual tokens", "seconds", "ECE", "AURC", "coverage", "mattered")


def markdown(table: Sequence[Row]) -> str:
    """The rows as a Markdown table, with a line for runs that ended in an error (they count as wrong)."""
    head = f"| strategy | kind | n | accuracy [95 %] | {' | '.join(COLUMNS)} |"
    lines = [head, "|---|---|--:|---|" + "--:|" * len(COLUMNS)]
    for row in table:
        cells = [
            cell(row["strategy"]),
            cell(row["kind"]),
            str(row["n"]),
            f"{row['accuracy']:.1%} [{row['low']:.1%}, {row['high']:.1%}]",
            _percent(row["gain"]),
            _percent(row["harm"]),
            f"{row['calls']:.2f}",
            f"{row['visual_tokens']:.0f}",
            f"{row['seconds']:.2f}",
            "–" if row["ece"] is None else f"{row['ece']:.3f}",
            "–" if row["aurc"] is None else f"{row['aurc']:.3f}",
            _percent(row["coverage"]),
            _percent(row["mattered"]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    errors = sum(row["errors"] for row in table if row["kind"] == "all")
    return "\n".join(lines + ([f"\n{errors} runs ended without an answer and count as wrong."] if errors else []))


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
