"""RFC 6455 by hand, and a connection of the server's in memory, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from gortc.admission.interfaces import Ask
from gortc.jsip.layers import Channel, Journal
from gortc.jsip.message import Message
from gortc.jsip.timers import Timers
from gortc.settings import Settings
from gortc.transport.channels import Channels, PeerChannel
from gortc.transport.websocket import RtcFactory, RtcProtocol

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x81\x00\xa5\xff"


def frame(payload: bytes | str, opcode: int = TEXT, fin: bool = True, mask: bytes = MASK, reserved: int = 0) -> bytes:
    """A frame as a client sends it; unmasked with an empty `mask`."""
    data = payload.encode() if isinstance(payload, str) else payload
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    flag = 0x80 if mask else 0
    if len(data) < 126:
        head = bytes((first, flag | len(data)))
    elif len(data) < 65536:
        head = bytes((first, flag | 126)) + len(data).to_bytes(2, "big")
    else:
        head = bytes((first, flag | 127)) + len(data).to_bytes(8, "big")
    return head + mask + (masked(data, mask) if mask else data)


def masked(data: bytes, mask: bytes) -> bytes:
    """RFC 6455 section 5.3."""
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """A close frame of a client."""
    return frame(b"" if code is None else code.to_bytes(2, "big") + reason, CLOSE)


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """What a server has sent: (opcode, payload) of each frame, none of them masked or fragmented."""
    found, at = [], 0
    while at < len(data):
        first, size = data[at : at + 2]
        at += 2
        assert first & 0xF0 == 0x80, f"fragmented, or with reserved bits: {first:#x}"
        if size == 126:
            size, at = int.from_bytes(data[at : at + 2], "big"), at + 2
            assert size > 125
        elif size == 127:
            size, at = int.from_bytes(data[at : at + 8], "big"), at + 8
            assert size > 65535
        assert at + size <= len(data)
        found.append((first & 0x0F, data[at : at + size]))
        at += size
    return found


class Recorder:
    """In place of the stack: what the channels give it, and what it does then."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.refusals: list[tuple[bytes, int]] = []
        self.then: Callable[[Any, bytes], object] = lambda channel, data: None

    def receive(self, channel: Channel, data: bytes) -> None:
        """Take a frame."""
        self.got.append(data)
        self.then(channel, data)

    def gone_out(self, channel: Channel, data: bytes, message: Message | None) -> None:
        """What has waited has gone out."""

    def refused(self, channel: Channel, data: bytes, code: int, reason: str) -> None:
        """What the peer has closed its connection for."""
        self.refusals.append((data, code))

    def outgrown(self, channel: Channel, data: bytes) -> None:
        """What may not be sent any more."""
        raise AssertionError(f"{channel.name}: {len(data)} bytes")


class Transport(StringTransport):
    """A TCP transport: it counts writes, knows how it was closed, and tells its protocol of that a turn later."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.writes = 0
        self.aborted = False
        self._clock = clock

    def attach(self, protocol: RtcProtocol) -> None:
        """Whom to tell."""
        self._told = protocol

    def write(self, data: bytes) -> None:
        """One more write."""
        self.writes += 1
        super().write(data)

    def loseConnection(self) -> None:  # noqa: N802
        """Closed; nothing more is read."""
        if self.connected:
            self.connected = False
            self._clock.callLater(0, self._told.connectionLost, Failure(ConnectionDone()))

    def abortConnection(self) -> None:  # noqa: N802
        """Dropped, without a close."""
        self.aborted = True
        self.loseConnection()

    def unregisterProducer(self) -> None:  # noqa: N802
        """As TCP transports do, without a word where there is none."""

    def setTcpKeepAlive(self, enabled: bool) -> None:  # noqa: N802
        """As a TCP transport has it."""

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802
        """As a TCP transport has it."""


NOBODY: Mapping[str, Ask] = {}


class Hub:
    """Channels with a factory of connections, no reactor and no socket."""

    def __init__(self, asks: Mapping[str, Ask] = NOBODY, /, **settings: Any) -> None:
        """`asks` are the authenticators."""
        self.clock = Clock()
        self.settings = Settings(**settings)
        self.journal = Journal()
        self.stack = Recorder()
        self.timers = Timers(self.clock, self.fail)
        self.channels = Channels(self.timers, self.journal, self.stack, self.settings)
        self.factory = RtcFactory(self.channels, self.settings, self.timers, self.clock, asks)

    def fail(self) -> None:
        """A timer has raised."""
        raise AssertionError("a timer has raised")

    def rest(self) -> None:
        """Nothing waits; the call of an empty queue finds nothing, and is not renewed."""
        assert len(self.timers) == 0
        self.clock.advance(self.settings.times.ping)
        assert not self.clock.getDelayedCalls()

    def connect(self, userid: str | None = "alice@x") -> Wire:
        """A connection, open unless `userid` is None."""
        wire = Wire(self)
        if userid is not None:
            wire.send(handshake(f"/rtc?userid={userid}"))
            assert wire.take_http().startswith("HTTP/1.1 101 ")
        return wire


class Wire:
    """One connection, from the client's end; without an `address` by a UNIX socket."""

    def __init__(self, hub: Hub, address: str = "192.168.1.1") -> None:
        self.hub = hub
        self.transport = Transport(hub.clock)
        self.transport.peerAddr = IPv4Address("TCP", address, 54321) if address else UNIXAddress(None)
        self.protocol: RtcProtocol = hub.factory.buildProtocol(None)
        self.transport.attach(self.protocol)
        self.protocol.makeConnection(self.transport)

    def send(self, data: bytes, split: int = 0) -> None:
        """Let it read `data`, in pieces of `split` bytes."""
        size = split or len(data) or 1
        for at in range(0, len(data), size):
            if self.transport.connected:
                self.protocol.dataReceived(data[at : at + size])
        self.hub.clock.advance(0)

    def lose(self) -> None:
        """The peer closes the TCP connection."""
        self.transport.connected = False
        self.protocol.connectionLost(Failure(ConnectionDone()))

    def take(self) -> list[tuple[int, bytes]]:
        """The frames that came since the last time."""
        data = self.transport.value()
        self.transport.clear()
        return frames(data)

    def take_http(self) -> str:
        """What came in answer to the handshake."""
        data: bytes = self.transport.value()
        self.transport.clear()
        return data.decode()

    def assert_closing(self, code: int) -> None:
        """The last frame is a close with `code`, and no frame of the client counts any more."""
        last = self.take()[-1]
        assert last[0] == CLOSE
        assert int.from_bytes(last[1][:2], "big") == code, last
        before = len(self.hub.stack.got)
        self.send(frame("too late"))
        assert len(self.hub.stack.got) == before


def handshake(target: str = "/rtc?userid=alice@x", **headers: str) -> bytes:
    """An opening handshake; `headers` add or override, with `_` for `-`."""
    made = {
        "Host": "x:8080",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in made.items() if value)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def give(channel: PeerChannel, data: bytes) -> int:
    """Send a response's text as the stack does: it waits where it can't go out. 0, or the code that says why not."""
    return channel.send(data) and channel.hold(data, None)
