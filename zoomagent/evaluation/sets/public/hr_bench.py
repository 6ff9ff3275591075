"""HR-Bench 4K and 8K (Wang et al. 2024): 200 questions each, every one with its options rotated four times.

    hr_bench_4k.tsv or hr_bench_4k.parquet     index, question, A, B, C, D, answer, category, cycle_category, image

`image` is base64 in both. Source of the format: huggingface.co/datasets/DreamMr/HR-Bench; its scoring: report_acc of
`vlmeval/dataset/utils/hrbench.py` in github.com/open-compass/VLMEvalKit, the mean over the four rotations, of which
each has as many questions. There a judge picks the letter where none can be read; here nothing is guessed. Besides:
how many questions are right in all four (`circle`).
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zoomagent.evaluation.sets.public.files import (
    decode_picture,
    find_files,
    find_option,
    full_cells,
    letter,
    read_parquet,
    read_table,
    text_of,
    to_base64,
    write_table,
)
from zoomagent.evaluation.sets.public.question import DrawnQuestion, SetQuestion

COLUMNS = ("index", "question", "A", "B", "C", "D", "answer", "category", "image")
KINDS = ("single", "cross")


def read_hr_bench(size: str, folder: Path) -> Iterator[SetQuestion]:
    """Every rotation of every question of one size, "4k" or "8k"."""
    [path] = find_files(folder, f"hr_bench_{size}.tsv", f"hr_bench_{size}.parquet")[:1]
    rows: Iterator[tuple[int, dict[str, Any]]] = (
        read_table(path, COLUMNS)
        if path.suffix == ".tsv"
        else ((number, row) for _, number, row in read_parquet([path], COLUMNS))
    )
    for number, row in rows:
        cells = {name: "" if row[name] is None else text_of(path, number, row[name]) for name in "ABCD"}
        options = full_cells(cells, "ABCD")
        picture = decode_picture(path, number, row["image"])
        text, name = text_of(path, number, row["question"]).strip(), text_of(path, number, row["index"])
        circle = hashlib.sha256(text.encode() + picture).hexdigest()[:12]
        answer = find_option(path, number, row["answer"], options)
        category = text_of(path, number, row["category"])
        yield SetQuestion(name, picture, text, (answer,), options, category, circle=circle)


def write_hr_bench(size: str, folder: Path, drawn: Sequence[DrawnQuestion]) -> None:
    """The table with drawn questions, each in every rotation of its options."""
    rows: list[dict[str, Any]] = []
    for one in drawn:
        for turn in range(len(one.options)):
            options = one.options[turn:] + one.options[:turn]
            rows.append({
                "index": len(rows),
                "question": one.text,
                "image": to_base64(one.picture),
                "answer": letter(options.index(one.answer)),
                **{name: options[i] if i < len(options) else "" for i, name in enumerate("ABCD")},
                "category": KINDS[len(one.boxes) > 1],
                "cycle_category": turn,
            })  # fmt: skip
    write_table(folder / f"hr_bench_{size}.tsv", rows)
