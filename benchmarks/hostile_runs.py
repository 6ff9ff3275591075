"""Whole runs for `hostile.py`: every strategy on a model's server with faults, and questions and pictures of any kind.

A run ends in an outcome, within its budget of calls, seconds and pixels; its answer can be kept; and no callback of the
event loop, which all runs share, takes long.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, get_args

import httpx2
import orjson
import zoo
from fake_model import FakeModel
from fake_server import FakeServer, Guise, Seen, http_parts, images_of
from hostile_case import ODD, Case, spoiled, times, written
from hostile_replies import PARTS, WHOLE
from PIL import Image

from zoomagent import Answer, Budget, ZoomAgent
from zoomagent.geometry import Size
from zoomagent.models.profiles import QWEN3_VL
from zoomagent.models.server.openai_server import OpenAIModel
from zoomagent.models.server.retrying import Breaker, RetryPolicy
from zoomagent.plugins.offers.public import public_answer
from zoomagent.strategy import Strategy

RUNS, QUESTIONS = 960, 1_200
LONGEST = 0.05
"""Processor seconds that one callback of an event loop may take."""
SLACK = 1.0
"""Seconds beyond its budget in which a run has to end."""
QUICK = RetryPolicy(attempts=2, first_wait=0.001, most_wait=0.01)
PICTURE = Image.effect_noise((1200, 900), 80).convert("RGB")
GUISES = (
    Guise(),
    Guise(logprobs=False, given=False),
    Guise(n=False, given=False),
    Guise(tools="refused", max_images=1),
    Guise(refuses_unknown=True, renames_max_tokens=True),
    Guise(tools="text", max_side=700),
)


class Faulty(httpx2.AsyncBaseTransport):
    """A scripted server that fails every so often, in all the ways that servers fail."""

    def __init__(self, rng: random.Random) -> None:
        self._rng, self._faults = rng, rng.choice([0.0, 0.2, 0.6, 1.0])
        self.server = FakeServer(self._says, rng.choice(GUISES))
        self.asked, self.pixels, self.tokens = 0, 0, 0

    def model(self) -> OpenAIModel:
        """The client of this server, which tries again soon and does not give up on it."""
        name = self.server.guise.name
        return OpenAIModel("http://fake/v1", name, transport=self, retries=QUICK, breaker=Breaker(1000))

    def _says(self, seen: Seen) -> str:
        call = '<tool_call>{"name": "zoom", "arguments": {"box_2d": [100, 200, 300, 400]}}</tool_call>'
        said = ["Yes", "No", "7", "[100, 200, 300, 400]", "Cannot tell", call]
        return self._rng.choice([*said, *said, "".join(self._rng.choice(PARTS) for _ in range(9))])

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        if request.url.path.endswith("/models"):
            return self._answer(request, *http_parts(self.server.decide(request.url.path, body)))
        self.asked += 1
        shown = images_of(orjson.loads(body))
        self.pixels = max([self.pixels, *(image.width * image.height for image in shown)])
        self.tokens += sum(QWEN3_VL.visual_tokens(Size(*image.size)) for image in shown)
        if self._rng.random() >= self._faults:
            return self._answer(request, *http_parts(self.server.decide(request.url.path, body)))
        return await self._fail(request)

    async def _fail(self, request: httpx2.Request) -> httpx2.Response:
        rng, kind = self._rng, self._rng.randrange(8)
        if kind == 0:
            raise rng.choice([httpx2.ConnectError, httpx2.ReadError, httpx2.RemoteProtocolError])("no", request=request)
        if kind == 1 and rng.random() < 0.1:
            await asyncio.sleep(3600)
        if kind == 2:
            headers = {"retry-after": str(rng.choice(["0", "9" * 400, "-1", "x", "²"])).encode().decode("latin-1")}
            return self._answer(request, rng.choice([429, 503, 500, 529]), headers, b"{}")
        if kind == 3:
            said = rng.choice(["context window", "bad \ud800 word", "max_tokens is too large", "logprobs", "tools"])
            return self._answer(
                request, rng.choice([400, 401, 404, 422]), {}, written({"error": {"message": said}}, rng)
            )
        if kind == 4:
            return self._answer(request, 200, {}, rng.choice([b"", b"<html>", b"[" * 9000, b"\xff", b"null", b"7"]))
        return self._answer(request, 200, {}, written(spoiled(WHOLE, rng), rng))

    @staticmethod
    def _answer(request: httpx2.Request, status: int, headers: dict[str, str], body: bytes) -> httpx2.Response:
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        return httpx2.Response(status, headers=raw, stream=httpx2.ByteStream(body), request=request)


def run_cases(scale: float) -> Iterator[Case]:
    _run("auto", 0)  # what is imported late is imported now
    strategies: tuple[Strategy, ...] = get_args(Strategy)
    for number in times(RUNS, scale):
        strategy = strategies[number % len(strategies)]
        yield Case(f"{strategy} {number}", partial(_run, strategy, number))


def _run(strategy: Strategy, number: int) -> str:
    rng = random.Random(f"run {number}")
    faulty = Faulty(rng)
    budget = Budget(calls=rng.choice([1, 3, 8, 32]), seconds=rng.choice([0.5, 3.0]), depth=rng.choice([0, 1, 4]))
    pixels = rng.choice([None, 40_000, 200_000])
    options = rng.choice([(), ("Yes", "No"), ("red", "blue", "\u202e")])
    question = rng.choice(
        ["How many cars are there?", "Is there a dog?", "What is written on the sign?", "Where is it?"]
    )
    with (
        watched() as took,
        ZoomAgent(
            faulty.model(),
            strategy=strategy,
            budget=budget,
            max_view_pixels=pixels,
            target_error=0.1 if rng.random() < 0.2 else None,
        ) as agent,
    ):
        began = time.monotonic()
        answer = agent.ask(PICTURE, question, options)
        seconds = time.monotonic() - began
    sound = _unsound(answer)
    if sound or answer.outcome.code == "bug":
        return sound or f"a bug: {answer.outcome.reasons}"
    if answer.cost.model_calls > budget.calls or faulty.asked > QUICK.attempts * budget.calls + 8:
        return f"{answer.cost.model_calls} calls, {faulty.asked} requests of {budget.calls}"
    if budget.seconds is not None and seconds > budget.seconds + SLACK:
        return f"{seconds:.1f} s of {budget.seconds}"
    if pixels is not None and faulty.pixels > max(pixels, QWEN3_VL.min_pixels):  # no view is below the model's least
        return f"a view of {faulty.pixels} pixels of {pixels}"
    return "" if max(took, default=0) < LONGEST else f"a callback took {max(took):.3f} s"


def _unsound(answer: Answer) -> str:
    """What is wrong with an answer, wherever it came from."""
    if Answer.model_validate_json(answer.model_dump_json()) != answer:
        return "cannot be kept"
    orjson.dumps(public_answer(answer).model_dump(mode="json"))
    for seen in answer.evidence:
        left, top, right, bottom = seen.box
        if not (0 <= left < right <= PICTURE.width and 0 <= top < bottom <= PICTURE.height):
            return f"a box outside the picture: {seen.box}"
    return ""


@contextmanager
def watched() -> Iterator[list[float]]:
    """The processor seconds of every callback of all event loops."""
    took, plain = list[float](), asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        plain(handle)
        took.append(time.thread_time() - began)

    asyncio.Handle._run = timed  # type: ignore[method-assign, assignment]
    try:
        yield took
    finally:
        asyncio.Handle._run = plain  # type: ignore[method-assign]


# Questions and pictures of any kind, in a batch between good ones


def question_cases(scale: float) -> Iterator[Case]:
    good = zoo.png()
    with ZoomAgent(_same(), strategy="macro") as agent:
        for number in times(QUESTIONS, scale):
            rng = random.Random(f"question {number}")
            picture = rng.choice([good, good, rng.choice(ODD), rng.randbytes(40), object(), good[: rng.randrange(99)]])
            question = rng.choice(["What?", rng.choice(ODD), "".join(rng.choice(PARTS) for _ in range(9))])
            options = rng.choice([(), ["a", "b"], rng.choice(ODD), [rng.choice(ODD), "b"], ["a"] * rng.randrange(300)])
            yield Case(f"question {number}", partial(_between, agent, good, (picture, question, options)))


def _same() -> FakeModel:
    return FakeModel(respond=lambda call: "Yes", respond_score=lambda call: [-0.1] * len(call.options["continuations"]))


def _between(agent: ZoomAgent, good: bytes, odd: tuple[Any, Any, Any]) -> str:
    answers = agent.batch([(good, "What?"), odd, (good, "What?")])
    if not (answers[0].answered and answers[2].answered):
        return f"the others: {answers[0].outcome} {answers[2].outcome}"
    return "a bug" if answers[1].outcome.code == "bug" else _unsound(answers[1])


KINDS: dict[str, Callable[[float], Iterator[Case]]] = {"runs": run_cases, "questions": question_cases}
