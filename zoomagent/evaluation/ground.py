"""`zoomagent bench ground`: the figures of `grounding.py`, measured on pictures of the synthetic world.

Phrases that fit one thing are pointed at in the whole (REC); pictures are described, and the boxes of their phrases
compared with what was drawn; and the model is asked about what is there and what is not, from the whole. Left out:
moments, until clips are drawn: their figures are in `grounding.py`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from zoomagent.agent import ZoomAgent
from zoomagent.answer import Answer
from zoomagent.data.world.render import drawn_picture
from zoomagent.data.world.scene import SPLITS, Level, Scene, draw_scene
from zoomagent.errors import ToolError
from zoomagent.evaluation.grounding import (
    TRAPS,
    PhraseFigures,
    Probe,
    Trap,
    box_accuracy,
    phrase_figures,
    probe_figures,
    probes,
)
from zoomagent.geometry import Box
from zoomagent.graphs.context import Bench
from zoomagent.tools.grounding import ground
from zoomagent.tools.verifying import sees

SIDE = 1024


async def measure(
    agent: ZoomAgent, level: Level, scenes: int, seed: int, progress: Callable[[int], None] = lambda done: None
) -> dict[str, Any]:
    """All figures on `scenes` pictures of the test split."""
    drawn = {f"ground-{level.name}-{seed}-{n}": draw_scene(level, SPLITS["test"] + seed, n) for n in range(scenes)}
    rng = np.random.default_rng(seed)
    asked = {trap: probes({name: names_in(scene) for name, scene in drawn.items()}, trap, rng) for trap in TRAPS}
    pointed: list[tuple[Box | None, Box]] = []
    described, unchecked = PhraseFigures(0, 0, 0), 0
    answers: dict[Trap, list[tuple[Probe, bool]]] = {trap: [] for trap in TRAPS}
    silent = dict.fromkeys(TRAPS, 0)
    for done, (name, scene) in enumerate(drawn.items(), 1):
        of_picture = {trap: [probe for probe in asked[trap] if probe.picture == name] for trap in TRAPS}
        with drawn_picture(scene, SIDE, name) as picture:
            pointed += await agent.awork(picture, partial(point_at_all, scene=scene))
            for trap, some in of_picture.items():
                said = await agent.awork(picture, partial(ask_probes, asked=some))
                answers[trap] += said
                silent[trap] += len(some) - len(said)
            answer = await agent.adescribe(picture)
        described += phrases_of(answer, scene)
        unchecked += sum(phrase.fate == "unchecked" for phrase in answer.grounded)
        progress(done)
    figures = {trap: probe_figures(answers[trap]) for trap in TRAPS}
    return {
        "pictures": scenes,
        "level": level.name,
        "rec": {"acc@0.5": box_accuracy(pointed), "n": len(pointed)},
        "phrases": {
            "precision": described.precision,
            "recall": described.recall,
            "found": described.found,
            "wanted": described.wanted,
            "unchecked": unchecked,
        },
        "pope": {
            trap: {
                # Of no answers there is no figure.
                "accuracy": one.accuracy if one.number else None,
                "f1": one.f1 if one.number else None,
                "yes": one.yes if one.number else None,
                "n": one.number,
                "unchecked": silent[trap],
            }
            for trap, one in figures.items()
        },
    }


def names_in(scene: Scene) -> list[str]:
    return [item.name for item in scene.items]


def box_in(corners: tuple[float, ...]) -> Box:
    """A box of the scene in pixels."""
    left, top, right, bottom = (min(SIDE, max(0, round(SIDE * corner))) for corner in corners)
    return Box(left, top, right, bottom)


async def point_at_all(bench: Bench, scene: Scene) -> list[tuple[Box | None, Box]]:
    """Where the model points for every phrase that fits one thing, beside where that is."""
    names, whole = names_in(scene), bench.views.whole()["id"]
    pairs: list[tuple[Box | None, Box]] = []
    for item in scene.items:
        if names.count(item.name) != 1:
            continue
        try:
            boxes = await ground(bench.model, bench.views, whole, item.name)
        except ToolError:
            boxes = []
        pairs.append((boxes[0] if boxes else None, box_in(item.box)))
    return pairs


async def ask_probes(bench: Bench, asked: list[Probe]) -> list[tuple[Probe, bool]]:
    """Whether the model says that each is there, from the whole. What it gives no likelihood for is left out."""
    whole = bench.views.whole()["id"]
    seen = [(probe, await sees(bench.model, bench.views, whole, probe.name)) for probe in asked]
    return [(probe, value >= 0.5) for probe, value in seen if value is not None]


def phrases_of(answer: Answer, scene: Scene) -> PhraseFigures:
    """The boxes of a description beside those of the scene."""
    found = [(phrase.phrase, [Box(*box) for box in phrase.boxes]) for phrase in answer.grounded]
    return phrase_figures(found, [(item.name, [box_in(item.box)]) for item in scene.items])


def table(content: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    rec, phrases, pope = content["rec"], content["phrases"], content["pope"]
    rows = [
        ("REC, accuracy at IoU 0.5", percent(rec["acc@0.5"]), f"{rec['n']} phrases"),
        ("phrases with boxes, precision", percent(phrases["precision"]), f"{phrases['found']} boxes"),
        ("phrases with boxes, recall", percent(phrases["recall"]), f"{phrases['wanted']} things"),
    ]
    for trap, one in pope.items():
        measured = f"{percent(one['accuracy'])}, F1 {percent(one['f1'])}, yes {percent(one['yes'])}" if one["n"] else ""
        left_out = f", {one['unchecked']} unchecked" if one["unchecked"] else ""
        rows.append((f"POPE, {trap}", measured or "not measured", f"{one['n']} questions{left_out}"))
    head = f"{content['pictures']} unseen pictures of level {content['level']}"
    return "\n".join([f"| {head} | | |", "|---|--:|--:|", *(f"| {' | '.join(row)} |" for row in rows)])


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"
