"""An application is asked who may connect."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor, ssl
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, Logger, LogLevel, globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed
from twisted.web.iweb import IAgent
from twisted.web.resource import Resource
from twisted.web.server import Request, Site
from zope.interface import implementer

from gortc.admission.interfaces import Ask, AuthContext, Handshake, Refused
from gortc.admission.webhook import Hook, Webhook, load_webhook
from tests.certificates import issue

ALICE = "alice@gortc.com"
TOLD_TO_THE_HOOK = "Bearer hook-secret"
PEER = Handshake(
    ALICE,
    "192.0.2.1",
    "/rtc?userid=alice@gortc.com&token=peer-secret",
    {"host": "gortc.com", "authorization": "Bearer peer-secret", "x-app": "1"},
    token="peer-secret",
)


def context(config: Mapping[str, Any], clock: Any = None) -> AuthContext:
    return AuthContext("webhook", config, "gortc.com", clock or Clock(), Logger(namespace="auth.webhook"))


def check_refused(error: object, code: int, log: str = "") -> None:
    """The reason is for the peer, `log` for the log; no secret is in either."""
    assert isinstance(error, Refused)
    assert error.code == code
    assert log in error.log
    for text in (str(error), error.reason, error.log):
        assert "secret" not in text
        assert "\n" not in text


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Nothing is logged as an error, and no failure is left over."""
    errors: list[str] = []

    @implementer(ILogObserver)
    def observe(event: Any) -> None:
        if event["log_level"] >= LogLevel.error:
            errors.append(str(event.get("log_failure", event.get("log_format"))))

    globalLogPublisher.addObserver(observe)
    yield
    gc.collect()
    globalLogPublisher.removeObserver(observe)
    assert not errors


# with an agent that does what the test says


class Answer:
    """A response of which nothing but the status is looked at."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.closed = False

    def deliverBody(self, protocol: Protocol) -> None:  # noqa: N802
        connection: Any = self
        protocol.makeConnection(connection)
        protocol.dataReceived(b"x" * 100_000)

    def stopProducing(self) -> None:  # noqa: N802
        self.closed = True


@implementer(IAgent)
class FakeAgent:
    """Requests that wait for the test's answers, and say `gone`, where there is that, when they are cancelled."""

    def __init__(self, gone: Exception | None = None) -> None:
        self.requests: list[Deferred[Any]] = []
        self.gone = gone

    def request(self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None) -> Any:  # noqa: N803
        gone = self.gone
        request: Deferred[Any] = Deferred(None if gone is None else lambda request: request.errback(gone))
        self.requests.append(request)
        return request


class Desk:
    """Peers that are asked about by a fake agent, at a virtual time."""

    def __init__(self, gone: Exception | None = None, **config: Any) -> None:
        self.clock = Clock()
        self.agent = FakeAgent(gone)
        hook = Hook("http://app.example.com/", **config)
        self.webhook = Webhook(hook, self.agent, self.clock)

    def ask(self, home: str = "192.0.2.1") -> tuple[list[Any], Deferred[Any]]:
        told: list[Any] = []
        asked = self.webhook.ask(evolve(PEER, home=home))
        asked.addCallbacks(told.append, lambda failure: told.append(failure.value))
        return told, asked

    def rest(self) -> None:
        assert not self.clock.getDelayedCalls()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (200, None),
        (401, 401),
        (403, 403),
        *((status, 503) for status in (100, 201, 204, 299, 301, 302, 307, 308, 400, 404, 429, 500, 503, 2000)),
    ],
)
def test_a_status(status: int, code: int | None) -> None:
    """RFC 9110 section 15.3.1: 200 is the only one that lets it in."""
    desk, answer = Desk(), Answer(status)
    told, _ = desk.ask()
    assert not told
    desk.agent.requests[0].callback(answer)
    if code is None:
        assert told == [ALICE]
    else:
        check_refused(told[0], code, f"answers {status}" if code == 503 else "")
    assert answer.closed
    desk.rest()


@pytest.mark.parametrize("gone", [None, OSError("secret")])
def test_no_answer_in_time(gone: Exception | None) -> None:
    """One that comes later does not count, nor does it do harm."""
    desk = Desk(gone)
    told, _ = desk.ask()
    desk.clock.advance(2.9)
    assert not told
    desk.clock.advance(0.2)
    check_refused(told[0], 503, "does not answer within 3 s")
    if gone is None:
        desk.agent.requests[0].callback(Answer(200))
    assert len(told) == 1
    desk.rest()


