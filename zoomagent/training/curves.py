"""Learning curves of training runs, side by side, as one PNG.

    python -m zoomagent.training.curves runs/sft runs/rl-gap runs/rl-box --out curves.png

Reads the log.jsonl of `train sft --model` and `train rl`. What a run did not log is left blank; a figure that no run
logged has no panel. Thin lines are the steps, thick ones their running mean. Left out: TensorBoard.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

PANELS = {
    "loss": "loss",
    "eval_loss": "held-out loss",
    "reward": "reward",
    "rewards/accuracy/mean": "right",
    "zoom/tool_rate": "rollouts with a crop",
    "zoom/mattered": "crop mattered",
    "rewards/geometry/mean": "reward for the box",
    "entropy": "entropy (nats)",
}
"""What is logged, and what it is called above its panel."""
WINDOW = 5
"""Steps of the running mean."""

Series = list[tuple[float, float]]


def read(run: Path) -> dict[str, Series]:
    """Every figure of a run as (step, value). Steps that a resumed run took again count as they came out last."""
    found: dict[str, dict[float, float]] = {}
    for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        for name in PANELS.keys() & entry.keys():
            found.setdefault(name, {})[entry["step"]] = float(entry[name])
    return {name: sorted(values.items()) for name, values in found.items()}


def smooth(values: Sequence[float], window: int = WINDOW) -> list[float]:
    """The mean of each value and the `window` - 1 before it, of fewer at the start."""
    return [sum(values[max(0, i + 1 - window) : i + 1]) / min(window, i + 1) for i in range(len(values))]


def draw(runs: Sequence[Path], out: Path) -> list[str]:
    """Write the picture; the titles of its panels."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    logs = {run.name: read(run) for run in runs}
    shown = [name for name in PANELS if any(name in log for log in logs.values())]
    if not shown:
        raise SystemExit(
            "These runs logged nothing that is drawn here. Name folders of `train sft --model` or `train rl`."
        )
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure, grid = pyplot.subplots(rows, columns, figsize=(4.2 * columns, 2.9 * rows), squeeze=False)
    for axes, name in zip(grid.flat, shown, strict=False):
        for index, (run, log) in enumerate(logs.items()):
            points, colour = log.get(name, []), f"C{index}"
            steps, values = [step for step, _ in points], [value for _, value in points]
            axes.plot(steps, values, color=colour, alpha=0.3, linewidth=1, marker=".")
            axes.plot(steps, smooth(values), color=colour, linewidth=2, label=run)
        axes.set_title(PANELS[name], fontsize=10)
        axes.set_xlabel("step", fontsize=8)
        axes.grid(alpha=0.3)
    for axes in list(grid.flat)[len(shown) :]:
        axes.axis("off")
    grid.flat[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(out, dpi=110)
    pyplot.close(figure)
    return [PANELS[name] for name in shown]


def main() -> None:
    """Draw the runs that were named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders that hold a log.jsonl")
    parser.add_argument("--out", type=Path, default=Path("curves.png"), help="the picture")
    arguments = parser.parse_args()
    print(f"{arguments.out}: {', '.join(draw(arguments.runs, arguments.out))}")


if __name__ == "__main__":
    main()
