"""Syntax: between a channel's text frames and messages. docs/jsip.md section 2.

A bad request whose From, To, DialogueID and CSeq can be read is answered 400 (405 for an unknown Type) with what is
wrong in `Reason`; ACKs, responses and anything less readable are dropped. Nothing that a peer sends, and nothing that a
message holds, raises out of here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

import orjson
from orjson import JSONDecodeError

from gortc.jsip.gate import SHORTEST, asserts
from gortc.jsip.layers import Channel, Journal
from gortc.jsip.memory import Held, weigh
from gortc.jsip.message import (
    CSEQ_MAX,
    NAME_MAX,
    SENT,
    Headers,
    Message,
    Request,
    Response,
    answer,
    answer_headers,
    bare,
    without_body,
)
from gortc.jsip.methods import ACK, ALLOW, BYE, CANCEL, FREE, METHODS
from gortc.jsip.tape import Tape

if TYPE_CHECKING:
    from gortc.jsip.transactions import Transactions

DEPTH_MAX: Final = 100
"""How deep arrays and objects of a message may be nested; what is deeper could be read but not written again."""

FRAME_MAX: Final = 65536
"""So many bytes a message has at most, unless the settings say otherwise."""

loads: Final = orjson.loads
dumps: Final = orjson.dumps

NAMES: Final = ("From", "To", "DialogueID")
SHORT: Final = 200
"""A `Reason` of ours has fewer characters."""
BARE: Final = ("Type", "Request-URI", "From", "To", "DialogueID", "CSeq", "RelatedID")

HALF: Final = re.compile(
    rb"\\u(?: [dD][89aAbB][0-9a-fA-F]{2} (?! \\u[dD][c-fC-F][0-9a-fA-F]{2} )"
    rb"| (?<! \\u[dD][89aAbB][0-9a-fA-F]{2}\\u ) [dD][c-fC-F][0-9a-fA-F]{2} )",
    re.VERBOSE,
)
"""Half a surrogate pair, where no escaped backslash stands before it: RFC 8259 section 8.2."""
ESCAPED: Final = rb"\\"
MASK: Final = b"\xff\xff"
"""Stands for an escaped backslash: no octet of UTF-8."""
FILLED: Final = rb"\\ufdd0"
FILLER: Final = "\ufdd0"
"""Stands for half a surrogate pair: a noncharacter, which no text has."""
HALVED: Final = "a string has half a surrogate pair, which is no character"

BRACKET: Final = ord("[")
BRACE: Final = ord("{")

Trace = Callable[[str, str, Headers], None]


class BadMessage(ValueError):
    """What is wrong with a message, and the code that answers it."""

    def __init__(self, reason: str, code: int = 400) -> None:
        super().__init__(reason)
        self.code = code


class Counts:
    """How many messages of one direction: requests by their method, responses by their code."""

    def __init__(self) -> None:
        self.requests: dict[str, int] = dict.fromkeys(sorted(METHODS), 0)
        self.responses: list[int] = [0] * 700

    def request(self, method: str) -> None:
        """One more request."""
        try:
            self.requests[method] += 1
        except KeyError:  # services may invent methods
            self.requests[method] = 1


class Syntax:
    """The lowest storey. `trace(direction, channel, headers)`, where set, is given each message.

    `received` and `sent` count them. What is written has `frame_max` bytes at most.
    """

    above: Transactions

    def __init__(self, journal: Journal, tape: Tape | None = None, frame_max: int = FRAME_MAX) -> None:
        self.journal = journal
        self.tape = tape
        self.frame_max = frame_max
        self.trace: Trace | None = None
        self.received = Counts()
        self.sent = Counts()

    def receive(self, channel: Channel, data: bytes) -> None:
        """Take one text frame of `channel` (its UTF-8 was checked)."""
        try:
            try:
                headers = loads(data)
            except JSONDecodeError as error:
                return self._read_halves(channel, data, error)
            if type(headers) is not dict:
                return self._drop(channel, "not a JSON object")
            try:
                size = len(data)
                nested = size > 2 * DEPTH_MAX and (BRACKET in data or BRACE in data[1:])
                if nested and too_deep(data, headers):
                    raise BadMessage(f"nested deeper than {DEPTH_MAX} levels")
                if channel.guest is not None:
                    channel.guest.sign(headers)
                message = read(headers)
                if size > NAME_MAX:
                    check_names(headers)
                message.data = SENT
            except BadMessage as bad:
                if self.tape is not None and answerable(headers):
                    self.tape.note(channel.name, data, False)
                return self.refuse(channel, headers, bad)
            if type(message) is Request:
                self.received.request(message.method)
            else:
                self.received.responses[cast("Response", message).code] += 1
            if self.tape is not None:
                self.tape.note(channel.name, data, False)
            if self.trace is not None:
                self._show(self.trace, "<", channel, headers)
            account = channel.account
            if account is None:
                self.above.receive(channel, message)
                return
            self.above.payer = message.held = Held(account, weigh(data, headers, nested))
            self.above.receive(channel, message)
            self.above.payer = None
        except Exception:  # a defect of ours; the peer's next message, and every other peer, must not suffer
            self.above.payer = None
            self.journal.counts["stack failure"] += 1
            self.journal.failed()

    def send(self, message: Message) -> None:
        """Write `message` to its session's channel; what can't be delivered comes back as `undelivered`."""
        channel = message.session.channel
        if not channel.trusted:
            strip(message)
        try:
            data = message.data or dumps(message.headers)
        except TypeError:
            data = b""
        if not data or len(data) > self.frame_max:
            data = self._cut_down(message, len(data))
            if not data:
                return
        message.data = SENT  # its text is the channel's now: what awaits an answer keeps no copy
        code = channel.send(data)
        if code == 0:
            if type(message) is Request:
                self.sent.request(message.method)
            else:
                self.sent.responses[cast("Response", message).code] += 1
            if self.tape is not None:
                self.tape.note(channel.name, data, True)
            if self.trace is not None:
                self._show(self.trace, ">", channel, message.headers)
            return
        code = channel.hold(data, message)
        if code == 0:  # `gone_out` tells when it does
            return
        if type(message) is Request and message.method != ACK:
            self.above.undelivered(message, code)
        else:
            self.journal.note("undeliverable", channel.name, message)

    def fits(self, message: Message) -> bool:
        """Whether `message` can be written, and is not too large."""
        if not message.session.channel.trusted:
            strip(message)
        message.data = message.data or written(message.headers)
        return 0 < len(message.data) <= self.frame_max

    def _cut_down(self, message: Message, size: int) -> bytes:
        """What goes out in the place of a message that has too many bytes, or none; empty for nothing.

        A request comes back; ACK, BYE and CANCEL, which end something, go without their Body, or without all that a
        service has put into them, and so does an answer of the stack's own. (The service's were looked at before.)
        """
        if message.session.channel.leads_nowhere:
            return b"{}"  # it comes back for that, whatever its size
        reason = self.unfit(size)
        self.journal.note("can't be sent", message.session.channel.name, message)
        request = message if type(message) is Request else None
        if request is None or request.method in FREE:
            for headers in (without_body(message.headers), bare(message)):
                data = written(headers)
                if 0 < len(data) <= self.frame_max:
                    if request is not None and request.method == ACK and "Body" in message.headers:
                        self.above.cut_off(message.session, reason)  # what it has answered is lost
                    message.headers, message.data = headers, data
                    return data
        if request is not None and request.method != ACK:
            self.above.undelivered(request, 413 if size else 500, reason)
        return b""

    def unfit(self, size: int) -> str:
        """Why a message of `size` bytes can't be sent, 0 for one that can't be written."""
        if not size:
            return "the message can't be written"
        return f"the message is too large: {size:,} bytes, {self.frame_max:,} at most"

    def gone_out(self, channel: Channel, data: bytes, message: Message | None) -> None:
        """A message that had to wait has gone out; None for a response."""
        headers: Headers = message.headers if message is not None else loads(data)
        if type(message) is Request:
            self.sent.request(message.method)
        elif headers["Type"] == "RESPONSE":
            self.sent.responses[headers["Code"]] += 1
        else:
            self.sent.request(headers["Type"])
        if self.tape is not None:
            self.tape.note(channel.name, data, True)
        if self.trace is not None:
            self._show(self.trace, ">", channel, headers)

    def refused(self, channel: Channel, data: bytes, code: int, reason: str) -> None:
        """The peer has closed its connection for a message of ours, which is not sent again.

        Whoever has sent it is told; whoever awaits a final response gets 500 instead.
        """
        self._take_back(channel, data, code, reason, "refused by the peer")

    def outgrown(self, channel: Channel, data: bytes) -> None:
        """A message has waited, and is too large by now: it is taken back as well."""
        self._take_back(channel, data, 413, self.unfit(len(data)), "can't be sent")

    def _take_back(self, channel: Channel, data: bytes, code: int, reason: str, what: str) -> None:
        try:
            self.journal.note(what, channel.name, reason)
            headers = loads(data)
            if headers["Type"] in (BYE, CANCEL) and self._end_barely(channel, headers):
                return
            if headers["Type"] == "RESPONSE" and headers["Code"] >= 200:
                made = answer_headers(headers, 500)
                made["Reason"] = reason
                as_bare = (
                    headers["Code"] == 500 and headers.keys() == made.keys() and len(str(headers["Reason"])) < SHORT
                )
                if not as_bare:  # it would be refused as well: nothing is left to say
                    self._answer(channel, made)
            self.above.refused(channel, headers, code, reason)
        except Exception:  # as in `receive`
            self.journal.counts["stack failure"] += 1
            self.journal.failed()

    def _end_barely(self, channel: Channel, headers: Headers) -> bool:
        """What ends something goes out once more without what a service has put into it; False where that was all."""
        made: Headers = {name: headers[name] for name in BARE if name in headers}
        return len(made) < len(headers) and self._answer(channel, made)

    def _show(self, trace: Trace, direction: str, channel: Channel, headers: Headers) -> None:
        """Let `trace` have a message; what it raises is no harm to the message."""
        try:
            trace(direction, channel.name, headers)
        except Exception:
            self.journal.counts["trace failure"] += 1
            self.journal.failed()

    def answer(self, channel: Channel, request: Request, code: int, **headers: Any) -> None:
        """Answer a request that no session stands behind, and keep nothing of it."""
        made = answer(code, request.caller, request.callee, request.dialogue_id, request.cseq)
        if headers:
            made.update(headers)
        if not self._answer(channel, made):
            self.journal.note("can't be sent", channel.name, code)

    def _answer(self, channel: Channel, headers: Headers) -> bool:
        """Send what no session stands behind, a response most often; False where it is too large, or can't be
        written."""
        data = written(headers)
        if not 0 < len(data) <= self.frame_max:
            return False
        if channel.send(data) == 0:
            if "Code" in headers:
                self.sent.responses[headers["Code"]] += 1
            else:
                self.sent.request(headers["Type"])
            if self.tape is not None:
                self.tape.note(channel.name, data, True)
            if self.trace is not None:
                self._show(self.trace, ">", channel, headers)
        elif channel.hold(data, None) != 0:
            self.journal.note("undeliverable", channel.name, headers.get("Code") or headers["Type"])
        return True

    def refuse(self, channel: Channel, headers: Headers, bad: BadMessage) -> None:
        """Answer a bad request where it can be answered; count it, and log it, in any case."""
        if headers.get("Type") in ("RESPONSE", ACK) or not answerable(headers):
            return self._drop(channel, str(bad))
        self._refuse(channel, headers, bad)
        channel.garbage()

    def _refuse(self, channel: Channel, headers: Headers, bad: BadMessage) -> None:
        made = answer_headers(headers, bad.code)
        made["Reason"] = str(bad)
        if bad.code == 405:
            made["Allow"] = ALLOW  # RFC 3261 section 8.2.1: a 405 MUST list the methods that are supported
        sent = self._answer(channel, made)  # else its DialogueID is too long for an answer
        self.journal.note("bad request" if sent else "bad message", channel.name, bad)

    def _read_halves(self, channel: Channel, data: bytes, error: JSONDecodeError) -> None:
        """Half an emoji, as an old JSON.stringify cuts it off, is a mistake of an honest client's, and no garbage."""
        # In three passes of C: a function called for each escape would take longer than all the rest.
        whole = HALF.sub(FILLED, data.replace(ESCAPED, MASK)).replace(MASK, ESCAPED)
        try:
            headers = loads(whole) if whole != data else None
        except JSONDecodeError:
            headers = None
        if type(headers) is not dict or not answerable(headers):
            return self._drop(channel, f"not JSON: {error}")
        if headers.get("Type") in ("RESPONSE", ACK) or any(FILLER in headers[name] for name in NAMES):
            return self.journal.note("bad message", channel.name, HALVED)
        if self.tape is not None:
            self.tape.note(channel.name, whole, False)
        self._refuse(channel, headers, BadMessage(HALVED))

    def _drop(self, channel: Channel, reason: str) -> None:
        self.journal.note("bad message", channel.name, reason)
        channel.garbage()


