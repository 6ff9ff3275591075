"""What stands before every HTTP face: who may ask, from where, how much at once. Plain ASGI, deny by default.

    app = GuardedApp(app, Rules(key="...", hosts=("127.0.0.1", "localhost")))

Decides on `scope["path"]` alone, before any routing: a request to whatever path must name a host it may name, come from
no foreign page, and carry the key where there is one; only OPEN paths need none. Keys are compared in constant time.
/healthz, or /health, is answered at once, whoever waits, and says when the model's server is silent. Bodies are bounded
as they arrive, whatever they declare, and have to go on arriving (`incoming.py`). At most `at_once` requests run
(`turns.py`) and `waiting` wait; who comes later is told when to try again, and who leaves while waiting makes room.
Left out: connections (`connections.py`), TLS and users; put a proxy before it.
"""

import asyncio
import hmac
import json
import math
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from zoomagent.errors import SettingInvalid
from zoomagent.plugins.http.incoming import BodyRefused, Bounds, Message, Receive, Refusal, RequestBody, Room, too_large
from zoomagent.plugins.http.turns import Turns

Scope = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
OPEN = ("/healthz", "/health")
MAX_BODY = 32 * 1024 * 1024
BODIES = 160 * 1024 * 1024
"""Bytes of bodies whose turn it is, of all requests together. At its peak each costs five times as much (ours)."""
REACH_EVERY = 5.0
"""Seconds between two looks whether a silent model server is back (ours)."""
SMALL = 1024 * 1024
"""Bytes of a body that is not counted there (ours)."""
AHEAD = 64 * 1024 * 1024
"""Bytes of bodies that are read before their turn, of all waiting requests together (ours)."""


