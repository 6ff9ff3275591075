"""The agent beside a loop that someone would write by hand over the openai client: same calls, same views, no agent.

    python benchmarks/overhead.py --n 100

Both talk to the same server, which lives in this process and answers at once, so all the time there is is spent outside
the model: drawing and encoding views, building and sending requests, reading replies, and, on the agent's side, the
state machine. The hand-written loop checks nothing, keeps nothing, weighs nothing and stops at the first surprise.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
from load_model import completion
from PIL import Image

from zoomagent.agent import ZoomAgent
from zoomagent.geometry import Box, Size
from zoomagent.media import Picture, open_picture
from zoomagent.models.profiles import Profile, profile_for
from zoomagent.models.server.openai_server import OpenAIModel
from zoomagent.models.server.wire import data_url
from zoomagent.prompts import BOX, CUES, GROUND, SEE, box_prompt, ground_prompt, macro_prompt, micro_prompt
from zoomagent.tools.verifying import YES_NO
from zoomagent.tools.viewing import BLANK
from zoomagent.tools.zooming import surroundings

QUESTION = "What is written there?"
BOX_2D = [400, 400, 450, 450]
STRATEGIES = ("macro", "micro", "dualfocus", "auto")
THING = "the sign"
ANSWER = "47"
ALTERNATIVES = {"Yes": -0.1, "No": -3.0, ANSWER: -1.0}


class Server(httpx2.AsyncBaseTransport):
    """Answers chat completions at once: a box when asked for one, a thing when asked what must be seen, else the same
    word; the alternatives of its first token where they are asked for, Yes before No; the likelihood of given text as
    vLLM does."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(await request.aread())
        said = body["messages"][-1]["content"]
        if body.get("continue_final_message"):
            content = _scored()
        elif body.get("top_logprobs"):
            content = _alternatives()
        else:
            content = completion(_reply(said[-1]["text"]))
        return httpx2.Response(200, json=content, request=request)


def _reply(asked: str) -> str:
    if asked.startswith(CUES):
        return THING
    return str(BOX_2D) if asked.startswith((BOX, GROUND)) else ANSWER


def _scored() -> dict[str, Any]:
    place = {"7": {"logprob": -1.0, "rank": 1, "decoded_token": ANSWER}}
    return {**completion("."), "prompt_logprobs": [None, place]}


def _alternatives() -> dict[str, Any]:
    """One token, and how likely each of three words was in its place."""
    content = completion("Yes")
    listed = [{"token": token, "logprob": logprob} for token, logprob in ALTERNATIVES.items()]
    content["choices"][0]["logprobs"]["content"][0]["top_logprobs"] = listed
    return content


@dataclass(frozen=True)
class Beside:
    """Milliseconds per question: the medians waited, and what the processor took on average."""

    name: str
    calls: int
    steps: int
    agent: float
    by_hand: float
    agent_processor: float
    by_hand_processor: float

    @property
    def ratio(self) -> float:
        return self.agent_processor / self.by_hand_processor

    @property
    def per_step(self) -> float:
        """What a step of the agent adds to the hand-written loop."""
        return (self.agent_processor - self.by_hand_processor) / self.steps


