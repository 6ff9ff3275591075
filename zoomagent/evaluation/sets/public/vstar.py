"""V*Bench (Wu and Xie 2023): 191 questions about small things in pictures of 2K, in two kinds.

    test_questions.jsonl     {"image", "text", "category", "question_id", "label"}: options and hint stand in the text
    direct_attributes/sa_1.jpg, sa_1.json     the second holds "target_object" and "bbox" (x, y, width, height)

Source of the format: huggingface.co/datasets/craigwu/vstar_bench, and its evaluation in github.com/penghao-wu/vstar.
Scored by the option that is named, as its authors do. The label's place is published shuffled; in the small JSON files
the right option is always the first, so these are never read for options (DeepEyes' pull request 66 tells of a
harness that did, and gained five points).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from zoomagent.data.grounding.annotation import read_json
from zoomagent.evaluation.sets.public.files import (
    corrupt,
    find_option,
    letter,
    numbers_of,
    picture_at,
    read_lines,
    require_fields,
    split_options,
    text_of,
)
from zoomagent.evaluation.sets.public.question import Corners, DrawnQuestion, SetQuestion

FILE = "test_questions.jsonl"
HINT = "Answer with the option's letter from the given choices directly."
KINDS = ("direct_attributes", "relative_position")


def read_vstar(folder: Path) -> Iterator[SetQuestion]:
    """Every question; where its boxes are there, with them."""
    path = folder / FILE
    for number, row in read_lines(path, ("image", "text", "category", "question_id", "label")):
        text, options = split_options(text_of(path, number, row["text"]))
        picture = picture_at(path, number, folder, row["image"])
        yield SetQuestion(
            id=text_of(path, number, row["question_id"]),
            picture=picture,
            text=text,
            answers=(find_option(path, number, row["label"], options),),
            options=options,
            category=text_of(path, number, row["category"]),
            boxes=_boxes_beside(picture),
        )


def _boxes_beside(picture: Path) -> tuple[Corners, ...]:
    """The targets' boxes in the file beside the picture; none where there is no such file."""
    path = picture.with_suffix(".json")
    try:
        if not path.is_file():
            return ()
    except OSError:  # its name is longer than any
        return ()
    content = require_fields(path, 1, read_json(path), ("bbox",))
    if not isinstance(content["bbox"], list):
        raise corrupt(path, 1, "it holds no boxes")
    boxes = [numbers_of(path, 1, box) for box in content["bbox"]]
    return tuple((x, y, x + width, y + height) for x, y, width, height in boxes)


def write_vstar(folder: Path, drawn: Sequence[DrawnQuestion]) -> None:
    """The same files with drawn questions."""
    lines = []
    for number, one in enumerate(drawn):
        kind = KINDS[len(one.boxes) > 1]
        (folder / kind).mkdir(parents=True, exist_ok=True)
        (folder / kind / f"sa_{number}.jpg").write_bytes(one.picture)
        boxes = [[left, top, right - left, bottom - top] for left, top, right, bottom in one.boxes]
        others = [option for option in one.options if option != one.answer]
        beside = {"target_object": [one.category], "bbox": boxes, "question": one.text}
        (folder / kind / f"sa_{number}.json").write_bytes(orjson.dumps(beside | {"options": [one.answer, *others]}))
        options = [f"({letter(i)}) {option}" for i, option in enumerate(one.options)]
        lines.append({
            "image": f"{kind}/sa_{number}.jpg",
            "text": "\n".join([one.text, *options, HINT]),
            "category": kind,
            "question_id": str(number),
            "label": letter(one.options.index(one.answer)),
        })  # fmt: skip
    (folder / FILE).write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
