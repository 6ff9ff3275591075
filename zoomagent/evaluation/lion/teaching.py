"""Teaching an arm: many questions about one picture in one row, the tower asked once a scene, every arm alike.

    school = School(tokenizer, vision_config, profile)
    rows = [Taught(school.row(scene, [branch, ...]), task) for ...]
    teach(model, lots_of(see_all(model, rows), 4, seed, school.pad), arm.route, arm.groups(2e-2), steps=240)

Rows are packed as nano's own (`training/nano/packing.py`): a question sees the picture and itself, and its logits are
those that it gets alone. A row is of one task, so that it can be routed. Left out: which parts learn (`conflict.py`,
`tags.py`), and the trainer that a user's own data go through (`training/lion/run.py`).
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from zoomagent.data.world.render import render
from zoomagent.data.world.scene import Scene
from zoomagent.errors import SettingInvalid
from zoomagent.models.profiles import Profile, whole_side
from zoomagent.training.nano.batching import Batch, Seen, collate, read, see
from zoomagent.training.nano.branches import Words
from zoomagent.training.nano.looks import TEXT, Look, Row
from zoomagent.training.nano.model import SMALL, NanoConfig
from zoomagent.training.nano.packing import IGNORE, Branch, pack

CANVAS = 1024
"""Side in pixels of the picture that is shown (ours)."""
WARM = 0.05
"""Share of the steps in which the rate rises; then it falls to nothing."""


@dataclass(frozen=True)
class Taught:
    """A row with its task's number, and what the tower makes of its picture, where that stays the same."""

    row: Row
    task: int
    seen: Seen | None = None


Lot = tuple[Batch, torch.Tensor, Seen | None]
"""Some rows together."""


class School:
    """What rows of one model are made with: its tokenizer, and the size at which it is shown a whole picture."""

    def __init__(self, tokenizer: Any, vision: Any, profile: Profile) -> None:
        self.side = whole_side(profile, CANVAS)
        self.config: NanoConfig = replace(SMALL, patch=vision.patch_size, merge=vision.spatial_merge_size)
        if self.side % self.config.cell:
            raise SettingInvalid("The model's views are no squares of whole cells. Name a Qwen3-VL model.")
        self.words = Words(tokenizer, self.config)
        self.pad: int = tokenizer.pad_token_id
        self.start: Branch = (self.words.text("<|im_start|>user\n"), *self.words.view(self.side))

    def row(self, scene: Scene, branches: Sequence[Branch], marks: Sequence[Sequence[bool]] = ()) -> Row:
        """One picture with all that is asked about it. `marks` are the tokens of each branch that its answer is to be
        looked up at, as the things that it speaks of (`pointing.spoken_masks`)."""
        packed = pack(self.start, branches)
        none = np.full(1, -1, np.int64)
        pixels = render(scene, self.side, self.side, full_side=CANVAS)
        count = (self.side // self.config.cell) ** 2
        look = Look(pixels, np.repeat(none, count), np.zeros((count, 1), np.int64), none)
        items = np.full(len(packed.ids), TEXT, np.int64)
        masks = np.zeros_like(items)
        for number, mark in enumerate(marks):
            mine = packed.branch == number + 1
            items[np.nonzero(mine)[0][np.array(mark)]] = number
            masks[mine] = 1 << (number + 1)
        return Row((look,), packed, (), items, masks)


def teach(
    model: Any,
    lots: Iterator[Lot],
    route: Callable[[torch.Tensor], None],
    groups: Sequence[dict[str, Any]],
    steps: int,
    extra: Callable[[Batch], torch.Tensor] | None = None,
) -> float:
    """`steps` steps of AdamW on next-token loss of the answers, with what `extra` adds; the last loss. `groups` are its
    groups of weights, each with its peak `lr`."""
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
    peaks = [group["lr"] for group in optimizer.param_groups]
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    model.train()
    device, last = next(model.parameters()).device, 0.0
    for step in range(steps):
        batch, tasks, seen = next(lots)
        batch = batch.to(device)
        route(tasks)
        hidden, _ = read(model, batch, [seen or see(model, batch.sights[0].pixels)])
        asked = batch.labels != IGNORE
        loss = nn.functional.cross_entropy(model.lm_head(hidden[asked]), batch.labels[asked])
        if extra:
            loss = loss + extra(batch)
        warm = max(1, round(WARM * steps))
        share = min((step + 1) / warm, (steps - step) / max(1, steps - warm))
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * share
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        last = float(loss.detach())
    model.eval()
    return last


def lots_of(rows: Sequence[Taught], size: int, seed: int, pad: int) -> Iterator[Lot]:
    """Rows in an order that the seed decides, again and again, `size` at a time."""
    rng = np.random.default_rng([seed, 3])
    order: list[int] = []
    while True:
        while len(order) < size:
            order += rng.permutation(len(rows)).tolist()
        chosen, order = [rows[i] for i in order[:size]], order[size:]
        seen = [one.seen for one in chosen if one.seen is not None]
        together = _together(seen) if len(seen) == size else None
        yield collate([one.row for one in chosen], pad), torch.tensor([one.task for one in chosen]), together


def _together(seen: Sequence[Seen]) -> Seen:
    levels = zip(*(deep for _, deep, _ in seen), strict=True)
    patches = torch.cat([patches for _, _, patches in seen])
    return torch.cat([tokens for tokens, _, _ in seen]), [torch.cat(level) for level in levels], patches


@torch.no_grad()
def see_all(model: Any, rows: Sequence[Taught]) -> list[Taught]:
    """The rows with what a tower that stays as it is makes of their pictures, in one pass for each."""
    known: dict[bytes, Seen] = {}
    device = next(model.parameters()).device
    made = []
    for one in rows:
        pixels = one.row.looks[0].pixels
        name = hashlib.sha256(pixels.tobytes()).digest()
        if name not in known:
            known[name] = see(model, torch.from_numpy(pixels)[None].to(device))
        made.append(replace(one, seen=known[name]))
    return made
