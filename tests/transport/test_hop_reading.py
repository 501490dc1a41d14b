"""How next hops are read: no more of them at a time than may come. Section 1 of docs/jsip.md, "Other domains"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import txaio.tx
from attrs import evolve

from gortc.admission.limits import Limits, Rate
from gortc.jsip.times import Times
from gortc.transport.channels import ABSENT
from tests.transport.kit import PING, TEXT, Hub, frame
from tests.transport.network import Network
from tests.transport.test_outbound import connected

RATE = Rate(100, 500)
LIMITS = Limits(frames=RATE)
TURN = 1000
"""So many frames are read in one turn of the reactor, at most."""


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """Autobahn's timers are as they were."""
    before = txaio.tx.config.loop
    yield
    txaio.tx.config.loop = before


def pings(number: int) -> bytes:
    """Of a server: not masked."""
    return b"\x89\x00" * number


class Flood:
    """A next hop of a.test's, and how many pings of it have been read."""

    def __init__(self, **options: Any) -> None:
        self.net: Network = connected(**{"limits": LIMITS, **options})
        connection: Any = self.net.hop.connection
        self.connection = connection
        self.read = 0
        connection.onPing = self._one

    def _one(self, payload: bytes) -> None:
        self.read += 1

    @property
    def paused(self) -> bool:
        """Whether it is not read from."""
        return bool(self.connection.transport.producerState == "paused")


@pytest.mark.proves("C-114")
def test_a_read_full_of_small_frames() -> None:
    """A part of them is taken at once, the rest at the pace that it has, and what comes behind them, too."""
    flood = Flood()
    message = {"Type": "MESSAGE", "Request-URI": "x@a.test", "From": "bob@b.test", "To": "x@a.test", "CSeq": 1}
    last = json.dumps({"DialogueID": "their-last", **message}).encode()
    flood.connection.dataReceived(pings(2000) + frame(last, mask=b""))
    assert 0 < flood.read < TURN
    assert flood.paused
    flood.net.advance(1, step=0.1)
    assert flood.read < RATE.burst + RATE.per_second + TURN
    assert flood.net.labs["a"].node.journal.counts["closed for garbage"] == 0
    flood.net.advance(19, step=0.1)
    assert flood.read >= 2000
    assert flood.net.labs["b"].node.journal.counts["bad message"] == 0
    flood.net.advance(10, step=0.1)
    assert not flood.paused
    assert flood.net.hop.connection is flood.connection


@pytest.mark.proves("C-114")
def test_others_have_their_turn_though_it_may_send_more() -> None:
    flood = Flood(limits=Limits(frames=Rate(100_000, 100_000)))
    flood.connection.dataReceived(pings(5000))
    assert 0 < flood.read < TURN
    flood.net.advance(0.05, step=0.01)
    for _ in range(20):
        flood.net.reactor.advance(0)
    assert flood.read == 5000
    assert not flood.paused


@pytest.mark.proves("C-114")
def test_one_that_is_to_close_is_read_no_faster() -> None:
    flood = Flood()
    flood.connection.transport.abortConnection = lambda: None
    flood.connection.close(1000, "that was it")
    for _ in range(20):
        flood.connection.dataReceived(pings(1000))
        flood.net.reactor.advance(0)
    assert flood.connection.state == flood.connection.STATE_CLOSING
    assert flood.read < RATE.burst + TURN
    assert flood.paused


def test_nor_is_a_user_that_is_to_close() -> None:
    hub = Hub(limits=LIMITS, auth="none", proxies=())
    wire = hub.connect()
    wire.protocol.close(4000, "that was it")
    assert wire.transport.producerState == "producing"
    for _ in range(6):
        wire.send(frame(b"", PING) * 100)
    assert wire.transport.producerState == "paused"
    wire.lose()
    assert wire.protocol._hushed is None


@pytest.mark.proves("C-19", "C-114")
def test_what_has_come_waits_for_one_that_does_not_read() -> None:
    """Neither is it taken when its pause is over, as long as it does not."""
    flood = Flood()
    flood.connection.dataReceived(pings(2000))
    flood.connection.pauseProducing()
    flood.net.reactor.advance(0)
    before = flood.read
    flood.net.advance(5, step=0.1)
    assert flood.read == before
    flood.connection.resumeProducing()
    assert flood.read > before


@pytest.mark.proves("C-18", "C-114")
def test_what_waits_to_be_read_proves_life() -> None:
    """So much has come that it takes longer to read than a peer may be silent."""
    flood = Flood(limits=Limits(frames=Rate(400, 400)), times=Times(idle=600))
    flood.net.cables[-1].cut(near=False)
    flood.connection.dataReceived(pings(32_000))
    flood.net.advance(75, step=0.5)
    assert flood.connection.state == flood.connection.STATE_OPEN
    assert 30_000 < flood.read < 32_000
    flood.net.advance(10 + flood.net.labs["a"].node.settings.times.dead, step=0.5)
    assert flood.connection.state == flood.connection.STATE_CLOSED


@pytest.mark.proves("C-114")
def test_its_limits_are_those_of_now() -> None:
    """Its route has none, and goes; and comes back."""
    flood = Flood(route={"limited": False})
    out, settings = flood.net.outbound["a"], flood.net.outbound["a"].settings
    flood.connection.dataReceived(pings(3000))
    assert flood.read == 3000
    flood.net.labs["a"].user("anna").call("bob@b.test")
    out.configure(evolve(settings, routes={}))
    flood.connection.dataReceived(pings(3000))
    assert flood.read < 3000 + TURN
    assert flood.paused
    out.configure(settings)
    flood.net.advance(60, step=0.1)
    flood.connection.dataReceived(pings(3000))
    assert flood.read >= 9000


@pytest.mark.proves("C-94")
def test_what_is_not_whole_is_its_memory() -> None:
    """As a user's: in pieces, which take more than what is in them."""
    flood = Flood(limits=Limits(frames=None))
    account: Any = flood.net.hop.account
    before = account.held
    flood.connection.dataReceived(b"\x01\x01{" + b"\x00\x02 a" * 5000)
    assert account.held - before > 5000 * (2 + 40)
    flood.connection.dataReceived(b"\x80\x01}")
    assert account.held - before < 1000
    flood.connection.dataReceived(b"\x01\x01{" + b"\x00\x02 a" * 5000)
    flood.connection.transport.cable.cut()
    assert account.held - before < 1000 + ABSENT


@pytest.mark.proves("C-94")
def test_more_of_that_than_it_may_have() -> None:
    flood = Flood(limits=Limits(frames=None, memory_user=100_000))
    flood.connection.dataReceived(b"\x01\x01{" + b"\x00\x02 a" * 5000)
    assert flood.connection.transport.ended
    assert flood.net.labs["a"].node.journal.counts["no memory"] == 1


@pytest.mark.proves("C-42")
@pytest.mark.parametrize(("size", "taken"), [(256, True), (257, False)])
def test_a_long_token(size: int, taken: bool) -> None:
    """It is kept, and shown with each attempt."""
    net = connected()
    net.cables[-1].cut()

    class Ours:
        def send(self, data: bytes) -> bool:
            """It goes."""
            return True

        def drop_slow(self) -> None:
            """Never."""

        def hush(self, seconds: float) -> None:
            """Never."""

        def close(self, code: int, reason: str) -> None:
            """Never."""

    first = frame(json.dumps(["new", {"token": "x" * size}]), TEXT, mask=b"")[4:]
    if taken:
        net.hop.welcome(Ours(), first)
    else:
        with pytest.raises(ValueError, match="token"):
            net.hop.welcome(Ours(), first)
