"""MME-RealWorld-Lite (Zhang et al. 2024): 1,919 questions about large pictures of five worlds, with five options.

    data/*.parquet               bytes (base64), index, question, multi-choice options, answer, category
    MME_RealWorld_Lite.json      a list of {"Question_id", "Image", "Text", "Answer choices", "Ground truth"}

Source of both: huggingface.co/datasets/yifanzhang114/MME-RealWorld-lite-lmms-eval and /MME-RealWorld-Lite; the prompt
and the scoring, the letter named: lmms_eval/tasks/mme_realworld in github.com/EvolvingLMMs-Lab/lmms-eval. The last
option says that the picture does not show it; it is an answer like any other, and "Cannot tell" is another one.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from zoomagent.data.grounding.annotation import read_json
from zoomagent.evaluation.sets.public.files import (
    corrupt,
    decode_picture,
    find_files,
    find_option,
    letter,
    picture_at,
    read_parquet,
    require_fields,
    strip_letters,
    text_of,
    texts_of,
    to_base64,
    write_parquet,
)
from zoomagent.evaluation.sets.public.question import DrawnQuestion, SetQuestion

COLUMNS = ("bytes", "index", "question", "multi-choice options", "answer", "category")
FIELDS = ("Question_id", "Image", "Text", "Answer choices", "Ground truth")


def read_mme_realworld(folder: Path) -> Iterator[SetQuestion]:
    """Every question, from the Parquet files or from the list with its pictures beside it."""
    paths = find_files(folder, "data/*.parquet", "*.parquet", "MME_RealWorld_Lite.json")
    if paths[0].suffix == ".json":
        yield from _read_list(paths[0], folder)
        return
    for path, number, row in read_parquet(paths, COLUMNS):
        options = strip_letters(texts_of(path, number, row["multi-choice options"]))
        yield SetQuestion(
            id=text_of(path, number, row["index"]),
            picture=decode_picture(path, number, row["bytes"]),
            text=text_of(path, number, row["question"]).strip(),
            answers=(find_option(path, number, row["answer"], options),),
            options=options,
            category=text_of(path, number, row["category"]),
        )


def _read_list(path: Path, folder: Path) -> Iterator[SetQuestion]:
    rows = read_json(path)
    if not isinstance(rows, list):
        raise corrupt(path, 1, "it is no list")
    for number, row in enumerate(rows, 1):
        row = require_fields(path, number, row, FIELDS)
        options = strip_letters(texts_of(path, number, row["Answer choices"]))
        answer = find_option(path, number, row["Ground truth"], options)
        picture = picture_at(path, number, folder, row["Image"])
        name, text = (text_of(path, number, row[field]) for field in ("Question_id", "Text"))
        category = text_of(path, number, row.get("Category", ""))
        yield SetQuestion(name, picture, text, (answer,), options, category)


def write_mme_realworld(folder: Path, drawn: Sequence[DrawnQuestion]) -> None:
    """One Parquet file with drawn questions."""
    rows = [
        {
            "bytes": to_base64(one.picture),
            "path": f"{number}.jpg",
            "index": number,
            "question": one.text,
            "multi-choice options": [f"({letter(i)}) {option}" for i, option in enumerate(one.options)],
            "answer": letter(one.options.index(one.answer)),
            "category": f"Perception/{one.category}",
            "l2-category": one.category,
        }
        for number, one in enumerate(drawn)
    ]
    write_parquet(folder / "data" / "train-00000-of-00001.parquet", rows)
