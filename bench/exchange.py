"""A node in memory, and two users who know what they say beforehand: no socket, no clock, nothing but the stack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from twisted.internet.task import Clock

from gortc.node import Node
from gortc.settings import Settings
from slp_plugins.default import default
from slp_plugins.echo import echo

ALICE, BOB, ECHO = "alice@gortc.local", "bob@gortc.local", "echo@gortc.local"
SDP = "v=0\r\n" * 40
SCENARIOS = ("message", "call", "bridged")


class Peer:
    """A connection that keeps what it is sent."""

    def __init__(self, node: Node, name: str) -> None:
        self.got: list[bytes] = []
        self.channel = node.channels.connect(name, self)
        self._receive = node.channels.receive

    def say(self, data: bytes) -> None:
        """Send one message to the node."""
        self._receive(self.channel, self, data)

    def send(self, data: bytes) -> bool:
        """Take one from the node."""
        self.got.append(data)
        return True

    def drop_slow(self) -> None:
        """It reads at once."""

    def hush(self, seconds: float) -> None:
        """Nobody asks too often."""

    def close(self, code: int, reason: str) -> None:
        """It never is."""
        raise AssertionError(f"{code} {reason}")


class Exchange:
    """A node with the shipped services, and two users. Messages are built before anything is counted."""

    def __init__(self) -> None:
        self.node = Node(Settings(), Clock())
        self.node.load({"echo": echo, "default": default})
        self.alice, self.bob = Peer(self.node, ALICE), Peer(self.node, BOB)

    def message(self, number: int) -> Iterator[tuple[Peer, bytes]]:
        """A MESSAGE, answered."""
        yield self.alice, request("MESSAGE", number, 1, ECHO, Router="gortc.local;type=echo", Body=SDP)

    def call(self, number: int) -> Iterator[tuple[Peer, bytes]]:
        """A call of one leg: rung, answered, hung up."""
        yield self.alice, request("INVITE", number, 1, ECHO, Router="gortc.local;type=echo", Expire=600, Body=SDP)
        yield self.alice, request("ACK", number, 2, ECHO, RelatedID=1)
        yield self.alice, request("BYE", number, 2, ECHO)

    def held(self, number: int) -> Iterator[tuple[Peer, bytes]]:
        """A call that stays."""
        name = f"held{number}"
        yield self.alice, request("INVITE", name, 1, ECHO, Router="gortc.local;type=echo", Expire=600, Body=SDP)
        yield self.alice, request("ACK", name, 2, ECHO, RelatedID=1)

    def bridged(self, number: int) -> Iterator[tuple[Peer, bytes]]:
        """A call of two legs."""
        self.bob.got.clear()
        yield self.alice, request("INVITE", number, 1, BOB, Expire=600, Body=SDP)
        invite = orjson.loads(self.bob.got[-1])
        yield self.bob, answer(invite, 180)
        yield self.bob, answer(invite, 200, Body=SDP)
        yield self.alice, request("ACK", number, 2, BOB, RelatedID=1)
        yield self.alice, request("BYE", number, 2, BOB)
        yield self.bob, answer(orjson.loads(self.bob.got[-1]), 200)

    def play(self, scenario: str, count: int) -> None:
        """Play `count` units of it."""
        for number in range(count):
            for peer, data in self.unit(scenario, number):
                peer.say(data)
            self.alice.got.clear()

    def unit(self, scenario: str, number: int) -> Iterator[tuple[Peer, bytes]]:
        """Who says what in one unit, step by step."""
        unit: Iterator[tuple[Peer, bytes]] = getattr(self, scenario)(number)
        return unit


def request(kind: str, number: int | str, cseq: int, to: str, **headers: Any) -> bytes:
    """One of alice's."""
    own = {"Type": kind, "Request-URI": to, "From": ALICE, "To": to, "DialogueID": f"d{number}", "CSeq": cseq}
    return orjson.dumps({**own, **headers})


def answer(to: dict[str, Any], code: int, **headers: Any) -> bytes:
    """One of bob's."""
    own = {name: to[name] for name in ("From", "To", "DialogueID", "CSeq")}
    return orjson.dumps({"Type": "RESPONSE", "Code": code, "Desc": "", **own, **headers})
