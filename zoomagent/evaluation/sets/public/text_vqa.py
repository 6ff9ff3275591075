"""TextVQA's validation split (Singh et al. 2019): 5,000 questions about texts in pictures, ten answers of people each.

    TextVQA_0.5.1_val.json       {"data": [{"question_id", "image_id", "question", "answers": [ten texts]}]}
    train_images/IMAGE_ID.jpg

Source of the format: textvqa.org/dataset; scored by VQA's accuracy, as in m4c_evaluator.py of
github.com/facebookresearch/mmf. No words of an OCR are told with the question, though the files of others have them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from zoomagent.batch.gold import VQA_ANSWERS
from zoomagent.data.grounding.annotation import read_json
from zoomagent.evaluation.sets.public.files import corrupt, picture_at, require_fields, require_file, text_of, texts_of
from zoomagent.evaluation.sets.public.question import DrawnQuestion, SetQuestion

FILE = "TextVQA_0.5.1_val.json"
PICTURES = "train_images"


def read_text_vqa(folder: Path) -> Iterator[SetQuestion]:
    """Every question with its ten answers."""
    path = require_file(folder / FILE)
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("data"), list):
        raise corrupt(path, 1, "it has no list of data")
    for number, row in enumerate(content["data"], 1):
        row = require_fields(path, number, row, ("question_id", "image_id", "question", "answers"))
        answers = row["answers"]
        if not isinstance(answers, list) or len(answers) != VQA_ANSWERS:
            raise corrupt(path, number, "it has not ten answers")
        name, image, text = (text_of(path, number, row[field]) for field in ("question_id", "image_id", "question"))
        picture = picture_at(path, number, folder / PICTURES, f"{image}.jpg")
        yield SetQuestion(name, picture, text.strip(), texts_of(path, number, answers))


def write_text_vqa(folder: Path, drawn: Sequence[DrawnQuestion]) -> None:
    """The file with drawn questions; two of ten people are wrong."""
    (folder / PICTURES).mkdir()
    rows = []
    for number, one in enumerate(drawn):
        (folder / PICTURES / f"{number:016x}.jpg").write_bytes(one.picture)
        wrong = next(option for option in one.options if option != one.answer)
        rows.append({
            "question_id": 34602 + number,
            "image_id": f"{number:016x}",
            "question": one.text,
            "answers": [one.answer] * 8 + [wrong] * 2,
            "image_width": one.size[0],
            "image_height": one.size[1],
        })  # fmt: skip
    (folder / FILE).write_bytes(orjson.dumps({"dataset_type": "val", "dataset_version": "0.5.1", "data": rows}))
