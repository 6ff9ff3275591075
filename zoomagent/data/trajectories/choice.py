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

from zoomagent.data.genome.index import Page
from zoomagent.data.genome.words import OPEN, vocabulary, words
from zoomagent.data.trajectories.curation import Candidate, cannot_tell
from zoomagent.data.trajectories.trajectory import Corners, Kind
from zoomagent.geometry import Box, Size, moved_inside, square_around, whole, with_margin
from zoomagent.tools.zooming import DUALFOCUS_PIXELS

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
    hashes = [hashlib.sha256(f"{seed}|{entry.image_id}|{entry.qa}".encode()).digest() for entry in entries]
    order = sorted(range(len(entries)), key=hashes.__getitem__)
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


WIDER = (2.0, 4.0)
"""Sides of the wider boxes, in sides of the second (ours)."""


def nested(target: Corners, picture: Size) -> tuple[Corners, ...]:
    """Boxes in original pixels; those that would be the same, or the whole picture, are left out."""
    inner = Box(*target)
    crop = with_margin(square_around(inner, picture), picture, pixels=DUALFOCUS_PIXELS)
    side = max(crop.width, crop.height)
    found = [inner, crop]
    for wider in (round(side * factor) for factor in WIDER):
        left, top = (crop.left + crop.right - wider) // 2, (crop.top + crop.bottom - wider) // 2
        found.append(moved_inside(Box(left, top, left + wider, top + wider), picture))
    kept = [box for i, box in enumerate(found) if box not in found[:i] and (i == 0 or box != whole(picture))]
    return tuple(box.corners for box in kept)


@dataclass(frozen=True)
class Donor:
    """A question of another picture about a thing that may not be here."""

    image_id: int
    qa: int
    question: str
    phrase: str


def donor_of(candidate: Candidate) -> Donor | None:
    """The question as one to ask of other pictures. None where it names nothing, or where No would be an answer."""
    targets = candidate.targets
    if len(targets) != 1 or not targets[0].named or not OPEN & set(words(candidate.question)[:1]):
        return None
    return Donor(candidate.image_id, candidate.qa, candidate.question, targets[0].label)


def from_donors(page: Page, donors: Sequence[Donor]) -> Candidate | None:
    """The first question that the picture cannot answer."""
    texts = [name for thing in page.things for name in thing.names]
    texts += [region.phrase for region in page.regions]
    texts += [text for asked in page.asked for text in (asked.question, asked.answer)]
    texts += [word for said in page.attributes.values() for word in said]
    known = vocabulary(texts)  # every word that is said of the picture
    for donor in donors:
        if donor.image_id != page.shot.id and not known & set(words(donor.phrase)):
            return cannot_tell(page, donor.question, donor.qa, donor.phrase, "asked of another picture")
    return None
