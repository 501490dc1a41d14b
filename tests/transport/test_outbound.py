"""Next hops, in virtual time: section 1 of docs/jsip.md, "Other domains"."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import Any

import pytest
import txaio.tx
from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import MemoryReactorClock

from gortc.jsip.timers import Timers
from gortc.jsip.times import Times
from gortc.jsip.uri import parse
from gortc.settings import Settings, SettingsError
from gortc.testing import Lab
from gortc.transport import outbound
from gortc.transport.channels import BEGINS
from gortc.transport.dial import PublicReactor
from gortc.transport.outbound import Outbound
from gortc.transport.route import Route
from gortc.transport.websocket import RtcProtocol
from slp_plugins.default import default
from tests.transport.kit import frame, give
from tests.transport.network import End, Network


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """Autobahn's timers are as they were."""
    before = txaio.tx.config.loop
    yield
    txaio.tx.config.loop = before


def use(clock: Any) -> None:
    """Autobahn's timers are in virtual time, too."""
    txaio.tx.config.loop = clock


def network(**options: Any) -> Network:
    """Two nodes."""
    made = Network("a", "b", **options)
    use(made.reactor)
    return made


# no connection


@pytest.mark.proves("C-52")
def test_refused() -> None:
    """All that wait come back; further ones at once; when it is there, calls go through."""
    net = network()
    net.down = True
    alice, bob = net.users()
    calls = [alice.call("bob@b.test"), alice.call("bob@b.test")]
    net.advance(0.4)
    for call in calls:
        assert call.expect(503)["Reason"] == "127.0.0.1: Connection was refused by other side"
        call.send("ACK", RelatedID=1)
    call = alice.call("bob@b.test")
    call.expect(503)
    call.send("ACK", RelatedID=1)
    net.down = False
    net.advance(2)
    call = alice.call("bob@b.test")
    net.settle()
    talk = bob.answering()
    talk.reply(486)
    net.settle()
    call.expect(486)
    call.send("ACK", RelatedID=1)
    net.settle()
    net.check_empty()
    assert net.labs["a"].node.journal.counts["next hop unreachable"] == 1


@pytest.mark.proves("C-52", "X-15")
def test_nobody_answers() -> None:
    """3 s, then it comes back; a hunt goes on long before the callee would have been given up."""
    net = network()
    net.silent = True
    alice, _ = net.users()
    call = alice.call("bob@b.test")
    net.advance(2.9)
    alice.expect_nothing()
    net.advance(0.2)
    assert call.expect(503)["Reason"] == "127.0.0.1: no connection in 3 s"
    call.send("ACK", RelatedID=1)
    net.check_empty()


@pytest.mark.proves("C-52")
def test_a_handshake_that_is_refused() -> None:
    net = network(route={"userid": "bad userid"})
    alice, _ = net.users()
    call = alice.call("bob@b.test")
    net.settle()
    assert "400" in call.expect(503)["Reason"]
    call.send("ACK", RelatedID=1)
    net.check_empty()


@pytest.mark.proves("C-36")
def test_a_call_that_is_given_up_before_there_is_a_connection() -> None:
    """The other node hears nothing of it."""
    net = network()
    net.silent = True
    alice, _ = net.users()
    call = alice.call("bob@b.test")
    call.send("CANCEL", RelatedID=1)
    call.expect(200)
    call.expect(487)
    call.send("ACK", RelatedID=1)
    net.advance(4)
    alice.expect_nothing()
    net.check_empty()


