"""BLINK's spatial relations (Fu et al. 2024): 143 questions of the val split, about one picture each.

    Spatial_Relation/val-00000-of-00001.parquet     idx, question, image_1, choices, answer ("(A)")

Source of the format and of the scoring, the letter named: huggingface.co/datasets/BLINK-Benchmark/BLINK and
github.com/zeyofu/BLINK_Benchmark. There a judge picks the letter where none can be read; here nothing is guessed.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from zoomagent.evaluation.sets.public.files import (
    find_files,
    find_option,
    letter,
    picture_in_cell,
    read_parquet,
    text_of,
    texts_of,
    write_parquet,
)
from zoomagent.evaluation.sets.public.question import DrawnQuestion, SetQuestion

COLUMNS = ("idx", "question", "image_1", "choices", "answer")


def read_blink(folder: Path) -> Iterator[SetQuestion]:
    """Every question."""
    for path, number, row in read_parquet(
        find_files(folder, "Spatial_Relation/val-*.parquet", "val-*.parquet"), COLUMNS
    ):
        options = texts_of(path, number, row["choices"])
        answer = find_option(path, number, row["answer"], options)
        picture = picture_in_cell(path, number, row["image_1"])
        name, text = text_of(path, number, row["idx"]), text_of(path, number, row["question"]).strip()
        yield SetQuestion(name, picture, text, (answer,), options)


def write_blink(folder: Path, drawn: Sequence[DrawnQuestion]) -> None:
    """One Parquet file with drawn questions."""
    rows = [
        {
            "idx": f"val_Spatial_Relation_{number}",
            "question": one.text,
            "sub_task": "Spatial_Relation",
            "image_1": {"bytes": one.picture, "path": None},
            "choices": list(one.options),
            "answer": f"({letter(one.options.index(one.answer))})",
        }
        for number, one in enumerate(drawn, 1)
    ]
    write_parquet(folder / "Spatial_Relation" / "val-00000-of-00001.parquet", rows)
