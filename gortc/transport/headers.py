"""The headers of an opening handshake, line by line as RFC 9112 has them."""

from __future__ import annotations

import re
from typing import Final

_FIELD: Final = re.compile(r"([\w!#$%&'*+.^`|~-]+):[ \t]*(.*?)[ \t]*", re.ASCII | re.DOTALL)


def read_headers(head: bytes) -> dict[str, str]:
    """Names in lower case; of one that came several times the values joined by commas (RFC 9110 section 5.3).

    Nothing but CRLF ends a line. Autobahn takes an octet such as 85 for an end, too: what a peer has written behind one
    would be a header, and pass for one of a proxy's, which has handed on a single line. RFC 9112 section 5.1: "No
    whitespace is allowed between the field name and colon"; what has some is no header.
    """
    headers: dict[str, str] = {}
    for line in head.decode("latin-1").split("\r\n")[1:]:
        found = _FIELD.fullmatch(line)
        if found is not None:
            name, value = found[1].lower(), found[2]
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
