"""Names of channels: docs/jsip.md section 1."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from gortc.jsip.uri import BadURI, parse

_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\x9f,;]")


class BadName(ValueError):
    """A userid that can't name a channel."""


def channel_name(userid: str) -> str:
    """The name of the channel for a `userid` as it stands in a query string.

    Percent-decoded once, host in lower case, prefix kept. Raises BadName with a one-line reason.
    """
    try:
        name = unquote(userid, errors="strict")
    except UnicodeDecodeError:
        raise BadName("userid is not UTF-8") from None
    if not name or len(name) > 255:
        raise BadName("userid must have 1 to 255 characters")
    if _FORBIDDEN.search(name):
        raise BadName("userid must have no space, comma, semicolon or control character")
    try:
        uri = parse(name)
    except BadURI:
        raise BadName("userid must look like user@host") from None
    if uri.port is not None:
        raise BadName("userid must have no port")
    return uri.name
