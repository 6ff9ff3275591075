"""SEED-Bench's questions about pictures (Li et al. 2023): 14,233 of nine kinds, with four options.

    SEED-Bench.json              {"questions": [{"question_id", "data_type", "data_id", "question", "choice_a" …,
                                 "answer", "question_type_id"}], "question_type": {"Scene Understanding": 1}}
    SEED-Bench-image/DATA_ID     pictures, without an ending

Source of the format: huggingface.co/datasets/AILab-CVC/SEED-Bench. Its authors take the option with the highest
likelihood; here, as with LLaVA and DualFocus, the option that is named. Questions about videos are left out.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from zoomagent.data.grounding.annotation import read_json
from zoomagent.evaluation.sets.public.files import (
    corrupt,
    find_option,
    letter,
    picture_at,
    require_fields,
    require_file,
    text_of,
    texts_of,
)
from zoomagent.evaluation.sets.public.question import DrawnQuestion, SetQuestion

FILE, PICTURES = "SEED-Bench.json", "SEED-Bench-image"
CHOICES = ("choice_a", "choice_b", "choice_c", "choice_d")


def read_seed_bench(folder: Path) -> Iterator[SetQuestion]:
    """Every question about a picture."""
    path = require_file(folder / FILE)
    content = require_fields(path, 1, read_json(path), ("questions", "question_type"))
    rows, types = content["questions"], content["question_type"]
    if not isinstance(rows, list) or not isinstance(types, dict):
        raise corrupt(path, 1, "it has no list of questions, or no kinds of them")
    kinds = {text_of(path, 1, number): name for name, number in types.items()}
    for number, row in enumerate(rows, 1):
        row = require_fields(path, number, row, ("question_id", "data_type", "data_id", "question", "answer", *CHOICES))
        if row["data_type"] != "image":
            continue
        options = texts_of(path, number, [row[name] for name in CHOICES])
        kind = kinds.get(text_of(path, number, row.get("question_type_id", "")))
        if kind is None:
            raise corrupt(path, number, "its question_type_id names no kind")
        yield SetQuestion(
            id=text_of(path, number, row["question_id"]),
            picture=picture_at(path, number, folder / PICTURES, row["data_id"]),
            text=text_of(path, number, row["question"]),
            answers=(find_option(path, number, row["answer"], options),),
            options=options,
            category=kind,
        )


def write_seed_bench(folder: Path, drawn: Sequence[DrawnQuestion]) -> None:
    """The file with drawn questions, and one about a video."""
    (folder / PICTURES).mkdir()
    types = {name: number for number, name in enumerate(sorted({one.category for one in drawn}), 1)}
    rows = []
    for number, one in enumerate(drawn):
        (folder / PICTURES / f"{number}_{number}").write_bytes(one.picture)
        options = [*one.options, "none", "nothing"][: len(CHOICES)]
        rows.append({
            "answer": letter(options.index(one.answer)),
            **dict(zip(CHOICES, options, strict=True)),
            "data_id": f"{number}_{number}",
            "data_type": "image",
            "question": one.text,
            "question_id": str(100 + number),
            "question_type_id": types[one.category],
        })  # fmt: skip
    rows.append({**rows[0], "data_type": "video", "data_id": "a.webm", "question_id": "video", "segment": [0, 1]})
    (folder / FILE).write_bytes(orjson.dumps({"questions": rows, "question_type": types}))
