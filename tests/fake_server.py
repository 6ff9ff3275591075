"""A scripted server that speaks vLLM's chat completions, its faults included. It needs no port and no GPU.

    server = FakeServer(brain=lambda seen: "Yes")
    model = OpenAIModel("http://fake/v1", "qwen3-vl", transport=server.transport())
    server.enqueue([Status(429, {"retry-after": "0"}), Body(b"<html>")])     # the next two answers; then the brain's
    server.requests[0]["messages"]

`Guise` makes it a different server: one without log-probabilities, one that ignores `n`, one that refuses
unknown fields as `transformers serve` does. `KINDS` are those that people run. Where a fault needs a real connection
(reset, stall, trickle), `serve(server)` opens one.
"""

import asyncio
import base64
import contextlib
import io
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2
from PIL import Image

KNOWN_FIELDS = {"model", "messages", "max_tokens", "temperature", "n", "logprobs", "top_logprobs", "tools"}


@dataclass(frozen=True)
class Status:
    """An answer with this status."""

    code: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True)
class Body:
    """An answer of 200 with these bytes."""

    content: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """What happens to the connection. `seconds` is how long a stall lasts."""

    kind: Literal["refuse", "reset_before", "reset_headers", "reset_body", "stall", "trickle"]
    seconds: float = 3600.0


Action = Status | Body | Fault | dict[str, Any]


@dataclass(frozen=True)
class Guise:
    """What this server can do. `most_n` and `most_alternatives` are refused above, as vLLM and llama.cpp do."""

    name: str = "qwen3-vl"
    logprobs: bool = True
    given: bool = True
    n: bool = True
    most_n: int = 128
    most_alternatives: int = 20
    tools: Literal["parsed", "text", "refused", "ignored"] = "parsed"
    refuses_unknown: bool = False
    renames_max_tokens: bool = False
    max_images: int = 100
    min_side: int = 0
    max_side: int = 1 << 20
    min_pixels: int = 0
    max_pixels: int = 1 << 40


KINDS = {
    "vllm": Guise(),
    "vllm with five alternatives": Guise(most_alternatives=5),
    "llama.cpp": Guise(given=False, most_n=2),
    "sglang": Guise(given=False, tools="text"),
    "ollama": Guise(given=False, logprobs=False, n=False),
    "hosted": Guise(given=False, refuses_unknown=True, most_alternatives=5),
    "hosted with one choice": Guise(given=False, refuses_unknown=True, most_n=1),
    "no more than words": Guise(given=False, logprobs=False, most_n=1, tools="refused"),
}
"""The kinds of servers that people run, by what they leave out."""


@dataclass(frozen=True)
class Seen:
    """What the brain is asked: all text, all images, and the names of the tools it may call."""

    text: str
    images: list[Image.Image]
    tools: list[str]


def always_yes(_: Seen) -> str:
    return "Yes"


