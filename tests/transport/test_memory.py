"""What a connection may make the server keep for it, in bytes: docs/jsip.md section 1."""

from __future__ import annotations

import tracemalloc
from typing import Any

import orjson
import pytest

from gortc.admission.limits import Limits, Rate
from gortc.jsip.layers import Channel
from gortc.jsip.memory import Account
from gortc.transport.channels import PeerChannel
from tests.transport.kit import Hub, Wire, frame, give
from tests.transport.test_resume import come, texts

NAME = "alice@gortc.local"
LARGE = b"x" * 10_000


@pytest.fixture
def hub() -> Hub:
    """50 kB are a user's."""
    return Hub(auth="none", proxies=(), limits=Limits(memory=1_000_000, memory_connection=1, memory_user=50_000))


@pytest.fixture
def roomy() -> Hub:
    """100 kB are: half of them for what is kept."""
    return Hub(auth="none", proxies=(), limits=Limits(memory=1_000_000, memory_connection=1, memory_user=100_000))


def channel(hub: Hub, name: str = NAME) -> PeerChannel:
    """Of that name."""
    return hub.channels.by_name[name]


def held(hub: Hub) -> int:
    """How many bytes are held for it."""
    account = channel(hub).account
    assert account is not None
    assert account.held == hub.channels.memory.held
    return account.held


@pytest.mark.proves("C-94")
def test_of_what_is_kept_the_oldest_goes(roomy: Hub) -> None:
    """Who resumes then is told that something is missing; and it is given back."""
    wire, (_, value) = come(roomy, name=NAME)
    for _ in range(4):
        assert channel(roomy).send(LARGE) == 0
    assert held(roomy) == 40_000
    for _ in range(6):
        assert channel(roomy).send(LARGE) == 0
    assert held(roomy) == 50_000
    assert len(texts(wire)) == 10
    wire.send(frame(b'["seen",7]'))
    assert held(roomy) == 30_000
    for _ in range(4):
        channel(roomy).send(LARGE)
    wire.lose()
    wire, first = come(roomy, value["token"], seen=8, name=NAME)
    assert (first[0], first[1]["reason"]) == ("new", "out of window")
    assert held(roomy) == 0
    assert channel(roomy).send(LARGE) == 0
    assert held(roomy) == 10_000
    wire.lose()
    roomy.clock.advance(120)
    assert roomy.channels.memory.held == 0
    assert not roomy.channels.by_name


@pytest.mark.proves("C-94")
def test_what_still_is_kept_is_sent_again(roomy: Hub) -> None:
    _, (_, value) = come(roomy, name=NAME)
    for at in range(9):
        channel(roomy).send(b"%d" % at + LARGE)
    wire, first = come(roomy, value["token"], seen=5, name=NAME)
    assert first[0] == "resumed"
    assert [text[:1] for text in texts(wire)] == [b"5", b"6", b"7", b"8"]


@pytest.mark.proves("C-94")
def test_who_is_away_takes_something(hub: Hub) -> None:
    """Until it is back; and where there is little left nobody is waited for who has nothing to come back to."""
    wire, (_, value) = come(hub, name=NAME)
    wire.lose()
    assert held(hub) == 2048
    wire, first = come(hub, value["token"], name=NAME)
    assert first[0] == "resumed"
    assert held(hub) == 0
    other = Account(hub.channels.memory)
    kept = other.hold(600_000)
    wire.lose()
    assert NAME not in hub.channels.by_name
    del kept
    assert hub.channels.memory.held == 0


@pytest.mark.proves("C-94", "C-35")
def test_what_waits_for_a_peer_that_is_away(hub: Hub) -> None:
    """What is too much comes back; what has waited is given back when the peer is here again."""
    wire, (_, value) = come(hub, name=NAME)
    wire.lose()
    codes = [channel(hub).hold(LARGE, None) for _ in range(8)]
    assert codes == [0] * 5 + [480] * 3
    assert held(hub) == 50_000 + 2048
    wire, first = come(hub, value["token"], seen=0, name=NAME)
    assert first[0] == "resumed"
    assert len(texts(wire)) == 5
    assert held(hub) <= 50_000  # what is kept from now on
    hub.journal.counts.clear()


def test_each_connection_counts_once(hub: Hub) -> None:
    """Whatever becomes of it: replaced, lost, dropped."""
    memory = hub.channels.memory
    assert memory.connections == 0
    first, second = hub.connect(NAME), hub.connect("bob@gortc.local")
    assert memory.connections == 2
    third = hub.connect(NAME)
    assert memory.connections == 2
    first.lose()
    assert memory.connections == 2
    third.protocol.drop_slow()
    assert memory.connections == 1
    hub.clock.advance(1)
    second.lose()
    assert memory.connections == 0


# what is written, and not read


def stall(wire: Wire) -> Any:
    """Its peer reads nothing, and the transport has all that it takes. What it tells when it reads again."""
    wire.transport.bufferSize = 20_000  # type: ignore[attr-defined]
    producer: Any = wire.transport.producer
    producer.pauseProducing()
    return producer


