"""Connections that are to end do: section 1 of docs/jsip.md, "Life"."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
import txaio.tx
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from gortc.admission.interfaces import Handshake
from gortc.server import Server
from gortc.settings import Settings
from gortc.transport.headers import KEPT
from tests.transport.kit import CLOSE, TEXT, Hub, Wire, close, frame, handshake
from tests.transport.network import Cable
from tests.transport.test_outbound import Deaf, connected, network


@pytest.fixture
def loop() -> Iterator[None]:
    """Autobahn's timers are as they were."""
    before = txaio.tx.config.loop
    yield
    txaio.tx.config.loop = before


def clinging(hub: Hub) -> Any:
    """A connection whose TCP, or TLS, waits for its peer before it is gone."""
    wire = Wire(hub)
    wire.transport.loseConnection = lambda: None  # type: ignore[method-assign]
    abort = type(wire.transport).loseConnection

    def aborted() -> None:
        wire.transport.aborted = True
        abort(wire.transport)

    wire.transport.abortConnection = aborted  # type: ignore[method-assign]
    return wire


def check_gone(hub: Hub, wire: Any) -> None:
    """A moment later, not before."""
    hub.clock.advance(0.9)
    assert not wire.transport.aborted
    hub.clock.advance(0.2)
    assert wire.transport.aborted
    hub.clock.advance(0)
    assert not hub.factory.connections
    assert len(hub.timers) == 0


def check_gone_beside(hub: Hub, wire: Any, other: Wire) -> None:
    """As `check_gone`, where another one is there."""
    hub.clock.advance(1.1)
    hub.clock.advance(0)
    assert wire.transport.aborted
    assert hub.factory.connections == {other.protocol}


@pytest.mark.proves("C-2", "C-5")
def test_a_refused_handshake(hub: Hub) -> None:
    wire = clinging(hub)
    wire.send(handshake("/nowhere"))
    check_gone(hub, wire)


def test_that_it_has_gone_is_told_when_nothing_of_it_is_under_way(hub: Hub) -> None:
    """Who hears of it may stop the reactor, which no call of Autobahn's or of TLS's survives."""
    wire = hub.connect()
    gone: list[object] = []
    within: list[int] = []
    wire.protocol.gone().addCallback(gone.append)
    wire.protocol.is_closed.addCallback(lambda _: within.append(len(gone)))
    wire.protocol.close(1001, "stopping")
    wire.protocol.dropConnection(abort=True)
    assert (within, gone) == ([0], [])
    wire.protocol.connectionLost(Failure(ConnectionDone()))
    assert gone == []
    hub.clock.advance(0)
    assert gone == [None]


@pytest.mark.proves("C-2")
def test_what_is_left_goes_out_however_late_we_are(hub: Hub) -> None:
    """A process that does not run for a while finds its timers due before its sockets are written."""
    wire = clinging(hub)
    wire.send(handshake("/nowhere"))
    turns: list[bool] = []
    hub.clock.callLater(1, lambda: turns.append(wire.transport.aborted))
    hub.clock.advance(60)
    assert turns == [False]
    assert wire.transport.aborted


@pytest.mark.proves("C-18")
def test_a_peer_that_closes_and_stays(hub: Hub) -> None:
    wire = clinging(hub)
    wire.send(handshake())
    wire.take_http()
    wire.send(close())
    assert wire.take()[-1][0] == CLOSE
    check_gone(hub, wire)


class Asking:
    """A server whose authenticator answers when the test does; or, where it does not heed that it is
    cancelled, then."""

    def __init__(self, heeds: bool) -> None:
        self.asked: list[Deferred[str | None]] = []
        self._heeds = heeds
        self.hub = Hub({"desk": self.ask}, auth={"desk": {}}, realm="x", proxies=())

    def ask(self, _: Handshake) -> Deferred[str | None]:
        """It takes its time."""
        answer: Deferred[str | None] = Deferred(None if self._heeds else lambda answer: answer.callback("alice@x"))
        self.asked.append(answer)
        return answer

    def refusals(self) -> dict[str, int]:
        """What was counted."""
        return {what: n for what, n in self.hub.journal.counts.items() if what.startswith("handshake refused")}


