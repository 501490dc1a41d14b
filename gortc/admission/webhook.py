"""Authenticator `webhook`: an application is asked, by HTTP, whether a peer may connect. docs/security.md.

Whatever is no clear answer is no: where the application can't be asked, nobody gets in.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from attrs import Attribute, field, fields_dict, frozen
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IConsumer, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IPolicyForHTTPS, IResponse
from zope.interface import implementer

from gortc.admission.interfaces import Ask, AuthContext, Handshake, Refused
from gortc.admission.turns import Turns
from gortc.transport.tls import NEEDS, Trusted

ANSWER_MAX: Final = 16_384
"""So many bytes of an answer are read, and what arrived along with the last of them."""

RIGHT: Final = {200: True, 401: False, 403: False}
"""What an answer says of who has asked."""

_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
_LINE: Final = re.compile(r"[\x20-\x7e]+")


def _url(instance: object, attribute: Attribute[str], value: Any) -> None:
    try:
        parts = urlsplit(value)
        ok = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        ok = ok and _VISIBLE.fullmatch(value) is not None
    except (ValueError, TypeError, AttributeError):
        ok = False
    if not ok:  # its query may be a secret
        raise ValueError("url must be a URL such as https://app.example.com/gortc")


def _seconds(instance: object, attribute: Attribute[float], value: Any) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < float("inf"):
        raise ValueError(f"{attribute.name} must be seconds, more than 0, not {value!r}")


def _count(instance: object, attribute: Attribute[int], value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{attribute.name} must be an integer from 1, not {value!r}")


def _header(instance: object, attribute: Attribute[str | None], value: Any) -> None:
    if value is not None and not (isinstance(value, str) and _LINE.fullmatch(value)):  # it is a secret
        raise ValueError(f"{attribute.name} must be a line of ASCII text")


def _names(instance: object, attribute: Attribute[tuple[str, ...] | None], value: Any) -> None:
    ok = isinstance(value, (tuple, list)) and all(isinstance(name, str) and name for name in value)
    if value is not None and not ok:
        raise ValueError(f"{attribute.name} must be a tuple of header names")


def _file(instance: object, attribute: Attribute[str | None], value: Any) -> None:
    if value is not None and not (isinstance(value, str) and value):
        raise ValueError(f"{attribute.name} must be the name of a PEM file, not {value!r}")


@frozen
class Hook:
    """The configuration. Raises ValueError, one line, where a field can't be."""

    url: str = field(validator=_url, repr=False)
    """Who is asked: http:// or https://."""
    timeout: float = field(default=3.0, validator=_seconds)
    """Seconds that it may take to connect, to ask and to get the answer, all together."""
    pending_max: int = field(default=100, validator=_count)
    """So many peers may be asked about at the same time; further ones wait."""
    address_max: int = field(default=10, validator=_count)
    """So many of them may come from one address."""
    waiting_max: int = field(default=1000, validator=_count)
    """So many may wait; for one more, the last of the address that has most of them gets 503."""
    authorization: str | None = field(default=None, validator=_header, repr=False)
    """The `Authorization` header that shows the application who asks."""
    headers: tuple[str, ...] | None = field(default=None, validator=_names)
    """Which of a peer's headers the application is told; None is all of them."""
    ca: str | None = field(default=None, validator=_file)
    """A PEM file of the certificates to trust; by default those that the system trusts."""


def load_webhook(context: AuthContext) -> Ask:
    """An authenticator that asks the application at the `url` of the configuration; its other keys are `Hook`'s.

    Raises ValueError, one line, where the configuration can't be followed.
    """
    hook = _read(context.config)
    return Webhook(hook, _agent(hook, context.reactor), context.reactor).ask


def _read(config: Mapping[str, Any]) -> Hook:
    unknown = config.keys() - fields_dict(Hook).keys()
    if unknown:
        raise ValueError(f"there is no setting {', '.join(sorted(map(repr, unknown)))}")
    if "url" not in config:
        raise ValueError("url is missing")
    return Hook(**config)