@pytest.mark.proves("C-54", "X-16", "X-17")
def test_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bounds double from 1 s to 30 s, however far a connection gets before it fails."""
    asked: list[tuple[float, float]] = []

    def most(least: float, bound: float) -> float:
        asked.append((least, bound))
        return bound

    monkeypatch.setattr(outbound, "uniform", most)
    net = network(times=Times(idle=600), route={"userid": "bad userid"})
    alice, _ = net.users()
    alice.call("bob@b.test").expect_nothing()
    net.advance(95, step=0.5)
    assert asked == [(0.5, bound) for bound in (1, 2, 4, 8, 16, 30, 30, 30)]
    assert net.tried == [0, 1, 3, 7, 15, 31, 61, 91]


@pytest.mark.proves("C-54")
def test_another_node_of_our_name_has_replaced_us() -> None:
    """The two must not take it from each other in turn."""
    net = network()
    alice, bob = net.users()
    call = alice.open("MESSAGE", "bob@b.test")
    net.settle()
    bob.answering("MESSAGE").reply(200)
    net.settle()
    call.expect(200)
    other: Any = None
    net.labs["b"].node.channels.connect("a.test", other)
    net.advance(29)
    assert net.tried == [0]
    net.advance(2)
    assert len(net.tried) == 2


@pytest.mark.proves("C-34", "C-52")
def test_what_came_back_takes_no_room() -> None:
    """A call that did not get through leaves as much room as before to the dialogues that wait."""
    net = network(unsent_max=8000)
    alice, bob = net.users()
    call = alice.call("bob@b.test")
    net.settle()
    talk = bob.answering()
    talk.reply(200)
    net.settle()
    call.expect(200)
    call.ack()
    net.settle()
    talk.expect("ACK")
    net.down = True
    net.cables[0].cut()
    other = alice.call("bob@b.test", "x" * 4000)
    net.advance(1.5)
    other.expect(503)
    other.ack()
    call.send("INFO", "y" * 4000)
    net.down = False
    net.advance(4)
    talk.reply(200, to=talk.expect("INFO"))
    net.settle()
    call.expect(200)


# a connection


@pytest.mark.proves("C-30", "C-49")
def test_a_node_is_reached_by_its_route_whoever_has_connected_first() -> None:
    """With its limits; a user there, and a node without a route, is reached where it is connected."""
    net = network()
    lab = net.labs["a"]
    channels = lab.node.channels
    connection: Any = object()
    node, other, user = (channels.connect(name, connection) for name in ("b.test", "c.test", "bob@b.test"))
    hop = channels.route("b.test")
    assert hop is net.hop
    for uri in ("B.test", "sip:b.test;lr", "anybody@b.test"):
        assert channels.route(uri) is hop
    assert channels.route("c.test") is other
    assert channels.route("bob@b.test") is user
    channels.configure(evolve(lab.settings, routes={}))
    assert channels.route("b.test") is node


@pytest.mark.proves("C-49", "C-53", "X-18")
def test_idle() -> None:
    """It is closed with 1000, and nothing is left of it."""
    net = network()
    alice, bob = net.users()
    alice.open("MESSAGE", "bob@b.test")
    net.settle()
    bob.answering("MESSAGE").reply(200)
    net.advance(59, step=1)
    assert net.hop.connection is not None
    net.advance(2, step=1)
    assert not net.outbound["a"].hops
    assert net.cables[0].near.ended
    assert net.cables[0].far.ended
    net.advance(121, step=1)  # b.test waits for it, for it might resume
    assert "a.test" not in net.labs["b"].node.channels.by_name


@pytest.mark.proves("C-53")
def test_a_call_keeps_it() -> None:
    net = network()
    alice, bob = net.users()
    call = alice.call("bob@b.test")
    net.settle()
    talk = bob.answering()
    talk.reply(200)
    net.settle()
    call.send("ACK", RelatedID=1)
    net.advance(100, step=1)
    assert net.hop.connection is not None
    call.send("BYE")
    net.settle()
    talk.reply(200, to=bob.inbox[-1])
    net.advance(61, step=1)
    assert not net.outbound["a"].hops


@pytest.mark.proves("C-55", "C-56")
@pytest.mark.parametrize("trusted", [True, False])
def test_who_is_asserted_to_call(trusted: bool) -> None:
    """Nothing of it goes to, or comes from, a next hop that is not trusted."""
    net = network(route={"trusted": trusted, "authorization": "Bearer abc"})
    alice, bob = net.users()
    call = alice.call("bob@b.test", **{"P-Asserted-Identity": "alice"})
    net.settle()
    talk = bob.answering()
    assert talk.request.get("P-Asserted-Identity") == ("alice" if trusted else None)
    asserted: dict[str, Any] = {"P-Asserted-Identity": "bob"}
    talk.reply(200, **asserted)
    net.settle()
    assert call.expect(200).get("P-Asserted-Identity") == ("bob" if trusted else None)


def test_credentials() -> None:
    """They are in the handshake, and in no text that may be logged."""
    net = network(route={"authorization": "Bearer abc", "userid": "gateway@a.test"})
    alice, _ = net.users()
    alice.open("MESSAGE", "bob@b.test")
    net.reactor.advance(0)
    factory: Any = net.reactor.tcpClients[0][2]
    protocol = factory.buildProtocol(None)
    end = End(None, protocol)  # type: ignore[arg-type]
    protocol.makeConnection(end)
    asked = end.take().decode().split("\r\n")
    assert asked[0] == "GET /rtc?userid=gateway%40a.test HTTP/1.1"
    assert "Authorization: Bearer abc" in asked
    assert "Sec-WebSocket-Protocol: jsip.resume" in asked
    assert "abc" not in repr(net.hop.route)


# what the other side does


def connected(**options: Any) -> Network:
    """A connection that is open, and used by nobody."""
    net = network(**options)
    alice, bob = net.users()
    alice.open("MESSAGE", "bob@b.test")
    net.settle()
    bob.answering("MESSAGE").reply(200)
    net.settle()
    return net


@pytest.mark.plain
@pytest.mark.proves("C-42")
@pytest.mark.parametrize(
    "first",
    [
        "{}", "[]", '["seen",0]', '["new",null]', '["new",{}]', '["new",{"token":1}]', '["resumed",{"token":"x"}]',
        '["resumed",{"token":"x","seen":7}]', "nonsense",
    ],
)  # fmt: skip
def test_a_first_frame_that_can_not_be(first: str) -> None:
    """The connection is closed with 1002; the next attempt begins anew."""
    net = connected()
    net.cables[0].cut()
    sent: list[Any] = []
    make = net.labs["b"].node.channels.resume

    def resume(name: str, connection: Any, *_: Any) -> Any:
        sent.append(connection)
        connection.send(first.encode())

    net.labs["b"].node.channels.resume = resume  # type: ignore[method-assign, assignment]
    net.advance(1.2)
    net.labs["b"].node.channels.resume = make  # type: ignore[method-assign]
    assert sent
    assert net.labs["a"].node.journal.counts["bad message"] >= 1
    assert net.hop.window is None
    net.advance(5)
    assert net.hop.connection is not None
    assert net.hop.window is not None


def test_a_server_that_lets_nobody_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is as good as any, as long as the connection is."""
    connect = RtcProtocol.onConnect
    monkeypatch.setattr(RtcProtocol, "onConnect", lambda self, request: connect(self, request) and None)
    monkeypatch.setattr(RtcProtocol, "resumes", property(lambda self: False, lambda self, value: None))
    net = connected()
    assert net.hop.window is None
    net.cables[0].cut()
    net.advance(2)
    assert net.hop.connection is not None
    alice = net.labs["a"].user("anna")
    call = alice.open("MESSAGE", "nobody@b.test")
    net.settle()
    call.expect(480)


