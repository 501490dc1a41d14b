"""URIs as JSIP writes them, `[prefix:]user@host[:port][;key=value][;flag]`: docs/jsip.md section 2.

A URI prints back as it was read. How it is compared is here, too, and nowhere else (RFC 3261 section 19.1.4):
`URI.name` is the one spelling of a name, and `same_name` tells whether two texts spell the same one.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address
from itertools import groupby
from string import ascii_lowercase, ascii_uppercase
from typing import Final
from urllib.parse import quote, unquote_to_bytes

import idna
from attrs import field, frozen

_URI = re.compile(
    r"""
    (?: (?P<prefix> [A-Za-z][A-Za-z0-9+.-]* ) : (?! [0-9]{1,5} (?: ; | \Z ) ) )?   # sip:host, but not host:5060
    (?: (?P<user> [^@:;,\s\x00-\x1f\x7f]+ ) @ )?
    (?P<host> \[ [0-9A-Fa-f:.]+ \] | [^@:;,\s\[\]\x00-\x1f\x7f]+ )
    (?: : (?P<port> [0-9]{1,5} ) )?
    (?P<params> (?: ; [^;,=\s\x00-\x1f\x7f]+ (?: = [^;,\s\x00-\x1f\x7f]* )? )* )
    """,
    re.VERBOSE,
)

_PLAIN: Final = frozenset(("sip", "sips"))
"""Prefixes that make no other name: alice is the same user, in the clear or not."""

# RFC 3261 section 25.1: unreserved and user-unreserved, but for the comma and the semicolon, which JSIP reads itself.
_USER: Final = re.compile(r"[A-Za-z0-9_.!~*'()&=+$?/-]*")
_ESCAPES: Final = {code: f"%{code:02X}" for code in range(128) if not _USER.fullmatch(chr(code))}
_ASCII_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)


class BadURI(ValueError):
    """The text is no URI of JSIP; `str()` of it says so for a `Reason` header."""


@frozen
class URI:
    """One parsed URI. Made by `parse`; parameters keep their order, a flag's value is None.

    Prefix and user are as they were written, the host is as it compares. A host that is not ASCII then is none that can
    be: neither a name of IDNA nor a token.
    """

    text: str
    prefix: str | None = field(eq=False)
    user: str | None = field(eq=False)
    host: str = field(eq=False)
    port: int | None = field(eq=False)
    params: dict[str, str | None] = field(eq=False)
    address: str = field(eq=False)
    """`user@host` (or the host alone), each in its one spelling."""
    name: str = field(eq=False)
    """How a channel is named: the address, after the prefix where that is another one than sip and sips."""

    def __str__(self) -> str:
        return self.text


LENGTH_MAX = 1024
"""No URI is longer, in characters."""
HOST_MAX: Final = 253
"""No host name is longer (RFC 1035 section 2.3.4)."""
LABELS_MAX: Final = 4
BEYOND_MAX: Final = 64
"""So many labels, and characters, of a host may be beyond ASCII: peers choose what is looked up, and each takes its
time."""
LABEL_MAX: Final = 59
"""No label beyond ASCII is longer: its A-label has `xn--`, an octet a character at least, and 63 of them at most."""
_TOO_LONG: Final = f"a URI of more than {LENGTH_MAX} characters"

KEPT_LENGTH: Final = 128
KEPT_PARAMS: Final = 16
"""What is longer or has more parameters is read each time: peers choose what is kept, and all of it takes some MB."""
KEPT_MAX: Final = 1024


class _Kept(dict[str, URI]):
    """URIs by their texts, so that who says the same again is not read again. A table and no `lru_cache`, which would
    keep texts of any length; its look-up calls nothing."""

    def __missing__(self, text: str) -> URI:
        uri = _read(text)
        if len(text) <= KEPT_LENGTH and len(uri.name) <= KEPT_LENGTH and len(uri.params) <= KEPT_PARAMS:
            if len(self) >= KEPT_MAX:
                del self[next(iter(self))]
            self[text] = uri
        return uri


_kept: Final = _Kept()


def _read(text: str) -> URI:
    if len(text) > LENGTH_MAX:
        raise BadURI(_TOO_LONG)
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
    prefix, user = match["prefix"], match["user"]
    before = f"{_user(user)}@" if user else ""  # first, for it may be too long
    host = _host(match["host"])
    address = name = before + host
    if prefix is not None and prefix.lower() not in _PLAIN:
        name = f"{prefix.lower()}:{address}"
    if len(name) > LENGTH_MAX:
        raise BadURI(_TOO_LONG)
    return URI(text, prefix, user, host, port, params, address, name)


parse: Final[Callable[[str], URI]] = _kept.__getitem__
"""Read one URI.

