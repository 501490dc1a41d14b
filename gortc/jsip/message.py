"""Requests, responses and how they are written: docs/jsip.md section 2.

A message keeps its JSON object as it came off the wire. What the storeys ask of it again and again (its session,
CSeq, code, the request that it answers) is worked out once and kept in slots beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from orjson import dumps

from gortc.jsip.methods import TERM
from gortc.jsip.status import PHRASES, phrase

if TYPE_CHECKING:
    from gortc.jsip.session import Session

Headers = dict[str, Any]

OWN_HEADERS: Final = frozenset(
    (
        "Type", "Request-URI", "Code", "Desc", "From", "To", "DialogueID", "CSeq", "RelatedID", "Router", "Expire",
        "Max-Forwards",
    )
)  # fmt: skip
"""What belongs to one leg. Every other header, `Body` among them, may be carried over to another leg."""


class Message:
    """What requests and responses share.

    `headers` is the JSON object, `cseq` its number, `session` where it belongs (set by the stack), `local` whether
    the stack made it up instead of receiving it. `data` is its JSON text once it has been written.
    """

    __slots__ = ("cseq", "data", "headers", "local", "session")

    headers: Headers
    cseq: int
    session: Session
    local: bool
    data: bytes | None

    @property
    def body(self) -> Any:
        """The `Body`: any JSON value, None where there is none."""
        return self.headers.get("Body")

    @property
    def dialogue_id(self) -> str:
        """The `DialogueID`."""
        value: str = self.headers["DialogueID"]
        return value

    def get(self, header: str, default: Any = None) -> Any:
        """The value of `header`, or `default`."""
        return self.headers.get(header, default)

    @property
    def carried(self) -> Headers:
        """The headers that may be carried over to another leg, `Body` among them (a new dict)."""
        return {name: value for name, value in self.headers.items() if name not in OWN_HEADERS}


class Request(Message):
    """A request, or the event `TERM`.

    `method` is its type. `related` is, in an ACK or a CANCEL, the INVITE meant.
    """

    __slots__ = ("method", "related")

    code = 0  # so that `message.code` tells requests from responses

    def __init__(self, headers: Headers, method: str, cseq: int, local: bool = False) -> None:
        self.headers = headers
        self.method = method
        self.cseq = cseq
        self.local = local
        self.related: Request | None = None
        self.data = None

    def __repr__(self) -> str:
        return f"<{self.method} {self.headers.get('DialogueID')!r} {self.cseq}{' local' if self.local else ''}>"


class Response(Message):
    """A response: `code`, and the `request` that it answers."""

    __slots__ = ("code", "request")

    request: Request

    def __init__(self, headers: Headers, code: int, cseq: int, local: bool = False) -> None:
        self.headers = headers
        self.code = code
        self.cseq = cseq
        self.local = local
        self.data = None

    @property
    def method(self) -> str:
        """The method of the request that it answers."""
        return self.request.method

    def __repr__(self) -> str:
        return f"<{self.code} {self.headers.get('DialogueID')!r} {self.cseq}{' local' if self.local else ''}>"


def answer_headers(request: Mapping[str, Any], code: int) -> Headers:
    """The headers of a response with `code` to the request with these headers."""
    return {
        "Type": "RESPONSE",
        "Code": code,
        "Desc": phrase(code),
        "From": request["From"],
        "To": request["To"],
        "DialogueID": request["DialogueID"],
        "CSeq": request["CSeq"],
    }


def response(request: Request, code: int, headers: Mapping[str, Any] | None = None, local: bool = False) -> Response:
    """A response with `code` (100..699) to `request`, with further `headers` (`Body` among them)."""
    asked = request.headers
    made: Headers = {  # answer_headers, without its call
        "Type": "RESPONSE",
        "Code": code,
        "Desc": PHRASES.get(code) or phrase(code),
        "From": asked["From"],
        "To": asked["To"],
        "DialogueID": asked["DialogueID"],
        "CSeq": asked["CSeq"],
    }
    if headers:
        made.update(headers)
    answer = Response(made, code, request.cseq, local)
    answer.request = request
    answer.session = request.session
    return answer


def term(session: Session) -> Request:
    """The event that `session` is over."""
    event = Request({"Type": TERM, "DialogueID": session.dialogue_id}, TERM, 0, local=True)
    event.session = session
    return event


def encode(message: Message) -> None:
    """Write the message's JSON text into its `data`, before any state has changed for it.

    Raises TypeError where a header's value is no JSON value: the mistake of who made the message.
    """
    message.data = dumps(message.headers)
