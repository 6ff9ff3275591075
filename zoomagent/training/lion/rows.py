"""What LION learns from: every trajectory gives lessons of both kinds, each a short dialogue of a run.

    for lesson in lessons(trajectory, profile):
        lesson.task, lesson.views, lesson.messages        # views: name -> box and size, cut from the original

Image lessons are DualFocus' macro turn, where the whole decides, and its micro turn, where a crop does; a region lesson
is its box turn. A row of a grounding set is a region lesson too: where a phrase is, or what is in a box. The words are
those of a run (`prompts.py`), the boxes those of the model's own space. Left out: calls of tools, and sentences with
boxes (`zoomagent train sft` teaches those).
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zoomagent.data.grounding.telling import REGION
from zoomagent.data.trajectories.trajectory import Trajectory
from zoomagent.geometry import Box, Size, View
from zoomagent.graphs.asking import tag_parts
from zoomagent.media.picture import Request
from zoomagent.models.base import Message, Pixels, Text
from zoomagent.models.profiles import Profile
from zoomagent.prompts import box_prompt, every_prompt, ground_prompt, macro_prompt, micro_prompt
from zoomagent.strategy import Task
from zoomagent.tools.cropping import write_box
from zoomagent.tools.viewing import view_size
from zoomagent.tools.zooming import surroundings

WHOLE, CROP = "whole", "crop"


@dataclass(frozen=True)
class Lesson:
    """One question and what is to be said. `shown` names the views before each turn's text; `answer` is learned."""

    task: Task
    views: Mapping[str, Request]
    turns: tuple[tuple[str, tuple[str, ...], str], ...]
    answer: str
    tags: tuple[str, ...] = ()


def lessons(trajectory: Trajectory, profile: Profile) -> list[Lesson]:
    """The image lesson and, where there is one target, the region lesson of a trajectory."""
    size = Size(trajectory.width, trajectory.height)
    limits = Box(0, 0, size.width, size.height)
    whole = (limits, view_size(profile, limits, profile.whole_pixels or None))
    if "asks" in trajectory.provenance:
        return _phrase_lessons(trajectory, profile, whole)
    options = profile.offered(trajectory.options)
    answer = trajectory.answer
    if options and answer in options:
        answer = chr(65 + options.index(answer))
    made: list[Lesson] = []
    question = trajectory.question
    first = ("user", (WHOLE,), macro_prompt(question, options))
    box = Box(*trajectory.targets[0]) if len(trajectory.targets) == 1 else None
    pointed = box and write_box(box, profile, View(WHOLE, *whole))
    if trajectory.kind in ("no_zoom", "cannot_tell", "verify"):
        made.append(Lesson("image", {WHOLE: whole}, (first,), answer))
    elif box is not None:
        crop = surroundings(box, size, profile.crop_margin, 0)
        close = (crop, view_size(profile, crop, profile.crop_pixels or None))
        turns = (
            ("user", (WHOLE,), box_prompt(question, profile.space)),
            ("assistant", (), str(pointed)),
            ("user", (CROP,), micro_prompt(question, options)),
        )
        made.append(Lesson("image", {WHOLE: whole, CROP: close}, turns, answer))
    if box is not None and trajectory.kind != "cannot_tell":
        asked = (("user", (WHOLE,), box_prompt(question, profile.space)),)
        made.append(Lesson("region", {WHOLE: whole}, asked, str(pointed)))
    return made


def _phrase_lessons(trajectory: Trajectory, profile: Profile, whole: Request) -> list[Lesson]:
    """The region lesson of a grounding set's row, worked out anew: its picture may have been moved."""
    phrase = trajectory.provenance["phrase"]
    boxes = [write_box(Box(*box), profile, View(WHOLE, *whole)) for box in trajectory.targets]
    match trajectory.provenance["asks"]:
        case "where" if len(boxes) == 1:
            asked, answer = ground_prompt(phrase, profile.space), str(boxes[0])
        case "where":
            asked, answer = every_prompt(phrase, profile.space), str(boxes)
        case "what":
            asked, answer = f"{REGION}{boxes[0]}", phrase
        case _:
            return []
    return [Lesson("region", {WHOLE: whole}, (("user", (WHOLE,), asked),), answer)]


def messages(lesson: Lesson, images: Mapping[str, Pixels], profile: Profile) -> list[Message]:
    """The turns before the answer, as a run tells them."""
    told = []
    for number, (role, views, text) in enumerate(lesson.turns, 1):
        last = number == len(lesson.turns)
        tags = tag_parts(lesson.tags, profile) if last else ()
        parts: tuple[Text | Pixels, ...] = (*(images[view] for view in views), *tags, Text(text))
        told.append(Message("assistant" if role == "assistant" else "user", parts))
    return told


def with_wrong(tags: Sequence[str], others: Sequence[str], share: float, random_: random.Random) -> tuple[str, ...]:
    """The tags, a share of them replaced by names of things that are not there; in another order."""
    absent = [name for name in dict.fromkeys(others) if name not in tags]
    made = []
    for tag in tags:
        replaced = bool(absent) and random_.random() < share
        made.append(absent.pop(random_.randrange(len(absent))) if replaced else tag)
    random_.shuffle(made)
    return tuple(made)
