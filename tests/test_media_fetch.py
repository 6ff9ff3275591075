"""Fetching obeys its rules (U1-U10, U12): a trap server counts every connection that should not have been made."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpcore2
import pytest
from zoo import jpeg, png

from zoomagent.errors import FetchRefused, InputRefused
from zoomagent.media import UrlRules, open_picture
from zoomagent.media.fetching.fetch import fetch
from zoomagent.media.fetching.network import Network, system_connect
from zoomagent.media.fetching.url_rules import is_public

RULES = UrlRules(hosts=("pics.example.com", ".cdn.example.com"), seconds=5)
PUBLIC = "93.184.216.34"

SPECIAL = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "fe80::1",
    "fec0::1",
    "fd00:ec2::254",
    "2001:db8::1",
    "2001::1",
    "ff02::1",
    "100::1",
    "3fff::1",
]

ODD_URLS = [
    r"http://127.0.0.1\@pics.example.com/",
    r"http://pics.example.com\@127.0.0.1/",
    "http://pics.example.com@127.0.0.1/",
    "http://user:pw@pics.example.com/a",
    "http://127.0.0.1#@pics.example.com/",
    "http://127.0.0.1?@pics.example.com/",
    "http://pics.example.com:80:443/",
    "http://pics.example.com:99999/",
    "http://pics.example.com:8080/",
    "http:///pics.example.com/",
    "http://pics.example.com%00.evil.com/",
    "http://pics.example.com/%00",
    "http://pics。example。com/",
    "http://pics.example.com．/",
    "http://pics..example.com/",
    "http://-pics.example.com/",
    "http://pics.example.com./",
    "http://.cdn.example.com/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://2130706433/",
    "http://0177.0.0.1/",
    "http://0x7f.1/",
    "http://127.1/",
    "http://①②⑦.⓪.⓪.①/",
    "http://0x7f000001/",
    "http://127.0.0.1/",
    "http://localhost/",
    "http://pics.example.com.evil.com/",
    "http://evilcdn.example.com/",
    "http://pícs.example.com/",
    "http://рics.example.com/",
    "http:pics.example.com/",
    r"http:\\pics.example.com/",
    "//pics.example.com/",
    "pics.example.com/a.jpg",
    "HTTP:/pics.example.com/",
    "http://pics.example.com/a b",
    "file:///etc/passwd",
    "ftp://pics.example.com/a",
    "gopher://pics.example.com/",
    "s3://bucket/key",
    "data:,x",
    "javascript:alert(1)",
    "https://pics.example.com:80/",
    "http:// /",
]
CONTROLS = [f"http://pics.example{c}.com/" for c in "\t\n\r\0 \x0b\u200b\u00ad"] + [
    "http://pics.example.com/" + "a" * 100_000
]


def answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """An HTTP answer in full."""
    lines = {"Content-Length": str(len(body))} | {k.replace("_", "-"): v for k, v in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


@dataclass
class Trap:
    """A server on this machine that plays the whole internet, and remembers who was asked."""

    reply: Callable[[str, int], bytes | list[bytes]]
    pause: float = 0.0
    context: ssl.SSLContext | None = None
    names: dict[str, list[list[str]]] = field(default_factory=dict)
    dialled: list[str] = field(default_factory=list)
    lookups: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, plain: socket.socket) -> None:
        try:
            with self.context.wrap_socket(plain, server_side=True) if self.context else plain as connection:
                request = connection.recv(65536).decode("latin-1")
                self.requests.append(request)
                found = self.reply(request, len(self.requests))
                for part in [found] if isinstance(found, bytes) else found:
                    connection.sendall(part)
                    time.sleep(self.pause)
        except OSError:
            return

    def network(self) -> Network:
        return Network(self.resolve, self.connect)

    def resolve(self, host: str, port: int) -> list[str]:
        self.lookups.append(host)
        answers = self.names.get(host, [[PUBLIC]])
        return answers[min(self.lookups.count(host), len(answers)) - 1]

    def connect(self, address: str, port: int, seconds: float) -> httpcore2.NetworkStream:
        self.dialled.append(address)
        return system_connect("127.0.0.1", self.server.getsockname()[1], seconds)


Server = Callable[..., Trap]


@pytest.fixture
def trap() -> Iterator[Server]:
    traps: list[Trap] = []

    def make(reply: Callable[[str, int], bytes | list[bytes]] | bytes, **options: object) -> Trap:
        play = (lambda request, number: reply) if isinstance(reply, bytes) else reply
        traps.append(Trap(play, **options))  # type: ignore[arg-type]
        return traps[-1]

    yield make
    for one in traps:
        one.server.close()


def refused(url: str, trap: Trap, rules: UrlRules = RULES, cap: int = 100_000) -> str:
    with pytest.raises(FetchRefused) as refusal:
        fetch(url, rules, cap, trap.network())
    assert "example" not in str(refusal.value) and "127" not in str(refusal.value)
    return refusal.value.code


def test_an_allowed_picture_arrives_with_host_name_and_no_compression(trap: Server) -> None:
    server = trap(answer(jpeg()))
    assert fetch("http://pics.example.com/a/b.jpg?c=d#e", RULES, 100_000, server.network()) == jpeg()
    assert server.dialled == [PUBLIC] and server.lookups == ["pics.example.com"]
    request = server.requests[0].lower()
    assert request.startswith("get /a/b.jpg?c=d http/1.1") and "host: pics.example.com\r\n" in request
    assert "accept-encoding: identity" in request
    assert fetch("http://a.b.cdn.example.com/", RULES, 100_000, server.network()) == jpeg()


def test_addresses_are_off_unless_allowed() -> None:
    for url in ("http://pics.example.com/a.jpg", "https://1.1.1.1/", "ftp://x/y", "http:x", "file://host/x"):
        with pytest.raises(FetchRefused) as refusal:
            open_picture(url)
        assert refusal.value.code == "url_not_allowed"


@pytest.mark.parametrize("url", [*ODD_URLS, *CONTROLS], ids=lambda url: ascii(url[:40]))
def test_odd_spellings_reach_nobody(url: str, trap: Server) -> None:
    """U1, U2, U5: whatever parsers may disagree about is refused, and nothing is looked up or dialled."""
    server = trap(answer(jpeg()))
    with pytest.raises(FetchRefused) as refusal:
        fetch(url, RULES, 100_000, server.network())
    assert refusal.value.code == "url_not_allowed"
    assert server.dialled == [] and server.lookups == []


@pytest.mark.parametrize("address", SPECIAL)
def test_names_of_special_addresses_reach_nobody(address: str, trap: Server) -> None:
    """U1, U4: alone, among public ones, and written out where the rules would allow it."""
    assert not is_public(address)
    for answers in ([address], [PUBLIC, address], [address, PUBLIC]):
        server = trap(answer(jpeg()), names={"pics.example.com": [answers]})
        assert refused("http://pics.example.com/", server) == "url_not_allowed"
        assert server.dialled == []
    server = trap(answer(jpeg()), names={address: [[address]]})
    literal = f"[{address}]" if ":" in address else address
    with pytest.raises(FetchRefused):
        fetch(f"http://{literal}/", UrlRules(hosts=(address,)), 100_000, server.network())
    assert server.dialled == []


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::1"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


def test_rebinding_names_are_looked_up_once_per_hop(trap: Server) -> None:
    """U4: 200 tries; the first answer is the one dialled, the second is never asked for."""
    for _ in range(200):
        server = trap(answer(b"x"), names={"pics.example.com": [[PUBLIC], ["127.0.0.1"]]})
        fetch("http://pics.example.com/", RULES, 100, server.network())
        assert server.lookups == ["pics.example.com"] and server.dialled == [PUBLIC]
        server.server.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "http://pics.example.com:8080/",
        "https://pics.example.com/",
        "http://evil.com/",
        "//evil.com/",
        "http://[::1]/",
        "http://pics.example.com\\@evil.com/",
        "/a\tb",
        "/again",
    ],
)
def test_redirects_are_checked_at_every_hop(status: int, location: str, trap: Server) -> None:
    """U3: the last one loops."""
    server = trap(answer(b"", f"{status} Moved", Location=location))
    assert refused("http://pics.example.com/", server) == "url_not_allowed"
    assert len(server.dialled) == (4 if location == "/again" else 1)
    assert set(server.dialled) == {PUBLIC}


def test_a_redirect_to_a_name_that_is_inside_is_refused(trap: Server) -> None:
    names = {"in.cdn.example.com": [["10.0.0.7"]]}
    server = trap(answer(b"", "302 Found", Location="http://in.cdn.example.com/x"), names=names)
    assert refused("http://pics.example.com/", server) == "url_not_allowed"
    assert server.dialled == [PUBLIC]


def test_three_redirects_are_followed(trap: Server) -> None:
    def reply(request: str, number: int) -> bytes:
        return answer(jpeg()) if number == 4 else answer(b"", "302 Found", Location=f"/{number}")

    assert fetch("http://pics.example.com/", RULES, 100_000, trap(reply).network()) == jpeg()


@pytest.mark.parametrize(
    ("parts", "pause"),
    [
        ([b""] * 40, 0.1),
        ([bytes([c]) for c in b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789"], 0.1),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"] + [b"x"] * 900, 0.05),
    ],
    ids=["silence", "dripping header", "dripping body"],
)
def test_slow_servers_meet_the_wall_clock(parts: list[bytes], pause: float, trap: Server) -> None:
    """U6: no wait of httpx's own bounds the whole."""
    server = trap(lambda request, number: parts, pause=pause)
    start = time.monotonic()
    assert refused("http://pics.example.com/", server, UrlRules(RULES.hosts, seconds=0.7)) == "fetch_timeout"
    assert time.monotonic() - start < 3


