"""Who is let in, by opening handshakes in memory. docs/jsip.md section 1, "Who may connect"."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
import txaio.tx
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from gortc.admission import Ask, Handshake, Limits, Rate, Refused
from gortc.admission.admission import AuthError, check, load
from gortc.admission.plugin import authenticator
from tests.transport.kit import Hub, Wire, frame, handshake

GOOD = {
    "alice-token": "alice@gortc.local",
    "bob-token": "bob@gortc.local",
    "b-token": "b.example",
    "c-token": "c.example",
}


class Desk:
    """An authenticator: tokens and passwords that a test knows, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Handshake] = []
        self.answer: Any = None

    def ask(self, handshake: Handshake) -> Any:
        """Who shows `NAME-token` is NAME."""
        self.asked.append(handshake)
        if self.answer is not None:
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer
        token = handshake.password[1] if handshake.password else handshake.token
        if token is None:
            return None
        if token not in GOOD:
            raise Refused(401, "no such token")
        return GOOD[token]


@pytest.fixture
def desk() -> Desk:
    """One."""
    return Desk()


def hub_of(monkeypatch: pytest.MonkeyPatch, desk: Desk | None, **settings: Any) -> Hub:
    """A server with that authenticator, in virtual time."""
    asks: dict[str, Ask] = {} if desk is None else {"desk": desk.ask}
    settings = {"auth": "none" if desk is None else {"desk": {}}, "nodes": ("b.example", "c.example"), **settings}
    hub = Hub(asks, trusted_nodes=("c.example",), **settings)
    monkeypatch.setattr(txaio.tx.config, "loop", hub.clock)
    return hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, desk: Desk) -> Hub:
    """The usual one."""
    return hub_of(monkeypatch, desk)


def knock(
    hub: Hub, userid: str = "alice@gortc.local", query: str = "", address: str = "203.0.113.5", **headers: str
) -> Wire:
    """A peer's handshake."""
    wire = Wire(hub, address)
    wire.send(handshake(f"/rtc?userid={userid}{query}", **headers))
    return wire


def status(wire: Wire) -> int:
    """What it was answered; 0 where nothing yet."""
    return int((wire.take_http() or "HTTP/1.1 0").split()[1])


