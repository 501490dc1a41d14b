"""A peer that does not read what it is sent: section 1 of docs/jsip.md."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactor
from twisted.python.failure import Failure

from gortc.admission import Limits
from gortc.transport.channels import BEGINS
from gortc.transport.websocket import RtcProtocol
from tests.transport.kit import Hub, Transport, frame, give, handshake


def stalled(hub: Hub, userid: str = "alice@x") -> Any:
    """Alice's transport, whose buffer is full."""
    transport: Any = hub.connect(userid).transport
    transport.producer.pauseProducing()
    hub.clock.advance(BEGINS)
    return transport


@pytest.mark.proves("C-19")
def test_it_is_not_read_from_until_it_reads() -> None:
    hub = Hub()
    transport = stalled(hub)
    assert transport.producerState == "paused"
    transport.producer.resumeProducing()
    assert transport.producerState == "producing"


@pytest.mark.proves("C-20")
def test_too_much_waits() -> None:
    """What fits is still written; then the connection is dropped; nobody else feels it."""
    hub = Hub(unsent_max=1000)
    bob = hub.connect("bob@x")
    transport = stalled(hub)
    alice = hub.channels.by_name["alice@x"]
    assert [give(alice, b"x" * 400) for _ in range(4)] == [0, 0, 480, 480]
    assert transport.aborted
    assert alice.connection is None
    assert hub.journal.counts["slow reader"] == 1
    hub.clock.advance(0)
    bob.send(frame("still here"))
    assert hub.stack.got == [b"still here"]
    transport.producer = None


@pytest.mark.proves("C-20", "C-58")
def test_one_stall_is_told_with_each_write(hub: Hub) -> None:
    """As Twisted's transports do: it is one stall, whose bytes and time add up."""
    transport = stalled(hub)
    alice = hub.channels.by_name["alice@x"]
    for _ in range(16):
        assert give(alice, b"x" * 65_536) == 0
        transport.producer.pauseProducing()
        hub.clock.advance(1)
    assert give(alice, b"x") == 480
    again = stalled(hub, "carol@x")
    for _ in range(20):
        assert not again.aborted
        again.producer.pauseProducing()
        hub.clock.advance(1)
    assert again.aborted
    assert hub.journal.counts["slow reader"] == 2


@pytest.mark.proves("C-20")
def test_each_stall_counts_anew() -> None:
    hub = Hub(unsent_max=1000)
    transport = stalled(hub)
    alice = hub.channels.by_name["alice@x"]
    for _ in range(3):
        assert give(alice, b"x" * 900) == 0
        transport.producer.resumeProducing()
        transport.producer.pauseProducing()
    assert not transport.aborted


@pytest.mark.proves("C-20")
def test_a_burst_is_no_stall() -> None:
    """What comes in a turn of the reactor, before the socket is tried, may be more; not without an end."""
    hub = Hub(unsent_max=1000)
    alice_reads: Any = hub.connect().transport
    bob_does_not: Any = hub.connect("bob@x").transport
    alice, bob = (hub.channels.by_name[name] for name in ("alice@x", "bob@x"))
    for transport, peer in ((alice_reads, alice), (bob_does_not, bob)):
        transport.producer.pauseProducing()
        assert [give(peer, b"x" * 400) for _ in range(20)] == [0] * 20
    alice_reads.producer.resumeProducing()
    assert alice.waiting is None
    assert give(bob, b"x" * 400) == 480
    assert bob_does_not.aborted
    assert not alice_reads.aborted
    bob_does_not.producer = None


@pytest.mark.proves("C-20")
def test_answers_in_one_read_to_a_peer_that_stalls() -> None:
    """The overflow comes in the middle of a read: what follows in it is not taken."""
    hub = Hub(unsent_max=1000)
    wire = hub.connect()
    hub.stack.then = lambda channel, data: give(channel, b"x" * 400)
    assert wire.transport.producer is not None
    wire.transport.producer.pauseProducing()
    hub.clock.advance(BEGINS)
    wire.send(frame("a") * 5)
    assert len(hub.stack.got) == 3
    assert wire.transport.aborted


@pytest.mark.proves("C-58", "X-19")
def test_one_who_reads_nothing_is_dropped(hub: Hub) -> None:
    """Though little waits for it; one who reads now and then is not."""
    patient = stalled(hub)
    wire = hub.connect("bob@x")
    producer: Any = wire.transport.producer
    for _ in range(3):
        producer.pauseProducing()
        hub.clock.advance(6)
        producer.resumeProducing()
        wire.send(frame("here"))
        assert not wire.transport.aborted
    hub.clock.advance(1.5)
    assert not patient.aborted
    hub.clock.advance(0.5)
    assert patient.aborted
    assert hub.journal.counts["slow reader"] == 1


# who reads slowly


