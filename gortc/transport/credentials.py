"""Credentials: where a peer shows its token or its password. docs/jsip.md section 1, "Who may connect".

By `Authorization`, by `?token=`, or, for browsers, which can't set headers, by a subprotocol.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from urllib.parse import unquote

TOKEN = "jsip.token."
"""What follows in the name of this subprotocol is the token, percent-encoded."""


class BadCredentials(ValueError):
    """They can't be read; the text does not quote them."""


class Credentials:
    """A `token`, or a user and `password`, or neither."""

    def __init__(self, token: str | None = None, password: tuple[str, str] | None = None) -> None:
        self.token = token
        self.password = password


def credentials(authorization: str | None, tokens: Sequence[str], protocols: Sequence[str]) -> Credentials:
    """What the peer has shown: `tokens` are the values of `?token=`, not decoded yet. Raises BadCredentials."""
    found = [Credentials(unquote(text)) for text in tokens]
    found += [Credentials(unquote(name[len(TOKEN) :])) for name in protocols if name.startswith(TOKEN)]
    if authorization is not None:
        found.append(read_authorization(authorization))
    if len(found) > 1:  # which one would count?
        raise BadCredentials("show one token or password, at one place")
    return found[0] if found else Credentials()


def read_authorization(text: str) -> Credentials:
    """The `Authorization` header: Bearer (RFC 6750 section 2.1), Basic (RFC 7617 section 2). Raises BadCredentials."""
    scheme, _, value = text.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer" and value and " " not in value and "," not in value:
        return Credentials(value)
    if scheme.lower() == "basic":
        try:
            user, colon, password = b64decode(value, validate=True).decode().partition(":")
        except ValueError:
            user = colon = password = ""
        if colon:
            return Credentials(password=(user, password))
    raise BadCredentials("Authorization must be Bearer TOKEN, or Basic")