@pytest.mark.parametrize(
    "gone", [None, ConnectingCancelledError(None), DNSLookupError(), ResponseFailed([Failure(CancelledError())])]
)
def test_the_peer_goes(gone: Exception | None) -> None:
    """However the agent says that it has been cancelled."""
    desk = Desk(gone, pending_max=1)
    told, asked = desk.ask()
    asked.cancel()
    assert [type(one) for one in told] == [CancelledError]
    told, _ = desk.ask()
    desk.agent.requests[-1].callback(Answer(200))
    assert told == [ALICE]
    desk.rest()


@pytest.mark.parametrize("end", ["answer", "failure", "cancel", "time"])
def test_too_many(end: str) -> None:
    """Some wait; more don't."""
    desk = Desk(pending_max=2, waiting_max=1)
    _, first = desk.ask()
    desk.ask()
    waits, _ = desk.ask()
    told, _ = desk.ask()
    check_refused(told[0], 503, "1 others wait")
    assert len(desk.agent.requests) == 2
    assert not waits
    if end == "answer":
        desk.agent.requests[0].callback(Answer(500))
    elif end == "failure":
        desk.agent.requests[0].errback(OSError())
    elif end == "cancel":
        first.cancel()
    else:
        desk.clock.advance(3)
    assert len(desk.agent.requests) == 3
    desk.agent.requests[2].callback(Answer(200))
    assert waits == [ALICE]


def test_one_address_has_a_part_of_them() -> None:
    """However slowly it is asked about; another one is asked about at once, and a third waits for neither's many."""
    desk = Desk(pending_max=3, address_max=2)
    for _ in range(10):
        desk.ask("192.0.2.66")
    assert len(desk.agent.requests) == 2
    bob, _ = desk.ask("192.0.2.2")
    assert len(desk.agent.requests) == 3
    desk.agent.requests[2].callback(Answer(200))
    assert bob == [ALICE]
    desk.ask("192.0.2.67")
    carol, _ = desk.ask("192.0.2.3")
    assert len(desk.agent.requests) == 4
    desk.agent.requests[0].callback(Answer(401))
    assert len(desk.agent.requests) == 5
    desk.agent.requests[4].callback(Answer(200))
    assert carol == [ALICE]


def test_an_agent_that_raises() -> None:
    """Its turn is over all the same."""
    desk = Desk(pending_max=1)
    desk.agent.request = None  # type: ignore[method-assign, assignment]
    for _ in range(2):
        told, _ = desk.ask()
        check_refused(told[0], 503, "TypeError")


# over sockets


class Ear(Resource):
    """An application that notes what it is asked, and answers 200, or what it is told to."""

    isLeaf = True  # noqa: N815

    def __init__(self, status: int = 200, location: str = "") -> None:
        super().__init__()
        self.status = status
        self.location = location
        self.heard: list[tuple[dict[str, str], bytes]] = []

    def render_POST(self, request: Request) -> bytes:  # noqa: N802
        heads = {name.decode(): values[0].decode() for name, values in request.requestHeaders.getAllRawHeaders()}
        assert request.content is not None
        self.heard.append((heads, request.content.read()))
        request.setResponseCode(self.status)
        if self.location:
            request.setHeader("Location", self.location)
        return b"body"

    render_GET = render_POST  # noqa: N815


class Ports:
    """Where applications listen."""

    def __init__(self) -> None:
        self._ports: list[Any] = []

    def listen(self, factory: Any, options: Any = None) -> int:
        """The port of `factory`."""
        net: Any = reactor
        if options is None:
            port = net.listenTCP(0, factory, interface="127.0.0.1")
        else:
            port = net.listenSSL(0, factory, options, interface="127.0.0.1")
        self._ports.append(port)
        number: int = port.getHost().port
        return number

    async def close(self) -> None:
        while self._ports:
            await self._ports.pop().stopListening()


@pytest.fixture
def ports() -> Iterator[Ports]:
    ports = Ports()
    yield ports
    pytest_twisted.blockon(Deferred.fromCoroutine(ports.close()))


def load(**config: Any) -> Callable[[Handshake], Any]:
    ask: Ask = load_webhook(context(config, reactor))
    return ask


async def refusal(asked: Any) -> Refused:
    with pytest.raises(Refused) as raised:
        await asked
    return raised.value


