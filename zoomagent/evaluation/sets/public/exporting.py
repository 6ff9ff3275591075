"""A published set, or a half of it, as questions for `zoomagent batch` and for other harnesses.

    questions.jsonl     {"id", "image", "question", "options"?, "answer", "group"}
    pictures/           those that the set has inside of its tables

Pictures that are files stay where they are, and are named by their whole path. With `batch --records` one half
calibrates a model; `bench run --part test` then asks the other. Left out: questions whose pictures cannot be opened.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import orjson

from zoomagent.errors import SettingInvalid
from zoomagent.evaluation.sets.public.catalogue import questions
from zoomagent.evaluation.sets.public.question import PublicSet
from zoomagent.files import write_whole

FILE = "questions.jsonl"
ENDINGS = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"RI": ".webp"}
"""Harnesses tell a picture's kind by the name of its file."""


def export(kind: PublicSet, folder: Path, places: Mapping[str, int], out: Path) -> int:
    """Write the questions; how many. The file of questions appears last and whole. SettingInvalid for moments."""
    if kind.rule == "moment":
        raise SettingInvalid(f"{kind.title} is about moments, for which nothing is calibrated. Use bench run.")
    out.mkdir(parents=True, exist_ok=True)
    lines = []
    for question in questions(kind, folder, frozenset(places)):
        picture = question.picture
        if isinstance(picture, Path):
            image = os.path.realpath(picture)
        else:
            image = f"pictures/{question.picture_name}{ENDINGS.get(picture[:2], '')}"
            if not (out / image).exists():
                (out / image).parent.mkdir(exist_ok=True)
                write_whole(out / image, picture)
        answer = question.answers[0] if len(question.answers) == 1 else list(question.answers)
        row = {"id": question.id, "image": image, "question": question.text, "answer": answer, "group": question.group}
        lines.append(orjson.dumps(row | ({"options": question.options} if question.options else {})))
    write_whole(out / FILE, b"".join(line + b"\n" for line in lines))
    return len(lines)
