"""Next hops that nobody trusts: what they may open, as whom, how much; and hosts that users have dialled.

docs/jsip.md section 1, "Other domains".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import count
from typing import Any
from urllib.parse import quote

import pytest
import txaio.tx
from attrs import evolve
from twisted.internet.error import ConnectionAborted
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from gortc.admission.limits import Limits, Rate
from gortc.jsip.gate import Guest
from gortc.jsip.uri import parse
from gortc.transport.hop import Hop
from gortc.transport.names import BadName, channel_name
from gortc.transport.route import Route
from tests.transport.test_outbound import connected, dialler


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """Autobahn's timers are as they were."""
    before = txaio.tx.config.loop
    yield
    txaio.tx.config.loop = before


class Far:
    """b.test, which says to a.test, over the connection that a.test has made, what it likes."""

    def __init__(self, **options: Any) -> None:
        self.net = connected(**options)
        self.out = self.net.outbound["a"]
        self.journal = self.net.labs["a"].node.journal
        self._heard: list[dict[str, Any]] = []
        self._numbers = count()
        channels = self.net.labs["b"].node.channels
        self.channel: Any = channels.by_name["a.test"]
        channels.above = self  # type: ignore[assignment]

    @property
    def hop(self) -> Hop:
        """What a.test has of it."""
        return self.net.hop

    def receive(self, channel: object, data: bytes) -> None:
        """It hears something, and does not act on it."""
        self._heard.append(json.loads(data))

    def gone_out(self, channel: object, data: bytes, message: object) -> None:
        """As a stack has it."""

    def opens(self, method: str = "MESSAGE", caller: str = "bob@b.test", **headers: Any) -> list[tuple[int, str]]:
        """It opens a dialogue to nobody who is there. What it was answered: code and reason."""
        callee = "nobody@a.test"
        made = {"Type": method, "Request-URI": callee, "From": caller, "To": callee, "CSeq": 1, **headers}
        self._heard.clear()
        assert self.channel.send(json.dumps({"DialogueID": f"their-{next(self._numbers)}", **made}).encode()) == 0
        self.net.settle()
        return [(said["Code"], said.get("Reason", "")) for said in self._heard if said["Type"] == "RESPONSE"]

    def codes(self, number: int) -> list[int]:
        """It opens so many."""
        return [code for _ in range(number) for code, _ in self.opens()]


# whose its limits are


def test_a_next_hop_has_limits_of_its_own() -> None:
    """Neither another one at that host has the same, nor a user who comes from there."""
    urls = {
        "b.example": "ws://10.0.0.7:8001/rtc", "c.example": "ws://10.0.0.7:8002/rtc", "d.example": "ws://10.0.0.7/a",
        "e.example": "ws://10.0.0.7/b", "f.example": "ws://[2001:db8::1]/a", "g.example": "wss://10.0.0.7/a",
    }  # fmt: skip
    rate = Rate(0.1, 2)
    routes = {host: Route(url) for host, url in urls.items()}
    lab = dialler(MemoryReactorClock(), routes=routes, limits=Limits(methods={"MESSAGE": rate}, requests=rate))
    user = lab.user("alice")
    user.channel.meet(Guest(user.name, "10.0.0.7", limited=True))
    channels: list[Any] = [lab.node.channels.outbound.route(parse(host)) for host in urls]  # type: ignore[union-attr]
    for channel in (*channels, user.channel):
        said = [refused(lab, channel, number) for number in range(3)]
        assert said == [False, False, True], channel.name
    for hop in channels:
        with pytest.raises(BadName):
            channel_name(quote(hop.guest.name))
        with pytest.raises(ValueError, match="does not appear"):
            ip_address(hop.guest.address)


def refused(lab: Any, channel: Any, number: int) -> bool:
    """Whether the gate has it wait for a message of its own."""
    headers = {"Type": "MESSAGE", "Request-URI": "x@a.test", "From": "x@a.test", "To": "x@a.test", "CSeq": 1}
    before = lab.node.journal.counts["too many requests"]
    channel.guest.own_from = False
    data = json.dumps({"DialogueID": f"{channel.name}-{number}", **headers}).encode()
    lab.node.channels.above.receive(channel, data)
    return bool(lab.node.journal.counts["too many requests"] > before)


