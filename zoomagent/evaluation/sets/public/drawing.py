"""Small sets in the formats of published ones, drawn from our own world: a model that knows it can be asked, and
loaders can be tried, with no copy of anyone's data.

    draw_set(SETS["vstar"], Path("runs/vstar"), n=12)

Questions and answers are the haystack's, of its test split. Left out: the formats, which lie beside their loaders.
"""

import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from PIL import Image

from zoomagent.confidence.replies import CANNOT_TELL
from zoomagent.data.world.render import render
from zoomagent.errors import SettingInvalid
from zoomagent.evaluation.sets.haystack import Settings, cases
from zoomagent.evaluation.sets.public.question import DrawnQuestion, PublicSet

SIDE = 1536
QUALITY = 92
MOST = 2000


def draw_set(kind: PublicSet, folder: Path, n: int, side: int = SIDE, seed: int = 1) -> None:
    """Write `n` questions in the format of the set. SettingInvalid where the folder holds something already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingInvalid(f"{folder.name} holds something already. Name a folder that is not there yet.")
    folder.mkdir(parents=True, exist_ok=True)
    kind.write(folder, list(islice(draw(kind.rule == "yes or no", side, seed), n)))


def draw(yes_or_no: bool, side: int = SIDE, seed: int = 1) -> Iterator[DrawnQuestion]:
    """Questions without end, each with its picture: those whose answer is Yes or No, or those with two options or more
    beside "Cannot tell", which no published set offers."""
    settings = Settings(n=MOST, seeds=(seed,), size=side, with_options=True, per_scene=2)
    for scene, found in cases(settings):
        for case in found:
            options = tuple(option for option in case.options if option != CANNOT_TELL)
            said = case.question.answer in ("Yes", "No")
            if case.question.answer == CANNOT_TELL or len(options) < 2 or said != yes_or_no:
                continue
            image = io.BytesIO()
            Image.fromarray(render(scene, side, side, full_side=side)).save(image, "JPEG", quality=QUALITY)
            boxes = []
            for target in case.question.targets:
                left, top, right, bottom = (min(side, max(0, round(edge * side))) for edge in scene.items[target].box)
                boxes.append((left, top, right, bottom))
            question = case.question
            yield DrawnQuestion(
                image.getvalue(), (side, side), question.text, question.answer, options, tuple(boxes), question.kind
            )
