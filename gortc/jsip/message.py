"""Requests, responses and how they are written: docs/jsip.md section 2.

A message keeps its JSON object as it came off the wire. What the storeys ask of it again and again (its session,
CSeq, code, the request that it answers) is worked out once and kept in slots beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from gortc.jsip.methods import ALLOW, INVITE, TERM, UPDATE
from gortc.jsip.status import DESC

if TYPE_CHECKING:
    from gortc.jsip.memory import Held
    from gortc.jsip.session import Session

Headers = dict[str, Any]

dumps: Final = orjson.dumps

OWN_HEADERS: Final = frozenset(
    (
        "Type", "Request-URI", "Code", "Desc", "From", "To", "DialogueID", "CSeq", "RelatedID", "Router", "Expire",
        "Max-Forwards",
    )
)  # fmt: skip
"""What belongs to one leg. Every other header, `Body` among them, may be carried over to another leg."""

CSEQ_MAX: Final = 2**53 - 1  # what every JSON reader can hold as an integer (RFC 8259 section 6)

OF_THE_STACK: Final = frozenset(("Type", "Code", "From", "To", "DialogueID", "CSeq", "RelatedID"))
"""What the stack alone writes: which message it is, and of which dialogue."""

SENT: Final = b""
"""The `data` of a message that has gone its way, or has come: it is not sent again."""


NAME_MAX: Final = 1024
"""From, To and DialogueID have so many characters at most, as a URI has."""


class Message:
    """What requests and responses share.

    `headers` is the JSON object, `dialogue_id` and `cseq` are two of them, `session` is where it belongs (set by the
    stack), `local` whether the stack made it up instead of receiving it. `data` is its JSON text once it was written
    and until it has gone out: None before, `SENT` after.
    """

    __slots__ = ("cseq", "data", "dialogue_id", "headers", "held", "local", "session")

    headers: Headers
    dialogue_id: str
    cseq: int
    session: Session
    local: bool
    data: bytes | None
    held: Held | None
    """What it takes of a user's memory, where that is limited."""

    @property
    def body(self) -> Any:
        """The `Body`: any JSON value, None where there is none."""
        return self.headers.get("Body")

    def get(self, header: str, default: Any = None) -> Any:
        """The value of `header`, or `default`."""
        return self.headers.get(header, default)

    @property
    def carried(self) -> Headers:
        """The headers that may be carried over to another leg, `Body` among them (a new dict)."""
        return {name: value for name, value in self.headers.items() if name not in OWN_HEADERS}


class Request(Message):
    """A request, or the event `TERM`.

    `method` is its type, `caller` and `callee` are From and To. `related` is, in an ACK or a CANCEL, the INVITE meant.
    """

    __slots__ = ("callee", "caller", "method", "related")

    code = 0  # so that `message.code` tells requests from responses

    def __init__(
        self,
        headers: Headers,
        method: str,
        cseq: int,
        dialogue_id: str,
        caller: str,
        callee: str,
        local: bool = False,
    ) -> None:
        self.headers = headers
        self.method = method
        self.cseq = cseq
        self.dialogue_id = dialogue_id
        self.caller = caller
        self.callee = callee
        self.local = local
        self.related: Request | None = None
        self.data = None
        self.held = None

    def __repr__(self) -> str:
        return f"<{self.method} {self.dialogue_id!r} {self.cseq}{' local' if self.local else ''}>"


class Response(Message):
    """A response: `code`, and the `request` that it answers."""

    __slots__ = ("code", "request")

    request: Request

    def __init__(self, headers: Headers, code: int, cseq: int, dialogue_id: str, local: bool = False) -> None:
        self.headers = headers
        self.code = code
        self.cseq = cseq
        self.dialogue_id = dialogue_id
        self.local = local
        self.data = None
        self.held = None

    @property
    def method(self) -> str:
        """The method of the request that it answers."""
        return self.request.method

    def __repr__(self) -> str:
        return f"<{self.code} {self.dialogue_id!r} {self.cseq}{' local' if self.local else ''}>"


def answer_headers(request: Mapping[str, Any], code: int) -> Headers:
    """The headers of a response with `code` to the request with these headers.

    From and To are cut where they are too long: they carry no meaning there.
    """
    return answer(code, request["From"][:NAME_MAX], request["To"][:NAME_MAX], request["DialogueID"], request["CSeq"])


def answer(code: int, caller: str, callee: str, dialogue_id: str, cseq: int) -> Headers:
    """The headers of a response with `code` to the request that has the others."""
    return {
        "Type": "RESPONSE",
        "Code": code,
        "Desc": DESC[code],
        "From": caller,
        "To": callee,
        "DialogueID": dialogue_id,
        "CSeq": cseq,
    }


