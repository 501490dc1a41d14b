"""Who may use the management API: bearer tokens with roles; and no web page, for a page is steered by who wrote it."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from hmac import compare_digest
from ipaddress import ip_address
from typing import Final, NamedTuple

from twisted.logger import Logger

from gortc.fresh import Fresh
from gortc.oam.doors import mark
from gortc.oam.route import ADMIN, DENIED, OPEN, ROLES, Problem

_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/?#@\[\]]+))(?::[0-9]{0,5})?")
_log = Logger(namespace="gortc.api")


class Who(NamedTuple):
    """Who asks: the role of the token shown, the name that the file gives it, by default the role, and what stands for
    the token: several may have one name."""

    role: str
    name: str
    token: str = ""


NOBODY: Final = Who(OPEN, "nobody")


class Tokens:
    """The tokens of a file, which is made, with one admin token, where there is none: for its owner only.

    A line has a role, a token, and, for the log, whose it is; the file is read again when it has changed. Raises
    ValueError where it can't be followed, OSError where it can be neither read nor made.
    """

    def __init__(self, path: str) -> None:
        if not os.path.exists(path):
            make(path)
        elif os.stat(path).st_mode & 0o077:
            _log.warn("{path} is not its owner's alone: chmod 600 {path}", path=path)
        self._tokens: Fresh[dict[str, Who]] = Fresh(lambda: [path], lambda: read(path))

    def whose(self, shown: str) -> Who | None:
        """Whose token that is; None where there is no such token. Each is compared, in constant time."""
        found = None
        for token, who in self._tokens.value().items():
            if compare_digest(token.encode(), shown.encode("utf-8", "surrogateescape")):
                found = who
        return found


def make(path: str) -> None:
    """A file with a new admin token."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{ADMIN} {secrets.token_urlsafe(32)}\n")


def read(path: str) -> dict[str, Who]:
    """Token -> whose it is. Raises ValueError, which quotes none of them."""
    tokens = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if not 2 <= len(words) <= 3 or words[0] not in ROLES[1:]:
                raise ValueError(f"{path}, line {number}: a line is read, operate or admin, a token, and maybe a name")
            if len(words[1]) < 32:
                raise ValueError(f"{path}, line {number}: a token has 32 characters at least")
            tokens[words[1]] = Who(words[0], words[2] if len(words) == 3 else words[0], mark(words[1]))
    if not tokens:
        raise ValueError(f"{path} has no tokens")
    return tokens


class Access:
    """Decides about each request."""

    def __init__(self, tokens: Tokens, domains: frozenset[str]) -> None:
        """`domains` are the node's own."""
        self._tokens = tokens
        self._domains = domains

    def who(self, headers: Mapping[str, str]) -> Who:
        """Who asks, by the headers, names in lower case."""
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        return (self._tokens.whose(shown.strip()) if scheme.lower() == "bearer" else None) or NOBODY

    def check(self, headers: Mapping[str, str], needs_host: bool) -> None:
        """Raises Problem where a page has sent it; also where there is no Host, unless it needs none: a page's request
        has one, that of a load balancer by HTTP/1.0 does not."""
        host, origin = headers.get("host"), headers.get("origin")
        if host is None:
            if needs_host or origin is not None:
                raise Problem(403, DENIED, "there is no Host")
            return
        if not self._is_ours(host_of(host)):  # a name that a page has pointed here
            raise Problem(403, DENIED, "the Host is not this server's")
        if origin is not None and origin.partition("://")[2] != host:
            raise Problem(403, DENIED, "pages of other origins may not")

    def _is_ours(self, host: str) -> bool:
        if host == "localhost" or host in self._domains:
            return True
        try:
            return bool(ip_address(host))
        except ValueError:
            return False


def permit(shown: str, role: str) -> None:
    """Whether who has shown a token of the role `shown` may do what `role` may. Raises Problem."""
    if ROLES.index(shown) >= ROLES.index(role):
        return
    if shown == OPEN:
        raise Problem(401, DENIED, "show a token: Authorization: Bearer TOKEN")
    raise Problem(403, DENIED, f"that needs the role {role}")


def host_of(text: str) -> str:
    """The host of `host[:port]`, as it compares; "" where that is none (RFC 9110 section 7.2)."""
    found = _HOST.fullmatch(text)
    return (found[1] or found[2]).lower() if found else ""