@pytest_twisted.ensureDeferred
async def test_what_the_application_hears(ports: Ports) -> None:
    ear = Ear()
    url = f"http://127.0.0.1:{ports.listen(Site(ear))}/gortc?x=1"
    assert await load(url=url, authorization=TOLD_TO_THE_HOOK)(PEER) == ALICE
    ((heads, body),) = ear.heard
    assert heads["Content-Type"] == "application/json"
    assert heads["Authorization"] == TOLD_TO_THE_HOOK
    assert orjson.loads(body) == {
        "type": "ws",
        "remoteaddr": "192.0.2.1",
        "url": "/rtc?userid=alice@gortc.com&token=peer-secret",
        "headers": {"host": "gortc.com", "authorization": "Bearer peer-secret", "x-app": "1"},
    }


@pytest_twisted.ensureDeferred
async def test_some_headers(ports: Ports) -> None:
    ear = Ear()
    ask = load(url=f"http://127.0.0.1:{ports.listen(Site(ear))}", headers=("X-App", "Cookie"))
    assert await ask(PEER) == ALICE
    ((heads, body),) = ear.heard
    assert orjson.loads(body)["headers"] == {"x-app": "1"}
    assert "Authorization" not in heads


@pytest_twisted.ensureDeferred
async def test_odd_headers(ports: Ports) -> None:
    """What is no Unicode can't be written, and does not keep the rest from being."""
    ear = Ear()
    ask = load(url=f"http://127.0.0.1:{ports.listen(Site(ear))}")
    odd = evolve(PEER, url="/\udcff", headers={"x-a": "\x00\xff\u20ac", "x-b": "a\ud800b"})
    assert await ask(odd) == ALICE
    heard = orjson.loads(ear.heard[0][1])
    assert heard["headers"] == {"x-a": "\x00\xff\u20ac", "x-b": "a?b"}
    assert heard["url"] == "/?"


@pytest.mark.parametrize(("status", "code"), [(401, 401), (403, 403), (500, 503)])
@pytest_twisted.ensureDeferred
async def test_it_refuses(ports: Ports, status: int, code: int) -> None:
    url = f"http://127.0.0.1:{ports.listen(Site(Ear(status)))}"
    check_refused(await refusal(load(url=url)(PEER)), code)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest_twisted.ensureDeferred
async def test_a_redirect(ports: Ports, status: int) -> None:
    """Whoever is there would let everybody in, but is not asked."""
    friendly = Ear()
    location = f"http://127.0.0.1:{ports.listen(Site(friendly))}/"
    url = f"http://127.0.0.1:{ports.listen(Site(Ear(status, location)))}"
    check_refused(await refusal(load(url=url)(PEER)), 503, f"answers {status}")
    assert not friendly.heard


@implementer(IPullProducer)
class Talker(Protocol):
    """An application that answers with `start`, and then with `more`, for ever, where there is more."""

    start = b""
    more = b""
    ends = False

    def __init__(self) -> None:
        self.heard = b""
        self.sent = 0
        self.asked: Deferred[None] = Deferred()
        self.gone: Deferred[None] = Deferred()
        net: Any = reactor
        self.gone.addTimeout(10, net)  # so that one that stays fails the test

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        first, self.heard = not self.heard, self.heard + data
        if not first:
            return
        transport: Any = self.transport
        transport.write(self.start)
        if self.more:
            transport.registerProducer(self, False)
        elif self.ends:
            transport.loseConnection()
        self.asked.callback(None)

    def resumeProducing(self) -> None:  # noqa: N802
        transport: Any = self.transport
        transport.write(self.more)
        self.sent += len(self.more)

    def stopProducing(self) -> None:  # noqa: N802
        """It never ends."""

    def connectionLost(self, reason: Failure = Failure(CancelledError())) -> None:  # noqa: B008, N802
        self.gone.callback(None)


class Talkers(Factory):
    """Applications that say what no web server would."""

    noisy = False

    def __init__(self, start: bytes = b"", more: bytes = b"", ends: bool = False) -> None:
        self.talk = {"start": start, "more": more, "ends": ends}
        self.talkers: list[Talker] = []
        self.came: Deferred[Talker] = Deferred()

    def buildProtocol(self, addr: Any) -> Talker:  # noqa: N802
        talker = Talker()
        talker.__dict__.update(self.talk)
        self.talkers.append(talker)
        if len(self.talkers) == 1:
            self.came.callback(talker)
        return talker


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return issue(tmp_path, "localhost").path


