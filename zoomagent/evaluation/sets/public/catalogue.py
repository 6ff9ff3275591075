"""The published sets that can be asked by name, and a user's own questions.

    kind, folder = named_set("vstar", Path("data/vstar"))
    check(kind, folder, part=False)        # every question once, before anything is asked

Left out: how they are asked (`evaluation/public.py`).
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from zoomagent.errors import InputRefused, SettingInvalid
from zoomagent.evaluation.sets.public.blink import read_blink, write_blink
from zoomagent.evaluation.sets.public.charades import (
    read_charades_sta,
    read_charades_timelens,
    write_charades_sta,
    write_charades_timelens,
)
from zoomagent.evaluation.sets.public.gqa import read_gqa, read_gqa_options, write_gqa
from zoomagent.evaluation.sets.public.hr_bench import read_hr_bench, write_hr_bench
from zoomagent.evaluation.sets.public.mmbench import read_mmbench, write_mmbench
from zoomagent.evaluation.sets.public.mme_realworld import read_mme_realworld, write_mme_realworld
from zoomagent.evaluation.sets.public.mmvp import read_mmvp, write_mmvp
from zoomagent.evaluation.sets.public.own import own_set
from zoomagent.evaluation.sets.public.pope import read_pope, write_pope
from zoomagent.evaluation.sets.public.question import PublicSet, SetQuestion
from zoomagent.evaluation.sets.public.refcoco import read_refcoco_set, write_refcoco_set
from zoomagent.evaluation.sets.public.seed_bench import read_seed_bench, write_seed_bench
from zoomagent.evaluation.sets.public.text_vqa import read_text_vqa, write_text_vqa
from zoomagent.evaluation.sets.public.tree_bench import read_tree_bench, write_tree_bench
from zoomagent.evaluation.sets.public.visual_probe import read_visual_probe, write_visual_probe
from zoomagent.evaluation.sets.public.vstar import read_vstar, write_vstar
from zoomagent.evaluation.sets.public.zoom_bench import read_zoom_bench, write_zoom_bench
from zoomagent.graphs.checking import check_question

HUB = "huggingface.co/datasets/"
OWN = "own:"

MOMENTS = "mIoU and R@1 of the first moment, as the authors; macro sees nine frames of the clip, once"
NAMED = "the option named, as the authors; options shuffled per seed"
LLAVA = "LLaVA's list of files: github.com/haotian-liu/LLaVA, docs/Evaluation.md"

_ALL = (
    PublicSet("vstar", "V*Bench", read_vstar, write_vstar, 191, "option", f"{HUB}craigwu/vstar_bench", NAMED),
    *(
        PublicSet(
            name=f"hr-bench-{size}",
            title=f"HR-Bench {size.upper()}",
            read=partial(read_hr_bench, size),
            write=partial(write_hr_bench, size),
            count=800,
            rule="option",
            source=f"{HUB}DreamMr/HR-Bench",
            scoring="the mean over four rotations of the options, as the authors; together: right in all four",
            shuffled=False,
            known=(f"hr_bench_{size}.tsv", md5),
        )
        for size, md5 in (("4k", "f6b041b03d49543494b8a56d2e35be65"), ("8k", "274c9c7f89329b804a4723178a00219c"))
    ),
    PublicSet(
        name="mme-realworld-lite",
        title="MME-RealWorld-Lite",
        read=read_mme_realworld,
        write=write_mme_realworld,
        count=1919,
        rule="option",
        source=f"{HUB}yifanzhang114/MME-RealWorld-lite-lmms-eval",
        scoring=NAMED,
    ),
    PublicSet(
        name="treebench",
        title="TreeBench",
        read=read_tree_bench,
        write=write_tree_bench,
        count=405,
        rule="option",
        source=f"{HUB}HaochenWang/TreeBench",
        scoring=f"{NAMED}; IoU of the targets' boxes with those that the answer rests on",
    ),
    PublicSet(
        name="zoombench",
        title="ZoomBench",
        read=read_zoom_bench,
        write=write_zoom_bench,
        count=845,
        rule="words",
        source=f"{HUB}inclusionAI/ZoomBench",
        scoring="the option named, or the published words; the authors have a model judge these: a lower bound",
    ),
    PublicSet(
        name="visualprobe",
        title="VisualProbe",
        read=read_visual_probe,
        write=write_visual_probe,
        count=515,
        rule="words",
        source=f"{HUB}Mini-o3/VisualProbe_Easy, _Medium and _Hard",
        scoring="the published words; the authors have a model judge them: a lower bound",
        shuffled=False,
    ),
    PublicSet(
        name="textvqa",
        title="TextVQA, validation",
        read=read_text_vqa,
        write=write_text_vqa,
        count=5000,
        rule="vqa",
        source="textvqa.org/dataset",
        scoring="VQA's accuracy over ten people, as the authors; no words of an OCR are told",
        shuffled=False,
    ),
    PublicSet(
        name="gqa",
        title="GQA, balanced testdev",
        read=read_gqa,
        write=write_gqa,
        count=12578,
        rule="words",
        source="cs.stanford.edu/people/dorarad/gqa/download.html",
        scoring="the words are the answer, as the authors",
        shuffled=False,
    ),
    PublicSet(
        name="gqa-options",
        title="GQA with DualFocus' four options",
        read=read_gqa_options,
        write=write_gqa,
        count=None,
        rule="option",
        source=f"{HUB}yhcao/GQA-MCQ, beside GQA's own files",
        scoring=NAMED,
    ),
    PublicSet(
        name="seed-bench",
        title="SEED-Bench, pictures",
        read=read_seed_bench,
        write=write_seed_bench,
        count=14233,
        rule="option",
        source=f"{HUB}AILab-CVC/SEED-Bench",
        scoring="the option named, as LLaVA and DualFocus; the authors take the likeliest; options shuffled per seed",
    ),
    PublicSet(
        name="mmbench-dev",
        title="MMBench, dev of July 2023",
        read=read_mmbench,
        write=write_mmbench,
        count=4377,
        rule="option",
        source=f"download.openmmlab.com/mmclassification/datasets/mmbench; {LLAVA}",
        scoring="the mean over rows, as LLaVA; together: circular evaluation, as the authors",
        shuffled=False,
    ),
    PublicSet(
        name="pope",
        title="POPE on COCO",
        read=read_pope,
        write=write_pope,
        count=9000,
        rule="yes or no",
        source="github.com/AoiDragon/POPE, output/coco; pictures: COCO's val2014",
        scoring="accuracy, F1 of yes and its share, as the authors; no answer is wrong, not yes",
        shuffled=False,
    ),
    PublicSet(
        name="mmvp",
        title="MMVP",
        read=read_mmvp,
        write=write_mmvp,
        count=300,
        rule="option",
        source=f"{HUB}MMVP/MMVP",
        scoring="the option named; together: pairs, as the authors; options shuffled per seed",
    ),
    PublicSet(
        name="blink-spatial",
        title="BLINK, spatial relations",
        read=read_blink,
        write=write_blink,
        count=143,
        rule="option",
        source=f"{HUB}BLINK-Benchmark/BLINK",
        scoring=NAMED,
    ),
    PublicSet(
        name="refcoco",
        title="RefCOCO, RefCOCO+ or RefCOCOg",
        read=read_refcoco_set,
        write=write_refcoco_set,
        count=None,
        rule="box",
        source="github.com/lichengunc/refer; pictures: COCO's train2014",
        scoring="IoU of at least a half, as the authors; pointed at in the whole picture",
        shuffled=False,
    ),
    PublicSet(
        name="charades-sta",
        title="Charades-STA, test",
        read=read_charades_sta,
        write=write_charades_sta,
        count=3720,
        rule="moment",
        source="github.com/jiyanggao/TALL; clips: prior.allenai.org/projects/charades",
        scoring=MOMENTS,
        shuffled=False,
    ),
    PublicSet(
        name="charades-timelens",
        title="Charades-TimeLens",
        read=read_charades_timelens,
        write=write_charades_timelens,
        count=3363,
        rule="moment",
        source=f"{HUB}TencentARC/TimeLens-Bench",
        scoring=MOMENTS,
        shuffled=False,
    ),
)
SETS = {one.name: one for one in _ALL}


@dataclass(frozen=True)
class Contents:
    """What a look through all of a set found: the circle and group of each id, in the set's order, and the kinds."""

    circles: dict[str, str]
    groups: dict[str, str]
    categories: tuple[str, ...]
    notes: tuple[str, ...]