def basic(user: str, password: str) -> str:
    """An Authorization header."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.proves("C-64")
@pytest.mark.parametrize(
    ("query", "headers", "selected"),
    [
        ("", {"Authorization": "Bearer alice-token"}, None),
        ("", {"Authorization": "bearer  alice-token"}, None),
        ("", {"Authorization": basic("alice@gortc.local", "alice-token")}, None),
        ("&token=alice-token", {}, None),
        ("&token=alice%2Dtoken", {}, None),
        ("", {"Sec_WebSocket_Protocol": "jsip, jsip.token.alice-token"}, "jsip"),
        ("", {"Sec_WebSocket_Protocol": "jsip.token.alice%2Dtoken, jsip.resume"}, "jsip.resume"),
        ("", {"Sec_WebSocket_Protocol": "jsip.token.alice-token"}, None),
    ],
)
def test_where_a_token_is_shown(hub: Hub, query: str, headers: dict[str, str], selected: str | None) -> None:
    wire = knock(hub, query=query, **headers)
    answer = wire.transport.value().partition(b"\r\n\r\n")[0].decode()
    assert answer.startswith("HTTP/1.1 101 ")
    assert (f"Sec-WebSocket-Protocol: {selected}" in answer) if selected else "Sec-WebSocket-Protocol" not in answer
    assert "token" not in answer


@pytest.mark.proves("C-64")
@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("&token=alice-token", {"Authorization": "Bearer alice-token"}),
        ("&token=alice-token&token=alice-token", {}),
        ("&token=alice-token", {"Sec_WebSocket_Protocol": "jsip.token.alice-token"}),
        ("", {"Authorization": "Bearer"}),
        ("", {"Authorization": "Bearer a b"}),
        ("", {"Authorization": "Bearer alice-token, Bearer bob-token"}),
        ("", {"Authorization": "Digest x"}),
        ("", {"Authorization": "Basic ???"}),
        ("", {"Authorization": "Basic " + b64encode(b"no colon").decode()}),
        ("", {"Authorization": "Basic " + b64encode(b"\xff:x").decode()}),
    ],
)
def test_what_can_not_be_read(hub: Hub, desk: Desk, query: str, headers: dict[str, str]) -> None:
    assert status(knock(hub, query=query, **headers)) == 400
    assert desk.asked == []


@pytest.mark.proves("C-65")
@pytest.mark.parametrize("query", ["", "&token=wrong"])
def test_who_shows_nothing_good(hub: Hub, query: str) -> None:
    wire = knock(hub, query=query)
    answer = wire.take_http()
    assert answer.startswith("HTTP/1.1 401 Unauthorized\r\n")
    assert "WWW-Authenticate: Bearer" in answer
    assert hub.journal.counts["not admitted"] == 1


@pytest.mark.proves("C-66")
def test_who_is_somebody_else(hub: Hub) -> None:
    answer = knock(hub, query="&token=bob-token").take_http()
    assert answer.startswith("HTTP/1.1 403 ")
    assert answer.endswith("you are bob@gortc.local\n")


SPELLED = [
    "alice@gortc.local", "alice@GORTC.local", "sip:alice@gortc.local", "SIPS%3Aalice%40gortc.local",
    "%61lice@gortc.local", "%2561lic%2565@gortc.local",
]  # fmt: skip


@pytest.mark.proves("C-66", "C-93")
@pytest.mark.parametrize("userid", SPELLED)
@pytest.mark.parametrize("who", ["alice@gortc.local", "sip:alice@GORTC.local", "%61lice@gortc.local"])
def test_who_is_the_same_in_any_spelling(hub: Hub, desk: Desk, userid: str, who: str) -> None:
    """Of the peer, and of whoever says who it is; what holds for it has one name."""
    desk.answer = who
    assert status(knock(hub, userid)) == 101
    (channel,) = hub.channels.by_name.values()
    assert channel.guest is not None
    assert desk.asked[0].userid == channel.name == channel.guest.name == channel.guest.asserted == "alice@gortc.local"


@pytest.mark.proves("C-66", "C-90", "C-91", "C-92")
@pytest.mark.parametrize(
    "userid",
    [
        "Alice@gortc.local", "pbx:alice@gortc.local", "sip%253Aalice@gortc.local", "alice%2540gortc.local",
        "alice%2500@gortc.local", "alice%252561@gortc.local", "alice@gortc.local.", "xalice@gortc.local",
    ],
)  # fmt: skip
def test_who_is_another_one(hub: Hub, userid: str) -> None:
    assert knock(hub, userid, "&token=alice-token").take_http().startswith("HTTP/1.1 403 ")


@pytest.mark.proves("C-11", "C-92")
@pytest.mark.parametrize("host", ["gortc%E3%80%82local", "gortc.loca%E2%93%9B", "gortc.%EF%BD%8Cocal"])
def test_a_host_that_would_fold_into_ours(hub: Hub, desk: Desk, host: str) -> None:
    """Nobody is even asked."""
    assert status(knock(hub, f"alice@{host}", "&token=alice-token")) == 400
    assert desk.asked == []


@pytest.mark.proves("C-93")
def test_one_user_has_one_limit_on_connections(monkeypatch: pytest.MonkeyPatch, desk: Desk) -> None:
    hub = hub_of(monkeypatch, desk, limits=Limits(logins=Rate(0.001, 3)))
    codes = [status(knock(hub, userid, "&token=alice-token")) for userid in SPELLED]
    assert codes == [101, 101, 101, 429, 429, 429]


@pytest.mark.proves("C-67")
@pytest.mark.parametrize(
    ("userid", "code"),
    [
        ("alice@gortc.local", 101), ("alice@second.example", 101), ("sip:alice@gortc.local", 101), ("b.example", 101),
        ("gortc.local", 403), ("second.example", 403), ("d.example", 403), ("alice@elsewhere.example", 403),
        ("sip:B.example", 101), ("pbx:alice@gortc.local", 403), ("pbx:b.example", 403), ("b.example.", 403),
        ("alice@b.example", 403), ("b.example.evil.example", 403),
    ],
)  # fmt: skip
def test_names_that_are_users_or_nodes(monkeypatch: pytest.MonkeyPatch, desk: Desk, userid: str, code: int) -> None:
    """Whatever the authenticator says."""
    hub = hub_of(monkeypatch, desk, domains=("second.example",))
    desk.answer = userid
    assert status(knock(hub, userid)) == code


@pytest.mark.proves("C-69")
def test_what_holds_for_whom(hub: Hub) -> None:
    for name, token in (("alice@gortc.local", "alice-token"), ("b.example", "b-token"), ("c.example", "c-token")):
        assert status(knock(hub, name, f"&token={token}")) == 101
    alice, b, c = (hub.channels.by_name[name] for name in ("alice@gortc.local", "b.example", "c.example"))
    assert [one.guest and one.guest.asserted for one in (alice, b, c)] == ["alice@gortc.local", "b.example", None]
    assert [one.guest and one.guest.own_from for one in (alice, b, c)] == [True, False, False]
    assert [one.guest and one.guest.limited for one in (alice, b, c)] == [True, False, False]
    assert [one.trusted for one in (alice, b, c)] == [True, False, True]


@pytest.mark.proves("C-69")
def test_where_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on loopback, where all is believed."""
    hub = hub_of(monkeypatch, None)
    assert status(knock(hub, "anybody@anywhere.example")) == 101
    guest = hub.channels.by_name["anybody@anywhere.example"].guest
    assert guest is not None
    assert (guest.asserted, guest.own_from, guest.limited) == ("", False, True)
    local = Hub()
    monkeypatch.setattr(txaio.tx.config, "loop", local.clock)
    assert status(knock(local)) == 101
    assert local.channels.by_name["alice@gortc.local"].guest is None


