"""Questions about nano's own world, with their pictures and right answers, for real servers of nano."""

import io
from dataclasses import dataclass

from PIL import Image

from zoomagent.evaluation.run import canvas
from zoomagent.evaluation.sets.haystack import Settings, cases

SIDE = 1024


@dataclass(frozen=True)
class Asked:
    """A picture as a PNG file, a question about it, and the right answer."""

    png: bytes
    question: str
    right: str

    @property
    def picture(self) -> Image.Image:
        return Image.open(io.BytesIO(self.png))


def questions(n: int, seed: int = 7) -> list[Asked]:
    """So many questions of every kind about unseen scenes."""
    found = []
    for scene, listed in cases(Settings(n=max(n, 6), seeds=(seed,), size=SIDE)):
        file = io.BytesIO()
        canvas(scene, SIDE).save(file, "PNG", compress_level=1)
        found += [Asked(file.getvalue(), case.question.text, case.question.answer) for case in listed]
    return found[:n]
