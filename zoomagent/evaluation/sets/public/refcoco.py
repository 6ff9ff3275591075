"""RefCOCO, RefCOCO+ and RefCOCOg (Yu et al. 2016, Mao et al. 2016): where the thing is that some words refer to.

    refs(unc).p or refs(umd).p, instances.json     as github.com/lichengunc/refer publishes them, one set a folder
    train2014/COCO_train2014_….jpg                 pictures of COCO, or all of them in the folder itself

Read by `data/grounding/pictures.py`, which heeds the files' quirks and imports no pickle. Only validation and test
splits are asked. A box is right from an IoU of a half on, as in the authors' evaluation (refer's evaluate.py: the
accuracy of comprehension). The model points in the whole picture; there is no row with a closer look.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from zoomagent.data.grounding.pictures import read_refcoco
from zoomagent.data.grounding.world_sets import write_set
from zoomagent.evaluation.sets.public.files import picture_at
from zoomagent.evaluation.sets.public.question import DrawnQuestion, SetQuestion

ASKED = ("val", "test", "testA", "testB")
PICTURES = "train2014"


def read_refcoco_set(folder: Path) -> Iterator[SetQuestion]:
    """Every phrase of the validation and test splits, with its box as the answer."""
    home = folder / PICTURES if (folder / PICTURES).is_dir() else folder
    for number, one in enumerate(read_refcoco(folder, Counter()), 1):
        if one.split in ASKED:
            picture = picture_at(folder / "instances.json", number, home, one.file)
            yield SetQuestion(
                id=one.id,
                picture=picture,
                text=one.phrase,
                answers=(str(list(one.boxes[0])),),
                category=one.split,
                boxes=one.boxes[:1],
            )


def write_refcoco_set(folder: Path, drawn: Sequence[DrawnQuestion]) -> None:
    """The files of the drawn world that `data grounding` is tried with; half of their scenes are asked about."""
    write_set("refcoco", folder, scenes=max(4, len(drawn)))
