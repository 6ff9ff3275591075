"""VisualProbe (Lai et al. 2025, Mini-o3): 141 easy, 268 medium and 106 hard open questions about small things.

    VisualProbe_Hard/val.json     a list of {"images": ["VisualProbe_Hard/…jpg"], "problem": "<image>\\n…", "solution"}

Source of the format: huggingface.co/datasets/Mini-o3/VisualProbe_Easy, _Medium and _Hard, one folder each; any of them
may be missing from a part. Its authors let a model judge the answers, over 32 samples; here there is no judge: the
words, or the number, must be the published ones, so figures are lower bounds of theirs.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from zoomagent.data.grounding.annotation import read_json
from zoomagent.errors import InputRefused
from zoomagent.evaluation.sets.public.files import corrupt, picture_at, require_fields, text_of, texts_of
from zoomagent.evaluation.sets.public.question import DrawnQuestion, SetQuestion

LEVELS = ("Easy", "Medium", "Hard")


def read_visual_probe(folder: Path) -> Iterator[SetQuestion]:
    """Every question of the levels that are there."""
    found = [level for level in LEVELS if (folder / f"VisualProbe_{level}" / "val.json").is_file()]
    if not found:
        text = "There is no VisualProbe_Easy, _Medium or _Hard with a val.json. Give --data the folder they lie in."
        raise InputRefused(text, code="data_missing")
    for level in found:
        home = folder / f"VisualProbe_{level}"
        path = home / "val.json"
        rows = read_json(path)
        if not isinstance(rows, list):
            raise corrupt(path, 1, "it is no list")
        for number, row in enumerate(rows, 1):
            row = require_fields(path, number, row, ("images", "problem", "solution"))
            names = texts_of(path, number, row["images"])
            if len(names) != 1:
                raise corrupt(path, number, "it has not one picture")
            picture = picture_at(path, number, home, names[0].removeprefix(f"{home.name}/"))
            text = text_of(path, number, row["problem"]).replace("<image>", "").strip()
            answer = text_of(path, number, row["solution"]).strip()
            answer = answer.replace("<answer>", "").replace("</answer>", "").strip()
            yield SetQuestion(f"{level.lower()}-{number}", picture, text, (answer,), category=level)


def write_visual_probe(folder: Path, drawn: Sequence[DrawnQuestion]) -> None:
    """The three folders with drawn questions."""
    for place, level in enumerate(LEVELS):
        home = folder / f"VisualProbe_{level}"
        home.mkdir()
        rows = []
        for number, one in enumerate(drawn[place :: len(LEVELS)]):
            (home / f"{number}.jpg").write_bytes(one.picture)
            rows.append({
                "images": [f"{home.name}/{number}.jpg"],
                "problem": f"<image>\n{one.text}",
                "solution": one.answer,
            })  # fmt: skip
        (home / "val.json").write_bytes(orjson.dumps(rows))
