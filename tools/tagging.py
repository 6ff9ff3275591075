"""The tag tool: names of what an image shows, each with a score.

    tags = await tag(model, views, whole["id"], ["car", "sign"])     # each asked for
    tags = await tag(model, views, whole["id"])                      # named by the model, then each asked for
    tags = await tag(model, views, whole["id"], tagger=mine)         # (picture, labels) -> tags, instead of the model

Tags are what LION gives its language model beside the pixels. A score is the model's probability of Yes; None when it
cannot score. Left out: other taggers; any function that takes a picture and labels will do. What it raises, or gives
that are no tags, is a RunError (tagger_failed).
"""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from zoomagent.confidence.replies import abstains, plain
from zoomagent.errors import RunError
from zoomagent.models.base import Message, Model, Pixels, Reply, Text
from zoomagent.models.words.unwrapping import is_call, listed
from zoomagent.prompts import TAGS
from zoomagent.text import storable
from zoomagent.tools.definitions import MAX_LABELS
from zoomagent.tools.verifying import sees
from zoomagent.tools.viewing import ViewStore

log = logging.getLogger(__name__)

MAX_WORDS = 60
"""Characters of the longest tag: more is a sentence (ours)."""


@dataclass(frozen=True)
class Tag:
    """A name for something in a picture; `score` from 0 to 1, None when nothing could be measured."""

    label: str
    score: float | None


Tagger = Callable[[Image.Image, Sequence[str]], Sequence[Tag]]
"""Tags of a picture: of the labels given or, without labels, of its own choice. Called in a thread of its own."""


async def tag(
    model: Model,
    views: ViewStore,
    view: str,
    labels: Sequence[str] = (),
    *,
    tagger: Tagger | None = None,
    deadline: float | None = None,
) -> list[Tag]:
    """The tags of `view`, the surest first."""
    if tagger is not None:
        found = await asyncio.to_thread(call_tagger, tagger, views.image(view), labels)
    else:
        pixels = await views.pixels(view)  # drawn once, for all names
        if not labels:
            labels = await names_of(model, pixels, deadline=deadline)
        names = labels[:MAX_LABELS]
        calls = [asyncio.ensure_future(sees(model, views, view, name, deadline=deadline)) for name in names]
        try:
            scores = await asyncio.gather(*calls)
        finally:
            # When one call fails the others are ended.
            for call in calls:
                call.cancel()
        found = [Tag(name, score) for name, score in zip(names, scores, strict=True)]
    return sorted(found, key=lambda one: -1.0 if one.score is None else one.score, reverse=True)


async def names_of(model: Model, pixels: Pixels, deadline: float | None = None) -> list[str]:
    """What the model names when it is asked what a view shows."""
    [reply] = await model.generate([Message("user", (pixels, Text(TAGS)))], deadline=deadline, task="image")
    return names_in(reply)


def call_tagger(tagger: Tagger, picture: Image.Image, labels: Sequence[str]) -> list[Tag]:
    """What a caller's tagger finds, with labels that a store takes. A tag without words or with a score that is no
    number is left out. Raises RunError (tagger_failed) for a tagger that fails, or gives something else."""
    try:
        found = list(tagger(picture, labels))
    except Exception as error:  # whose function this is nobody knows, nor what it raises
        log.warning("the tagger failed", exc_info=True)  # its words may hold paths
        text = f"The tagger failed ({type(error).__name__}). The log has all of it. Mend it, or leave tags off."
        raise RunError(text, code="tagger_failed") from error
    kept = []
    for one in found:
        if not isinstance(one, Tag) or not isinstance(one.label, str):
            text = f"The tagger gave a {type(one).__name__}, not Tag(label, score). Mend it, or leave tags off."
            raise RunError(text, code="tagger_failed")
        label = " ".join(storable(one.label).split())
        try:
            score = None if one.score is None else float(one.score)  # whatever library's number it is
        except (TypeError, ValueError, OverflowError):
            score = math.nan
        if 0 < len(label) <= MAX_WORDS and (score is None or math.isfinite(score)):
            kept.append(Tag(label, score))
    return kept


def names_in(reply: Reply) -> list[str]:
    """The names in a comma-separated reply, each once. The last one of a reply that was cut off is dropped."""
    if abstains(reply.text) or is_call(reply.text):
        return []
    pieces = listed(reply.text[: MAX_LABELS * MAX_WORDS * 2])
    if reply.finish == "length":
        pieces = pieces[:-1]
    names = dict.fromkeys(map(plain, pieces))
    return [name for name in names if name and len(name) <= MAX_WORDS][:MAX_LABELS]
