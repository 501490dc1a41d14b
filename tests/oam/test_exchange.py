"""HTTP of the management API: what is no request, what never becomes one, and who may not ask, in memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trying
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.web.http_headers import _nameEncoder
from zope.interface import implementer

from gortc.oam import survey
from gortc.oam.exchange import BODY_MAX, HEADER_MAX, IGNORED_MAX, LINGER
from gortc.oam.site import LOGGED_MAX
from gortc.settings import Settings
from tests.oam.desk import Desk, Phone, Waiting

SECONDS = Settings().api_request_seconds
HOST = "Host: 127.0.0.1:2539"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """One that ends without a connection, and without a time that waits for one."""
    made = Desk(tmp_path)
    yield made
    assert made.connections == 0
    made.server.stopService()


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    """What is logged."""
    seen: list[LogEvent] = []
    observe: Any = seen.append
    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


@implementer(ITCPTransport)
class Wire(StringTransportWithDisconnection):
    """A client's TCP connection from `address`, that stays half open when the server has said all."""

    def __init__(self, address: str = "10.0.0.1") -> None:
        kind = IPv6Address if ":" in address else IPv4Address
        super().__init__(peerAddress=kind("TCP", address, 4000))
        self.ended = False

    def getTcpNoDelay(self) -> bool:  # noqa: N802
        """It matters to no test."""
        return True

    getTcpKeepAlive = getTcpNoDelay  # noqa: N815

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802
        """It matters to no test."""

    setTcpKeepAlive = setTcpNoDelay  # noqa: N815

    def loseWriteConnection(self) -> None:  # noqa: N802
        """The server will say no more."""
        self.ended = True

    def flushed(self) -> None:
        """The client has been sent all, and reads it or not: TCP has it."""
        protocol: Any = self.protocol
        protocol.writeConnectionLost()


def statuses(said: bytes) -> list[int]:
    """Of all answers."""
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d+)", said)]


def head(desk: Desk, method: str = "POST", token: str | None = None, *more: str) -> bytes:
    """A request's head."""
    lines = [f"{method} /conference/v1/rooms HTTP/1.1", HOST, f"Authorization: Bearer {token or desk.token}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


# what never becomes a request


@pytest.mark.parametrize("known", [False, True])
def test_half_a_request_stays_for_its_time_only(desk: Desk, known: bool) -> None:
    """However many bytes come meanwhile: each says that it goes on, none that it will ever end."""
    whole = head(desk, "POST", None if known else "x" * 40, "Content-Length: 1000")[: None if known else -1]
    waiting = desk.connect(transport=Wire())
    for at in range(int(SECONDS) - 1):
        waiting.say(whole[at : at + 1])
        desk.reactor.advance(1)
    waiting.say(whole[int(SECONDS) - 1 :])
    assert waiting.is_open
    assert not waiting.said()
    desk.reactor.advance(1)
    assert statuses(waiting.said()) == [408]
    waiting.say(b"x")
    desk.reactor.advance(LINGER)
    assert not waiting.is_open


def test_who_says_nothing_is_told_nothing(desk: Desk) -> None:
    waiting = desk.connect()
    desk.reactor.advance(SECONDS)
    assert not waiting.is_open
    assert not waiting.said()


def test_what_was_asked_in_time_may_take_its_own(desk: Desk) -> None:
    """No deadline of a request holds for its answer."""
    waiting = desk.connect(head(desk, "POST", None, "Content-Length: 2") + b"{")
    desk.reactor.advance(SECONDS - 1)
    waiting.say(b"}")
    assert statuses(waiting.said()) == [404]


# who may not


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ((), 401), (("Content-Length: 60000",), 401), (("Content-Length: 1000000000",), 401),
        (("Transfer-Encoding: chunked",), 401), (("Expect: 100-continue", "Content-Length: 10"), 401),
        (("Content-Type: multipart/form-data; boundary=x", "Content-Length: 10"), 401),
        (("Origin: https://evil.example", "Content-Length: 10"), 403),
    ],
)  # fmt: skip
def test_who_may_not_is_told_so_before_the_body(desk: Desk, more: tuple[str, ...], status: int) -> None:
    """Nothing of it is kept, nor asked for; and what follows is not looked at."""
    wire = Wire()
    waiting = desk.connect(head(desk, "POST", "x" * 40, *more), wire)
    assert statuses(waiting.said()) == [status]
    assert wire.ended
    before = waiting.said()
    waiting.say(b"5\r\nhello\r\n0\r\n\r\n" + head(desk, "GET"))
    assert waiting.said() == before
    desk.reactor.advance(LINGER)
    assert not waiting.is_open


