"""Rivals in time, on the same model with the same yes/no question: uniform frames one by one, a sliding window, and
nine frames shown once.

    found = await uniform(model, views, phrase, 18)        # the longest run of frames that show it

Uniform frames are what video models are fed as a rule; `window` slides a sheet of nine frames over the clip; `glance`
is the same model without a closer look. None goes back to look again. Left out: one-shot time stamps, which nano was
not taught to write.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from zoomagent.evaluation.rivals.asking import Procedure, RivalAnswer
from zoomagent.geometry import Size
from zoomagent.graphs.context import Budget
from zoomagent.graphs.timing import timing_of
from zoomagent.media.video.sheet import Sheet
from zoomagent.models.base import Message, Model, Pixels
from zoomagent.moments import Moment, joined, slices
from zoomagent.tools.bounding import is_there
from zoomagent.tools.searching import part_shares
from zoomagent.tools.viewing import ViewStore

WINDOWS, GRID = 9, 3
NEVER = "Never"


class Counted:
    """A model that counts what it is asked; all else is the model's own."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.name, self.profile = model.name, model.profile
        self.calls, self.tokens = 0, 0

    async def generate(self, messages: Sequence[Message], **more: Any) -> Any:
        self._count(messages)
        return await self._model.generate(messages, **more)

    async def score(self, messages: Sequence[Message], continuations: Sequence[str], **more: Any) -> Any:
        self._count(messages)
        return await self._model.score(messages, continuations, **more)

    async def aclose(self) -> None:
        """The model is the bench's."""

    def _count(self, messages: Sequence[Message]) -> None:
        images = [part.image for message in messages for part in message.parts if isinstance(part, Pixels)]
        self.calls += 1
        self.tokens += sum(self.profile.visual_tokens(Size(image.width, image.height)) for image in images)


async def uniform(model: Model, views: ViewStore, phrase: str, count: int) -> Moment | None:
    """Every one of `count` frames is asked for; the longest stretch of frames that show it."""
    parts, shown = slices(_clip(views), count), []
    for part in parts:
        there, _ = await is_there(model, views, views.sheet(part, 1)["id"], phrase)
        shown += [part] if there else []
    return max(joined(shown), key=lambda moment: moment.length, default=None)


async def window(model: Model, views: ViewStore, phrase: str, count: int = WINDOWS) -> Moment | None:
    """Nine sheets of nine frames, one after the other; frames that get more than their share, and more than "none"."""
    shown: list[Moment] = []
    for part in slices(_clip(views), count):
        shares = await part_shares(model, views, views.sheet(part, GRID)["id"], phrase)
        frames = slices(part, GRID * GRID)
        shown += [frame for frame, share in zip(frames, shares[1:], strict=True) if share > max(shares[0], 1 / 9) / 2]
    return max(joined(shown), key=lambda moment: moment.length, default=None)


def in_time(look: Callable[[Model, ViewStore, str], Awaitable[Moment | None]], zoomed: bool = True) -> Procedure:
    """The look as a procedure that answers "When does "…" happen?" with [start, end] in milliseconds."""

    async def procedure(
        model: Model, views: ViewStore, question: str, options: Sequence[str], budget: Budget
    ) -> RivalAnswer:
        counted = Counted(model)
        [phrase] = timing_of(question)[1]
        moment = await look(counted, views, phrase)
        text = str(moment.as_list()) if moment else NEVER
        return RivalAnswer(text, None, counted.calls, counted.tokens, (), counted.calls, zoomed)

    return procedure


glance = in_time(partial(window, count=1), zoomed=False)
"""All of the clip as one sheet of nine frames."""
IN_TIME: dict[str, Procedure] = {
    **{f"frames-{count}": in_time(partial(uniform, count=count)) for count in (9, 18, 81)},
    "window": in_time(window),
}


def _clip(views: ViewStore) -> Moment:
    assert isinstance(views.picture, Sheet)
    return views.picture.video.moment
