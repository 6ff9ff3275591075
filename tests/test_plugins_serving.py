"""`zoomagent serve`: what cannot be served is told at once, in words, with its exit code; and where it listens."""

import asyncio
import re
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx2
import pytest
from serving_world import PATIENCE, started

from zoomagent import ZoomAgent
from zoomagent.cli import main as cli
from zoomagent.plugins.http.listening import address_of, listening_socket

FACES = [["page"], ["openai"], ["mcp", "--http"]]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["zoomagent", "serve", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("face", [*FACES, ["mcp"]], ids=" ".join)
def test_a_model_that_is_not_there_is_told_at_once_by_every_face(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, face: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    port = ["--port", "0"] if face != ["mcp"] else []
    assert run(monkeypatch, *face, *port, "--model", "runs/typo") == 69
    told = capsys.readouterr()
    assert "No model 'typo': there is no such folder." in told.err and not told.out and "http://" not in told.err


@pytest.mark.parametrize("face", FACES, ids=" ".join)
def test_a_busy_port_is_a_refused_setting_told_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, face: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        assert run(monkeypatch, *face, "--port", port) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert f"port {port} of 127.0.0.1" in told and "in use" in told and "another --port" in told


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_a_refused_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, host: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOOMAGENT_API_KEY", "sesame")
    assert run(monkeypatch, "page", "--host", host) == 2
    assert host in capsys.readouterr().err


def test_the_address_that_is_told_can_be_asked_though_the_port_was_left_open(tmp_path: Path) -> None:
    with started(tmp_path, "openai") as (server, address):
        assert not address.endswith(":0/v1")
        assert httpx2.get(f"{address}/models", timeout=PATIENCE).status_code == 200
        server.send_signal(signal.SIGINT)
        assert server.wait(PATIENCE) == 0


def test_a_models_server_that_is_silent_is_told_at_the_start_and_by_health(tmp_path: Path) -> None:
    with started(tmp_path, "page") as (server, address):
        assert server.stderr is not None
        assert server.stderr.readline().startswith("Serving all the same, but: ")
        assert httpx2.get(f"{address}health", timeout=PATIENCE).json() == {"status": "ok", "model": "no answer"}


def test_health_follows_whether_the_models_server_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    with ZoomAgent(f"http://127.0.0.1:{port}/v1#Qwen/Qwen3-VL-8B-Instruct") as agent:
        assert agent.silence == ""
        assert asyncio.run(agent.areach()) == agent.silence != ""
        with HTTPServer(("127.0.0.1", port), Refusing) as back:
            threading.Thread(target=back.serve_forever, daemon=True).start()
            assert asyncio.run(agent.areach()) == agent.silence == ""
            back.shutdown()


class Refusing(BaseHTTPRequestHandler):
    """A server that lists no models: it answers all the same."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the screen."""


def test_an_address_of_the_newer_kind_is_told_in_brackets() -> None:
    with listening_socket("127.0.0.1", 0) as listening:
        assert re.fullmatch(r"http://\[::1\]:[1-9]\d*/", address_of(listening, "::1", "/"))