@pytest.mark.proves("C-94")
def test_a_peer_that_does_not_read(hub: Hub) -> None:
    """What waits for it counts, with what waited before; what is too much closes the connection."""
    wire = hub.connect(NAME)
    producer = stall(wire)
    assert held(hub) == 20_000
    for _ in range(3):
        assert give(channel(hub), LARGE) == 0
    assert held(hub) == 50_000
    producer.resumeProducing()
    assert held(hub) == 0
    stall(wire)
    for _ in range(4):
        assert give(channel(hub), LARGE) == 0
    assert give(channel(hub), LARGE) == 480
    assert wire.transport.aborted
    wire.transport.producer = None
    hub.clock.advance(120)
    assert hub.channels.memory.held == 0
    assert hub.journal.counts == {"no room to wait": 1, "slow reader": 1}


@pytest.mark.proves("C-94")
def test_a_peer_that_does_not_read_and_has_too_much_already(hub: Hub) -> None:
    """It is dropped in the next turn, unless it reads by then."""
    wire = hub.connect(NAME)
    account = channel(hub).account
    assert account is not None
    kept = account.hold(40_000)
    stall(wire).resumeProducing()
    hub.clock.advance(0)
    assert wire.transport.connected
    stall(wire)
    assert not wire.transport.aborted
    hub.clock.advance(0)
    assert wire.transport.aborted
    wire.transport.producer = None
    del kept
    hub.clock.advance(0)
    assert hub.journal.counts == {"slow reader": 1}


# what comes


@pytest.mark.proves("C-94")
@pytest.mark.parametrize("size", [1, 100, 30_000])
def test_a_message_that_is_not_whole_yet(hub: Hub, size: int) -> None:
    """All that its frame has is counted as soon as its head is here."""
    hub.channels.frames = None  # else it would be read no further
    wire = hub.connect(NAME)
    one = frame(b"x" * 30_000)
    wire.send(one[:10])
    assert 30_000 <= held(hub) < 31_000
    wire.send(one[10:-1], split=size)
    assert wire.transport.connected == (size > 1)  # a byte at a time takes more than 50 kB
    if size > 1:
        assert held(hub) >= 30_000
        wire.send(one[-1:])
        assert held(hub) == 0
        assert hub.stack.got == [b"x" * 30_000]
    else:
        assert hub.channels.memory.held == 0
        assert hub.journal.counts == {"no memory": 1}


@pytest.mark.proves("C-94")
def test_fragments(hub: Hub) -> None:
    """Those of two bytes take thirty times as much."""
    wire = hub.connect(NAME)
    wire.send(frame(b"xx", opcode=1, fin=False))
    sent = 1
    while wire.transport.connected:
        wire.send(frame(b"xx", opcode=0, fin=False))
        sent += 1
    assert 900 < sent < 1100
    assert hub.channels.memory.held == 0
    assert hub.journal.counts == {"no memory": 1}


@pytest.mark.proves("C-73")
@pytest.mark.parametrize("fragments", [False, True])
@pytest.mark.parametrize(
    ("body", "most"), [(b'"' + b"x" * 60_000 + b'"', 80), (b"[" + b"[]," * 20_000 + b"1]", 6), (b"1", 1000)]
)
def test_frames_are_weighed(body: bytes, most: int, fragments: bool) -> None:
    """What takes long to read counts as many frames; the rest of it waits in TCP."""
    hub = Hub(auth="none", proxies=(), limits=Limits(frames=Rate(100, 1000)))
    wire = hub.connect(NAME)
    whole = frame(body, fin=False) + frame(b"", opcode=0) if fragments else frame(body)
    read = 0
    while wire.transport.producerState == "producing":
        wire.send(whole)
        read += 1
    assert read <= most + 1
    assert read >= most / (4 if fragments else 2)
    hub.clock.advance(20)
    assert wire.transport.producerState == "producing"


def test_who_has_no_limits_has_none_of_memory() -> None:
    hub = Hub(limits=Limits(memory=1, memory_connection=1, memory_user=1))
    wire, (_, value) = come(hub, name=NAME)
    for _ in range(9):
        assert channel(hub).send(LARGE) == 0
    one = frame(b"x" * 30_000)
    wire.send(one[:-1], split=1000)
    wire.lose()
    for _ in range(9):
        assert channel(hub).hold(LARGE, None) == 0
    wire, first = come(hub, value["token"], name=NAME)
    assert first[0] == "resumed"
    stall(wire)
    assert give(channel(hub), LARGE) == 0
    assert hub.channels.memory.held == 0
    assert Channel("x").account is None
    wire.transport.producer = None


@pytest.mark.parametrize("where", ["kept", "waiting"])
def test_what_stays_takes_no_more_room_than_its_bytes(hub: Hub, where: str) -> None:
    """orjson gives what it writes the room of its buffer, a hundred times as much for a list of digits."""
    wire, _ = come(hub, name=NAME)
    if where == "waiting":
        wire.lose()
    peer = channel(hub)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            if where == "waiting":
                assert peer.hold(orjson.dumps({"Body": [1] * 500}), None) == 0
            else:
                assert peer.send(orjson.dumps({"Body": [1] * 500})) == 0
        wire.transport.clear()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert held(hub) > 20_000
    assert taken < 2 * held(hub)
