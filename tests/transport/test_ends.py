"""Connections that are to end do: section 1 of docs/jsip.md, "Life"."""

from __future__ import annotations

import gc
import socket
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from gortc.server import Server
from gortc.settings import Settings
from tests.transport.kit import CLOSE, Hub, Wire, close, handshake


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


@pytest.mark.proves("C-2", "C-5")
def test_a_refused_handshake(hub: Hub) -> None:
    wire = clinging(hub)
    wire.send(handshake("/nowhere"))
    check_gone(hub, wire)


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
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        await deferToThread(visit, port, 20, head)
        gc.collect()
        found = {type(thing).__name__ for thing in gc.garbage}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        await server.stopService()
    assert not found & {"RtcProtocol", "Line", "PeerChannel", "Window", "Server", "TransportDetails", "TrafficStats"}