class FakeServer:
    def __init__(self, brain: Callable[[Seen], str] = always_yes, guise: Guise | None = None) -> None:
        self.brain = brain
        self.guise = guise or Guise()
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.prompt_tokens = 0
        self._script: deque[Action] = deque()

    def enqueue(self, actions: Iterable[Action]) -> None:
        self._script.extend(actions)

    def recover(self) -> None:
        """Answer as the guise says from now on."""
        self._script.clear()

    def transport(self) -> httpx2.AsyncBaseTransport:
        return _Transport(self)

    def decide(self, path: str, body: bytes) -> Action:
        """The answer to a request: the script's next, else what this guise says."""
        self.paths.append(path)
        if path.endswith("/models"):
            return {"object": "list", "data": [{"id": self.guise.name, "object": "model"}]}
        request = json.loads(body)
        self.requests.append(request)
        return self._script.popleft() if self._script else self._answer(request)

    def _answer(self, request: dict[str, Any]) -> Action:
        refusal = self._refusal(request)
        return refusal or self._completion(request)

    def _refusal(self, request: dict[str, Any]) -> Status | None:
        guise = self.guise
        if request["model"] != guise.name:
            return error(404, f"The model `{request['model']}` does not exist.")
        unknown = set(request) - KNOWN_FIELDS
        if guise.refuses_unknown and unknown:
            return error(422, f"Unexpected fields in the request: {unknown}")
        if guise.renames_max_tokens and "max_tokens" in request:
            return error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        if request.get("n", 1) > guise.most_n:
            return error(400, f"Value not in range: 1 <= value <= {guise.most_n}, got {request['n']}")
        if guise.logprobs and (request.get("top_logprobs") or 0) > guise.most_alternatives:
            asked, most = request["top_logprobs"], guise.most_alternatives
            return error(400, f"Requested sample logprobs of {asked}, which is greater than max allowed: {most}")
        if guise.tools == "refused" and "tools" in request:
            return error(400, '"auto" tool choice requires --enable-auto-tool-choice to be set')
        images = images_of(request)
        if len(images) > guise.max_images:
            return error(400, f"At most {guise.max_images} image(s) may be provided in one prompt.")
        return next((refused for image in images if (refused := self._refuse_size(image))), None)

    def _refuse_size(self, image: Image.Image) -> Status | None:
        inside = self.guise.min_pixels <= image.width * image.height <= self.guise.max_pixels
        sides = self.guise.min_side <= min(image.size) and max(image.size) <= self.guise.max_side
        return None if inside and sides else error(500, f"bad image size {image.size}")

    def _completion(self, request: dict[str, Any]) -> dict[str, Any]:
        tools = [tool["function"]["name"] for tool in request.get("tools", [])]
        if self.guise.tools == "ignored":
            tools = []
        seen = Seen(text_of(request), images_of(request), tools)
        count = request.get("n", 1) if self.guise.n else 1
        choices = [self._choice(i, self.brain(seen), request) for i in range(count)]
        body = completion(choices, self.guise.name)
        self.prompt_tokens += body["usage"]["prompt_tokens"]
        if self.guise.given and request.get("prompt_logprobs") is not None:
            body["prompt_logprobs"] = prompt_logprobs(request)
        return body

    def _choice(self, index: int, text: str, request: dict[str, Any]) -> dict[str, Any]:
        logprobs = token_logprobs(text) if self.guise.logprobs and request.get("logprobs") else None
        if logprobs and request.get("top_logprobs"):
            logprobs["content"] = token_logprobs(text, -0.2)["content"][:1]
            logprobs["content"][0]["top_logprobs"] = [
                {"token": "Yes", "logprob": -0.2, "bytes": None},
                {"token": "No", "logprob": -1.7, "bytes": None},
            ]
        call = re.search(r"<tool_call>(.*?)</tool_call>", text, re.DOTALL)
        if call and self.guise.tools == "parsed" and request.get("tools"):
            return choice(index, None, logprobs, calls=[json.loads(call.group(1))])
        return choice(index, text, logprobs)


def completion(choices: list[dict[str, Any]], model: str = "qwen3-vl") -> dict[str, Any]:
    usage = {"prompt_tokens": 11, "completion_tokens": 2 * len(choices), "total_tokens": 13}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": choices,
        "usage": usage,
    }


