"""Draining, in virtual time: section 1 of docs/jsip.md, "Draining"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import txaio.tx
from twisted.internet.task import Clock

from gortc import drain as module
from gortc.drain import (
    BEGIN,
    CANCEL,
    CLOSED,
    DRAINING,
    EMPTY,
    GONE,
    LATE,
    LEAVING,
    SERVING,
    TABLE,
    Drain,
)  # fmt: skip
from gortc.jsip.timers import Timers
from gortc.testing import Lab, Talk, User
from gortc.transport.websocket import RtcFactory
from slp_plugins.default import default
from slp_plugins.hunt400 import hunt400
from tests.transport.kit import Wire, handshake


class Station:
    """A server without its sockets."""

    def __init__(self, *services: Any, **settings: Any) -> None:
        self.lab = Lab(*(services or (default,)), **settings)
        self.clock: Clock = self.lab.clock
        self.timers = Timers(self.clock, self.fail)
        node = self.lab.node
        self.factory = RtcFactory(node.channels, node.settings, self.timers, self.clock)
        self.listening = 1
        self.drain = Drain(node, self.timers, self.factory.connections, self.stop_listening)
        self.gone: list[None] = []
        self.drain.done.addCallback(self.gone.append)

    def fail(self) -> None:
        """A timer has raised."""
        raise AssertionError("a timer has raised")

    def stop_listening(self) -> None:
        """Once is enough."""
        self.listening -= 1

    def talk(self) -> tuple[Talk, Talk]:
        """Alice has called Bob."""
        alice, bob = self.lab.users("alice", "bob")
        call = alice.call(bob.name, "offer")
        leg = bob.answering()
        leg.reply(200, "answer")
        call.expect(200)
        call.ack()
        leg.expect("ACK")
        return call, leg


@pytest.fixture
def station(monkeypatch: pytest.MonkeyPatch) -> Iterator[Station]:
    """One, with Autobahn's timers in virtual time; at the end nothing may wait but its queues."""
    made = Station()
    monkeypatch.setattr(txaio.tx.config, "loop", made.clock)
    yield made
    made.lab.check_empty()
    assert len(made.timers) == 0


def refused(user: User, to: str, method: str = "INVITE") -> Any:
    """What a new session gets."""
    call = user.open(method, to)
    said = call.expect(503)
    if method == "INVITE":
        call.ack()
    return said["Retry-After"]


@pytest.mark.proves("C-59", "C-60")
def test_running_calls_go_on_and_new_ones_are_refused(station: Station) -> None:
    call, leg = station.talk()
    assert station.drain.begin()
    carol = station.lab.user("carol")
    assert refused(carol, "alice") == 60
    assert refused(carol, "alice", "MESSAGE") == 60
    station.lab.advance(10.5)
    assert refused(carol, "alice") == 50
    asked = call.send("INFO", 1)
    leg.reply(200, to=leg.expect("INFO"))
    call.expect(200, CSeq=asked["CSeq"])
    again = leg.send("INVITE", "another offer")
    call.reply(200, "another answer", to=call.expect("INVITE"))
    leg.expect(200, CSeq=again["CSeq"])
    leg.ack()
    call.expect("ACK")
    assert station.drain.state == DRAINING
    assert station.listening == 1
    bye = call.send("BYE")
    leg.reply(200, to=leg.expect("BYE"))
    call.expect(200, CSeq=bye["CSeq"])
    station.lab.advance(1)
    assert (station.drain.state, station.listening, station.gone) == (GONE, 0, [None])


@pytest.mark.proves("C-60")
def test_a_hunt_goes_on() -> None:
    """Its next legs belong to a running instance."""
    agents = {"400@gortc.local": ["agent1@gortc.local", "agent2@gortc.local"]}
    station = Station(hunt400, config={"hunt400": {"agents": agents}})
    alice, agent1, agent2 = station.lab.users("alice", "agent1", "agent2")
    call = alice.call("400")
    first = agent1.answering()
    station.drain.begin()
    first.reply(486)
    first.expect("ACK")
    agent2.answering().reply(200)
    call.expect(200)
    call.send("BYE")
    station.drain.cancel()


@pytest.mark.proves("C-61", "X-20")
def test_the_time_is_up(station: Station) -> None:
    """Who talks gets BYE, who rings CANCEL, who waits 503; all hear why."""
    call, leg = station.talk()
    carol, dave = station.lab.users("carol", "dave")
    waiting = carol.call(dave.name)
    rung = dave.answering()
    rung.reply(180)
    waiting.expect(180)
    station.drain.begin()
    station.lab.advance(30)
    rung.reply(180)
    waiting.expect(180)
    station.lab.advance(29)
    call.expect_nothing()
    assert station.drain.seconds == pytest.approx(1)
    station.lab.advance(1)
    assert station.drain.state == GONE
    assert call.expect("BYE")["Reason"] == leg.expect("BYE")["Reason"] == "the server is stopping"
    assert waiting.expect(503)["Reason"] == "the server is stopping"
    waiting.ack()
    rung.expect("CANCEL")
    for talk in (call, leg):
        talk.reply(200, to=talk.request)
    station.lab.advance(32)


