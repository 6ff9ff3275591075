"""MMBench's dev split of 12 July 2023 (Liu et al. 2023): 4,377 rows, most questions asked again with their options
rotated.

    mmbench_dev_20230712.tsv     index, question, hint, A, B, C, D, answer, category, image (base64)

Rows of one question have indices that differ by a million; a row may name another row's picture by its index. Source
of the format and of the scoring: github.com/open-compass/MMBench and mmclassification's mmbench page. Circular
evaluation: a question counts as right where all its rotations are (`together` of the table); the mean over rows, which
LLaVA's and DualFocus' scripts send in, stands beside it. A hint is told before the question. There a judge picks the
letter where none can be read; here nothing is guessed.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zoomagent.evaluation.sets.public.files import (
    corrupt,
    decode_picture,
    find_option,
    full_cells,
    letter,
    read_table,
    require_file,
    to_base64,
    write_table,
)
from zoomagent.evaluation.sets.public.question import DrawnQuestion, SetQuestion

FILE = "mmbench_dev_20230712.tsv"
COLUMNS = ("index", "question", "hint", "A", "B", "answer", "category", "image")
ROTATION = 1_000_000
"""By how much the indices of two rotations of a question differ."""
MOST_INDEX = 18
"""Digits of a row's index (ours)."""


def read_mmbench(folder: Path) -> Iterator[SetQuestion]:
    """Every rotation of every question. Pictures are small and kept, as later rows may name them."""
    path = require_file(folder / FILE)
    pictures: dict[str, bytes] = {}
    for number, row in read_table(path, COLUMNS):
        if not row["index"].isdecimal() or len(row["index"]) > MOST_INDEX:
            raise corrupt(path, number, "its index is no number")
        options = full_cells(row, "ABCD")
        if row["image"] not in pictures:
            pictures[row["index"]] = decode_picture(path, number, row["image"])
        yield SetQuestion(
            id=row["index"],
            picture=pictures.get(row["image"]) or pictures[row["index"]],
            text="\n".join(filter(None, (row["hint"].strip(), row["question"].strip()))),
            answers=(find_option(path, number, row["answer"], options),),
            options=options,
            category=row["category"],
            circle=str(int(row["index"]) % ROTATION),
        )


def write_mmbench(folder: Path, drawn: Sequence[DrawnQuestion]) -> None:
    """The table with drawn questions: all of them first, then their rotations, which name the picture by its row."""
    rows: list[dict[str, Any]] = []
    for turn in range(max(len(one.options) for one in drawn)):
        for number, one in enumerate(drawn):
            if turn >= len(one.options):
                continue
            options = one.options[turn:] + one.options[:turn]
            rows.append({
                "index": number + turn * ROTATION,
                "question": one.text,
                "hint": "",
                **{name: options[i] if i < len(options) else "" for i, name in enumerate("ABCD")},
                "answer": letter(options.index(one.answer)),
                "category": one.category,
                "image": str(number) if turn else to_base64(one.picture),
                "l2-category": one.category,
            })  # fmt: skip
    write_table(folder / FILE, rows)
