"""Names of channels: docs/jsip.md section 1."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from gortc.jsip.uri import BadURI, parse

_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\x9f,;]")
_LENGTH: Final = "userid must have 1 to 255 characters"


class BadName(ValueError):
    """A userid that can't name a channel."""


def channel_name(userid: str) -> str:
    """The name of the channel for a `userid` as it stands in a query string.

    Percent-decoded once, and then as `gortc.jsip.uri.URI.name` has it. Raises BadName with a one-line reason.
    """
    try:
        text = unquote(userid, errors="strict")
    except UnicodeDecodeError:
        raise BadName("userid is not UTF-8") from None
    if not 0 < len(text) <= 255:
        raise BadName(_LENGTH)
    if _FORBIDDEN.search(text):
        raise BadName("userid must have no space, comma, semicolon or control character")
    try:
        uri = parse(text)
    except BadURI:
        raise BadName("userid must look like user@host") from None
    if uri.port is not None:
        raise BadName("userid must have no port")
    if not uri.host.isascii():
        raise BadName("userid must have a host in ASCII or IDNA")
    name = uri.name
    if len(name) > 255:  # an escaped character is longer
        raise BadName(_LENGTH)
    return name
