"""HTTP as the management API speaks it: a connection has one request, and a time for each step of it.

Who may is decided when the head is there (`IDesk.admit`): who may not is answered and hung up on, and what else it
sends is thrown away. Nothing waits behind an answer, for what follows a request is not looked at (RFC 9112 section
9.6: every answer says `Connection: close`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from io import BytesIO
from operator import attrgetter
from typing import Any, Final, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, ITCPTransport
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request, datetimeToString
from zope.interface import implementer

from gortc.admission.addresses import household
from gortc.jsip.layers import Journal
from gortc.jsip.timers import TimerQueue, Timers
from gortc.oam.access import Who
from gortc.oam.route import BAD_VALUE, Problem
from gortc.printable import line
from gortc.settings import Settings

BODY_MAX: Final = 65536
"""A request's body has so many bytes at most."""
IGNORED_MAX: Final = 16 * BODY_MAX
"""So much may come after a request was answered, or refused by its head. It is not kept; but a client that is in the
midst of sending a body that is too large must be able to read that it is."""
LINGER: Final = 2.0
"""So many seconds a client has to hang up when it has been sent all (RFC 9112 section 9.6); who is refused, to read it,
too."""
HEADER_MAX: Final = 100
"""So many octets the name of a header has at most."""
NAME_MAX: Final = 80
"""So many characters of who it is are logged."""
TOO_LARGE: Final = f"a body has {BODY_MAX} bytes at most"

_log = Logger(namespace="gortc.api")


class Desk(Protocol):
    """Who takes the requests."""

    def admit(self, asking: Asking) -> None:
        """Its head is there: whether it may go on. Raises Problem."""

    def answer(self, asking: Asking) -> Coroutine[Any, Any, bytes]:
        """All of it is there: the body of the answer. It may be cancelled: who has asked has gone."""

    def refuse(self, asking: Asking, problem: Problem) -> bytes:
        """The body of an answer that says why not."""

    def rejected(self, exchange: Exchange, status: int) -> None:
        """What came there has never become a request."""


class Asking(Request):
    """A request. `target` is what it asks for, as it came; `came_at` when its head was there, on the clock."""

    channel: Exchange
    content: BytesIO | None
    target = query = ""
    came_at = 0.0
    gone = False
    """Who has asked has gone."""
    operation: Any = None
    who: Any = None
    """What the desk knows of it."""

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        """It has a body; a short one, which needs no file."""
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """A part of the body."""
        if self.content is not None and self.content.tell() + len(data) <= BODY_MAX:
            self.content.write(data)
        elif not self.finished:
            self.channel.refuse(self, Problem(413, BAD_VALUE, TOO_LARGE))

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802
        """All of it is there."""
        answering = Deferred.fromCoroutine(self.channel.factory.desk.answer(self))
        self.notifyFinish().addErrback(lambda _: answering.cancel())
        answering.addCallback(self.say)
        answering.addErrback(lambda failure: failure.trap(CancelledError))
        answering.addErrback(self.fail)

    def say(self, body: bytes) -> None:
        """The whole answer."""
        if not self.gone:
            self.setHeader("Connection", "close")
            self.setHeader("Date", datetimeToString())
            self.setHeader("Content-Length", str(len(body)))
            self.write(body)
            self.finish()

    def fail(self, failure: Failure) -> None:
        """There is no answer, not even that there is none."""
        _log.failure("an answer failed", failure)
        if not self.gone and not self.finished:
            self.channel.transport.abortConnection()

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        """Nobody hears the answer."""
        self.gone = True
        super().connectionLost(reason)


