"""What opens a door. Who knows a relid can join its instance, so who may only `read` is told what stands for it.

It tells one relid from another for as long as the server runs, and nobody who guesses one can see by it that he is
right. DialogueIDs are told: they mean something on the channel of their own peer only.
"""

from __future__ import annotations

import re
from hashlib import blake2s
from secrets import token_bytes
from typing import Any, Final

from gortc.jsip.message import Headers
from gortc.oam.route import OPEN, READ

HEADERS: Final = frozenset((
    "Allow", "CSeq", "Code", "Desc", "DialogueID", "Expire", "From", "Max-Forwards", "Min-Expire", "Missed",
    "P-Asserted-Identity", "RAck", "RSeq", "Reason", "RelatedID", "Request-URI", "Require", "Retry-After", "Router",
    "Supported", "To", "Type", "Unsupported",
))  # fmt: skip
"""The headers that a reader sees, if they are texts or numbers. What others are for only services know."""
URIS: Final = frozenset(("From", "P-Asserted-Identity", "Request-URI", "Router", "To"))
"""Those that are URIs: what their parameters are for only services know, but for the type and the relid."""
HIDDEN: Final = "(hidden)"
TEXT_MAX: Final = 1024
"""So many characters of each; no name is longer."""

_KEY: Final = token_bytes(16)
_MINTED: Final = re.compile(r"(?<=_)[0-9a-f]{32}(?![0-9a-f])")  # whichever node has minted it
_NAMED: Final = re.compile(r"(;relid=)([^;,\s]+)", re.IGNORECASE)
_PARAMETER: Final = re.compile(r"(;(?!(?:relid|type)=)[^;,=\s]+=)[^;,\s]+", re.IGNORECASE)


def mark(secret: str) -> str:
    """What stands for a secret."""
    return "#" + blake2s(secret.encode("utf-8", "surrogatepass"), key=_KEY, digest_size=6).hexdigest()


def told(relid: str, role: str) -> str:
    """A relid, as it is told to `role`. Of one that was minted, the node stays."""
    if role not in (OPEN, READ):
        return relid
    minted = _MINTED.sub(lambda found: mark(found[0]), relid)
    return minted if minted != relid else mark(relid)


def hide(text: str) -> str:
    """A text without the relids in it: those that were minted, wherever they stand, and those that a URI names."""
    return _MINTED.sub(lambda found: mark(found[0]), _NAMED.sub(lambda found: found[1] + told(found[2], READ), text))


def uri(value: str, role: str) -> str:
    """A URI, or a name, as it is told to `role`."""
    return value if role not in (OPEN, READ) else _PARAMETER.sub(rf"\1{HIDDEN}", hide(value))[:TEXT_MAX]


def for_readers(message: Headers) -> dict[str, Any]:
    """A message as a reader sees it: who says what to whom, when, and with which outcome."""
    return {name: _value(name, value) for name, value in message.items() if name != "Body"}


def _value(name: str, value: Any) -> Any:
    if name == "DialogueID" and isinstance(value, str):
        return value[:TEXT_MAX]
    if name not in HEADERS or not isinstance(value, (str, int, float, type(None))):
        return HIDDEN
    if not isinstance(value, str):
        return value
    return uri(value, READ) if name in URIS else hide(value)[:TEXT_MAX]