def vouched(certificate: Path) -> Any:
    return ssl.DefaultOpenSSLContextFactory(str(certificate.with_suffix(".key")), str(certificate))


OK = b"HTTP/1.1 200 OK\r\n"
CHUNK = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
HEAD = b"X-Long: " + b"x" * 4096 + b"\r\n"
TO_SEND_MAX = 64_000_000  # what systems keep of it is much less


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize(
    ("start", "more", "accepted"),
    [
        (OK + b"\r\n", b"x" * 0x10000, True),
        (OK + b"Content-Length: 1000000000000\r\n\r\n", b"x" * 0x10000, True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK, True),
        (OK, HEAD, False),
        (OK + b"X: 1\r\n", b" " + HEAD, False),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, False),
        (b"", b"x" * 0x10000, False),
    ],
)
@pytest_twisted.ensureDeferred
async def test_an_endless_answer(
    ports: Ports, certificate: Path, start: bytes, more: bytes, accepted: bool, secure: bool
) -> None:
    """The connection ends at once; a body is not waited for."""
    talkers = Talkers(start, more)
    port = ports.listen(talkers, vouched(certificate) if secure else None)
    ask = load(url=f"https://localhost:{port}", ca=str(certificate)) if secure else load(url=f"http://127.0.0.1:{port}")
    if accepted:
        assert await ask(PEER) == ALICE
    else:
        error = await refusal(ask(PEER))
        check_refused(error, 503)
        assert "within" not in error.log  # long before
    (talker,) = talkers.talkers
    await talker.gone
    assert talker.sent < TO_SEND_MAX


GARBAGE = [
    b"",
    b"\r\n\r\n",
    b"hello\r\n\r\n",
    b"HTTP/1.1 OK\r\n\r\n",
    b"HTTP/1.1 \xff\r\n\r\n",
    b"HTTP/x 200 OK\r\n\r\n",
    b"HTTP/1.1 200",
    OK + b"Connection: close\r\n",
    OK + b"Bearer peer-secret\r\n\r\n",
    OK + b"Content-Length: hook-secret\r\n\r\n",
    OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    OK + b"Transfer-Encoding: hook-secret\r\n\r\n",
    b"Bearer peer-secret hook-secret\r\n\r\n",
    b"SSH-2.0-secret\r\n",
    bytes(range(256)),
]


@pytest.mark.parametrize("start", GARBAGE)
@pytest_twisted.ensureDeferred
async def test_garbage(ports: Ports, start: bytes) -> None:
    """What it has sent is not told, for it may have sent back what it was told."""
    talkers = Talkers(start, ends=True)
    ask = load(url=f"http://127.0.0.1:{ports.listen(talkers)}", authorization=TOLD_TO_THE_HOOK)
    error = await refusal(ask(PEER))
    check_refused(error, 503)
    assert error.log
    await talkers.talkers[0].gone


@pytest_twisted.ensureDeferred
async def test_an_early_hint(ports: Ports) -> None:
    """RFC 9110 section 15.2: "A client MUST be able to parse one or more 1xx responses received prior to a final
    response"."""
    talkers = Talkers(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK + b"\r\n", ends=True)
    assert await load(url=f"http://127.0.0.1:{ports.listen(talkers)}")(PEER) == ALICE


@pytest.mark.parametrize("start", [b"", OK])
@pytest_twisted.ensureDeferred
async def test_it_hangs(ports: Ports, start: bytes) -> None:
    """Its connection does not outlive the time that it has."""
    talkers = Talkers(start)
    ask = load(url=f"http://127.0.0.1:{ports.listen(talkers)}", timeout=0.05)
    check_refused(await refusal(ask(PEER)), 503, "does not answer within 0.05 s")
    await talkers.talkers[0].gone


@pytest.mark.parametrize("start", [b"", OK])
@pytest_twisted.ensureDeferred
async def test_the_peer_goes_while_it_is_asked_about(ports: Ports, start: bytes) -> None:
    talkers = Talkers(start)
    port = ports.listen(talkers)
    ask = load(url=f"http://127.0.0.1:{port}", pending_max=1)
    asked = ask(PEER)
    talker = await talkers.came
    await talker.asked
    asked.cancel()
    with pytest.raises(CancelledError):
        await asked
    await talker.gone
    again = ask(PEER)
    again.cancel()
    with pytest.raises(CancelledError):
        await again


