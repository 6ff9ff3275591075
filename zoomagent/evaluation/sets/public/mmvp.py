"""MMVP (Tong et al. 2024): 150 pairs of pictures that CLIP takes for one another, one question for each pair.

    Questions.csv            Index, Question, Options ("(a) Open (b) Closed"), Correct Answer ("(a)")
    MMVP Images/INDEX.jpg

Source of the files and of the scoring: huggingface.co/datasets/MMVP/MMVP and github.com/tsb0601/MMVP: a pair counts as
right where both questions are (`together` of the table). Answers are taken as published; those of 99, 100, 279 and 280
are said to be swapped (issue 30 there), which costs every model up to two pairs.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zoomagent.evaluation.sets.public.files import (
    find_option,
    picture_at,
    read_table,
    require_file,
    write_table,
)
from zoomagent.evaluation.sets.public.question import DrawnQuestion, SetQuestion

FILE, PICTURES = "Questions.csv", "MMVP Images"
_OPTIONS = re.compile(r"\(([a-zA-Z])\)\s*")
COLUMNS = ("Question", "Options", "Correct Answer")


def read_mmvp(folder: Path) -> Iterator[SetQuestion]:
    """Every question; two that follow each other are a pair. A row's number names its picture, as the authors count."""
    path = require_file(folder / FILE)
    for number, row in read_table(path, COLUMNS, tabs=False):
        # Options in one line: "(a) Open (b) Closed".
        parts = _OPTIONS.split(row["Options"].strip())
        letters, said = [part.lower() for part in parts[1::2]], [part.strip() for part in parts[2::2]]
        in_order = letters == [chr(ord("a") + i) for i in range(len(letters))]
        options = tuple(said) if in_order and not parts[0].strip() and all(said) else ()
        answer = find_option(path, number, row["Correct Answer"], options)
        picture = picture_at(path, number, folder / PICTURES, f"{number}.jpg")
        pair = str((number + 1) // 2)
        yield SetQuestion(str(number), picture, row["Question"].strip(), (answer,), options, circle=pair)


def write_mmvp(folder: Path, drawn: Sequence[DrawnQuestion]) -> None:
    """The table with drawn questions of two options."""
    (folder / PICTURES).mkdir()
    rows: list[dict[str, Any]] = []
    for number, one in enumerate(drawn, 1):
        (folder / PICTURES / f"{number}.jpg").write_bytes(one.picture)
        wrong = next(option for option in one.options if option != one.answer)
        pair = [one.answer, wrong] if number % 2 else [wrong, one.answer]
        rows.append({
            "Index": number,
            "Question": one.text,
            "Options": f"(a) {pair[0]} (b) {pair[1]}",
            "Correct Answer": f"({'ab'[pair.index(one.answer)]})",
        })  # fmt: skip
    write_table(folder / FILE, rows, tabs=False)