def named_set(name: str, data: Path | None) -> tuple[PublicSet, Path]:
    """The set of this name and the folder of its files."""
    if name.startswith(OWN):
        path = Path(name.removeprefix(OWN))
        if path.exists() and not path.is_file():
            raise SettingInvalid(f"{path.name!r} is no regular file, and questions are read twice. Name one that is.")
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
    seen: dict[str, str] = {}
    groups: dict[str, str] = {}
    categories: dict[str, None] = {}
    unasked: list[str] = []
    for question in kind.read(folder):
        if question.id in seen:
            text = f"{kind.title} names two questions {question.id[:80]!r}. Get its files again."
            raise InputRefused(text, code="data_corrupt")
        seen[question.id] = question.circle or question.id
        groups[question.id] = question.group
        categories[question.category] = None
        try:
            check_question(question.text, question.options)
        except InputRefused as error:
            unasked.append(f"{question.id[:80]!r}: {error}")
        progress(len(seen))
    if not seen:
        raise InputRefused(f"There is no question of {kind.title} in the folder.", code="data_missing")
    notes = []
    name, known = kind.known or ("", "")
    if not part and name and (folder / name).is_file():
        with (folder / name).open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found != known:
            notes.append(f"{name} is another file than the known one (MD5 {found}, not {known}).")
    if kind.count is not None and len(seen) != kind.count:
        text = f"{kind.title} has {kind.count} questions, the folder holds {len(seen)}."
        if not part:
            why = f"{text} Get it again from {kind.source}, or ask for a part of it with --n."
            raise InputRefused(why, code="data_missing")
        notes.append(f"{text} No figure here is one of {kind.title}.")
    if unasked:
        notes.append(f"{len(unasked)} questions cannot be asked and count as wrong; the first is {unasked[0]}")
    return Contents(seen, groups, tuple(categories), tuple(notes))


def questions(kind: PublicSet, folder: Path, wanted: frozenset[str]) -> Iterator[SetQuestion]:
    """The questions with these ids, in the set's order."""
    return (question for question in kind.read(folder) if question.id in wanted)
