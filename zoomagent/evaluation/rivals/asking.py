"""What every rival procedure asks through: one model, one store of views, one budget, one bill.

    desk = Desk(model, views, Budget(calls=50))
    reply = await desk.generate([await desk.user([desk.whole], macro_prompt(question))])
    return desk.tried(reply, options)

A call of the model is a call, whether it writes or scores; visual tokens count each time a view is shown. A budget
that is spent raises RunError before the call, as the agent's own does. Left out: repairs, retries and smaller views.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from zoomagent.confidence.likelihood import of_tokens, probability
from zoomagent.confidence.replies import read
from zoomagent.errors import RunError
from zoomagent.geometry import Box, Size, box_to_model
from zoomagent.graphs.context import Budget
from zoomagent.models.base import Likelihood, Message, Model, Pixels, Reply, Role, Text
from zoomagent.models.local.in_process import InProcessModel
from zoomagent.prompts import box_prompt, micro_prompt
from zoomagent.tools.viewing import ViewStore, as_view

YES, NO = "Yes", "No"


@dataclass(frozen=True)
class RivalAnswer:
    """What a procedure came to. `boxes` are the regions its answer rests on (left, top, right, bottom in original
    pixels), `crops` how many close views it was shown on the way; `used_crop`: whether the answer was given with one.
    An empty `text` is a procedure that ended without an answer."""

    text: str
    confidence: float | None
    calls: int
    visual_tokens: int
    boxes: tuple[tuple[int, int, int, int], ...]
    crops: int
    used_crop: bool


class Procedure(Protocol):
    """One question about one picture, answered within a budget."""

    async def __call__(
        self, model: Model, views: ViewStore, question: str, options: Sequence[str], budget: Budget
    ) -> RivalAnswer: ...


class Desk:
    """Asks the model and keeps the bill."""

    def __init__(self, model: Model, views: ViewStore, budget: Budget) -> None:
        self.model, self.views, self.budget = model, views, budget
        self.calls = 0
        self.visual_tokens = 0
        self.whole = views.whole()["id"]
        self._seen: set[str] = set()
        self._began = time.monotonic()

    @property
    def left(self) -> int:
        """Model calls that are left."""
        return self.budget.calls - self.calls

    def alone(self, box: Box) -> str:
        """The view of a region that is shown by itself: it may have as many pixels as a whole picture."""
        return self.views.add(box, source=self.whole, max_pixels=self.views.profile.whole_pixels or None)["id"]

    def beside(self, box: Box) -> str:
        """The view of a region that is shown beside the whole: a crop's pixels, as the agent's own crops."""
        return self.views.add(box, source=self.whole, max_pixels=self.views.profile.crop_pixels or None)["id"]

    async def message(self, role: Role, views: Sequence[str], text: str) -> Message:
        """A turn that shows views, then says something."""
        return Message(role, (*[await self.views.pixels(view) for view in views], Text(text)))

    async def user(self, views: Sequence[str], text: str) -> Message:
        """What the user shows and says."""
        return await self.message("user", views, text)

    async def generate(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> Reply:
        """The model's next turn, greedily."""
        self.book(messages)
        [reply] = await self.model.generate(messages, tools=tools, deadline=self._deadline())
        return reply

    async def generate_each(self, conversations: Sequence[Sequence[Message]]) -> list[Reply]:
        """The next turn of each conversation, greedily; together where the model can."""
        for messages in conversations:
            self.book(messages)
        if isinstance(self.model, InProcessModel):
            return await self.model.generate_each(conversations, deadline=self._deadline())
        return [(await self.model.generate(one, deadline=self._deadline()))[0] for one in conversations]

    async def score(self, messages: Sequence[Message], continuations: Sequence[str]) -> list[Likelihood]:
        """How likely each text is as the next turn. RunError where the model cannot say: these procedures need it."""
        self.book(messages)
        likelihoods = await self.model.score(messages, continuations, deadline=self._deadline())
        if likelihoods is None:
            raise RunError("This procedure needs a model that scores given text.", code="no_likelihoods")
        return likelihoods

    async def yes(self, view: str, prompt: str) -> float:
        """The probability of Yes against No as the answer to `prompt` about a view."""
        yes, no = await self.score([await self.user([view], prompt)], [YES, NO])
        return 1 / (1 + math.exp(min(700.0, no.logprob - yes.logprob)))

    async def closer(self, box: Box, view: str, question: str, options: Sequence[str]) -> list[Message]:
        """The dialogue in which our prompts show a close view beside the whole, the box as if the model had named
        it."""
        return [
            await self.user([self.whole], box_prompt(question, self.views.profile.space)),
            Message("assistant", (Text(str(self.numbers(box))),)),
            await self.user([view], micro_prompt(question, self.offered(options))),
        ]

    def offered(self, options: Sequence[str]) -> Sequence[str]:
        """The options as the model is asked."""
        return self.views.profile.offered(options)

    def numbers(self, box: Box) -> list[float]:
        """The box in the whole view as the model would write it: to tens where the scale is a thousand (finer says
        nothing), to pixels, else to three digits."""
        space = self.views.profile.space
        digits = {"thousand": -1, "pixels": 0}.get(space, 3)
        numbers = (round(n, digits) for n in box_to_model(box, space, as_view(self.views.record(self.whole))))
        return [int(n) if digits < 1 else n for n in numbers]

    def tried(
        self, reply: Reply, options: Sequence[str], boxes: Sequence[Box] = (), used_crop: bool = False
    ) -> RivalAnswer:
        """The reply as the procedure's answer, with the bill."""
        likelihood = of_tokens(reply.tokens)
        confidence = None if likelihood is None else probability(likelihood)
        return self.answer(read(reply.text, options).text, confidence, boxes, used_crop)

    def answer(self, text: str, confidence: float | None, boxes: Sequence[Box], used_crop: bool) -> RivalAnswer:
        """An answer with the bill."""
        corners = tuple(box.corners for box in boxes)
        return RivalAnswer(text, confidence, self.calls, self.visual_tokens, corners, len(self._seen), used_crop)

    def book(self, messages: Sequence[Message]) -> None:
        """Look at the budget, then write the call into the bill."""
        pixels = [part for message in messages for part in message.parts if isinstance(part, Pixels)]
        need = sum(self.views.profile.visual_tokens(Size(*part.image.size)) for part in pixels)
        limit, deadline = self.budget.visual_tokens, self._deadline()
        if self.left < 1:
            raise RunError(f"The budget of {self.budget.calls} model calls is spent.", code="budget_calls")
        if limit is not None and self.visual_tokens + need > limit:
            raise RunError(f"The budget of {limit} visual tokens is spent.", code="budget_visual_tokens")
        if deadline is not None and time.monotonic() > deadline:
            raise RunError(f"The budget of {self.budget.seconds:g} seconds is spent.", code="budget_seconds")
        self.calls += 1
        self.visual_tokens += need
        self._seen |= {part.key for part in pixels if not part.key.startswith(self.whole)}

    def _deadline(self) -> float | None:
        return None if self.budget.seconds is None else self._began + self.budget.seconds


def padded(box: Box, picture: Size, factor: float) -> Box:
    """The box scaled by `factor` around its centre, clipped at the picture's border."""
    across, down = round(box.width * (factor - 1) / 2), round(box.height * (factor - 1) / 2)
    return Box(
        max(0, box.left - across),
        max(0, box.top - down),
        min(picture.width, box.right + across),
        min(picture.height, box.bottom + down),
    )


def around(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds all of them."""
    return Box(
        min(box.left for box in boxes),
        min(box.top for box in boxes),
        max(box.right for box in boxes),
        max(box.bottom for box in boxes),
    )
