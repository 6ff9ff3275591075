"""Which key a model's server gets: only the one that was given for its address. The one place that reads them.

    ZOOMAGENT_MODEL_KEYS   "openrouter.ai=sk-or-…, localhost:8000=…"   each for its own host and port, nobody else
    OPENAI_API_KEY         for api.openai.com, or for the address in OPENAI_BASE_URL instead
    ZOOMAGENT_MODEL_KEY    for the servers that the user names as the model

The first that fits is taken. A host without a port means the usual one (443, 80); `http://host:port=key` says that the
key may travel in clear. ZOOMAGENT_API_KEY guards our own servers and is no key of a model. Left out: what else clients
of OpenAI read from the environment. It is not sent, but for organisation and project, which go with OpenAI's key.
"""

import ipaddress
import os
from dataclasses import dataclass, field

import httpx2

from zoomagent.errors import SettingInvalid

ONE, MANY, OPENAI, OPENAI_URL = "ZOOMAGENT_MODEL_KEY", "ZOOMAGENT_MODEL_KEYS", "OPENAI_API_KEY", "OPENAI_BASE_URL"
HOW = f"Set {ONE}, or {MANY}=host=key,… for several servers, or {OPENAI} for OpenAI itself (docs/providers.md)."
SENT = frozenset(("host", "connection", "user-agent", "accept", "accept-encoding", "content-type", "content-length"))
"""The headers of a request. The SDK adds others, some from the environment."""

SENT_TO_OPENAI = frozenset(("openai-organization", "openai-project"))
LOCAL_NAMES = (".localhost", ".local", ".internal", ".lan", ".home.arpa")

Origin = tuple[str, str, int]
"""Scheme, host and port: what a key is given for."""


@dataclass(frozen=True)
class ModelKey:
    """A key and the variable it came from; no secret where none was given for the address."""

    secret: str = field(default="", repr=False)
    source: str = ""

    def __post_init__(self) -> None:
        if not (self.secret.isascii() and self.secret.isprintable()):
            raise SettingInvalid(f"The key of {self.source} holds what no key can: only printable ASCII is sent.")

    @property
    def advice(self) -> str:
        """What to do about a refusal, in words that name variables only."""
        if not self.secret:
            return f"No key was given for this address, so none was sent. {HOW}"
        return f"It was sent the key of {self.source}: see whether that one is right, and what it may use. {HOW}"

    async def clean(self, request: httpx2.Request) -> None:
        """An event hook of the HTTP client: leave a request no other headers than it needs, and this key."""
        known = SENT | (SENT_TO_OPENAI if self.source == OPENAI else frozenset())
        for name in {name.lower() for name in request.headers} - known:
            del request.headers[name]
        if self.secret:
            request.headers["authorization"] = f"Bearer {self.secret}"


def key_for(base_url: str) -> ModelKey:
    """The key that the environment holds for a server. Raises SettingInvalid for one that would travel in clear."""
    origin = _origin(base_url)
    # The hosts and keys stand apart by commas or spaces.
    for number, pair in enumerate(os.environ.get(MANY, "").replace(",", " ").split(), start=1):
        host, _, secret = pair.partition("=")
        if not host or not secret:
            raise SettingInvalid(
                f"Entry {number} of {MANY} is no host=key. Write openrouter.ai=KEY,localhost:8000=KEY."
            )
        if _fits(host, origin):
            return ModelKey(secret, MANY)
    secret = os.environ.get(OPENAI, "").strip()
    if secret and _fits(os.environ.get(OPENAI_URL, "").strip() or "https://api.openai.com", origin):
        return ModelKey(secret, OPENAI)
    secret = os.environ.get(ONE, "").strip()
    if secret and _in_clear(origin):
        raise SettingInvalid(
            f"The key of {ONE} would travel to another network in clear (http). Use https, or say that it may: "
            f"{MANY}=http://host:port=key."
        )
    return ModelKey(secret, ONE) if secret else ModelKey()


def _fits(named: str, origin: Origin) -> bool:
    """Whether a key that was given for `named` may go to `origin`. Without http:// it never travels in clear beyond
    this machine and its network."""
    if "://" in named:
        return _origin(named) == origin
    return _origin(f"{origin[0]}://{named}") == origin and not _in_clear(origin)


def _origin(address: str) -> Origin:
    try:
        url = httpx2.URL(address)
    except httpx2.InvalidURL as error:
        raise SettingInvalid(f"An address of {MANY}, {OPENAI_URL} or the model is none. Write host:port.") from error
    host = url.host.rstrip(".")
    try:
        is_loopback = ipaddress.ip_address(url.host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    return url.scheme, "localhost" if is_loopback else host, url.port or (443 if url.scheme == "https" else 80)


def _in_clear(origin: Origin) -> bool:
    """Whether what is sent can be read on its way: not on this machine, nor in its own network."""
    scheme, host, _ = origin
    if scheme == "https":
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return not host.endswith(LOCAL_NAMES) and ("." in host or host[:1].isdigit())
    return not (address.is_loopback or address.is_private or address.is_link_local)
