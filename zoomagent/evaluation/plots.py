"""The haystack's pictures, as PNG: what accuracy costs, and how risk falls when the least sure answers are left out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoomagent.confidence.metrics import risk_coverage
from zoomagent.evaluation.advise import Advice, Cost
from zoomagent.evaluation.results import Result
from zoomagent.evaluation.table import Row


def plots(table: Sequence[Row], results: Sequence[Result], path: Path) -> list[Path]:
    """Both pictures, named after `path`: NAME-calls.png and NAME-risk.png."""
    calls, risk = (path.with_name(f"{path.stem}-{name}.png") for name in ("calls", "risk"))
    accuracy_over_calls(table, calls)
    risk_over_coverage(results, risk)
    return [calls, risk]


def accuracy_over_calls(table: Sequence[Row], path: Path) -> None:
    """One point per strategy, with its interval."""
    figure, axes = _axes("model calls per question", "accuracy")
    for row in (row for row in table if row["kind"] == "all"):
        error = [[row["accuracy"] - row["low"]], [row["high"] - row["accuracy"]]]
        axes.errorbar([row["calls"]], [row["accuracy"]], yerr=error, marker="o", capsize=3)
        at = (row["calls"], row["accuracy"])
        axes.annotate(row["strategy"], at, xytext=(5, 5), textcoords="offset points", fontsize=8)
    axes.set(xscale="log", ylim=(0, 1.02))
    _save(figure, path)


def accuracy_over_cost(found: Sequence[Advice], cost: Cost, path: Path) -> None:
    """One point for each row of a sweep, joined for each strategy: what more calls or pixels buy."""
    figure, axes = _axes(f"{cost.replace('_', ' ')} per question", "accuracy")
    strategies: dict[str, list[Advice]] = {}
    for one in found:
        strategies.setdefault(one.row.split(",", 1)[0], []).append(one)
    for name, rows in strategies.items():
        rows.sort(key=lambda one: getattr(one, cost))
        error = [[one.accuracy - one.low for one in rows], [0.0] * len(rows)]
        costs, accuracies = [getattr(one, cost) for one in rows], [one.accuracy for one in rows]
        axes.errorbar(costs, accuracies, yerr=error, marker="o", capsize=3, label=name)
    axes.set(xscale="log", ylim=(0, 1.02))
    axes.legend(fontsize=8)
    _save(figure, path)


def risk_over_coverage(results: Sequence[Result], path: Path) -> None:
    """One line per strategy: answering the surest first."""
    figure, axes = _axes("coverage", "risk")
    for strategy in dict.fromkeys(r.key.strategy for r in results):
        known = [(r.confidence, r.right) for r in results if r.key.strategy == strategy and r.confidence is not None]
        if known:
            coverage, risk = risk_coverage([c for c, _ in known], [right for _, right in known])
            axes.plot(coverage, risk, label=strategy)
    axes.set(xlim=(0, 1), ylim=(0, None))
    if axes.lines:
        axes.legend(fontsize=8)
    _save(figure, path)


def _axes(x: str, y: str) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    figure.tight_layout()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
