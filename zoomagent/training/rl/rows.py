"""Rows to learn from: the parquet files of `zoomagent data trajectories`, with or without a `resolution`.

    found = load_rows(Path("OUT"), "train")
    found.rows[0]["question"], found.images          # images: the folder that `image` is relative to

Left out: conversations of the rows, unless `whole` is asked for: reinforcement makes its own.
"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoomagent.data.trajectories.card import read_card
from zoomagent.data.trajectories.trajectory import FORMAT, Task, read_table_rows, readable
from zoomagent.errors import InputRefused, SettingInvalid

CARD = "card.json"
UNUSED = ("messages", "provenance", "views")
"""Columns that reinforcement has no use for and that are most of the bytes."""


@dataclass(frozen=True)
class Rows:
    """Rows as plain dictionaries, in the order of the files, the folder of their pictures, and the card beside them."""

    rows: list[dict[str, Any]]
    images: Path
    card: dict[str, Any]


def load_rows(data: Path, split: str = "train", *, whole: bool = False, limit: int | None = None) -> Rows:
    """The rows of a split. Raises InputRefused where there is no such data, SettingInvalid for another format, and for
    files that are damaged."""
    files = sorted((data / split).glob("*.parquet"))
    if not files or not (data / CARD).is_file():
        raise InputRefused(
            f"There are no rows here: {CARD} or {split}/*.parquet is missing. "
            "Make them with: zoomagent data trajectories VG_DIR OUT, and give OUT.",
            code="not_a_file",
        )
    card = read_card(data / CARD)
    if card.get("format", FORMAT) != FORMAT:
        raise SettingInvalid(f"These rows have format {card['format']!r} and {FORMAT} is read here. Make them again.")
    rows: list[dict[str, Any]] = []
    for file in files:
        with readable(file):
            rows += map(checked, read_table_rows(file, () if whole else UNUSED))
    return Rows(rows[:limit], Path(os.path.realpath(data / card["images"])), card)


def checked(row: dict[str, Any]) -> dict[str, Any]:
    """The row, where it asks something. Raises ValueError where it does not; `tools` may be missing."""
    Task.model_validate({name: row[name] for name in Task.model_fields if row.get("tools") or name != "tools"})
    resolution = row.get("resolution")
    if resolution is not None and (type(resolution) is not int or resolution < 1):
        raise ValueError("a resolution that is no number of pixels")
    return row


def alike(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """The rows that offer the tools that most rows do, and these tools: one run offers one set, as its prompts must be
    alike. () where rows name none."""
    named = Counter(tuple(row.get("tools") or ()) for row in rows)
    [(tools, _)] = named.most_common(1)
    return [row for row in rows if tuple(row.get("tools") or ()) == tools], tools