def test_a_slow_resolver_meets_the_wall_clock(trap: Server) -> None:
    def slow(host: str, port: int) -> list[str]:
        time.sleep(3)
        return [PUBLIC]

    start = time.monotonic()
    with pytest.raises(FetchRefused) as refusal:
        fetch("http://pics.example.com/", UrlRules(RULES.hosts, seconds=0.3), 9, Network(slow, trap(b"").connect))
    assert refusal.value.code == "fetch_timeout" and time.monotonic() - start < 2.5


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (answer(b"x" * 999, Content_Length="10000000000"), "fetch_too_large"),
        (answer(b"x" * 1001), "fetch_too_large"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000, "fetch_too_large"),
        (CHUNKED + b"400\r\n" + b"x" * 1024 + b"\r\n", "fetch_too_large"),
        (answer(b"x" * 500, Content_Length="900"), "fetch_incomplete"),
        (CHUNKED + b"10\r\nshort", "fetch_incomplete"),
        (CHUNKED + b"zz\r\n", "fetch_incomplete"),
        (answer(b"x", Content_Length="-5"), "fetch_failed"),
        (answer(b"x", Content_Length="many"), "fetch_failed"),
        (answer(b"x" * 10, Content_Encoding="gzip"), "fetch_failed"),
        (b"SSH-2.0-OpenSSH\r\n", "fetch_failed"),
        (b"", "fetch_failed"),
        (answer(b"", "204 No Content"), "fetch_failed"),
        (answer(b"x", "206 Partial Content"), "fetch_failed"),
        (answer(b"x", "403 Forbidden"), "fetch_failed"),
        (answer(b"x", "404 Not Found"), "fetch_failed"),
        (answer(b"", "302 Found"), "fetch_failed"),
    ],
)
def test_odd_answers_are_typed(reply: bytes, code: str, trap: Server) -> None:
    """U7, U8, U9: and none but 5xx is tried again."""
    server = trap(reply)
    assert refused("http://pics.example.com/", server, cap=1000) == code
    assert len(server.requests) == 1