@pytest.mark.proves("C-112")
def test_what_it_may_not_open_costs_nothing_of_its_limits() -> None:
    """They are for what it may."""
    rate = Rate(0.1, 2)
    far = Far(limits=Limits(methods={"MESSAGE": rate}, requests=rate))
    hosts = far.hop.guest.hosts  # type: ignore[union-attr]
    far.hop.stand_for(frozenset())
    assert far.codes(3) == [403] * 3
    far.net.advance(1)  # it was not read from
    far.hop.stand_for(hosts)
    assert far.codes(3)[:2] == [480, 480]


# what it may open


@pytest.mark.proves("C-112")
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "OPTIONS", "SUBSCRIBE", "REGISTER"])
def test_a_host_that_was_dialled_opens_nothing(method: str) -> None:
    far = Far()
    far.hop.stand_for(frozenset())
    assert far.opens(method) == [(403, "whom we have called opens no dialogues")]
    assert far.journal.counts["not invited"] == 1
    assert far.net.labs["a"].node.census()["sessions"] == 0


@pytest.mark.proves("C-112")
def test_nor_does_it_lead_into_another_route() -> None:
    """By whatever way: the request itself is refused."""
    far = Far()
    far.hop.stand_for(frozenset())
    assert [code for code, _ in far.opens(Router="b.test", **{"Request-URI": "boss@b.test"})] == [403]
    assert len(far.out.hops) == 1


@pytest.mark.proves("C-112")
def test_the_dialogues_that_we_have_opened_there_go_on() -> None:
    """Both ways: re-INVITE, INFO, BYE."""
    net = connected()
    net.hop.stand_for(frozenset())
    alice, bob = net.labs["a"].user("ann"), net.labs["b"].user("ben")
    call = alice.call("ben@b.test")
    net.settle()
    talk = bob.answering()
    talk.reply(200)
    net.settle()
    call.expect(200)
    call.ack()
    net.settle()
    talk.expect("ACK")
    info = talk.send("INFO", "x")
    net.settle()
    call.reply(200, to=call.expect("INFO"))
    net.settle()
    talk.expect(200, CSeq=info["CSeq"])
    talk.send("INVITE", "another offer")
    net.settle()
    call.reply(200, to=call.expect("INVITE"))
    net.settle()
    talk.expect(200)
    talk.ack()
    net.settle()
    call.expect("ACK")
    talk.send("BYE")
    net.settle()
    call.reply(200, to=call.expect("BYE"))
    net.settle()
    talk.expect(200)


@pytest.mark.proves("C-112")
def test_a_host_whose_route_has_gone_opens_nothing() -> None:
    """From the moment on; with its route it may again."""
    far = Far()
    settings = far.out.settings
    far.out.configure(evolve(settings, routes={}))
    assert far.codes(1) == [403]
    far.out.configure(settings)
    assert far.codes(1) == [480]


def test_a_trusted_route_that_has_gone_is_not_trusted() -> None:
    far = Far(route={"trusted": True})
    assert (far.hop.guest, far.hop.trusted) == (None, True)
    far.out.configure(evolve(far.out.settings, routes={}))
    assert not far.hop.trusted
    assert far.codes(1) == [403]


# as whom


@pytest.mark.proves("C-113")
@pytest.mark.parametrize(
    ("caller", "code"),
    [
        ("bob@b.test", 480), ("sip:bob@B.TEST", 480), ("b.test", 480), ("alice@a.test", 403), ("bob@evil.b.test", 403),
        ("bob@c.test", 403), ("bob", 403), ("a b", 403), ("bob@b.test:5060", 403), ("bob@b.test;x=alice@a.test", 403),
        ("pbx:bob@b.test", 403), ('"alice@a.test" <bob@b.test>', 403), ("bob@b.test.", 403),
    ],
)  # fmt: skip
def test_from_is_a_name_at_the_host_of_its_route(caller: str, code: int) -> None:
    said = Far().opens(caller=caller)
    assert [one for one, _ in said] == [code]
    if code == 403:
        assert said[0][1] == "From must be a name at b.test"


@pytest.mark.proves("C-113")
def test_of_each_host_of_its_route() -> None:
    far = Far()
    routes = {**far.out.settings.routes, "lab.b.test": far.out.settings.routes["b.test"]}
    far.out.configure(evolve(far.out.settings, routes=routes))
    assert far.opens(caller="bob@lab.b.test") == [(480, "")]
    assert far.opens(caller="bob@c.test") == [(403, "From must be a name at b.test or lab.b.test")]


