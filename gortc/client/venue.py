"""Where a scenario is played: what a player asks of the world, and the real one, WebSockets and the time of day."""

from __future__ import annotations

from typing import Any, Callable, Protocol
from urllib.parse import quote
from uuid import uuid4

import orjson
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionClosed
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from gortc.jsip.message import Headers

Arrived = Callable[[Any], None]
"""Is called with each message that arrives; with a text where a frame is no JSON."""

PATIENCE = 10.0
"""How long a message may take where a scenario doesn't say, in seconds."""


class Line(Protocol):
    """A party's connection. `closed` is the code and the reason once it is."""

    closed: tuple[int, str] | None

    def send(self, message: Headers) -> None:
        """Send a message."""

    def send_text(self, text: str) -> None:
        """Send a frame as it is."""

    async def wait(self, seconds: float | None) -> bool:
        """Wait until something arrives, or the connection closes; False where nothing did in `seconds`.

        None: as long as a message may take that is on its way.
        """

    async def settle(self) -> None:
        """What was sent has been dealt with, and what came of it for this party has arrived."""

    async def close(self) -> None:
        """Close the connection."""


class Venue(Protocol):
    """Gives parties their connections, and time."""

    def now(self) -> float:
        """The time, in seconds."""

    async def connect(self, user: str, arrived: Arrived) -> Line:
        """Connect `user`. Raises what connecting raises."""

    async def pause(self, seconds: float) -> None:
        """Let time pass."""


class Net:
    """Connections to the server at `url`, such as ws://127.0.0.1:8080/rtc, in real time."""

    def __init__(self, reactor: Any, url: str, patience: float = PATIENCE) -> None:
        self.reactor = reactor
        self.url = url
        self.patience = patience

    def now(self) -> float:
        """The reactor's time."""
        return float(self.reactor.seconds())

    async def connect(self, user: str, arrived: Arrived) -> Wire:
        """Connect by WebSocket. Raises ConnectionClosed where the server refuses, or what TCP and TLS raise."""
        factory = WebSocketClientFactory(f"{self.url}?userid={quote(user)}", reactor=self.reactor)
        factory.setProtocolOptions(openHandshakeTimeout=self.patience, closeHandshakeTimeout=1)
        factory.protocol = Wire
        factory.noisy = False
        endpoint: Any = HostnameEndpoint(self.reactor, factory.host.encode(), factory.port, timeout=self.patience)
        if factory.isSecure:
            from twisted.internet.ssl import optionsForClientTLS  # needs pyOpenSSL, which ws:// does not

            endpoint = wrapClientTLS(optionsForClientTLS(factory.host), endpoint)
        wire: Wire = await endpoint.connect(factory)
        wire.arrived = arrived
        wire.net = self
        await wire.opened
        return wire

    async def pause(self, seconds: float) -> None:
        """Wait."""
        done: Deferred[None] = deferLater(self.reactor, seconds, lambda: None)
        await done


class Wire(WebSocketClientProtocol):  # type: ignore[misc]
    """A connection over a socket."""

    net: Net
    arrived: Arrived

    def __init__(self) -> None:
        super().__init__()
        self.opened: Deferred[None] = Deferred()
        self.closed: tuple[int, str] | None = None
        self._waiting: Deferred[bool] | None = None
        self._fences: dict[str, Deferred[None]] = {}

    def send(self, message: Headers) -> None:
        """Write it."""
        self.sendMessage(orjson.dumps(message))

    def send_text(self, text: str) -> None:
        """Write it."""
        self.sendMessage(text.encode())

    async def wait(self, seconds: float | None) -> bool:
        """Wait in real time."""
        if self.closed is not None:
            return False
        waiting = self._waiting = Deferred()
        net = self.net
        timeout = net.reactor.callLater(net.patience if seconds is None else seconds, waiting.cancel)
        try:
            return await waiting
        except CancelledError:
            return False
        finally:
            self._waiting = None
            if timeout.active():
                timeout.cancel()

    async def settle(self) -> None:
        """Ask what has one answer, 481, whoever the server is: a BYE in a dialogue that there is not."""
        if self.closed is not None:
            return
        fence = f"fence-{uuid4().hex}"
        answered = self._fences[fence] = Deferred()
        nobody = "fence@invalid"
        question = {"Type": "BYE", "Request-URI": nobody, "From": nobody, "To": nobody, "DialogueID": fence, "CSeq": 1}
        self.send(question)
        timeout = self.net.reactor.callLater(self.net.patience, answered.cancel)
        try:
            await answered
        except CancelledError:
            raise ConnectionClosed(f"the server has not answered a BYE in {self.net.patience:g} s") from None
        finally:
            if timeout.active():
                timeout.cancel()

    async def close(self) -> None:
        """Close, and wait until it is."""
        if self.closed is None:
            self.sendClose(1000)
        await self.is_closed

    # Autobahn's

    def onOpen(self) -> None:  # noqa: N802
        self.transport.setTcpNoDelay(True)  # Autobahn means to, but asks for its setting too early
        self.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803
        try:
            message = orjson.loads(payload)
        except orjson.JSONDecodeError:
            message = payload.decode(errors="replace")
        fence = self._fences.pop(str(message.get("DialogueID")), None) if isinstance(message, dict) else None
        if fence is not None:
            fence.callback(None)
            return
        self.arrived(message)
        self._wake()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:  # noqa: N802, N803
        self.closed = (code or 1006, reason or "")
        self._wake()
        for fence in self._fences.values():
            fence.callback(None)
        self._fences.clear()

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802
        super().connectionLost(reason)
        if not self.opened.called:
            self.opened.errback(ConnectionClosed(self.wasNotCleanReason))

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(True)
