"""What is asked about an annotation: the rows that a model is trained on.

Of a picture three kinds of rows, told as at run time: phrase -> box, the question of the ground tool; region -> phrase;
and a sentence whose phrases carry boxes. Several of one picture make a dialogue too. Numbers are written in the space
of the profile that the rows are made for, of the whole as that profile sees it. Annotations of clips and sounds stay
lines of JSON. Left out: dialogues that a language model words (`wording.py`).
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from zoomagent.data.grounding.annotation import Annotation
from zoomagent.data.trajectories.trajectory import WHOLE, ImagePart, TextPart, Trajectory, Turn, ViewBox
from zoomagent.geometry import Box, Size, View, whole
from zoomagent.models.profiles import Profile
from zoomagent.models.words.interleaved import Interleaved, Phrase, write_interleaved
from zoomagent.prompts import describe_prompt, every_prompt, ground_prompt
from zoomagent.tools.cropping import write_box
from zoomagent.tools.viewing import view_size

Asks = Literal["where", "what", "said", "dialogue"]
TURNS = 6
"""Questions of a dialogue, at most (ours)."""
REGION = "What is in this region? "
"""Asks for the phrase of a box (ours)."""


def rows_of(annotation: Annotation, number: int, profile: Profile, source: str) -> list[Trajectory]:
    """The rows of one annotation of a picture."""
    assert annotation.size is not None, "pictures have a size"
    size = Size(*annotation.size)
    shown = View("", whole(size), view_size(profile, whole(size), profile.whole_pixels or None))
    numbers = [write_box(Box(*box), profile, shown) for box in annotation.boxes]
    one = len(numbers) == 1
    prompt = ground_prompt if one else every_prompt
    asked: list[tuple[Asks, str, str]] = [
        ("where", prompt(annotation.phrase, profile.space), str(numbers[0] if one else numbers))
    ]
    asked += [("what", f"{REGION}{numbers[0]}", annotation.phrase)] if one else []
    return [row_of(annotation, number, asks, text, answer, source) for asks, text, answer in asked]


def sentence_row(told: Sequence[Annotation], number: int, profile: Profile, source: str) -> Trajectory | None:
    """The row of a sentence with the boxes of all its phrases; None where its words read as numbers of boxes."""
    first = told[0]
    assert first.size is not None, "pictures have a size"
    size = Size(*first.size)
    shown = View("", whole(size), view_size(profile, whole(size), profile.whole_pixels or None))
    phrases = list[Phrase]()
    for one in told:
        assert one.start is not None, "phrases of sentences have a place"
        boxes = tuple(tuple(write_box(Box(*box), profile, shown)) for box in one.boxes)
        phrases.append(Phrase(one.start, one.start + len(one.phrase), boxes))
    try:
        answer = write_interleaved(Interleaved(first.sentence, tuple(phrases)))
    except ValueError:
        return None
    return row_of(first, number, "said", describe_prompt("phrase", profile.space), answer, source)


def row_of(annotation: Annotation, number: int, asks: Asks, text: str, answer: str, source: str) -> Trajectory:
    """One question about the whole, answered at once. Its phrase is kept beside it, for who moves the boxes."""
    assert annotation.size is not None, "pictures have a size"
    width, height = annotation.size
    question = Turn(role="user", content=(ImagePart(view=WHOLE), TextPart(text=text)))
    return Trajectory(
        id=f"{annotation.id}-{asks}",
        image=annotation.file,
        image_id=number,
        width=width,
        height=height,
        kind="no_zoom",
        question=text,
        answer=answer,
        targets=annotation.boxes,
        views=(ViewBox(id=WHOLE, source="", box=(0, 0, width, height)),),
        messages=(question, Turn(role="assistant", content=(TextPart(text=answer),))),
        provenance={
            "set": source,
            "annotation": annotation.id,
            "split": annotation.split,
            "asks": asks,
            "phrase": annotation.sentence if asks == "said" else annotation.phrase,
        },
    )


def dialogue_row(rows: Sequence[Trajectory]) -> Trajectory | None:
    """Rows of one picture as one dialogue: every question but the first is asked with boxes and words before it. Of one
    thing it is asked where it is, of the next what is in its box, so that no answer stands there already; a sentence
    comes last. None for fewer than two questions."""
    things: dict[str, dict[str, Trajectory]] = {}
    for row in rows:
        things.setdefault(row.provenance["annotation"], {})[row.provenance["asks"]] = row
    told = dict[str, Trajectory]()
    for number, asked in enumerate(things.values()):
        one = asked.get("what" if number % 2 else "where") or asked.get("where")
        if one:
            told.setdefault(one.question, one)
    listed = list(told.values())[:TURNS]
    listed += [row for row in rows if row.provenance["asks"] == "said"][:1]
    if len(listed) < 2:
        return None
    first = listed[0]
    turns = [
        turn for row in listed for turn in (Turn(role="user", content=row.messages[0].content[1:]), *row.messages[1:])
    ]
    return first.model_copy(
        update={
            "id": f"{first.provenance['annotation']}-dialogue",
            "targets": tuple(dict.fromkeys(box for row in listed for box in row.targets)),
            "messages": (first.messages[0], *turns[1:]),
            "provenance": {**first.provenance, "asks": "dialogue"},
        }
    )


def line_of(annotation: Annotation) -> dict[str, Any]:
    """An annotation as a line of JSON."""
    return {name: value for name, value in asdict(annotation).items() if value not in (None, (), "")}