@pytest.mark.proves("C-5")
@pytest.mark.parametrize("heeds", [True, False])
def test_who_is_refused_while_it_is_asked_about_stays_refused(heeds: bool) -> None:
    """Whatever is answered later: it is told once, and takes nobody's place."""
    desk = Asking(heeds)
    first = Wire(desk.hub)
    first.send(handshake())
    desk.asked.pop().callback("alice@x")
    assert first.take_http().startswith("HTTP/1.1 101 ")
    wire = clinging(desk.hub)
    wire.send(handshake())
    wire.send(b"\x01" * (desk.hub.settings.handshake_max + 1))
    assert wire.take_http().startswith("HTTP/1.1 400 ")
    if not desk.asked[0].called:
        desk.asked[0].callback("alice@x")
    assert wire.take_http() == ""
    assert wire.protocol.state == wire.protocol.STATE_CLOSED
    assert first.protocol.state == first.protocol.STATE_OPEN
    assert desk.hub.channels.by_name["alice@x"].connection is first.protocol
    check_gone_beside(desk.hub, wire, first)
    assert desk.refusals() == {"handshake refused, 400": 1}
    first.lose()


@pytest.mark.parametrize("heeds", [True, False])
def test_who_goes_while_it_is_asked_about_is_not_refused(heeds: bool) -> None:
    desk = Asking(heeds)
    wire = Wire(desk.hub)
    wire.send(handshake())
    wire.lose()
    if not desk.asked[0].called:
        desk.asked[0].callback("alice@x")
    assert wire.take_http() == ""
    assert not desk.hub.channels.by_name
    assert desk.refusals() == {}


@pytest.mark.proves("C-2", "C-5", "C-18")
@pytest.mark.parametrize("end", ["refused", "refused late", "too large", "we close", "they close", "violation"])
def test_what_comes_after_the_end_is_not_kept(end: str) -> None:
    """By TLS, a connection that is over is read for a moment."""
    desk = Asking(heeds=True)
    wire = clinging(desk.hub)
    wire.send(handshake("/nowhere" if end == "refused" else "/rtc?userid=alice@x"))
    if end == "refused late":
        wire.send(b"x" * 1000)
        desk.asked[0].callback("bob@x")
    elif end == "too large":
        wire.send(b"x" * (desk.hub.settings.handshake_max + 1))
    elif end != "refused":
        desk.asked[0].callback("alice@x")
        if end == "we close":
            wire.protocol.close(4000, "so it is")
            wire.send(frame("a" * 60_000) + frame("b" * 30_000, fin=False))
            wire.send(close())
        elif end == "they close":
            wire.send(close() + b"x" * 1000)
        else:
            for _ in range(2):
                wire.send(frame(b"", opcode=3) + b"x" * 1000)
    for _ in range(100):
        wire.send(frame("a" * 10_000) + frame("b" * 60_000, TEXT, fin=False))
        assert len(wire.protocol.data) == 0
    assert sum(map(len, getattr(wire.protocol, "message_data", None) or ())) <= desk.hub.settings.frame_max
    wire.lose()
    assert not desk.hub.factory.connections


ENDLESS = (1 << 40).to_bytes(8, "big")
TOO_MUCH = {
    "an endless ping": b"\x89\xff" + ENDLESS + bytes(4),
    "an endless pong": b"\x8a\xff" + ENDLESS + bytes(4),
    "an endless close": b"\x88\xff" + ENDLESS + bytes(4),
    "a long ping": b"\x89\xfe\xff\xff" + bytes(4),
    "an endless control frame of no kind": b"\x8b\xff" + ENDLESS + bytes(4),
    "an endless text": b"\x81\xff" + ENDLESS + bytes(4),
    "a text after a failure": b"\x83\x80" + bytes(4) + b"\x81\xfe\xff\xff" + bytes(4),
    "an endless ping in a text": b"\x01\x81" + bytes(4) + b"x\x89\xff" + ENDLESS + bytes(4),
}


def kept(protocol: Any) -> int:
    """So many bytes has it of frames and messages that are not whole."""
    lists = [getattr(protocol, name, None) or () for name in ("control_frame_data", "frame_data", "message_data")]
    return len(protocol.data) + sum(len(piece) + 48 for pieces in lists for piece in pieces)