def test_who_goes_on_to_send_is_hung_up_on(desk: Desk) -> None:
    for token in ("x" * 40, None):
        waiting = desk.connect(head(desk, "GET", token), Wire())
        waiting.say(b"x" * IGNORED_MAX)
        assert waiting.is_open
        waiting.say(b"x")
        assert not waiting.is_open


def test_who_may_is_told_to_go_on(desk: Desk) -> None:
    """Expect: 100-continue (RFC 9110 section 10.1.1)."""
    waiting = desk.connect(head(desk, "POST", None, "Expect: 100-continue", "Content-Length: 2"))
    assert statuses(waiting.said()) == [100]
    waiting.say(b"{}")
    assert statuses(waiting.said()) == [100, 404]


# bodies


@pytest.mark.parametrize("chunks", [[b"{}"], [b"{", b"}"]])
def test_a_body_in_chunks(desk: Desk, chunks: list[bytes]) -> None:
    waiting = desk.connect(head(desk, "POST", None, "Transfer-Encoding: chunked"))
    for chunk in [*chunks, b""]:
        waiting.say(b"%x\r\n%b\r\n" % (len(chunk), chunk))
    assert statuses(waiting.said()) == [404]


def test_a_body_that_is_too_large(desk: Desk) -> None:
    """By its length, or as it comes."""
    waiting = desk.connect(head(desk, "POST", None, f"Content-Length: {BODY_MAX + 1}"))
    assert statuses(waiting.said()) == [413]
    assert statuses(desk.connect(head(desk, "POST", None, f"Content-Length: {BODY_MAX}")).said()) == []
    waiting = desk.connect(head(desk, "POST", None, "Transfer-Encoding: chunked"), Wire())
    chunk = b"1000\r\n" + 4096 * b"x" + b"\r\n"
    waiting.say(16 * chunk)
    assert statuses(waiting.said()) == []
    waiting.say(2 * chunk + b"0\r\n\r\n")
    assert statuses(waiting.said()) == [413]
    desk.reactor.advance(60)


def test_nothing_waits_behind_an_answer(desk: Desk) -> None:
    """Whoever asks several things at once gets an answer to the first one."""
    one = f"GET /healthz HTTP/1.1\r\n{HOST}\r\n\r\n".encode()
    wire = Wire()
    waiting = desk.connect(1000 * one, wire)
    assert statuses(waiting.said()) == [200]
    assert b"Connection: close" in waiting.said()
    assert wire.ended
    waiting.leave()


# what is no HTTP


