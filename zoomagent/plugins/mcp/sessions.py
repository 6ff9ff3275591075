"""Sessions of strangers: at most so many, half of them of one address, and a new client is never locked out.

    app = Sessions(app, "/mcp", most=100, requests=400)

A client that only opens a session holds memory for as long as the protocol's server remembers it. Where there are too
many, the one that ends was used least: those that were never called go before those that were, then the one whose last
request is longest ago. One whose request runs stays. A client whose session has ended is told 404, which the protocol
answers by opening another. An open stream of notes (GET) is no use. Left out: ending sessions after a time, which the
protocol's server does.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus

from zoomagent.plugins.http.guard import App, Scope, Send, tell
from zoomagent.plugins.http.incoming import Message, Receive

HEADER = b"mcp-session-id"
_GREETINGS = 2
"""Requests with which a session begins: initialize, and that it is done."""


@dataclass
class Session:
    """One session. `running` counts its requests that are being answered."""

    address: str
    used: float = field(default_factory=time.monotonic)
    requests: int = 1
    running: int = 1

    @property
    def worth(self) -> tuple[bool, float]:
        """Less is ended first."""
        return self.requests > _GREETINGS, self.used


class Sessions:
    """The protocol's app with a bound on its sessions, and on the requests that one address has running."""

    def __init__(self, app: App, path: str, most: int, requests: int) -> None:
        self._app, self._path, self._most, self._requests = app, path, most, requests
        self._sessions: dict[bytes, Session] = {}
        self._running: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        address = (scope.get("client") or ("",))[0]
        if self._running[address] >= self._requests // 2:
            await tell(send, 429, "rate_limited", "Too many requests of this address at once.", 1)
            return
        self._running[address] += 1
        try:
            await self._count_request(scope, receive, send, address)
        finally:
            self._running -= Counter([address])

    async def _count_request(self, scope: Scope, receive: Receive, send: Send, address: str) -> None:
        """One request of a session that is known, or one that may open a session."""
        name = next((value for key, value in scope["headers"] if key.lower() == HEADER), b"")
        session = self._sessions.get(name)
        used = session is not None and scope["method"] == "POST"
        if session is not None and used:
            session.used, session.requests, session.running = (
                time.monotonic(),
                session.requests + 1,
                session.running + 1,
            )
        opened: Session | None = None

        async def noted(message: Message) -> None:
            nonlocal opened
            if message["type"] == "http.response.start":
                gone = message["status"] == HTTPStatus.NOT_FOUND or scope["method"] == "DELETE"
                if gone and self._sessions.pop(name, None) is not None:
                    await self._end(name, scope)  # 404 may mean another thing: nothing stays that is not counted
                elif session is None:
                    opened = await self._note_opening(scope, message, address)
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            for one in (session if used else None, opened):
                if one is not None:
                    one.running -= 1

    async def _note_opening(self, scope: Scope, answer: Message, address: str) -> Session | None:
        """The session that this answer opens, if it does; others make room for it."""
        name = next((value for key, value in answer["headers"] if key.lower() == HEADER), None)
        if name is None or answer["status"] >= HTTPStatus.BAD_REQUEST:
            return None
        opened = self._sessions[name] = Session(address)
        for key in [*self._surplus(address, self._most // 2), *self._surplus(None, self._most)]:
            await self._end(key, scope)
        return opened

    def _surplus(self, address: str | None, most: int) -> list[bytes]:
        """Forget sessions, of one address or of all, so that at most `most` are left; those used least."""
        group = {key: one for key, one in self._sessions.items() if address in (one.address, None)}
        idle = sorted((key for key, one in group.items() if not one.running), key=lambda key: group[key].worth)
        surplus = idle[: max(0, len(group) - most)]
        for key in surplus:
            del self._sessions[key]
        return surplus

    async def _end(self, name: bytes, scope: Scope) -> None:
        """Ask the protocol's server to forget a session: as its client would."""

        async def nothing() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def unheard(message: Message) -> None:
            """Nobody waits for this answer."""

        host = [(key, value) for key, value in scope["headers"] if key.lower() == b"host"]
        named = {"method": "DELETE", "path": self._path, "headers": [*host, (HEADER, name)]}
        await self._app({**scope, **named}, nothing, unheard)
