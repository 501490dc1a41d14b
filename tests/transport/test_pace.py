"""How fast a user is read, whatever it sends: docs/jsip.md section 1, C-73."""

from __future__ import annotations

from typing import Any

import pytest
import txaio.tx
from twisted.internet.task import Clock

from gortc.admission.limits import Limits, Rate
from gortc.transport.line import SLICE
from tests.transport import kit
from tests.transport.kit import CLOSE, PING, PONG, Hub, Wire, close, frame, handshake

NAME = "alice@gortc.local"
MOMENT = 1e-6
EMPTY = frame(b"", opcode=0, fin=False)


class Turning(Clock):
    """What is to be called at once is called in the next turn, as a reactor does."""

    def callLater(self, delay: float, *args: Any, **kwargs: Any) -> Any:  # noqa: N802
        """Not in this one."""
        return super().callLater(max(delay, MOMENT), *args, **kwargs)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A thousand frames at once, and a hundred a second."""
    monkeypatch.setattr(kit, "Clock", Turning)
    made = Hub(auth="none", proxies=(), limits=Limits(frames=Rate(100, 1000)))
    monkeypatch.setattr(txaio.tx.config, "loop", made.clock)
    return made


def is_read(wire: Wire) -> bool:
    """Whether its transport is."""
    return wire.transport.producerState == "producing"


def pongs(wire: Wire) -> int:
    """So many came since the last time."""
    return sum(opcode == PONG for opcode, _ in wire.take())


def turns(wire: Wire, number: int) -> None:
    """Of the reactor, in no time."""
    for _ in range(number):
        wire.hub.clock.advance(MOMENT)


@pytest.mark.proves("C-73")
@pytest.mark.parametrize("whole", [frame(b"x" * 3000), frame(b"", opcode=PING)])
def test_a_read_counts_as_a_frame(hub: Hub, whole: bytes) -> None:
    """Where it brings none, too: a byte at a time costs as much."""
    wire = hub.connect(NAME)
    reads = 0
    while is_read(wire):
        wire.protocol.dataReceived(whole[reads % len(whole) :][:1])
        turns(wire, 1)
        reads += 1
        assert reads < 1100
    assert reads >= 900


@pytest.mark.proves("C-73")
def test_what_tls_has_left_of_a_read_waits(hub: Hub) -> None:
    """Records of a byte each, of which the first is read, and the rest at once in the next turn; each counts."""
    wire = hub.connect(NAME)
    text = frame(b"x" * 700) + frame(b"y" * 200)
    for at in range(len(text)):
        wire.protocol.dataReceived(text[at : at + 1])
    assert not is_read(wire)
    assert hub.stack.got == []
    turns(wire, 2)
    assert hub.stack.got == [b"x" * 700, b"y" * 200]
    assert is_read(wire)
    for at in range(200):  # those have counted
        wire.protocol.dataReceived(text[at : at + 1])
    turns(wire, 3)
    assert not is_read(wire)
    hub.clock.advance(3)
    assert is_read(wire)


@pytest.mark.proves("C-73")
@pytest.mark.parametrize("one", [frame(b"", opcode=PING), EMPTY, frame(b"", opcode=PONG)])
def test_what_takes_the_long_way_takes_its_turns(hub: Hub, one: bytes) -> None:
    """And what came behind it comes behind it."""
    wire = hub.connect(NAME)
    before = wire.protocol._line.count
    wire.protocol.dataReceived(frame(b"a", fin=False) + one * 500 + frame(b"b", opcode=0) + frame(b"c"))
    counted = [wire.protocol._line.count - before]
    while not is_read(wire):
        hub.clock.advance(MOMENT)
        counted.append(wire.protocol._line.count)
    assert max(counted) <= SLICE + 1
    assert len(counted) > 500 // SLICE
    assert hub.stack.got == [b"ab", b"c"]


def test_nothing_is_lost_where_it_does_not_read_meanwhile(hub: Hub) -> None:
    """What is left of a read waits for that, too, and not for another read."""
    wire = hub.connect(NAME)
    wire.protocol.dataReceived(frame(b"", opcode=PING) * 100 + frame(b"c"))
    wire.protocol.pauseProducing()
    turns(wire, 10)
    assert hub.stack.got == []
    wire.protocol.resumeProducing()
    assert hub.stack.got == []
    turns(wire, 10)
    assert hub.stack.got == [b"c"]
    assert is_read(wire)


@pytest.mark.proves("C-73")
@pytest.mark.parametrize("one", [frame(b"", opcode=PING), frame(b"{}")])
def test_what_came_with_the_handshake_counts(hub: Hub, one: bytes) -> None:
    wire = hub.connect(None)
    wire.protocol.dataReceived(handshake(f"/rtc?userid={NAME}") + one * 1500)
    turns(wire, 100)
    assert not is_read(wire)
    for _ in range(100):
        hub.clock.advance(0.1)
        turns(wire, 1)
    assert is_read(wire)


@pytest.mark.proves("C-73")
def test_who_is_to_say_goodbye_may_do_no_more(hub: Hub) -> None:
    wire = hub.connect(NAME)
    wire.protocol.close(1008, "enough")
    wire.protocol.dataReceived(frame(b"", opcode=PING) * 1200)
    assert not is_read(wire)
    turns(wire, 100)
    assert not is_read(wire)
    assert wire.protocol._line.count <= SLICE


@pytest.mark.proves("C-15")
@pytest.mark.parametrize("size", [65_537, 5 << 20, 10 << 20, 2**62])
def test_a_message_that_is_announced_too_large(hub: Hub, size: int) -> None:
    """It is closed with 1009, however large: what Autobahn throws away takes no room."""
    wire = hub.connect(NAME)
    wire.send(b"\x81\xff" + size.to_bytes(8, "big") + b"abcd" + b"x" * 1000)
    wire.send(b"x" * 1000)
    assert [(opcode, data[:2]) for opcode, data in wire.take()] == [(CLOSE, (1009).to_bytes(2, "big"))]
    assert not wire.transport.aborted
    assert hub.channels.memory.held == 0
    assert "no memory" not in hub.journal.counts


def test_who_has_no_limits_is_read_at_once() -> None:
    hub = Hub()
    wire = hub.connect(NAME)
    wire.protocol.dataReceived(frame(b"", opcode=PING) * 500 + frame(b"c"))
    assert pongs(wire) == 500
    assert hub.stack.got == [b"c"]
    wire.send(close())
    assert not wire.transport.connected
