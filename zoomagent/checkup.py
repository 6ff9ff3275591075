"""The long examination of a model and its server: `zoomagent doctor --thorough`. It tries what the project's own tests
try against a real vLLM; right answers are known of drawn pictures only.

    report = await examine(model, thorough_checks(url))

Left out: what the doctor measures anyway (`models/doctor.py`), and killing the server.
"""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, get_args

import httpx2
from PIL import Image, ImageDraw, ImageFont

from zoomagent.agent import ZoomAgent
from zoomagent.errors import ContextTooLong, ModelNotFound, RunError, ServerError
from zoomagent.models.base import Message, Model, Text
from zoomagent.models.doctor import CALL, COLOUR, NOISE, TOOL, Check, Probe, Verdict
from zoomagent.models.loading import load_model
from zoomagent.models.probes import GROUND, ask, names_only, one_square
from zoomagent.models.server.surroundings import proxy_for
from zoomagent.strategy import Strategy

TEXTS = ("½ × 3 °C", "出口 21", "naïve façade", "🙂 21")
"""Texts whose characters are several tokens each for some tokenizers."""
SIDE, HEIGHT = 2400, 36
"""Pixels of the picture that strategies are tried on, and of the number written in it: too small in most wholes."""
NUMBER = "47"
QUESTION = "Which number is written in the picture?"
CLIENTS = 32
LONGEST = 40_000
"""Tokens of a context that is tried for its limit (ours): filling a longer one costs minutes."""
LONG_REPLY = 2000
POLLS, PAUSE = 200, 0.05
"""How often a server's own count of its requests is looked at, and seconds between."""
RUNNING = re.compile(
    r"^(?:vllm:num_requests_running|sglang:num_running_reqs|llamacpp:requests_processing)\S* (\S+)", re.M
)


def thorough_checks(
    spec: str, extra_body: Mapping[str, Any] | None = None, profile: str | None = None
) -> dict[str, Probe]:
    """The checks by name, for the model that `spec` names. Most load it once more, set otherwise."""
    settings: dict[str, Any] = {"extra_body": extra_body, "profile": profile}
    checks: dict[str, Probe] = {
        "says the same again": _same_again,
        "likelihood of any script": _scripts,
        "calls as text and as fields": _dialects,
        **{f"strategy {name}": partial(_strategy, spec, settings, name) for name in get_args(Strategy)},
    }
    if not spec.startswith(("http://", "https://")):
        return checks
    base = spec.partition("#")[0]
    many = load_model(spec, connections=CLIENTS, **settings)
    endless = load_model(spec, extra_body={**(extra_body or {}), "ignore_eos": True}, profile=profile)
    return checks | {
        "a text that does not fit": _too_long,
        "another model's name": partial(_other_name, load_model(f"{base}#no-such-model", profile=profile)),
        "a wrong key": partial(_wrong_key, load_model(spec, profile=profile, api_key="a-wrong-key")),
        f"{CLIENTS} clients at once": partial(_crowd, many),
        "cancelling ends the request": partial(_cancelling, endless, base),
    }


async def _same_again(model: Model) -> Check:
    """One question twice at temperature 0."""
    told = ask(one_square(model.profile, "red"), COLOUR)
    [one], [other] = [await model.generate(told, max_tokens=16) for _ in range(2)]
    gap = 0.0
    if one.tokens and other.tokens:
        gap = abs(sum(token.logprob for token in one.tokens) - sum(token.logprob for token in other.tokens))
    same = one.text == other.text
    instead = "Two runs of one question may differ: do not compare single answers."
    return Check("yes" if same and gap <= NOISE else "unclear" if same else "no", f"differs by {gap:.3f} nats", instead)


async def _scripts(model: Model) -> Check:
    """Are texts scored whose characters are cut into several tokens?"""
    told = ask(one_square(model.profile, "red"), COLOUR)
    scored = [text for text in TEXTS if await model.score(told, [text]) is not None]
    instead = "Answers in such scripts are weighed by their own replies' likelihoods, else by agreement."
    works: Verdict = "yes" if len(scored) == len(TEXTS) else "unclear" if scored else "no"
    return Check(works, f"{len(scored)} of {len(TEXTS)} texts scored", instead)


async def _dialects(model: Model) -> Check:
    """A call in the server's own fields, and one in the text, with the profile told each time which is wanted."""
    usual, works = model.profile, []
    try:
        for dialect in ("openai", "hermes"):
            model.profile = replace(usual, tool_dialect=dialect)
            try:
                [reply] = await model.generate(ask(one_square(usual, "green"), CALL), tools=[TOOL], max_tokens=96)
            except ServerError:
                continue
            if reply.tool_calls and names_only(reply.tool_calls[0].arguments, "green"):
                works.append(dialect)
    finally:
        model.profile = usual
    known = usual.tool_dialect in works
    instead = f"The profile says {usual.tool_dialect}. Set tool_dialect to one that works, or leave strategy tools out."
    return Check("yes" if known else "no", f"right calls: {', '.join(works) or 'none'}", instead)


