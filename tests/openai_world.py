"""What the tests of the OpenAI-compatible endpoint share: the endpoint on a real port, and questions to it."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn
from fake_model import FakeModel
from mcp_world import QUESTION, data_url

from zoomagent import ZoomAgent
from zoomagent.models.base import Model
from zoomagent.plugins.http.guard import Rules
from zoomagent.plugins.offers.inputs import Allowed, picture_opener
from zoomagent.plugins.openai.endpoint import openai_app


@contextlib.contextmanager
def served(model: Model | str, rules: Rules | None = None, **settings: Any) -> Iterator[str]:
    """The endpoint on a free port; gives its base URL."""
    settings = {"strategy": "dualfocus", "rule": "dualfocus", **settings}
    with ZoomAgent(model, opener=picture_opener(Allowed()), **settings) as agent:
        config = uvicorn.Config(openai_app(agent, rules or Rules()), port=0, log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join(10)


def scripted(answer: str = "42") -> FakeModel:
    """Says the same from wherever it looks: no zoom is needed."""
    return FakeModel(
        respond=lambda call: answer, respond_score=lambda call: [-0.1] * len(call.options["continuations"])
    )


def asking(text: str = QUESTION, url: str | None = None) -> dict[str, Any]:
    """A user's message with a picture."""
    picture = {"type": "image_url", "image_url": {"url": data_url() if url is None else url}}
    return {"role": "user", "content": [picture, {"type": "text", "text": text}]}
