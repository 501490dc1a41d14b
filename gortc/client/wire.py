"""A connection to a server: a WebSocket, and who is told what comes over it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionClosed
from twisted.python.failure import Failure

Received = Callable[[bytes], None]
"""Is called with each message's text."""


class Wire(WebSocketClientProtocol):  # type: ignore[misc]
    """One connection. `closed` fires with the code and the reason once it is; both are the server's, where it had any.

    It is what a channel needs of a connection (`gortc.transport.channels.Connection`).
    """

    def __init__(self) -> None:
        super().__init__()
        self.opened: Deferred[None] = Deferred()
        self.closed: Deferred[tuple[int, str]] = Deferred()
        self.received: Received = lambda data: None

    def send(self, data: bytes) -> bool:
        """Write one text frame; False where the connection is closing."""
        if self.state != self.STATE_OPEN:
            return False
        self.sendFrame(self.MESSAGE_TYPE_TEXT, data)
        return True

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Start the closing handshake."""
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode(), isReply=False)

    # Autobahn's

    def onOpen(self) -> None:  # noqa: N802
        self.transport.setTcpNoDelay(True)  # Autobahn means to, but asks for its setting too early
        self.opened.callback(None)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803
        self.received(payload)

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802
        super().connectionLost(reason)
        if not self.opened.called:
            self.opened.errback(ConnectionClosed(self.wasNotCleanReason))
        self.closed.callback((self.remoteCloseCode or 1006, self.remoteCloseReason or ""))


async def connect(reactor: Any, url: str, user: str, received: Received, patience: float = 30.0) -> Wire:
    """Connect `user` to the server's `url`, such as ws://127.0.0.1:8080/rtc, within `patience` seconds.

    Who it is, the environment's GORTC_TOKEN shows, where there is one; `{user}` in it is the user's name.

    Raises ConnectionClosed where the server refuses, else what TCP and TLS raise.
    """
    token = os.environ.get("GORTC_TOKEN", "").replace("{user}", user)
    headers = {"Authorization": f"Bearer {token}"} if token else None
    factory = WebSocketClientFactory(f"{url}?userid={quote(user)}", headers=headers, reactor=reactor)
    factory.setProtocolOptions(openHandshakeTimeout=patience)
    factory.protocol = Wire
    factory.noisy = False
    endpoint: Any = HostnameEndpoint(reactor, factory.host.encode(), factory.port, timeout=patience)
    if factory.isSecure:
        from twisted.internet.ssl import optionsForClientTLS  # needs pyOpenSSL, which ws:// does not

        endpoint = wrapClientTLS(optionsForClientTLS(factory.host), endpoint)
    wire: Wire = await endpoint.connect(factory)
    wire.received = received
    await wire.opened
    return wire
