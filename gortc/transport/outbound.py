"""Outbound: the table of next hops, and the connections to them. docs/jsip.md section 1, "Other domains".

A hop is made for the first request that goes there, and kept connected (Twisted's ClientService) until nobody has used
it for a while.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from random import uniform
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectionAborted, ConnectionDone, ConnectionLost, DNSLookupError
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from gortc.jsip.layers import Channel
from gortc.jsip.timers import Timers
from gortc.transport.channels import Channels, Nowhere
from gortc.transport.dial import PublicReactor, is_host
from gortc.transport.hop import Hop
from gortc.transport.life import Mortal, given_up
from gortc.transport.route import Route
from gortc.transport.websocket import RESUME, UNSUPPORTED

if TYPE_CHECKING:
    from autobahn.websocket.types import ConnectionResponse

    from gortc.jsip.session import Session
    from gortc.jsip.uri import URI
    from gortc.settings import Settings

DONE = 1000
PROTOCOL_ERROR = 1002
REPLACED = 4001


class Outbound:
    """The next hops by their routes, while they are used."""

    def __init__(self, channels: Channels, settings: Settings, timers: Timers, reactor: Any) -> None:
        """`timers` are those of the connections; no call waits for one of them."""
        self.channels = channels
        self.settings = settings
        self.timers = timers
        self.reactor = reactor
        self.hops: dict[Route, Hop] = {}
        self._links: dict[Hop, Link] = {}
        self._dialled = 0
        self._full = Nowhere(503)
        self._full.trouble = "too many hosts are dialled"
        self._unusable = Nowhere(503)
        self._unusable.trouble = "no connection can be made to this host"
        times = settings.times
        self._patience = timers.queue(times.connect, lose_patience)
        self._idle = timers.queue(times.idle, close_idle)

    def route(self, uri: URI) -> Channel | None:
        """The channel for a first request to a host that is not ours; None where there is no way to it."""
        route: Route | None = self.settings.routes.get(uri.host)
        dialled = route is None
        if route is None:
            if not self.settings.dial or not is_host(uri.host):
                return None
            port = f":{uri.port}" if uri.port else ""
            route = Route(f"wss://{uri.host}{port}{self.settings.path}")
        hop = self.hops.get(route)
        if hop is not None:
            return hop
        if dialled and self._dialled >= self.settings.hops_max:
            return self._full
        hop = Hop(self.channels, route, self)
        try:
            link = Link(hop, self, PublicReactor(self.reactor) if dialled else self.reactor)
        except (OSError, ValueError) as error:  # certificates that can't be read, a name that is none (IDNA)
            self.channels.journal.note("next hop unusable", route.host, error)
            return self._unusable
        hop.dialled = dialled
        self._dialled += dialled
        self.hops[route], self._links[hop] = hop, link
        self._idle.start(hop)
        return hop

    def sessions(self) -> Iterator[Session]:
        """Every session of every hop."""
        for hop in (*self.hops.values(), self._full, self._unusable):
            yield from hop.sessions.values()

    def hurry(self, hop: Hop) -> None:
        """Somebody waits for the connection, but not for long."""
        if hop not in self._patience:
            self._patience.start(hop)

    def lose_patience(self, hop: Hop) -> None:
        """It has taken too long."""
        if hop.connection is None:
            self._links[hop].fail(f"no connection in {self.settings.times.connect:g} s")

    def rest(self, hop: Hop) -> None:
        """It is not used any more."""
        if hop in self._links:
            self._idle.start(hop)

    def close_idle(self, hop: Hop) -> None:
        """It has not been used for a while."""
        if not hop.sessions:
            self.drop(hop, DONE, "idle")

    def drop(self, hop: Hop, code: int, reason: str) -> Deferred[Any]:
        """Close it and forget it. The Deferred fires when its connection is gone."""
        del self.hops[hop.route]
        self._dialled -= hop.dialled
        self._patience.stop(hop)
        self._idle.stop(hop)
        hop.window = None
        if hop.connection is not None:
            hop.connection.close(code, reason)
        self.channels.stay(hop)
        return self._links.pop(hop).stop()

    def stop(self, code: int, reason: str) -> list[Deferred[Any]]:
        """Close all."""
        return [self.drop(hop, code, reason) for hop in list(self.hops.values())]


def lose_patience(hop: Hop) -> None:
    """Somebody has waited for a connection for too long."""
    hop.outbound.lose_patience(hop)


def close_idle(hop: Hop) -> None:
    """A hop may not be used any more."""
    hop.outbound.close_idle(hop)


class Link:
    """What keeps a hop connected; `reactor` is what it connects by."""

    def __init__(self, hop: Hop, outbound: Outbound, reactor: Any) -> None:
        self.hop = hop
        self.outbound = outbound
        self.channels = outbound.channels
        self._failures = 0
        self._why = ""
        self._opened: float | None = None
        self._pause = 0.0
        factory = HopFactory(self, outbound.reactor)
        endpoint = HopEndpoint(self, reach(hop.route, reactor, outbound.settings.times.connect))
        self._service = ClientService(endpoint, factory, self._delay, outbound.reactor)
        self._service.startService()

    def stop(self) -> Deferred[Any]:
        """Connect no more, and close."""
        return self._service.stopService()

    def opened(self) -> None:
        """The handshake is done, the first frame included."""
        self._opened = self.outbound.reactor.seconds()

    def failed(self, why: str, pause: float = 0.0) -> None:
        """There is no connection, or no longer, because of `why`; the next attempt waits for `pause` s at least."""
        self._why = why
        self._pause = pause

    def fail(self, why: str) -> None:
        """Nobody shall wait for it any more."""
        self.channels.journal.note("next hop unreachable", self.hop.name, why)
        self.hop.fail(f"{self.hop.name}: {why}")

    def _delay(self, _: int) -> float:
        """Full jitter: as long as somebody may have chosen at random, so that all do not come back at once.

        What is counted are the attempts since a connection has lasted; ClientService knows of TCP only.
        """
        times = self.outbound.settings.times
        opened, self._opened = self._opened, None
        if opened is None:
            self.fail(self._why)
        elif self.outbound.reactor.seconds() - opened >= times.connect:
            self._failures = 0
        self._failures += 1
        most = min(times.back_off_max, times.back_off_min * 2 ** min(self._failures, 30))
        return max(self._pause, uniform(times.back_off_min, most))


@implementer(IStreamClientEndpoint)
class HopEndpoint:
    """Another endpoint, which tells its link why an attempt has failed."""

    def __init__(self, link: Link, endpoint: IStreamClientEndpoint) -> None:
        self._link = link
        self._endpoint = endpoint

    def __repr__(self) -> str:
        url: str = self._link.hop.route.url
        return url

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:  # noqa: N803
        """As the interface has it."""
        connecting: Deferred[Any] = self._endpoint.connect(protocolFactory)
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
        settings = link.outbound.settings
        self.setProtocolOptions(
            maxFramePayloadSize=settings.frame_max + SLACK,
            maxMessagePayloadSize=settings.frame_max + SLACK,
            openHandshakeTimeout=settings.times.connect,
        )

    def buildProtocol(self, addr: object) -> HopProtocol:  # noqa: N802
        """One more connection; its URL says what we have of the last one."""
        hop = self.link.hop
        route: Route = hop.route
        query = f"userid={quote(route.userid or self.link.outbound.settings.realm)}"
        if hop.window is not None:
            query += f"&resume={quote(hop.window.token)}&seen={hop.window.received}"
        headers = {"Authorization": route.authorization} if route.authorization else None
        self.setSessionParameters(f"{route.url}?{query}", protocols=[RESUME], useragent="gortc", headers=headers)
        protocol = HopProtocol(self.link)
        protocol.factory = self
        return protocol


SLACK = 2048
"""What a node passes on may be so much longer than what it took (docs/jsip.md, C-15)."""


class HopProtocol(Mortal, WebSocketClientProtocol):  # type: ignore[misc]
    """One connection to a next hop."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link
        self._hop = link.hop
        self._outbound = link.outbound
        self.timers = link.outbound.timers
        self._greets = False
        self._stalled_since: float | None = None
        self._unsent = 0
        self._heard = 0.0
        self._watch: Any = None
        self._greeting: Any = None

    # up

    def connectionMade(self) -> None:  # noqa: N802
        """The handshake begins."""
        with suppress(AttributeError, OSError):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)
        super().connectionMade()

    def onConnect(self, response: ConnectionResponse) -> None:  # noqa: N802
        """The server lets us in, and may let us resume."""
        self._greets = response.protocol == RESUME

    def onOpen(self) -> None:  # noqa: N802
        """The handshake is done."""
        self.transport.registerProducer(self, True)
        self._heard = self._outbound.timers.clock.seconds()
        self._watch = self._outbound.timers.start(self._outbound.settings.times.ping, check_life, self)
        if self._greets:
            self._greeting = self.timers.start(self._outbound.settings.times.connect, late_greeting, self)
        else:
            self._link.opened()
            self._hop.window = None
            self._hop.arrive(self, [])

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Whatever arrives proves life."""
        self._heard = self._outbound.timers.clock.seconds()
        super().dataReceived(data)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803
        """A message; or the first frame, which says what is."""
        if isBinary:
            self.close(UNSUPPORTED, "text frames only")
        elif not self._greets:
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
        super().onCloseFrame(code, reasonRaw)
        self._leave()
        self.end_soon()

    def late_greeting(self) -> None:
        """It was to say first whether we resume."""
        if self._greets and self.state == self.STATE_OPEN:
            self._link.failed("no first frame")
            self._drop("bad message", "no first frame")

    # down

    def send(self, data: bytes) -> bool:
        """Write one text frame; False where the connection is closing."""
        if self.state != self.STATE_OPEN or (self._stalled_since is not None and self._overflows(len(data))):
            return False
        self.sendMessage(data)
        return True

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake."""
        self._leave()
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode(), isReply=False)

    def pauseProducing(self) -> None:  # noqa: N802
        """The other side does not read: neither do we, and what waits counts. Twisted says so with each write."""
        if self._stalled_since is None:
            self._stalled_since, self._unsent = self._outbound.timers.clock.seconds(), 0
            self.transport.pauseProducing()

    def resumeProducing(self) -> None:  # noqa: N802
        """It reads again."""
        self._stalled_since = None
        self.transport.resumeProducing()

    def stopProducing(self) -> None:  # noqa: N802
        """The connection has gone; `connectionLost` says so, too."""

    def _overflows(self, size: int) -> bool:
        self._unsent += size
        if self._unsent <= self._outbound.settings.unsent_max:
            return False
        self._drop("slow reader", f"{self._unsent} bytes wait")
        return True

    def check_life(self) -> None:
        """Ping; and drop a server from which nothing has arrived for too long."""
        times = self._outbound.settings.times
        left, what, why = given_up(times, self._outbound.timers.clock.seconds(), self._heard, self._stalled_since)
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
        super().connectionLost(reason)
        replaced = self.remoteCloseCode == REPLACED  # by another node of our name: let it be, for a while
        pause = self._outbound.settings.times.back_off_max if replaced else 0.0
        why = self.remoteCloseReason or self.wasNotCleanReason or "closed"
        if not reason.check(ConnectionDone, ConnectionLost, ConnectionAborted):
            why = f"TLS: {reason.value!r}"
        self._link.failed(why, pause)

    def _leave(self) -> None:
        for watch in (self._watch, self._greeting):
            if watch is not None:
                watch.stop(self)
        self._watch = self._greeting = None
        self._link.channels.lost(self._hop, self)


