"""What a training run leaves to read: settings, a log line now and then, the held-out curve as JSON and PNG."""

import json
import time
from pathlib import Path
from typing import Any


def log(out: Path, step: int, rate: float, noted: dict[str, Any]) -> None:
    """Append one line to `log.jsonl`."""
    line: dict[str, Any] = {"step": step, "time": time.time(), "rate": rate, "dense": float(noted["dense"])}
    line["cells"] = [round(v, 3) for v in noted["cells"].tolist()]
    if "text" in noted:
        line |= {name: float(noted[name]) for name in ("text", "pointer", "found", "looked", "attended")}
    with (out / "log.jsonl").open("a") as handle:
        handle.write(json.dumps(line) + "\n")


def write_curve(out: Path, curve: list[dict[str, Any]]) -> None:
    """`curve.json` and `curve.png`."""
    (out / "curve.json").write_text(json.dumps(curve, indent=1) + "\n")
    plot_curve(curve, out / "curve.png")


def plot_curve(curve: list[dict[str, Any]], path: Path) -> None:
    """Held-out accuracy over training rows: the answers on the left, the tower's fields on the right."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, sides = pyplot.subplots(1, 2, figsize=(13, 5), sharey=True)
    names = sorted({key for point in curve for key in point} - {"step", "seen_rows"})
    for axes, tower in zip(sides, (False, True), strict=True):
        for i, name in enumerate(n for n in names if n.startswith("tower/") == tower):
            x, y = zip(*((p["seen_rows"], p[name]) for p in curve if name in p), strict=True)
            axes.plot(
                x, y, label=name.removeprefix("tower/"), linewidth=1.2, linestyle="-" if i < 10 else "--", marker="."
            )
        axes.set(xlabel="training rows", ylim=(0, 1.02), title="vision tower, per cell" if tower else "answers")
        axes.legend(fontsize=7, ncols=2)
        axes.grid(alpha=0.3)
    sides[0].set(ylabel="held-out exact match")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
