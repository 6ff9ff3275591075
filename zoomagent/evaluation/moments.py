"""`zoomagent bench moments`: who finds when something is there in a clip, how exactly, and at what price.

Rows are contestants by length of the moment: mIoU, R@1 at 0.5 and 0.7, calls, visual tokens. "Never" is right where
nothing was there; `read` is right where the answer is. Everyone asks the same model about the same drawn clips. Left
out: the questions (`sets/moments.py`), the rivals' ways (`rivals/frames.py`).
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from zoomagent.agent import ZoomAgent
from zoomagent.data.world.clips import drawn_video
from zoomagent.evaluation.rivals.frames import Counted, uniform, window
from zoomagent.evaluation.scoring import wilson
from zoomagent.evaluation.sets.moments import Case, Settings, cases
from zoomagent.media.video.sheet import Sheet
from zoomagent.models.base import Model
from zoomagent.moments import Moment, iou
from zoomagent.tools.viewing import ViewStore

RIVALS = ("seek", "frames-9", "frames-18", "frames-81", "window", "macro")


@dataclass(frozen=True)
class Found:
    """What a contestant made of a case. `score` is the IoU; 1 or 0 where an answer is right or wrong."""

    contestant: str
    kind: str
    length: float
    score: float
    calls: int
    visual_tokens: int


def measure(model: Model, settings: Settings, progress: Callable[[int], None] = lambda done: None) -> list[Found]:
    """Every contestant on every case."""
    found: list[Found] = []
    asked = list(cases(settings))
    with ZoomAgent(model, arbiter="none") as agent:
        for done, case in enumerate(asked, start=1):
            for name in settings.rivals:
                if case.kind == "read" and name not in ("seek", "macro"):
                    continue
                if case.kind != "read" and name == "macro":
                    continue
                found.append(
                    ask_agent(agent, case, settings, name)
                    if name in ("seek", "macro")
                    else ask_rival(model, case, settings, name)
                )
            progress(done)
    return found


def ask_agent(agent: ZoomAgent, case: Case, settings: Settings, name: str) -> Found:
    """The agent as everyone uses it; `macro` is nine frames shown once, at the size of a whole picture."""
    asked = agent if name == "seek" else agent.using(strategy="macro")
    answer = asked.ask(drawn_video(case.clip, settings.side), case.question)
    if case.kind == "read":
        score = float(answer.text == case.clip.item.text)
    elif case.kind == "never":
        score = float(answer.text == "Never")
    else:
        score = max((iou(Moment(span.start, span.end), case.clip.moment) for span in answer.moments), default=0.0)
    return Found(name, case.kind, case.length, score, answer.cost.model_calls, answer.cost.visual_tokens)


def ask_rival(model: Model, case: Case, settings: Settings, name: str) -> Found:
    video, counted = drawn_video(case.clip, settings.side), Counted(model)
    views = ViewStore(Sheet(video, video.moment, 3), model.profile)
    kind, _, count = name.partition("-")
    looking = (
        window(counted, views, case.phrase) if kind == "window" else uniform(counted, views, case.phrase, int(count))
    )
    moment = asyncio.run(looking)
    right = float(moment is None) if case.kind == "never" else iou(moment, case.clip.moment) if moment else 0.0
    return Found(name, case.kind, case.length, right, counted.calls, counted.tokens)


def rows(found: Sequence[Found]) -> list[dict[str, Any]]:
    """The table."""
    table = []
    for key in dict.fromkeys((one.kind, one.contestant, one.length) for one in found):
        mine = [one for one in found if (one.kind, one.contestant, one.length) == key]
        n = len(mine)
        half, most = (sum(one.score >= least for one in mine) for least in (0.5, 0.7))
        low, high = wilson(half, n)
        row = {"kind": key[0], "contestant": key[1], "length": key[2], "n": n, "score": sum(m.score for m in mine) / n}
        row |= {"r50": half / n, "low": low, "high": high, "r70": most / n}
        table.append(row | {"calls": sum(m.calls for m in mine) / n, "tokens": sum(m.visual_tokens for m in mine) / n})
    return table


def report(settings: Any, found: Sequence[Found]) -> dict[str, Any]:
    """What is written to a file; `settings` are a frozen dataclass."""
    return {"settings": asdict(settings), "rows": rows(found), "answers": [asdict(one) for one in found]}


def markdown(table: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| question | contestant | length | n | mIoU, or right | R@1 0.5 [95 %] | R@1 0.7 | calls | visual tokens |",
        "|---|---|--:|--:|--:|---|--:|--:|--:|",
    ]
    for row in table:
        lines.append(
            f"| {row['kind']} | {row['contestant']} | {row['length']} | {row['n']} | {row['score']:.2f} | "
            f"{row['r50']:.2f} [{row['low']:.2f}, {row['high']:.2f}] | {row['r70']:.2f} | {row['calls']:.1f} | "
            f"{row['tokens']:.0f} |"
        )
    return "\n".join(lines)
