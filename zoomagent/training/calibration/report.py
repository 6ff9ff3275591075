"""How good an arbiter is on records it never saw: is it right, does it know it, and does it keep its promises.

    figures = evaluate(arbiter, records)
    print(table(figures))

Accuracy stands beside always-macro, always-micro, DualFocus' selection by likelihood, and the oracle that takes the
right one whenever there is one. `raw` is the model's own probability of the same chosen answers. Left out: fitting.
"""

from collections.abc import Sequence
from typing import Any

from zoomagent.confidence.arbiter import Arbiter
from zoomagent.confidence.metrics import aurc, brier, ece
from zoomagent.confidence.records import Record
from zoomagent.evaluation.scoring import clopper_pearson
from zoomagent.training.calibration.fitting import right_of

ALPHAS = (0.01, 0.02, 0.05, 0.1, 0.2)


def evaluate(arbiter: Arbiter, records: Sequence[Record], delta: float = 0.1) -> dict[str, Any]:
    """All figures as plain JSON."""
    judged = [arbiter.judge(record.features) for record in records]
    right = [right_of(record, j.perspective == "micro") for record, j in zip(records, judged, strict=True)]
    confidence = [j.confidence for j in judged]
    gate = [arbiter.gate_confidence(record.features) for record in records]
    # The quality of the model's own probability of the answer taken, where it gave one.
    own = [
        r.features.micro_prob if j.perspective == "micro" else r.features.macro_prob
        for r, j in zip(records, judged, strict=True)
    ]
    known = [(p, y) for p, y in zip(own, right, strict=True) if p is not None]
    raw = _quality([p for p, _ in known], [y for _, y in known])
    accuracies = {
        "learned": right,
        "macro": [record.macro_right for record in records],
        "micro": [right_of(record, True) for record in records],
        "dualfocus": [right_of(record, _dualfocus_takes_micro(record)) for record in records],
        "oracle": [record.macro_right or bool(record.micro_right) for record in records],
    }
    selective = []
    for alpha in ALPHAS:
        cutoff = arbiter.cutoff(alpha, delta)
        answered = [y for c, y in zip(confidence, right, strict=True) if cutoff.answers(c)]
        figures = {
            "alpha": alpha,
            "delta": delta,
            "threshold": cutoff.threshold,
            "coverage": len(answered) / max(1, len(right)),
            "error": _share([not y for y in answered]),
        }
        selective.append(figures)
    return {
        "n": len(records),
        "accuracy": {name: _share(hits) for name, hits in accuracies.items()},
        "calibrated": _quality(confidence, right),
        "raw": raw,
        "gate": _quality(gate, [record.macro_right for record in records]),
        "selective": selective,
    }


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [f"{figures['n']} held-out questions.", "", "| rule | accuracy [95 %] |", "|---|---|"]
    lines += [f"| {name} | {_interval(row)} |" for name, row in figures["accuracy"].items()]
    lines += ["", "| confidence | n | ECE, equal mass | ECE, equal width | Brier | AURC |", "|---|--:|--:|--:|--:|--:|"]
    for name in ("calibrated", "raw", "gate"):
        q = figures[name]
        lines.append(
            f"| {name} | {q['n']} | {q['ece_mass']:.3f} | {q['ece_width']:.3f} | {q['brier']:.3f} | {q['aurc']:.3f} |"
        )
    lines += ["", "| error promised | answer from | answered | wrong among answered [95 %] |", "|--:|--:|--:|---|"]
    for row in figures["selective"]:
        start = "never" if row["threshold"] is None else f"{row['threshold']:.3f}"
        lines.append(f"| {row['alpha']:.0%} | {start} | {row['coverage']:.1%} | {_interval(row['error'])} |")
    return "\n".join(lines)


def _dualfocus_takes_micro(record: Record) -> bool:
    """Whether DualFocus' selection takes micro: only valid, the same, or of higher mean log-likelihood."""
    f = record.features
    if f.agree is not False or f.macro_valid is False or f.micro_valid is False:
        return bool(f.agree) or (f.macro_valid is False and f.micro_valid is not False)
    a, b = (f.shared_macro, f.shared_micro) if f.shared_macro is not None else (f.macro_mean, f.micro_mean)
    return a is not None and b is not None and b > a


def _quality(confidence: Sequence[float], right: Sequence[bool]) -> dict[str, float]:
    return {
        "n": len(right),
        "ece_mass": ece(confidence, right),
        "ece_width": ece(confidence, right, by="width"),
        "brier": brier(confidence, right),
        "aurc": aurc(confidence, right),
    }


def _share(hits: Sequence[bool]) -> dict[str, float]:
    low, high = clopper_pearson(sum(hits), len(hits))
    return {"share": sum(hits) / max(1, len(hits)), "low": low, "high": high}


def _interval(row: dict[str, float]) -> str:
    return f"{row['share']:.1%} [{row['low']:.1%}, {row['high']:.1%}]"