Raises BadURI where the text does not follow the grammar, is too long (with its user escaped, too), or its port is
over 65,535.
"""


def canonical(text: str) -> str:
    """The one spelling of the name that `text` spells.

    What spells no name stands for itself alone: what is no URI, and a URI with a port or parameters.
    """
    try:
        uri = parse(text)
    except BadURI:
        return text
    return text if uri.port is not None or uri.params else uri.name


def same_name(one: str, other: str) -> bool:
    """Whether two texts spell the same name: `sip:alice@GORTC.com` and `alice@gortc.com` do (RFC 3261 section 19.1.4).

    A URI with a port or parameters says more than a name: it is the same as its own text only.
    """
    return one == other or canonical(one) == canonical(other)


def is_party(party: str, text: str) -> bool:
    """Whether `party`, a user or a number, with its host or without, is who the URI `text` leads to."""
    if party in (text, text.partition("@")[0]):
        return True
    try:
        uri = parse(text)
    except BadURI:
        return False
    return canonical(party) == uri.name or canonical(f"{party}@{uri.host}") == uri.name


def _user(text: str) -> str:
    """The one spelling of a user, as RFC 3261 section 25.1 has it: the case counts, an escaped character that needs no
    escape is the character, and any other is escaped.

    So nothing that was escaped can be read as the end of the user later (`@`, `:`), nor be decoded again (`%`). JSIP is
    UTF-8: what can be printed beyond ASCII needs no escape. What is no UTF-8 stays escaped.
    """
    if _USER.fullmatch(text):
        return text
    octets = unquote_to_bytes(text.encode("utf-8", "surrogatepass"))
    user = octets.decode("utf-8", "surrogateescape").translate(_ESCAPES)
    if user.isprintable():
        return user
    made = ""
    for shown, characters in groupby(user, str.isprintable):
        run = "".join(characters)
        made += run if shown else quote(run, safe="", errors="surrogateescape")
        if len(made) > LENGTH_MAX:  # before all of it is escaped
            raise BadURI(_TOO_LONG)
    return made


def _host(text: str) -> str:
    """The one spelling of a host: in ASCII, where it is one (`URI.host`).

    A final dot is a part of it: RFC 3261 section 19.1.4 compares what is written.
    """
    if not text.isascii():
        labels = text.split(".")  # IDNA's other dots are no dots here: they would fold
        beyond = len(text) - len(text.encode("ascii", "ignore"))
        if len(text) > HOST_MAX or beyond > BEYOND_MAX or sum(not label.isascii() for label in labels) > LABELS_MAX:
            return text  # no host has so many, and to look them all up would take long
        return ".".join(map(_label, labels))
    if not text.startswith("["):
        return text.lower()
    # RFC 5954 section 4.2: two IPv6 addresses are the same where their 128 bits are.
    try:
        address = IPv6Address(text[1:-1])
    except ValueError:
        return text.lower()
    mapped = address.ipv4_mapped  # RFC 5952 section 5; Python's own text depends on its version
    return f"[{address}]" if mapped is None else f"[::ffff:{mapped}]"


@lru_cache(maxsize=1024)  # none is longer than a host
def _label(text: str) -> str:
    """The A-label of a label (RFC 5891 section 4); what has none stays beyond ASCII, and so is no host's.

    Nothing is mapped: Unicode's cases and compatible forms would make one host of two.
    """
    text = text.translate(_ASCII_LOWER)
    if text.isascii() or len(text) > LABEL_MAX:
        return text
    try:
        return idna.alabel(text).decode()
    except UnicodeError:  # idna.IDNAError is one
        return text