def test_exactly_the_cap_arrives(trap: Server) -> None:
    assert len(fetch("http://pics.example.com/", RULES, 1000, trap(answer(b"x" * 1000)).network())) == 1000


def test_server_errors_are_tried_three_times_in_all(trap: Server) -> None:
    """U9."""
    server = trap(answer(b"", "503 Busy"))
    assert refused("http://pics.example.com/", server) == "fetch_failed"
    assert len(server.requests) == 3
    recovering = trap(lambda request, number: answer(b"", "500 Oops") if number < 3 else answer(jpeg()))
    assert fetch("http://pics.example.com/", RULES, 100_000, recovering.network()) == jpeg()


def test_html_and_wrong_types_are_judged_by_their_bytes(trap: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """U9: through `open_picture` itself."""

    def reply(request: str, number: int) -> bytes:
        return answer(png() if number == 1 else b"<html>404</html>", Content_Type="text/html")

    server = trap(reply)
    monkeypatch.setattr("zoomagent.media.fetching.fetch.Network", server.network)
    assert open_picture("http://pics.example.com/a", allow_urls=RULES).size.width == 160
    with pytest.raises(InputRefused) as refusal:
        open_picture("http://pics.example.com/a", allow_urls=RULES)
    assert refusal.value.code == "unsupported_image"


def test_unknown_and_unreachable_hosts_are_typed(trap: Server) -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "unknown")

    def unreachable(address: str, port: int, seconds: float) -> httpcore2.NetworkStream:
        raise httpcore2.ConnectError("no route to 93.184.216.34")

    for network in (Network(unknown), Network(trap(b"").resolve, unreachable)):
        with pytest.raises(FetchRefused) as refusal:
            fetch("http://pics.example.com/", RULES, 9, network)
        assert refusal.value.code == "fetch_failed" and "93" not in str(refusal.value)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
@pytest.mark.parametrize("name", ["pics.example.com", "other.example.com"])
def test_certificates_are_checked(name: str, trap: Server, tmp_path: Path) -> None:
    """U10: self-signed, and of another host."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -addext subjectAltName=DNS:{name}"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    assert refused("https://pics.example.com/", trap(answer(jpeg()), context=context)) == "fetch_tls"


def test_the_same_address_asked_100_times_at_once_is_fetched_once(trap: Server) -> None:
    """U12: the answer is held back until everyone has asked."""
    asked, everyone = threading.Semaphore(0), threading.Event()

    def reply(request: str, number: int) -> bytes:
        everyone.wait(60)
        return answer(jpeg())

    server = trap(reply)
    network, patient = server.network(), UrlRules(RULES.hosts, seconds=60)

    def ask(_: int) -> bytes:
        asked.release()
        return fetch("http://pics.example.com/", patient, 100_000, network)

    with ThreadPoolExecutor(100) as pool:
        found = [pool.submit(ask, number) for number in range(100)]
        for _ in range(100):
            asked.acquire()
        time.sleep(0.3)
        everyone.set()
        assert {future.result() for future in found} == {jpeg()}
    assert len(server.requests) == 1
