"""Which questions teach where to look: DualFocus' curation, rebuilt (its authors never released theirs).

    found = curate(page, Thresholds(), counts)     # [Candidate(...)], the rest counted by reason

A question is joined with what it is about: the objects that the file links (v1.2 on), else the region it was asked of,
else the one object that it names. It is left out where several objects of that name are there and the question does not
tell them apart (DualFocus' "ambiguity filtration"), by an attribute or a relation. What it is about decides what it can
teach: small things are to be zoomed into, large ones and questions about nothing in particular are answered from the
whole. The sizes are ours; DualFocus published none. Left out: questions of other pictures (`choice.py`), and which
candidates become trajectories (`choice.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
from pydantic import TypeAdapter, ValidationError

from zoomagent.confidence.replies import CANNOT_TELL, abstains
from zoomagent.data.genome.index import Page
from zoomagent.data.genome.rows import Counts, QuestionRow, Thing
from zoomagent.data.genome.words import COUNTS, PLACES, label, occurs, words
from zoomagent.data.trajectories.trajectory import Corners, Kind
from zoomagent.errors import SettingInvalid
from zoomagent.geometry import Box, coverage, iou

SAME_THING = 0.5
"""Boxes of one name that overlap by this much (IoU) are one thing, marked by two people (ours)."""
INSIDE = 0.5
"""Share of a thing that lies in a region where the thing belongs to it (ours)."""
MAX_TARGETS = 4
"""As many calls as one turn may hold (zoomagent/tools/progress.py)."""
MAX_DECOYS = 6


@dataclass(frozen=True)
class Thresholds:
    """Shares of the picture's area (ours). `tiny`: to be zoomed into twice; `small`: to be zoomed into; `large`: seen
    well enough in the whole; `placed`: large enough to say from the whole where it is."""

    tiny: float = 0.004
    small: float = 0.04
    large: float = 0.08
    placed: float = 0.0025
    answer_words: int = 6


@dataclass(frozen=True)
class Target:
    """What a call points at: its box in original pixels and the words for it."""

    box: Corners
    label: str
    named: bool


@dataclass(frozen=True)
class Candidate:
    """A question, what it is about and what it can teach. `decoys` are other things, those most alike first.
    `phrase` names what a question with no answer asks for."""

    image_id: int
    path: str
    width: int
    height: int
    qa: int
    question: str
    answer: str
    kinds: tuple[Kind, ...]
    targets: tuple[Target, ...] = ()
    decoys: tuple[Target, ...] = ()
    phrase: str = ""
    rule: str = ""
    sources: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class About:
    """The things a question is about, and by which rule they were found."""

    things: tuple[Thing, ...]
    rule: str
    region: int | None = None


def curate(page: Page, limits: Thresholds, counts: Counts) -> list[Candidate]:
    """The questions of a page that can teach something; `counts` says why the others cannot."""
    found = []
    for asked in page.asked:
        judged = judge(page, asked, limits)
        if isinstance(judged, Candidate):
            found.append(judged)
        counts[f"curation: dropped, {judged}" if isinstance(judged, str) else "curation: candidates"] += 1
    counts["curation: questions read"] += len(page.asked)
    return found


def judge(page: Page, asked: QuestionRow, limits: Thresholds) -> Candidate | str:
    """The question as a candidate, or why it is none."""
    if abstains(asked.answer):
        return cannot_tell(page, asked.question, asked.id, named_in(asked.question), "the file says so")
    if len(asked.answer.split()) > limits.answer_words:
        return "the answer is a sentence"
    about = about_of(page, asked)
    if about is None and not page.things:
        return "nothing is marked in its picture"
    if about is None:
        named = any(occurs(name, asked.question) for thing in page.things for name in thing.names)
        nothing = About((), "about nothing in particular")
        return "names things, linked to none" if named else _make_candidate(page, asked, ("no_zoom",), nothing)
    meant: Sequence[Thing] = about.things
    if about.region is not None:
        # Of a region, only the things inside it that the question names must not be mistaken for others.
        around = Box(*about.things[0].box)
        named_things = (one for one in page.things if any(occurs(name, asked.question) for name in one.names))
        meant = [one for one in named_things if coverage(Box(*one.box), around) >= INSIDE]
    if not told_apart(page, asked, meant):
        return "several things of that name, not told apart"
    about = About(merged(about.things), about.rule, about.region)
    # What a question about these things can teach, by their size in the picture.
    shares = [Box(*thing.box).area / page.shot.size.pixels for thing in about.things]
    if len(shares) > MAX_TARGETS:
        return f"about more than {MAX_TARGETS} things"
    if min(shares) >= limits.large:
        return _make_candidate(page, asked, ("no_zoom",), about)
    if any(text in asked.question.casefold() for text in COUNTS):
        return "asks for a count"
    if len(shares) == 1 and PLACES & set(words(asked.question)):
        placed = shares[0] >= limits.placed
        return _make_candidate(page, asked, ("no_zoom",), about) if placed else "asks for the place of a small thing"
    if max(shares) > limits.small:
        return "neither small nor large"
    if len(shares) > 1:
        return _make_candidate(page, asked, ("several",), about)
    fits: dict[Kind, bool] = {
        "one_zoom": True,
        "zoom_of_zoom": shares[0] <= limits.tiny,
        "recovered": bool(_decoys(page, about.things)),
        "verify": _target(page, asked, about.things[0]).named,
    }
    return _make_candidate(page, asked, tuple(kind for kind, fit in fits.items() if fit), about)


def about_of(page: Page, asked: QuestionRow) -> About | None:
    """What the question is about: linked objects, else its region, else the one object named, else linked answers."""
    if asked.about:
        return About(asked.about, "linked objects")
    region = page.regions_of_questions.get(asked.id)
    found = next((one for one in page.regions if one.id == region), None)
    if found is not None:
        return About((Thing(found.id, found.box, ()),), "region", found.id)
    named = [thing for thing in page.things if any(occurs(name, asked.question) for name in thing.names)]
    if named and len({name for thing in named for name in thing.names}) == 1 and len(merged(named)) == 1:
        return About(tuple(named), "the one object named")
    return About(asked.given, "linked answer") if asked.given else None


def merged(things: Sequence[Thing]) -> tuple[Thing, ...]:
    """The things, those marked twice once."""
    kept: list[Thing] = []
    for thing in things:
        if all(iou(Box(*thing.box), Box(*other.box)) < SAME_THING for other in kept):
            kept.append(thing)
    return tuple(kept)


def told_apart(page: Page, asked: QuestionRow, about: Sequence[Thing]) -> bool:
    """Whether the question means these things and no others of their names."""
    ids = {one.id for one in about}
    for thing in about:
        marks, names = _marks(page, asked, thing), set(thing.names)
        unnamed = marks and not any(occurs(name, asked.question) for name in thing.names)
        others = (
            other
            for other in page.things
            if other.id not in ids
            and (unnamed or not names.isdisjoint(other.names))
            and all(iou(Box(*other.box), Box(*one.box)) < SAME_THING for one in about)
        )
        if any(marks <= _marks(page, asked, other) for other in others):
            return False
    return True


def _marks(page: Page, asked: QuestionRow, thing: Thing) -> set[str]:
    """What the question says of the thing: attributes, and relations to other things that it names."""
    said = {word for word in page.attributes.get(thing.id, ()) if occurs(word, asked.question)}
    names = {other.id: other.names for other in page.things}
    for relation in page.relations:
        if relation.subject == thing.id and occurs(relation.predicate, asked.question):
            said |= {f"{relation.predicate} {n}" for n in names.get(relation.target, ()) if occurs(n, asked.question)}
    return said


def _make_candidate(page: Page, asked: QuestionRow, kinds: tuple[Kind, ...], about: About) -> Candidate:
    sources = {"qa": [asked.id], "objects": [one.id for one in about.things if about.region is None]}
    if about.region is not None:
        sources["regions"] = [about.region]
    return Candidate(
        image_id=page.shot.id,
        path=page.shot.path,
        width=page.shot.size.width,
        height=page.shot.size.height,
        qa=asked.id,
        question=asked.question,
        answer=asked.answer,
        kinds=kinds,
        targets=tuple(_target(page, asked, thing) for thing in about.things),
        decoys=_decoys(page, about.things) if about.things and kinds != ("no_zoom",) else (),
        rule=about.rule,
        sources=sources,
    )


def _target(page: Page, asked: QuestionRow, thing: Thing) -> Target:
    said = label(thing.names, page.attributes.get(thing.id, ()), asked.question)
    return Target(thing.box, said or asked.question.rstrip(" ?"), said is not None)


def _decoys(page: Page, about: Sequence[Thing]) -> tuple[Target, ...]:
    """Things that could be taken for the first one: of its name first, then the nearest in size; none that meets it."""
    names, area = set(about[0].names), Box(*about[0].box).area
    boxes = [Box(*other.box) for other in about]
    apart = [one for one in page.things if not any(coverage(Box(*one.box), box) for box in boxes)]
    apart.sort(key=lambda one: (not names & set(one.names), abs(Box(*one.box).area - area), one.id))
    return tuple(Target(one.box, one.names[0], True) for one in apart[:MAX_DECOYS])


def cannot_tell(page: Page, question: str, qa: int, phrase: str, rule: str) -> Candidate:
    """A question about `phrase`, which is not in the picture. Decoys share a word with it."""
    said = set(words(phrase))
    alike = [one for one in page.things if any(said & set(words(name)) for name in one.names)]
    return Candidate(
        image_id=page.shot.id,
        path=page.shot.path,
        width=page.shot.size.width,
        height=page.shot.size.height,
        qa=qa,
        question=question,
        answer=CANNOT_TELL,
        kinds=("cannot_tell",),
        decoys=tuple(Target(one.box, one.names[0], True) for one in alike[:MAX_DECOYS]),
        phrase=phrase,
        rule=rule,
        sources={"qa": [qa]},
    )


def named_in(question: str) -> str:
    """What stands behind the question's last article: all that is known of a thing without a box."""
    text = question.rstrip(" ?")
    where = max(text.rfind(article) + len(article) if article in text else 0 for article in (" the ", " a ", " an "))
    return text[where:]


def as_line(candidate: Candidate) -> bytes:
    return orjson.dumps(candidate, option=orjson.OPT_APPEND_NEWLINE)


def from_line(line: bytes) -> Candidate:
    """The candidate of `as_line`. SettingInvalid for a line that was damaged since."""
    try:
        return _CANDIDATE.validate_json(line)
    except ValidationError as error:
        raise SettingInvalid("A line of curated questions is damaged. Delete the folder's .work.") from error


_CANDIDATE = TypeAdapter(Candidate)
