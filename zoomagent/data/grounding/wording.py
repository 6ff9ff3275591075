"""Dialogues about a picture's annotations in the words of a language model, with every box as it was annotated.

    rows = await reword(model, [dialogue for dialogue in map(dialogue_of, rows_of_pictures) if dialogue])

As GroundingGPT's third stage has it (arXiv 2401.06071, section 4): the model is shown no picture. It is told the
phrases by number, and writes a conversation in which a number in braces stands for a box; the box itself is written
here. So it can invent words, but no box. A reply that is no such conversation leaves the dialogue of templates as it
is. Left out: whether the words are true of the picture, which only its phrases can say.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from zoomagent.data.grounding.telling import TURNS, dialogue_row
from zoomagent.data.trajectories.trajectory import TextPart, Trajectory, Turn
from zoomagent.errors import ServerError
from zoomagent.models.base import Message, Model, Text
from zoomagent.models.words.strict_json import json_texts, strict_json
from zoomagent.models.words.unwrapping import without_thoughts

AT_ONCE = 16
"""Dialogues that are asked for at the same time (ours)."""
MAX_TOKENS = 1024
OF_ONE = ("bad_request", "context", "bad_server_response")
"""Errors of a server that say something of one request, not of all."""
PROMPT = """These are things in a picture, each behind its number:
{things}
Write a conversation about them between somebody who asks and somebody who sees the picture and knows where everything \
is. Say nothing that the list does not say. Where a box belongs, write the thing's number in braces instead, as {{1}}; \
at least one answer must hold one. Write JSON and nothing else, two to {most} questions with their answers:
[{{"question": "...", "answer": "..."}}]"""
_PLACE = re.compile(r"\{(\d{1,3})\}")
_NO_WORDS = re.compile(r"[][{}<>\x00-\x08\x0b-\x1f\x7f-\x9f]|\d\s*[,;]\s*\d|(?:\d+\D+){3}\d")
"""What no text may hold beside its places: braces, brackets and signs, of which boxes and the marks of chat templates
are made, control characters, two numbers as a point has them, and four as a box has, however they are written."""


class Exchange(BaseModel):
    """A question and its answer."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    question: str = Field(min_length=1, max_length=400)
    answer: str = Field(min_length=1, max_length=400)


CONVERSATION: TypeAdapter[list[Exchange]] = TypeAdapter(list[Exchange])


@dataclass(frozen=True)
class Dialogue:
    """The row of templates, and what is known of its things: each phrase and its boxes, as the row writes them."""

    row: Trajectory
    things: tuple[tuple[str, str], ...]


def dialogue_of(rows: Sequence[Trajectory]) -> Dialogue | None:
    """The dialogue of one picture's rows; None where they are too few for one."""
    row = dialogue_row(rows)
    things = [(one.provenance["phrase"], one.answer) for one in rows if one.provenance["asks"] == "where"]
    return None if row is None else Dialogue(row, tuple(dict.fromkeys(things))[:TURNS])


async def reword(model: Model, dialogues: Sequence[Dialogue]) -> list[Trajectory]:
    """The dialogues in the model's words; those of templates where it wrote something else, or its server refused that
    one request. Raises RunError where the model cannot be asked, or every request was refused."""
    gate = asyncio.Semaphore(AT_ONCE)
    refusals: list[ServerError] = []

    async def ask(dialogue: Dialogue) -> Trajectory:
        listed = "\n".join(f"{{{number}}} {phrase}" for number, (phrase, _) in enumerate(dialogue.things, 1))
        prompt = PROMPT.format(things=listed, most=len(dialogue.things) + 1)
        try:
            async with gate:
                [reply] = await model.generate([Message("user", (Text(prompt),))], max_tokens=MAX_TOKENS)
        except ServerError as error:
            if error.code not in OF_ONE:
                raise
            refusals.append(error)
            return dialogue.row
        turns = read_turns(reply.text, [boxes for _, boxes in dialogue.things])
        return dialogue.row if turns is None else with_turns(dialogue.row, turns)

    rows = list(await asyncio.gather(*map(ask, dialogues)))
    if rows and len(refusals) == len(rows):
        raise refusals[0]
    return rows


def read_turns(reply: str, boxes: Sequence[str]) -> list[tuple[str, str]] | None:
    """Questions and answers with their boxes written in; None for anything that is no conversation with boxes of the
    list."""
    for text in json_texts(without_thoughts(reply)):
        try:
            said = CONVERSATION.validate_python(strict_json(text))
        except ValidationError:
            continue
        placed = any(_PLACE.search(one.answer) for one in said)
        turns = [(filled(one.question, boxes), filled(one.answer, boxes)) for one in said]
        if placed and 2 <= len(turns) <= len(boxes) + 1:
            whole = [(question, answer) for question, answer in turns if question and answer]
            return whole if len(whole) == len(turns) else None
    return None


def filled(text: str, boxes: Sequence[str]) -> str | None:
    """The text with a box for every number in braces; None where one has none, or the text has boxes of its own."""
    if _NO_WORDS.search(_PLACE.sub(" ", text)):
        return None
    numbers = [int(found) for found in _PLACE.findall(text)]
    if any(not 1 <= number <= len(boxes) for number in numbers):
        return None
    return _PLACE.sub(lambda found: boxes[int(found[1]) - 1], text)


def with_turns(row: Trajectory, turns: Sequence[tuple[str, str]]) -> Trajectory:
    """The dialogue with other words, about the same picture."""
    picture = row.messages[0].content[0]
    messages: list[Turn] = []
    for question, answer in turns:
        shown = () if messages else (picture,)
        messages.append(Turn(role="user", content=(*shown, TextPart(text=question))))
        messages.append(Turn(role="assistant", content=(TextPart(text=answer),)))
    (question, answer), provenance = turns[0], {**row.provenance, "words": "model"}
    update = {"messages": tuple(messages), "question": question, "answer": answer, "provenance": provenance}
    return row.model_copy(update=update)
