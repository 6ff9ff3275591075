"""Does the promise hold: of the answers given under an error rate, how many were wrong, and how many were given.

    zoomagent bench promise --n 400 --out runs/promise.json

Asked of (a) unseen scenes of the synthetic world, (b) scenes of another hand inside its vocabulary, (c) wordings that
no training used, (d) foreign photographs: nothing is promised about them, in whatever words. Every question is asked
once; which answers each error rate lets through follows from the confidences, as a run decides it. Intervals are
Clopper and Pearson's (1934).
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from zoomagent.agent import ZoomAgent
from zoomagent.confidence.arbiter import load
from zoomagent.confidence.metrics import ece
from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.data.world.wordings import Style
from zoomagent.errors import SettingInvalid
from zoomagent.evaluation.scoring import clopper_pearson, same_answer
from zoomagent.evaluation.sets.asked import Task, World, tasks
from zoomagent.evaluation.sets.haystack import size_name
from zoomagent.evaluation.sets.other_world import Materials
from zoomagent.models.base import Model
from zoomagent.strategy import GATE

ALPHAS = (0.02, 0.05, 0.1, 0.2)
SETS: dict[str, tuple[tuple[World, Style], ...]] = {
    "a: the world, unseen": (("small", "plain"), ("deep", "plain")),
    "b: another hand": (("other", "plain"),),
    "c: other wordings": (("small", "kept back"), ("deep", "kept back")),
    "d: foreign pictures": (("foreign", "plain"),),
}

LETTERS = "".join(name[0] for name in SETS)
"""By which the sets are named on the command line."""


@dataclass(frozen=True)
class Given:
    """One answer. `confidence` is None where none was given, or none that is calibrated."""

    set: str
    name: str
    group: str
    pixels: float | None
    question: str
    wanted: str
    text: str
    right: bool
    confidence: float | None
    calls: int


def measure(
    model: Model,
    n: int,
    seed: int,
    materials: Materials,
    macro_side: int,
    arbiter: str | None = None,
    kept: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
    letters: str = LETTERS,
) -> list[Given]:
    """Ask `n` questions of each set. Answers in `kept`, JSON lines, are not asked for again."""
    agent = ZoomAgent(model, arbiter=arbiter)
    every = [
        (name, task)
        for name, ways in SETS.items()
        if name[0] in letters
        for world, style in ways
        for task in tasks(
            world, n=n // len(ways), seed=seed, split="test", style=style, macro_side=macro_side, materials=materials
        )
    ]
    lines = kept.read_bytes().splitlines() if kept is not None and kept.exists() else []
    known = {given.name: given for given in (Given(**orjson.loads(line)) for line in lines)}
    try:
        return asyncio.run(_ask_all(agent, every, known, kept, progress))
    finally:
        agent.close()


async def _ask_all(
    agent: ZoomAgent,
    every: Sequence[tuple[str, Task]],
    known: dict[str, Given],
    kept: Path | None,
    progress: Callable[[int], None],
) -> list[Given]:
    found = []
    for done, (name, task) in enumerate(every, 1):
        given = known.get(task.name)
        if given is None:
            with task.open() as picture:
                answer = await agent.aask(picture, task.question.text, task.options)
            given = Given(
                set=name,
                name=task.name,
                group=task.group,
                pixels=task.pixels,
                question=task.question.text,
                wanted=task.question.answer,
                text=answer.text,
                right=answer.answered and same_answer(answer.text, task.question.answer),
                confidence=answer.confidence if answer.confidence_from == "calibrated" else None,
                calls=answer.cost.model_calls,
            )
            if kept is not None:
                with kept.open("ab") as handle:
                    handle.write(orjson.dumps(asdict(given)) + b"\n")
        found.append(given)
        progress(done)
    return found


def report(found: Sequence[Given], arbiter: str) -> dict[str, Any]:
    """Rows per set and error rate: how many answers were given, and which share of them was wrong; and per set how good
    the confidences are. "Cannot tell" is no answer: it is never withheld, and never counted as given."""
    judge = load(arbiter)
    if judge is None:
        raise SettingInvalid(f"There is no arbiter {arbiter!r}. Fit one with zoomagent train calibrate.")
    rows, quality = list[dict[str, Any]](), list[dict[str, Any]]()
    asked = {name: mine for name in SETS if (mine := [g for g in found if g.set == name])}
    for alpha in ALPHAS:
        cutoff = judge.cutoff(alpha, gate_at=GATE)
        for name, mine in asked.items():
            said = [g for g in mine if g.text != CANNOT_TELL]
            given = [g for g in said if cutoff.answers(g.confidence)]
            wrong = sum(not g.right for g in given)
            low, high = clopper_pearson(wrong, len(given))
            row = {
                "set": name, "promised": alpha, "threshold": cutoff.threshold, "n": len(mine), "given": len(given),
                "coverage": len(given) / max(1, len(said)), "wrong": wrong, "error": wrong / max(1, len(given)),
                "low": low, "high": high, "kept": low <= alpha,
            }  # fmt: skip
            rows.append(row)
    for name, mine in asked.items():
        figures = {
            "set": name,
            "n": len(mine),
            "right": sum(g.right for g in mine) / max(1, len(mine)),
            "calls": sum(g.calls for g in mine) / max(1, len(mine)),
            "ece": _ece(mine),
            "by_group": {group: _ece(some) for group, some in _divided(mine, lambda g: g.group)},
            "by_size": {size: _ece(some) for size, some in _divided(mine, lambda g: size_name(g.pixels))},
        }
        quality.append(figures)
    return {"rows": rows, "quality": quality}


def _divided(found: Iterable[Given], key: Callable[[Given], str]) -> list[tuple[str, list[Given]]]:
    groups: dict[str, list[Given]] = {}
    for given in found:
        groups.setdefault(key(given), []).append(given)
    return sorted(groups.items())


def _ece(mine: Sequence[Given]) -> dict[str, float] | None:
    """Expected calibration error over the answers with a calibrated confidence, and how many these are."""
    known = [(g.confidence, g.right) for g in mine if g.confidence is not None]
    if not known:
        return None
    return {"n": len(known), "ece": ece([c for c, _ in known], [right for _, right in known])}


def markdown(content: dict[str, Any]) -> str:
    """The rows as a Markdown table."""
    lines = ["| asked of | promised | given | of answers | wrong [95 %] | kept |", "|---|--:|--:|--:|---|---|"]
    for row in content["rows"]:
        interval = f"{row['error']:.1%} [{row['low']:.1%}, {row['high']:.1%}]" if row["given"] else "–"
        lines.append(
            f"| {row['set']} | {row['promised']:.0%} | {row['given']} of {row['n']} | {row['coverage']:.0%} | "
            f"{interval} | {'yes' if row['kept'] else 'NO'} |"
        )
    lines += ["", "| asked of | n | right | calls | ECE |", "|---|--:|--:|--:|--:|"]
    for row in content["quality"]:
        shown = f"{row['ece']['ece']:.3f} (n {row['ece']['n']})" if row["ece"] else "no calibrated confidence"
        lines.append(f"| {row['set']} | {row['n']} | {row['right']:.1%} | {row['calls']:.1f} | {shown} |")
    return "\n".join(lines)