def body_for(max_bytes: int) -> int:
    """Bytes of a body in which a picture of `max_bytes` comes as base64."""
    return max(MAX_BODY, max_bytes * 4 // 3 + SMALL)


@dataclass(frozen=True)
class Rules:
    """`hosts`: what a Host header may name, without port. `origins`: pages of other origins that may ask. `free`: paths
    besides OPEN that need no key, each named in full. `large`: paths whose bodies may have `large_body` bytes, all
    others `max_body`. In seconds: `retry`, `patience` with each part of a body, and `body_seconds` for all of it."""

    key: str | None = None
    hosts: tuple[str, ...] = LOOPBACK
    origins: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    max_body: int = MAX_BODY
    large: tuple[str, ...] = ()
    large_body: int = MAX_BODY
    at_once: int = 16
    waiting: int = 256
    retry: int = 1
    patience: float = 30.0
    body_seconds: float = 120.0

    def bounds(self, path: str) -> Bounds:
        """What the body of a request to `path` is held to."""
        return Bounds(self.limit(path), self.patience, self.body_seconds)

    def limit(self, path: str) -> int:
        """Bytes that the body of a request to `path` may have."""
        return self.large_body if path in self.large else self.max_body


def rules_for(host: str, key: str | None, hosts: tuple[str, ...] = (), **more: Any) -> Rules:
    """The rules of a server that listens on `host`. Beyond loopback a key is a must: SettingInvalid without one. The
    key is the argument's, else ZOOMAGENT_API_KEY's."""
    key = key or os.environ.get("ZOOMAGENT_API_KEY") or None
    local = host in ("127.0.0.1", "localhost", "::1")
    if not local and key is None:
        raise SettingInvalid(f"Serving on {host} reaches other machines. Set ZOOMAGENT_API_KEY, or stay on 127.0.0.1.")
    named = () if local or host in ("0.0.0.0", "::") else (f"[{host}]" if ":" in host else host,)
    return Rules(key=key, hosts=(*LOOPBACK, *(name.lower() for name in (*named, *hosts))), **more)


class ClientLeft(Exception):
    """The client hung up before its turn came."""


class GuardedApp:
    """The app behind the rules. `silence` says why the model's server did not answer last; "" where it did. `reach`
    sees whether it answers again: a silence that only a question could end would keep every question away."""

    def __init__(
        self,
        app: App,
        rules: Rules,
        silence: Callable[[], str] = str,
        reach: Callable[[], Coroutine[Any, Any, object]] | None = None,
    ) -> None:
        self._app, self._rules, self._silence, self._reach = app, rules, silence, reach
        self._reaching: asyncio.Task[object] | None = None
        self._reached = -math.inf
        self._turns = Turns(rules.at_once, BODIES)
        self._room = Room(AHEAD)
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            refusal = refused(scope, self._rules)
            if refusal is not None:
                await tell(send, *refusal)
            elif scope["path"] in OPEN and scope["method"] in ("GET", "HEAD"):
                # In nobody's turn: a server that is busy is well. Why the model is silent is not for everybody.
                silent = bool(self._silence())
                if silent:
                    self._see_again()
                await _answer(send, 200, {"status": "ok", **({"model": "no answer"} if silent else {})})
            elif self._running >= self._rules.at_once + self._rules.waiting:
                await tell(send, 429, "rate_limited", "Too many requests at once.", self._rules.retry)
            else:
                self._running += 1
                try:
                    await self._run_in_bounds(scope, receive, send)
                finally:
                    self._running -= 1
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _see_again(self) -> None:
        """Ask the model's server in the background whether it is back, once at a time and not without pause."""
        busy = self._reaching is not None and not self._reaching.done()
        if self._reach is not None and not busy and time.monotonic() - self._reached >= REACH_EVERY:
            self._reached = time.monotonic()
            self._reaching = asyncio.ensure_future(self._reach())

    async def _run_in_bounds(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The app in its turn. Where the body is refused, our refusal replaces what the app makes of it."""
        incoming, begun = RequestBody(receive, self._rules.bounds(scope["path"]), self._room), False
        headers = [(name.lower(), value) for name, value in scope["headers"]]
        chunked = any(name == b"transfer-encoding" for name, _ in headers)
        # Bytes that its body may have: as many as it says, or may be, where it does not say. A small one is none.
        size = self._rules.limit(scope["path"]) if chunked else _body_size(headers)
        weight = size if size > SMALL else 0

        async def noted(message: Message) -> None:
            nonlocal begun
            if begun or incoming.refusal is None:
                begun = True
                await send(message)

        try:
            async with self._in_turn(incoming, weight):
                await self._app(scope, incoming.message, noted)
        except ClientLeft:
            return
        except BodyRefused:
            pass
        finally:
            incoming.dropped()
        if incoming.refusal is not None and not begun:
            await tell(send, *incoming.refusal)

    @asynccontextmanager
    async def _in_turn(self, incoming: RequestBody, weight: int) -> AsyncIterator[None]:
        """Waits as long as the client does; ClientLeft when it leaves first."""
        async with AsyncExitStack() as stack:
            if self._turns.is_free(weight):
                await stack.enter_async_context(self._turns.turn(weight))
            else:
                try:
                    async with asyncio.timeout(None) as waiting:
                        watch = asyncio.create_task(incoming.watched(lambda: waiting.reschedule(0)))
                        try:
                            await stack.enter_async_context(self._turns.turn(weight))
                        finally:
                            watch.cancel()
                except TimeoutError:
                    raise ClientLeft from None
            yield


def refused(scope: Scope, rules: Rules) -> Refusal | None:
    """Why a request is refused, or None. Pure."""
    headers = [(name.lower(), value) for name, value in scope["headers"]]
    named = [value for name, value in headers if name == b"host"]
    host = named[0].decode("latin-1") if len(named) == 1 else ""
    name, _, port = host.lower().rpartition(":")
    without_port = name if name and re.fullmatch(r"[0-9]{1,5}", port) else host.lower()
    if len(named) != 1 or without_port not in rules.hosts:
        return 421, "host_not_allowed", "This host name is not served here."
    origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
    if not {*origins} <= {*rules.origins, f"http://{host}", f"https://{host}"}:
        return 403, "origin_not_allowed", "Pages of this origin may not ask here."
    if _body_size(headers) > rules.limit(scope["path"]):
        return too_large(rules.limit(scope["path"]))
    if rules.key is None or scope["path"] in (*OPEN, *rules.free):
        return None
    given = [value for name, value in headers if name == b"authorization"]
    scheme, _, secret = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
    holds_key = scheme.lower() == b"bearer" and hmac.compare_digest(secret, rules.key.encode())
    return None if holds_key else (401, "unauthorized", "Give the API key as a Bearer token.")


def _body_size(headers: list[tuple[bytes, bytes]]) -> int:
    found = [value.lstrip(b"0") for name, value in headers if name == b"content-length" and value.isdigit()]
    return max((int(value[:20] or b"0") for value in found), default=0)  # Python converts no number of 5,000 digits


async def tell(send: Send, status: int, code: str, text: str, retry: int | None = None) -> None:
    """Answer with a refusal, as JSON in OpenAI's form."""
    more = [(b"www-authenticate", b"Bearer")] if status == 401 else []
    more += [(b"retry-after", str(retry).encode())] if retry is not None else []
    error = {"message": text, "type": "invalid_request_error", "param": None, "code": code}
    await _answer(send, status, {"error": error}, more)


async def _answer(send: Send, status: int, value: Any, more: Iterable[tuple[bytes, bytes]] = ()) -> None:
    body = json.dumps(value).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
