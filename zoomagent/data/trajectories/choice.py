"""Which candidates become trajectories, and of which kind: balanced, seeded, each question once.

    chosen = choose(entries, KINDS, limit=1000, seed=1)      # {index of the entry: kind}

The order is that of a hash, so it does not depend on that of the files. Questions for the whole and questions without
an answer never grow beyond their share: a model that is shown too many of either stops to look. The shares are ours.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import ceil

from zoomagent.data.trajectories.trajectory import Kind

SHARES: dict[Kind, float] = {
    "one_zoom": 0.30,
    "several": 0.10,
    "zoom_of_zoom": 0.12,
    "recovered": 0.12,
    "no_zoom": 0.20,
    "cannot_tell": 0.10,
    "verify": 0.06,
}
CAPPED: tuple[Kind, ...] = ("no_zoom", "cannot_tell")


@dataclass(frozen=True, slots=True)
class Entry:
    """A candidate as choosing needs it: what names it, and what it can teach."""

    image_id: int
    qa: int
    kinds: tuple[Kind, ...]


def choose(entries: Sequence[Entry], kinds: Collection[Kind], limit: int | None, seed: int) -> dict[int, Kind]:
    """The chosen entries by index, each with its kind: at most `limit`, near `SHARES` where there are enough."""
    order = sorted(range(len(entries)), key=lambda i: _rank(entries[i], seed))
    most = len(entries) if limit is None else limit
    whole = sum(SHARES[kind] for kind in kinds)
    quota = {kind: ceil(most * SHARES[kind] / whole) for kind in kinds}
    taken: Counter[Kind] = Counter()
    chosen: dict[int, Kind] = {}
    for room in (quota, {kind: most for kind in kinds if kind not in CAPPED}):
        for index in order:
            open_kinds = [k for k in entries[index].kinds if k in room and taken[k] < room[k]]
            if len(chosen) < most and index not in chosen and open_kinds:
                chosen[index] = min(open_kinds, key=lambda k: taken[k] / SHARES[k])
                taken[chosen[index]] += 1
    # Without what the capped kinds hold beyond their share of the rest. When there is no rest, all stays.
    rest = sum(kind not in CAPPED for kind in chosen.values())
    free = 1 - sum(SHARES[kind] for kind in CAPPED)
    room = Counter({kind: ceil(rest * SHARES[kind] / free) if rest else len(chosen) for kind in CAPPED})
    kept: dict[int, Kind] = {}
    for index in order:
        kind = chosen.get(index)
        if kind is None or (kind in CAPPED and room[kind] <= 0):
            continue
        room[kind] -= kind in CAPPED
        kept[index] = kind
    return kept


def _rank(entry: Entry, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}|{entry.image_id}|{entry.qa}".encode()).digest()
