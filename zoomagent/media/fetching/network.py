"""Dialling: names are resolved once, every answer must be public, and the checked address is the one dialled.

The URL keeps its host, so `Host`, SNI and the certificate check see the name. Every wait ends at one deadline.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import httpcore2

from zoomagent.errors import FetchRefused
from zoomagent.media.fetching.url_rules import is_public, not_allowed

Resolve = Callable[[str, int], list[str]]
Connect = Callable[[str, int, float], httpcore2.NetworkStream]


def system_resolve(host: str, port: int) -> list[str]:
    """All addresses of a name, as the system's resolver gives them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def system_connect(address: str, port: int, seconds: float) -> httpcore2.NetworkStream:
    """A TCP connection to an address."""
    return httpcore2.SyncBackend().connect_tcp(address, port, timeout=seconds)


@dataclass(frozen=True)
class Network:
    """The two things asked of the outer world; tests put a trap in their place."""

    resolve: Resolve = system_resolve
    connect: Connect = system_connect


class GuardedBackend(httpcore2.NetworkBackend):
    """httpcore's network, fenced: public addresses only, all waits bounded by `deadline`."""

    def __init__(self, network: Network, deadline: float) -> None:
        self._network = network
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        # The resolver has no time limit of its own, so it runs beside us.
        answer: list[list[str]] = []

        def ask() -> None:
            try:
                answer.append(self._network.resolve(host, port))
            except (OSError, UnicodeError):
                answer.append([])

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(remaining(self._deadline))
        if not answer:
            raise timed_out()
        if not answer[0]:
            raise FetchRefused("The picture's host is not known. Check its name.", code="fetch_failed")
        addresses = answer[0]
        if not addresses or not all(is_public(address) for address in addresses):
            raise not_allowed("its host has no public address, or not only public ones")
        for address in addresses[:3]:
            try:
                stream = self._network.connect(address, port, remaining(self._deadline))
            except httpcore2.ConnectError:
                continue
            return _BoundedStream(stream, self._deadline)
        raise FetchRefused("The picture's host cannot be reached. Try later.", code="fetch_failed")


class _BoundedStream(httpcore2.NetworkStream):
    """A stream of which no wait outlasts the deadline, however slowly bytes drip."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, remaining(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, remaining(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            stream = self._stream.start_tls(ssl_context, server_hostname, remaining(self._deadline))
        except httpcore2.ConnectError as error:
            raise FetchRefused(
                "The host's certificate or encryption is not in order. Give the picture itself.", code="fetch_tls"
            ) from error
        return _BoundedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def remaining(deadline: float) -> float:
    """Seconds left, or the timeout as an error."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise timed_out()
    return left


def timed_out() -> FetchRefused:
    return FetchRefused("The picture did not arrive in time. Try later or give the file.", code="fetch_timeout")
