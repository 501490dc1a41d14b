"""The head of an opening handshake, line by line as RFC 9112 has it."""

from __future__ import annotations

import re
from typing import Final

LINES_MAX: Final = 100
"""So many lines of headers a head may have: to whoever reads it, each is some hundred bytes, however short."""
FIELDS_MAX: Final = 100
"""So many fields its query may have, for the same reason."""

END: Final = b"\r\n\r\n"
KEPT: Final = (
    "http_request_data", "http_request_uri", "http_request_path", "http_request_params", "http_request_host",
    "http_response_data", "http_status_line", "http_headers", "websocket_origin", "websocket_protocols",
    "websocket_extensions",
)  # fmt: skip
"""What Autobahn keeps of a handshake, for as long as its connection lasts."""

_NAME: Final = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)


def excess(head: bytes) -> tuple[int, str]:
    """The status that refuses a `head` of too many parts, and why; 0 where it is none.

    Lines end here wherever Autobahn takes them to end.
    """
    lines = head.decode("latin-1").splitlines()
    if len(lines) - 1 > LINES_MAX:
        return 431, f"more than {LINES_MAX} headers"  # RFC 6585 section 5
    if lines and lines[0].count("&") >= FIELDS_MAX:
        return 400, f"the URL has more than {FIELDS_MAX} fields"
    return 0, ""


def read_headers(head: bytes) -> dict[str, str]:
    """Names in lower case; of one that came several times the values joined by commas (RFC 9110 section 5.3).

    Nothing but CRLF ends a line. Autobahn takes an octet such as 85 for an end, too: what a peer has written behind one
    would be a header, and pass for one of a proxy's, which has handed on a single line. RFC 9112 section 5.1: "No
    whitespace is allowed between the field name and colon"; what has some is no header.
    """
    headers: dict[str, list[str]] = {}
    for line in head.decode("latin-1").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon and _NAME.fullmatch(name):
            headers.setdefault(name.lower(), []).append(value.strip(" \t"))
    return {name: ", ".join(values) for name, values in headers.items()}


def forget(protocol: object) -> None:
    """Drop what Autobahn keeps of the handshake of `protocol`."""
    for name in KEPT:
        protocol.__dict__.pop(name, None)