@pytest.mark.proves("C-113")
@pytest.mark.parametrize("route", [{"own_from": False}, {"trusted": True}])
def test_who_relays_for_others(route: dict[str, Any]) -> None:
    assert [code for code, _ in Far(route=route).opens(caller="carol@c.test")] == [480]


# how much


@pytest.mark.proves("C-114")
def test_it_has_the_limits_of_a_user() -> None:
    """And who does not wait is not read from."""
    far = Far(limits=Limits(methods={"MESSAGE": Rate(0.5, 2)}))
    assert far.codes(3) == [480, 480, 503]
    far.opens()
    connection: Any = far.hop.connection
    assert connection.transport.producerState == "paused"
    connection.pauseProducing()
    connection.resumeProducing()
    assert connection.transport.producerState == "paused"
    far.net.advance(1.1)
    assert connection.transport.producerState == "producing"


@pytest.mark.proves("C-114")
def test_its_dialogues_are_counted() -> None:
    far = Far(limits=Limits(methods={}, dialogues=3))
    lab = far.net.labs["a"]
    users = [lab.user(f"u{number}") for number in range(4)]
    said = [far.opens("INVITE", To=user.name, **{"Request-URI": user.name}) for user in users]
    assert said == [[], [], [], [(503, "you have too many dialogues")]]


@pytest.mark.proves("C-114")
def test_its_frames_are_read_no_faster() -> None:
    far = Far(limits=Limits(frames=Rate(1, 3)))
    connection: Any = far.hop.connection
    for _ in range(8):
        far.channel.connection.send(b"{}")
    far.net.settle()
    assert connection.transport.producerState == "paused"
    connection.pauseProducing()
    far.net.advance(12)
    assert connection.transport.producerState == "paused"  # it does not read
    connection.resumeProducing()
    assert connection.transport.producerState == "producing"


@pytest.mark.proves("C-114")
def test_what_we_open_there_is_not_its_doing() -> None:
    """Calls to a next hop are no siege, however many there are."""
    net = connected(limits=Limits(called=1, ringing=1, dialogues=1, methods={}))
    alice, bob = net.users()
    for caller in (alice, net.labs["a"].user("carol")):
        caller.call("bob@b.test")
    net.settle()
    assert [message["Type"] for message in bob.inbox] == ["INVITE"] * 2


@pytest.mark.proves("C-114")
@pytest.mark.parametrize("route", [{"limited": False}, {"trusted": True}])
def test_one_without_limits(route: dict[str, Any]) -> None:
    far = Far(route=route, limits=Limits(methods={"MESSAGE": Rate(0.5, 2)}, frames=Rate(1, 3)))
    assert far.codes(5) == [480] * 5


def test_how_long_it_was_told_to_wait_is_remembered() -> None:
    net = connected()
    assert net.hop.guest is not None
    net.hop.guest.wait_until = 7.0
    net.hop.stand_for(frozenset(("b.test",)))
    assert net.hop.guest.wait_until == 7.0


# dialling


class Dripping:
    """A TCP connection on which nothing comes of a handshake."""

    def __init__(self) -> None:
        self.over = False
        self.why = Failure(ConnectionAborted())

    def abortConnection(self) -> None:  # noqa: N802
        """It is over."""
        self.over = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None


def hops(lab: Any) -> list[Hop]:
    """Those of a node."""
    return list(lab.node.channels.outbound.hops.values())


@pytest.mark.proves("C-57")
def test_a_user_has_so_many_hosts_dialled() -> None:
    """Others dial on; and a host that was dialled already is everybody's."""
    reactor = MemoryReactorClock()
    lab = dialler(reactor, limits=Limits(dials=2, methods={}), hops_max=4)
    alice, bob = lab.user("alice"), lab.user("bob")
    for user in (alice, bob):
        user.channel.guest = Guest(user.name, "203.0.113.5", asserted=user.name, limited=True)
    calls = [alice.call(f"x@h{number}.example") for number in range(3)]
    lab.advance(0)
    assert calls[2].expect(503)["Reason"] == "too many hosts are dialled for you"
    bob.call("x@h0.example")
    others = [bob.call(f"x@other{number}.example") for number in range(3)]
    lab.advance(0)
    others[2].expect(503)
    assert [hop.payer for hop in hops(lab)] == [alice.name] * 2 + [bob.name] * 2
    lab.advance(10)  # nobody is there: all was for nothing, and is given back
    assert hops(lab) == []
    alice.call("x@h5.example")
    assert len(hops(lab)) == 1


