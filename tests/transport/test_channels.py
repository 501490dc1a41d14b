"""Channels: their names, the handshake that opens them, and what happens when connections come and go."""

from __future__ import annotations

import pytest

from gortc.jsip.uri import BadURI
from gortc.transport.names import BadName, channel_name
from tests.transport.kit import CLOSE, TEXT, Hub, frame, handshake

NAMES = {
    "Alex@gortc.com": "Alex@gortc.com",
    "Alex@GoRTC.Com": "Alex@gortc.com",
    "gortc.com": "gortc.com",
    "node7": "node7",
    "NODE7": "node7",
    "sip:Alex@GORTC.com": "Alex@gortc.com",
    "SIP:Alex@gortc.com": "Alex@gortc.com",
    "sips%3AAlex%40gortc.com": "Alex@gortc.com",
    "sip:GORTC.com": "gortc.com",
    "PBX:Alex@gortc.com": "pbx:Alex@gortc.com",
    "+4930@x": "+4930@x",
    "%2B4930@x": "+4930@x",
    "%252B4930@x": "+4930@x",
    "%25252B4930@x": "%252B4930@x",
    "a%2500@x": "a%00@x",
    "b\u00fccher.example": "xn--bcher-kva.example",
    "a@xn--bcher-KVA.example": "a@xn--bcher-kva.example",
    "tel:+49123": "tel:+49123",
    "Alex%40gortc.com": "Alex@gortc.com",
    "Alex%2540gortc.com@x": "Alex%40gortc.com@x",
    "J%C3%B6rg@x": "J\u00f6rg@x",
    "a+b@x": "a+b@x",
    "[::1]": "[::1]",
    "a@[FE80::1]": "a@[fe80::1]",
    "a" * 253 + "@x": "a" * 253 + "@x",
}


@pytest.mark.proves("C-10", "C-11")
@pytest.mark.parametrize("userid", NAMES)
def test_names(userid: str) -> None:
    """Percent-decoded once, then in the one spelling of a name."""
    assert channel_name(userid) == NAMES[userid]


@pytest.mark.proves("C-11")
@pytest.mark.parametrize(
    "userid",
    [
        "", "%", "%20", "a b@x", "a%20b@x", "a%09@x", "a%00@x", "a%7F@x", "a%C2%85@x", "a@x%0d%0aX: y", "a,b@x",
        "a%2Cb@x", "a@x;type=y", "a@x%3Btype=y", "a@b@c", "@x", "a@", "a@x:5060", "x:99999", "%FF@x", "%ED%A0%80@x",
        "a@[::1", "a" * 254 + "@x", "a:b:c@x",
        "a@\u212a.de", "a@gortc\u3002com", "a@\u017f", "a@%EF%BD%87ortc.com", "a@M\u00dcNCHEN.de",
        "a@snow\u2603man.com", "\u00ad" * 50 + "@x",
    ],
)  # fmt: skip
def test_names_refused(userid: str) -> None:
    """With one line that says why."""
    if userid == "%":  # not an escape: a host of one character
        assert channel_name(userid) == "%"
        return
    with pytest.raises(BadName) as bad:
        channel_name(userid)
    assert str(bad.value).isprintable()
    assert str(bad.value)


# the handshake


@pytest.mark.proves("C-1", "C-2", "C-3", "C-4")
@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/rtc", 400),
        ("/rtc?userid", 400),
        ("/rtc?userid=", 400),
        ("/rtc?userid=a@x&userid=b@x", 400),
        ("/rtc?userid=a@x&user%69d=b@x", 400),
        ("/rtc?USERID=a@x", 400),
        ("/rtc?userid=a%20b", 400),
        ("/", 404),
        ("/rtc/x?userid=a@x", 404),
        ("/RTC?userid=a@x", 404),
        ("/rtc?userid=a@x", 101),
        ("/rtc?a=b&userid=a@x&device=1", 101),
        ("/rtc?user%69d=a@x", 101),
    ],
)
def test_targets(hub: Hub, target: str, status: int) -> None:
    """Path and query of the request."""
    wire = hub.connect(None)
    wire.send(handshake(target))
    http = wire.take_http()
    assert http.startswith(f"HTTP/1.1 {status} ")
    assert (status == 101) == wire.transport.connected
    if status != 101:
        head, _, body = http.partition("\r\n\r\n")
        assert f"Content-Length: {len(body.encode())}\r\n" in head
        assert body.endswith("\n")
        assert len(body.splitlines()) == 1
        assert hub.journal.counts[f"handshake refused, {status}"] == 1
    else:
        assert list(hub.channels.by_name) == ["a@x"]


