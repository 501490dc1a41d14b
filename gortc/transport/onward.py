"""Connections to next hops: the WebSocket client by Autobahn, TLS, and what becomes of them. docs/jsip.md section 1,
"Other domains"."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, _WrapperEndpoint
from twisted.internet.error import ConnectError, ConnectionAborted, ConnectionDone, ConnectionLost, DNSLookupError
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from gortc.jsip.memory import effort
from gortc.transport.frames import is_utf8
from gortc.transport.headers import END, excess, forget
from gortc.transport.life import Mortal, given_up
from gortc.transport.partial import Partial, gathered
from gortc.transport.route import Route
from gortc.transport.stall import Stall
from gortc.transport.tls import NEEDS, Trusted, failure, is_tls
from gortc.transport.websocket import RESUME, UNSUPPORTED

if TYPE_CHECKING:
    from autobahn.websocket.types import ConnectionResponse

    from gortc.settings import Settings
    from gortc.transport.outbound import Link

PROTOCOL_ERROR = 1002
REPLACED = 4001
LITTLE = 512
"""So many bytes are read at a time."""
TURN = 128
"""When so many frames of a next hop that has limits have been read, others have their turn."""


@implementer(IStreamClientEndpoint)
class HopEndpoint:
    """Another endpoint, the `way`, which tells its link why an attempt has failed."""

    way: IStreamClientEndpoint

    def __init__(self, link: Link) -> None:
        self._link = link

    def __repr__(self) -> str:
        url: str = self._link.hop.route.url
        return url

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:  # noqa: N803
        """As the interface has it."""
        connecting: Deferred[Any] = self.way.connect(protocolFactory)
        self._link.begin(connecting)
        return connecting.addErrback(self._failed)

    def _failed(self, failure: Failure) -> Failure:
        error = failure.value
        if isinstance(error, DNSLookupError):
            why = "no such host, or none that may be dialled"
        elif isinstance(error, ConnectError):
            why = str(error).rstrip(".")
        else:
            why = f"{type(error).__name__}: {error}"
        self._link.failed(why)
        return failure


class HopFactory(WebSocketClientFactory):  # type: ignore[misc]
    """Makes the connections of one link."""

    noisy = False

    def __init__(self, link: Link, reactor: Any) -> None:
        super().__init__(link.hop.route.url, reactor=reactor)
        self.link = link
        self.setProtocolOptions(
            openHandshakeTimeout=link.outbound.settings.times.connect,
            failByDrop=False,  # the other side must know what it has sent that can't be taken
        )

    def buildProtocol(self, addr: object) -> HopProtocol:  # noqa: N802
        """One more connection; its URL says what we have of the last one."""
        hop, settings = self.link.hop, self.link.outbound.settings
        route: Route = hop.route
        self.setProtocolOptions(maxFramePayloadSize=settings.frame_max, maxMessagePayloadSize=settings.frame_max)
        query = f"userid={quote(route.userid or settings.realm)}"
        if hop.window is not None:
            query += f"&resume={quote(hop.window.token)}&seen={hop.window.received}"
        headers = {"Authorization": route.authorization} if route.authorization else None
        self.setSessionParameters(f"{route.url}?{query}", protocols=[RESUME], useragent="gortc", headers=headers)
        protocol = HopProtocol(self.link)
        protocol.factory = self
        return protocol


class HopProtocol(Mortal, WebSocketClientProtocol):  # type: ignore[misc]
    """One connection to a next hop."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link
        self._hop = link.hop
        self._outbound = link.outbound
        self.timers = link.outbound.timers
        self._greets = False
        self._stall: Stall | None = None
        self._heard = 0.0
        self._watch: Any = None
        self._hushed: Any = None
        self._count = 0
        """How many frames have been read lately."""
        self._unread = b""
        """What has come and must wait."""
        self._partial = Partial()

    # up

    def connectionMade(self) -> None:  # noqa: N802
        """The handshake begins."""
        with suppress(AttributeError, OSError):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        self._link.made(self)
        super().connectionMade()

    def processHandshake(self) -> None:  # noqa: N802
        """The server answers. What Autobahn could not read, or would make too much of, ends it."""
        head, end, _ = self.data.partition(END)
        if len(head) + len(end) > self._outbound.settings.handshake_max:
            self._refuse("is too large")
        elif end and excess(head)[0]:
            self._refuse("has too many parts")
        elif end and not is_utf8(head):  # Autobahn reads it as such, for a log
            self._refuse("is no text")
        elif end:
            super().processHandshake()

    def _refuse(self, what: str) -> None:
        self.wasNotCleanReason = f"its answer to the opening handshake {what}"
        self.data = b""
        self.give_up()

    def onConnect(self, response: ConnectionResponse) -> None:  # noqa: N802
        """The server lets us in, and may let us resume."""
        self._greets = response.protocol == RESUME

    def onOpen(self) -> None:  # noqa: N802
        """The handshake is done."""
        forget(self)
        self.transport.registerProducer(self, True)
        self._heard = self._outbound.timers.clock.seconds()
        self._watch = self._outbound.timers.start(self._outbound.settings.times.ping, check_life, self)
        if not self._greets:
            self._link.opened()
            self._hop.window = None
            self._hop.arrive(self)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Whatever arrives proves life."""
        self._unread += data
        self._read_on()

    def _read_on(self) -> None:
        """A little at a time, for Autobahn copies what is left of a read for each frame in it; and of who has limits no
        more than may come, nor so much at a time that others wait."""
        self._heard = self._outbound.timers.clock.seconds()
        channels, guest = self._link.channels, self._hop.guest  # it may have limits by now: its route may go
        limited = guest is not None and guest.limited and channels.frames is not None
        data, self._unread = self._unread, b""
        at = turn = 0
        while at < len(data) and self._hushed is None:
            self._count = 0
            super().dataReceived(data[at : at + LITTLE])
            at += LITTLE
            turn += self._count
            if limited and self.state != self.STATE_CONNECTING:  # its answer to the handshake is bounded
                wait = channels.spend(self._hop, max(1, self._count))
                if wait > 0.0 or turn > TURN:
                    self.hush(wait)
        self._unread = data[at:]
        size, pieces = gathered(self)
        if self._partial.is_too_much(self._hop.account, size + len(self._unread), pieces):
            self._drop("no memory", f"{size} bytes of a message that is not whole")
            self.data = self._unread = b""
            self.message_data = self.frame_data = None

    def onFrameEnd(self) -> bool | None:  # noqa: N802
        """Whatever it is."""
        self._count += 1
        return super().onFrameEnd()  # type: ignore[no-any-return]

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803
        """A message; or the first frame, which says what is."""
        if isBinary:
            self.close(UNSUPPORTED, "text frames only")
        elif not self._greets:
            self._count += effort(payload) - 1  # its last frame has counted
            self._link.channels.receive(self._hop, self, payload)
        else:
            self._greets = False
            try:
                self._hop.welcome(self, payload)
                self._link.opened()
            except ValueError as bad:
                self._hop.window = None
                self._link.channels.journal.note("bad message", self._hop.name, bad)
                self.close(PROTOCOL_ERROR, "no first frame")

    def onCloseFrame(self, code: int | None, reasonRaw: bytes | None) -> None:  # noqa: N802, N803
        """The other side leaves: it is to close the connection, and soon (RFC 6455 section 7.1.1)."""
        if self.state == self.STATE_OPEN:  # else it answers that we do
            self._hop.closed_by_peer(self, code or 0)
        super().onCloseFrame(code, reasonRaw)
        self._leave()
        self.end_soon()

    def give_up(self) -> None:
        """It has taken too long until it could be used."""
        self._leave()
        self.dropConnection(abort=True)

    # down

    def send(self, data: bytes) -> bool:
        """Write one text frame; False where the connection is closing."""
        if self.state != self.STATE_OPEN:
            return False
        self.sendFrame(self.MESSAGE_TYPE_TEXT, data)  # it raises nothing; how large a message may be has been looked at
        return True

    def hush(self, seconds: float) -> None:
        """It sends more than it may: read nothing for so long, though it is to close."""
        if self._hushed is None and self.state != self.STATE_CLOSED:
            self.transport.pauseProducing()
            self._hushed = self.timers.start(ceil(seconds * 10) / 10, listen, self)

    def listen(self) -> None:
        """Read again."""
        self._hushed = None
        self._resume()

    def _resume(self) -> None:
        if self._hushed is None and self._stall is None and self._unread:
            self._read_on()
        if self._hushed is None and self._stall is None:
            self.transport.resumeProducing()

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake."""
        self._leave()
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode(), isReply=False)

    def pauseProducing(self) -> None:  # noqa: N802
        """The other side does not read: neither do we, and what waits counts. Twisted says so with each write."""
        if self._stall is None:
            self._stall = Stall(self.transport, self._outbound.timers.clock.seconds())
            self.transport.pauseProducing()
            self._tell_stall(True)

    def resumeProducing(self) -> None:  # noqa: N802
        """It reads again."""
        self._stall = None
        self._tell_stall(False)  # which may write so much that it stalls again
        self._resume()

    def _tell_stall(self, stalled: bool) -> None:
        if self._hop.connection is self:
            self._hop.stall(stalled)

    def stopProducing(self) -> None:  # noqa: N802
        """The connection has gone; `connectionLost` says so, too."""

    def drop_slow(self) -> None:
        """What may not be lost waits, and there is no room."""
        self._drop("slow reader", "too much waits for it to read")

    def check_life(self) -> None:
        """Ping; and drop a server from which nothing has arrived for too long."""
        times, now, stall = self._outbound.settings.times, self._outbound.timers.clock.seconds(), self._stall
        if stall is not None and stall.look(now):
            self._heard = now
        left, what, why = given_up(times, now, self._heard, None if stall is None else stall.since)
        if left <= 0:
            self._drop(what, why)
            return
        self._hop.confirm()
        if self.state == self.STATE_OPEN:
            self.sendPing()
        self._watch = self._outbound.timers.start(min(times.ping, left), check_life, self)

    def _drop(self, what: str, why: str) -> None:
        self._link.channels.journal.note(what, self._hop.name, why)
        self._leave()
        self.dropConnection(abort=True)

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802
        """The connection has gone."""
        self._leave()
        self._unread = b""
        self._partial = Partial()
        broken = failure(reason.value)
        super().connectionLost(Failure(ConnectionLost(broken)) if broken else reason)
        replaced = self.remoteCloseCode == REPLACED  # by another node of our name: let it be, for a while
        pause = self._outbound.settings.times.back_off_max if replaced else 0.0
        why = self.remoteCloseReason or self.wasNotCleanReason or "closed"
        if is_tls(reason.value):
            why = f"TLS: {broken or reason.value}"
        elif not reason.check(ConnectionDone, ConnectionLost, ConnectionAborted):
            why = f"{type(reason.value).__name__}: {reason.value}"
        self._link.failed(why, pause)

    def _leave(self) -> None:
        for watch in (self._watch, self._hushed):
            if watch is not None:
                watch.stop(self)
        self._watch = self._hushed = None
        self._link.channels.lost(self._hop, self)