@pytest.mark.proves("C-57")
def test_a_host_is_paid_by_who_talks_to_it() -> None:
    """Whoever has dialled it and talks to it no more dials on; but whoever talks there may have dialled enough."""
    reactor = MemoryReactorClock()
    lab = dialler(reactor, limits=Limits(dials=2, methods={}))
    names = {name: lab.user(name) for name in ("alice", "bob", "carol")}
    for user in names.values():
        user.channel.guest = Guest(user.name, "203.0.113.5", asserted=user.name, limited=True)

    def call(name: str, host: str) -> Any:
        made = names[name].call(f"x@{host}.example")
        lab.advance(0)
        return made

    def payers() -> dict[str, str]:
        return {hop.name.split(".")[0]: hop.payer.split("@")[0] for hop in hops(lab)}

    first = [call("alice", "h1"), call("alice", "h2")]
    for host in ("h1", "h2"):
        call("bob", host)
    call("alice", "h3").expect(503)  # she talks to both
    first[0].cancel()
    lab.advance(0)
    call("alice", "h3")
    assert payers() == {"h1": "bob", "h2": "alice", "h3": "alice"}
    call("bob", "h4")
    first[1].cancel()
    lab.advance(0)
    call("alice", "h5").expect(503)  # Bob has dialled enough
    call("carol", "h2")
    call("alice", "h5")
    assert payers() == {"h1": "bob", "h2": "carol", "h3": "alice", "h4": "bob", "h5": "alice"}


@pytest.mark.proves("C-57")
def test_where_names_are_anybody_s_it_is_an_address() -> None:
    reactor = MemoryReactorClock()
    lab = dialler(reactor, limits=Limits(dials=2, methods={}))
    codes = []
    for number in range(3):
        user = lab.user(f"u{number}")
        user.channel.guest = Guest(user.name, "203.0.113.5", asserted="", limited=True)
        call = user.call(f"x@h{number}.example")
        lab.advance(0)
        codes.append(len(user.inbox))
        assert call
    assert codes == [0, 0, 1]


@pytest.mark.proves("C-55")
def test_a_host_with_a_route_is_dialled_by_it() -> None:
    """However the URL spells the place: whoever is there has one connection, and what the settings say of it."""
    routes = {
        "b.example": Route("wss://GW.b.example:443/rtc", trusted=True),
        "c.example": Route("wss://gw.c.example/rtc", own_from=False),
        "d.example": Route("ws://public.example:443/rtc"),
    }
    for way in (["bob@b.example", "bob@gw.b.example"], ["bob@gw.b.example", "bob@b.example"]):
        lab = dialler(MemoryReactorClock(), routes=routes)
        alice = lab.user("alice")
        for uri in way:
            alice.call(uri)
        (hop,) = hops(lab)
        assert (hop.dialled, hop.trusted, hop.route) == (False, True, routes["b.example"])
    lab = dialler(MemoryReactorClock(), routes=routes)
    alice = lab.user("alice")
    alice.call("bob@gw.c.example")
    alice.call("bob@public.example")
    first, second = hops(lab)
    assert not first.dialled
    assert second.dialled
    assert second.guest is not None
    assert (second.guest.opens, second.guest.limited) == (False, True)


@pytest.mark.proves("C-55")
def test_a_dialled_host_gets_a_route() -> None:
    """And loses it: what it may do is what holds now."""
    lab = dialler(MemoryReactorClock())
    lab.user("alice").call("bob@public.example")
    (hop,) = hops(lab)
    out: Any = lab.node.channels.outbound
    for routed in (True, False):
        routes = {"b.example": Route("wss://public.example/rtc")} if routed else {}
        out.configure(evolve(lab.settings, routes=routes))
        assert hop.guest is not None
        assert (hop.dialled, hop.guest.opens) == (not routed, routed)


