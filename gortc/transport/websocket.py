"""WebSocket connections: RFC 6455 by Autobahn, with a short path for the frames that calls are made of.

Nearly every frame is a whole, unfragmented, uncompressed text frame; those go another way (`line`), several in one
read, one write a read. Everything else (handshakes, fragments, control frames, violations, limits) is Autobahn's.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from math import ceil
from random import random
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.logger import Logger
from twisted.python.failure import Failure

from gortc.admission.admission import Admission, TooMany
from gortc.admission.door import Door
from gortc.admission.interfaces import Ask, Handshake, Refused
from gortc.jsip.gate import Guest
from gortc.jsip.memory import effort
from gortc.transport.channels import Channels, PeerChannel
from gortc.transport.credentials import BadCredentials, credentials
from gortc.transport.headers import END, excess, forget, read_headers
from gortc.transport.life import Mortal, given_up
from gortc.transport.line import Line, Reading
from gortc.transport.names import BadName, channel_name
from gortc.transport.partial import gathered
from gortc.transport.tls import failure, peer_certificate

if TYPE_CHECKING:
    from autobahn.websocket.types import ConnectionRequest

    from gortc.jsip.timers import TimerQueue, Timers
    from gortc.settings import Settings

RESUME = "jsip.resume"
"""The subprotocol of peers that may resume."""
PLAIN = "jsip"
"""That of peers that may not; it need not be named."""
UNSUPPORTED = 1003  # RFC 6455 section 7.4.1: it has received a type of data that it can't accept

NOBODY: Mapping[str, Ask] = {}

_log = Logger(namespace="gortc.websocket")
_PHRASES = {
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 503: "Service Unavailable",
}  # fmt: skip


class RtcProtocol(Mortal, WebSocketServerProtocol):  # type: ignore[misc]
    """One connection of one peer."""

    CONFIG_ATTRS = ()  # Autobahn writes them down as well, for a log, which is a fifth of what a connection costs
    factory: RtcFactory
    channel: PeerChannel | None = None
    http_request_path: str | None = None
    http_request_uri = ""
    websocket_protocols: list[str]
    websocket_extensions: list[object]
    resumes = False
    token = ""
    seen = 0
    address = ""
    """Where the connection comes from: the peer's address, or a proxy's."""
    counted = ""
    """The address whose connection it counts as; "" while a proxy of ours has not said."""
    guest: Guest | None = None
    _admitting: Deferred[str | None] | None = None
    _retry_after = 0
    openHandshakeTimeoutCall: Any = None  # noqa: N815
    _asking: TimerQueue[RtcProtocol] | None = None
    _hushed: Any = None

    # the opening handshake

    def onConnect(self, request: ConnectionRequest) -> Deferred[str | None]:  # noqa: N802
        """Let the peer in, or answer why not (docs/jsip.md section 1). Fires with the subprotocol."""
        self._admitting = admitting = Deferred.fromCoroutine(self._admit(request))
        if not admitting.called:
            self._has_said_all()
        return admitting

    def _has_said_all(self) -> None:
        """Its handshake is whole; from now on it is not for the peer to hurry."""
        if self.openHandshakeTimeoutCall is not None:
            self.openHandshakeTimeoutCall.cancel()
            self.openHandshakeTimeoutCall = None
        whole = getattr(self.transport, "whole", None)
        if whole is not None:
            whole()
        self._asking = self.factory.timers.start(self.factory.asking_seconds, nobody_tells, self)

    def nobody_tells(self) -> None:
        """It has been asked about for too long."""
        why = f"nobody could tell who it is in {self.factory.asking_seconds:g} s"
        who = self.counted or self.address or self.name
        self.factory.channels.journal.note("not admitted", who, f"{self.name}: {why}")
        self.failHandshake("nobody can tell who you are now", 503)

    async def _admit(self, request: ConnectionRequest) -> str | None:
        protocol = PLAIN if PLAIN in request.protocols else None
        try:
            handshake = self._read_handshake(request)
            del request  # others may take their time to say who it is
            self._forget_request()
            self.guest = await self.factory.admission.admit(handshake)
        except (BadName, BadCredentials) as bad:
            raise ConnectionDeny(400, str(bad)) from None
        except TooMany as many:
            self._retry_after = max(1, ceil(many.wait))
            raise ConnectionDeny(many.code, many.reason) from None
        except Refused as refused:
            who = self.counted or self.address or self.name  # a name is anybody's to choose
            self.factory.channels.journal.note("not admitted", who, f"{self.name}: {refused.log or refused}")
            raise ConnectionDeny(refused.code, refused.reason) from None
        except CancelledError:
            raise ConnectionDeny(503, "it has gone") from None
        if self.state != self.STATE_CONNECTING:  # nor may who did not heed that it is cancelled let it in
            raise ConnectionDeny(503, "it has been refused meanwhile")
        return RESUME if self.resumes else protocol

    def processHandshake(self) -> None:  # noqa: N802
        """Before Autobahn makes ten times as much of it: whether it has too many parts."""
        head, end, _ = self.data.partition(END)
        code, reason = excess(head) if end else (0, "")
        if code:
            self.failHandshake(reason, code)
        else:
            super().processHandshake()

    def _forget_request(self) -> None:
        """What Autobahn keeps of it, but for what the answer needs: of all protocols ours, of extensions none."""
        protocols = [name for name in self.websocket_protocols if name in (RESUME, PLAIN)]
        forget(self)
        self.websocket_protocols, self.websocket_extensions = protocols, []

    def _read_handshake(self, request: ConnectionRequest) -> Handshake:
        """What the peer says of itself; behind a proxy, too, it counts as a connection of its address from now on.

        Raises Refused, BadName and BadCredentials.
        """
        if request.path != self.factory.path:
            raise ConnectionDeny(404, "no such path")
        headers = read_headers(self.http_request_data)
        origin = headers.get("origin")
        if origin is not None and not self.factory.admits(origin, request.host):
            raise ConnectionDeny(403, "pages of this origin may not connect")
        fields = parse_query(self.http_request_uri)
        self.name = channel_name(_one(fields, "userid"))
        self.resumes = RESUME in request.protocols
        if self.resumes:
            self.token, self.seen = unquote(fields.get("resume", [""])[0]), _number(fields)
        shown = credentials(headers.get("authorization"), fields.get("token", []), request.protocols)
        source = self.factory.admission.source(self.address, headers)
        if source.nearest != self.counted:  # it was not known before for whom a proxy connects
            self._count(source.nearest)
            self.factory.door.began(getattr(self.transport, "comer", self), source.nearest)
        return Handshake(
            userid=self.name,
            address=source.address,
            home=source.home,
            url=self.http_request_uri,
            headers=headers,
            token=shown.token,
            password=shown.password,
            certificate=peer_certificate(self.transport),
        )

    def _count(self, address: str) -> None:
        """It counts as a connection of `address`. Raises TooMany."""
        admission = self.factory.admission
        admission.leave(self.counted)
        self.counted = address
        admission.enter(address)

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: Any = None) -> None:  # noqa: N802, N803
        """Answer HTTP with one line, and close."""
        if self.http_request_path not in (None, self.factory.path):
            code, reason = 404, "no such path"
        elif "origin" in reason.lower():
            code = 403
        elif code not in _PHRASES:
            code = 400
        if self.state != self.STATE_CONNECTING:  # it has gone while others were asked who it is
            return
        text = "".join(char if char.isprintable() else " " for char in reason)[:200] + "\n"
        body = text.encode()
        head = (
            f"HTTP/1.1 {code} {_PHRASES[code]}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n"
        )
        if code == 401:  # RFC 9110 section 15.5.2
            head += 'WWW-Authenticate: Bearer realm="gortc"\r\n'
        if code == 503 and not self._retry_after:
            self._retry_after = 1 + int(2 * self.factory.retry_after * random())  # so that not all come back at once
        if self._retry_after:
            head += f"Retry-After: {self._retry_after}\r\n"
        head += "\r\n"
        self.wasNotCleanReason = reason
        self.wasClean = True  # for Autobahn's log; the refusal is counted here
        self.factory.channels.journal.counts[f"handshake refused, {code}"] += 1
        _log.debug("handshake refused with {code}: {reason}", code=code, reason=text.strip())
        self.sendData(head.encode() + body)
        self.dropConnection(abort=False)
        self.data = b""
        forget(self)
        self._ask_no_more()

    def _ask_no_more(self) -> None:
        """It has been refused, or has gone: nobody need say who it is. It is not refused for that, too."""
        self._stop_asking()
        asked, self._admitting = self._admitting, None
        if asked is not None:
            asked.cancel()

    def _stop_asking(self) -> None:
        if self._asking is not None:
            self._asking.stop(self)
            self._asking = None

    def onOpen(self) -> None:  # noqa: N802
        """The handshake is done: the channel has its connection."""
        self._admitting = None
        self._stop_asking()
        forget(self)
        self.factory.door.done(self)
        let_in = getattr(self.transport, "let_in", None)
        if let_in is not None:  # it came in by the door, as all do that came by TCP
            let_in()
        self.transport.registerProducer(self, True)
        self._watch = self.factory.timers.start(self.factory.times.ping, check_life, self)
        channels = self.factory.channels
        self.channel = channels.of(self.name)
        self.channel.meet(self.guest)
        limited = self.guest is not None and self.guest.limited
        self._line = Line(self, self.channel, self.factory.reading, limited)
        # From now on the reactor's reads and the channel's messages go the short way.
        self.dataReceived = self._line.read  # type: ignore[method-assign]
        self.send = self._line.send  # type: ignore[method-assign]
        if self.resumes:
            token, self.token = self.token, ""
            channels.resume(self.name, self, token, self.seen)
        else:
            channels.connect(self.name, self)
        data, self.data = self.data, b""
        if data:  # it did not wait for the answer
            self._line.read(data)

    # up

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """A part of the opening handshake."""
        if len(self.data) + len(data) > self.factory.handshake_max and self.state == self.STATE_CONNECTING:
            self.failHandshake("the opening handshake is too large")
        elif self._admitting is not None:  # it is too early for anything else; Autobahn would read a second handshake
            self.data += data
        else:
            super().dataReceived(data)

    def processData(self) -> bool:  # noqa: N802
        """A part of a frame that came the long way, where not enough of them have been read already."""
        line = self._line
        if line.count >= line.most:
            line.more = True
            return False
        return bool(super().processData())

    def onFrameEnd(self) -> bool | None:  # noqa: N802
        """A frame that came the long way: it counts as well."""
        self._line.count += 1
        return super().onFrameEnd()  # type: ignore[no-any-return]

    def read_on(self, data: bytes) -> None:
        """The long way: what is not a whole text frame."""
        line = self._line
        super().dataReceived(data)
        line.hold_part(*gathered(self))

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803
        """A message that came the long way."""
        if isBinary:
            self.close(UNSUPPORTED, "text frames only")
        elif self.channel is not None and self.state == self.STATE_OPEN:
            self._line.count += effort(payload) - 1  # its frames have counted, one each
            self.factory.channels.receive(self.channel, self, payload)

    def onCloseFrame(self, code: int | None, reasonRaw: bytes | None) -> bool | None:  # noqa: N802, N803
        """The peer closes the connection, or answers that we do."""
        if self.channel is not None and self.state == self.STATE_OPEN:
            self.channel.closed_by_peer(self, code or 0)
        return super().onCloseFrame(code, reasonRaw)  # type: ignore[no-any-return]

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
        if self._hushed is None:
            if self._line.held is None:
                self.transport.resumeProducing()
            else:  # not at once: somebody is in the midst of writing to it
                self._hushed = self.timers.start(0.0, listen, self)
        self._line.stall(False)  # which may write so much that it stalls again

    def hush(self, seconds: float) -> None:
        """The peer sends more than it may: read nothing for so long. One that is to say goodbye may do no more."""
        if self._hushed is None and self.state in (self.STATE_OPEN, self.STATE_CLOSING):
            self.transport.pauseProducing()
            if self._line.held is None:
                self._line.held = []
            # Few different times, so that few queues are needed.
            self._hushed = self.factory.timers.start(ceil(seconds * 10) / 10, listen, self)

    def listen(self) -> None:
        """Read again."""
        self._hushed = None
        line = self._line
        if line.stalled_since is not None:
            return  # `resumeProducing` sees to it
        line.read_held()
        if self._hushed is None and line.stalled_since is None:
            self.transport.resumeProducing()

    def stopProducing(self) -> None:  # noqa: N802
        """The connection has gone; `connectionLost` says so, too."""

    @property
    def unsent(self) -> int:
        """So many bytes wait for a peer that does not read, about."""
        return self._line.unsent if self.channel is not None else 0

    def drop_slow(self) -> None:
        """What may not be lost waits for a peer that does not read, and there is no room."""
        self._drop("slow reader", f"{self.unsent} bytes wait")

    def drop_greedy(self, size: int) -> None:
        """It has too much memory already for what it begins to send."""
        self._drop("no memory", f"{size} bytes of a message that is not whole")
        self.data = b""  # hundreds may go in one turn of the reactor, whose ends all come in the next
        self.message_data = self.frame_data = None

    def drop_soon(self) -> None:
        """It does not read, and has too much memory already. Not at once: somebody is in the midst of writing to it."""
        self.timers.start(0.0, drop_stalled, self)

    def drop_stalled(self) -> None:
        """If that is so still."""
        if self.channel is not None and self._line.stalled_since is not None:
            self._drop("slow reader", "too much of the memory")

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
        for option in WebSocketServerProtocol.CONFIG_ATTRS:
            setattr(self, option, getattr(self.factory, option))
        self.address = getattr(self.transport.getPeer(), "host", "")
        with suppress(AttributeError, OSError):  # a UNIX socket; Autobahn's own option comes too early to work
            self.transport.setTcpNoDelay(True)  # an ACK and the BYE after it must not wait for each other
            self.transport.setTcpKeepAlive(True)
        super().connectionMade()
        try:
            self._count("" if self.factory.admission.is_proxy(self.address) else self.address)
        except TooMany as many:
            self.failHandshake(many.reason, many.code)
        else:
            if not hasattr(self.transport, "comer"):  # else it is at the door already
                self.factory.door.began(self, self.address)

    def give_up(self) -> None:
        """There is no room for it at the door."""
        self.dropConnection(abort=True)

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802
        """The connection has gone."""
        self.factory.connections.discard(self)
        admission = self.factory.admission
        self.factory.door.done(self)
        broken = failure(reason.value)
        if broken:
            if self.channel is None:
                self.factory.channels.journal.note("TLS failed", self.address, broken)
            reason = Failure(ConnectionLost(broken))  # Autobahn would log an error each time
        admission.leave(self.counted)
        self.counted = ""
        if self._hushed is not None:
            self._hushed.stop(self)
            self._hushed = None
        self._leave()
        for short in ("dataReceived", "send", "_line"):  # leave no cycle to the collector
            self.__dict__.pop(short, None)
        super().connectionLost(reason)
        self._ask_no_more()

    def _leave(self) -> None:
        if self.channel is not None:
            self.factory.channels.lost(self.channel, self)
            self._watch.stop(self)

    # life

    def check_life(self) -> None:
        """Ping; and drop a peer from which nothing has arrived for too long. Only what arrives proves life."""
        factory = self.factory
        line = self._line
        line.look()
        left, what, why = given_up(factory.times, factory.clock.seconds(), line.heard, line.stalled_since)
        if left <= 0:
            self._drop(what, why)
            return
        if self.state == self.STATE_OPEN:
            if self.channel is not None:
                self.channel.confirm()
            line.ping()
        self._watch = factory.timers.start(min(factory.times.ping, left), check_life, self)


def listen(connection: RtcProtocol) -> None:
    """`connection` has been silent for long enough."""
    connection.listen()


def check_life(connection: RtcProtocol) -> None:
    """It is time to look after `connection`."""
    connection.check_life()


def nobody_tells(connection: RtcProtocol) -> None:
    """`connection` has waited for long enough."""
    connection.nobody_tells()


def drop_stalled(connection: RtcProtocol) -> None:
    """`connection` does not read what waits for it."""
    connection.drop_stalled()


class RtcFactory(WebSocketServerFactory):  # type: ignore[misc]
    """Makes the connections of one listening port."""

    protocol = RtcProtocol
    noisy = False

    def __init__(
        self, channels: Channels, settings: Settings, timers: Timers, reactor: Any, asks: Mapping[str, Ask] = NOBODY
    ) -> None:
        """`asks` are the authenticators."""
        super().__init__(server="gortc", reactor=reactor)
        self.channels = channels
        self.admission = Admission(settings, timers, channels.journal, asks)
        self.door = Door(settings, timers, channels.journal)
        self.timers = timers
        self.clock = timers.clock
        self.path = settings.path
        self.times = settings.times
        self.connections: set[RtcProtocol] = set()
        self.reading = Reading(channels, timers.clock.seconds, settings.frame_max)
        self._domains = settings.own_domains
        self.setProtocolOptions(
            webStatus=False,
            versions=[13],  # RFC 6455; the drafts before it name the origin elsewhere
            failByDrop=False,
            allowNullOrigin=True,  # `admits` decides of every origin
        )
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """What holds from now on: for new connections, and, of what waits for a peer, for all."""
        self.admission.configure(settings)
        self.door.configure(settings)
        self.handshake_max = settings.handshake_max
        self.asking_seconds = settings.asking_seconds
        self.retry_after = settings.retry_after
        self.reading.frame_max = settings.frame_max
        self._origins = frozenset(settings.origins)
        self.setProtocolOptions(
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
        if not (origin + host).isascii():  # RFC 6454 section 6.2 has ASCII; what is not would fold into another host
            return False
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
