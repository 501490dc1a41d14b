"""Bounds of a connection at their edges, with the defaults: docs/jsip.md section 1."""

from __future__ import annotations

from typing import Any

import pytest
import txaio.tx
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from gortc.admission.interfaces import Handshake
from gortc.server import Server
from gortc.settings import Settings
from gortc.transport.channels import BEGINS
from tests.transport.kit import CLOSE, PING, Hub, close, frame, give, handshake


@pytest.mark.proves("C-17", "X-12")
def test_15_s_between_two_pings(hub: Hub) -> None:
    wire = hub.connect()
    for _ in range(2):
        hub.clock.advance(14.9)
        assert wire.take() == []
        hub.clock.advance(0.1)
        assert [opcode for opcode, _ in wire.take()] == [PING]


@pytest.mark.proves("C-18", "X-13")
def test_a_peer_is_dead_40_s_after_its_last_byte(hub: Hub) -> None:
    wire = hub.connect()
    hub.clock.advance(10)
    wire.send(b"\x81")
    for seconds in (15, 15, 9.9):
        hub.clock.advance(seconds)
        assert wire.transport.connected
    hub.clock.advance(0.1)
    assert wire.transport.aborted


@pytest.mark.proves("C-5")
def test_a_handshake_may_take_10_s(hub: Hub) -> None:
    wire = hub.connect(None)
    hub.clock.advance(9.9)
    assert wire.transport.connected
    hub.clock.advance(0.1)
    assert not wire.transport.connected
    in_time = hub.connect(None)
    hub.clock.advance(9.9)
    in_time.send(handshake())
    hub.clock.advance(1)
    assert in_time.transport.connected


@pytest.mark.proves("C-6")
def test_a_handshake_may_have_16_kib(hub: Hub) -> None:
    bare = len(handshake(X_Fill="x"))
    for size, status in ((16384, 101), (16385, 400)):
        wire = hub.connect(None)
        wire.send(handshake(X_Fill="x" * (size - bare + 1)))
        assert wire.take_http().startswith(f"HTTP/1.1 {status} ")


BARE = len(handshake().splitlines()) - 2
"""So many headers it has in any case."""


@pytest.mark.proves("C-6")
@pytest.mark.parametrize("end", ["\r\n", "\n", "\x85"])
def test_a_handshake_may_have_100_headers(hub: Hub, end: str) -> None:
    """Whatever ends a line to Autobahn, a header it makes of it."""
    for number, status in ((100, 101), (101, 431)):
        wire = hub.connect(None)
        more = end.join(f"x{at}:" for at in range(number - BARE))
        wire.send(handshake().replace(b"\r\n\r\n", b"\r\n" + more.encode("latin-1") + b"\r\n\r\n"))
        assert wire.take_http().startswith(f"HTTP/1.1 {status} ")


@pytest.mark.proves("C-6")
def test_a_query_may_have_100_fields(hub: Hub) -> None:
    for number, status in ((100, 101), (101, 400)):
        wire = hub.connect(None)
        wire.send(handshake("/rtc?userid=alice@x" + "".join(f"&a{at}=b" for at in range(number - 1))))
        assert wire.take_http().startswith(f"HTTP/1.1 {status} ")


LARGE = handshake(
    "/rtc?userid=alice@x&token=" + "t" * 3000,
    X_Fill="x" * 3000,
    Cookie="y" * 3000,
    Sec_WebSocket_Protocol=",".join(["jsip", *(f"p{at}" for at in range(700))]),
    Sec_WebSocket_Extensions=",".join(f"e{at}" for at in range(500)),
)


def kept(protocol: Any) -> int:
    """So many bytes does a connection hold, as far as it knows them itself."""

    def size(value: object) -> int:
        if isinstance(value, (str, bytes)):
            return len(value)
        if isinstance(value, dict):
            return sum(size(name) + size(inner) for name, inner in value.items())
        return sum(map(size, value)) if isinstance(value, (list, tuple, set)) else 0

    return sum(size(value) for name, value in vars(protocol).items() if name not in ("factory", "transport"))


def test_nothing_is_left_of_a_handshake(hub: Hub) -> None:
    """Not with who is let in, nor with who is refused."""
    wire = hub.connect(None)
    wire.send(LARGE)
    assert wire.take_http().startswith("HTTP/1.1 101 ")
    assert kept(wire.protocol) < 1000
    refused = hub.connect(None)
    refused.send(LARGE.replace(b"/rtc?", b"/other?"))
    assert refused.take_http().startswith("HTTP/1.1 404 ")
    assert kept(refused.protocol) < 1000


def test_of_a_handshake_once_is_kept_while_others_say_who_it_is() -> None:
    """What the authenticators are asked about."""
    asked: list[Handshake] = []

    def ask(handshake: Handshake) -> Deferred[str | None]:
        asked.append(handshake)
        return Deferred()

    hub = Hub({"slow": ask}, auth={"slow": {}}, nodes=("x",))
    wire = hub.connect(None)
    wire.send(LARGE)
    assert asked[0].headers["x-fill"] == "x" * 3000
    assert kept(wire.protocol) < 1000
    wire.lose()


@pytest.mark.proves("C-19", "C-20")
def test_1_mib_may_wait_for_a_peer_that_does_not_read(hub: Hub) -> None:
    transport: Any = hub.connect().transport
    alice = hub.channels.by_name["alice@x"]
    transport.producer.pauseProducing()
    assert transport.producerState == "paused"
    hub.clock.advance(BEGINS)
    assert [give(alice, b"x" * 65536) for _ in range(16)] == [0] * 16
    assert not transport.aborted
    assert give(alice, b"x") == 480
    assert transport.aborted
    transport.producer = None


@pytest.mark.proves("C-16")
def test_an_opcode_that_nobody_knows(hub: Hub) -> None:
    wire = hub.connect()
    wire.send(frame("x", opcode=3))
    wire.assert_closing(1002)


@pytest.mark.proves("C-21")
def test_a_server_that_stops(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.clock = reactor = MemoryReactorClock()
    monkeypatch.setattr(txaio.tx.config, "loop", reactor)
    server = Server(Settings(api=""), reactor)
    server.privilegedStartService()
    factory: Any = reactor.tcpServers[0][1]
    hub.factory = factory
    wires = [hub.connect(name) for name in ("alice@x", "bob@x")]
    stopped = server.stopService()
    for wire in wires:
        assert wire.take() == [(CLOSE, b"\x03\xe9the server is stopping")]
        wire.send(close(1001))
        assert not wire.transport.connected
    assert stopped.called
