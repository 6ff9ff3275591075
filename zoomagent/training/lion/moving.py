"""Flips and crops of a lesson's picture that move everything said about it: boxes, left and right, tags.

    moved = flipped(scene)                     # a mirror image; None where words could not follow
    moved = cropped(scene, Box(...))           # a part; None where it would cut what the question is about

LION crops and flips region rows without their boxes, and computes tags before it crops: both are mended here. Left out:
questions that may be about letters, which are not mirrored, and those that compare places after a crop.
"""

import random
import re
from dataclasses import dataclass, replace

from zoomagent.geometry import Box, Size, intersect

SIDES = {"left": "right", "right": "left", "Left": "Right", "Right": "Left", "west": "east", "east": "west"}
_SIDE = re.compile(rf"\b({'|'.join(SIDES)})\b")
_OTHER_SIDE = re.compile(
    r"left|right|izquierd|derech|gauche|droit|link|recht|esquerd|direit|sinistr|destr|лев|прав|左|右|왼|오른|يسار|يمين"
    r"|clockwise|\b(north|south)?[ -]?(west|east)|\b(l|lft|lef|letf|r|rt|rgt|rght|rigt|rigth|rite)\b",
    re.IGNORECASE,
)
"""Sides in words that `SIDES` does not swap: "leftmost", "a la izquierda". "Bright" is one too: it costs a mirror image
and teaches nothing false."""
_LETTERS = re.compile(
    r"\b(written|text|words?|letters?|read|says?|signs?|numbers?|digits?|clocks?|time|dates?|years?|prices?|costs?|plates?"
    r"|brands?|logos?|names?|named|called|labels?|titles?|teams?|scores?|pages?|spell(ed|s)?|printed|caption)\b",
    re.IGNORECASE,
)
_COUNT = re.compile(r"\bhow many\b", re.IGNORECASE)
_READ = re.compile(r"\d|\b[A-Z]{2,}\b")
_PLACES = re.compile(
    r"\b(left|right|top|bottom|above|below|upper|lower|corner|middle|centre|center|north|south|first|second|third|fourth"
    r"|fifth|last|edge|side)\b",
    re.I,
)
SEEN = 0.5
"""The share of a thing that must be left for its tag to stay (ours)."""


@dataclass(frozen=True)
class Scene:
    """What is known of a picture: a question with its answer, boxes in original pixels, and tagged things. `part` is
    what is shown of it, `mirrored` says whether that is shown as in a mirror: a picture is cropped first."""

    size: Size
    question: str
    answer: str
    boxes: tuple[Box, ...] = ()
    nested: tuple[Box, ...] = ()
    things: tuple[tuple[str, Box], ...] = ()
    part: Box | None = None
    mirrored: bool = False

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of the things that are left in it."""
        return tuple(dict.fromkeys(name for name, _ in self.things))


def flipped(scene: Scene) -> Scene | None:
    """The mirror image. None where letters, numbers or clocks may be asked about, and where a side is named in a word
    that is not swapped: they would be wrong in it. Whether there are letters in the picture nobody looks."""
    was_read = _READ.search(scene.answer) and not _COUNT.search(scene.question)
    if was_read or _LETTERS.search(f"{scene.question} {scene.answer}"):
        return None
    words = "\n".join([scene.question, scene.answer, *(name for name, _ in scene.things)])
    if _OTHER_SIDE.search(_SIDE.sub("", words)):
        return None
    width = scene.size.width

    def turned(box: Box) -> Box:
        return Box(width - box.right, box.top, width - box.left, box.bottom)

    return replace(
        scene,
        question=_other_side(scene.question),
        answer=_other_side(scene.answer),
        boxes=tuple(map(turned, scene.boxes)),
        nested=tuple(map(turned, scene.nested)),
        things=tuple((_other_side(name), turned(box)) for name, box in scene.things),
        mirrored=not scene.mirrored,
    )


def cropped(scene: Scene, part: Box) -> Scene | None:
    """What is left in `part`. None where it cuts a box, where the words speak of places in the picture, or where the
    question is about the whole and something is cut, or what is in the picture is not known."""
    if (
        scene.mirrored
        or any(intersect(box, part) != box for box in scene.boxes)
        or _PLACES.search(f"{scene.question} {scene.answer}")
    ):
        return None
    if not scene.boxes and (not scene.things or any(intersect(box, part) != box for _, box in scene.things)):
        return None
    left = [(name, box) for name, box in scene.things if _share(box, part) >= SEEN]

    def moved(box: Box) -> Box:
        inside = intersect(box, part)
        return Box(inside.left - part.left, inside.top - part.top, inside.right - part.left, inside.bottom - part.top)

    offset = scene.part or Box(0, 0, *(scene.size.width, scene.size.height))
    origin = Box(offset.left + part.left, offset.top + part.top, offset.left + part.right, offset.top + part.bottom)
    return replace(
        scene,
        size=part.size,
        boxes=tuple(map(moved, scene.boxes)),
        nested=tuple(dict.fromkeys(map(moved, scene.nested))),
        things=tuple((name, moved(box)) for name, box in left),
        part=origin,
    )


def original(scene: Scene, box: Box) -> Box:
    """Where a box of what is shown lies in the original picture."""
    if scene.mirrored:
        box = Box(scene.size.width - box.right, box.top, scene.size.width - box.left, box.bottom)
    left, top = (scene.part.left, scene.part.top) if scene.part else (0, 0)
    return Box(box.left + left, box.top + top, box.right + left, box.bottom + top)


def varied(scene: Scene, random_: random.Random) -> Scene:
    """The scene, half of the time cropped to 0.5 to 1 of each side, half of the time mirrored, where its words allow
    that."""
    if random_.random() < 0.5:
        width, height = (
            max(1, round(side * random_.uniform(0.5, 1))) for side in (scene.size.width, scene.size.height)
        )
        left, top = random_.randint(0, scene.size.width - width), random_.randint(0, scene.size.height - height)
        scene = cropped(scene, Box(left, top, left + width, top + height)) or scene
    if random_.random() < 0.5:
        scene = flipped(scene) or scene
    return scene


def _share(box: Box, part: Box) -> float:
    common = intersect(box, part)
    return max(0, common.width) * max(0, common.height) / max(1, box.width * box.height)


def _other_side(text: str) -> str:
    return _SIDE.sub(lambda match: SIDES[match.group()], text)