class Narrow(FileDescriptor):
    """A transport of Twisted's, whose peer reads when it is told to."""

    connected = 1

    def __init__(self, hub: Hub) -> None:
        super().__init__(reactor=MemoryReactor())
        self._hub = hub
        self._room = 0
        self.aborted = self.paused = False
        self.got = b""
        self.protocol: RtcProtocol = hub.factory.buildProtocol(None)

    def open(self, userid: str, transport: Any = None) -> Any:
        """Its channel."""
        self.protocol.makeConnection(transport or self)
        self.protocol.dataReceived(handshake(f"/rtc?userid={userid}"))
        self.read(1000)
        self.got = b""
        return self._hub.channels.by_name[userid]

    def getPeer(self) -> IPv4Address:  # noqa: N802
        """As a TCP transport has it."""
        return IPv4Address("TCP", "192.168.1.1", 54321)

    def pauseProducing(self) -> None:  # noqa: N802
        """It is not read from."""
        self.paused = True

    def resumeProducing(self) -> None:  # noqa: N802
        """It is."""
        self.paused = False

    def abortConnection(self) -> None:  # noqa: N802
        """Dropped."""
        self.aborted = True
        self.connected = 0
        self._hub.clock.callLater(0, self.protocol.connectionLost, Failure(ConnectionAborted()))

    def writeSomeData(self, data: bytes) -> int:  # noqa: N802
        """What fits."""
        size = min(len(data), self._room)
        self._room -= size
        self.got += bytes(data[:size])
        return size

    def read(self, size: int) -> None:
        """The peer reads so many bytes."""
        self._room = size
        while self._room and self in self.reactor.getWriters() and not self.aborted:
            self.doWrite()


class Secured(Transport):
    """What is written to it goes on to another one, as with TLS."""

    def __init__(self, lower: Narrow) -> None:
        super().__init__(Clock())
        self.transport: Any = lower
        for name in ("write", "getPeer", "pauseProducing", "resumeProducing", "abortConnection"):
            setattr(self, name, getattr(lower, name))

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: N802
        """The one below asks it to pause."""
        self.transport.registerProducer(producer, streaming)


@pytest.fixture(params=["tcp", "tls"])
def upper(request: pytest.FixtureRequest) -> Any:
    """What makes of a transport the protocol's."""
    return Secured if request.param == "tls" else lambda lower: lower


@pytest.mark.proves("C-20", "C-58")
def test_who_reads_slowly_is_not_dropped_for_what_it_has_read(upper: Any) -> None:
    """Though something waits for it all the time, and it is not read from meanwhile."""
    hub = Hub(unsent_max=200_000)
    link = Narrow(hub)
    alice = link.open("alice@x", upper(link))
    for _ in range(5):
        give(alice, b"x" * 30_000)
    for second in range(120):
        assert give(alice, b"x" * 30_000) == 0, second
        hub.clock.advance(1)
        link.read(30_004)
        assert link.paused
        assert link.protocol._line.stalled_since is not None
    assert not link.aborted
    assert len(link.got) == 120 * 30_004
    assert abs(link.protocol.unsent - 150_020) < 100  # pings go as well
    assert not hub.journal.counts


@pytest.mark.proves("C-20")
def test_what_waits_is_measured(upper: Any) -> None:
    """It may be as much as may be, and not a message more; what the transport has does not count."""
    hub = Hub(unsent_max=200_000)
    link = Narrow(hub)
    alice = link.open("alice@x", upper(link))
    for _ in range(8):
        assert give(alice, b"x" * 33_000) == 0
    hub.clock.advance(BEGINS)
    for _ in range(10):
        link.read(2 * 33_004)
        hub.clock.advance(BEGINS)
        assert [give(alice, b"x" * 33_000) for _ in range(2)] == [0, 0]
    assert link.protocol.unsent == 2 * 33_004 + 6 * 33_000
    assert give(alice, b"x" * 33_000) == 480
    assert link.aborted
    assert hub.journal.counts["slow reader"] == 1


@pytest.mark.proves("C-58")
def test_who_stops_reading_is_dropped(upper: Any) -> None:
    """20 s after it was last seen to have read something, which is looked at every 15 s; it was read from no more
    than it could be."""
    hub = Hub()
    link = Narrow(hub)
    alice = link.open("alice@x", upper(link))
    give(alice, b"x" * 60_000)
    give(alice, b"x" * 60_000)
    hub.clock.advance(14)
    link.read(10)
    hub.clock.advance(1)
    hub.clock.pump([1.0] * 19)
    assert not link.aborted
    hub.clock.advance(1)
    assert link.aborted
    assert hub.journal.counts["slow reader"] == 1


@pytest.mark.proves("C-94")
def test_what_was_read_is_held_no_more(upper: Any) -> None:
    """Of the account of who reads slowly, also where little comes for it."""
    hub = Hub(auth="none", realm="x", limits=Limits(memory_user=200_000))
    link = Narrow(hub)
    alice = link.open("alice@x", upper(link))
    for _ in range(5):
        give(alice, b"x" * 30_000)
    held = alice.account.held
    assert held > 140_000
    for _ in range(30):
        link.read(30_004)
        assert give(alice, b"x" * 30_000) == 0
    link.read(75_000)
    hub.clock.advance(15)
    assert alice.account.held < held - 55_000
    link.read(200_000)
    assert not link.paused
    assert alice.account.held < 1000
    assert not link.aborted
