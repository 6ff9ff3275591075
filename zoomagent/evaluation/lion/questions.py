"""What LION's arms are taught and asked: seven questions about a scene, of both tasks, each with its own score.

    for question in questions(scene, SMALL, rng):
        score(question, reply)                          # 0 to 1

Nano answers none of them as it is shipped: the wordings are new, and so is the way in which a place is said. So what an
arm is worth is what it learned. Left out: pixels, and teaching (`teaching.py`).
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from zoomagent.confidence.replies import same_answer
from zoomagent.data.grounding.telling import REGION
from zoomagent.data.world.scene import Item, Scene
from zoomagent.prompts import PLAIN_DESCRIPTION
from zoomagent.strategy import Task
from zoomagent.training.nano.located import box_text

Kind = Literal["colour", "shape", "count", "caption", "box", "describe", "size"]
KINDS: tuple[Kind, ...] = get_args(Kind)
TASK_OF: dict[Kind, Task] = {
    "colour": "image", "shape": "image", "count": "image", "caption": "image",
    "box": "region", "describe": "region", "size": "region",
}  # fmt: skip
COLOUR = "Which colour do most have?"
SHAPE = "Which shape do most have?"
COUNT = "How many things are there?"
BOX = "Where is the {name}? Reply left, top, width, height, from 0 to 100."
SIZE = "How large is the {name}? Reply from 0 to 100."
ASKED = 2
"""Things of a scene that each region question is asked about."""
LONGEST = {"caption": 96, "box": 24}
"""Tokens of the longest reply; of the others 12."""
OVERLAP = 0.5
"""The IoU from which a box is right, as everywhere where boxes of phrases are counted."""


@dataclass(frozen=True)
class BenchQuestion:
    """`answer` is what is taught. `item` is the number of the thing that is asked about, -1 for the whole."""

    kind: Kind
    prompt: str
    answer: str
    item: int = -1

    @property
    def task(self) -> Task:
        return TASK_OF[self.kind]

    @property
    def room(self) -> int:
        return LONGEST.get(self.kind, 12)


def questions(scene: Scene, rng: np.random.Generator) -> list[BenchQuestion]:
    """All that can be asked without doubt. `rng` chooses the things of the region questions."""
    made = [BenchQuestion("count", COUNT, str(len(scene.items)))]
    for kind, prompt in (("colour", COLOUR), ("shape", SHAPE)):
        [(value, most), *rest] = Counter(str(getattr(item, kind)) for item in scene.items).most_common()
        if not rest or rest[0][1] < most:
            made.append(BenchQuestion(kind, prompt, value))  # type: ignore[arg-type]
    ordered = sorted(scene.items, key=lambda item: item.x)
    made.append(BenchQuestion("caption", PLAIN_DESCRIPTION, ", ".join(item.name for item in ordered)))
    names = Counter(item.name for item in scene.items)
    alone = [number for number, item in enumerate(scene.items) if names[item.name] == 1]
    for number in rng.permutation(alone)[:ASKED].tolist():
        item = scene.items[number]
        made.append(BenchQuestion("box", BOX.format(name=item.name), place_text(item), number))
        made.append(BenchQuestion("describe", f"{REGION}{box_text(item.box)}", item.name, number))
        made.append(BenchQuestion("size", SIZE.format(name=item.name), str(hundredths(item.size)), number))
    return made


def place_text(item: Item) -> str:
    """Left, top, width and height in hundredths."""
    x0, y0, x1, y1 = item.box
    return " ".join(str(hundredths(value)) for value in (x0, y0, x1 - x0, y1 - y0))


def hundredths(share: float) -> int:
    return min(100, max(0, round(100 * share)))


def score(question: BenchQuestion, reply: str) -> float:
    """0 to 1: a box counts from an IoU of a half, a size within one hundredth, a caption by the F1 of the things named;
    all else is right or wrong."""
    match question.kind:
        case "box":
            said, true = _numbers(reply), _numbers(question.answer)
            return float(len(said) == len(true) and _overlap(said, true) >= OVERLAP)
        case "size":
            said = _numbers(reply)
            return float(len(said) == 1 and abs(said[0] - int(question.answer)) <= 1)
        case "caption":
            return _shared(reply, question.answer)
        case _:
            return float(same_answer(reply, question.answer))


def _numbers(text: str) -> list[int]:
    return [int(word) for word in re.findall(r"[0-9]{1,4}", text)]


def _overlap(one: list[int], other: list[int]) -> float:
    """The IoU of two places: left, top, width, height."""
    width, height = (
        max(0, min(one[side] + one[side + 2], other[side] + other[side + 2]) - max(one[side], other[side]))
        for side in (0, 1)
    )
    common = width * height
    every = one[2] * one[3] + other[2] * other[3] - common
    return common / every if every else 0.0


def _shared(reply: str, answer: str) -> float:
    """F1 of the names of two lists, each counted as often as it is there."""
    said, true = (Counter(" ".join(name.split()).lower() for name in text.split(",")) for text in (reply, answer))
    common = (said & true).total()
    return 2 * common / (said.total() + true.total())