@pytest.mark.proves("C-7")
@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://x", 101),
        ("https://X:9999", 101),
        ("http://y", 403),
        ("http://x.y", 403),
        ("http://evil.example?x", 403),
    ],
)
def test_origins(origin: str, status: int) -> None:
    """A page of the server's own host may connect."""
    hub = Hub(domains=("x",))
    wire = hub.connect(None)
    wire.send(handshake(Origin=origin))
    assert wire.take_http().startswith(f"HTTP/1.1 {status} ")


@pytest.mark.proves("C-7")
@pytest.mark.parametrize(
    ("origin", "host"), [("http://\u212a", "k"), ("http://\u212a", "\u212a"), ("http://k", "\u212a")]
)
def test_no_host_folds_into_ours(origin: str, host: str) -> None:
    factory = Hub(domains=("k",)).factory
    assert factory.admits("http://K", "k")
    assert not factory.admits(origin, host)


@pytest.mark.proves("C-8")
def test_a_page_that_calls_this_address_by_a_name_of_its_own(hub: Hub) -> None:
    """DNS rebinding: Origin and Host agree, and yet the page is a stranger's."""
    wire = hub.connect(None)
    wire.send(handshake(Origin="http://x"))
    assert wire.take_http().startswith("HTTP/1.1 403 ")


@pytest.mark.proves("C-9")
def test_origins_of_the_settings() -> None:
    """So may the origins of the settings, which are compared whole."""
    hub = Hub(origins=("https://app.example",))
    for origin, status in (("https://app.example", 101), ("http://app.example", 403), ("https://app.example:1", 403)):
        wire = hub.connect(None)
        wire.send(handshake(Origin=origin))
        assert wire.take_http().startswith(f"HTTP/1.1 {status} ")


@pytest.mark.proves("C-1", "C-2")
def test_another_path_of_the_settings() -> None:
    """`path`."""
    hub = Hub(path="/signal")
    for target, status in (("/signal?userid=a@x", 101), ("/rtc?userid=a@x", 404)):
        wire = hub.connect(None)
        wire.send(handshake(target))
        assert wire.take_http().startswith(f"HTTP/1.1 {status} ")


@pytest.mark.parametrize("split", [0, 1])
def test_a_handshake_in_pieces(hub: Hub, split: int) -> None:
    """It is a stream."""
    wire = hub.connect(None)
    wire.send(handshake(), split)
    assert wire.take_http().startswith("HTTP/1.1 101 ")


@pytest.mark.proves("C-6")
def test_a_handshake_too_large(hub: Hub) -> None:
    """Refused with 400 as soon as it is more than 16 KiB, in one read or in many."""
    for split in (0, 1000):
        wire = hub.connect(None)
        wire.send(handshake(X_Fill="x" * 17000), split)
        assert wire.take_http().startswith("HTTP/1.1 400 ")
        assert not wire.transport.connected
    wire = hub.connect(None)
    wire.send(handshake(X_Fill="x" * 15000))
    assert wire.take_http().startswith("HTTP/1.1 101 ")


@pytest.mark.proves("C-6")
def test_a_smaller_handshake() -> None:
    """`handshake_max` of the settings."""
    hub = Hub(handshake_max=400)
    for fill, status in ((100, 101), (400, 400)):
        wire = hub.connect(None)
        wire.send(handshake(X_Fill="x" * fill))
        assert wire.take_http().startswith(f"HTTP/1.1 {status} ")


@pytest.mark.proves("C-5")
def test_a_handshake_that_takes_too_long(hub: Hub) -> None:
    """Dropped after 10 s."""
    wire = hub.connect(None)
    wire.send(b"GET /rtc?userid=a@x HTTP/1.1\r\n")
    for _ in range(9):
        hub.clock.advance(1)
    assert wire.transport.connected
    for _ in range(3):
        hub.clock.advance(1)
    assert not wire.transport.connected
    assert not hub.clock.getDelayedCalls()