def response(request: Request, code: int, headers: Mapping[str, Any] | None = None, local: bool = False) -> Response:
    """A response with `code` (100..699) to `request`, with further `headers` (`Body` among them).

    Raises ValueError where `headers` has what is not the service's to say (`check_headers`).
    """
    made = answer(code, request.caller, request.callee, request.dialogue_id, request.cseq)
    if headers:
        if not OWN_HEADERS.isdisjoint(headers):
            check_headers(headers)
        made.update(headers)
    if code == 405 and "Allow" not in made:  # RFC 3261 section 21.4.6: it MUST say what is allowed
        made["Allow"] = ALLOW
    response = Response(made, code, request.cseq, request.dialogue_id, local)
    response.request = request
    response.session = request.session
    return response


def onward(request: Request) -> Headers:
    """What another leg gets of a received `request`: the headers that may be carried over, and its own `Expire`, at
    most the most that we take."""
    headers = request.carried
    expire = request.headers.get("Expire")
    if expire is not None:
        headers["Expire"] = min(expire, request.session.layer.times.session_max)
    return headers


def bare(message: Message) -> Headers:
    """The headers of `message` without what a service has put into it: only what the peer can't do without."""
    if type(message) is Response:
        request = message.request
        return answer(
            message.code, request.caller[:NAME_MAX], request.callee[:NAME_MAX], request.dialogue_id, request.cseq
        )
    assert type(message) is Request
    session = message.session
    made: Headers = {
        "Type": message.method,
        "Request-URI": session.uri[:NAME_MAX],
        "From": session.caller[:NAME_MAX],
        "To": session.callee[:NAME_MAX],
        "DialogueID": session.dialogue_id,
        "CSeq": message.cseq,
    }
    if "RelatedID" in message.headers:
        made["RelatedID"] = message.headers["RelatedID"]
    return made


def whole(value: Any) -> int:
    """The integer, also where it was written as `1.0`; 0 where it is none."""
    if type(value) is float and value.is_integer():
        return int(value)
    return value if type(value) is int else 0


def describes(name: str) -> bool:
    """Whether a header is the Body, or says what it is."""
    return name == "Body" or name.startswith("Content-")


def without_body(headers: Mapping[str, Any]) -> Headers:
    """These headers but the Body and what says what it is."""
    return {name: value for name, value in headers.items() if not describes(name)}


def term(session: Session) -> Request:
    """The event that `session` is over."""
    return event(TERM, session)


def event(kind: str, session: Session) -> Request:
    """A local request that tells something of `session`: TERM, PEER_LOST, PEER_RESUMED."""
    dialogue_id = session.dialogue_id
    headers: Headers = {"Type": kind, "DialogueID": dialogue_id}
    event = Request(headers, kind, 0, dialogue_id, session.caller, session.callee, local=True)
    event.session = session
    return event


def check_headers(headers: Mapping[str, Any]) -> None:
    """What a service gives with a message: nothing of the stack's, and what the peer can read.

    Raises ValueError with the first thing that is wrong, and TypeError where a name is no string.
    """
    for name in headers:
        if type(name) is not str:
            raise TypeError(f"the name of a header is a string, not {name!r}")
    for name in OWN_HEADERS.intersection(headers):
        if name in OF_THE_STACK:
            raise ValueError(f"{name} is not the service's to set")
        value = headers[name]
        if name in ("Expire", "Max-Forwards"):
            if type(value) is not int or not 0 <= value <= CSEQ_MAX:
                what = "so many seconds" if name == "Expire" else "a number"
                raise ValueError(f"{name} must be {what}, not {value!r}")
        elif type(value) is not str:
            raise ValueError(f"{name} must be a string, not {value!r}")


def check_own(message: Message) -> None:
    """A service has had the message in its hands: what the stack has written into it must be there as it was.

    Raises ValueError with the first thing that is not.
    """
    headers = message.headers
    own: Headers = {"DialogueID": message.dialogue_id, "CSeq": message.cseq}
    if type(message) is Request:
        own.update({"Type": message.method, "From": message.caller, "To": message.callee})
        if message.related is not None:
            own["RelatedID"] = message.related.cseq
        if "Request-URI" not in headers:
            raise ValueError("a request has a Request-URI")
        if message.method in (INVITE, UPDATE) and headers.get("Expire") == 0:
            raise ValueError("Expire must be so many seconds, not 0")
    else:
        assert type(message) is Response
        request = message.request
        own.update({"Type": "RESPONSE", "Code": message.code, "From": request.caller, "To": request.callee})
    for name in OF_THE_STACK:
        is_own = name in own and type(headers.get(name)) is type(own[name]) and headers[name] == own[name]
        if not is_own and (name in own or name in headers):
            raise ValueError(f"{name} is not the service's to set")
    check_headers({name: value for name, value in headers.items() if name not in OF_THE_STACK})


def check_refusal(code: int) -> None:
    """Raises ValueError where `code` is none that refuses something, TypeError where it is no integer."""
    if type(code) is not int:
        raise TypeError(f"a code is an integer, not {code!r}")
    if not 300 <= code < 700:
        raise ValueError(f"no code of a refusal: {code}")


def encode(message: Message) -> None:
    """Write the message's JSON text into its `data`, before any state has changed for it.

    Raises TypeError where a header's value is no JSON value: the mistake of who made the message.
    """
    message.data = dumps(message.headers)
