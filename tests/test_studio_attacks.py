"""What a page that somebody opens in a browser can do to `langgraph dev` on the same machine: nothing.

A "thief" listens beside the server; no picture, no key and no connection may reach it.
"""

import http.client
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image
from studio_world import graph_server

pytest.importorskip("langgraph_api", reason="needs the extra: pip install zoomagent[studio]")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

EVIL = "https://evil.example"
KEY = "sk-users-secret-key"


class Thief(HTTPServer):
    """A model's server at an address that nobody named; keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Note)
        self.got: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1#m"


class _Note(BaseHTTPRequestHandler):
    server: Thief

    def do_POST(self) -> None:
        self.server.got.append(f"{self.path} {self.headers.get('authorization')}")
        self.send_error(500)

    do_GET = do_POST

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the screen."""


@pytest.fixture(scope="module")
def thief() -> Iterator[Thief]:
    with Thief() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def friend() -> Iterator[Thief]:
    """The model's server that the operator did name."""
    with Thief() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, friend: Thief) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("studio")
    # A picture of nano's world: about others it is not asked.
    scene = Path(__file__).parents[1] / "zoomagent" / "data" / "example" / "scene.jpg"
    Image.open(scene).resize((256, 256)).save(folder / "private.png")
    (folder / "arbiter.json").write_text("{}")
    with graph_server(folder, OPENAI_API_KEY=KEY, ZOOMAGENT_MODELS=friend.url) as url:
        yield url


def sent(
    server: str, path: str, body: object = None, method: str = "POST", **headers: str
) -> tuple[int, dict[str, str], Any]:
    """Status, headers and body of what comes back."""
    address = urlsplit(server).netloc
    connection = http.client.HTTPConnection(address, timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, json.dumps(body), {"Content-Type": "application/json", **named})
    reply = connection.getresponse()
    text = reply.read()
    known = {name.lower(): value for name, value in reply.getheaders()}
    connection.close()
    return reply.status, known, json.loads(text) if "json" in known.get("content-type", "") else text


def asked(image: str = "private.png", **context: Any) -> dict[str, Any]:
    context = {"strategy": "macro", "proof": False, **context}
    given = {"image": image, "question": "What colour is the background?"}
    return {"assistant_id": "macro_micro", "input": given, "context": context}


@pytest.mark.parametrize("origin", [EVIL, "null", "http://127.0.0.1:1", "http://localhost", "https://127.0.0.1.evil"])
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_a_foreign_page_runs_nothing(server: str, thief: Thief, origin: str, kind: str) -> None:
    """Also as a "simple" request, which browsers send without asking first."""
    status, headers, _ = sent(server, "/runs/wait", asked(model=thief.url), Origin=origin, Content_Type=kind)
    assert status == 403
    assert "access-control-allow-origin" not in headers and thief.got == []


@pytest.mark.parametrize("path", ["/threads/search", "/assistants/search", "/mcp", "/store/items/search", "/ok"])
def test_a_foreign_page_reads_nothing(server: str, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        asks = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Private_Network": "true"}
        status, headers, _ = sent(server, path, {}, method, Origin=EVIL, **asks)
        assert status == 403
        assert not any(name.startswith("access-control-allow") for name in headers)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:2024", "192.168.0.9", "localhost.evil.example", ""])
def test_a_name_that_was_bound_anew_opens_nothing(server: str, host: str) -> None:
    """DNS rebinding: the page's own name leads to this machine."""
    assert sent(server, "/threads/search", {}, Host=host)[0] in (400, 421)


def outcome(server: str, body: dict[str, Any]) -> dict[str, Any]:
    status, _, state = sent(server, "/runs/wait", body)
    assert status == 200 and "outcome" in state, state
    return dict(state["outcome"])


def test_only_what_the_operator_named_is_used(server: str, thief: Thief, friend: Thief) -> None:
    """What was opened before under a good name is no way round. More names: test_graph_context.py."""
    assert outcome(server, asked())["kind"] == "answered"
    for wrong in ({"model": thief.url}, {"model": "hf:some/model"}, {"arbiter": "arbiter.json"}):
        ended = outcome(server, asked(**wrong))
        assert (ended["kind"], ended["code"]) == ("failed", "setting_invalid"), wrong
    assert thief.got == [] and friend.got == []
    quick = {"calls": 1, "seconds": 2}
    assert outcome(server, asked(model=friend.url, budget=quick))["code"] != "setting_invalid"
    assert friend.got and thief.got == []


@pytest.mark.parametrize("address", ["http://[fd00::2]:9/", "https://example.com/x", "{thief}", "/threads/search"])
def test_no_run_is_sent_to_an_address_that_a_request_names(server: str, thief: Thief, address: str) -> None:
    """A webhook gets a run's state when it ends: the picture that was asked about, and what was read in it."""
    named = {"webhook": address.format(thief=thief.url)}
    for path in ("/runs", "/runs/wait", "/runs/stream"):
        status, _, told = sent(server, path, asked() | named)
        assert status == 422 and "ebhook" in told["detail"]
    assert sent(server, "/runs/crons", asked() | named | {"schedule": "* * * * *"})[0] == 422
    assert thief.got == []
