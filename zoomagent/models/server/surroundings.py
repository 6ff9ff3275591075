"""What the environment says about the network, checked before it is used: proxies and certificates.

A setting that cannot work is SettingInvalid and names its variable; nothing of it reaches a run as another error. A
server on this machine is asked without a proxy. Left out: keys (`keys.py`), and what proxies then do.
"""

import ipaddress
import os
import ssl
from importlib.util import find_spec
from urllib.request import getproxies_environment, proxy_bypass

import httpx2

from zoomagent.errors import SettingInvalid

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_SOCKS = ("socks5", "socks5h")


def certificates() -> ssl.SSLContext:
    """The certificates that servers are checked by."""
    try:
        return httpx2.create_ssl_context()
    except OSError as error:
        named = " or ".join(name for name in CERTIFICATES if os.environ.get(name)) or "the system's certificates"
        raise SettingInvalid(f"{named} cannot be read. Name a file of certificates, or unset it.") from error


def proxy_for(base_url: str) -> str:
    """The variable whose proxy stands between here and the server; "" for none. Raises SettingInvalid for a proxy that
    cannot be used."""
    url = httpx2.URL(base_url)
    if _is_loopback(url.host) and not os.environ.get("no_proxy", os.environ.get("NO_PROXY")):
        _check_all()
        return ""
    if _is_loopback(url.host) or proxy_bypass(url.host):
        return ""
    _check_all()
    proxies = getproxies_environment()
    return next((f"{kind.upper()}_PROXY" for kind in (url.scheme, "all") if proxies.get(kind)), "")


def _check_all() -> None:
    for kind, address in getproxies_environment().items():
        if kind not in ("http", "https", "all") or not address:
            continue
        name = f"{kind.upper()}_PROXY"
        try:
            scheme = httpx2.URL(address if "://" in address else f"http://{address}").scheme
        except httpx2.InvalidURL as error:
            raise SettingInvalid(f"{name} is no address of a proxy. Write http://host:port, or unset it.") from error
        if scheme in _SOCKS and find_spec("socksio") is None:
            raise SettingInvalid(f'{name} names a SOCKS proxy, which needs: pip install "httpx[socks]". Or unset it.')
        if scheme not in ("http", "https", *_SOCKS):
            raise SettingInvalid(
                f"{name} begins with {scheme}://, which no proxy here has. Write http://, or unset it."
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.rstrip(".") == "localhost"