HOSTS = [
    "[", "]", "[::1", "::1]", "[]", "[x]", "[::1]x", "a@127.0.0.1", "127.0.0.1@evil", "127.0.0.1:x", "127.0.0.1:123456",
    "127.0.0.1/", "127.0.0.1?", "", ":", "@", "[::1%25lo]", "\xff", "0x7f.1", "127.1", "a,127.0.0.1", "1" * 9000,
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_hosts_that_are_none(desk: Desk, events: list[LogEvent], host: str) -> None:
    for target in ("/healthz", f"http://{host.strip('/?')}/healthz"):
        data = f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1")
        good = host.strip("/?") == "127.0.0.1" and target != "/healthz"  # the header counts no more
        assert statuses(desk.connect(data).said()) in ([[200]] if good else [[400], [403]])
    assert not [event for event in events if "log_failure" in event]


@pytest.mark.parametrize(
    "line",
    [
        f"Content-Length: {'9' * 5000}", "Content-Length: -1", "Content-Length: 1\r\nContent-Length: 2", "no colon",
        "Content-Length: 1\r\nTransfer-Encoding: chunked", "Transfer-Encoding: gzip", "a b: c", ": x", "x" * 20000,
        *(["\r\n".join(f"X-{at}: y" for at in range(600))]),
    ],
)  # fmt: skip
def test_heads_that_are_none(desk: Desk, events: list[LogEvent], line: str) -> None:
    """Also without a token: 400, and the line is closed."""
    for token in (None, "x" * 40):
        waiting = desk.connect(head(desk, "POST", token, line, "More: x"), Wire())
        assert statuses(waiting.said()) == [400], line[:80]
        waiting.say(head(desk, "GET"))
        assert statuses(waiting.said()) == [400]
        desk.reactor.advance(LINGER)
        assert not waiting.is_open
    assert not [event for event in events if "log_failure" in event]


PROBES = ("/healthz", "/readyz", "/metrics")


@pytest.mark.parametrize("path", PROBES)
def test_who_probes_needs_no_host_and_may_say_why(desk: Desk, path: str) -> None:
    """As HAProxy's `option httpchk GET /readyz`: HTTP/1.0 and nothing else; but no page, and nothing else."""
    ask = desk.connect
    for query in ("", "?x=1", "?a=1&a=2", "?%ff", "?"):
        for method in ("GET", "HEAD"):
            assert b" 200 OK\r\n" in ask(f"{method} {path}{query} HTTP/1.0\r\n\r\n".encode()).said()
    for line in ("Host: evil.example", "Host:", "Origin: https://evil.example", "Origin: null"):
        assert b" 403 " in ask(f"GET {path} HTTP/1.0\r\n{line}\r\n\r\n".encode()).said()
    known = f"HTTP/1.0\r\nAuthorization: Bearer {desk.token}\r\n\r\n"
    assert b" 200 OK\r\n" in ask(f"GET {path}?x=1 {known}".encode()).said()
    assert b" 405 " in ask(f"POST {path} {known}".replace("\r\n", f"\r\n{HOST}\r\n", 1).encode()).said()
    for other in ("POST " + path, "GET /runtime/v1/jstack"):
        assert b" 403 " in ask(f"{other} {known}".encode()).said()


def test_figures_that_are_for_readers_need_a_token_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gortc.oam.management.is_loopback", lambda host: False)
    desk = Desk(tmp_path)
    assert b" 401 " in desk.connect(b"GET /metrics HTTP/1.0\r\n\r\n").said()
    assert b" 200 OK\r\n" in desk.connect(b"GET /healthz HTTP/1.0\r\n\r\n").said()
    desk.server.stopService()


def test_no_long_name_of_a_header_is_kept(desk: Desk) -> None:
    """Twisted keeps the first ten thousand, whoever has sent them."""
    kept = _nameEncoder._canonicalHeaderCache
    before = set(kept)
    for at in range(3):
        for length in (HEADER_MAX + 1, 10_000):
            waiting = desk.connect(head(desk, "POST", None, f"X-{at}".ljust(length, "x") + ": y"), Wire())
            assert statuses(waiting.said()) == [400]
            desk.reactor.advance(LINGER)
    assert max(map(len, set(kept) - before), default=0) <= HEADER_MAX
    waiting = desk.connect(head(desk, "GET", "x" * 40, "X".ljust(HEADER_MAX, "x") + ": y"), Wire())
    assert statuses(waiting.said()) == [401]
    desk.reactor.advance(LINGER)


PIECES = st.sampled_from([
    b"GET ", b"POST ", b"/healthz", b"/runtime/v1/drain", b"/", b"http://", b"[", b"%", b"%ff", b"?a=%&b", b" ",
    b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\n", b"Host: ", b"127.0.0.1", b"[::1", b"Origin: null", b": ", b"\t",
    b"\x00", b"Content-Length: ", b"5", b"99999999999999999999", b"Transfer-Encoding: chunked", b"Cookie: =;;=",
    b"Expect: 100-continue", b"ff\r\n", b"Content-Type: multipart/form-data; boundary=", b"Authorization: Bearer ",
    b"\xff", b"\r\n\r\n", b"-1\r\n",
])  # fmt: skip


@trying(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(pieces=st.lists(PIECES, max_size=30), known=st.booleans())
def test_whatever_is_sent(desk: Desk, events: list[LogEvent], pieces: list[bytes], known: bool) -> None:
    """Nothing fails, and in the end nobody is there."""
    shown = f"Authorization: Bearer {desk.token}\r\n".encode() if known else b""
    waiting = desk.connect(transport=Wire())
    for piece in (b"POST /conference/v1/x HTTP/1.1\r\nHost: 127.0.0.1\r\n" + shown, *pieces):
        if waiting.is_open:
            waiting.say(piece)
    desk.reactor.advance(SECONDS)
    desk.reactor.advance(60)
    assert not waiting.is_open
    assert desk.connections == 0
    assert not [event for event in events if "log_failure" in event]


# how many


def crowd(desk: Desk, *addresses: str) -> list[Waiting]:
    """Clients that say nothing."""
    return [desk.connect(transport=Wire(address)) for address in addresses]


def test_one_too_many(tmp_path: Path) -> None:
    """The oldest goes of the address that has most; an IPv6 address is its network."""
    desk = Desk(tmp_path, api_connections=4)
    some = crowd(desk, "10.0.0.9", "2001:db8::1", "2001:db8::2", "10.0.0.1", "10.0.0.2")
    assert [one.is_open for one in some] == [True, False, True, True, True]
    more = crowd(desk, "10.0.0.2")
    assert [one.is_open for one in [*some, *more]] == [True, False, True, True, False, True]
    assert desk.connections == 4
    assert desk.server.node.journal.counts["API flood"] == 2
    desk.server.stopService()


def test_strangers_push_out_no_operator(tmp_path: Path) -> None:
    """Who has shown a good token stays, whatever it still has to send or to read."""
    desk = Desk(tmp_path, api_connections=2)
    known = head(desk, "POST", None, "Content-Length: 2")
    operators = [desk.connect(known, Wire()) for _ in range(2)]
    strangers = crowd(desk, *["10.0.0.1"] * 20)
    assert [one.is_open for one in operators] == [True, True]
    assert [one.is_open for one in strangers] == [False] * 18 + [True] * 2
    for one in operators:
        one.say(b"{}")
        assert statuses(one.said()) == [404]
    desk.server.stopService()


def test_operators_keep_no_stranger_out(tmp_path: Path) -> None:
    """However many connections have shown a good token, the next one can show one as well, and ask for its health."""
    desk = Desk(tmp_path, api_connections=3)
    desk.add("read", "r" * 40 + " reader")
    for _ in range(10):
        desk.connect(head(desk, "GET", "r" * 40), Wire("10.0.0.1"))
    for data, status in ((f"GET /healthz HTTP/1.1\r\n{HOST}\r\n\r\n".encode(), 200), (head(desk, "GET"), 404)):
        waiting = desk.connect(transport=Wire("10.0.0.1"))
        assert waiting.is_open
        waiting.say(data)
        assert statuses(waiting.said()) == [status]
    desk.server.stopService()


def test_too_many_of_those_with_a_token(tmp_path: Path, events: list[LogEvent]) -> None:
    """The token that has most loses one: the oldest that has its answer, or else the oldest. It is named."""
    desk = Desk(tmp_path, api_connections=4)
    desk.add("operate", "o" * 40 + " robot")
    half = head(desk, "POST", "o" * 40, "Content-Length: 2")
    mine = [desk.connect(head(desk, "POST", None, "Content-Length: 2"), Wire("10.0.0.9"))]
    robots = [desk.connect(half, Wire("10.0.0.1")) for _ in range(3)]
    robots[1].say(b"{}")
    mine.append(desk.connect(head(desk, "GET"), Wire("10.0.0.9")))
    assert [one.is_open for one in robots] == [True, False, True]
    robots.append(desk.connect(half, Wire("10.0.0.2")))
    assert [one.is_open for one in robots] == [False, False, True, True]
    robots.append(desk.connect(half, Wire("10.0.0.1")))
    assert [one.is_open for one in robots] == [False, False, False, True, True]
    assert all(one.is_open for one in mine)
    [first, *_] = [event for event in events if event.get("reason") == "API flood"]
    assert (first["channel"], "robot has most" in str(first["detail"])) == ("10.0.0.1", True)
    desk.server.stopService()


def test_tokens_of_one_name_are_several(tmp_path: Path) -> None:
    """Whoever has shown one of them on too many connections pushes out none of who has shown the other."""
    for name in ("", " robot"):
        desk = Desk(tmp_path, api_connections=4)
        for token in ("r" * 40, "s" * 40):
            desk.add("read", token + name)
        honest = desk.connect(head(desk, "GET", "s" * 40), Wire("10.0.0.1"))
        flood = [desk.connect(head(desk, "GET", "r" * 40), Wire("10.0.0.1")) for _ in range(10)]
        assert honest.is_open
        assert [one.is_open for one in flood] == [False] * 7 + [True] * 3
        desk.server.stopService()


def test_it_counts_from_when_it_has_shown_its_token(tmp_path: Path) -> None:
    """Not the one that shows its token now goes, however long it has been here."""
    desk = Desk(tmp_path, api_connections=2)
    known = head(desk, "POST", None, "Content-Length: 2")
    late = desk.connect(known[:10], Wire())
    early = [desk.connect(known, Wire()) for _ in range(2)]
    late.say(known[10:])
    assert [late.is_open, *(one.is_open for one in early)] == [True, False, True]
    desk.server.stopService()


def test_who_has_been_sent_all_has_to_hang_up(desk: Desk) -> None:
    """`api_write_seconds` are for what TCP does not take, not for who stays."""
    wire = Wire()
    waiting = desk.connect(head(desk, "GET"), wire)
    desk.reactor.advance(20)
    assert waiting.is_open
    wire.flushed()
    desk.reactor.advance(LINGER - 0.1)
    assert waiting.is_open
    desk.reactor.advance(0.1)
    assert not waiting.is_open
    wire = Wire()
    waiting = desk.connect(head(desk, "GET", "x" * 40), wire)
    desk.reactor.advance(1)
    wire.flushed()
    desk.reactor.advance(LINGER - 1)
    assert not waiting.is_open


def test_who_says_that_it_has_said_all_is_gone(desk: Desk) -> None:
    wire = Wire()
    waiting = desk.connect(head(desk, "GET"), wire)
    protocol: Any = wire.protocol
    protocol.readConnectionLost()
    assert not waiting.is_open


def test_who_says_no_more_still_gets_what_it_has_asked_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `nc -N` does; also where the answer takes many turns of the reactor. Half a request is none."""
    monkeypatch.setattr(survey, "AT_ONCE", 1)
    desk.work_takes_long()
    alice = Phone(desk, "alice@gortc.local")
    for at in range(5):
        alice.call(f"d{at}")
    known = head(desk, "GET").replace(b"/conference/v1/rooms", b"/runtime/v1/jstack")
    whole, half = Wire(), Wire()
    waiting = desk.connect(known, whole)
    cut = desk.connect(known[:-2], half)
    for wire in (whole, half):
        protocol: Any = wire.protocol
        protocol.readConnectionLost()
    assert [waiting.is_open, waiting.said(), cut.is_open] == [True, b"", False]
    for _ in range(10):
        desk.reactor.advance(0)
    assert statuses(waiting.said()) == [200]
    assert not waiting.is_open


def test_fewer_may_be_there_from_now_on(desk: Desk) -> None:
    some = crowd(desk, *["10.0.0.1"] * 10)
    assert desk.ask("/runtime/v1/settings?api_connections=3", "PUT")[0] == 200
    more = crowd(desk, "10.0.0.2")
    assert [one.is_open for one in [*some, *more]] == [False] * 8 + [True] * 3
    desk.reactor.advance(SECONDS)


def test_the_server_stops(tmp_path: Path) -> None:
    """Nobody is left, whatever he was about to say or to read."""
    desk = Desk(tmp_path)
    some = [*crowd(desk, "10.0.0.1"), desk.connect(head(desk, "GET"), Wire()), desk.connect(head(desk)[:20])]
    desk.site.stopFactory()
    assert not any(one.is_open for one in some)
    assert desk.connections == 0
    desk.server.stopService()


def test_who_does_not_read_is_hung_up_on(tmp_path: Path) -> None:
    desk = Desk(tmp_path, api_write_seconds=7.0)
    waiting = desk.connect(head(desk, "GET"), Wire())
    assert statuses(waiting.said()) == [404]
    desk.reactor.advance(6.9)
    assert waiting.is_open
    desk.reactor.advance(0.1)
    assert not waiting.is_open
    desk.server.stopService()


# what is logged


def lines(events: list[LogEvent]) -> list[str]:
    """Of the API."""
    return [str(formatEvent(event)) for event in events if event.get("log_namespace") == "gortc.api"]


def test_a_line_is_short_and_of_one_line(desk: Desk, events: list[LogEvent]) -> None:
    for path in (f"/{'x' * 15000}", "/%0d%0a%1b%5b2J", "/a\x1bb", f"/runtime/v1/channels/{'%0A' * 4000}", "/\x9b"):
        for token in (desk.token, "y" * 40):
            desk.connect(f"DELETE {path} HTTP/1.1\r\n{HOST}\r\nAuthorization: Bearer {token}\r\n\r\n".encode("latin-1"))
    desk.connect(f"{'M' * 9000} / HTTP/1.1\r\n{HOST}\r\n\r\n".encode())
    said = lines(events)
    assert len(said) >= 8
    for line in said:
        assert line.isprintable()
        assert len(line) < 3 * LOGGED_MAX


def test_who_may_not_is_named(desk: Desk, events: list[LogEvent]) -> None:
    """Whose token it is counts from when it is shown, whatever it is good for."""
    desk.add("read", f"{'r' * 40} carol")
    for more in ((), ("Origin: https://evil.example",)):
        waiting = desk.connect(head(desk, "POST", "r" * 40, *more), Wire())
        assert statuses(waiting.said()) == [403]
        assert [one.whose.name for one in desk.site.open] == ["carol"]
        waiting.leave()
    assert lines(events) == ["carol at 10.0.0.1: POST /conference/v1/rooms: 403"] * 2


def test_no_failure_is_logged_for_what_others_send(desk: Desk, events: list[LogEvent]) -> None:
    for host in HOSTS:
        desk.connect(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1"))
    assert not [event for event in events if event["log_level"] >= LogLevel.error]