@pytest.mark.proves("C-68")
def test_nobody_can_tell(hub: Hub, desk: Desk) -> None:
    desk.answer = Refused(503, "nobody can tell who you are now", log="the application hangs")
    assert status(knock(hub)) == 503


@pytest.mark.proves("C-68")
def test_an_authenticator_with_a_defect(hub: Hub, desk: Desk) -> None:
    """The peer hears nothing of it, the log does."""
    desk.answer = ZeroDivisionError("secret")
    with capturedLogs() as logged:
        answer = knock(hub).take_http()
    assert answer.startswith("HTTP/1.1 503 ")
    assert "secret" not in answer
    assert [event["log_failure"].type for event in logged if "log_failure" in event] == [ZeroDivisionError]
    assert hub.journal.counts["authenticator failure"] == 1


@pytest.mark.proves("C-5", "C-68")
def test_an_answer_that_takes_too_long(hub: Hub, desk: Desk) -> None:
    """It is no fault of the peer's: it is told, and when to come again, in its own time."""
    desk.answer = Deferred[str]()
    wire = knock(hub)
    hub.clock.advance(29.9)
    assert status(wire) == 0
    assert not wire.transport.aborted
    hub.clock.advance(0.1)
    head = wire.take_http()
    assert head.startswith("HTTP/1.1 503 ")
    assert "\r\nRetry-After: " in head
    assert not wire.transport.aborted
    hub.clock.pump([1.0, 1.0])
    assert not hub.factory.connections
    assert hub.journal.counts["not admitted"] == 1


@pytest.mark.proves("C-5")
def test_who_has_not_said_all_has_no_more_time_for_that(hub: Hub, desk: Desk) -> None:
    """Nor is anybody cut short for whom an answer comes late."""
    desk.answer = answer = Deferred[str]()
    wire = knock(hub)
    half = Wire(hub, "203.0.113.6")
    half.send(handshake("/rtc?userid=bob@gortc.local")[:-2])
    hub.clock.advance(11)
    assert half.transport.aborted
    hub.clock.advance(11)
    answer.callback("alice@gortc.local")
    assert status(wire) == 101
    hub.clock.pump([10.0, 10.0])
    assert wire.transport.connected


def test_an_answer_that_takes_its_time(hub: Hub, desk: Desk) -> None:
    """What the peer sends meanwhile is kept; it is not a second handshake."""
    desk.answer = answer = Deferred[str]()
    wire = knock(hub)
    wire.send(frame("first"))
    wire.send(handshake("/rtc?userid=bob@gortc.local&token=bob-token"))
    assert status(wire) == 0
    assert len(desk.asked) == 1
    answer.callback("alice@gortc.local")
    assert wire.transport.value().startswith(b"HTTP/1.1 101 ")
    assert hub.stack.got == [b"first"]
    assert list(hub.channels.by_name) in (["alice@gortc.local"], [])