@pytest.mark.proves("C-63")
def test_it_is_taken_back(station: Station) -> None:
    """As if nothing had been: new calls, and no end."""
    call, leg = station.talk()
    station.drain.begin()
    station.lab.advance(50)
    assert station.drain.cancel()
    assert station.drain.seconds == 0
    carol = station.lab.user("carol")
    other = carol.call("carol2")
    other.expect(480)
    other.ack()
    station.lab.advance(50)
    call.expect_nothing()
    call.send("BYE")
    leg.reply(200, to=leg.expect("BYE"))
    station.lab.advance(50)
    assert (station.drain.state, station.listening, station.gone) == (SERVING, 1, [])


@pytest.mark.proves("C-63")
def test_begun_again_after_it_was_taken_back(station: Station) -> None:
    """It has all its time again, and looks once at a time only."""
    call, leg = station.talk()
    for _ in range(3):
        station.drain.begin()
        station.lab.advance(0.1)
        station.drain.cancel()
    station.drain.begin()
    assert station.drain.seconds == 60
    assert len(station.timers) == 1
    call.send("BYE")
    leg.reply(200, to=leg.expect("BYE"))
    station.lab.advance(1)
    assert station.gone == [None]


@pytest.mark.proves("C-62")
def test_connections_are_closed_a_handful_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, those that have not opened yet included; a peer that does not answer is not waited for longer."""
    station = Station(closes_per_second=20)
    monkeypatch.setattr(txaio.tx.config, "loop", station.clock)
    hub: Any = station
    wires = [Wire(hub) for _ in range(5)]
    for number, wire in enumerate(wires[1:]):
        wire.send(handshake(f"/rtc?userid=u{number}@x"))
        wire.take_http()
    station.drain.begin()
    assert station.drain.state == LEAVING
    assert not station.drain.cancel()
    closed = [closing(wires)]
    for _ in range(3):
        station.lab.advance(0.1)
        closed.append(closing(wires))
    assert closed == [2, 4, 5, 5]
    codes = [int.from_bytes(wire.take()[-1][1][:2], "big") for wire in wires if wire.transport.value()]
    assert codes == [1012] * 4
    assert station.gone == []
    station.lab.advance(1.5)
    assert station.gone == [None]
    assert not station.factory.connections


@pytest.mark.proves("C-59")
def test_it_refuses_while_it_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there was no call to wait for."""
    station = Station(closes_per_second=10)
    monkeypatch.setattr(txaio.tx.config, "loop", station.clock)
    hub: Any = station
    for number in range(3):
        Wire(hub).send(handshake(f"/rtc?userid=u{number}@x"))
    station.drain.begin()
    assert station.drain.state == LEAVING
    assert refused(station.lab.user("carol"), "alice") == 60


def closing(wires: list[Wire]) -> int:
    """How many are closing or closed."""
    return sum(one.state not in (one.STATE_CONNECTING, one.STATE_OPEN) for one in (wire.protocol for wire in wires))


def test_nothing_to_wait_for(station: Station) -> None:
    assert station.drain.begin()
    assert station.gone == [None]
    assert not station.drain.begin()
    assert not station.drain.cancel()


def test_what_is_said(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left, at once and every 5 s, and how it ends."""
    said: list[str] = []

    def say(text: str, **fields: Any) -> None:
        said.append(text.format(**fields))

    monkeypatch.setattr(module._log, "info", say)
    monkeypatch.setattr(module._log, "warn", say)
    call, leg = station.talk()
    station.drain.begin()
    station.lab.advance(9)
    station.drain.cancel()
    station.drain.begin()
    station.lab.advance(58)
    station.lab.advance(2)
    assert said == [
        "draining: 2 sessions, 60 s at most",
        "draining: 2 sessions, 55 s at most",
        "not draining any more: new sessions are taken",
        *(f"draining: 2 sessions, {seconds} s at most" for seconds in range(60, 0, -5)),
        "drained: the time is up for 2 sessions",
    ]
    for talk in (call, leg):
        talk.reply(200, to=talk.expect("BYE"))


EXPECTED = {
    (SERVING, BEGIN): DRAINING,
    (DRAINING, CANCEL): SERVING,
    (DRAINING, EMPTY): LEAVING,
    (DRAINING, LATE): LEAVING,
    (LEAVING, CLOSED): GONE,
}


def test_the_table() -> None:
    assert {(state, event): cell[0] for state, row in TABLE.items() for event, cell in row.items()} == EXPECTED
    assert set(TABLE) == {SERVING, DRAINING, LEAVING, GONE}
