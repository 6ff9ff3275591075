"""What the tests of the MCP server share: a picture, a scripted agent, a server in memory."""

import asyncio
import base64
import contextlib
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from fake_model import Call, FakeModel
from mcp import Client
from mcp.server.lowlevel import Server
from mcp_types import CallToolResult
from PIL import Image, ImageDraw

from zoomagent import ZoomAgent
from zoomagent.models.base import Message, Reply
from zoomagent.plugins.mcp.server import mcp_server
from zoomagent.plugins.offers.inputs import Allowed, picture_opener

LEAK = re.compile(
    r"0x[0-9a-f]{6,}|/home|/tmp|/root|/work|/etc|\b(10|127|169)\.\d+\.\d+\.\d+|Bearer|sk-|Traceback|\.py\b"
)
"""What no error may hold."""

QUESTION = "What is written there?"
RED, GREY = (220, 20, 20), (128, 128, 128)
MARK = (1000, 500, 1200, 700)
"""Where the red square is, in pixels of a 2000 by 1000 picture."""


def picture() -> Image.Image:
    image = Image.new("RGB", (2000, 1000), GREY)
    ImageDraw.Draw(image).rectangle((MARK[0], MARK[1], MARK[2] - 1, MARK[3] - 1), fill=RED)
    return image


def data_url(image: Image.Image | None = None) -> str:
    file = io.BytesIO()
    (image or picture()).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def dualfocus_model() -> FakeModel:
    """Answers 7 from the whole, points at the square, answers 42 from there."""
    model = FakeModel()
    model.enqueue(["7", "[500, 500, 600, 700]", "42"])
    model.enqueue_scores([[-3.0, -0.1]])
    return model


def agent_of(model: FakeModel, root: Path | None = None) -> tuple[ZoomAgent, Server[Any]]:
    opener = picture_opener(Allowed(roots=(str(root),) if root else ()))
    agent = ZoomAgent(model, strategy="dualfocus", rule="dualfocus", opener=opener)
    return agent, mcp_server(agent, opener)


class Stuck(FakeModel):
    """Never replies, and counts how often it was told to stop."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = 0

    async def generate(self, messages: Sequence[Message], **options: Any) -> list[Reply]:
        self.history.append(Call("generate", tuple(messages), options))
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        raise AssertionError("nobody waits that long")


def words(result: CallToolResult) -> str:
    [text] = [part.text for part in result.content if part.type == "text"]
    return text


def images(result: CallToolResult) -> list[Image.Image]:
    shown = [part for part in result.content if part.type == "image"]
    assert all(part.mime_type == "image/jpeg" for part in shown)
    return [Image.open(io.BytesIO(base64.b64decode(part.data))) for part in shown]


async def cancelled_in_time(server: Server[Any] | str, mode: Literal["auto", "legacy"], model: Stuck) -> None:
    """Ask, cancel while the model is asked: its run ends within a second, and the connection lives on."""
    async with Client(server, mode=mode) as client:
        call = asyncio.create_task(client.call_tool("answer_about_image", {"image": data_url(), "question": QUESTION}))
        await until(lambda: bool(model.history))
        call.cancel()
        await until(lambda: model.stopped == 1, seconds=1.0)
        with contextlib.suppress(asyncio.CancelledError):
            await call
        assert (await client.list_tools()).tools


async def until(true: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until something is so; TimeoutError when it never is."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.01)