def check_life(connection: HopProtocol) -> None:
    """It is time to look after `connection`."""
    connection.check_life()


def listen(connection: HopProtocol) -> None:
    """`connection` has been silent for long enough."""
    connection.listen()


def reach(route: Route, reactor: Any, timeout: float) -> IStreamClientEndpoint:
    """The endpoint of a route; its certificate is checked where it is TLS. Raises what `Trusted` raises."""
    parts = urlsplit(route.url)
    endpoint: Any = HostnameEndpoint(reactor, route.host, parts.port or (443 if route.secure else 80), timeout=timeout)
    if route.secure:
        trusted = trust(route)
        from gortc.transport.secure import SecureFactory

        endpoint = _WrapperEndpoint(endpoint, partial(SecureFactory, trusted, True))
    return endpoint  # type: ignore[no-any-return]


def check_routes(settings: Settings) -> None:
    """Whether the routes of the settings can be used: better now than with the first call. Raises ValueError, which
    says why not."""
    routes = {route: host for host, route in settings.routes.items() if route.secure}
    if settings.dial:
        routes[Route("wss://localhost")] = "dial"
    for route, host in routes.items():
        try:
            trust(route)
        except ImportError:
            raise ValueError(f"{host}: {NEEDS}") from None
        except (OSError, ValueError) as error:
            raise ValueError(f"routes: {host}: {error}") from None


def trust(route: Route) -> Trusted:
    """Whom we trust there, and what we show. Raises what `Trusted` raises."""
    return Trusted(route.host, route.ca, route.certificate)
