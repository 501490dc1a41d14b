"""Routes: how the node reaches other domains. docs/jsip.md section 1, "Other domains"."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from attrs import Attribute, field, frozen


def _url(instance: object, attribute: Attribute[str], value: Any) -> None:
    try:
        parts = urlsplit(value)
        ok = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0 and not parts.query
    except (ValueError, TypeError, AttributeError):
        ok = False
    if not ok:
        raise ValueError(f"{value!r} is not a URL such as wss://gortc.example/rtc")


def _text(instance: object, attribute: Attribute[str], value: Any) -> None:
    if value is not None and (not isinstance(value, str) or not value.isprintable() or not value):
        raise ValueError(f"{attribute.name}: {value!r} is no line of text")


@frozen
class Route:
    """A next hop. Raises ValueError where a field can't be."""

    url: str = field(validator=_url)
    """Where it listens: ws:// or wss://, with its path."""
    trusted: bool = False
    """Whether `P-Asserted-Identity` goes there and is taken from there (RFC 3325)."""
    userid: str | None = field(default=None, validator=_text)
    """Who we are there; by default the node's realm."""
    authorization: str | None = field(default=None, validator=_text, repr=False)
    """The `Authorization` header of the handshake: our credentials there, such as `Bearer ...`."""
    ca: str | None = field(default=None, validator=_text)
    """A PEM file of the certificates to trust there; by default those that the system trusts."""
    certificate: str | None = field(default=None, validator=_text)
    """A PEM file of what we show there: our certificate, those between it and its root, and the key."""

    own_from: bool = True
    """Whether the From of what is opened there must be a name at one of the hosts that it is the route of. Off: it
    relays for others, and is believed. (Where it is trusted it is, anyway.)"""
    limited: bool = True
    """Whether it has the limits of a user. (Where it is trusted it has none.)"""

    @property
    def host(self) -> str:
        """The host that it names, which names the channel."""
        return urlsplit(self.url).hostname or ""

    @property
    def place(self) -> tuple[str, int, str]:
        """Where it is, however the URL spells it: host, port, path."""
        parts = urlsplit(self.url)
        return self.host, parts.port or (443 if self.secure else 80), parts.path or "/"

    @property
    def secure(self) -> bool:
        """Whether it is TLS."""
        return self.url.startswith("wss:")
