"""What a stranger writes takes no longer to read than it is long: no parser takes the square of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import thread_time
from typing import Any

import pytest

from gortc.admission.addresses import Proxies
from gortc.admission.interfaces import Refused
from gortc.admission.mtls import _HOST, _MAIL, _SIP
from gortc.admission.static import _ARGON2ID, _SCRYPT
from gortc.jsip.memory import effort, weigh
from gortc.jsip.syntax import ESCAPED, FILLED, HALF, MASK
from gortc.jsip.uri import is_party, same_name
from gortc.oam import paths
from gortc.oam.access import host_of
from gortc.oam.doors import hide, told
from gortc.oam.route import Problem
from gortc.printable import line, printable
from gortc.service.early import RACK
from gortc.transport.credentials import BadCredentials, credentials
from gortc.transport.dial import is_host
from gortc.transport.frames import split
from gortc.transport.headers import excess, read_headers
from gortc.transport.names import BadName, channel_name
from gortc.transport.websocket import parse_query
from gortc.transport.window import read_own

SIZE = 65536
MOST = 0.5
"""Seconds of this thread. What is linear takes some milliseconds; the square of the size some thirty seconds."""

ALIKE = (" ", "\t", "\n", "\r\n", "\x85", "a", "1", ".", ",", ";", ":", "=", "/", "?", "#", "&", "@", "%", "%20", "-",
         "_", "(", "[", "]", "{", '"', "\\", "'", "<", "$", "é", "\u200b", "\U0001f600")  # fmt: skip
MIXED = (", ", "; ", "a ", " a", "a,", "a;", "a=", "a=b;", "a=b,", "a=b&", "a: b\r\n", "a:\n", "a.", ".a", "1.", ":1",
         "::", "%25", "a@", "/a", '"a', '\\"', 'a="', 'a="b,c";', 'a="\\', "for=1.2.3.4,", "for=", "127.0.0.1,", "::1,",
         ";relid=", ";relid=a", "_0", "_" + "0" * 32, "\\u", "\\ud800", "\\\\u", "xn--a.", "é.", "Bearer ", "Basic ",
         "[[", "[]", "[],", '{"":', '"a",', "http://", "jsip.token.", "\x81\x80aaaa",
         "\x89\x80aaaa", "\x00\x80a")  # fmt: skip
AROUND = (("", ""), ("a", "b"), ("a:", ":"), ("X: a", "b"), ("for=1.2.3.4;", ";"), ('for="', ""), ("[", ""), ("1", "x"),
          ("fe80::1%", ","), ("/", "?"), ("http://a", "\n"), ("sip:", "@"), ("a@b;a=", "\x00"), ("_", "g"),
          (";a=", " "), ("Bearer ", " x"), ("1 ", " 1 x"))  # fmt: skip
TEXTS = [before + (of * (SIZE // len(of))) + after for of in (*ALIKE, *MIXED) for before, after in AROUND]

LISTED, FORWARDED = Proxies(("127.0.0.0/8", "::1")), Proxies(("127.0.0.0/8", "::1"), "Forwarded")


def head(text: str) -> bytes:
    """One with such a header."""
    return b"GET / HTTP/1.1\r\nX: " + text.encode("utf-8", "replace") + b"\r\n\r\n"


def fields(text: str) -> None:
    """What a client's target and its query are read by."""
    target = paths.read("/" + text)
    paths.read(text)
    for part in target.parts:
        paths.encoded(part)


PARSERS: dict[str, Callable[[str], Any]] = {
    "the head's lines": lambda text: excess(head(text)),
    "the head, of such a header": lambda text: read_headers(head(text)),
    "the head": lambda text: read_headers(text.encode("utf-8", "replace")),
    "the query": lambda text: parse_query("/rtc?" + text),
    "the userid": channel_name,
    "Authorization": lambda text: credentials(text, [], []),
    "tokens": lambda text: credentials(None, [text], [text]),
    "X-Forwarded-For": lambda text: LISTED.source("127.0.0.1", text),
    "Forwarded": lambda text: FORWARDED.source("127.0.0.1", text),
    "a name": lambda text: same_name(text, "alice@gortc.local"),
    "a party": lambda text: is_party("alice", text),
    "a host to dial": is_host,
    "a host of a certificate": _HOST.fullmatch,
    "a mail address of a certificate": _MAIL.fullmatch,
    "a URI of a certificate": _SIP.fullmatch,
    "a hash": lambda text: (_SCRYPT.fullmatch(text), _ARGON2ID.fullmatch(text)),
    "RAck": RACK.fullmatch,
    "halves of characters": lambda text: HALF.sub(FILLED, text.encode().replace(ESCAPED, MASK)),
    "frames": lambda text: split(text.encode("latin-1", "replace"), 65536),
    "a channel's own frame": lambda text: read_own(text.encode()),
    "what a message weighs": lambda text: (weigh(text.encode(), {"Body": text}, nested=True), effort(text.encode())),
    "a target of the API": fields,
    "a host of the API": host_of,
    "what a reader is told": lambda text: (hide(text), told(text, "read")),
    "what is printed": lambda text: (printable(text[: SIZE // 8]), line(text, 200)),
}
CAN = (BadName, BadCredentials, Problem, Refused, ValueError)
"""What they may say of it."""


@pytest.mark.parametrize("name", PARSERS)
def test_it_takes_as_long_as_it_is_long(name: str) -> None:
    parse = PARSERS[name]
    for text in TEXTS:
        begin = thread_time()
        with suppress(*CAN):
            parse(text)
        took = thread_time() - begin
        assert took < MOST, f"{text[:40]!r}... takes {took:.1f} s"