@pytest.mark.proves("C-5")
def test_a_handshake_in_time(hub: Hub) -> None:
    """Its timer goes; what stays is the ping's."""
    hub.connect()
    for _ in range(12):
        hub.clock.advance(1)
    assert len(hub.clock.getDelayedCalls()) == 1


def test_a_connection_lost_before_the_handshake(hub: Hub) -> None:
    """Nothing is left."""
    wire = hub.connect(None)
    wire.send(b"GET /rtc")
    wire.lose()
    for _ in range(12):
        hub.clock.advance(1)
    assert not hub.clock.getDelayedCalls()
    assert not hub.factory.connections


# one connection a name


@pytest.mark.proves("C-22")
def test_replaced(hub: Hub) -> None:
    """The old connection is closed with 4001; what still comes over it is ignored; its end changes nothing."""
    old, new = hub.connect(), hub.connect()
    assert old.take() == [(CLOSE, b"\x0f\xa1replaced")]
    old.send(frame("late"))
    assert hub.stack.got == []
    channel = hub.channels.by_name["alice@x"]
    old.lose()
    assert hub.channels.by_name["alice@x"] is channel
    assert channel.connection is new.protocol
    assert channel.send(b"hi") == 0
    assert new.take() == [(TEXT, b"hi")]
    new.send(frame("yes"))
    assert hub.stack.got == [b"yes"]


@pytest.mark.proves("C-22")
def test_a_replaced_connection_that_is_never_closed_by_its_peer(hub: Hub) -> None:
    """It is dropped, and takes nothing with it."""
    old, new = hub.connect(), hub.connect()
    for _ in range(50):
        hub.clock.advance(0.1)
    assert not old.transport.connected
    assert new.transport.connected
    assert hub.channels.by_name["alice@x"].connection is new.protocol


@pytest.mark.proves("C-10")
def test_names_are_apart(hub: Hub) -> None:
    """The host without case, the user with it; a prefix but sip and sips is part of the name."""
    for userid in ("alice@x", "Alice@x", "pbx:alice@x"):
        hub.connect(userid)
    assert set(hub.channels.by_name) == {"alice@x", "Alice@x", "pbx:alice@x"}


@pytest.mark.proves("C-10", "C-22")
@pytest.mark.parametrize("userid", ["alice@X", "sip:alice@x", "SIPS%3Aalice%40x", "%2561lice@x"])
def test_another_spelling_is_the_same_channel(hub: Hub, userid: str) -> None:
    old = hub.connect("alice@x")
    new = hub.connect(userid)
    old.assert_closing(4001)
    assert list(hub.channels.by_name) == ["alice@x"]
    assert hub.channels.by_name["alice@x"].connection is new.protocol


@pytest.mark.proves("M-29")
def test_garbage(hub: Hub) -> None:
    """20 in 10 s close with 1008; 19, and then 19 more later, do not."""
    wire = hub.connect()
    channel = hub.channels.by_name["alice@x"]
    for _ in range(19):
        channel.garbage()
    hub.clock.advance(10.1)
    for _ in range(19):
        channel.garbage()
    assert wire.take() == []
    channel.garbage()
    wire.assert_closing(1008)
    assert hub.journal.counts["closed for garbage"] == 1


@pytest.mark.proves("C-30", "C-31", "C-32")
def test_route(hub: Hub) -> None:
    """A connected channel, by its name in any spelling; else 480 in our own domains, 404 elsewhere."""
    hub.connect("alice@x")
    hub.connect("node7")
    alice, node = hub.channels.by_name["alice@x"], hub.channels.by_name["node7"]
    for uri in ("alice@x", "alice@X", "sip:alice@x", "SIPS:%61lice@X", "alice@x:5060;transport=ws"):
        assert hub.channels.route(uri) is alice
    assert hub.channels.route("NODE7;lr") is node
    for uri, code in (
        ("bob@gortc.local", 480),
        ("GORTC.LOCAL", 480),
        ("bob@x", 404),
        ("Alice@x", 404),
        ("pbx:alice@x", 404),
        ("alice@x.", 404),
        ("pbx:bob@GORTC.local", 480),
        ("anybody@node7", 404),
    ):
        assert hub.channels.route(uri).send(b"x") == code
    with pytest.raises(BadURI):
        hub.channels.route("not a uri")
