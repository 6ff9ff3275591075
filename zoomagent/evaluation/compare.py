"""Two rows of results side by side: which questions one answers and the other does not, with their pictures.

    zoomagent bench compare runs/vstar.jsonl#macro runs/vstar.jsonl#auto --data vstar_bench --out vstar.html

Only questions that both were asked in the same words are compared, under the same seeds. Which row is better is tested
by the signs of the differences (exact, two-sided; McNemar 1947 where there is one seed), one sign for each question, as
its seeds and rotations are no questions of their own. Left out: why an answer came about; ask it once more, with
--save.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scipy.stats import binomtest

from zoomagent.errors import InputRefused, SettingInvalid
from zoomagent.evaluation.results import Result, load
from zoomagent.evaluation.rivals.frames import GRID
from zoomagent.evaluation.sets.public.catalogue import questions
from zoomagent.evaluation.sets.public.question import Corners, PublicSet
from zoomagent.geometry import Box, Size, whole
from zoomagent.media import Recording, open_media
from zoomagent.media.video.sheet import Sheet
from zoomagent.moments import Moment, words
from zoomagent.page.pictures import inlined_shot
from zoomagent.page.run_html import one_page

SIDE = 560
"""Longer side of a picture of the page, in pixels (ours)."""
_MOMENT = re.compile(r"\[(\d{1,12}), (\d{1,12})\]")
"""How results hold a moment: milliseconds."""
MOST = 200
"""Questions on one page (ours): every picture is inlined."""
Change = Literal["gained", "lost", "both right", "both wrong"]


@dataclass(frozen=True)
class Pair:
    """One question under one seed, answered by both rows."""

    a: Result
    b: Result

    @property
    def change(self) -> Change:
        """From the first to the second."""
        if self.a.right == self.b.right:
            return "both right" if self.a.right else "both wrong"
        return "gained" if self.b.right else "lost"


def row_of(named: str) -> list[Result]:
    """The results of one row: FILE, or FILE#ROW where the file has several. SettingInvalid where there are none."""
    name, _, row = named.partition("#")
    path = Path(name)
    if not path.is_file():
        raise SettingInvalid(f"There is no file {path.name!r}. Give one that bench run --results wrote.")
    results = load(path)
    known = list(dict.fromkeys(result.key.row for result in results))
    if not row and len(known) == 1:
        return results
    if row not in known:
        raise SettingInvalid(f"{path.name} has the rows {', '.join(known)}. Name one: {path.name}#{known[0]}")
    return [result for result in results if result.key.row == row]


def pairs(a: Sequence[Result], b: Sequence[Result]) -> list[Pair]:
    """What both were asked, in the order of the first. SettingInvalid where that is nothing."""
    of_b = {_question_key(result): result for result in b}
    found = [Pair(result, of_b[_question_key(result)]) for result in a if _question_key(result) in of_b]
    if not found:
        raise SettingInvalid("The two rows share no question under the same seed. Compare rows of one set.")
    return found


def _question_key(result: Result) -> tuple[object, ...]:
    key = result.key
    return key.set, key.level, key.size, key.case, key.question, key.data, result.question, result.options


def figures(found: Sequence[Pair]) -> dict[str, Any]:
    """How often what changed, and how probable so uneven a change is by chance alone."""
    counts = {change: sum(pair.change == change for pair in found) for change in Change.__args__}  # type: ignore[attr-defined]
    differences: defaultdict[tuple[object, ...], float] = defaultdict(float)
    for pair in found:
        one = pair.a.circle or pair.a.key.question or pair.a.key.case
        differences[pair.a.key.set, one] += pair.b.score - pair.a.score
    better = sum(difference > 0 for difference in differences.values())
    worse = sum(difference < 0 for difference in differences.values())
    chance = float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
    mean = {side: sum(getattr(pair, side).score for pair in found) / len(found) for side in ("a", "b")}
    return {
        "n": len(found), "questions": len(differences), **mean, **counts, "better": better, "worse": worse, "p": chance
    }  # fmt: skip


