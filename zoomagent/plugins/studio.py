"""The door of `langgraph dev` and other graph servers: who may ask the graphs, from which page, by which name.

`langgraph.json` names `app` under `http`; the server puts its middleware before all of its own routes. Such a server
has no login, so a page that somebody opens in a browser must not reach it: by default no page of another origin may
ask, and the server answers to loopback's names only. `ZOOMAGENT_ORIGINS` names pages that may (Studio's is
https://smith.langchain.com), `ZOOMAGENT_HOSTS` other host names; both are read when the server starts, names apart by
commas. Left out: users; beyond this machine put a proxy with a login before it.
"""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from zoomagent.graphs.context import named_in
from zoomagent.plugins.http.guard import LOOPBACK, Rules, refused, tell

ITSELF = ("api", None)
"""Where the server's own parts (its MCP face) ask it, in the same process; a connection has a real address and port."""


class Door:
    """Refuses what comes from a foreign page or under a foreign name, before anything else sees it."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        trusted = scope["type"] == "lifespan" or scope.get("server") == ITSELF
        refusal = None if trusted else refused(scope, self._rules)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await tell(send, *refusal)
        else:
            await send({"type": "websocket.close", "code": 1008})


def door_app() -> Starlette:
    """The app whose middleware stands before the server's, by the environment as it is now."""
    origins = named_in("ZOOMAGENT_ORIGINS")
    hosts = (*LOOPBACK, *(host.lower() for host in named_in("ZOOMAGENT_HOSTS")))
    rules = Rules(hosts=hosts, origins=origins)
    allowed = Middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])
    return Starlette(middleware=[Middleware(Door, rules=rules), allowed])


app = door_app()
