"""The published sets that can be asked by name, and a user's own questions.

    kind, folder = named_set("vstar", Path("data/vstar"))
    check(kind, folder, part=False)        # every question once, before anything is asked

Left out: sets of clips (Charades-STA): moments are another question, and have a bench of their own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from zoomagent.errors import InputRefused, SettingInvalid
from zoomagent.evaluation.sets.public.own import own_set
from zoomagent.evaluation.sets.public.question import PublicSet, SetQuestion
from zoomagent.evaluation.sets.public.vstar import read_vstar, write_vstar

HUB = "huggingface.co/datasets/"
OWN = "own:"

_ALL = (
    PublicSet(
        name="vstar",
        title="V*Bench",
        read=read_vstar,
        write=write_vstar,
        count=191,
        rule="option",
        source=f"{HUB}craigwu/vstar_bench",
        scoring="the option named, as the authors; options shuffled per seed",
    ),
)
SETS = {one.name: one for one in _ALL}


@dataclass(frozen=True)
class Contents:
    """What a look through all of a set found: the ids in their order, and their kinds."""

    ids: tuple[str, ...]
    categories: tuple[str, ...]
    notes: tuple[str, ...]


def named_set(name: str, data: Path | None) -> tuple[PublicSet, Path]:
    """The set of this name and the folder of its files."""
    if name.startswith(OWN):
        path = Path(name.removeprefix(OWN))
        return own_set(path), data or path.parent
    if name not in SETS:
        known = ", ".join([*SETS, f"{OWN}FILE.jsonl"])
        raise SettingInvalid(f"There is no set {name[:80]!r}. Use one of {known}.")
    if data is None or not data.is_dir():
        raise SettingInvalid(f"Give --data the folder of {SETS[name].title}; it is to be had at {SETS[name].source}.")
    return SETS[name], data


def check(kind: PublicSet, folder: Path, part: bool, progress: Callable[[int], None] = lambda done: None) -> Contents:
    """Read every question once. InputRefused where one is damaged, named twice, or where questions are missing and no
    `part` of the set is asked for."""
    seen: dict[str, None] = {}
    categories: dict[str, None] = {}
    for question in kind.read(folder):
        if question.id in seen:
            text = f"{kind.title} names two questions {question.id[:80]!r}. Get its files again."
            raise InputRefused(text, code="data_corrupt")
        seen[question.id] = None
        categories[question.category] = None
        progress(len(seen))
    if not seen:
        raise InputRefused(f"There is no question of {kind.title} in the folder.", code="data_missing")
    notes = []
    if kind.count is not None and len(seen) != kind.count:
        text = f"{kind.title} has {kind.count} questions, the folder holds {len(seen)}."
        if not part:
            why = f"{text} Get it again from {kind.source}, or ask for a part of it with --n."
            raise InputRefused(why, code="data_missing")
        notes.append(f"{text} No figure here is one of {kind.title}.")
    return Contents(tuple(seen), tuple(categories), tuple(notes))


def questions(kind: PublicSet, folder: Path, wanted: frozenset[str]) -> Iterator[SetQuestion]:
    """The questions with these ids, in the set's order."""
    return (question for question in kind.read(folder) if question.id in wanted)
