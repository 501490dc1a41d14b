"""WebSocket connections: RFC 6455 by Autobahn, with a short path for the frames that calls are made of.

Nearly every frame is a whole, unfragmented, uncompressed text frame; those go another way (`line`), several in one
read, one write a read. Everything else (handshakes, fragments, control frames, violations, limits) is Autobahn's.
"""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny
from twisted.logger import Logger
from twisted.python.failure import Failure

from gortc.transport.channels import Channels, PeerChannel
from gortc.transport.life import Mortal, given_up
from gortc.transport.line import Line, Reading
from gortc.transport.names import BadName, channel_name

if TYPE_CHECKING:
    from autobahn.websocket.types import ConnectionRequest

    from gortc.jsip.timers import Timers
    from gortc.settings import Settings

RESUME = "jsip.resume"
"""The subprotocol of peers that may resume."""
UNSUPPORTED = 1003  # RFC 6455 section 7.4.1: it has received a type of data that it can't accept

_log = Logger(namespace="gortc.websocket")
_PHRASES = {400: "Bad Request", 403: "Forbidden", 404: "Not Found"}


class RtcProtocol(Mortal, WebSocketServerProtocol):  # type: ignore[misc]
    """One connection of one peer."""

    factory: RtcFactory
    channel: PeerChannel | None = None
    http_request_path: str | None = None
    http_request_uri = ""
    resumes = False
    token = ""
    seen = 0

    # the opening handshake

    def onConnect(self, request: ConnectionRequest) -> str | None:  # noqa: N802
        """Let the peer in, or answer why not (docs/jsip.md section 1). Returns the subprotocol."""
        if request.path != self.factory.path:
            raise ConnectionDeny(404, "no such path")
        origin = request.headers.get("origin")
        if origin is not None and not self.factory.admits(origin, request.host):
            raise ConnectionDeny(403, "pages of this origin may not connect")
        try:
            fields = parse_query(self.http_request_uri)
            self.name = channel_name(_one(fields, "userid"))
            if RESUME not in request.protocols:
                return None
            self.token, self.seen = unquote(fields.get("resume", [""])[0]), _number(fields)
        except BadName as bad:
            raise ConnectionDeny(400, str(bad)) from None
        self.resumes = True
        return RESUME

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: Any = None) -> None:  # noqa: N802, N803
        """Answer HTTP with one line, and close."""
        if self.http_request_path not in (None, self.factory.path):
            code, reason = 404, "no such path"
        elif "origin" in reason.lower():
            code = 403
        elif code not in _PHRASES:
            code = 400
        text = "".join(char if char.isprintable() else " " for char in reason)[:200] + "\n"
        body = text.encode()
        head = (
            f"HTTP/1.1 {code} {_PHRASES[code]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.wasNotCleanReason = reason
        self.wasClean = True  # for Autobahn's log; the refusal is counted here
        self.factory.channels.journal.counts[f"handshake refused, {code}"] += 1
        _log.debug("handshake refused with {code}: {reason}", code=code, reason=text.strip())
        self.sendData(head.encode() + body)
        self.dropConnection(abort=False)

    def onOpen(self) -> None:  # noqa: N802
        """The handshake is done: the channel has its connection."""
        self.transport.registerProducer(self, True)
        self._watch = self.factory.timers.start(self.factory.times.ping, check_life, self)
        channels = self.factory.channels
        self.channel = channels.of(self.name)
        self._line = Line(self, self.channel, self.factory.reading)
        # From now on the reactor's reads and the channel's messages go the short way.
        self.dataReceived = self._line.read  # type: ignore[method-assign]
        self.send = self._line.send  # type: ignore[method-assign]
        if self.resumes:
            channels.resume(self.name, self, self.token, self.seen)
        else:
            channels.connect(self.name, self)

    # up

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """A part of the opening handshake."""
        if len(self.data) + len(data) > self.factory.handshake_max and self.state == self.STATE_CONNECTING:
            self.failHandshake("the opening handshake is too large")
        else:
            super().dataReceived(data)

    def read_on(self, data: bytes) -> None:
        """The long way: what is not a whole text frame."""
        super().dataReceived(data)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803
        """A message that came the long way."""
        if isBinary:
            self.close(UNSUPPORTED, "text frames only")
        elif self.channel is not None and self.state == self.STATE_OPEN:
            self.factory.channels.receive(self.channel, self, payload)

    # down

    def send(self, data: bytes) -> bool:
        """Nothing can be sent where there is no line."""
        return False

    def pauseProducing(self) -> None:  # noqa: N802
        """The peer does not read what we write: read no more of what it writes, and count what waits."""
        self._line.stall(True)
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:  # noqa: N802
        """It reads again."""
        self._line.stall(False)
        self.transport.resumeProducing()

    def stopProducing(self) -> None:  # noqa: N802
        """The connection has gone; `connectionLost` says so, too."""

    def drop_slow(self, unsent: int) -> None:
        """More than may be waits for a peer that does not read."""
        self._drop("slow reader", f"{unsent} bytes wait")

    def _drop(self, what: str, why: str) -> None:
        self.factory.channels.journal.note(what, self.name, why)
        self._leave()
        self.dropConnection(abort=True)

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake; the channel waits for another connection from now on."""
        self._leave()
        if self.state == self.STATE_OPEN:
            self._line.flush()  # what was answered so far goes first
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode(), isReply=False)

    def connectionMade(self) -> None:  # noqa: N802
        """A connection; who it is, its handshake says."""
        self.factory.connections.add(self)
        self.timers = self.factory.timers
        with suppress(AttributeError, OSError):  # a UNIX socket; Autobahn's own option comes too early to work
            self.transport.setTcpNoDelay(True)  # an ACK and the BYE after it must not wait for each other
            self.transport.setTcpKeepAlive(True)
        super().connectionMade()

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802
        """The connection has gone."""
        self.factory.connections.discard(self)
        self._leave()
        for short in ("dataReceived", "send", "_line"):  # leave no cycle to the collector
            self.__dict__.pop(short, None)
        super().connectionLost(reason)

    def _leave(self) -> None:
        if self.channel is not None:
            self.factory.channels.lost(self.channel, self)
            self._watch.stop(self)

    # life

    def check_life(self) -> None:
        """Ping; and drop a peer from which nothing has arrived for too long. Only what arrives proves life."""
        factory = self.factory
        line = self._line
        left, what, why = given_up(factory.times, factory.clock.seconds(), line.heard, line.stalled_since)
        if left <= 0:
            self._drop(what, why)
            return
        if self.state == self.STATE_OPEN:
            if self.channel is not None:
                self.channel.confirm()
            line.ping()
        self._watch = factory.timers.start(min(factory.times.ping, left), check_life, self)


def check_life(connection: RtcProtocol) -> None:
    """It is time to look after `connection`."""
    connection.check_life()


class RtcFactory(WebSocketServerFactory):  # type: ignore[misc]
    """Makes the connections of one listening port."""

    protocol = RtcProtocol
    noisy = False

    def __init__(self, channels: Channels, settings: Settings, timers: Timers, reactor: Any) -> None:
        super().__init__(server="gortc", reactor=reactor)
        self.channels = channels
        self.timers = timers
        self.clock = timers.clock
        self.path = settings.path
        self.handshake_max = settings.handshake_max
        self.times = settings.times
        self.connections: set[RtcProtocol] = set()
        self.reading = Reading(channels, timers.clock.seconds, settings.frame_max, settings.unsent_max)
        self._domains = settings.own_domains
        self._origins = frozenset(settings.origins)
        self.setProtocolOptions(
            webStatus=False,
            versions=[13],  # RFC 6455; the drafts before it name the origin elsewhere
            failByDrop=False,
            allowNullOrigin=True,  # `admits` decides of every origin
            maxFramePayloadSize=settings.frame_max,
            maxMessagePayloadSize=settings.frame_max,
            openHandshakeTimeout=settings.handshake_seconds,
        )

    def admits(self, origin: str, host: str) -> bool:
        """Whether a web page of `origin` may connect: one of the server's own host, or an origin of the settings.

        The host must be an address, localhost, or a domain of ours: any other name may have been pointed here by the
        page itself (DNS rebinding).
        """
        if origin in self._origins:
            return True
        host = host.strip("[]").lower()
        try:
            if urlsplit(origin).hostname != host:
                return False
            return host == "localhost" or host in self._domains or bool(ip_address(host))
        except ValueError:
            return False


def parse_query(uri: str) -> dict[str, list[str]]:
    """The fields of a request's query string; the values are not decoded yet."""
    fields: dict[str, list[str]] = {}
    for pair in uri.partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        fields.setdefault(unquote(name), []).append(value)
    return fields


def _one(fields: dict[str, list[str]], name: str) -> str:
    values = fields.get(name, [])
    if len(values) != 1:
        raise BadName(f"the URL must have exactly one {name}")
    return values[0]


def _number(fields: dict[str, list[str]]) -> int:
    """How many messages a peer that resumes has seen."""
    text = fields.get("seen", ["0"])[0]
    if not text.isascii() or not text.isdigit() or len(text) > 16:
        raise BadName("seen must be a number of messages")
    return int(text)
