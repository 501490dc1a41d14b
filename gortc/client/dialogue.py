"""One dialogue as a user agent has it: it numbers requests and answers the peer's, and sees to nothing else.

It is the raw wire, not a second stack: what is sent is what was asked for, so that tests can do wrong on purpose.
"""

from __future__ import annotations

from typing import Any, Callable
from uuid import uuid4

from gortc.jsip.message import Headers, answer_headers

Send = Callable[[Headers], None]


class Dialogue:
    """`request` is the first request, `id` the DialogueID, `ours` whether we opened it."""

    def __init__(self, send: Send, request: Headers, ours: bool) -> None:
        self._send = send
        self.request = request
        self.id: str = request["DialogueID"]
        self.ours = ours
        self.cseq: int = request["CSeq"] if ours else 0
        self.invite_cseq: int = self.cseq

    def send(self, method: str, body: Any = None, **headers: Any) -> Headers:
        """Send a request under a CSeq of its own, and return it. `headers` use `_` for `-` (`Member`, `X_Note`)."""
        self.cseq += 1
        first = self.request
        made = {
            "Type": method,
            "Request-URI": first["Request-URI"],
            "From": first["From"],
            "To": first["To"],
            "DialogueID": self.id,
            "CSeq": self.cseq,
            **named(headers),
        }
        if body is not None:
            made["Body"] = body
        if method == "INVITE":
            self.invite_cseq = made["CSeq"]
        self._send(made)
        return made

    def ack(self, body: Any = None, **headers: Any) -> Headers:
        """ACK of our latest INVITE."""
        return self.send("ACK", body, RelatedID=self.invite_cseq, **headers)

    def cancel(self) -> Headers:
        """CANCEL of our latest INVITE."""
        return self.send("CANCEL", RelatedID=self.invite_cseq)

    def bye(self) -> Headers:
        """BYE."""
        return self.send("BYE")

    def reply(self, code: int, body: Any = None, to: Headers | None = None, **headers: Any) -> Headers:
        """Answer the first request, or the request `to`."""
        made = answer_headers(self.request if to is None else to, code) | named(headers)
        if body is not None:
            made["Body"] = body
        self._send(made)
        return made


def opening(method: str, caller: str, callee: str, body: Any = None, **headers: Any) -> Headers:
    """The first request of a new dialogue."""
    made = {
        "Type": method,
        "Request-URI": callee,
        "From": caller,
        "To": callee,
        "DialogueID": uuid4().hex,
        "CSeq": 1,
        **named(headers),
    }
    if body is not None:
        made["Body"] = body
    return made


def named(headers: Headers) -> Headers:
    """Header names from Python's: `Max_Forwards` is `Max-Forwards`."""
    return {name.replace("_", "-"): value for name, value in headers.items()}


def matches(message: Headers, kind: str | int, headers: Headers) -> bool:
    """Whether `message` is a request of type `kind` (or a response with code `kind`) with these headers."""
    right = message.get("Code") == kind if isinstance(kind, int) else message.get("Type") == kind
    return right and all(message.get(name) == value for name, value in named(headers).items())