@pytest.mark.proves("C-13")
def test_a_binary_frame() -> None:
    net = connected()
    net.cables[0].near.hear(frame(b"x", opcode=2, mask=b""))
    net.settle()
    assert net.cables[0].near.ended
    assert net.hop.connection is None


@pytest.mark.proves("C-18")
def test_half_open() -> None:
    """Nothing arrives for 40 s: the connection is dropped, and made again."""
    net = connected(times=Times(idle=600))
    net.cables[0].cut(near=False, far=False)
    net.advance(39, step=1)
    assert len(net.cables) == 1
    net.advance(6, step=1)
    assert net.labs["a"].node.journal.counts["dead peer"] == 1
    assert net.cables[0].near.ended
    assert len(net.cables) == 2


@pytest.mark.proves("C-17")
def test_pings_keep_it_open() -> None:
    net = connected(times=Times(idle=600))
    net.advance(200, step=1)
    assert len(net.cables) == 1


def ok(size: int) -> bytes:
    """A response's text, of about so many bytes."""
    return b'{"Type":"RESPONSE","Code":200,"Body":"%b"}' % (b"x" * size)


@pytest.mark.proves("C-19", "C-20")
def test_a_next_hop_that_does_not_read() -> None:
    """What waits is bounded; then the connection is dropped, and the rest waits for the next one."""
    net = connected(unsent_max=1000)
    protocol: Any = net.hop.connection
    protocol.pauseProducing()
    assert protocol.transport.producerState == "paused"
    assert give(net.hop, ok(500)) == 0
    protocol.resumeProducing()
    assert protocol.transport.producerState == "producing"
    protocol.pauseProducing()
    net.advance(BEGINS)
    assert give(net.hop, ok(900)) == 0
    assert give(net.hop, ok(900)) == 480
    assert net.hop.connection is None
    assert net.labs["a"].node.journal.counts["slow reader"] == 1
    protocol.stopProducing()


@pytest.mark.proves("C-58")
def test_a_next_hop_that_reads_nothing() -> None:
    net = connected(times=Times(idle=600))
    protocol: Any = net.hop.connection
    for _ in range(19):
        protocol.pauseProducing()
        net.advance(1, step=0.5)
    assert net.labs["a"].node.journal.counts["slow reader"] == 0
    net.advance(1.5, step=0.5)
    assert net.labs["a"].node.journal.counts["slow reader"] == 1
    protocol.stopProducing()


