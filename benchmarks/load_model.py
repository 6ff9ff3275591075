"""A scripted model server of fixed latency, for measuring what stands in front of it.

    python benchmarks/load_model.py --port 8300 --latency 2

Every chat completion takes `latency` seconds however many run at once: a box when asked for one, else the same word,
so that `dualfocus` makes three calls, one after the other. Plain ASGI. Left out: likelihoods, tools, and any load of
its own.
"""

import argparse
import asyncio
import json
from typing import Any

from zoomagent.prompts import BOX

WORD = "47"
BOX_2D = (400.0, 400.0, 450.0, 450.0)
NAME = "qwen3-vl"


def reply_to(body: bytes) -> bytes:
    """The completion, without reading more than is needed: the last turn stands at the body's end."""
    return json.dumps(completion(str(list(BOX_2D)) if BOX.encode() in body[-2000:] else WORD)).encode()


def completion(text: str) -> dict[str, Any]:
    """A chat completion that says `text`, with its likelihood."""
    token = {"token": text, "logprob": -0.1, "bytes": None, "top_logprobs": []}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "logprobs": {"content": [token]},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 500, "completion_tokens": 5, "total_tokens": 505}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": NAME, "choices": [choice], "usage": usage}


class Server:
    """The ASGI app. GET anything lists the one model."""

    def __init__(self, latency: float) -> None:
        self._latency = latency

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        parts, more = [], True
        while more:
            message = await receive()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        if scope["method"] == "POST":
            await asyncio.sleep(self._latency)
            content = reply_to(b"".join(parts[-4:]))
        else:
            content = json.dumps({"object": "list", "data": [{"id": NAME, "object": "model"}]}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})


def main() -> None:
    """Serve until stopped."""
    import uvicorn

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8300)
    parser.add_argument("--latency", type=float, default=2.0, help="seconds a call takes")
    arguments = parser.parse_args()
    uvicorn.run(Server(arguments.latency), port=arguments.port, log_level="warning", lifespan="off")


if __name__ == "__main__":
    main()
