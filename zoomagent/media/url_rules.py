"""Which addresses may be fetched: off unless given, and then only these hosts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class UrlRules:
    """`hosts` are exact names, or `.example.com` for every name under it. Only public addresses are dialled."""

    hosts: tuple[str, ...]
    max_redirects: int = 3
    seconds: float = 15.0

    def allows(self, host: str) -> bool:
        """Whether a lower-case ASCII host name is on the list."""
        return any(
            host == rule or (rule.startswith(".") and host.endswith(rule))
            for rule in (name.lower().rstrip(".") for name in self.hosts)
        )
