"""POPE (Li et al. 2023): whether a thing is in a picture of COCO, 3 x 3,000 questions; what is not there was chosen at
random, by how common it is, and by what it often stands beside.

    coco_pope_random.json, coco_pope_popular.json, coco_pope_adversarial.json     JSON lines of {"question_id", "image",
                                                                                  "text", "label"}
    val2014/COCO_val2014_….jpg

Source of the files and of the scoring: github.com/AoiDragon/POPE (output/coco, evaluate.py): accuracy, F1 of "yes", and
the share of "yes".
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from zoomagent.evaluation.sets.public.files import corrupt, find_files, picture_at, read_lines, text_of
from zoomagent.evaluation.sets.public.question import DrawnQuestion, SetQuestion

TRAPS = ("random", "popular", "adversarial")
PICTURES = "val2014"


def read_pope(folder: Path) -> Iterator[SetQuestion]:
    """Every question of the files that are there."""
    for path in find_files(folder, "coco_pope_*.json", "coco/coco_pope_*.json", "output/coco/coco_pope_*.json"):
        trap = path.stem.removeprefix("coco_pope_")
        for number, row in read_lines(path, ("question_id", "image", "text", "label")):
            label = text_of(path, number, row["label"]).lower()
            if label not in ("yes", "no"):
                raise corrupt(path, number, "its label is neither yes nor no")
            picture = picture_at(path, number, folder / PICTURES, row["image"])
            name, text = (text_of(path, number, row[field]) for field in ("question_id", "text"))
            yield SetQuestion(f"{trap}-{name}", picture, text, (label.capitalize(),), category=trap)


def write_pope(folder: Path, drawn: Sequence[DrawnQuestion]) -> None:
    """The three files with drawn questions of Yes and No."""
    (folder / PICTURES).mkdir()
    for place, trap in enumerate(TRAPS):
        lines = []
        for number, one in enumerate(drawn[place :: len(TRAPS)], 1):
            image = f"COCO_val2014_{place * 1000 + number:012}.jpg"
            (folder / PICTURES / image).write_bytes(one.picture)
            lines.append({"question_id": number, "image": image, "text": one.text, "label": one.answer.lower()})
        (folder / f"coco_pope_{trap}.json").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
