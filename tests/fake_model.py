"""The one scripted model of the unit tests: a queue of replies, a queue of likelihoods, a history of what
was asked.

    model = FakeModel()
    model.enqueue(["Cannot tell", "[100, 100, 200, 200]", Reply("42", "stop")])
    model.enqueue_scores([[-0.1, -3.0], None])
    ... run the code under test ...
    assert model.history[0].text.endswith("What is written there?")

A queued item may be a text, a `Reply`, a list of either (one per sample, for `n` > 1), or an exception,
which is raised. For runs whose order is not fixed, `FakeModel(respond=...)` answers each call from a
function instead. Nothing here opens a socket; an empty queue is an AssertionError, not a guess.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from zoomagent.models.base import Likelihood, Message, Pixels, Reply, Text, Token, Usage
from zoomagent.models.profiles import Profile

Scripted = str | Reply | Exception
FAKE_PROFILE = Profile(
    family="fake", space="thousand", multiple=32, min_pixels=64 * 64, max_pixels=1024 * 1024, source="tests"
)


@dataclass(frozen=True)
class Call:
    """One call the model received. `text` and `views` flatten its messages for short assertions."""

    method: Literal["generate", "score"]
    messages: tuple[Message, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "\n".join(part.text for m in self.messages for part in m.parts if isinstance(part, Text))

    @property
    def views(self) -> list[Pixels]:
        return [part for message in self.messages for part in message.parts if isinstance(part, Pixels)]


def reply_of(text: str, logprob: float | None = -0.1, visual_tokens: int = 0) -> Reply:
    """A reply whose words each have the same log-probability; None means the server gave none."""
    words = text.split(" ")
    pieces = [word if i == 0 else f" {word}" for i, word in enumerate(words)]
    tokens = None if logprob is None else tuple(Token(piece, logprob) for piece in pieces if piece)
    return Reply(text, "stop", tokens, usage=Usage(10, len(words), visual_tokens), model="fake")


class FakeModel:
    """Satisfies `zoomagent.models.base.Model`."""

    def __init__(
        self,
        *,
        profile: Profile = FAKE_PROFILE,
        logprob: float | None = -0.1,
        respond: Callable[[Call], Scripted | Sequence[Scripted]] | None = None,
        respond_score: Callable[[Call], list[float] | None] | None = None,
    ) -> None:
        self.name = "fake"
        self.profile = profile
        self.history: list[Call] = []
        self.closed = False
        self._logprob = logprob
        self._respond = respond
        self._respond_score = respond_score
        self._replies: deque[Scripted | Sequence[Scripted]] = deque()
        self._scores: deque[list[float] | Exception | None] = deque()

    def enqueue(self, replies: Iterable[Scripted | Sequence[Scripted]]) -> None:
        """Script the next replies of `generate`, in order."""
        self._replies.extend(replies)

    def enqueue_scores(self, rows: Iterable[list[float] | Exception | None]) -> None:
        """Script the next answers of `score`: summed log-probabilities in order, or None for "cannot
        score"."""
        self._scores.extend(rows)

    async def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int = 128,
        temperature: float = 0.0,
        n: int = 1,
        tools: Sequence[Mapping[str, Any]] = (),
        deadline: float | None = None,
        task: str | None = None,
    ) -> list[Reply]:
        options = {
            "max_tokens": max_tokens,
            "temperature": temperature,
            "n": n,
            "tools": tools,
            "deadline": deadline,
            "task": task,
        }
        call = Call("generate", tuple(messages), options)
        self.history.append(call)
        scripted = self._respond(call) if self._respond else self._next_reply(call)
        items = [scripted] * n if isinstance(scripted, str | Reply | Exception) else list(scripted)
        assert len(items) == n, f"{n} replies asked, {len(items)} scripted: {items}"
        return [self._reply(item, call) for item in items]

    async def score(
        self,
        messages: Sequence[Message],
        continuations: Sequence[str],
        *,
        deadline: float | None = None,
        task: str | None = None,
    ) -> list[Likelihood] | None:
        call = Call(
            "score", tuple(messages), {"continuations": tuple(continuations), "deadline": deadline, "task": task}
        )
        self.history.append(call)
        row = self._respond_score(call) if self._respond_score else self._next_scores(call)
        if isinstance(row, Exception):
            raise row
        if row is None:
            return None
        assert len(row) == len(continuations), f"{len(continuations)} continuations, scripted {row}"
        return [Likelihood(value, max(1, len(text.split()))) for value, text in zip(row, continuations, strict=True)]

    async def aclose(self) -> None:
        self.closed = True

    def _next_reply(self, call: Call) -> Scripted | Sequence[Scripted]:
        assert self._replies, f"Nothing queued for generate: {call.text[-200:]!r}"
        return self._replies.popleft()

    def _next_scores(self, call: Call) -> list[float] | Exception | None:
        assert self._scores, f"Nothing queued for score of {call.options['continuations']}"
        return self._scores.popleft()

    def _reply(self, item: Scripted, call: Call) -> Reply:
        if isinstance(item, Exception):
            raise item
        if isinstance(item, Reply):
            return item
        visual = sum(view.image.width * view.image.height // self.profile.multiple**2 for view in call.views)
        return reply_of(item, self._logprob, visual)