@pytest.mark.proves("C-6")
def test_no_more_than_a_handshake_may_wait(hub: Hub, desk: Desk) -> None:
    desk.answer = Deferred()
    wire = knock(hub)
    for _ in range(20):
        wire.send(b"x" * 1000)
    assert status(wire) == 400
    assert not wire.transport.connected


@pytest.mark.parametrize("how", ["leaves", "waits"])
def test_who_is_gone_is_not_asked_after(hub: Hub, desk: Desk, how: str) -> None:
    """The authenticator is told; nothing is logged, nothing raises."""
    cancelled: list[object] = []
    desk.answer = Deferred(cancelled.append)
    wire = knock(hub)
    with capturedLogs() as logged:
        if how == "leaves":
            wire.lose()
        else:
            hub.clock.advance(30)
        hub.clock.pump([1.0, 1.0])
    assert len(cancelled) == 1
    assert [event for event in logged if event["log_level"].name in ("error", "critical")] == []
    assert not hub.factory.connections
    assert not hub.channels.by_name


def test_several_are_asked_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Desk(), Desk()
    hub = Hub({"first": first.ask, "second": second.ask}, auth={"first": {}, "second": {}})
    monkeypatch.setattr(txaio.tx.config, "loop", hub.clock)
    assert status(knock(hub, query="&token=alice-token")) == 101
    assert second.asked == []
    second.answer = "bob@gortc.local"
    assert status(knock(hub, "bob@gortc.local")) == 101
    assert len(first.asked) == 2


# Limits.


def limited(monkeypatch: pytest.MonkeyPatch, desk: Desk | None = None, **limits: Any) -> Hub:
    """A server with these limits."""
    return hub_of(monkeypatch, desk, limits=Limits(**limits))


@pytest.mark.proves("C-71")
def test_connections_of_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thousand of them come; one that leaves makes room. Others are not touched."""
    hub = limited(monkeypatch, connections=100, handshakes=None)
    wires = [knock(hub, f"u{number}@gortc.local") for number in range(2000)]
    assert [status(wire) for wire in wires] == [101] * 100 + [429] * 1900
    assert status(knock(hub, address="203.0.113.6")) == 101
    hub.clock.advance(1)
    assert len(hub.factory.connections) == 101
    wires[0].lose()
    assert status(knock(hub, "again@gortc.local")) == 101


@pytest.mark.proves("C-71")
def test_a_proxy_says_for_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each for whom it says so has a limit of his own."""
    hub = limited(monkeypatch, connections=2)
    for number in range(5):
        one = knock(hub, f"a{number}@gortc.local", address="127.0.0.1", X_Forwarded_For=f"203.0.113.{number + 10}")
        assert status(one) == 101
    behind = [
        knock(hub, f"b{number}@gortc.local", address="127.0.0.1", X_Forwarded_For="1.1.1.1, 203.0.113.5")
        for number in range(3)
    ]
    assert [status(wire) for wire in behind] == [101, 101, 429]
    spoofing = knock(hub, "c@gortc.local", address="203.0.113.5", X_Forwarded_For="203.0.113.99")
    assert status(spoofing) == 429
    for wire in behind:
        wire.lose()
    hub.clock.advance(1)
    assert status(knock(hub, "c@gortc.local", address="203.0.113.5")) == 101


@pytest.mark.proves("C-71")
def test_handshakes_of_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = limited(monkeypatch, handshakes=Rate(0.5, 3))
    codes = [status(knock(hub, f"u{number}@gortc.local")) for number in range(4)]
    assert codes == [101, 101, 101, 429]
    answer = knock(hub).take_http()
    assert "Retry-After: 2\r\n" in answer
    hub.clock.advance(2)
    assert status(knock(hub)) == 101


@pytest.mark.proves("C-71")
def test_failures_of_an_address(monkeypatch: pytest.MonkeyPatch, desk: Desk) -> None:
    """Who guesses is not asked any more, though the next guess were right; another address is."""
    hub = limited(monkeypatch, desk, failures=Rate(0.1, 3))
    for _ in range(3):
        assert status(knock(hub, query="&token=guess")) == 401
    assert status(knock(hub, query="&token=alice-token")) == 429
    assert len(desk.asked) == 3
    assert status(knock(hub, query="&token=alice-token", address="203.0.113.6")) == 101
    hub.clock.advance(10)
    assert status(knock(hub, query="&token=alice-token")) == 101