@pytest_twisted.ensureDeferred
async def test_nobody_listens(ports: Ports) -> None:
    port = ports.listen(Factory())
    await ports.close()
    check_refused(await refusal(load(url=f"http://127.0.0.1:{port}")(PEER)), 503, "ConnectionRefusedError: ")


# TLS


@pytest_twisted.ensureDeferred
async def test_its_certificate_is_trusted(ports: Ports, certificate: Path) -> None:
    port = ports.listen(Site(Ear()), vouched(certificate))
    ask = load(url=f"https://localhost:{port}/gortc", ca=str(certificate))
    assert await ask(PEER) == ALICE
    assert await ask(PEER) == ALICE


@pytest.mark.parametrize("what", ["self-signed", "another one", "another host"])
@pytest_twisted.ensureDeferred
async def test_its_certificate_is_not_trusted(ports: Ports, certificate: Path, what: str, tmp_path: Path) -> None:
    """It hears nothing of the peer, nor how we show who we are."""
    ear = Ear()
    port = ports.listen(Site(ear), vouched(certificate))
    host = "127.0.0.1" if what == "another host" else "localhost"
    ca = issue(tmp_path, "elsewhere.test").path if what == "another one" else certificate
    ask = load(
        url=f"https://{host}:{port}/",
        authorization=TOLD_TO_THE_HOOK,
        ca=None if what == "self-signed" else str(ca),
    )
    check_refused(await refusal(ask(PEER)), 503, "erif")
    assert not ear.heard


@pytest_twisted.ensureDeferred
async def test_no_tls_where_it_should_be(ports: Ports) -> None:
    talkers = Talkers(OK + b"\r\n", ends=True)
    check_refused(await refusal(load(url=f"https://localhost:{ports.listen(talkers)}/")(PEER)), 503, "Error: ")
    assert b"POST" not in talkers.talkers[0].heard


# the configuration

URL = "https://app.example.com/gortc"


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({}, "^url is missing$"),
        ({"url": URL, "uri": 1}, "^there is no setting 'uri'$"),
        *(
            ({"url": url}, "^url must be a URL such as")
            for url in (
                None,
                3,
                b"http://a/",
                "",
                "app.example.com",
                "ftp://a/",
                "https:///x",
                "http://a:0/",
                "http://a:99999/",
                "http://a:b/",
                "https://user:secret@a/",
                "http://a/ b",
                "http://a/\r\nX: y",
                "http://\u00e9/",
                "http://[::1/",
            )
        ),
        *(({"url": URL, "timeout": value}, "^timeout must be seconds") for value in (0, -1, "3", True, float("inf"))),
        *(({"url": URL, "pending_max": value}, "^pending_max must be an integer") for value in (0, 1.5, "3", True)),
        *(
            ({"url": URL, "authorization": value}, "^authorization must be a line of ASCII text$")
            for value in (3, "", "secret\r\nX: y", "secret\u20ac")
        ),
        *(({"url": URL, "headers": value}, "^headers must be a tuple") for value in ("host", 3, ("",), (1,))),
        *(({"url": URL, "ca": value}, "^ca must be the name of a PEM file") for value in (3, "")),
        ({"url": URL, "ca": "/nowhere/ca.pem"}, "^ca: /nowhere/ca.pem can't be read: No such file"),
        ({"url": URL, "ca": __file__}, "has no certificates that can be read"),
    ],
)
def test_a_configuration_that_cannot_be(config: Mapping[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why) as raised:
        load_webhook(context(config))
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", [URL, "http://127.0.0.1", "HTTP://[::1]:8080/x?y=z", "https://a:1"])
def test_a_configuration(url: str) -> None:
    assert callable(
        load_webhook(context({"url": url, "timeout": 1, "headers": ["Cookie"], "authorization": "Basic x"}))
    )


def test_tls_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "OpenSSL.crypto", None)
    with pytest.raises(ValueError, match=r"^TLS needs pip install 'gortc\[tls\]'$"):
        load_webhook(context({"url": URL}))
    assert callable(load_webhook(context({"url": "http://127.0.0.1"})))


def test_what_is_secret_is_not_shown() -> None:
    assert "secret" not in repr(Hook("http://a/?secret", authorization=TOLD_TO_THE_HOOK))
