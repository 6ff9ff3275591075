"""The agent as if it were a model: an endpoint that speaks OpenAI's chat completions.

    zoomagent serve openai --port 8200
    openai.OpenAI(base_url="http://127.0.0.1:8200/v1", api_key="none").chat.completions.create(model="zoomagent", …)

    POST /v1/chat/completions     also with "stream": true: steps as reasoning, then the answer
    GET  /v1/models, /v1/models/{name}, /healthz

Requests are checked by `request.py` and worded by `reply.py`. A client that closes its connection ends
its run. An idle stream is kept alive by comments. Behind `guard.py`. Left out: embeddings, completions without
messages, the responses API, batches of files (`zoomagent batch`).
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from zoomagent.agent import ZoomAgent
from zoomagent.answer import Answer
from zoomagent.errors import RunError
from zoomagent.graphs.endings import STOPPED
from zoomagent.plugins.http.guard import GuardedApp, Rules
from zoomagent.plugins.http.incoming import Receive
from zoomagent.plugins.openai.reply import (
    Heading,
    Refusal,
    completion,
    first_chunk,
    last_chunks,
    model_card,
    model_list,
    no_answer,
    refusal_of,
    step_chunk,
)
from zoomagent.plugins.openai.request import MODELS, CheckedRequest, read_request
from zoomagent.run_record import Step

T = TypeVar("T")
Items = AsyncGenerator[Step | Answer | None, None]

PORT = 8200
AT_ONCE = 64
"""Runs at the same time (ours); more wait, and beyond `Rules.waiting` are told to come again."""
PULSE = 15.0
"""Seconds of silence after which a stream gets a comment: proxies close what is idle for longer."""
GONE = 499
"""The status of a reply that nobody reads: the client closed the connection."""


def openai_app(agent: ZoomAgent, rules: Rules) -> GuardedApp:
    """The endpoint behind its guard. The agent stays the caller's to close."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/v1/models")
    async def models() -> Response:
        return _json(model_list())

    @app.get("/v1/models/{name}")
    async def model(name: str) -> Response:
        return _json(model_card(name)) if name in MODELS else _refuse(_UNKNOWN)

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        try:
            asked = read_request(await request.body())
        except ClientDisconnect:
            return Response(status_code=GONE)
        except RunError as error:
            return _refuse(refusal_of(error))
        # The run that is asked for: within the server's own budget, whatever the client says.
        settings = dict(asked.settings)
        if asked.seconds is not None:
            budget = agent.context.budget
            seconds = min(asked.seconds, budget.seconds or asked.seconds)
            settings["budget"] = budget.model_copy(update={"seconds": seconds})
        runs = agent.using(**settings).astream(asked.image, asked.question, asked.options, regions=asked.regions)
        items = followed(runs, request.receive)
        return await (_answer_in_events if asked.stream else _answer_at_once)(asked, items)

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> Response:
        code = "not_found" if error.status_code == 404 else "not_allowed"
        return _refuse(Refusal(error.status_code, code, "This is not served here."))

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        return _refuse(_BUG)

    return GuardedApp(app, rules, lambda: agent.silence, agent.areach)


_UNKNOWN = Refusal(404, "model_not_found", f"There is no such model here. There are: {', '.join(MODELS)}.", "model")
_BUG = Refusal(500, "bug", "This is a bug of the server's. Its log says more.")


async def _answer_at_once(asked: CheckedRequest, items: Items) -> Response:
    steps: list[Step] = []
    async with aclosing(items):
        async for item in items:
            if isinstance(item, Step):
                steps.append(item)
            elif isinstance(item, Answer):
                refusal = no_answer(item)
                return _refuse(refusal) if refusal else _json(completion(asked, item, steps))
    return Response(status_code=GONE)


async def _answer_in_events(asked: CheckedRequest, items: Items) -> Response:
    """A run that has no answer is refused by its status, unless a step of it was told already: then by an event."""
    # The first item and, where it is a step that stopped the run, the answer that ends it.
    begun: list[Step | Answer | None] = []
    async for item in items:
        begun.append(item)
        if not (isinstance(item, Step) and item.text.startswith(STOPPED)):
            break
    if not begun:
        return Response(status_code=GONE)
    if isinstance(begun[-1], Answer) and (refusal := no_answer(begun[-1])):
        await items.aclose()
        return _refuse(refusal)

    async def events() -> AsyncIterator[bytes]:
        heading = Heading()
        yield _event(first_chunk(heading, asked))
        async with aclosing(items):
            for item in begun:
                for event in _events_of(asked, heading, item):
                    yield event
            async for item in items:
                for event in _events_of(asked, heading, item):
                    yield event

    headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
    return StreamingResponse(events(), media_type="text/event-stream", headers=headers)


def _events_of(asked: CheckedRequest, heading: Heading, item: Step | Answer | None) -> list[bytes]:
    """The events that one item of the run becomes."""
    if item is None:
        return [b": still looking\n\n"]
    if isinstance(item, Step):
        return [_event(step_chunk(heading, asked, item))]
    refusal = no_answer(item)
    chunks = [refusal.body] if refusal else list(last_chunks(heading, asked, item))
    return [*map(_event, chunks), b"data: [DONE]\n\n"]


async def followed(items: AsyncIterator[T], receive: Receive, pulse: float = PULSE) -> AsyncGenerator[T | None, None]:
    """The items as they come, None after every `pulse` seconds without one. When the client leaves they end, and so
    does what makes them."""
    arrived: asyncio.Queue[T | _End] = asyncio.Queue()

    async def pass_on() -> None:
        try:
            async for item in items:
                arrived.put_nowait(item)
        finally:
            arrived.put_nowait(_End())

    async def wait_for_leaving() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        arrived.put_nowait(_End())

    pump, gone = asyncio.create_task(pass_on()), asyncio.create_task(wait_for_leaving())
    try:
        while True:
            item: T | _End | None = None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pulse):
                    item = await arrived.get()
            if isinstance(item, _End):
                break
            yield item
        if pump.done():
            await pump
    finally:
        pump.cancel()
        gone.cancel()
        await asyncio.gather(pump, gone, return_exceptions=True)


class _End:
    """Nothing comes any more."""


def _refuse(refusal: Refusal) -> Response:
    return _json(refusal.body, refusal.status, refusal.headers)


def _json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, media_type="application/json")


def _event(body: Any) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\n\n"