async def _strategy(spec: str, settings: Mapping[str, Any], strategy: Strategy, _: Model) -> Check:
    """A small number in a large picture, by one strategy, as a run asks."""
    image = Image.new("RGB", (SIDE, SIDE * 3 // 4), GROUND)
    place = (round(SIDE * 0.7), round(SIDE * 0.5))
    ImageDraw.Draw(image).text(place, NUMBER, (20, 20, 20), font=ImageFont.load_default(HEIGHT))
    began = time.monotonic()
    # No arbiter: nano's own would not ask it about such a picture at all.
    with ZoomAgent(spec, strategy=strategy, arbiter="none", **settings) as agent:
        answer = await agent.aask(image, QUESTION)
    found = f"{answer.text[:40]!r}, {answer.cost.model_calls} calls, {time.monotonic() - began:.1f} s"
    if not answer.answered or answer.outcome.kind == "answered_degraded":
        return Check("no", f"{answer.outcome.code}: {' '.join(answer.reasons)[:200]}", "Runs of it end like this.")
    right = NUMBER in answer.text
    return Check("yes" if right else "unclear", found, f"{NUMBER} is written there: too small for this way, or for it.")


async def _too_long(model: Model) -> Check:
    """More text than the context holds is refused as that: a run then shows less."""
    from zoomagent.models.server.openai_server import OpenAIModel

    length = await model.context_length() if isinstance(model, OpenAIModel) else None
    if length is None or length > LONGEST:
        return Check(
            "unclear", f"{length or 'an unknown number of'} tokens: not tried", "A run that does not fit ends."
        )
    try:
        await model.generate([Message("user", (Text("word " * (2 * length)),))], max_tokens=1)
    except ContextTooLong as error:
        return Check("yes", error.public)
    except ServerError as error:
        return Check("no", error.public, "Such a run ends with this code, and is not shown smaller.")
    return Check("no", "it was answered: the server cuts what does not fit", "Long dialogues lose their beginning.")


async def _other_name(other: Model, _: Model) -> Check:
    try:
        await other.generate(ask("Hi"), max_tokens=1)
    except ModelNotFound as error:
        return Check("yes", error.public)
    except ServerError as error:
        return Check("no", error.public, "A wrong name is told as this.")
    finally:
        await other.aclose()
    return Check("unclear", "answered under any name", "The name says nothing: see that the right model is loaded.")


async def _wrong_key(other: Model, _: Model) -> Check:
    try:
        await other.generate(ask("Hi"), max_tokens=1)
    except RunError as error:
        return Check("yes" if error.code == "unauthorized" else "no", error.public, "A wrong key is told as this.")
    finally:
        await other.aclose()
    return Check("unclear", "answered with any key", "Whoever reaches the server can use it.")


async def _crowd(many: Model, _: Model) -> Check:
    """Questions at the same time, more than most servers work on at once."""
    told = [ask(one_square(many.profile, ("red", "blue")[number % 2]), COLOUR) for number in range(CLIENTS)]
    began = time.monotonic()
    try:
        ended = await asyncio.gather(*(many.generate(one, max_tokens=16) for one in told), return_exceptions=True)
    finally:
        await many.aclose()
    wrong = [error for error in ended if isinstance(error, RunError)]
    for error in ended:
        if isinstance(error, BaseException) and not isinstance(error, RunError):
            raise error
    seconds = time.monotonic() - began
    found = f"{CLIENTS - len(wrong)} answered, {CLIENTS / seconds:.1f} a second"
    said = "; ".join([found, *(error.public for error in wrong[:1])])
    return Check("no" if wrong else "yes", said, "Ask fewer at a time: batch --concurrency, connections=.")


async def _cancelling(endless: Model, base: str, _: Model) -> Check:
    """A request that is cancelled here ends there, by the server's own count."""
    address = re.sub(r"/v1/?$", "", base.rstrip("/")) + "/metrics"

    async with httpx2.AsyncClient(timeout=5, trust_env=bool(proxy_for(base)), follow_redirects=False) as client:

        async def running() -> float | None:
            try:
                response = await client.get(address)
            except httpx2.HTTPError:
                return None
            counts = RUNNING.findall(response.text) if response.status_code == 200 else []
            return sum(map(float, counts)) if counts else None

        async def reached(wanted: bool) -> bool:
            for _ in range(POLLS):
                if bool(await running()) == wanted:
                    return True
                await asyncio.sleep(PAUSE)
            return False

        instead = "What a run gives up may go on there for a while, and costs."
        try:
            if await running():
                return Check("unclear", "the server works for others too: not tried", instead)
            if await running() is None:
                return Check("unclear", "the server has no count of its requests", instead)
            task = asyncio.create_task(endless.generate(ask("Count from 1 to 1000."), max_tokens=LONG_REPLY))
            began = await reached(True)
            early = task.done()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if not began or early:
                return Check("unclear", "its reply ended before it was seen running", instead)
            ended = await reached(False)
        finally:
            await endless.aclose()
    return Check("yes" if ended else "no", "none left running" if ended else "still running after 10 s", instead)