def choice(
    index: int, text: str | None, logprobs: Any = None, calls: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    listed = [
        {
            "id": f"chatcmpl-tool-{i}",
            "type": "function",
            "function": {**call, "arguments": json.dumps(call["arguments"])},
        }
        for i, call in enumerate(calls or [])
    ]
    return {
        "index": index,
        "message": {"role": "assistant", "content": text, "tool_calls": listed},
        "logprobs": logprobs,
        "finish_reason": "tool_calls" if calls else "stop",
    }


def token_logprobs(text: str, logprob: float | None = None) -> dict[str, Any]:
    """vLLM's shape, the end token included."""
    tokens = [*pieces(text), "<|im_end|>"]
    values = [logprob_of(token) if logprob is None else logprob for token in tokens]
    return {
        "content": [
            {"token": token, "logprob": value, "bytes": list(token.encode()), "top_logprobs": []}
            for token, value in zip(tokens, values, strict=True)
        ]
    }


def prompt_logprobs(request: dict[str, Any]) -> list[dict[str, Any] | None]:
    """vLLM's shape: nothing for the first token, then the prompt's own token first and the likeliest after
    it."""
    rendered = "".join(f"<{m['role']}>\n{flat(m['content'])}" for m in request["messages"])
    return [
        None,
        *(
            {
                str(i): {"logprob": logprob_of(token), "rank": 2, "decoded_token": token},
                "9999": {"logprob": -0.01, "rank": 1, "decoded_token": "!"},
            }
            for i, token in enumerate(pieces(rendered))
        ),
    ]


def logprob_of(token: str) -> float:
    """What this server says of a token, generated or given: half a nat a letter."""
    return -0.5 * len(token.strip())


def pieces(text: str) -> list[str]:
    """Tokens: words with the space before them; line breaks alone."""
    return re.findall(r"\n| ?[^\s]+| ", text)


def flat(content: Any) -> str:
    if isinstance(content, str) or content is None:
        return content or ""
    return "".join(part.get("text", "<image>") for part in content)


def text_of(request: dict[str, Any]) -> str:
    return "\n".join(flat(message["content"]) for message in request["messages"])


def images_of(request: dict[str, Any]) -> list[Image.Image]:
    parts = [part for m in request["messages"] if isinstance(m["content"], list) for part in m["content"]]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return [Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) for url in urls]


def error(code: int, message: str) -> Status:
    return Status(code, body={"error": {"message": message, "type": "BadRequestError", "param": None, "code": code}})


def http_parts(action: Action) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer that arrives whole."""
    if isinstance(action, Status):
        body = action.body if isinstance(action.body, str) else json.dumps(action.body or {})
        return action.code, {"content-type": "application/json", **action.headers}, body.encode()
    if isinstance(action, Body):
        return 200, {"content-type": action.content_type, **action.headers}, action.content
    assert isinstance(action, dict), f"{action} needs a real connection: use serve()"
    return 200, {"content-type": "application/json"}, json.dumps(action).encode()


class _Transport(httpx2.AsyncBaseTransport):
    def __init__(self, server: FakeServer) -> None:
        self._server = server

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._server.headers.append(dict(request.headers))
        action = self._server.decide(request.url.path, await request.aread())
        if action == Fault("refuse"):
            raise httpx2.ConnectError("refused", request=request)
        status, headers, body = http_parts(action)
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        return httpx2.Response(status, headers=raw, stream=httpx2.ByteStream(body), request=request)


@contextlib.asynccontextmanager
async def serve(server: FakeServer) -> AsyncIterator[str]:
    """The server on a real port of this machine; yields its base URL."""
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        connections.add(task)
        try:
            await _converse(server, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            connections.discard(task)
            writer.transport.abort()

    listener = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
    finally:
        listener.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def _converse(server: FakeServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while head := await reader.readuntil(b"\r\n\r\n"):
        length = re.search(rb"content-length: (\d+)", head.lower())
        body = await reader.readexactly(int(length.group(1))) if length else b""
        lines = [line.decode("latin-1").partition(":") for line in head.split(b"\r\n")[1:] if line]
        server.headers.append({name.lower(): value.strip() for name, _, value in lines})
        action = server.decide(head.split(b" ", 2)[1].decode(), body)
        if isinstance(action, Fault):
            await _suffer(action, writer)
            return
        status, headers, content = http_parts(action)
        writer.write(_head(status, {**headers, "content-length": str(len(content))}) + content)
        await writer.drain()


async def _suffer(fault: Fault, writer: asyncio.StreamWriter) -> None:
    head = _head(200, {"content-type": "application/json", "content-length": "1000"})
    if fault.kind == "stall":
        await asyncio.sleep(fault.seconds)
    elif fault.kind == "trickle":
        writer.write(head)
        for _ in range(1000):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(fault.seconds)
    elif fault.kind == "reset_headers":
        writer.write(head[:30])
        await writer.drain()
    elif fault.kind == "reset_body":
        writer.write(head + b'{"choices": [{"message": {"content": "Ye')
        await writer.drain()
    writer.transport.abort()


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode()
