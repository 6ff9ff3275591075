"""One server as it is reached: its connections, the time that an attempt has, and what is tried again.

    server = Connection("http://localhost:8000/v1")
    found = await server.complete(request, read, probe, deadline)      # `read` takes what is wanted from the body

`idle` seconds without a byte and `run` seconds end an attempt, `RetryPolicy.total` ends a call with its retries. Bodies
are read on threads of the server's own, because all runs share the event loop. Left out: what a request holds, and what
is done where a server refuses a part of it (`openai_server.py`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
import openai

from zoomagent.errors import BadServerResponse, ModelUnavailable, ServerError, SettingInvalid
from zoomagent.models.base import Usage
from zoomagent.models.metering import current_meter
from zoomagent.models.server.completion import read_json, read_listed, read_usage
from zoomagent.models.server.keys import ModelKey, key_for
from zoomagent.models.server.reply_bytes import bound, pieces
from zoomagent.models.server.retrying import Breaker, RetryPolicy, with_retries
from zoomagent.models.server.server_errors import received, retry_after, translate
from zoomagent.models.server.surroundings import certificates, proxy_for

A_WHILE = 4.0
"""Seconds after which no answer says something of the server (ours); less is the caller's hurry."""
THREADS = 4
"""Requests and replies of one server that are written and read at once (ours)."""
LITTLE = 16 * 1024
"""Bytes, of pixels a sixteenth, that are encoded or read where they are (ours): some milliseconds at the most."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class _Session:
    """Connections belong to one event loop; a new loop gets new ones. Pictures are encoded and bodies are read on
    `threads`, because all runs share the loop."""

    loop: asyncio.AbstractEventLoop
    client: openai.AsyncOpenAI
    slots: asyncio.Semaphore
    threads: ThreadPoolExecutor

    async def apart(self, size: int, work: Callable[..., T], *given: Any) -> T:
        """`work(*given)`, whose time grows with `size`. Not in the event loop, unless it is so little that to wake a
        thread for it takes longer."""
        if size <= LITTLE:
            return work(*given)
        return await self.loop.run_in_executor(self.threads, work, *given)


Send = Callable[[_Session], Awaitable[T]]
Read = Callable[[dict[str, Any]], T]
"""What is taken from the body of a completion."""


class Connection:
    """The way to one server. Without `api_key` the environment's is taken; without `breaker` it has one of its own."""

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        retries: RetryPolicy | None = None,
        concurrency: int = 16,
        idle: float = 60.0,
        run: float = 120.0,
        connect: float = 10.0,
        transport: httpx2.AsyncBaseTransport | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self._base_url = api_base(base_url)
        self.key = ModelKey(api_key, "the argument api_key") if api_key else key_for(self._base_url)
        self._retries = retries or RetryPolicy()
        self._concurrency = concurrency
        self._run = run
        self._timeout = httpx2.Timeout(idle, connect=connect, pool=run)
        self._transport = transport
        self._tls = certificates()
        self._proxy = proxy_for(self._base_url)
        self._breaker = breaker or Breaker()
        self.silence = ""
        """Why the server did not answer last; "" where it did, or was not asked yet."""
        self._session: _Session | None = None

    def end(self, deadline: float | None) -> float:
        """The deadline of a whole call, however many requests it takes."""
        end = time.monotonic() + self._retries.total
        return end if deadline is None else min(end, deadline)

    async def apart(self, size: int, work: Callable[..., T], *given: Any) -> T:
        """`work(*given)`, whose time grows with `size`: in a thread of the server's where it is more than `LITTLE`."""
        return await self._current_session().apart(size, work, *given)

    async def listed(self, deadline: float | None, attempts: int | None = None) -> list[dict[str, str]]:
        """What the server says of the models that it lists."""
        policy = self._retries if attempts is None else replace(self._retries, attempts=attempts)

        async def send(session: _Session) -> list[dict[str, str]]:
            response = await received(session.client.get("/models", cast_to=httpx2.Response))
            return await session.apart(len(response.content), lambda: read_listed(read_json(response.content)))

        return await with_retries(
            lambda end: self._send_in_time(send, self._current_session(), end), policy, deadline, retry_after
        )

    async def complete(
        self,
        request: bytes,
        read: Read[T],
        probe: Callable[[], bytes],
        deadline: float | None,
        attempts: int | None = None,
    ) -> T:
        """What `read` takes from the completion of a request. Where the breaker is open, `probe` gives a small request
        that shows whether the server is back."""
        policy = self._retries if attempts is None else replace(self._retries, attempts=attempts)

        async def attempt(end: float) -> T:
            session = self._current_session()

            async def send_probe() -> None:
                await self._send_for_breaker(partial(self._create, probe(), lambda body: None), session, end)

            async with session.slots:
                await self._breaker.admit(send_probe)
                try:
                    return await self._send_for_breaker(partial(self._create, request, read), session, end)
                except ServerError as error:
                    # What the budget has no request left for is not tried again.
                    error.retryable = error.retryable and current_meter().affords(1)
                    raise

        try:
            return await with_retries(attempt, policy, deadline, retry_after)
        except ModelUnavailable as error:
            if not self._proxy:
                raise
            text = f"{error} A proxy stands between: {self._proxy} names it."
            raise ModelUnavailable(text, code=error.code) from error

    async def aclose(self) -> None:
        if self._session is not None:
            self._session.threads.shutdown(wait=False, cancel_futures=True)
            await self._session.client.close()
            self._session = None

    async def _send_for_breaker(self, send: Send[T], session: _Session, end: float) -> T:
        """One attempt at a completion, its outcome told to the breaker: only readable answers are
        progress. What the caller's own deadline cut short says nothing about the server."""
        hurried = end - time.monotonic() < self._run
        try:
            answer = await self._send_in_time(send, session, end)
        except ServerError as error:
            if not (hurried and isinstance(error.__cause__, TimeoutError)):
                self._breaker.record(answered=not isinstance(error, ModelUnavailable | BadServerResponse))
            raise
        self._breaker.record(answered=True)
        return answer

    async def _send_in_time(self, send: Send[T], session: _Session, end: float) -> T:
        """One attempt within its time, its error translated."""
        seconds = min(self._run, max(0.0, end - time.monotonic()))
        try:
            async with asyncio.timeout(seconds):
                answer = await send(session)
        except (openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, TimeoutError) as error:
            told = translate(error, self.key.advice)
            if not (isinstance(error, TimeoutError) and seconds < A_WHILE):
                self.silence = str(told) if isinstance(told, ModelUnavailable) else ""
            raise told from error
        self.silence = ""
        return answer

    async def _create(self, request: bytes, read: Read[T], session: _Session) -> T:
        """A completion. The SDK sends and waits; its own lenient models are not used, they let any shape through."""
        meter = current_meter()
        meter.count()
        sending = session.client.post(
            "/chat/completions",
            cast_to=httpx2.Response,
            content=pieces(request),
            options={"headers": {"content-length": str(len(request))}},
        )
        try:
            response = await received(sending)
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
                meter.count(-1)
            raise

        def parse() -> tuple[Usage, T | ServerError]:
            # Millions of values are freed where they were made: freeing them holds up the event loop too.
            body = read_json(response.content)
            usage = read_usage(body)
            try:
                return usage, read(body)
            except ServerError as error:
                return usage, error.with_traceback(None)

        usage, found = await session.apart(len(response.content), parse)
        meter.add(usage)
        if isinstance(found, ServerError):
            raise found
        return found

    def _current_session(self) -> _Session:
        loop = asyncio.get_running_loop()
        if self._session is None or self._session.loop is not loop:
            http_client = httpx2.AsyncClient(
                timeout=self._timeout,
                verify=self._tls,
                transport=self._transport,
                trust_env=bool(self._proxy),
                headers={"accept-encoding": "identity"},
                event_hooks={"request": [self.key.clean], "response": [partial(bound, hidden=self.key.secret)]},
            )
            client = openai.AsyncOpenAI(
                base_url=self._base_url,
                # What is really sent is set by `ModelKey.clean`; the SDK would take one from the environment.
                api_key="none",
                max_retries=0,
                timeout=self._timeout,
                http_client=http_client,
            )
            threads = ThreadPoolExecutor(THREADS, thread_name_prefix="zoomagent-server")
            self._session = _Session(loop, client, asyncio.Semaphore(self._concurrency), threads)
        return self._session


def api_base(url: str) -> str:
    """The base URL, with the `/v1` that OpenAI-compatible servers expect when no path is given. SettingInvalid for what
    is no address; it is not repeated, for a key may stand in it."""
    try:
        parts, parsed = urlsplit(url), httpx2.URL(url)
        is_address = bool(parts.hostname) and " " not in parts.netloc and parts.port != 0
    except (httpx2.InvalidURL, ValueError):
        is_address = False
    if not is_address:
        raise SettingInvalid("The model's server has no address that can be: write it as http://HOST:PORT/v1#NAME.")
    return url.rstrip("/") if parsed.path.strip("/") else str(parsed.copy_with(path="/v1"))