def words_of(found: Sequence[Pair]) -> str:
    """The figures as lines."""
    one = figures(found)
    return "\n".join([
        f"{found[0].a.key.row}: {one['a']:.1%}   {found[0].b.key.row}: {one['b']:.1%}   of {one['n']} answers to "
        f"{one['questions']} questions",
        f"gained {one['gained']}, lost {one['lost']}, both right {one['both right']}, both wrong {one['both wrong']}",
        f"better on {one['better']} questions, worse on {one['worse']}: p = {one['p']:.2g} (exact sign test)",
    ])  # fmt: skip


def compare_page(found: Sequence[Pair], kind: PublicSet | None, folder: Path | None, every: bool = False) -> str:
    """One HTML page with the questions that changed, or `every` one; with their pictures where the set is at hand."""
    shown = [pair for pair in found if every or pair.change in ("gained", "lost")]
    shown.sort(key=lambda pair: list(Change.__args__).index(pair.change))  # type: ignore[attr-defined]
    pictures = _shots(shown[:MOST], kind, folder) if kind and folder else {}
    entries = [
        {
            "pair": pair,
            "shot": _marked(pair, pictures.get(pair.a.key.question)),
            "place": place,
            "right": ", ".join(_said(one) for one in pair.a.answers or (pair.a.wanted,)),
            "given": {"a": _said(pair.a.given), "b": _said(pair.b.given)},
        }
        for place, pair in enumerate(shown[:MOST], 1)
    ]
    values = {"figures": figures(found), "entries": entries, "left": len(shown) - len(entries)}
    return one_page("compare.html", values | {"a": found[0].a.key.row, "b": found[0].b.key.row})


def _said(text: str) -> str:
    """An answer for people: a moment in seconds, all else as it is."""
    found = _MOMENT.fullmatch(text)
    return words(Moment(int(found[1]), int(found[2]))) if found else text


def _marked(pair: Pair, shot: dict[str, Any] | None) -> dict[str, Any] | None:
    """The picture with what must be seen and what the second row rests on; of a clip, the frames of both moments."""
    if shot is None:
        return None
    if shot["sheet"] is None:
        return shot | {"targets": pair.a.targets, "boxes": pair.b.boxes}
    return shot | {
        "targets": _frames(shot["sheet"], pair.a.wanted, 0.05),
        "boxes": _frames(shot["sheet"], pair.b.given),
    }


def _frames(sheet: Mapping[int, Box], text: str, inset: float = 0) -> list[Corners]:
    """The cells of a sheet that show a moment, by their times; none where it is none, or lies between them. `inset` is
    a share of their width: two frames around one cell can then both be seen."""
    found = _MOMENT.fullmatch(text)
    moment = Moment(int(found[1]), int(found[2])) if found else Moment(0, 0)
    cells = [cell for time, cell in sheet.items() if moment.holds(time)]
    by = [round(inset * cell.width) for cell in cells]
    return [(c.left + n, c.top + n, c.right - n, c.bottom - n) for c, n in zip(cells, by, strict=True)]


def _shots(shown: Sequence[Pair], kind: PublicSet, folder: Path) -> dict[str, dict[str, Any]]:
    """The picture of each question, small, with the original's size; of a clip nine frames, with their times."""
    wanted = frozenset(pair.a.key.question for pair in shown)
    known = {pair.a.key.question: pair.a.key.data for pair in shown}
    shots: dict[str, dict[str, Any]] = {}
    for question in questions(kind, folder, wanted):
        if question.digest != known[question.id]:
            text = f"Question {question.id[:80]!r} of the folder is another one than was asked. Give the same files."
            raise InputRefused(text, code="data_corrupt")
        with open_media(question.picture) as opened:
            picture = Sheet(opened, opened.moment, GRID) if isinstance(opened, Recording) else opened
            size = picture.size
            scale = min(1.0, SIDE / max(size.width, size.height))
            small = Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))
            cells = (
                {picture.time_of(n): picture.cell(n) for n in range(GRID * GRID)}
                if isinstance(picture, Sheet)
                else None
            )
            shown_small = inlined_shot(picture.view(whole(size), small), "JPEG")
            shots[question.id] = {"shot": shown_small, "size": size, "sheet": cells}
    return shots
