"""A peer that does not read what it is sent: section 1 of docs/jsip.md."""

from __future__ import annotations

from typing import Any

import pytest

from tests.transport.kit import Hub, frame, give


def stalled(hub: Hub, userid: str = "alice@x") -> Any:
    """Alice's transport, whose buffer is full."""
    transport: Any = hub.connect(userid).transport
    transport.producer.pauseProducing()
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
def test_answers_in_one_read_to_a_peer_that_stalls() -> None:
    """The overflow comes in the middle of a read: what follows in it is not taken."""
    hub = Hub(unsent_max=1000)
    wire = hub.connect()
    hub.stack.then = lambda channel, data: give(channel, b"x" * 400)
    assert wire.transport.producer is not None
    wire.transport.producer.pauseProducing()
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