@implementer(IHalfCloseableProtocol)
class Exchange(HTTPChannel):
    """A connection. `whose`: who has shown a good token on it; None as long as nobody has."""

    factory: Site
    transport: Any
    _networkProducer: Any  # noqa: N815
    requestFactory = Asking  # noqa: N815
    timeOut = None  # noqa: N815
    whose: Who | None = None
    address = ""
    answered = False
    _heard = 0
    """So many bytes came after the request."""
    _complete = False
    """There is an answer, or there will be: what comes now is thrown away."""
    _patience = LINGER
    _begun = _hushed = False
    """Whether it has said anything; and that it says no more."""
    _due: TimerQueue[Exchange] | None = None

    def connectionMade(self) -> None:  # noqa: N802
        """A client."""
        super().connectionMade()
        self.address = household(getattr(self.transport.getPeer(), "host", None) or "")
        self.wait(self.factory.settings().api_request_seconds)
        self.factory.opened(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        """It has gone, or was dropped."""
        self._stop()
        self.factory.open.pop(self, None)
        super().connectionLost(reason)

    def readConnectionLost(self) -> None:  # noqa: N802
        """It says no more; what it has asked for still gets there, in its time."""
        self._hushed = True
        if self.answered or not self._complete:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:  # noqa: N802
        """It has been sent all."""
        if self.whose is not None:
            self.wait(min(LINGER, self._patience))

    def shown(self, whose: Who) -> None:
        """A good token."""
        self.whose = whose
        self.factory.opened(self)

    def wait(self, seconds: float) -> None:
        """The next step may take so long."""
        self._stop()
        self._due = self.factory.timers.start(seconds, expired, self)

    def _stop(self) -> None:
        if self._due is not None:
            self._due.stop(self)
            self._due = None

    # what it says

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Some bytes."""
        self._begun = True
        if self._complete:
            self._throw_away(data)
        else:
            super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:  # noqa: N802
        """A line of the head."""
        if not self._complete:
            super().lineReceived(line)

    def headerReceived(self, line: bytes) -> bool:  # noqa: N802
        """A header. Twisted keeps ten thousand names for good, however long; `int` takes no number of thousands of
        digits, such as a length."""
        try:
            if len(line.partition(b":")[0]) <= HEADER_MAX:
                return bool(super().headerReceived(line))
        except ValueError:
            pass
        self._respondToBadRequestAndDisconnect()
        return False

    def allHeadersReceived(self) -> None:  # noqa: N802
        """The head is there."""
        asking: Asking = self.requests[-1]
        asking.method, asking.uri, asking.clientproto = self._command, self._path, self._version
        asking.target = self._path.decode("latin-1")
        asking.came_at = self.factory.timers.clock.seconds()
        self.persistent = 0
        try:
            self.factory.desk.admit(asking)
            if self.length is not None and self.length > BODY_MAX:
                raise Problem(413, BAD_VALUE, TOO_LARGE)
        except Problem as problem:
            self.refuse(asking, problem)
        else:
            super().allHeadersReceived()

    def checkPersistence(self, request: object, version: bytes) -> bool:  # noqa: N802
        """One request a connection."""
        return False

    def rawDataReceived(self, data: bytes) -> None:  # noqa: N802
        """A part of the body, or what follows it."""
        if self._complete:
            self._throw_away(data)
        else:
            super().rawDataReceived(data)

    def _throw_away(self, data: bytes) -> None:
        self._heard += len(data)
        if self._heard > IGNORED_MAX:
            self.transport.abortConnection()

    def allContentReceived(self) -> None:  # noqa: N802
        """The request is complete."""
        if not self._complete:
            self._heard_all()
            self._stop()  # every answer has a time of its own
            super().allContentReceived()

    def _heard_all(self) -> None:
        self._complete = True
        let_in = getattr(self.transport, "let_in", None)
        if let_in is not None:  # it came in by the door: what it says now is thrown away, which needs no turn
            let_in()

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: N802
        """As any head that is too large."""
        self._respondToBadRequestAndDisconnect()

    # what it is told

    def refuse(self, asking: Asking, problem: Problem) -> None:
        """Say why not, and hang up, whatever else was to come."""
        self._heard_all()
        asking.say(self.factory.desk.refuse(asking, problem))

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802
        """It is no HTTP, or too much of it."""
        self.reject(b"400 Bad Request")

    def reject(self, status: bytes) -> None:
        """Hang up on what is no request, and will be none."""
        if not self._complete:
            self._heard_all()
            self.answered = True
            self.factory.desk.rejected(self, int(status[:3]))
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            self.loseConnection()

    def expired(self) -> None:
        """It has taken too long: to ask, or to read the answer."""
        self._due = None
        if self._complete or not self._begun:
            self.transport.abortConnection()
        else:  # RFC 9110 section 15.5.9
            self.reject(b"408 Request Timeout")

    def requestDone(self, request: Any) -> None:  # noqa: N802
        """The answer is written."""
        self.answered = True
        if self.whose is not None:
            self._patience = self.factory.settings().api_write_seconds
        super().requestDone(request)

    def loseConnection(self) -> None:  # noqa: N802
        """Hang up when the client has read what was said, which it must in time; until then it is listened to, for what
        it has sent meanwhile would else be answered by a reset, and that may reach it before the answer does."""
        self.wait(self._patience)
        self._networkProducer.unregisterProducer()
        if ITCPTransport.providedBy(self.transport) and not self.isSecure() and not self._hushed:
            self.transport.loseWriteConnection()
        else:
            self.transport.loseConnection()


class Site(ServerFactory):
    """The connections to the management API: `open`, in the order in which they came, or have shown a good token."""

    protocol: Any = Exchange
    noisy = False

    def __init__(self, desk: Desk, settings: Callable[[], Settings], timers: Timers, journal: Journal) -> None:
        """`timers` are not those of calls."""
        self.desk = desk
        self.settings = settings
        self.timers = timers
        self.open: dict[Exchange, None] = {}
        self._journal = journal

    def opened(self, exchange: Exchange) -> None:
        """One more, of those who have shown a good token or of those who have not. Where that is one too many, one of
        the same goes: of who has the most of them; so neither keeps out the others."""
        self.open.pop(exchange, None)
        self.open[exchange] = None
        is_known, most = exchange.whose is not None, self.settings().api_connections
        while (
            len(self.open) > most
            and len(some := [one for one in self.open if (one.whose is not None) == is_known]) > most
        ):
            gone = least(some)
            who = f"those with a token; {line(gone.whose.name, NAME_MAX)} has most" if gone.whose else "strangers"
            self._journal.note("API flood", gone.address, f"more than {most} connections of {who}")
            self.open.pop(gone)
            gone.transport.abortConnection()

    def stopFactory(self) -> None:  # noqa: N802
        """The server stops."""
        for exchange in list(self.open):
            exchange.transport.abortConnection()

    def log(self, request: object) -> None:
        """It has been logged."""


def least(some: list[Exchange]) -> Exchange:
    """Whom it costs least to lose: of who has the most, by the token and then by the address, the oldest that has its
    answer, or else the oldest."""
    for name in ("whose", "address"):
        whose = attrgetter(name)
        number = Counter(map(whose, some))
        most = max(number.values())
        some = [one for one in some if number[whose(one)] == most]
    return next((one for one in some if one.answered), some[0])


def expired(exchange: Exchange) -> None:
    """Its time is up."""
    exchange.expired()