@pytest.mark.proves("C-16")
@pytest.mark.parametrize("what", TOO_MUCH)
def test_nor_what_comes_after_a_violation(what: str, hub: Hub) -> None:
    """The connection stays for a moment, for the close that answers ours."""
    wire = clinging(hub)
    wire.send(handshake())
    wire.take_http()
    wire.send(TOO_MUCH[what])
    assert wire.take()[-1][0] == CLOSE
    for _ in range(6):
        wire.send(b"x" * 10_000)
        assert kept(wire.protocol) < 200
    hub.clock.advance(2)


@pytest.mark.parametrize("what", TOO_MUCH)
def test_nor_what_a_next_hop_says_after_a_violation(what: str, loop: None) -> None:
    """Its frames are not masked: that would be another violation."""
    net = connected()
    protocol: Any = net.hop.connection
    protocol.transport.abortConnection = protocol.transport.loseConnection = lambda: None
    protocol.dataReceived(b"".join(unmasked(TOO_MUCH[what])))
    assert protocol.failedByMe
    for _ in range(6):
        protocol.dataReceived(b"x" * 10_000)
        assert kept(protocol) < 200


def unmasked(data: bytes) -> Iterator[bytes]:
    """The same frames without their masks, which are 0."""
    at = 0
    while at < len(data):
        size = data[at + 1] & 0x7F
        head = 2 + {126: 2, 127: 8}.get(size, 0)
        yield bytes((data[at], size)) + data[at + 2 : at + head]
        at += head + 4
        yield data[at : at + size] if size < 126 else b""
        at += size if size < 126 else 0


def test_nor_what_a_next_hop_says_then(loop: None) -> None:
    """Its TLS is read for a moment, too."""
    net = connected()
    protocol: Any = net.hop.connection
    protocol.transport.abortConnection = lambda: None
    protocol.dropConnection()
    for _ in range(100):
        protocol.dataReceived(b"x" * 10_000)
        assert len(protocol.data) == 0


def test_a_next_hop_whose_handshake_has_no_end(loop: None) -> None:
    """Whoever has dialled it is told in time; of what it says no more is kept than of anybody's handshake."""
    net = network()
    net.silent = True
    call = net.labs["a"].user("anna").open("MESSAGE", "nobody@b.test")
    net.reactor.advance(0)
    factory: Any = net.reactor.tcpClients[0][2]
    protocol = factory.buildProtocol(None)
    cable = Cable(protocol, Deaf())
    cable.near.hear(b"HTTP/1.1 101 Switching Protocols\r\nX-Long: ")
    for _ in range(16):
        cable.near.hear(b"x" * 1000)
    assert not cable.near.ended
    cable.near.hear(b"x" * 1000)
    assert cable.near.ended
    net.settle()
    call.expect(503)
    assert net.hop.trouble == "127.0.0.1: its answer to the opening handshake is too large"


def test_nothing_is_left_of_a_next_hop_s_handshake(loop: None) -> None:
    protocol: Any = connected().hop.connection
    assert not set(KEPT) & vars(protocol).keys()


def test_one_that_ends_by_itself_leaves_no_timer(hub: Hub) -> None:
    wire = hub.connect()
    wire.send(close())
    assert not hub.factory.connections
    hub.rest()


def visit(port: int, times: int, head: str) -> None:
    """Connect so many times, and leave."""
    for _ in range(times):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
            peer.sendall(handshake("/rtc?userid=alice@x", Sec_WebSocket_Protocol=head))
            assert peer.recv(4096).startswith(b"HTTP/1.1 101")


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("head", ["", "jsip.resume"])
async def test_connections_leave_no_cycle(head: str) -> None:
    """The collector looks seldom, and would find thousands of them."""
    server = Server(Settings(rtc=("tcp:0:interface=127.0.0.1",), api=""), reactor)
    server.privilegedStartService()
    address: Any = server.ports[0].getHost()
    port: int = address.port
    await deferToThread(visit, port, 1, head)
    while gc.collect():  # what other tests have left goes in more than one round
        pass
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        await deferToThread(visit, port, 20, head)
        gc.collect()
        # Those of this server: what other tests have begun may end meanwhile.
        ours = (server._factory, server.node.channels)
        owner = {"RtcProtocol": "factory", "PeerChannel": "_channels"}
        found = [
            name
            for thing in gc.garbage
            if (name := type(thing).__name__) in owner and getattr(thing, owner[name]) in ours
        ]
        found += ["Server" for thing in gc.garbage if thing is server]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        await server.stopService()
    assert not found
