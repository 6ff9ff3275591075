"""Seek: find when something is there, best-first over the clip's time.

One scored question asks which of the nine frames of a sheet shows the thing (`searching.part_shares`): nine times are
judged in one call. The most probable frame is then looked at alone and must be borne out ("Can you see this?") before
it counts. Else the most probable stretch of time is looked at next, as a sheet of nine frames of its own. A search in
vain has looked at every stretch: nothing longer than `longest_missed` was there.

Of a sound a sheet shows all of its time, so no time is missed, but what is short is thin there. A part that was borne
out is looked at closer as long as it is longer than LONG; what is found is the shortest part that was borne out.

Best-first search over intervals is TS-BFS's, frames as grids T*'s; asking for nine frames by their digits is ours. Left
out: where the moment begins and ends (`bounding.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NotRequired

from typing_extensions import TypedDict

from zoomagent.media.video.sheet import Sheet
from zoomagent.models.base import Model
from zoomagent.moments import Moment, intersect, slices
from zoomagent.tools.bounding import is_there
from zoomagent.tools.searching import part_shares
from zoomagent.tools.viewing import ViewStore

GRID = 3
DEPTH, FRAMES = 2, 81
"""Levels of sheets (ours), and how many frames of the clip that makes."""
SHARE = 0.2
"""Share of a sheet from which a frame is looked at alone."""
HERE = 0.5
"""Probability that a sheet shows the thing at all from which its likeliest frame is looked at alone."""
PASSED = 2
"""Frames of one sheet that are looked at alone, at most."""
DOUBT = 0.3
"""Share of a sheet's prior that goes to its nine stretches evenly: what is there between two of its frames, it cannot
show (ours)."""
LONG = 5000
"""Milliseconds of a sound above which the part that was borne out is divided further, and not halved at once (ours):
two looks leave a ninth of it."""

Fate = Literal["open", "split", "refuted", "found"]


class StretchRecord(TypedDict):
    """A stretch of time as plain JSON. `prior` is the probability, by its parents' sheets, that the thing is there;
    `here` the same by its own, None before it was looked at. `at` is the time of the frame that was borne out, `seen`
    with which probability. Of a sound a stretch with `at` was borne out as a whole; `part` is what was borne out of a
    stretch that was found."""

    id: str
    phrase: str
    turn: int
    moment: list[int]
    parent: str
    depth: int
    prior: float
    here: float | None
    fate: Fate
    at: int | None
    seen: float | None
    part: NotRequired[list[int]]


@dataclass(frozen=True)
class StretchLook:
    """What looking at one stretch gave: every record that is new or changed, and the views that were shown."""

    stretches: list[StretchRecord]
    views: list[str]

    @property
    def found(self) -> StretchRecord | None:
        return next((stretch for stretch in self.stretches if stretch["fate"] == "found"), None)


def root(phrase: str, moment: Moment, turn: int = 1) -> StretchRecord:
    """The stretch that a search begins with. `turn` tells searches for the same thing apart."""
    return _stretch(phrase, moment, "", 0, 1.0, turn)


def best(stretches: Sequence[StretchRecord], phrase: str, turn: int = 1) -> StretchRecord | None:
    """The most probable stretch that was not looked at yet; the longer one of two alike. None when the search is
    over."""
    mine = [one for one in stretches if (one["phrase"], one["turn"], one["fate"]) == (phrase, turn, "open")]
    return max(mine, key=lambda one: (one["prior"], one["moment"][1] - one["moment"][0]), default=None)


async def look_at(
    model: Model,
    views: ViewStore,
    stretch: StretchRecord,
    taken: Sequence[Moment] = (),
    *,
    depth: int = DEPTH,
    deadline: float | None = None,
) -> StretchLook:
    """Look at nine frames of a stretch at once, then at the likeliest alone. Frames in `taken` moments are grey: they
    were found before, and another time is wanted."""
    phrase, moment, is_sound = stretch["phrase"], Moment(*stretch["moment"]), shows_all(views)
    borne_out: StretchRecord | None = None
    sheet = views.sheet(moment, GRID, [span for span in taken if intersect(span, moment).length])
    shares = await part_shares(model, views, sheet["id"], phrase, deadline=deadline)
    parts, shown = slices(moment, GRID * GRID), [sheet["id"]]
    open_parts = [n for n, part in enumerate(parts) if not any(span.holds(part.middle) for span in taken)]
    ranked = sorted(open_parts, key=lambda number: -shares[number + 1])[:PASSED]
    for number in ranked:
        # What is there in many frames has a small share of each.
        likely = 1 - shares[0] if number == ranked[0] else 0.0
        if shares[number + 1] < SHARE and likely < HERE:
            continue
        # A moment of less than nine milliseconds has empty parts.
        part = parts[number] if parts[number].length else moment
        time = part.middle
        frame = views.sheet(part, 1)
        shown.append(frame["id"])
        there, seen = await is_there(model, views, frame["id"], phrase, deadline=deadline)
        if there and is_sound and part.length > LONG:
            borne_out = _stretch(phrase, part, stretch["id"], stretch["depth"] + 1, 1.0, stretch["turn"])
            borne_out = StretchRecord(**{**borne_out, "at": time, "seen": seen})
            break
        if there:
            found = StretchRecord(**{**stretch, "fate": "found", "at": time, "seen": seen, "here": 1 - shares[0]})
            return StretchLook([StretchRecord(**{**found, "part": part.as_list()})], shown)
    if borne_out is None and stretch["at"] is not None:
        # Nothing of it was borne out, but all of it was.
        whole = StretchRecord(**{**stretch, "fate": "found", "here": 1 - shares[0], "part": moment.as_list()})
        return StretchLook([whole], shown)
    children: list[StretchRecord] = []
    if stretch["depth"] + 1 < depth and moment.length >= 2 * GRID * GRID:
        for part, share in zip(parts, shares[1:], strict=True):
            if not any(span.start <= part.start and part.end <= span.end for span in taken):
                prior = stretch["prior"] * ((1 - DOUBT) * share + DOUBT / len(parts))
                children.append(_stretch(phrase, part, stretch["id"], stretch["depth"] + 1, prior, stretch["turn"]))
    if borne_out is not None:
        children = [borne_out, *(child for child in children if child["id"] != borne_out["id"])]
    fate: Fate = "split" if children else "refuted"
    return StretchLook([StretchRecord(**{**stretch, "here": 1 - shares[0], "fate": fate}), *children], shown)


def shows_all(views: ViewStore) -> bool:
    """Whether a view of a moment shows all of it, as of a sound."""
    return isinstance(views.picture, Sheet) and views.picture.video.shows_all


def longest_thin(stretches: Sequence[StretchRecord], phrase: str, views: ViewStore) -> int:
    """Milliseconds of a sound that a thing takes at most, where it was too thin to be seen in every sheet of it."""
    mine = [stretch for stretch in stretches if stretch["phrase"] == phrase and stretch["fate"] != "split"]
    longest = 0.0
    for stretch in mine:
        moment = Moment(*stretch["moment"])
        cell = views.sheet(moment, GRID)["size"][0] / GRID
        # What was not looked at by itself was a cell of another sheet.
        length = moment.length / (GRID * GRID) if stretch["here"] is not None else moment.length
        longest = max(longest, length * min(1.0, views.profile.smallest_visible / cell))
    return round(longest)


def finest(moment: Moment) -> int:
    """Milliseconds between two frames of the closest sheets."""
    return max(1, moment.length // FRAMES)


def longest_missed(stretches: Sequence[StretchRecord], phrase: str, duration: int) -> int:
    """Milliseconds that something was there at most, where no frame that was looked at showed it."""
    mine = [stretch for stretch in stretches if stretch["phrase"] == phrase]
    times = sorted(
        part.middle
        for stretch in mine
        if stretch["here"] is not None
        for part in slices(Moment(*stretch["moment"]), GRID * GRID)
    )
    edges = [0, *times, duration]
    return max(b - a for a, b in zip(edges, edges[1:], strict=False))


def merged(stretches: Sequence[StretchRecord], new: Sequence[StretchRecord]) -> list[StretchRecord]:
    """The tree after a look."""
    return list({stretch["id"]: stretch for stretch in [*stretches, *new]}.values())


def _stretch(phrase: str, moment: Moment, parent: str, depth: int, prior: float, turn: int) -> StretchRecord:
    return StretchRecord(
        id=f"{turn}:{moment.start}-{moment.end}|{phrase}",
        phrase=phrase,
        turn=turn,
        moment=moment.as_list(),
        parent=parent,
        depth=depth,
        prior=prior,
        here=None,
        fate="open",
        at=None,
        seen=None,
    )
