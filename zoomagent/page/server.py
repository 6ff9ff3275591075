"""`zoomagent serve page`: ask about a picture or a clip in the browser, watch the run, step through it, compare two.

    zoomagent serve page                        # then open http://127.0.0.1:8100
    zoomagent serve page --model http://localhost:8000/v1#Qwen/Qwen3-VL-8B-Instruct --runs runs

One static page (`page/`) and this API behind it, all behind `GuardedApp`:

    GET    /api/about                                    model, strategies, rules; what the example asks
    POST   /api/pictures                                 a file of a picture or clip -> its name, size, levels
    POST   /api/example                                  the packaged example, the same way
    GET    /api/pictures/{name}                          the same of one that is here, or of frames of a clip
    GET    /api/pictures/{name}/tiles/{level}/{column}/{row}
    GET    /api/pictures/{name}/look?box=l,t,r,b&size=w,h    a view as the model saw it
    POST   /api/runs                                     a question -> lines of JSON (`runs.py`)
    DELETE /api/runs/{id}                                stop it
    GET    /api/runs?words=…                             the kept runs that hold these words
    GET    /api/runs/{id}, /api/runs/{id}/page.html, /api/runs/{id}/thumbnail.jpg
    DELETE /api/kept/{id}                                delete a kept run

The page's files need no key, everything else does where one is set. Left out: TLS and users.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, get_args

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException

from zoomagent.agent import ZoomAgent
from zoomagent.clips import info_of
from zoomagent.errors import InputRefused, RateLimited, RunError, StoreError
from zoomagent.geometry import Box, Size
from zoomagent.media import Limits
from zoomagent.media.limits import OWN_BYTES, own_limits
from zoomagent.media.video.sheet import Sheet
from zoomagent.page.gallery import TILE, Gallery, levels, look, tile
from zoomagent.page.leftovers import cleared
from zoomagent.page.names import sheet_name, shown_name
from zoomagent.page.pictures import rendered
from zoomagent.page.run_json import run_json
from zoomagent.page.runs import PageQuestion, Runs
from zoomagent.page.saving import render_page
from zoomagent.plugins.http.guard import App, GuardedApp, Rules, Scope, Send, rules_for
from zoomagent.plugins.http.incoming import Message, Receive
from zoomagent.plugins.offers.public import public_model
from zoomagent.strategy import Rule, Strategy

T = TypeVar("T")

FILES = Path(__file__).parent / "web"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
PORT = 8100
EXAMPLE = Path(__file__).parents[1] / "data" / "example"
RENDERERS = 3
"""Tiles rendered at the same time (ours): more only wait for the same cores."""
UPLOAD = "/api/pictures"
UPLOADS = 2
"""Pictures that are taken in at once: each may be OWN_BYTES long."""
UPLOAD_SECONDS = 300.0
"""Time that a body may take (ours): OWN_BYTES at 3.6 Mbit/s."""
MAX_ASKED = 512 * 1024
"""Bytes of any other body: a question with its options."""
MAX_WORDS = 1000
"""Characters that saved runs are searched by."""
NUMBERS = re.compile(r"\d{1,6}(,\d{1,6})*")
FOREVER = {"cache-control": "private, max-age=31536000, immutable"}
POLICY = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types run",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
STATUS = {
    "unknown_picture": 404,
    "other_picture": 404,
    "no_sound": 404,
    "unknown_run": 404,
    "unknown_tile": 404,
    "unknown_view": 404,
    "rate_limited": 429,
}


def page_app(agent: ZoomAgent, folder: Path, limits: Limits | None = None) -> FastAPI:
    """The page and its API, without the guard. Runs and pictures are kept in `folder`; the caller closes the agent."""
    gallery = Gallery(folder / "pictures", limits)
    runs = Runs(agent, gallery, folder)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with cleared(folder):
            yield
            gallery.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    _serve_errors(app)
    _serve_files(app)
    _serve_about(app, agent, (limits or own_limits()).max_bytes)
    _serve_pictures(app, gallery)
    _serve_runs(app, runs, gallery)
    return app


def guarded_page(agent: ZoomAgent, folder: Path, rules: Rules, limits: Limits | None = None) -> "WithPolicy":
    """The app as it is served."""
    return WithPolicy(GuardedApp(page_app(agent, folder, limits), rules, lambda: agent.silence, agent.areach))


def page_rules(host: str, hosts: tuple[str, ...] = (), key: str | None = None, max_bytes: int = OWN_BYTES) -> Rules:
    """The guard's rules: the page's own files need no key. SettingInvalid as `rules_for`."""
    free = ("/", *(f"/{path.name}" for path in FILES.iterdir()))
    sizes = {"max_body": MAX_ASKED, "large": (UPLOAD,), "large_body": max_bytes}
    return rules_for(host, key, hosts, free=free, at_once=32, body_seconds=UPLOAD_SECONDS, **sizes)


# Routes


def _serve_files(app: FastAPI) -> None:
    files = {path.name: path.read_bytes() for path in FILES.iterdir() if path.suffix in TYPES}

    @app.get("/")
    async def index() -> Response:
        return Response(files["index.html"], media_type="text/html", headers={"cache-control": "no-cache"})

    @app.get("/{name}")
    async def file(name: str) -> Response:
        if name not in files:
            return _error(404, "not_found", "There is nothing of this name here.")
        kind = TYPES[Path(name).suffix]
        return Response(files[name], media_type=kind, headers={"cache-control": "no-cache"})


def _serve_about(app: FastAPI, agent: ZoomAgent, max_bytes: int) -> None:
    example = json.loads((EXAMPLE / "question.json").read_text(encoding="utf-8"))

    @app.get("/api/about")
    async def about() -> dict[str, Any]:
        return {
            "model": public_model(agent.model_name),
            "strategies": get_args(Strategy),
            "rules": get_args(Rule),
            "tile": TILE,
            "max_bytes": max_bytes,
            "example": example["question"],
            "set": {
                "strategy": agent.context.strategy,
                "rule": agent.context.rule,
                "target_error": agent.context.target_error,
                "gate": agent.context.gate,
                "arbiter": agent.context.arbiter != "none",
                "calls": agent.context.budget.calls,
                "seconds": agent.context.budget.seconds,
                "proof": agent.context.proof,
                "check": agent.context.check,
            },
        }


def _serve_pictures(app: FastAPI, gallery: Gallery) -> None:
    turn = asyncio.Semaphore(RENDERERS)

    async def drawn(name: str, draw: Callable[..., bytes], *args: Any) -> bytes:
        def work() -> bytes:
            with gallery.lent(name) as picture:
                return draw(picture, *args)

        async with turn:
            return await asyncio.to_thread(work)

    def described(name: str) -> dict[str, Any]:
        with gallery.lent(name) as picture:
            size = picture.size
            sides = {"width": size.width, "height": size.height, "levels": levels(size)}
            about = {"name": name, "asked": name, **sides, "notes": picture.notes}
            if isinstance(picture, Sheet):
                about |= {"name": sheet_name(info_of(picture)), "asked": picture.video.id, "grid": picture.grid}
                about |= {"duration": picture.video.duration, "frame_gap": picture.video.frame_gap}
                about["sound"] = picture.video.shows_all
            return about

    uploads = asyncio.Semaphore(UPLOADS)

    @app.post(UPLOAD)
    async def add(request: Request) -> dict[str, Any]:
        async with uploads:
            name = await asyncio.to_thread(gallery.add, await request.body())
        return await asyncio.to_thread(described, name)

    @app.post("/api/example")
    async def example() -> dict[str, Any]:
        name = await asyncio.to_thread(gallery.add, (EXAMPLE / "scene.jpg").read_bytes())
        return await asyncio.to_thread(described, name)

    @app.get("/api/pictures/{name}")
    async def picture(name: str) -> dict[str, Any]:
        return await asyncio.to_thread(described, name)

    @app.get("/api/pictures/{name}/tiles/{level}/{column}/{row}")
    async def tiles(name: str, level: int, column: int, row: int) -> Response:
        content = await drawn(name, tile, level, column, row)
        return Response(content, media_type="image/jpeg", headers=FOREVER)

    @app.get("/api/pictures/{name}/look")
    async def looked(name: str, box: str, size: str) -> Response:
        content = await drawn(name, look, Box(*_numbers(box, 4)), Size(*_numbers(size, 2)))
        return Response(content, media_type="image/png", headers=FOREVER)


def _serve_runs(app: FastAPI, runs: Runs, gallery: Gallery) -> None:
    @app.post("/api/runs")
    async def ask(asked: PageQuestion) -> StreamingResponse:
        gallery.check(asked.picture)
        return StreamingResponse(runs.begin(asked), media_type="application/x-ndjson")

    @app.delete("/api/runs/{name}")
    async def cancel(name: str) -> dict[str, bool]:
        return {"cancelled": runs.cancel(name)}

    @app.get("/api/runs")
    async def listed(words: str = "") -> list[dict[str, Any]]:
        return await asyncio.to_thread(runs.listed, words[:MAX_WORDS])

    @app.delete("/api/kept/{name}")
    async def delete(name: str) -> dict[str, bool]:
        await asyncio.to_thread(runs.delete, name)
        return {"deleted": True}

    @app.get("/api/runs/{name}/thumbnail.jpg")
    async def thumbnail(name: str) -> Response:
        content = await asyncio.to_thread(runs.thumbnail, name)
        return Response(content, media_type="image/jpeg", headers=FOREVER)

    @app.get("/api/runs/{name}")
    async def kept(name: str) -> dict[str, Any]:
        return run_json(await asyncio.to_thread(runs.kept, name), name)

    @app.get("/api/runs/{name}/page.html")
    async def page(name: str) -> HTMLResponse:
        def export() -> str:
            answer = runs.kept(name)
            assert answer.picture is not None, "runs without a picture are not kept"
            with gallery.lent(shown_name(answer.picture)) as picture:
                size, sheet = Size(answer.picture.width, answer.picture.height), answer.picture.sheet
                if picture.size != size or (isinstance(picture, Sheet) and sheet != info_of(picture)):
                    raise StoreError(
                        "This run's file is damaged: its picture is another one.", code="checkpoint_corrupt"
                    )
                shown = answer.model_copy(update={"model": public_model(answer.model)})
                return render_page(shown, rendered(shown, picture))

        text = await asyncio.to_thread(export)
        return HTMLResponse(text, headers={"content-disposition": f'attachment; filename="zoomagent-{name}.html"'})


# Headers and refusals


class WithPolicy:
    """The app with POLICY's headers on every answer."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name.encode(), value.encode()) for name, value in POLICY.items()]
                message = {**message, "headers": [*message.get("headers", []), *headers]}
            await send(message)

        await self._app(scope, receive, with_policy)


def _serve_errors(app: FastAPI) -> None:
    @app.exception_handler(RunError)
    async def run_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, RunError)
        status = STATUS.get(error.code, 400 if isinstance(error, InputRefused) else 503)
        retry = {"retry-after": "1"} if isinstance(error, RateLimited) else None
        return _error(status, error.code, str(error), retry)

    @app.exception_handler(RequestValidationError)
    async def bad_request(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        named = sorted({str(fault["loc"][-1])[:80] for fault in error.errors()})
        fields = ", ".join(named[:8]).encode(errors="replace").decode()
        return _error(422, "bad_request", f"This cannot be asked: {fields} is missing or out of bounds.")

    @app.exception_handler(HTTPException)
    async def bad_route(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _error(
            error.status_code, "bad_request", "There is nothing of this name here, or not asked for in this way."
        )


def _error(status: int, code: str, text: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"code": code, "message": text}}, status, headers)


def _numbers(text: str, count: int) -> list[int]:
    if not NUMBERS.fullmatch(text) or text.count(",") != count - 1:
        raise InputRefused(f"Give {count} whole numbers with commas between them.", code="unknown_view")
    return [int(number) for number in text.split(",")]
