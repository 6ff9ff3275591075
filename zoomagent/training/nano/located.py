"""Where a question's answer lies in a scene, in the words and regions that training uses. Pure geometry.

Scene coordinates are shares of the scene's side. Left out: pixels (`looks.py`) and words (`branches.py`).
"""

import numpy as np

from zoomagent.data.world.questions import Question
from zoomagent.data.world.scene import Item, Region, Scene
from zoomagent.training.nano.dense import thousandths
from zoomagent.training.nano.model import SMALL

WHOLE_BOX = (0.0, 0.0, 1.0, 1.0)
"""The answer to "where" when it cannot be seen anywhere: the whole picture, as P2R's `[]` means."""


def about(question: Question) -> int:
    """The items a question is about as a bit mask: bit i + 1 for item i, bit 0 for the background."""
    return 1 if question.kind == "ground" else sum(1 << (i + 1) for i in question.targets)


def true_box(question: Question, scene: Scene) -> Region:
    """The smallest box that holds every target; the whole scene when there is none."""
    if not question.targets:
        return WHOLE_BOX
    boxes = np.array([scene.items[i].box for i in question.targets])
    x0, y0 = boxes[:, :2].min(0).tolist()
    x1, y1 = boxes[:, 2:].max(0).tolist()
    return x0, y0, x1, y1


def box_text(box: Region) -> str:
    """`[x1, y1, x2, y2]`, 0-1000, in tens."""
    return str(thousandths(np.array(box)))


def crop_region(box: Region, margin: float = SMALL.crop_margin) -> Region:
    """DualFocus' crop: the square around the box plus a relative margin, moved inside the picture."""
    side = max(box[2] - box[0], box[3] - box[1])
    side = min(1.0, max(side * (1 + 2 * margin), 0.02))
    x0 = min(max((box[0] + box[2] - side) / 2, 0.0), 1 - side)
    y0 = min(max((box[1] + box[3] - side) / 2, 0.0), 1 - side)
    return x0, y0, x0 + side, y0 + side


def located(box: Region, rng: np.random.Generator) -> Region:
    """The box as a policy would give it: right within a little."""
    side = max(box[2] - box[0], box[3] - box[1])
    shift = rng.normal(0, 0.05 * side, 2) + rng.normal(0, 0.012, 2) * min(1.0, side / 0.05)
    grow = np.abs(rng.normal(0, 0.10 * side + 0.004 * min(1.0, side / 0.05), 2)) / 2
    x0, y0, x1, y1 = np.clip(np.array(box) + np.concatenate([shift - grow, shift + grow]), 0, 1).tolist()
    return x0, y0, max(x1, x0 + 0.005), max(y1, y0 + 0.005)


def shows_nothing(item: Item, region: Region) -> bool:
    """Whether no part of the item lies in `region`."""
    x0, y0, x1, y1 = item.box
    return x1 < region[0] or x0 > region[2] or y1 < region[1] or y0 > region[3]


def close_region(scene: Scene, rng: np.random.Generator) -> Region:
    """A crop around an item, of random zoom and offset; anywhere in a scene without items."""
    if not scene.items:
        x, y = rng.uniform(0, 0.7, 2).tolist()
        return x, y, x + 0.3, y + 0.3
    item = scene.items[int(rng.integers(len(scene.items)))]
    side = min(1.0, item.size * float(rng.uniform(1.3, 3.0)))
    free = side - item.size
    x0 = item.x - item.size / 2 - free * float(rng.uniform(0.1, 0.9))
    y0 = item.y - item.size / 2 - free * float(rng.uniform(0.1, 0.9))
    x0, y0 = min(max(x0, 0.0), 1 - side), min(max(y0, 0.0), 1 - side)
    return x0, y0, x0 + side, y0 + side


def relative(box: Region, region: Region) -> Region:
    """`box` in shares of `region`."""
    side = region[2] - region[0]
    x0, y0, x1, y1 = (float(np.clip((v - region[i % 2]) / side, 0, 1)) for i, v in enumerate(box))
    return x0, y0, x1, y1