def check_life(connection: HopProtocol) -> None:
    """It is time to look after `connection`."""
    connection.check_life()


def late_greeting(connection: HopProtocol) -> None:
    """The first frame of `connection` should have come."""
    connection.late_greeting()


def reach(route: Route, reactor: Any, timeout: float) -> IStreamClientEndpoint:
    """The endpoint of a route; its certificate is checked where it is TLS. Raises what `trust` raises."""
    parts = urlsplit(route.url)
    endpoint: Any = HostnameEndpoint(reactor, route.host, parts.port or (443 if route.secure else 80), timeout=timeout)
    if route.secure:
        endpoint = wrapClientTLS(trust(route), endpoint)
    return endpoint  # type: ignore[no-any-return]


def trust(route: Route) -> Any:
    """What checks the certificate of a route. Raises ImportError without pyOpenSSL, and OSError or ValueError where
    there are no certificates to be read from its `ca`."""
    from OpenSSL.crypto import Error
    from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates

    if route.ca is None:
        return optionsForClientTLS(route.host)
    with open(route.ca, "rb") as file:
        blocks = [block + END for block in file.read().split(END)[:-1]]
    try:
        certificates = [Certificate.loadPEM(block) for block in blocks]
    except Error:
        certificates = []
    if not certificates:
        raise ValueError(f"{route.ca} has no certificates that can be read")
    return optionsForClientTLS(route.host, trustRootFromCertificates(certificates))


END = b"-----END CERTIFICATE-----"
