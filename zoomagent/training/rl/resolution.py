"""At which resolution does the model's own answer break? Chosen per row, before training, for the information gap.

    zoomagent train select-resolution --model nano --data OUT --out runs/gap

LFPC's offline selection (arXiv 2603.27494, section on stage 1): the picture is shown at the full size that the model
takes, then step by step smaller; the first level whose answer differs from the full picture's own answer is I_0. Right
answers play no part in it. The step and the floor are not published: ours, and named. Every row's result is on disk
before the next begins, so a killed run goes on where it was. Left out: sampling; answers are greedy.
"""

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from zoomagent.confidence.replies import read, same
from zoomagent.data.trajectories.trajectory import schema
from zoomagent.errors import SettingInvalid
from zoomagent.files import check_settings
from zoomagent.geometry import Size
from zoomagent.journal import Journal
from zoomagent.models.base import Model
from zoomagent.models.profiles import Profile
from zoomagent.training.rl.environment import EnvConfig, ZoomEnv
from zoomagent.training.rl.rewards import accuracy
from zoomagent.training.rl.rollout import message
from zoomagent.training.rl.rows import CARD, Rows

KEPT, SETTINGS = "selection.jsonl", "selection.json"
AT_ONCE = 8
"""Rows asked about at the same time: servers answer them together."""


@dataclass(frozen=True)
class Steps:
    """Each level has `ratio` times the pixels of the one before; none has fewer than `floor`, nor than the model's
    profile allows (both ours)."""

    ratio: float = 0.5
    floor: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise SettingInvalid(f"ratio must lie between 0 and 1, not {self.ratio!r}.")


@dataclass(frozen=True)
class Selection:
    """What came of one row: the pixels of I_0 (None: no level broke the answer), the answer at full resolution and the
    one that differs, how many levels were looked at, and whether the full picture's own answer was right."""

    id: str
    resolution: int | None
    full_answer: str
    level_answer: str
    levels: int
    full_right: bool


def levels(profile: Profile, picture: Size, steps: Steps) -> list[Size]:
    """The sizes at which the whole is shown, the full one first."""
    sizes = [profile.fit(picture, profile.whole_pixels or None)]
    wanted = sizes[0].pixels * steps.ratio
    while wanted >= max(profile.min_pixels, steps.floor, 1):
        smaller = profile.fit(picture, int(wanted))
        if max(smaller.pixels, 0) < steps.floor:
            break
        sizes += [smaller] if smaller.pixels < sizes[-1].pixels else []
        wanted *= steps.ratio
    return sizes


async def select(model: Model, config: EnvConfig, row: dict[str, Any], steps: Steps, max_tokens: int = 64) -> Selection:
    """The first level of a row whose answer is not the full picture's own."""

    async def ask(size: Size) -> str:
        spoken = ZoomEnv(config).reset({**row, "resolution": size.pixels})
        replies = await model.generate([message(one) for one in spoken], max_tokens=max_tokens)
        return replies[0].text

    options = tuple(row["options"])
    first, *rest = levels(config.profile, Size(row["width"], row["height"]), steps)
    full = await ask(first)
    right = accuracy(full, row["answer"], options) > 0
    for number, size in enumerate(rest, 2):
        given = await ask(size)
        if not same(read(given, options), read(full, options)):
            return Selection(row["id"], size.pixels, full, given, number, right)
    return Selection(row["id"], None, full, full, 1 + len(rest), right)


def select_all(
    model: Model, found: Rows, out: Path, steps: Steps, name: str, progress: Callable[[int], None] = lambda done: None
) -> dict[str, Selection]:
    """Select for every row, taking up what `out` already holds. Raises SettingInvalid where that came of other
    settings."""
    check_settings(out / SETTINGS, {"model": name, **asdict(steps)})
    with Journal(out / KEPT) as journal:
        kept = {one.id: one for one in (Selection(**orjson.loads(line)) for line in journal.lines())}
    missing = [row for row in found.rows if row["id"] not in kept]
    config = EnvConfig(replace(model.profile), found.images)

    async def work() -> None:
        with Journal(out / KEPT) as journal:
            for start in range(0, len(missing), AT_ONCE):
                batch = missing[start : start + AT_ONCE]
                selected = await asyncio.gather(*(select(model, config, row, steps) for row in batch))
                kept.update({one.id: one for one in selected})
                journal.add([orjson.dumps(asdict(one)) for one in selected])
                progress(len(kept))

    asyncio.run(work())
    return {row["id"]: kept[row["id"]] for row in found.rows}


def counts(selected: Sequence[Selection]) -> dict[str, int]:
    """What is reported: rows, those that broke, that never did, and those whose full picture was answered wrongly."""
    broke = sum(one.resolution is not None for one in selected)
    wrong = sum(not one.full_right for one in selected)
    return {
        "rows": len(selected),
        "diverged": broke,
        "never_diverged": len(selected) - broke,
        "wrong_at_full": wrong,
        "wrong_and_never_diverged": sum(one.resolution is None and not one.full_right for one in selected),
    }


def write(
    found: Rows, selected: dict[str, Selection], out: Path, steps: Steps, split: str, keep: bool
) -> dict[str, int]:
    """Rows with their `resolution` as OUT/<split>/selected.parquet, and a card. Rows that never broke are left out, or
    kept without a resolution: the model then sees them as large as it takes them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {**row, "resolution": selected[row["id"]].resolution}
        for row in found.rows
        if keep or selected[row["id"]].resolution is not None
    ]
    (out / split).mkdir(parents=True, exist_ok=True)
    told = {**counts(list(selected.values())), "written": len(rows)}
    card = {**found.card, "images": os.path.relpath(found.images, out), "selection": {**told, **asdict(steps)}}
    fields = schema().append(pa.field("resolution", pa.int32()))
    draft = out / split / ".selected.draft"
    pq.write_table(pa.Table.from_pylist(rows, schema=fields), draft, compression="zstd")
    draft.replace(out / split / "selected.parquet")
    (out / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return told