def read(headers: Headers) -> Message:
    """The message that these headers make.

    Numbers such as `1.0` become integers in `headers`. Raises BadMessage with the first thing that is wrong.
    """
    kind = headers.get("Type")
    caller, callee, dialogue_id = headers.get("From"), headers.get("To"), headers.get("DialogueID")
    if type(caller) is not str or not caller:
        raise BadMessage("From must be a string, not empty")
    if type(callee) is not str or not callee:
        raise BadMessage("To must be a string, not empty")
    if type(dialogue_id) is not str or not dialogue_id:
        raise BadMessage("DialogueID must be a string, not empty")
    cseq = headers.get("CSeq")
    if type(cseq) is not int or not 0 < cseq <= CSEQ_MAX:
        cseq = integer(headers, "CSeq", 1, CSEQ_MAX)
    if kind == "RESPONSE":
        code = headers.get("Code")
        if type(code) is not int or not 99 < code < 700:
            code = integer(headers, "Code", 100, 699)
        return Response(headers, code, cseq, dialogue_id)
    if type(kind) is not str:
        raise BadMessage("Type must be a string")
    if kind not in METHODS:
        raise BadMessage(f"Type {kind[:40]!r} is not known", 405)
    if type(headers.get("Request-URI")) is not str:
        raise BadMessage("Request-URI must be a string")
    if "Router" in headers and type(headers["Router"]) is not str:
        raise BadMessage("Router must be a string")
    if "Expire" in headers:
        integer(headers, "Expire", 0, CSEQ_MAX)
    if "Max-Forwards" in headers:
        integer(headers, "Max-Forwards", 0, CSEQ_MAX)
    if "RelatedID" in headers and kind in (ACK, CANCEL):
        integer(headers, "RelatedID", 1, CSEQ_MAX)
    return Request(headers, kind, cseq, dialogue_id, caller, callee)


