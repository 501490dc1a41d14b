"""What the management API is made of: routes, each with the role that may use it, and their answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from attrs import field, frozen

OPEN: Final = ""
"""For everybody."""
READ: Final = "read"
"""For who looks."""
OPERATE: Final = "operate"
"""For who steers, too."""
ADMIN: Final = "admin"
"""For who changes what runs, too."""
ROLES: Final = (OPEN, READ, OPERATE, ADMIN)
"""Each may do what those before it may."""


JSON: Final = "application/json"
PLAIN: Final = "text/plain"
SVG: Final = "image/svg+xml"
"""Media types."""


class Problem(Exception):
    """A request can't be followed: the HTTP `status`, the `code` of the answer, and one line that says why."""

    def __init__(self, status: int, code: int, why: str, allow: str = "") -> None:
        """`allow`: the methods that there are (RFC 9110 section 15.5.6: a 405 MUST say so)."""
        super().__init__(why)
        self.allow = allow
        self.status = status
        self.code = code
        self.why = why


# The codes of answers.
OK: Final = 0
BAD_PATH: Final = 1
BAD_METHOD: Final = 2
UNKNOWN_API: Final = 3
FAILED: Final = 4
BAD_RETURN_CODE: Final = 5
BAD_RETURN_BODY: Final = 6
DENIED: Final = 7
BAD_VALUE: Final = 8
NOT_NOW: Final = 9


@frozen
class Text:
    """An answer that is a text, not JSON."""

    text: str
    kind: str = f"{PLAIN}; charset=utf-8"
    status: int = 200


class Query(dict[str, str]):
    """The fields of the query string, and what the path names; and the `role` of who asks."""

    def __init__(self, fields: Mapping[str, str], role: str) -> None:
        super().__init__(fields)
        self.role = role


Answer = Mapping[str, Any] | Text
"""What goes into the JSON beside `code` and `msg`; or a text."""


@frozen
class Route:
    """One thing that can be asked for."""

    method: str
    path: str
    """Such as `/runtime/v1/channels/<user:name>` (`gortc.oam.paths.Row`)."""
    role: str
    """The least one that may."""
    summary: str
    """What it does, one line, for people."""
    answer: Callable[[Query], Answer | Awaitable[Answer]]
    """May raise Problem."""
    query: Mapping[str, str] = field(factory=dict)
    """The query's fields that it knows, each with what it says."""
    kind: str = JSON
    """The media type of its answer."""
    is_probed: bool = False
    """Machines look at it again and again, such as load balancers, which need not say to whom (Host), nor why (a
    query). Only what they look at may be open to everybody."""


def number(query: Query, name: str, default: int, most: int) -> int:
    """A field that is a number. Raises Problem."""
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > most:
        raise Problem(400, BAD_VALUE, f"{name} must be a number from 0 to {most}")
    return int(text)
