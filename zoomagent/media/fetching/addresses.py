"""Which IP addresses are public: our own table, because `ipaddress.is_global` lets a dozen special ones through."""

import ipaddress

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