@pytest.mark.proves("C-55")
def test_a_dialled_host_inside_gets_a_route() -> None:
    """Dialled it can't be reached; by its route it is, once it is tried again."""
    reactor = MemoryReactorClock()
    lab = dialler(reactor)
    alice = lab.user("alice")
    alice.call("bob@inside.example")
    lab.advance(0.1)
    out: Any = lab.node.channels.outbound
    out.configure(evolve(lab.settings, routes={"inside.example": Route("wss://inside.example/rtc")}))
    lab.advance(40)
    assert reactor.tcpClients
    assert [hop.dialled for hop in hops(lab)] == [False]


@pytest.mark.proves("C-55")
def test_a_host_inside_loses_its_route() -> None:
    """Nobody else gets there by it; the dialogues that were opened there go on. Then it is dialled, like any other."""
    reactor = MemoryReactorClock()
    routes = {"inside.example": Route("wss://inside.example/rtc")}
    lab = dialler(reactor, routes=routes)
    alice = lab.user("alice")
    call = alice.call("bob@inside.example")
    lab.advance(0.1)
    (hop,) = hops(lab)
    there = There()
    hop.arrive(there)
    assert there.heard == ["INVITE"]
    out: Any = lab.node.channels.outbound
    out.configure(evolve(lab.settings, routes={}))
    another = alice.call("carol@inside.example")
    lab.advance(0.1)
    assert another.expect(503)["Reason"] == "the route to this host has gone, and dialogues go on there"
    call.send("CANCEL", RelatedID=1)
    lab.advance(0.1)
    assert there.heard == ["INVITE", "CANCEL"]
    out.configure(evolve(lab.settings, routes=routes))
    alice.call("carol@inside.example")
    assert there.heard == ["INVITE", "CANCEL", "INVITE"]
    out.configure(evolve(lab.settings, routes={}))
    lab.advance(400)
    assert not hop.sessions
    tried = len(reactor.tcpClients)
    alice.call("carol@inside.example")
    lab.advance(5)
    assert hop not in hops(lab)
    assert len(reactor.tcpClients) == tried


class There:
    """A connection to a next hop: what it has heard."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def send(self, data: bytes) -> bool:
        """It hears it."""
        self.heard.append(json.loads(data)["Type"])
        return True

    def drop_slow(self) -> None:
        """It reads."""

    def hush(self, seconds: float) -> None:
        """It does not ask."""

    def close(self, code: int, reason: str) -> None:
        """It is over."""


@pytest.mark.proves("C-115")
def test_a_host_that_drips_is_given_up() -> None:
    """Two seconds until there is TCP, and then a handshake a byte at a time: after 3 s in all it is over."""
    reactor = MemoryReactorClock()
    lab = dialler(reactor)
    call = lab.user("alice").call("bob@public.example")
    lab.advance(0.5)
    lab.advance(1.5)
    ((_, _, factory, *_),) = reactor.tcpClients
    protocol: Any = factory.buildProtocol(None)
    transport = Dripping()
    protocol.makeConnection(transport)
    lab.advance(0.9)
    assert not transport.over
    lab.advance(0.2)
    assert transport.over
    protocol.connectionLost(transport.why)
    lab.advance(0)
    assert call.expect(503)["Reason"] == "public.example: no connection in 3 s"
    lab.advance(2)
    assert hops(lab) == []
    assert len(reactor.tcpClients) == 1  # it was not tried again


@pytest.mark.proves("C-115")
def test_what_can_not_be_reached_is_forgotten_soon() -> None:
    """No user has it tried for ever; a route of the settings is."""
    reactor = MemoryReactorClock()
    lab = dialler(reactor, routes={"b.example": Route("ws://10.0.0.1/rtc")})
    alice = lab.user("alice")
    for uri in ("bob@public.example", "bob@b.example"):
        alice.call(uri)
    lab.advance(0.1)
    assert len(hops(lab)) == 2
    lab.advance(3)
    again = alice.call("bob@public.example")
    assert again.expect(503)["Reason"] == "public.example: no connection in 3 s"
    lab.advance(1.2)
    assert [hop.dialled for hop in hops(lab)] == [False]
    alice.call("bob@public.example")
    lab.advance(0.5)
    assert [hop.dialled for hop in hops(lab)] == [False, True]
