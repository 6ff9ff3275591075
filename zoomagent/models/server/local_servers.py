"""Model servers on this machine: who answers at the usual ports, with which models, and which of these take pictures.

    for server in find_servers():
        print(server.program, server.url, [(model.name, model.sight) for model in server.models])
    only_seeing()                      # "http://127.0.0.1:8000/v1#Qwen/Qwen3-VL-8B-Instruct", or ModelNotFound

Nothing is sent but GET /v1/models, to this machine's loopback address, without a key; each port has half a second.
`ZOOMAGENT_PORTS=8000,9000` looks at other ports. Left out: what a model can do (`doctor.py`).
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx2

from zoomagent.errors import BadServerResponse, ModelNotFound, SettingInvalid
from zoomagent.models.server.completion import read_json, read_listed
from zoomagent.models.sight import Sight, sight_of

PORTS: Mapping[int, str] = {8000: "vLLM", 30000: "SGLang", 8080: "llama.cpp", 11434: "Ollama", 1234: "LM Studio"}
"""The ports that these programs take where nothing else is said."""
PORTS_SET = "ZOOMAGENT_PORTS"
SECONDS = 0.5
"""What a port has to connect, and to answer (ours)."""
MOST_BYTES = 1 << 20
"""Of an answer that is read (ours): a list of some thousand models."""


@dataclass(frozen=True)
class LocalModel:
    """A model as its server lists it. `sight`: whether it takes pictures. `spec` is what --model takes."""

    name: str
    sight: Sight
    spec: str


@dataclass(frozen=True)
class LocalServer:
    """Who answers at a port. `program` is what usually listens there, or who the models say that owns them; `trouble`
    says why no models are listed."""

    port: int
    program: str
    models: tuple[LocalModel, ...] = ()
    trouble: str = ""

    @property
    def url(self) -> str:
        return _address(self.port)


def find_servers(ports: Sequence[int] = ()) -> list[LocalServer]:
    """Who answers at these ports, or at those of `ZOOMAGENT_PORTS`, or at the usual ones; all are asked at once."""
    parts = os.environ.get(PORTS_SET, "").replace(",", " ").split()
    if not ports and not all(part.isascii() and part.isdecimal() and 0 < int(part) < 1 << 16 for part in parts):
        raise SettingInvalid(f"{PORTS_SET} holds what is no port. Write 8000,11434.")
    wanted = list(dict.fromkeys(ports or map(int, parts)) or PORTS)

    async def look_at_all() -> list[LocalServer | None]:
        return await asyncio.gather(*(_look_at(port) for port in wanted))

    # In a thread of its own: the caller may have an event loop already.
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(asyncio.run, look_at_all()).result()
    return [server for server in found if server is not None]


def only_seeing(ports: Sequence[int] = ()) -> str:
    """What --model takes for the only model here that takes pictures. ModelNotFound names the others, where it is not
    one."""
    models = [model for server in find_servers(ports) for model in server.models]
    seeing = [model for model in models if model.sight == "yes"]
    if len(seeing) == 1:
        return seeing[0].spec
    if seeing:
        named = ", ".join(model.spec for model in seeing[:10])
        raise ModelNotFound(f"{len(seeing)} models here take pictures. Name one with --model: {named}.")
    perhaps = ", ".join(model.spec for model in models if model.sight == "unknown")
    if perhaps:
        raise ModelNotFound(
            f"Of no model here its name says that it takes pictures. Name one with --model, or measure it with "
            f"zoomagent doctor: {perhaps[:1000]}."
        )
    raise ModelNotFound(
        "No model that takes pictures answers at the usual ports of this machine. How to start one: zoomagent models."
    )


def _address(port: int) -> str:
    return f"http://127.0.0.1:{port}/v1"


async def _look_at(port: int) -> LocalServer | None:
    """The server at one port; None where nobody listens."""
    program = PORTS.get(port, "a server")
    try:
        status, content = await _get(port)
    except httpx2.ConnectError:
        return None
    except (httpx2.HTTPError, httpx2.StreamError, TimeoutError) as error:
        return LocalServer(port, program, trouble=f"does not answer ({type(error).__name__})")
    if status in (401, 403):
        key = f"ZOOMAGENT_MODEL_KEYS=127.0.0.1:{port}=…"
        return LocalServer(port, program, trouble=f"wants a key: set {key} and name the model")
    try:
        body = read_json(content)
    except BadServerResponse:
        body = {}
    if status != 200 or not isinstance(body.get("data"), list):
        return LocalServer(port, "something else", trouble="serves no models")
    # All that is said of each model by its id: in `data`, and in llama.cpp's `models` beside it.
    said: dict[str, dict[str, Any]] = {}
    for key, name in (("models", "model"), ("data", "id")):
        listed = body.get(key)
        for item in listed if isinstance(listed, list) else []:
            if isinstance(item, dict) and isinstance(item.get(name), str):
                said[item[name]] = {**said.get(item[name], {}), **item}
    models = tuple(
        LocalModel(one["id"], sight_of({**said.get(one["id"], {}), **one}), f"{_address(port)}#{one['id']}")
        for one in read_listed(body)
    )
    # Whose the first model says that it is, where that is one of the programs; else who usually listens there.
    owners = {"vllm": "vLLM", "sglang": "SGLang", "llamacpp": "llama.cpp", "library": "Ollama"}
    first = next((item for item in body["data"] if isinstance(item, dict)), {})
    owner = owners.get(str(first.get("owned_by")), program)
    return LocalServer(port, owner, models, "" if models else "has no model loaded")


async def _get(port: int) -> tuple[int, bytes]:
    """The status and the body of the list of models. No proxy, no redirect, no key. Raises TimeoutError after `SECONDS`
    in all, however it trickles, and for more than MOST_BYTES."""
    content = b""
    # Without certificates, which take longer to read than a server has: nothing here is https.
    async with (
        asyncio.timeout(SECONDS),
        httpx2.AsyncClient(timeout=SECONDS, trust_env=False, follow_redirects=False, verify=False) as client,
        client.stream("GET", f"{_address(port)}/models", headers={"accept-encoding": "identity"}) as response,
    ):
        async for piece in response.aiter_raw():
            content += piece
            if len(content) > MOST_BYTES:
                raise TimeoutError
    return response.status_code, content
