"""Ask a model about unseen synthetic scenes with several strategies, and report what zooming bought and cost.

    zoomagent bench haystack --n 500 --seed 1 --size 4096 --strategy macro,micro,dualfocus --model nano --json OUT

Every strategy answers the same questions about the same pixels. Kinds: `close` is readable only up close, `global`
only as a whole, `both` needs several things at once, `absent` has no answer ("Cannot tell" is right). An error counts
as wrong and is counted. Scenes come from the test split, which no training stream touches.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

import numpy as np

from zoomagent.agent import ZoomAgent
from zoomagent.answer import Answer
from zoomagent.bench.scoring import gain_and_harm, same_answer, wilson
from zoomagent.data.questions import Group, Kind, Question, ask, group_of
from zoomagent.data.render import render
from zoomagent.data.scene import LEVELS, SPLITS, draw_scene
from zoomagent.geometry import Size
from zoomagent.media import Picture, open_picture
from zoomagent.models.base import Model

KINDS_OF: dict[Group, tuple[Kind, ...]] = {
    "close": ("read",),
    "global": ("side", "ground", "presence", "colour", "shape"),
    "both": ("count", "relation"),
    "absent": ("absent",),
}


@dataclass(frozen=True)
class Settings:
    """One bench: `n` questions in all, equal shares of the four groups. `macro_side` is the width in pixels at which
    the model sees a whole picture: it decides what counts as readable only up close."""

    n: int = 500
    seed: int = 1
    size: int = 4096
    level: str = "small"
    strategies: tuple[str, ...] = ("macro", "micro", "dualfocus")
    macro_side: int = 128


@dataclass(frozen=True)
class Result:
    """One strategy's answer to one question."""

    strategy: str
    group: str
    question: str
    wanted: str
    given: str
    right: bool
    outcome: str
    perspective: str
    confidence: float | None
    calls: int
    visual_tokens: int
    seconds: float


