"""The two kinds of connection that the corpus is played on: one in memory, and one over a socket."""

from __future__ import annotations

import json
from typing import Any

from gortc.node import Node
from gortc.transport.websocket import RtcFactory
from slp_plugins.default import default
from tests.torture.play import USERS, Json
from tests.transport.kit import CLOSE, TEXT, Hub, frame
from tests.wire.kit import Peer


class Exchange(Hub):
    """A whole node with its WebSocket connections, in memory and in virtual time."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.node = Node(self.settings, self.clock)
        self.node.load({"default": default})
        self.journal = self.node.journal
        self.channels = self.node.channels
        self.factory = RtcFactory(self.channels, self.settings, self.timers, self.clock)

    def advance(self, seconds: float) -> None:
        """Let time pass, one timer after the other."""
        end = self.clock.seconds() + seconds
        while due := [call.getTime() for call in self.clock.getDelayedCalls() if call.getTime() <= end]:
            self.clock.advance(max(0.0, min(due) - self.clock.seconds()))
        self.clock.advance(end - self.clock.seconds())


class Memory:
    """A line without a socket."""

    def __init__(self, exchange: Exchange, name: str) -> None:
        self.wire = exchange.connect(USERS[name])
        self._clock = exchange.clock
        self._got: list[tuple[int, bytes]] = []

    def send(self, data: bytes, opcode: int) -> None:
        """The server reads it at once."""
        self.wire.send(frame(data, opcode))

    def receive(self) -> Json:
        """What has been sent is here already."""
        opcode, payload = self._next()
        assert opcode == TEXT, (opcode, payload)
        message: Json = json.loads(payload)
        return message

    def closed(self) -> int:
        """The same of a close frame, the last one."""
        opcode, payload = self._next()
        assert opcode == CLOSE, (opcode, payload)
        assert not self.wire.take()
        return int.from_bytes(payload[:2], "big")

    def _next(self) -> tuple[int, bytes]:
        self._clock.advance(0)
        self._got += self.wire.take()
        assert self._got, "nothing has come"
        return self._got.pop(0)


class Socket:
    """A line over a socket. Frames are written as they are, past the client, which would refuse to send some."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def send(self, data: bytes, opcode: int) -> None:
        """Send it."""
        self._peer.socket.socket.sendall(frame(data, opcode))

    def receive(self) -> Json:
        """Wait for it, as long as a slow machine may take."""
        return self._peer.receive()

    def closed(self) -> int:
        """Wait for it."""
        code, _ = self._peer.closed()
        return code
