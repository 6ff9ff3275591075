"""What answers on this machine is listed without being asked anything but its models; "auto" is never a guess."""

import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from zoomagent.cli import main as cli
from zoomagent.errors import ModelNotFound, SettingInvalid
from zoomagent.models.loading import load_model
from zoomagent.models.server import local_servers
from zoomagent.models.server.local_servers import PORTS_SET, LocalServer, find_servers, only_seeing
from zoomagent.models.sight import sight_of
from zoomagent.models.starting import lines_to_start

QWEN = {"data": [{"id": "Qwen/Qwen3-VL-8B-Instruct", "owned_by": "vllm"}]}
TEXT = {"data": [{"id": "qwen3:8b", "owned_by": "library"}]}
UNNAMED = {"data": [{"id": "my-model"}]}


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a busy machine does within half a second is nothing to test."""
    monkeypatch.setattr(local_servers, "SECONDS", 60.0)


@contextmanager
def listening(body: Any, status: int = 200) -> Iterator[tuple[int, list[tuple[str, str, dict[str, str]]]]]:
    """A server on a port of its own with one answer to everything, and what it was asked: method, path, headers."""
    asked: list[tuple[str, str, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("location", "http://127.0.0.1:9/elsewhere")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def look(body: Any, status: int = 200) -> LocalServer:
    with listening(body, status) as (port, _):
        [server] = find_servers([port])
    return server


def test_nothing_is_sent_but_the_question_for_models_and_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(QWEN) as (port, asked):
        monkeypatch.setenv("ZOOMAGENT_MODEL_KEY", "secret")
        monkeypatch.setenv("OPENAI_API_KEY", "secret")
        monkeypatch.setenv("ZOOMAGENT_MODEL_KEYS", f"127.0.0.1:{port}=secret")
        find_servers([port])
    [(method, path, headers)] = asked
    assert (method, path) == ("GET", "/v1/models") and "secret" not in str(headers)


def test_a_model_that_takes_pictures_is_listed_with_what_the_option_takes() -> None:
    server = look(QWEN)
    [model] = server.models
    assert (server.program, model.sight) == ("vLLM", "yes")
    assert model.spec == f"http://127.0.0.1:{server.port}/v1#Qwen/Qwen3-VL-8B-Instruct"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"<html>a site of somebody's</html>", 200, "serves no models"),
        ([1, 2], 200, "serves no models"),
        ({"data": "none"}, 200, "serves no models"),
        ({"object": "list", "data": []}, 200, "no model loaded"),
        (b"", 302, "serves no models"),
        (b"moved", 404, "serves no models"),
        ({"error": "no"}, 401, "wants a key"),
        (b"[" * 3_000_000, 200, "does not answer"),
    ],
)
def test_whatever_else_answers_at_a_port_is_said_and_stops_nothing(body: Any, status: int, said: str) -> None:
    server = look(body, status)
    assert said in server.trouble and server.models == ()


def test_a_server_whose_headers_trickle_has_no_more_time_than_a_silent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_servers, "SECONDS", 0.5)
    left = threading.Event()

    class Trickling(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
            try:
                while True:
                    self.wfile.write(b"a")
                    left.wait(0.02)
            except OSError:
                left.set()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Trickling) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        [found] = find_servers([server.server_port])
        assert "does not answer" in found.trouble
        assert left.wait(60), "the connection is closed, not left to trickle on"
        server.shutdown()


def test_a_port_that_is_silent_has_its_time_and_keeps_no_other_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_servers, "SECONDS", 3.0)
    with socket.create_server(("127.0.0.1", 0)) as silent, listening(QWEN) as (port, _):
        both = find_servers([silent.getsockname()[1], port])
    assert "does not answer" in both[0].trouble and both[1].models


def test_a_port_where_nobody_listens_is_not_listed() -> None:
    with listening(QWEN) as (port, _):
        pass
    assert find_servers([port]) == []


SIGHTS = [
    ({"id": "Qwen/Qwen3-VL-8B-Instruct"}, "yes"),
    ({"id": "qwen3-vl:8b-instruct"}, "yes"),
    ({"id": "qwen2.5vl:7b"}, "yes"),
    ({"id": "llama3.2-vision:11b"}, "yes"),
    ({"id": "gemma3:4b"}, "yes"),
    ({"id": "gemma3:1b"}, "no"),
    ({"id": "google/gemma-3-27b-it"}, "yes"),
    ({"id": "moondream:latest"}, "yes"),
    ({"id": "mistralai/Pixtral-12B-2409"}, "yes"),
    ({"id": "minicpm-v:8b"}, "yes"),
    ({"id": "nano"}, "yes"),
    ({"id": "HuggingFaceTB/SmolVLM2-2.2B-Instruct"}, "yes"),
    ({"id": "mistralai/Mistral-Small-3.2-24B-Instruct-2506"}, "yes"),
    ({"id": "mistral-small3.1:24b"}, "yes"),
    ({"id": "deepseek-ai/DeepSeek-OCR"}, "yes"),
    ({"id": "allenai/olmOCR-7B-0725"}, "yes"),
    ({"id": "ibm-granite/granite-docling-258M"}, "yes"),
    ({"id": "Qwen/Qwen3-VL-Embedding-2B"}, "no"),
    ({"id": "Qwen/Qwen3-VL-Reranker-8B"}, "no"),
    ({"id": "qwen3:8b"}, "no"),
    ({"id": "Qwen/Qwen2.5-Coder-7B-Instruct"}, "no"),
    ({"id": "llama3.1:8b"}, "no"),
    ({"id": "meta-llama/Llama-3.3-70B-Instruct"}, "no"),
    ({"id": "openai/gpt-oss-20b"}, "no"),
    ({"id": "nomic-embed-text:latest"}, "no"),
    ({"id": "mistral:7b"}, "no"),
    ({"id": "deepseek-r1:14b"}, "no"),
    ({"id": "my-model"}, "unknown"),
    ({"id": "vlad/evolve"}, "unknown"),
    ({"id": "my-model", "root": "Qwen/Qwen2.5-VL-7B-Instruct"}, "yes"),
    ({"id": "qwen3:8b", "capabilities": ["completion", "multimodal"]}, "yes"),
    ({"id": "my-vl-model", "capabilities": ["completion"]}, "no"),
    ({"id": "x", "capabilities": {"vision": True}}, "yes"),
    ({"id": "x", "architecture": {"input_modalities": ["text", "image"]}}, "yes"),
    ({"id": "llava", "architecture": {"input_modalities": ["text"]}}, "no"),
    ({"id": "x", "capabilities": 3, "architecture": ["image"]}, "unknown"),
]


@pytest.mark.parametrize(("listed", "sight"), SIGHTS)
def test_a_name_or_what_a_server_lists_tells_whether_pictures_are_taken(listed: dict[str, Any], sight: str) -> None:
    assert sight_of(listed) == sight


def test_what_llama_cpp_says_beside_its_list_counts() -> None:
    """Its name is a file's; its capabilities stand in a list of their own."""
    body = {"models": [{"model": "my.gguf", "capabilities": ["completion", "multimodal"]}], "data": [{"id": "my.gguf"}]}
    assert [model.sight for model in look(body).models] == ["yes"]


