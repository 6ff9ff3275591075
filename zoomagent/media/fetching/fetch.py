"""Fetching a picture from an allowed host: every hop checked, bytes and seconds capped, one flight per address.

No proxies, cookies, compression or other ports; certificates are always checked. What arrives is bytes that the
header reader still has to believe.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from urllib.parse import urljoin

import httpcore2

from zoomagent.errors import FetchRefused
from zoomagent.media.fetching.network import GuardedBackend, Network, timed_out
from zoomagent.media.fetching.url_rules import Target, UrlRules, check_url, not_allowed

_RETRIES = 2
_REDIRECTS = (301, 302, 303, 307, 308)
_HEADERS: dict[bytes | str, bytes | str] = {
    "Accept": "image/*",
    "Accept-Encoding": "identity",
    "User-Agent": "zoomagent",
    "Connection": "close",
}

_flights: dict[tuple[str, UrlRules, int], Future[bytes]] = {}
_flights_lock = threading.Lock()


def fetch(url: str, rules: UrlRules, max_bytes: int, network: Network | None = None) -> bytes:
    """The bytes at `url`. Callers that ask for the same at the same time share one request."""
    key = (url, rules, max_bytes)
    with _flights_lock:
        flight, is_mine = _flights.get(key), False
        if flight is None:
            flight, is_mine = _flights.setdefault(key, Future()), True
    if not is_mine:
        return flight.result()
    try:
        flight.set_result(_fetch(url, rules, max_bytes, network or Network()))
    except BaseException as error:
        flight.set_exception(error)
    finally:
        with _flights_lock:
            del _flights[key]
    return flight.result()


def _fetch(url: str, rules: UrlRules, max_bytes: int, network: Network) -> bytes:
    deadline = time.monotonic() + rules.seconds
    target = first = check_url(url, rules)
    hops = tries = 0
    while True:
        with _open_response(target, network, deadline) as response:
            if response.status == 200:
                # The body, at most `max_bytes`; read only if its declared length allows it.
                declared = _header(response, b"content-length")
                if declared is not None and int(declared) > max_bytes:
                    raise _too_large(max_bytes)
                if _header(response, b"content-encoding") not in (None, "identity"):
                    raise FetchRefused("The host compresses though asked not to. Give the file.", code="fetch_failed")
                body = bytearray()
                try:
                    for block in response.iter_stream():
                        body += block
                        if len(body) > max_bytes:
                            raise _too_large(max_bytes)
                except (httpcore2.ReadError, httpcore2.ProtocolError) as error:
                    raise FetchRefused(
                        "The picture broke off on its way. Try again.", code="fetch_incomplete"
                    ) from error
                return bytes(body)
            location = _header(response, b"location")
        if response.status in _REDIRECTS and location is not None:
            hops += 1
            if hops > rules.max_redirects:
                raise not_allowed("it was passed on too often")
            if not location.isascii() or not location.isprintable() or " " in location:
                raise not_allowed("it was passed on to an oddly written address")
            following = check_url(urljoin(target.url, location), rules)
            if following.scheme != target.scheme:
                raise not_allowed("it was passed on from one scheme to another")
            target = following
        elif 500 <= response.status <= 599 and tries < _RETRIES:
            tries += 1
            target = first
            time.sleep(0.1 * tries)
        else:
            raise FetchRefused(f"The host answered {response.status}, not a picture.", code="fetch_failed")


@contextmanager
def _open_response(target: Target, network: Network, deadline: float) -> Iterator[httpcore2.Response]:
    """The host's response, open; what fails while it is read is a FetchRefused."""
    backend = GuardedBackend(network, deadline)
    try:
        with (
            httpcore2.ConnectionPool(network_backend=backend, max_connections=1) as pool,
            pool.stream("GET", target.url, headers={"Host": target.host, **_HEADERS}) as response,
        ):
            yield response
    except httpcore2.TimeoutException as error:
        raise timed_out() from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        raise FetchRefused("The host's answer makes no sense or broke off.", code="fetch_failed") from error


def _header(response: httpcore2.Response, name: bytes) -> str | None:
    values = [value.decode("latin-1") for key, value in response.headers if key.lower() == name]
    return values[0] if values else None


def _too_large(max_bytes: int) -> FetchRefused:
    return FetchRefused(
        f"The picture has more than {max_bytes} bytes. Allow more with --max-bytes of the command (Limits.max_bytes in "
        "Python), or give a smaller one.",
        code="fetch_too_large",
    )