class Webhook:
    """Asks about peers, each by a request of its own."""

    def __init__(self, hook: Hook, agent: IAgent, clock: IReactorTime) -> None:
        self._hook = hook
        self._agent = agent
        self._clock = clock
        self._turns = Turns(hook.pending_max, hook.address_max, hook.waiting_max)
        self._names = None if hook.headers is None else frozenset(name.lower() for name in hook.headers)
        self._headers = Headers({"Content-Type": ["application/json"]})
        if hook.authorization is not None:
            self._headers.setRawHeaders("Authorization", [hook.authorization])

    def ask(self, handshake: Handshake) -> Deferred[str | None]:
        """Fires with the peer's userid where the application answers 200. Fails with Refused: 401 or 403 as the
        application says, 503 where it says something else or nothing, or too many wait. Cancelling it ends the request.
        """
        return self._turns.take(handshake.home).addCallback(lambda _: self._begin(handshake))

    def _begin(self, handshake: Handshake) -> Deferred[str | None]:
        request: Deferred[Any] = maybeDeferred(self._post, handshake)
        request.addTimeout(self._hook.timeout, self._clock, _late)
        request.addBoth(self._done, handshake.home)
        outcome = request.addCallbacks(_answered, _failed, callbackArgs=(handshake.userid,))
        # However an agent calls it that it has been cancelled, here it is CancelledError.
        asked: Deferred[str | None] = Deferred(partial(_cancel, outcome))
        outcome.addBoth(partial(_pass_on, asked))
        return asked

    def _post(self, handshake: Handshake) -> Deferred[IResponse]:
        # Redirects are not followed: it is for who configures the server to say who is asked, and by which scheme.
        body = _Body(self._question(handshake))
        return self._agent.request(b"POST", self._hook.url.encode(), self._headers, body)

    def _question(self, handshake: Handshake) -> bytes:
        shown = {
            _text(name): _text(value)
            for name, value in handshake.headers.items()
            if self._names is None or name in self._names
        }
        return orjson.dumps(
            {"type": "ws", "remoteaddr": handshake.address, "url": _text(handshake.url), "headers": shown}
        )

    def _done(self, result: Any, home: str) -> Any:
        self._turns.end(home, RIGHT.get(getattr(result, "code", 0)))
        return result


def _answered(response: IResponse, userid: str) -> str | None:
    response.deliverBody(_Deaf())
    if response.code == 200:
        return userid
    if response.code in (401, 403):
        raise Refused(response.code, "the application refuses you")
    raise _nobody_can_tell(f"the application answers {response.code}")


def _failed(failure: Failure) -> str | None:
    if failure.check(Refused):
        failure.raiseException()
    error: Any = failure.value
    while getattr(error, "reasons", None):  # an HTTP client's wrapping
        error = error.reasons[0].value
    raise _nobody_can_tell(_told(error))


def _late(result: object, timeout: float) -> Any:
    raise _nobody_can_tell(f"the application does not answer within {timeout:g} s")


def _cancel(request: Deferred[str | None], asked: Deferred[str | None]) -> None:
    asked.errback(CancelledError())
    request.cancel()


def _pass_on(asked: Deferred[str | None], outcome: Any) -> None:
    if not asked.called:
        asked.callback(outcome)


def _nobody_can_tell(log: str) -> Refused:
    return Refused(503, "nobody can tell who you are now", log)


def _told(error: BaseException) -> str:
    """What is wrong, for the log. Texts are told of the network and of TLS only: a parser's may quote the answer, and
    that a secret."""
    kind = type(error)
    known = kind.__module__.startswith(("twisted.internet.", "OpenSSL.", "service_identity."))
    return f"{kind.__name__}: {error}" if known else kind.__name__


def _text(text: str) -> str:
    """JSON is UTF-8 (RFC 8259 section 8.1): what can't be encoded becomes question marks."""
    return text.encode("utf-8", "replace").decode()


# HTTP


def _agent(hook: Hook, reactor: Any) -> Agent:
    """An agent whose connections end with their request."""
    pool = _Connections(reactor, persistent=False)
    return Agent(reactor, _Trust(hook), connectTimeout=hook.timeout, pool=pool)


@implementer(IPolicyForHTTPS)
class _Trust:
    """What checks the application's certificate: made once, for there is one host."""

    def __init__(self, hook: Hook) -> None:
        parts = urlsplit(hook.url)
        self._creator: Any = None
        if parts.scheme == "https":
            try:
                self._creator = Trusted(parts.hostname or "", hook.ca)
            except ImportError:
                raise ValueError(NEEDS) from None
            except OSError as error:
                raise ValueError(f"ca: {hook.ca} can't be read: {error.strerror}") from None

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:  # noqa: N802
        return self._creator


class _Connections(HTTPConnectionPool):
    """Connections that are aborted where the answer grows long: its headers, too, would be kept in memory."""

    def getConnection(self, key: Hashable, endpoint: IStreamClientEndpoint) -> Deferred[Any]:  # noqa: N802
        return super().getConnection(key, endpoint).addCallback(_limited)


def _limited(connection: Any) -> Any:
    connection.dataReceived = partial(_receive, connection, connection.dataReceived, [ANSWER_MAX])
    return connection


def _receive(connection: Any, receive: Any, room: list[int], data: bytes) -> None:
    receive(data)
    room[0] -= len(data)
    if room[0] < 0:
        connection.transport.abortConnection()


@implementer(IBodyProducer)
class _Body:
    """A body that is written at once."""

    def __init__(self, data: bytes) -> None:
        self.length = len(data)
        self._data = data

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:  # noqa: N802
        consumer.write(self._data)
        return succeed(None)

    def pauseProducing(self) -> None:  # noqa: N802
        """It has been written."""

    def resumeProducing(self) -> None:  # noqa: N802
        """It has been written."""

    def stopProducing(self) -> None:  # noqa: N802
        """It has been written."""


class _Deaf(Protocol):
    """Ends the connection, whatever the body would be. TCP's end, for TLS would wait for the other side's."""

    def connectionMade(self) -> None:  # noqa: N802
        transport: Any = self.transport
        transport.stopProducing()
