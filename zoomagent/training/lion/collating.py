"""Lessons to tensors: rows of both tasks in one batch, each with its task's number.

batch = LionCollator(processor, profile, images, max_length)([row, row])        # as sft's, and `task_ids`
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import ImageOps

from zoomagent.geometry import Box, Size
from zoomagent.models.base import Pixels, Text
from zoomagent.models.local.parallel import TASKS
from zoomagent.models.profiles import Profile
from zoomagent.models.words.chat import arrange
from zoomagent.training.lion.lookup import asked_places
from zoomagent.training.lion.moving import Scene, original, varied
from zoomagent.training.lion.rows import Lesson, lessons, messages, with_wrong
from zoomagent.training.nano.packing import IGNORE
from zoomagent.training.sft.chat_rows import read
from zoomagent.training.sft.processing import ViewProcessor
from zoomagent.training.sft.reading import cut

Row = Mapping[str, Any]
ASKED = "asked_tags"
"""Which tokens of a row spell a tag that the question names."""


@dataclass(frozen=True, eq=False)
class LionCollator:
    """Makes batches of lessons. A row is a trajectory's row with the number of its `lesson` and, for tags, the
    `things` in its picture and names of `others`, which a share `wrong` of the tags is replaced by. `vary` flips and
    crops."""

    processor: ViewProcessor
    profile: Profile
    images: Path
    vary: bool = False
    tags: bool = False
    wrong: float = 0.3
    seed: int = 1

    def __call__(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """Padded ids, labels and masks; patches and grids of all views one after the other; the task of every row."""
        made = [self.row(row) for row in rows]
        longest = max(len(one["input_ids"]) for one in made)
        fill = {"input_ids": self.processor.tokenizer.pad_token_id, "labels": IGNORE, "attention_mask": 0}
        batch = {
            name: torch.tensor([[*one[name], *[value] * (longest - len(one[name]))] for one in made])
            for name, value in {**fill, "mm_token_type_ids": 0}.items()
        }
        for name in ("pixel_values", "image_grid_thw"):
            batch[name] = torch.cat([one[name] for one in made])
        batch["task_ids"] = torch.tensor([one["task"] for one in made])
        if self.tags:
            batch[ASKED] = torch.tensor([[*one[ASKED], *[False] * (longest - len(one[ASKED]))] for one in made])
        return batch

    def row(self, row: Row) -> dict[str, Any]:
        """One lesson's ids, labels and masks as lists, its patches and grids as tensors."""
        scene, lesson = self.lesson(row)
        requests = {name: (original(scene, box), size) for name, (box, size) in lesson.views.items()}
        images = {}
        for name, image in cut(self.images / row["image"], requests).items():
            images[name] = Pixels(name, ImageOps.mirror(image) if scene.mirrored else image)
        told = arrange(messages(lesson, images, self.profile), self.profile)
        turns = [{"role": one.role, "content": [_part(part) for part in one.parts]} for one in told]
        said = {"role": "assistant", "content": [{"type": "text", "text": lesson.answer}]}
        out = self.processor.apply_chat_template(
            [*turns, said],
            chat_template=self.processor.training_template,
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        [ids], [marks] = out["input_ids"], out["assistant_masks"]
        # Only the last turn of the assistant is learned: what was pointed at before it is given.
        first = len(marks) - next((n for n, mark in enumerate(reversed(_last_run(marks))) if not mark), len(marks))
        return {
            "input_ids": ids,
            "labels": [token if n >= first and marks[n] else IGNORE for n, token in enumerate(ids)],
            "attention_mask": [1] * len(ids),
            "mm_token_type_ids": out["mm_token_type_ids"][0],
            "pixel_values": torch.as_tensor(np.asarray(out["pixel_values"])),
            "image_grid_thw": torch.as_tensor(np.asarray(out["image_grid_thw"])),
            "task": TASKS.index(lesson.task),
            ASKED: asked_places(self.processor.tokenizer, ids, lesson.tags, scene.question),
        }

    def lesson(self, row: Row) -> tuple[Scene, Lesson]:
        """What is shown of a row's picture, and its lesson about that. Tags are those of what is shown."""
        plain = {name: value for name, value in row.items() if name not in ("lesson", "things", "others")}
        trajectory = read(plain)
        random_ = random.Random(f"{self.seed} {trajectory.id} {row['lesson']}")
        # A grounding set's row says nothing but its phrase: the rest of its words is the prompt and numbers.
        phrase = trajectory.provenance.get("phrase")
        scene = Scene(
            Size(trajectory.width, trajectory.height),
            trajectory.question if phrase is None else phrase,
            trajectory.answer if phrase is None else "",
            tuple(Box(*box) for box in trajectory.targets),
            tuple(Box(*box) for box in trajectory.nested),
            tuple((name, Box(*box)) for name, box in json.loads(row.get("things") or "[]")),
        )
        if self.vary and not trajectory.options:
            scene = varied(scene, random_)
        words: dict[str, Any] = {"question": scene.question, "answer": scene.answer}
        if phrase is not None:
            words = {"provenance": {**trajectory.provenance, "phrase": scene.question}}
        seen = trajectory.model_copy(
            update={
                **words,
                "width": scene.size.width,
                "height": scene.size.height,
                "targets": tuple((box.left, box.top, box.right, box.bottom) for box in scene.boxes),
            }
        )
        made = lessons(seen, self.profile)[row["lesson"]]
        tags = with_wrong(scene.tags, row.get("others") or (), self.wrong, random_) if self.tags else ()
        return scene, replace(made, tags=tags)


def _last_run(marks: Sequence[int]) -> list[int]:
    """The marks with everything behind the last marked token taken for marked too."""
    last = max((n for n, mark in enumerate(marks) if mark), default=-1)
    return [*marks[: last + 1], *[1] * (len(marks) - last - 1)]


def _part(part: Text | Pixels) -> dict[str, Any]:
    return {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image", "image": part.image}
