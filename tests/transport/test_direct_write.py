"""Frames that go straight into the socket, and what happens where it takes no more."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactor

from gortc.transport.channels import PeerChannel
from tests.transport.kit import Hub, frames, give, handshake


class Loopback(Connection):
    """A connection of two sockets of this machine."""

    def getPeer(self) -> IPv4Address:  # noqa: N802
        """Who it is does not matter."""
        return IPv4Address("TCP", "127.0.0.1", 1)

    getHost = getPeer  # noqa: N815


class Line:
    """Alice's connection over two sockets: a server's transport on one, she has the other."""

    def __init__(self) -> None:
        self.hub = Hub(unsent_max=100_000_000)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.hers = socket.create_connection(listener.getsockname())
            ours, _ = listener.accept()
        for one in (ours, self.hers):
            one.setblocking(False)
        self.reactor = MemoryReactor()
        protocol = self.hub.factory.buildProtocol(None)
        self.transport = Loopback(ours, protocol, self.reactor)
        self.transport.connected = 1
        protocol.makeConnection(self.transport)
        protocol.dataReceived(handshake("/rtc?userid=alice@x"))
        self.transport.doWrite()
        self.hers.settimeout(60)
        assert self.hers.recv(65536).startswith(b"HTTP/1.1 101 ")
        self.hers.setblocking(False)
        self.channel: PeerChannel = self.hub.channels.by_name["alice@x"]

    @property
    def waiting(self) -> bool:
        """Whether the reactor has been asked to write."""
        return bool(self.reactor.getWriters())

    def read(self) -> bytes:
        """What she can read now."""
        data = b""
        try:
            while part := self.hers.recv(65536):
                data += part
        except BlockingIOError:
            pass
        return data

    def read_frame(self) -> list[tuple[int, bytes]]:
        """The next one, which is on its way."""
        self.hers.settimeout(60)
        data = self.hers.recv(65536)
        self.hers.setblocking(False)
        return frames(data)

    def close(self) -> None:
        """No socket is left open."""
        self.hers.close()
        self.transport.socket.close()


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


def test_it_is_there_at_once(line: Line) -> None:
    assert line.channel.send(b"hello") == 0
    assert line.read_frame() == [(1, b"hello")]
    assert not line.waiting


def test_what_the_socket_does_not_take_follows_in_order(line: Line) -> None:
    sent = [b"%03d" % number + b"x" * 60_000 for number in range(200)]
    for data in sent:
        assert give(line.channel, data) == 0
    assert line.waiting
    assert give(line.channel, b"last") == 0
    data = b""
    while line.waiting:
        data += line.read()
        assert line.transport.doWrite() is None
    while len(data) < sum(map(len, sent)):
        data += line.read()
    data += line.read()
    assert frames(data) == [(1, one) for one in (*sent, b"last")]
    assert line.channel.send(b"at once again") == 0
    assert line.read_frame() == [(1, b"at once again")]


def test_a_lost_connection_is_for_the_reactor_to_find(line: Line) -> None:
    line.transport.socket.shutdown(socket.SHUT_WR)
    assert line.channel.send(b"hello?") == 0
    assert line.waiting
    assert line.transport.doWrite() is CONNECTION_LOST
