"""How the OpenAI-compatible endpoint words a run: a completion, the chunks of a stream, an error.

    completion(asked, answer, steps)["choices"][0]["message"]["content"]      # the answer's words

The answer is the message's `content` ("Cannot tell" when it cannot be seen), the steps are its `reasoning_content`,
and everything else there is to say about the run is under `zoomagent`: a `PublicAnswer`, and in `unused` the
parameters that had no effect. `usage` counts the tokens of all model calls of the run. Pure.
"""

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoomagent.answer import Answer
from zoomagent.errors import InputRefused, ModelNotFound, ModelUnavailable, RateLimited, RunError, StoreError
from zoomagent.plugins.offers.public import public_answer
from zoomagent.plugins.openai.request import MODELS, CheckedRequest, RequestRefused
from zoomagent.run_record import Cost, Step

STATUS = {
    "context": 400,
    RateLimited.code: 429,
    ModelUnavailable.code: 503,
    "setting_invalid": 500,
    "no_answer": 502,
    "outside_world": 404,
}
"""HTTP status of a run that has no answer, by its code; a refused picture or question is 400, a spent budget 504."""
AGAIN = (429, 503)
"""Statuses after which it makes sense to ask again; clients are told not to after any other."""


@dataclass(frozen=True)
class Heading:
    """What is the same in every chunk of one reply."""

    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def opened(self, kind: str, model: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": model}


@dataclass(frozen=True)
class Refusal:
    """An error as clients get it."""

    status: int
    code: str
    text: str
    param: str | None = None

    @property
    def body(self) -> dict[str, Any]:
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": self.text, "type": kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        return {"x-should-retry": "true" if self.status in AGAIN else "false"}


def refusal_of(error: RunError) -> Refusal:
    """A request that is refused before it is run."""
    if isinstance(error, RequestRefused):
        return Refusal(400, error.code, str(error), error.param)
    if isinstance(error, ModelNotFound):
        return Refusal(404, error.code, str(error), "model")
    return Refusal(_status(error.code, isinstance(error, InputRefused)), error.code, str(error))


def no_answer(answer: Answer) -> Refusal | None:
    """Why a run has no answer; None when it has one."""
    if answer.answered:
        return None
    code, refused = answer.outcome.code or "run_error", answer.outcome.kind == "refused"
    text = " ".join(answer.outcome.reasons)
    return Refusal(_status(code, refused), code, text, "messages" if refused else None)


def _status(code: str, refused: bool) -> int:
    if refused:
        return 400
    if code.startswith("budget_"):
        return 504
    return STATUS.get(code, 503 if code.startswith(("store_", StoreError.code)) else 502)


def completion(asked: CheckedRequest, answer: Answer, steps: Sequence[Step]) -> dict[str, Any]:
    """The reply that comes at once."""
    message = {
        "role": "assistant",
        "content": answer.text,
        "refusal": None,
        "reasoning_content": "".join(map(step_text, steps)),
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    opened = Heading().opened("chat.completion", asked.model)
    return {**opened, "choices": [choice], "usage": usage(answer.cost), "zoomagent": record(answer, asked)}


def step_text(step: Step) -> str:
    return f"{step.name}: {step.text}\n"


def first_chunk(heading: Heading, asked: CheckedRequest) -> dict[str, Any]:
    return _chunk(heading, asked, {"role": "assistant", "content": ""})


def step_chunk(heading: Heading, asked: CheckedRequest, step: Step) -> dict[str, Any]:
    return _chunk(heading, asked, {"reasoning_content": step_text(step)})


def last_chunks(heading: Heading, asked: CheckedRequest, answer: Answer) -> Iterator[dict[str, Any]]:
    """The answer, then its end with the record, then the usage where it was asked for."""
    yield _chunk(heading, asked, {"content": answer.text})
    yield {**_chunk(heading, asked, {}, "stop"), "zoomagent": record(answer, asked)}
    if asked.usage_in_stream:
        opened = heading.opened("chat.completion.chunk", asked.model)
        yield {**opened, "choices": [], "usage": usage(answer.cost)}


def _chunk(heading: Heading, asked: CheckedRequest, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {**heading.opened("chat.completion.chunk", asked.model), "choices": [choice]}


def record(answer: Answer, asked: CheckedRequest) -> dict[str, Any]:
    """The extension field `zoomagent`."""
    return {**public_answer(answer).model_dump(mode="json"), "unused": list(asked.unused)}


def usage(cost: Cost) -> dict[str, int]:
    total = cost.prompt_tokens + cost.completion_tokens
    return {
        "prompt_tokens": cost.prompt_tokens,
        "completion_tokens": cost.completion_tokens,
        "total_tokens": total,
    }


def model_list() -> dict[str, Any]:
    return {"object": "list", "data": [model_card(name) for name in MODELS]}


def model_card(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "zoomagent"}
