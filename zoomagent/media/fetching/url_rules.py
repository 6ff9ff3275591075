"""Which addresses may be fetched: off unless given, then only these hosts, spelled in one way only.

Whatever two URL parsers might read differently is refused, so the host that was checked is the host that is asked.
"""

import ipaddress
import re
from dataclasses import dataclass

from zoomagent.errors import FetchRefused

_URL = re.compile(r"(https?)://([A-Za-z0-9.-]{1,253})(?::(\d{1,5}))?((?:/[!-~]*)?)")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class UrlRules:
    """`hosts` are exact names, or `.example.com` for every name under it. Only public addresses are dialled."""

    hosts: tuple[str, ...]
    max_redirects: int = 3
    seconds: float = 15.0

    def allows(self, host: str) -> bool:
        """Whether a lower-case ASCII host name is on the list."""
        names = (name.lower().rstrip(".") for name in self.hosts)
        return any(host == name or (name.startswith(".") and host.endswith(name)) for name in names)


@dataclass(frozen=True)
class Target:
    """A checked URL in its parts. `path` is sent as it is."""

    scheme: str
    host: str
    path: str

    @property
    def port(self) -> int:
        return _PORTS[self.scheme]

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}{self.path}"


def check_url(url: str, rules: UrlRules) -> Target:
    """The parts of an allowed http(s) URL; FetchRefused for any other or oddly written one."""
    match = _URL.fullmatch(url) if len(url) <= 2048 else None
    if match is None or "\\" in url or "%00" in url:
        raise not_allowed("only plain http:// and https:// addresses are fetched")
    scheme, host, port, path = match.groups()
    host = host.lower()
    if port is not None and int(port) != _PORTS[scheme]:
        raise not_allowed("only ports 80 and 443 are used")
    if not _is_host(host):
        raise not_allowed("its host is not written as a plain name")
    if not rules.allows(host):
        raise not_allowed("its host is not on the list")
    return Target(scheme, host, path.partition("#")[0] or "/")


def _is_host(host: str) -> bool:
    """A dotted name whose last part is no number, or an IPv4 address in its one usual spelling."""
    labels = host.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        return False
    if labels[-1][0].isdigit():
        try:
            return str(ipaddress.IPv4Address(host)) == host
        except ValueError:
            return False
    return True


def not_allowed(why: str) -> FetchRefused:
    """The refusal of an address, without repeating it."""
    return FetchRefused(f"This address may not be fetched: {why}. Give the picture itself or change UrlRules.")
