"""TreeBench (Wang et al. 2025): 405 questions of ten kinds about dense pictures, with the boxes of what must be seen.

    TreeBench.tsv     index, question, image (base64), answer, category, A, B …, multi-choice options, target_instances

Source of the format and of the scoring: huggingface.co/datasets/HaochenWang/TreeBench and inference_treebench.py of
github.com/Haochen-Wang409/TreeVGR: the letter named, and the mean over questions of the best IoU of each target.
Questions of Perception/OCR have their options in their own words. `target_instances` are left, top, right, bottom.
"""

import string
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from zoomagent.evaluation.sets.public.files import (
    corrupt,
    decode_picture,
    find_option,
    full_cells,
    letter,
    numbers_of,
    read_table,
    require_file,
    split_options,
    to_base64,
    write_table,
)
from zoomagent.evaluation.sets.public.question import DrawnQuestion, SetQuestion

FILE = "TreeBench.tsv"
_TUPLES = str.maketrans("()", "[]")
COLUMNS = ("index", "question", "image", "answer", "category", "target_instances")


def read_tree_bench(folder: Path) -> Iterator[SetQuestion]:
    """Every question with its boxes."""
    path = require_file(folder / FILE)
    for number, row in read_table(path, COLUMNS):
        text, options = split_options(row["question"])
        options = options or full_cells(row, string.ascii_uppercase)
        options = options or split_options(row.get("multi-choice options") or "")[1]
        try:
            boxes = orjson.loads(row["target_instances"].translate(_TUPLES) or "[]")
        except orjson.JSONDecodeError as error:
            raise corrupt(path, number, "its target_instances are no boxes") from error
        if not isinstance(boxes, list):
            raise corrupt(path, number, "its target_instances are no boxes")
        yield SetQuestion(
            id=row["index"],
            picture=decode_picture(path, number, row["image"]),
            text=text,
            answers=(find_option(path, number, row["answer"], options),),
            options=options,
            category=row["category"],
            boxes=tuple(numbers_of(path, number, box) for box in boxes),
        )


def write_tree_bench(folder: Path, drawn: Sequence[DrawnQuestion]) -> None:
    """The table with drawn questions; those that read stand for OCR."""
    rows: list[dict[str, Any]] = []
    for number, one in enumerate(drawn):
        listed = "\n".join(f"{letter(i)}. {option}" for i, option in enumerate(one.options))
        reads = one.category == "read"
        rows.append({
            "index": number,
            "question": f"{one.text}\n{listed}" if reads else one.text,
            "image": to_base64(one.picture),
            "answer": letter(one.options.index(one.answer)),
            "category": "Perception/OCR" if reads else "Reasoning/Comparison",
            **{name: one.options[i] if i < len(one.options) else "" for i, name in enumerate("ABCD")},
            "multi-choice options": listed,
            "target_instances": orjson.dumps(one.boxes).decode(),
        })  # fmt: skip
    write_table(folder / FILE, rows)
