"""What zoomagent asks of a model: generate and score, nothing else.

`Message`s hold text and already rendered views. A model never sees boxes, files or URLs of ours, and we never see its
tokens. Both implementations (`openai_server.py`, `in_process.py`) and the scripted fake of the tests satisfy `Model`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from PIL import Image

from zoomagent.models.profiles import Profile
from zoomagent.strategy import MAX_TOKENS, Task

THINKING_ROOM = 4096
"""Tokens that a model which thinks gets beside those of its answer (ours)."""

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True)
class Text:
    """A piece of text in a message. `ours`: the token that the model's profile names as its hint, which no other text
    may spell."""

    text: str
    ours: bool = False


@dataclass(frozen=True, eq=False)
class Pixels:
    """A rendered view in a message. Equal keys promise equal pixels, so a model may cache its visual prefix by key.
    `wav` is what sounds in the time that the view shows, for a model that hears (a file of its own). `before` stands
    directly before it, wherever it goes: the time of a frame."""

    key: str
    image: Image.Image
    wav: bytes | None = None
    before: str = ""


@dataclass(frozen=True)
class ToolCall:
    """A tool call as the model wrote it: `arguments` is its raw JSON text, not yet checked."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Message:
    """One turn. Tool results carry `tool_call_id`; assistant turns carry the calls they made."""

    role: Role
    parts: tuple[Text | Pixels, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True)
class Token:
    """A generated token and its natural-log probability under the sampling distribution at temperature 1."""

    text: str
    logprob: float


@dataclass(frozen=True)
class Usage:
    """Tokens of one call. `visual_tokens` counts merged image tokens of the prompt (computed from view sizes)."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    visual_tokens: int = 0


@dataclass(frozen=True)
class Reply:
    """One generated answer, without the thoughts before it. `tokens` is None when the server gives no likelihoods
    (never an empty stand-in). `thought`: the model thinks before it answers; where that was cut off there is
    no text."""

    text: str
    finish: Literal["stop", "length", "tool_calls", "other"]
    tokens: tuple[Token, ...] | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    model: str = ""
    thought: bool = False

    @property
    def cut_in_thought(self) -> bool:
        """Whether the reply ended before the model was done with thinking."""
        return self.thought and self.finish == "length" and not self.text.strip() and not self.tool_calls


@dataclass(frozen=True)
class Likelihood:
    """Sum of natural-log probabilities over the `tokens` tokens of a given continuation."""

    logprob: float
    tokens: int

    @property
    def mean(self) -> float:
        """Mean log-probability per token (minus the mean NLL; DualFocus ranks by it)."""
        return self.logprob / self.tokens


class Model(Protocol):
    """A multimodal model. Raises `ServerError` kinds only; honours `deadline` (time.monotonic seconds) as a whole."""

    name: str
    profile: Profile

    async def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int = MAX_TOKENS,
        temperature: float = 0.0,
        n: int = 1,
        tools: Sequence[Mapping[str, Any]] = (),
        deadline: float | None = None,
        task: Task | None = None,
    ) -> list[Reply]:
        """`n` replies (fewer never). `tools` are OpenAI function definitions. Greedy at temperature 0. `task` chooses
        among the parts of a model that has `routes` in its profile; other models need not heed it."""
        ...

    async def score(
        self,
        messages: Sequence[Message],
        continuations: Sequence[str],
        *,
        deadline: float | None = None,
        task: Task | None = None,
    ) -> list[Likelihood] | None:
        """Likelihood of each continuation as the next assistant turn (its own tokens only, without the end token),
        or None when this model cannot score given text."""
        ...

    async def aclose(self) -> None: ...
