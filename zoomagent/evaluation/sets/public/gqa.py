"""GQA's balanced testdev split (Hudson and Manning 2019): 12,578 questions, open; and DualFocus' form of them with four
options.

    testdev_balanced_questions.json              {"201307251": {"imageId", "question", "answer", "types"}}
    images/IMAGE_ID.jpg
    llava_gqa_testdev_balanced_mcq.jsonl         {"question_id", "image", "question"}: options stand in the question

Sources: cs.stanford.edu/people/dorarad/gqa (eval.py: the words must be the answer); DualFocus'
huggingface.co/datasets/yhcao/GQA-MCQ, and model_vqa_gqa.py of github.com/InternLM/InternLM-XComposer,
projects/DualFocus: the named option's words are taken as the answer to the open question. Options were written by
GPT-3.5, so the right words may not be among them; such a question cannot be answered, there and here.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from zoomagent.confidence.replies import same_answer
from zoomagent.data.grounding.annotation import read_json
from zoomagent.evaluation.sets.public.files import (
    corrupt,
    letter,
    picture_at,
    read_lines,
    require_fields,
    require_file,
    split_options,
    text_of,
)
from zoomagent.evaluation.sets.public.question import DrawnQuestion, SetQuestion

FILE, OPTIONS_FILE = "testdev_balanced_questions.json", "llava_gqa_testdev_balanced_mcq.jsonl"
PICTURES = "images"


def read_gqa(folder: Path) -> Iterator[SetQuestion]:
    """Every open question."""
    path = require_file(folder / FILE)
    for name, row in _rows(path).items():
        row = require_fields(path, name, row, ("imageId", "question", "answer"))
        picture = picture_at(path, name, folder / PICTURES, f"{text_of(path, name, row['imageId'])}.jpg")
        types = row.get("types")
        category = text_of(path, name, types.get("structural", "")) if isinstance(types, dict) else ""
        text, answer = (text_of(path, name, row[field]) for field in ("question", "answer"))
        yield SetQuestion(name, picture, text, (answer,), category=category)


def read_gqa_options(folder: Path) -> Iterator[SetQuestion]:
    """Every question with DualFocus' options, and GQA's answer as that option's words."""
    path = require_file(folder / OPTIONS_FILE)
    answers = _rows(require_file(folder / FILE))
    for number, row in read_lines(path, ("question_id", "image", "question")):
        name = text_of(path, number, row["question_id"])
        if name not in answers:
            raise corrupt(path, number, f"{FILE} does not have its answer")
        answer = text_of(path, number, require_fields(path, number, answers[name], ("answer",))["answer"])
        text, options = split_options(text_of(path, number, row["question"]))
        if not options:
            raise corrupt(path, number, "it has no options")
        answer = next((option for option in options if same_answer(option, answer)), answer)
        picture = picture_at(path, number, folder / PICTURES, row["image"])
        yield SetQuestion(name, picture, text, (answer,), options)


def _rows(path: Path) -> dict[str, Any]:
    rows = read_json(path)
    if not isinstance(rows, dict):
        raise corrupt(path, 1, "it is no object of questions")
    return rows


def write_gqa(folder: Path, drawn: Sequence[DrawnQuestion]) -> None:
    """Both files with drawn questions."""
    (folder / PICTURES).mkdir()
    rows, lines = {}, []
    for number, one in enumerate(drawn):
        name, image = f"2013{number:05}", f"n{number:06}"
        (folder / PICTURES / f"{image}.jpg").write_bytes(one.picture)
        types = {"structural": "query", "semantic": one.category}
        rows[name] = {"imageId": image, "question": one.text, "answer": one.answer.lower(), "types": types}
        listed = [f"{letter(i)}. {option}" for i, option in enumerate(one.options)]
        lines.append({"question_id": name, "image": f"{image}.jpg", "question": "\n".join([one.text, *listed])})
    (folder / FILE).write_bytes(orjson.dumps(rows))
    (folder / OPTIONS_FILE).write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
