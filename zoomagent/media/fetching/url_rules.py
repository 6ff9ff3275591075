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


_NOT_PUBLIC = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
"""168.63.129.16 looks public and is a cloud's own control address."""

_UNICAST = ipaddress.IPv6Network("2000::/3")
"""Everything public in IPv6. Mapped, translated and compatible IPv4 forms lie outside."""

_NOT_PUBLIC_6 = tuple(
    ipaddress.IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


def is_public(address: str) -> bool:
    """Whether an address in text form may be dialled. What cannot be read may not."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _NOT_PUBLIC)
    return ip.scope_id is None and ip in _UNICAST and not any(ip in network for network in _NOT_PUBLIC_6)
