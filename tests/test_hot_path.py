"""What a message costs, in what a slow machine does not change: calls of our functions, cycles, rows, timers."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Iterator
from types import FrameType
from typing import Any

import orjson
import pytest
from twisted.internet.task import Clock

from gortc.node import Node
from gortc.settings import Settings
from slp_plugins.default import default
from slp_plugins.echo import echo

ALICE, BOB, ECHO = "alice@gortc.local", "bob@gortc.local", "echo@gortc.local"
SDP = "v=0\r\n" * 40
FOLDERS = tuple(f"/gortc/{name}" for name in ("dispatch.py", "jsip/", "service/", "transport/"))


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
            for peer, data in getattr(self, scenario)(number):
                peer.say(data)

    def counted(self, scenario: str) -> Counter[str]:
        """The calls of our functions in one unit, by name."""
        calls: Counter[str] = Counter()

        def profile(frame: FrameType, event: str, _: object) -> None:
            code = frame.f_code
            if event == "call" and any(folder in code.co_filename for folder in FOLDERS):
                calls[code.co_name] += 1

        for peer, data in getattr(self, scenario)(0):
            sys.setprofile(profile)
            try:
                peer.say(data)
            finally:
                sys.setprofile(None)
        return calls


def request(kind: str, number: int, cseq: int, to: str, **headers: Any) -> bytes:
    """One of alice's."""
    own = {"Type": kind, "Request-URI": to, "From": ALICE, "To": to, "DialogueID": f"d{number}", "CSeq": cseq}
    return orjson.dumps({**own, **headers})


def answer(to: dict[str, Any], code: int, **headers: Any) -> bytes:
    """One of bob's."""
    own = {name: to[name] for name in ("From", "To", "DialogueID", "CSeq")}
    return orjson.dumps({"Type": "RESPONSE", "Code": code, "Desc": "", **own, **headers})


@pytest.fixture
def exchange() -> Exchange:
    """One that has played each scenario before: what is made once is made."""
    made = Exchange()
    for scenario in MOST:
        made.play(scenario, 2)
    return made


MOST = {"message": 66, "call": 162, "bridged": 340}
"""So many calls of our functions a unit, at the most. Fewer are better: set it down."""


@pytest.mark.plain
@pytest.mark.parametrize("scenario", MOST)
def test_calls_of_our_functions(exchange: Exchange, scenario: str) -> None:
    """One more a message is to be thought about, ten more are an accident."""
    calls = exchange.counted(scenario)
    assert sum(calls.values()) <= MOST[scenario], calls.most_common()


@pytest.mark.parametrize("scenario", MOST)
def test_no_cycle_no_row_no_timer(exchange: Exchange, scenario: str) -> None:
    """What is over is gone at once: the collector finds nothing, whatever the number of calls."""
    exchange.alice.got.clear()
    gc.collect()
    gc.disable()
    try:
        exchange.play(scenario, 100)
        exchange.alice.got.clear()
        assert gc.collect() == 0
    finally:
        gc.enable()
    assert not any(exchange.node.census().values())
    assert not exchange.node.journal.counts


@pytest.mark.parametrize("scenario", MOST)
def test_one_call_of_the_clock_a_time(scenario: str) -> None:
    """However many calls: a time has one queue, and a queue has one call of the clock."""
    exchange = Exchange()
    exchange.play(scenario, 1)
    assert isinstance(exchange.node.timers.clock, Clock)
    before = len(exchange.node.timers.clock.getDelayedCalls())
    exchange.play(scenario, 100)
    assert len(exchange.node.timers.clock.getDelayedCalls()) == before