@pytest.mark.proves("C-71")
def test_connections_of_a_user(monkeypatch: pytest.MonkeyPatch, desk: Desk) -> None:
    """From wherever; what a stranger tries in its name does not count."""
    hub = limited(monkeypatch, desk, logins=Rate(0.5, 2))
    for number in range(5):
        knock(hub, query="&token=wrong", address=f"203.0.113.{number}")
    codes = [status(knock(hub, query="&token=alice-token", address=f"203.0.113.{number}")) for number in range(3)]
    assert codes == [101, 101, 429]
    assert status(knock(hub, "bob@gortc.local", "&token=bob-token")) == 101


@pytest.mark.proves("C-72")
def test_a_flood_of_handshakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who dawdles makes room for who is honest."""
    hub = limited(monkeypatch, handshaking=10)
    slow = [Wire(hub, "127.0.0.1") for _ in range(25)]
    assert [wire.transport.connected for wire in slow] == [False] * 15 + [True] * 10
    assert status(knock(hub)) == 101
    assert hub.journal.counts["handshake flood"] == 16
    hub.clock.advance(11)
    assert len(hub.factory.connections) == 1


def test_loopback_has_no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(limits=Limits(handshaking=1, connections=1, handshakes=Rate(0.1, 1), logins=Rate(0.1, 1)))
    monkeypatch.setattr(txaio.tx.config, "loop", hub.clock)
    assert [status(knock(hub)) for _ in range(5)] == [101] * 5
    slow = [Wire(hub, "127.0.0.1") for _ in range(5)]
    assert all(wire.transport.connected for wire in slow)


@pytest.mark.proves("C-73")
def test_frames_are_read_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they are: messages, pings, fragments; and what the peer does not read is minded, too."""
    hub = limited(monkeypatch, frames=Rate(10, 20))
    wire = knock(hub)
    wire.take_http()
    wire.send(b"".join(frame(f"{number}") for number in range(20)))
    assert wire.transport.producerState == "producing"
    for more in (frame("more"), frame("", 9), frame("frag", fin=False), frame("ment", 0)):
        wire.send(more)
    assert wire.transport.producerState == "paused"
    wire.protocol.pauseProducing()
    wire.protocol.resumeProducing()
    assert wire.transport.producerState == "paused"
    hub.clock.advance(1)  # what came meanwhile has cost something, too
    assert wire.transport.producerState == "producing"
    assert len(hub.stack.got) == 22
    hub.clock.advance(2)
    wire.send(b"".join(frame("x") for _ in range(30)))
    wire.protocol.pauseProducing()
    hub.clock.advance(2)
    assert wire.transport.producerState == "paused"  # it does not read
    wire.protocol.resumeProducing()
    hub.clock.advance(0)
    assert wire.transport.producerState == "producing"
    wire.send(b"".join(frame("x") for _ in range(30)))
    wire.lose()
    hub.clock.advance(0)
    assert len(hub.timers) == 0 or not hub.factory.connections


# Loading.


def test_loading() -> None:
    """With its configuration; what is wrong with it is one line."""
    seen: list[Any] = []

    def prepare(context: Any) -> Ask:
        seen.append((context.name, context.config, context.realm))
        if "bad" in context.config:
            raise ValueError("bad is no key")
        return lambda handshake: None

    plugin = authenticator("desk")(prepare)
    assert list(load({"desk": {"a": 1}}, {"desk": plugin}, "gortc.local", None)) == ["desk"]
    assert seen == [("desk", {"a": 1}, "gortc.local")]
    with pytest.raises(AuthError, match=r"^auth: desk: bad is no key$"):
        load({"desk": {"bad": 1}}, {"desk": plugin}, "gortc.local", None)
    with pytest.raises(AuthError, match=r"^auth: no authenticator is named 'dusk'; there are desk$"):
        check({"dusk": {}}, {"desk": plugin})


def test_no_secret_in_its_repr() -> None:
    made = Handshake("alice@x", "1.2.3.4", "/rtc?token=SECRET", {"authorization": "SECRET"}, "SECRET", ("a", "SECRET"))
    assert "SECRET" not in repr(made)