class Deaf:
    """In place of a server that has closed, and hears nothing."""

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Nothing."""

    def makeConnection(self, transport: object) -> None:  # noqa: N802
        """Nothing."""

    def connectionLost(self, reason: object) -> None:  # noqa: N802
        """Nothing."""


@pytest.mark.proves("C-51", "C-52")
def test_a_next_hop_that_leaves_but_keeps_the_connection() -> None:
    """It is gone in a moment; what is asked for meanwhile goes over the next connection."""
    net = connected()
    alice = net.labs["a"].user("anna")
    net.cables[0].far.write(frame((1012).to_bytes(2, "big"), opcode=8, mask=b""))
    net.cables[0].far.protocol = Deaf()
    net.settle()
    assert net.hop.connection is None
    call = alice.open("MESSAGE", "nobody@b.test")
    net.advance(2.5)
    call.expect(480)
    assert len(net.cables) == 2


@pytest.mark.plain
@pytest.mark.proves("C-42", "C-51", "C-52")
def test_a_next_hop_that_says_no_first_frame() -> None:
    """Who waits gets 503 in time, and it is tried again."""
    net = network(times=Times(idle=600))
    alice = net.labs["a"].user("alice")
    channels = net.labs["b"].node.channels
    resume = channels.resume
    channels.resume = lambda *_: None  # type: ignore[assignment, method-assign]
    call = alice.open("MESSAGE", "nobody@b.test")
    net.advance(3.2)
    call.expect(503)
    channels.resume = resume  # type: ignore[method-assign]
    net.advance(2)
    call = alice.open("MESSAGE", "nobody@b.test")
    net.settle()
    call.expect(480)
    assert len(net.cables) == 2


@pytest.mark.proves("C-54")
def test_connections_that_do_not_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """They count as failures: who lets us in and closes at once is left alone for longer and longer."""
    asked: list[float] = []

    def most(least: float, bound: float) -> float:
        asked.append(bound)
        return bound

    monkeypatch.setattr(outbound, "uniform", most)
    net = connected(times=Times(idle=600))
    for _ in range(4):
        net.cables[-1].cut()
        while net.hop.connection is None:
            net.advance(0.5)
    net.advance(5)
    net.cables[-1].cut()
    net.advance(1)
    assert asked == [1, 2, 4, 8, 1]


# hosts without a route


class Names:
    """Look-ups by a table; what is not in it is an address, or somewhere outside."""

    TABLE = {"inside.example": "192.168.1.1", "public.example": "93.184.216.34", "gw.b.example": "93.184.216.35"}

    def find(self, payer: str, host: str, port: int) -> Deferred[Any]:
        """At once."""
        address = self.TABLE.get(host, "93.184.216.99" if host.endswith(".example") else host)
        return succeed([(AF_INET6 if ":" in address else AF_INET, 0, 0, "", (address, port))])


def dialler(reactor: MemoryReactorClock, dial: bool = True, **settings: Any) -> Lab:
    """A node that dials."""
    lab = Lab(default, clock=reactor, realm="a.test", dial=dial, **settings)
    channels = lab.node.channels
    channels.outbound = out = Outbound(channels, lab.settings, Timers(reactor, lambda: None), reactor)
    out.lookups = Names()  # type: ignore[assignment]
    use(reactor)
    return lab


@pytest.mark.proves("C-32", "C-55")
def test_nobody_is_dialled_unless_it_is_asked_for() -> None:
    reactor = MemoryReactorClock()
    alice = dialler(reactor, dial=False).user("alice")
    alice.call("bob@public.example").expect(404)
    assert not reactor.tcpClients


@pytest.mark.proves("C-55")
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "inside.example", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
def test_never_inwards(host: str) -> None:
    """Neither an address, nor a name that has one."""
    reactor = MemoryReactorClock()
    lab = dialler(reactor)
    call = lab.user("alice").call(f"bob@{host}")
    lab.advance(1)
    assert call.expect(503)["Reason"].endswith("no such host, or none that may be dialled")
    assert not reactor.tcpClients


@pytest.mark.proves("C-55")
def test_outwards() -> None:
    """By TLS, to the port of the URI where it has one."""
    reactor = MemoryReactorClock()
    lab = dialler(reactor)
    alice = lab.user("alice")
    alice.call("bob@public.example")
    alice.call("bob@public.example:8443")
    lab.advance(0.5)
    assert [client[:2] for client in reactor.tcpClients] == [("93.184.216.34", 443), ("93.184.216.34", 8443)]
    hops = list(lab.node.channels.outbound.hops.values())  # type: ignore[union-attr]
    assert [hop.trusted for hop in hops] == [False, False]


@pytest.mark.proves("C-32", "C-55")
@pytest.mark.parametrize(
    "host",
    [
        "foo_bar.com", "-foo.com", "foo..com", ".com", "foo#bar.com", "foo/bar", "foo?bar", "a" * 64 + ".com", "%",
        "a=b.com", "snow\u2603man.com", "com.",
    ],
)  # fmt: skip
def test_what_is_no_host_is_not_dialled(host: str) -> None:
    """A path, or anything else, is not for the caller to choose."""
    reactor = MemoryReactorClock()
    lab = dialler(reactor)
    lab.user("alice").call(f"bob@{host}").expect(404)
    assert not reactor.tcpClients
    assert not lab.node.channels.outbound.hops  # type: ignore[union-attr]


def test_a_name_that_is_none(tmp_path: Path) -> None:
    """TLS does not take it; nor are there certificates to be read. Nothing is left of the attempt."""
    reactor = MemoryReactorClock()
    lab = dialler(reactor)
    call = lab.user("alice").call("bob@xn--a.com")
    lab.advance(0.1)
    assert call.expect(503)["Reason"] == "no connection can be made to this host"
    route = Route("wss://b.example/rtc", ca=str(tmp_path / "nothing.pem"))
    lab = Lab(default, clock=reactor, routes={"b.example": route})
    channels = lab.node.channels
    channels.outbound = out = Outbound(channels, lab.settings, Timers(reactor, lambda: None), reactor)
    call = lab.user("alice").call("bob@b.example")
    lab.advance(0.1)
    call.expect(503)
    assert not out.hops
    assert lab.node.journal.counts["next hop unusable"] == 1


@pytest.mark.proves("C-57")
def test_too_many_hosts_are_dialled() -> None:
    """One more is refused; the routes of the settings have their place all the same."""
    reactor = MemoryReactorClock()
    lab = dialler(reactor, hops_max=1, routes={"b.example": Route("ws://10.0.0.1/rtc")})
    alice = lab.user("alice")
    alice.call("bob@public.example")
    call = alice.call("bob@another.example")
    routed = alice.call("bob@b.example")
    lab.advance(0)
    assert call.expect(503)["Reason"] == "too many hosts are dialled"
    routed.expect_nothing()
    out: Any = lab.node.channels.outbound
    assert len(out.hops) == 2
    out.stop(1001, "")
    alice.call("bob@public.example:8443")
    assert len(out.hops) == 1


def test_the_resolver_stays_as_it_is() -> None:
    with pytest.raises(NotImplementedError):
        PublicReactor(MemoryReactorClock(), Names(), "").installNameResolver(None)  # type: ignore[arg-type]


# the settings


@pytest.mark.parametrize(
    "url", ["", "b.example", "http://b.example", "ws://", "ws://b.example:0/rtc", "wss://b.example:x", "ws://x/?a=b", 1]
)
def test_no_url(url: Any) -> None:
    with pytest.raises(ValueError, match="is not a URL"):
        Route(url)


@pytest.mark.parametrize("field", ["userid", "authorization", "ca"])
def test_no_line_of_text(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        Route("ws://x/rtc", **{field: "two\nlines"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "routes", [[], {"B.example": Route("ws://x/rtc")}, {"a b": Route("ws://x/rtc")}, {"b.example": "ws://x/rtc"}]
)
def test_no_routes(routes: Any) -> None:
    with pytest.raises(SettingsError, match="routes: "):
        Settings(routes=routes)


def test_no_back_off() -> None:
    with pytest.raises(SettingsError, match="times: back_off_min"):
        Settings(times=Times(back_off_min=2, back_off_max=1))


def test_hosts_of_one_next_hop_share_it() -> None:
    route = Route("ws://127.0.0.1:9/rtc")
    reactor = MemoryReactorClock()
    lab = Lab(default, clock=reactor, routes={"b.example": route, "c.example": Route("ws://127.0.0.1:9/rtc")})
    out = Outbound(lab.node.channels, lab.settings, Timers(reactor, lambda: None), reactor)
    assert out.route(parse("x@b.example")) is out.route(parse("y@c.example"))
    assert out.route(parse("y@d.example")) is None