def check_names(headers: Headers) -> None:
    """From, To and DialogueID have a length. Raises BadMessage."""
    for name in NAMES:
        if len(headers[name]) > NAME_MAX:
            raise BadMessage(f"From, To and DialogueID have {NAME_MAX} characters at most", 413)


def strip(message: Message) -> None:
    """Who is not trusted is not told who somebody is (RFC 3325 section 5), however that is spelled."""
    headers = message.headers
    for name in [name for name in headers if len(name) >= SHORTEST and asserts(name)]:
        del headers[name]
        message.data = None


def written(headers: Headers) -> bytes:
    """The JSON text of these headers; empty where a value is none."""
    try:
        return dumps(headers)
    except TypeError:
        return b""


def integer(headers: Headers, name: str, least: int, most: int) -> int:
    """The integer under `name`, also where it was written as `1.0`. Raises BadMessage where it is none."""
    value = headers.get(name)
    if type(value) is float and value.is_integer():
        value = headers[name] = int(value)
    if type(value) is not int or not least <= value <= most:
        raise BadMessage(f"{name} must be an integer from {least} to {most}")
    return value


def answerable(headers: Headers) -> bool:
    """Whether a response to these headers could be written: From, To, DialogueID and CSeq can be read."""
    try:
        integer(headers, "CSeq", 1, CSEQ_MAX)
    except BadMessage:
        return False
    return all(type(headers.get(name)) is str and headers[name] for name in NAMES)


def too_deep(data: bytes, headers: Headers) -> bool:
    """Whether `headers`, read from `data`, are nested deeper than may be. Brackets in a string may be many as well."""
    return data.count(b"[") + data.count(b"{") > DEPTH_MAX and depth(headers) > DEPTH_MAX


def depth(value: Any) -> int:
    """How deep `value` is nested: 0 for a plain one. One level at a time, so that no depth overflows the stack."""
    levels = 0
    level = [value]
    while level := [item for item in level if type(item) in (dict, list)]:
        levels += 1
        level = [inner for item in level for inner in (item.values() if type(item) is dict else item)]
    return levels
