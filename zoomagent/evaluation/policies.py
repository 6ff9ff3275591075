"""Trained policies beside each other: does the model that drives the tools itself zoom better, and at what price?

    python -m zoomagent.evaluation.policies base=nano sft=runs/sft/checkpoint gap=runs/gap/checkpoint --n 240

Every policy answers the same unseen questions with the strategy `tools`: half at 4K (level small), half at 8K (level
deep; most things are too small to be seen in the whole), test split, by default seed 21. `calling` is the share of
questions with at least one tool call; `IoU` that of the box the model last zoomed to with the smallest sufficient one
(the target's), where there is one target and it zoomed; `mattered` the share, among answers with crops, whose
likelihood falls when the crops are blanked. Views are drawn when they are asked for. Answers are kept in `--results`
and taken up after a kill. `ZOOMAGENT_PROFILE='{"whole_pixels": 4096}'` shows all of them smaller wholes.
"""

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import orjson

from zoomagent.agent import ZoomAgent
from zoomagent.answer import Answer
from zoomagent.data.world.render import drawn_picture
from zoomagent.data.world.scene import Scene
from zoomagent.evaluation.scoring import same_answer, wilson
from zoomagent.evaluation.sets.haystack import Case, Settings, cases
from zoomagent.geometry import Box, Size, iou
from zoomagent.journal import Journal
from zoomagent.models.loading import fingerprint, load_model
from zoomagent.training.nano.located import true_box

SIDES = {"small": 4096, "deep": 8192}
SEED = 21


@dataclass(frozen=True)
class Driven:
    """One policy's answer to one question. `overlap` is the IoU of its last zoom with the target's box, None where it
    did not zoom or there is not one target; `mattered` None where that was not measured."""

    policy: str
    weights: str
    case: str
    level: str
    group: str
    right: bool
    called: bool
    calls: int
    overlap: float | None
    mattered: bool | None


def questions(n: int, seed: int = SEED) -> Iterator[tuple[Scene, Case, str]]:
    """The questions, half of each level: scene, case and level."""
    for level in SIDES:
        for scene, found in cases(Settings(n=n // 2, seeds=(seed,), size=SIDES[level], level=level)):
            yield from ((scene, case, level) for case in found)


async def drive(policies: dict[str, str], n: int, results: Path, seed: int = SEED) -> list[Driven]:
    """Ask every policy every question that is not in `results` yet; all results."""
    found: list[Driven] = []
    with Journal(results) as journal:
        rows = [Driven(**orjson.loads(line)) for line in journal.lines()]
        kept = {(row.weights, row.case): row for row in rows}
        for name, weights in policies.items():
            model = load_model(weights)
            print_of = fingerprint(weights) + f" {model.profile.whole_pixels}" * bool(model.profile.whole_pixels)
            with ZoomAgent(model, strategy="tools") as agent:
                for scene, case, level in questions(n, seed):
                    key = (print_of, f"{level} {case.seed} {case.scene} {case.group}")
                    if key not in kept:
                        kept[key] = await _ask_policy(agent, scene, case, level, name, print_of)
                        journal.add([orjson.dumps(asdict(kept[key]))])
                    found.append(Driven(**{**asdict(kept[key]), "policy": name}))
    return found


async def _ask_policy(agent: ZoomAgent, scene: Scene, case: Case, level: str, name: str, weights: str) -> Driven:
    side, title = SIDES[level], f"{level} {case.seed} {case.scene}"
    with drawn_picture(scene, side, title) as picture:
        answer = await agent.aask(picture, case.question.text)
    proven = [item.mattered for item in answer.evidence if item.mattered is not None]
    return Driven(
        policy=name,
        weights=weights,
        case=f"{title} {case.group}",
        level=level,
        group=case.group,
        right=answer.answered and same_answer(answer.text, case.question.answer),
        called=len(answer.views) > 1 or any(step.name == "drive" and step.boxes for step in answer.steps),
        calls=answer.cost.model_calls,
        overlap=overlap(answer, case, scene, side),
        mattered=(any(proven) if proven else None),
    )


def overlap(answer: Answer, case: Case, scene: Scene, side: int) -> float | None:
    """IoU of the last region zoomed to with the target's box."""
    zoomed = [view for view in answer.views if view.depth > 0]
    if len(case.question.targets) != 1 or not zoomed:
        return None
    pointed = [item.target or item.box for item in answer.evidence if item.view == zoomed[-1].view]
    last = Box(*(pointed[-1] if pointed else zoomed[-1].box))
    left, top, right, bottom = (round(v * side) for v in true_box(case.question, scene))
    box = Box(left, top, right, bottom)
    size = Size(side, side)
    within = Box(max(0, box.left), max(0, box.top), min(size.width, box.right), min(size.height, box.bottom))
    return iou(last, within)


def table(found: Sequence[Driven]) -> str:
    """Markdown: a line per policy."""
    head = ["policy", "n", *(f"{level} [95 %]" for level in ("4K", "8K")), "calling", "IoU", "mattered", "calls"]
    lines = [f"| {' | '.join(head)} |", f"|---|--:|{'---|' * 2}{'--:|' * 4}"]
    for name in dict.fromkeys(row.policy for row in found):
        rows = [row for row in found if row.policy == name]
        shares = []
        for level in SIDES:
            rights = [row.right for row in rows if row.level == level]
            low, high = wilson(sum(rights), len(rights))
            shares.append(f"{_percent(rights)} [{100 * low:.1f}, {100 * high:.1f}]")
        overlaps = [row.overlap for row in rows if row.overlap is not None]
        proofs = [row.mattered for row in rows if row.mattered is not None]
        cells = [
            name, str(len(rows)), *shares, _percent([row.called for row in rows]),
            f"{mean(overlaps):.2f} ({len(overlaps)})" if overlaps else "–",
            f"{_percent(proofs)} ({len(proofs)})", f"{mean(row.calls for row in rows):.1f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(found: Sequence[bool]) -> str:
    return f"{100 * mean(found):.1f}" if found else "–"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policies", nargs="+", metavar="NAME=MODEL", help="what to call it, and nano or its folder")
    parser.add_argument("--n", type=int, default=240, help="questions per policy, half at 4K and half at 8K")
    parser.add_argument("--seed", type=int, default=SEED, help="which scenes")
    parser.add_argument("--results", type=Path, default=Path("policies.jsonl"), help="answers, kept as they come")
    parser.add_argument("--json", type=Path, help="write all answers here too")
    arguments = parser.parse_args()
    named = dict(given.split("=", 1) for given in arguments.policies)
    found = asyncio.run(drive(named, arguments.n, arguments.results, arguments.seed))
    if arguments.json:
        arguments.json.write_bytes(orjson.dumps([asdict(row) for row in found], option=orjson.OPT_INDENT_2))
    print(table(found))


if __name__ == "__main__":
    main()