def beside(model: str, side: int, n: int) -> list[Beside]:
    """Every strategy beside its hand-written loop, for pictures of `side` pixels shown as `model`'s profile says. Each
    question is about another picture, so that nobody profits from views encoded before."""
    images = [Image.new("RGB", (side, side), (i % 256, i // 256 % 256, 99)) for i in range(n + 1)]
    with asyncio.Runner() as runner:
        return [_one(model, strategy, images, runner) for strategy in STRATEGIES]


def _one(model: str, strategy: Any, images: Sequence[Image.Image], runner: asyncio.Runner) -> Beside:
    pictures = [open_picture(image) for image in images]
    server = OpenAIModel("http://server/v1", model, transport=Server())
    http = httpx2.AsyncClient(transport=Server())
    client = openai.AsyncOpenAI(base_url="http://server/v1", api_key="none", http_client=http, max_retries=0)
    hand = ByHand(client, profile_for(model), strategy)
    with ZoomAgent(server, strategy=strategy) as agent:
        answer = agent.ask(pictures[-1], QUESTION)
        runner.run(hand.answer(images[-1]))
        agent_times, hand_times = _alternately(agent, hand, pictures[:-1], images[:-1], runner)
    runner.run(http.aclose())
    return Beside(
        name=f"{model} {strategy}",
        calls=answer.cost.model_calls,
        steps=len(answer.steps),
        agent=statistics.median(wall for wall, _ in agent_times),
        by_hand=statistics.median(wall for wall, _ in hand_times),
        agent_processor=statistics.mean(processor for _, processor in agent_times),
        by_hand_processor=statistics.mean(processor for _, processor in hand_times),
    )


Times = list[tuple[float, float]]


def _alternately(
    agent: ZoomAgent,
    hand: "ByHand",
    pictures: Sequence[Picture],
    images: Sequence[Image.Image],
    runner: asyncio.Runner,
) -> tuple[Times, Times]:
    """Question by question in turn, so that a busy moment of the machine meets both."""
    agents, hands = [], []
    for picture, image in zip(pictures, images, strict=True):
        agents.append(_timed(lambda picture=picture: agent.ask(picture, QUESTION)))  # type: ignore[misc]
        hands.append(_timed(lambda image=image: runner.run(hand.answer(image))))  # type: ignore[misc]
    return agents, hands


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - wall) * 1000, (time.process_time() - processor) * 1000


class ByHand:
    """The loop without the agent."""

    def __init__(self, client: openai.AsyncOpenAI, profile: Profile, strategy: str) -> None:
        self.client, self.profile, self.strategy = client, profile, strategy

    async def answer(self, image: Image.Image) -> str:
        """What the strategy asks, in its order."""
        whole = data_url(image.resize(self._fit(image.size)))
        macro = "" if self.strategy == "micro" else await self._ask([_user(whole, macro_prompt(QUESTION))])
        if self.strategy == "macro":
            return macro
        if self.strategy == "auto":
            return await self._auto(image, whole, macro) or macro
        turns = [_user(whole, box_prompt(QUESTION, self.profile.space))]
        pointed = await self._ask(turns)
        crop = self._crop(image, json.loads(pointed))
        turns += [{"role": "assistant", "content": pointed}, _user(crop, micro_prompt(QUESTION))]
        return await self._ask(turns) or macro

    async def _auto(self, image: Image.Image, whole: str, macro: str) -> str:
        """Name the thing, point at it, see whether it is there, answer with its crop, then, where that
        changed the answer, with the crop blanked."""
        thing = await self._ask([_user(whole, CUES + QUESTION)])
        pointed = await self._ask([_user(whole, ground_prompt(thing, self.profile.space))])
        box = json.loads(pointed)
        seen = [_user(self._crop(image, box, self.profile.whole_pixels or self.profile.max_pixels), SEE + thing)]
        yes, no = (await self._first_tokens(seen))[: len(YES_NO)]
        if yes < no:
            return ""
        turns = [_user(whole, box_prompt(QUESTION, self.profile.space)), {"role": "assistant", "content": str(box)}]
        crop = self._crop(image, box)
        answer = await self._ask([*turns, _user(crop, micro_prompt(QUESTION))])
        if answer == macro:
            return answer
        blank = data_url(Image.new("RGB", self._size(image, box), BLANK))
        await self._first_tokens([*turns, _user(blank, micro_prompt(QUESTION))])
        return answer

    async def _first_tokens(self, messages: list[dict[str, Any]]) -> list[float]:
        """Log-probabilities of Yes, No and the answer as the next turn: each is one token here."""
        reply = await self.client.chat.completions.create(
            model="m",
            messages=messages,  # type: ignore[arg-type]
            max_tokens=1,
            temperature=0,
            logprobs=True,
            top_logprobs=20,
        )
        [first] = reply.model_dump()["choices"][0]["logprobs"]["content"]
        known = {entry["token"]: float(entry["logprob"]) for entry in first["top_logprobs"]}
        return [known[word] for word in (*YES_NO, ANSWER)]

    async def _ask(self, messages: list[dict[str, Any]]) -> str:
        reply = await self.client.chat.completions.create(
            model="m",
            messages=messages,  # type: ignore[arg-type]
            max_tokens=128,
            temperature=0,
            logprobs=True,
        )
        return reply.choices[0].message.content or ""

    def _crop(self, image: Image.Image, box: Sequence[float], limit: int = 0) -> str:
        region = self._region(image, box)
        corners = (region.left, region.top, region.right, region.bottom)
        return data_url(image.crop(corners).resize(self._size(image, box, limit)))

    def _size(self, image: Image.Image, box: Sequence[float], limit: int = 0) -> tuple[int, int]:
        """The size at which a crop is shown: as a close view, or of at most `limit` pixels."""
        region, profile = self._region(image, box), self.profile
        size = profile.fit(region.size, min(region.area * 16, limit or profile.crop_pixels or profile.max_pixels))
        return size.width, size.height

    def _region(self, image: Image.Image, box: Sequence[float]) -> Box:
        width, height = image.size
        left, right = (round(box[i] / 1000 * width) for i in (0, 2))
        top, bottom = (round(box[i] / 1000 * height) for i in (1, 3))
        return surroundings(Box(left, top, right, bottom), Size(width, height), self.profile.crop_margin, 0)

    def _fit(self, size: tuple[int, int]) -> tuple[int, int]:
        largest = self.profile.whole_pixels or self.profile.max_pixels
        fitted = self.profile.fit(Size(*size), min(size[0] * size[1] * 16, largest))
        return fitted.width, fitted.height


def _user(url: str, text: str) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]
    return {"role": "user", "content": parts}
