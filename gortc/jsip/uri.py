"""URIs as JSIP writes them, `[prefix:]user@host[:port][;key=value][;flag]`: docs/jsip.md section 2.

A URI prints back as it was read. The host compares without case (RFC 3261 section 19.1.4), the user with it.
"""

import re
from functools import lru_cache

from attrs import field, frozen

_URI = re.compile(
    r"""
    (?: (?P<prefix> [A-Za-z][A-Za-z0-9+.-]* ) : (?! \d{1,5} (?: ; | \Z ) ) )?   # sip:host, but not host:5060
    (?: (?P<user> [^@:;,\s\x00-\x1f\x7f]+ ) @ )?
    (?P<host> \[ [0-9A-Fa-f:.]+ \] | [^@:;,\s\[\]\x00-\x1f\x7f]+ )
    (?: : (?P<port> \d{1,5} ) )?
    (?P<params> (?: ; [^;,=\s\x00-\x1f\x7f]+ (?: = [^;,\s\x00-\x1f\x7f]* )? )* )
    """,
    re.VERBOSE,
)


class BadURI(ValueError):
    """The text is no URI of JSIP; `str()` of it says so for a `Reason` header."""


@frozen
class URI:
    """One parsed URI. Made by `parse`; parameters keep their order, a flag's value is None."""

    text: str
    prefix: str | None = field(eq=False)
    user: str | None = field(eq=False)
    host: str = field(eq=False)
    port: int | None = field(eq=False)
    params: dict[str, str | None] = field(eq=False)

    @property
    def address(self) -> str:
        """`user@host` (or the host alone), the host in lower case: how a channel is named."""
        return f"{self.user}@{self.host}" if self.user else self.host

    @property
    def name(self) -> str:
        """The address with its prefix, where it has one."""
        return f"{self.prefix}:{self.address}" if self.prefix else self.address

    def __str__(self) -> str:
        return self.text


LENGTH_MAX = 1024
"""No URI is longer, in characters."""


@lru_cache(maxsize=4096)  # peers choose what is kept: 4 MB at the most, for no URI is longer than LENGTH_MAX
def parse(text: str) -> URI:
    """Read one URI.

    Raises BadURI where `text` does not follow the grammar, is too long, or its port is over 65,535.
    """
    if len(text) > LENGTH_MAX:
        raise BadURI(f"a URI of more than {LENGTH_MAX} characters")
    match = _URI.fullmatch(text)
    if match is None:
        raise BadURI(f"not a URI: {text[:80]!r}")
    port = int(match["port"]) if match["port"] else None
    if port is not None and port > 65535:
        raise BadURI(f"no such port: {text[:80]!r}")
    params: dict[str, str | None] = {}
    for param in match["params"].split(";")[1:]:
        key, equals, value = param.partition("=")
        params.setdefault(key, value if equals else None)
    return URI(text, match["prefix"], match["user"], match["host"].lower(), port, params)


def same(one: str, other: str) -> bool:
    """Whether two texts name the same user (RFC 3261 section 19.1.4)."""
    if one == other:
        return True
    try:
        return parse(one).address == parse(other).address
    except BadURI:
        return False
