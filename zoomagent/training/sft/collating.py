"""Trajectories to tensors: what the assistant said is learned, everything else is context.

    collator = Collator(processor, profile, images=Path("OUT/images"), max_length=8192)
    batch = collator([row, row])            # input_ids, labels, attention_mask, mm_token_type_ids, pixel_values, ...

Rows are padded on the right to the longest. Nothing is ever truncated: `Collator.refusal` says beforehand which rows
cannot be used, and why. Stock collators neither offer tools nor count images outside the first user turn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from zoomagent.data.trajectories.trajectory import Trajectory
from zoomagent.errors import SettingInvalid
from zoomagent.models.profiles import Profile
from zoomagent.training.nano.packing import IGNORE
from zoomagent.training.sft.chat_rows import chat_messages, learned, offered, read, unusable, view_names, views
from zoomagent.training.sft.processing import ViewProcessor
from zoomagent.training.sft.reading import cut

BLANK = Image.new("RGB", (1, 1))
Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Collator:
    """Makes batches of rows (`zoomagent/data/trajectories/trajectory.py`).

    `images` is the folder that rows' pictures are relative to; `max_length` counts tokens, visual ones included. Can
    be pickled, so loading runs in worker processes."""

    processor: ViewProcessor
    profile: Profile
    images: Path
    max_length: int

    @cached_property
    def template(self) -> str:
        return self.processor.training_template

    @cached_property
    def tools(self) -> list[dict[str, Any]]:
        return offered(self.profile)

    def refusal(self, row: Row) -> str | None:
        """Why the row cannot be learned from, by a short name; None when it can. No picture is opened."""
        trajectory = read(row)
        if not (self.images / trajectory.image).is_file():
            return "its picture is missing"
        return unusable(trajectory, self.profile) or (
            "is too long" if self.length(trajectory) > self.max_length else None
        )

    def length(self, trajectory: Trajectory) -> int:
        """Tokens of the whole conversation, visual ones included."""
        names = view_names(trajectory)
        messages = chat_messages(trajectory, self.profile, dict.fromkeys(names, BLANK))
        text = self.processor.apply_chat_template(messages, tools=self.tools)
        sizes = views(trajectory, self.profile)
        visual = sum(self.profile.visual_tokens(sizes[name][1]) - 1 for name in names)
        return len(self.processor.tokenizer.encode(text, add_special_tokens=False)) + visual

    def __call__(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        """The batch: (rows, longest) ids, labels and masks; patches and grids of all images one after the other."""
        told_rows = [self.row(row) for row in rows]
        longest = max(len(told_row["input_ids"]) for told_row in told_rows)
        fill = {"input_ids": self.processor.tokenizer.pad_token_id, "labels": IGNORE}
        fill |= {"attention_mask": 0, "mm_token_type_ids": 0}
        batch = {}
        for name, value in fill.items():
            padded = [[*row[name], *[value] * (longest - len(row[name]))] for row in told_rows]
            batch[name] = torch.from_numpy(np.array(padded, np.int64))
        for name in ("pixel_values", "image_grid_thw"):
            batch[name] = torch.cat([told_row[name] for told_row in told_rows])
        return batch

    def row(self, row: Row) -> dict[str, Any]:
        """One row's ids, labels and masks as lists, its patches and grids as tensors."""
        trajectory = read(row)
        needed = views(trajectory, self.profile)
        images = cut(
            self.images / trajectory.image, {name: needed[name] for name in dict.fromkeys(view_names(trajectory))}
        )
        out = self.processor.apply_chat_template(
            chat_messages(trajectory, self.profile, images),
            tools=self.tools,
            chat_template=self.template,
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        [ids], [said] = out["input_ids"], out["assistant_masks"]
        return {
            "input_ids": ids,
            "labels": labels(ids, said, learned(trajectory)),
            "attention_mask": [1] * len(ids),
            "mm_token_type_ids": out["mm_token_type_ids"][0],
            "pixel_values": torch.as_tensor(np.asarray(out["pixel_values"])),
            "image_grid_thw": torch.as_tensor(np.asarray(out["image_grid_thw"])),
        }


def labels(ids: Sequence[int], said: Sequence[int], learn: Sequence[bool]) -> list[int]:
    """`ids` where the assistant's turns that are to be learned say them, IGNORE elsewhere. `said` is 1 on the tokens of
    the assistant, `learn` has one entry for each of its turns."""
    runs = [(mark, len(list(run))) for mark, run in groupby(said)]
    if sum(mark for mark, _ in runs) != len(learn):
        raise SettingInvalid(
            "The chat template does not mark every turn of the assistant. Mark each by {% generation %}."
        )
    wanted, at, labelled = iter(learn), 0, [IGNORE] * len(ids)
    for mark, length in runs:
        if mark and next(wanted):
            labelled[at : at + length] = ids[at : at + length]
        at += length
    return labelled
