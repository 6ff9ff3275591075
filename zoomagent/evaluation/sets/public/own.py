"""A user's own questions: the rows of `zoomagent batch` with their right answers.

    {"image": "a.jpg", "question": "What does the sign say?", "answer": "Bakery"}
    {"image": "a.jpg", "question": "Which?", "options": ["red", "blue"], "answer": "B"}

Options, letters, lists of right answers and ten answers of people mean what they mean to a batch (`batch/rows.py`,
`batch/gold.py`). Rows without a right answer cannot be scored, and are refused.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import orjson

from zoomagent.batch.gold import gold_texts
from zoomagent.batch.rows import NoRow, read_rows
from zoomagent.evaluation.sets.public.files import corrupt, picture_at
from zoomagent.evaluation.sets.public.question import DrawnQuestion, PublicSet, SetQuestion

FILE = "questions.jsonl"


def own_set(path: Path) -> PublicSet:
    """The set of the questions in a file."""
    return PublicSet(
        name=f"own:{path.name}",
        title=path.name,
        read=partial(read_own, path),
        write=write_own,
        count=None,
        rule="vqa",
        source="a file of yours",
        scoring="the option named; without options the words, ten answers of people by VQA's rule",
    )


def read_own(path: Path, folder: Path) -> Iterator[SetQuestion]:
    """Every row with a picture in the folder."""
    for row in read_rows(path):
        if isinstance(row, NoRow):
            raise corrupt(path, row.line, row.text)
        if row.regions:
            raise corrupt(path, row.line, "it is about regions, which a bench cannot ask about; use zoomagent batch")
        answers = gold_texts(row)
        if not answers:
            raise corrupt(path, row.line, "it has no right answer, or none that is one of its options")
        yield SetQuestion(row.key, picture_at(path, row.line, folder, row.image), row.question, answers, row.options)


def write_own(folder: Path, drawn: Sequence[DrawnQuestion]) -> None:
    """A file of drawn questions, with options for every second one."""
    lines = []
    for number, one in enumerate(drawn):
        (folder / f"{number}.jpg").write_bytes(one.picture)
        line = {"id": str(number), "image": f"{number}.jpg", "question": one.text, "answer": one.answer}
        lines.append(line | ({"options": one.options} if number % 2 else {}))
    (folder / FILE).write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
