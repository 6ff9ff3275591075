"""A page that is really served, on a free port of this machine, for the page's tests."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fake_model import Call, FakeModel

from zoomagent import ZoomAgent
from zoomagent.models.base import Likelihood, Message, Pixels, Reply
from zoomagent.models.loading import load_model
from zoomagent.page.server import guarded_page, page_rules

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


class Slow(FakeModel):
    """Says something hostile about a picture; about anything with "wait" in it nothing, for as long as it is asked."""

    def __init__(self) -> None:
        super().__init__(respond=self._say, respond_score=lambda call: [-0.1] * len(call.options["continuations"]))
        self.waited = threading.Event()
        self.cancelled = threading.Event()

    async def generate(self, messages: Sequence[Message], **options: Any) -> list[Reply]:
        replies = await super().generate(messages, **options)
        if "wait" in self.history[-1].text:
            self.waited.set()
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        return replies

    def _say(self, call: Call) -> str:
        return HOSTILE


class Hesitant:
    """nano, but asked with more than one view, which is for the answer, it waits until it is let go on."""

    def __init__(self) -> None:
        self._nano = load_model("nano")
        self.name, self.profile = self._nano.name, self._nano.profile
        self.let = threading.Event()

    async def generate(self, messages: Sequence[Message], **options: Any) -> list[Reply]:
        shown = sum(isinstance(part, Pixels) for message in messages for part in message.parts)
        while shown > 1 and not self.let.is_set():
            await asyncio.sleep(0.02)
        return await self._nano.generate(messages, **options)

    async def score(
        self, messages: Sequence[Message], continuations: Sequence[str], **options: Any
    ) -> list[Likelihood] | None:
        return await self._nano.score(messages, continuations, **options)

    async def aclose(self) -> None:
        await self._nano.aclose()


@contextmanager
def served(agent: ZoomAgent, folder: Path, key: str | None = None) -> Iterator[str]:
    """The page's address while it is served."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = guarded_page(agent, folder, page_rules("127.0.0.1", key=key))
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)