def questions(settings: Settings) -> Iterator[tuple[Picture, Group, Question]]:
    """The bench's questions with their pictures, scene after scene, one per group and scene."""
    level, groups = LEVELS[settings.level], get_args(Group)
    left = {g: settings.n // len(groups) + (i < settings.n % len(groups)) for i, g in enumerate(groups)}
    index = 0
    while any(left.values()):
        seed = SPLITS["test"] + settings.seed
        scene = draw_scene(level, seed, index)
        rng = np.random.default_rng([seed, index, 5])
        found: list[tuple[Group, Question]] = []
        for group in (g for g in groups if left[g]):
            question = ask(KINDS_OF[group][int(rng.integers(len(KINDS_OF[group])))], scene, level, rng)
            if question is not None and group_of(question, scene, settings.macro_side, settings.size) == group:
                found.append((group, question))
                left[group] -= 1
        if found:
            with open_picture(render(scene, settings.size, settings.size, full_side=settings.size)) as picture:
                for group, question in found:
                    yield picture, group, question
        index += 1


async def run(
    settings: Settings,
    agents: dict[str, ZoomAgent],
    progress: Callable[[int], None] = lambda done: None,
    forget: Callable[[], None] = lambda: None,
) -> list[Result]:
    """Ask every question with every strategy, one at a time and after `forget`, so that no strategy profits from what
    the one before it left in the model's caches."""
    results: list[Result] = []
    for done, (picture, group, question) in enumerate(questions(settings), 1):
        for strategy, agent in agents.items():
            forget()
            start = time.perf_counter()
            answer = await agent.aask(picture, question.text)
            results.append(_result(strategy, group, question, answer, time.perf_counter() - start))
        progress(done)
    return results


def _result(strategy: str, group: str, question: Question, answer: Answer, seconds: float) -> Result:
    answered = answer.outcome.kind.startswith("answered")
    return Result(
        strategy,
        group,
        question.text,
        question.answer,
        answer.text,
        answered and same_answer(answer.text, question.answer),
        answer.outcome.kind,
        answer.perspective or "",
        answer.confidence,
        answer.cost.model_calls,
        answer.cost.visual_tokens,
        seconds,
    )


def rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The table: one row per strategy and kind, `all` first. Gain and harm are against the `macro` rows."""
    table = []
    strategies = list(dict.fromkeys(r.strategy for r in results))
    for strategy in strategies:
        for kind in ("all", *get_args(Group)):
            mine = [r for r in results if r.strategy == strategy and kind in ("all", r.group)]
            base = [r for r in results if r.strategy == "macro" and kind in ("all", r.group)]
            if mine:
                table.append(_row(strategy, kind, mine, base))
    return table


def _row(strategy: str, kind: str, mine: Sequence[Result], base: Sequence[Result]) -> dict[str, Any]:
    n, hits = len(mine), sum(r.right for r in mine)
    low, high = wilson(hits, n)
    gain, harm = gain_and_harm([r.right for r in base], [r.right for r in mine]) if base else (None, None)
    return {
        "strategy": strategy,
        "kind": kind,
        "n": n,
        "accuracy": hits / n,
        "low": low,
        "high": high,
        "gain": gain,
        "harm": harm,
        "calls": sum(r.calls for r in mine) / n,
        "visual_tokens": sum(r.visual_tokens for r in mine) / n,
        "seconds": sum(r.seconds for r in mine) / n,
        "errors": sum(not r.outcome.startswith("answered") for r in mine),
    }


def report(settings: Settings, model: str, results: Sequence[Result], keep_answers: bool = False) -> dict[str, Any]:
    """What `--json` writes: the rows and the run's settings, with every answer when asked for."""
    content: dict[str, Any] = {"settings": {**asdict(settings), "model": model}, "rows": rows(results)}
    if keep_answers:
        content["answers"] = [asdict(r) for r in results]
    return content


def markdown(table: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table, with a line for runs that ended in an error (they count as wrong)."""
    head = "| strategy | kind | n | accuracy [95 %] | gain | harm | calls | visual tokens | seconds |"
    lines = [head, "|---|---|--:|---|--:|--:|--:|--:|--:|"]
    for row in table:
        interval = f"{row['accuracy']:.1%} [{row['low']:.1%}, {row['high']:.1%}]"
        moved = " | ".join("–" if row[k] is None else f"{row[k]:.1%}" for k in ("gain", "harm"))
        cost = f"{row['calls']:.2f} | {row['visual_tokens']:.0f} | {row['seconds']:.2f}"
        lines.append(f"| {row['strategy']} | {row['kind']} | {row['n']} | {interval} | {moved} | {cost} |")
    errors = sum(row["errors"] for row in table if row["kind"] == "all")
    return "\n".join(lines + ([f"\n{errors} runs ended without an answer and count as wrong."] if errors else []))


def plot(table: Sequence[dict[str, Any]], path: str) -> None:
    """Accuracy over visual tokens per question, one line per kind, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for kind in ("all", *get_args(Group)):
        mine = sorted((r for r in table if r["kind"] == kind), key=lambda r: r["visual_tokens"])
        x, y = [r["visual_tokens"] for r in mine], [r["accuracy"] for r in mine]
        error = [[r["accuracy"] - r["low"] for r in mine], [r["high"] - r["accuracy"] for r in mine]]
        axes.errorbar(x, y, yerr=error, marker="o", capsize=3, label=kind, linewidth=2 if kind == "all" else 1)
        if kind == "all":
            for row in mine:
                axes.annotate(
                    row["strategy"], (row["visual_tokens"], row["accuracy"]), xytext=(4, 6), textcoords="offset points"
                )
    axes.set(xlabel="visual tokens per question", ylabel="accuracy", ylim=(0, 1.02))
    axes.legend(title="kind", fontsize=8)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def measure(
    settings: Settings, model: Model, progress: Callable[[int], None] = lambda done: None
) -> tuple[Settings, list[Result]]:
    """Run the bench on one model; returns the settings with the model's own macro side."""
    from zoomagent.models.in_process import InProcessModel

    forget = model.forget if isinstance(model, InProcessModel) else lambda: None
    side = model.profile.fit(Size(settings.size, settings.size)).width
    settings = replace(settings, macro_side=side)
    agents = {s: ZoomAgent(model=model, strategy=s) for s in settings.strategies}  # type: ignore[arg-type]
    try:
        return settings, asyncio.run(run(settings, agents, progress, forget))
    finally:
        for agent in agents.values():
            agent.close()