def test_auto_is_the_only_model_that_takes_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(TEXT) as (text, _), listening(QWEN) as (seeing, _), listening(UNNAMED) as (unnamed, _):
        monkeypatch.setenv(PORTS_SET, f"{text},{seeing},{unnamed}")
        assert only_seeing() == f"http://127.0.0.1:{seeing}/v1#Qwen/Qwen3-VL-8B-Instruct"
        model = load_model("auto")
        assert (model.name, model.profile.family) == ("Qwen/Qwen3-VL-8B-Instruct", "qwen3-vl")


def test_auto_among_several_names_them_and_takes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(QWEN) as (first, _), listening(QWEN) as (second, _):
        monkeypatch.setenv(PORTS_SET, f"{first} {second}")
        with pytest.raises(ModelNotFound, match=f"(?s)2 models.*{first}.*{second}"):
            load_model("auto")


def test_auto_does_not_guess_what_a_name_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(UNNAMED) as (port, _):
        monkeypatch.setenv(PORTS_SET, str(port))
        with pytest.raises(ModelNotFound, match=rf"{port}/v1#my-model"):
            load_model("auto")
    with listening(TEXT) as (port, _):
        monkeypatch.setenv(PORTS_SET, str(port))
        with pytest.raises(ModelNotFound, match="zoomagent models"):
            load_model("auto")


@pytest.mark.parametrize("wrong", ["8000,http", "0", "70000", "-1"])
def test_ports_that_are_none_are_told(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv(PORTS_SET, wrong)
    with pytest.raises(SettingInvalid, match=PORTS_SET):
        find_servers()


@pytest.mark.parametrize(
    ("gpu", "memory", "vllm", "small"),
    [(141, 500, "32B", "30b"), (80, 64, "32B", "30b"), (24, 64, "8B", "30b"), (16, 16, "4B", "8b"), (0, 8, None, "4b")],
)
def test_a_start_is_sized_to_the_machine(gpu: float, memory: float, vllm: str | None, small: str) -> None:
    lines = lines_to_start(gpu, memory)
    assert [f"Qwen3-VL-{vllm}-Instruct" in line for line in lines if line.startswith("vllm")] == [True] * bool(vllm)
    assert any(line.startswith(f"ollama pull qwen3-vl:{small}") for line in lines)
    assert any(line.startswith("llama-server -hf Qwen/Qwen3-VL-") for line in lines)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["zoomagent", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_the_command_says_how_to_ask_or_how_to_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with listening(QWEN) as (port, _):
        assert run(monkeypatch, "models", "--port", str(port)) == 0
        said = capsys.readouterr().out
        assert f"--model 'http://127.0.0.1:{port}/v1#" in said and "--model auto" not in said, "auto looks elsewhere"
        monkeypatch.setenv(PORTS_SET, str(port))
        assert run(monkeypatch, "models") == 0
        assert "--model auto" in capsys.readouterr().out
        assert run(monkeypatch, "models", "--json", "--port", str(port)) == 0
        [server] = json.loads(capsys.readouterr().out)["servers"]
        assert server["models"][0]["sight"] == "yes"
    assert run(monkeypatch, "models", "--port", str(port)) == 0
    said = capsys.readouterr().out
    assert "ollama pull" in said and "zoomagent ask" not in said


def test_a_name_that_a_server_lists_moves_nothing_on_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with listening({"data": [{"id": "qwen3-vl\x1b[2J; rm -rf ~"}]}) as (port, _):
        assert run(monkeypatch, "models", "--port", str(port)) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said and f"'http://127.0.0.1:{port}/v1#qwen3-vl" in said
