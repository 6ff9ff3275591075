"""The proxy's configuration in docs/serving.md is run as it stands there, but for its address and certificate."""

import contextlib
import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving_world import started

DOCS = Path(__file__).parents[1] / "docs" / "serving.md"
NAME = "api.example.com"

pytestmark = [
    pytest.mark.skipif(shutil.which("nginx") is None, reason="needs nginx"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configured(folder: Path, port: int, upstream: str) -> Path:
    """The documented file, for this port, this server and a certificate made here."""
    [text] = re.findall(r"```nginx\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    certificate, key = folder / "own.pem", folder / "own.key"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={NAME}"]
    subprocess.run([*made, "-out", str(certificate), "-keyout", str(key)], check=True, capture_output=True)
    changes = {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/ssl/api.example.com.pem": str(certificate),
        "/etc/ssl/api.example.com.key": str(key),
        "http://127.0.0.1:8200": upstream,
    }
    for before, after in changes.items():
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    places = "".join(
        f"{name}_temp_path {folder}/{name}; " for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = f"pid {folder}/pid; daemon off; error_log {folder}/log; events {{}}\n"
    whole += f"http {{ access_log off; {places}\n{text}}}\n"
    (folder / "nginx.conf").write_text(whole)
    return folder / "nginx.conf"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Its port; behind it `zoomagent serve openai`, whose model is not there."""
    folder, port = tmp_path_factory.mktemp("proxy"), free_port()
    with started(folder, "openai", "--served-as", NAME) as (_, address):
        config = configured(folder, port, address.removesuffix("/v1"))
        subprocess.run(["nginx", "-t", "-c", str(config), "-p", str(folder)], check=True, capture_output=True)
        process = subprocess.Popen(["nginx", "-c", str(config), "-p", str(folder)])
        try:
            while process.poll() is None:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
            yield port
        finally:
            process.terminate()
            process.wait(20)


def asked(port: int, path: str, body: bytes | None = None, host: str = NAME) -> tuple[int, bytes]:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=trusting)
    headers = {"Host": host, "Content-Type": "application/json"}
    try:
        connection.request("GET" if body is None else "POST", path, body, headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def test_requests_go_through_the_proxy_under_the_public_name(proxy: int) -> None:
    assert asked(proxy, "/healthz") == (200, b'{"status": "ok", "model": "no answer"}')
    status, body = asked(proxy, "/v1/models")
    assert status == 200 and json.loads(body)["data"]
    assert asked(proxy, "/v1/models", host="evil.example")[0] == 421


def test_what_the_server_refuses_comes_back_as_it_said(proxy: int) -> None:
    status, body = asked(proxy, "/v1/chat/completions", b"{}")
    assert status == 400 and json.loads(body)["error"]["message"]


def test_a_body_that_is_too_large_ends_at_the_proxy(proxy: int) -> None:
    hangs_up = (BrokenPipeError, ConnectionResetError, ssl.SSLError)  # while the body is still being sent
    with contextlib.suppress(*hangs_up):
        assert asked(proxy, "/v1/chat/completions", bytes(40_000_000))[0] == 413


def test_one_address_gets_only_so_many_connections(proxy: int) -> None:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    half = b"POST /v1/chat/completions HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 100000\r\n\r\nx"
    held = []
    for _ in range(40):
        held.append(trusting.wrap_socket(socket.create_connection(("127.0.0.1", proxy))))
        held[-1].sendall(half)
    try:
        statuses = {asked(proxy, "/v1/models")[0] for _ in range(3)}
    finally:
        for one in held:
            one.close()
    assert statuses == {429}
