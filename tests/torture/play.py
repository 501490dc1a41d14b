"""Alice, bob and a server: one torture message is played, and everything that the two get is compared.

Nothing here waits for a time: whether more is to come is told by fences. A BYE in a dialogue that there is not gets
481 from every server, and order is kept, so what was to come before it has come.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from gortc.client.match import differences
from tests.torture.corpus import PROPER, Torture
from tests.transport.kit import BINARY, TEXT

Json = dict[str, Any]

USERS = {"alice": "alice@gortc.test", "bob": "bob@gortc.test"}
CALL = "call"
"""The DialogueID of alice's call, where there is one before the message."""
SESSION = 600
"""Its session interval: as long as no play lasts."""
LAST = 999
"""The CSeq with which alice hangs up."""
HANG_UP = {"ringing": ("CANCEL", CALL, LAST), "answered": ("BYE", CALL, LAST)}
"""How alice ends the call, by what has become of it."""
ROUNDS_MAX = 20


class Line(Protocol):
    """A connection."""

    def send(self, data: bytes, opcode: int) -> None:
        """Send one frame with these bytes."""

    def receive(self) -> Json:
        """The next message; raises where none comes."""

    def closed(self) -> int:
        """Wait until the server has closed it: the code."""


class Party:
    """A user agent that does what the RFC asks of one: it answers requests, and acknowledges its INVITE's answers."""

    def __init__(self, name: str, line: Line, codes: Mapping[str, list[int]]) -> None:
        self.name = USERS[name]
        self.line = line
        self.codes = codes
        self.heard: list[Json] = []
        self._invited: set[tuple[str, int]] = set()
        self._ringing: dict[str, Json] = {}
        self._cseq = 1000
        self._fences = 0

    def send(self, message: Json) -> None:
        """Send a message."""
        self.send_raw(json.dumps(message).encode())

    def send_raw(self, data: bytes, opcode: int = TEXT) -> None:
        """Send a frame as it is; an INVITE in it is remembered, for its answer wants an ACK."""
        try:
            message = json.loads(data)
            if message["Type"] == "INVITE":
                self._invited.add((message["DialogueID"], message["CSeq"]))
        except (ValueError, LookupError, TypeError, RecursionError):
            pass
        self.line.send(data, opcode)

    def ask(self, method: str, dialogue: str, cseq: int, **headers: Any) -> Json:
        """Send a request to bob."""
        bob = USERS["bob"]
        made = {
            "Type": method, "Request-URI": bob, "From": self.name, "To": bob, "DialogueID": dialogue, "CSeq": cseq,
            **headers,
        }  # fmt: skip
        self.send(made)
        return made

    def answer(self, request: Json, code: int) -> None:
        """Send a response."""
        named = {name: request[name] for name in ("From", "To", "DialogueID", "CSeq")}
        self.send({"Type": "RESPONSE", "Code": code, "Desc": "as it should be", **named})

    def settle(self) -> bool:
        """Take everything that was to come; whether anything was."""
        self._fences += 1
        fence = f"fence-{self._fences}"
        self.ask("BYE", fence, 1)
        before = len(self.heard)
        while (message := self.line.receive()).get("DialogueID") != fence:
            self._take(message)
        assert (message["Type"], message["Code"]) == ("RESPONSE", 481), message
        return len(self.heard) > before

    def wait(self) -> None:
        """Take one message that must come."""
        self._take(self.line.receive())

    def _take(self, message: Json) -> None:
        self.heard.append(message)
        kind, dialogue = message["Type"], message["DialogueID"]
        if kind == "RESPONSE":
            if message["Code"] >= 200 and (dialogue, message["CSeq"]) in self._invited:
                self._cseq += 1
                self.ask("ACK", dialogue, self._cseq, RelatedID=message["CSeq"])
            return
        if kind == "INVITE":
            self._ringing[dialogue] = message
        for code in self.codes.get(kind, [PROPER.get(kind, 200)] if kind != "ACK" else []):
            self.answer(message, code)
            if kind == "INVITE" and code >= 200:
                del self._ringing[dialogue]
        if kind in ("CANCEL", "BYE") and dialogue in self._ringing:
            self.answer(self._ringing.pop(dialogue), 487)


BOB: dict[str | None, dict[str, list[int]]] = {
    "ringing": {"INVITE": [180]},
    "answered": {"INVITE": [180, 200]},
    None: {},
}
"""What bob answers, by what becomes of the call before the message."""


def play(torture: Torture, alice: Line, bob: Line) -> None:
    """Play it on these connections of the two. An AssertionError says what is not as it should be."""
    caller = Party("alice", alice, {})
    callee = Party("bob", bob, {torture.answers: []} if torture.answers else BOB[torture.call])
    parties = {"alice": caller, "bob": callee}
    data = torture.data
    if torture.call:
        caller.ask("INVITE", CALL, 1, Expire=SESSION)
        _settle(caller, callee)
        got = [message["Code"] for message in caller.heard]
        assert got == BOB[torture.call]["INVITE"], caller.heard
    if torture.answers:
        caller.ask(torture.answers, "asked", 1)
        _settle(caller, callee)
        (request,) = callee.heard
        data = data.replace(b"$DialogueID", request["DialogueID"].encode())
        data = data.replace(b"$CSeq", str(request["CSeq"]).encode())
    caller.heard.clear()
    callee.heard.clear()
    sender = parties[torture.sender]
    opcode = BINARY if torture.frame == "binary" else TEXT
    for _ in range(torture.times):
        sender.send_raw(data, opcode)
    if torture.closed is not None:
        while len(sender.heard) < len(getattr(torture, torture.sender)):
            sender.wait()
        assert sender.line.closed() == torture.closed
        del parties[torture.sender]
    _settle(*parties.values())
    for name in parties:
        while len(parties[name].heard) < len(getattr(torture, name)):
            parties[name].wait()
    _settle(*parties.values())
    _compare("alice", torture.alice, caller.heard)
    _compare("bob", torture.bob, callee.heard)
    caller.heard.clear()
    callee.heard.clear()
    if torture.answers:
        callee.answer(request, PROPER.get(torture.answers, 200))
        _settle(caller, callee)
        assert [message["Code"] for message in caller.heard] == [code for code in (torture.afterwards,) if code]
    elif torture.call:
        caller.ask(*HANG_UP[torture.call], RelatedID=1)
        _settle(caller, callee)
        (answer,) = (message for message in caller.heard if message["CSeq"] == LAST)
        assert answer["Code"] == torture.afterwards, answer


def _settle(*parties: Party) -> None:
    """Let everybody take what is to come, until nobody has got anything and so nothing is under way."""
    for _ in range(ROUNDS_MAX):
        heard = [party.settle() for party in parties]
        if not any(heard):
            return
    raise AssertionError(f"no end of messages: {parties[0].heard[-3:]}")


def _compare(name: str, wanted: list[Any], heard: list[Json]) -> None:
    got = "\n".join(json.dumps(message, ensure_ascii=False)[:1000] for message in heard)
    assert len(wanted) == len(heard), f"{name} should get {len(wanted)} messages, got {len(heard)}:\n{got}"
    for number, (pattern, message) in enumerate(zip(wanted, heard, strict=True)):
        wrong = list(differences(pattern, message, {}, {}))
        assert not wrong, f"{name}, message {number}: {wrong}\n{got}"
