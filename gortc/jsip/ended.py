"""How a session has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gortc.jsip.message import Headers

PEER: Final = "peer"
"""It has hung up, refused, cancelled, or knows the dialogue no more."""
US: Final = "us"
"""The service has."""
STACK: Final = "stack"
"""Time was up, or the request could not be delivered."""
LOST: Final = "lost"
"""The peer has lost its connection and has not come back in its grace."""
MOVED: Final = "moved"
"""It goes on, as another instance's."""

GONE: Final = "the peer has lost its connection"

End = tuple[str, int, "Headers | None"]
"""What a session keeps of it: by whom, the code, and the headers that said so. (Not the message, which knows its
session: that would be a cycle.)"""


class Ended:
    """`by` whom: `peer`, `us`, `stack`, `lost` or `moved`. `code`: of the final response that ended it, 408 where time
    was up, 0 where somebody has hung up. `reason`: what was said of it, "" where nothing was."""

    __slots__ = ("by", "code", "reason")

    def __init__(self, by: str, code: int, headers: Headers | None) -> None:
        self.by = by
        self.code = code
        said = headers or {}
        self.reason = str(said.get("Reason") or said.get("Desc") or "")

    def __repr__(self) -> str:
        return f"<ended by {self.by}, {self.code} {self.reason!r}>"


def cause(code: int, text: str) -> str:
    """The value of a `Reason` header that names a response code (RFC 3326 section 2)."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'SIP;cause={code};text="{quoted}"'
