"""Channels, docs/jsip.md section 1: who may connect, which frames close, rebinding, life and death of a connection."""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.wire.kit import PATIENCE, Json, Node, Peer, Wire, request

UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


class Raw:
    """A TCP client that does by hand what it does of WebSocket."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.socket = socket.create_connection(("127.0.0.1", node.port), PATIENCE)
        self._data = b""

    def ask(self, target: str, headers: dict[str, str], method: str = "GET") -> None:
        """Send an HTTP request."""
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def until_closed(self) -> bytes:
        """All that comes until the server closes."""
        with suppress(ConnectionResetError):  # so it looks where the server drops us
            while data := self.socket.recv(65536):
                self._data += data
        return self._data

    def take(self, number: int) -> bytes:
        """So many bytes."""
        while len(self._data) < number:
            data = self.socket.recv(65536)
            assert data, f"closed after {self._data!r}"
            self._data += data
        taken, self._data = self._data[:number], self._data[number:]
        return taken

    def open(self, userid: str) -> None:
        """The opening handshake."""
        self.ask(f"/rtc?userid={userid}", {"Host": f"127.0.0.1:{self.node.port}", **UPGRADE})
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.take(1)
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head

    def frame(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload (of less than 64 KiB)."""
        first, size = self.take(2)
        if size == 126:
            size = int.from_bytes(self.take(2), "big")
        return first & 0x0F, self.take(size)

    def send(self, message: Json) -> None:
        """One masked text frame."""
        payload, mask = json.dumps(message).encode(), os.urandom(4)
        size = len(payload)
        head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        self.socket.sendall(head + mask + masked)


# the opening handshake

GOOD = "/rtc?userid=wire-good@gortc.test"
REFUSED = {
    "no userid": ("/rtc", UPGRADE, 400),
    "an empty query": ("/rtc?", UPGRADE, 400),
    "an empty userid": ("/rtc?userid=", UPGRADE, 400),
    "two userids": ("/rtc?userid=a@b&userid=a@b", UPGRADE, 400),
    "two userids, one of them encoded": ("/rtc?userid=a@b&user%69d=a@b", UPGRADE, 400),
    "a userid with a space": ("/rtc?userid=a%20b@c", UPGRADE, 400),
    "a userid with a comma": ("/rtc?userid=a,b@c", UPGRADE, 400),
    "a userid with a semicolon": ("/rtc?userid=a@b%3btype=x", UPGRADE, 400),
    "a userid with a control character": ("/rtc?userid=a%0a@c", UPGRADE, 400),
    "a userid that is not UTF-8": ("/rtc?userid=%ff@c", UPGRADE, 400),
    "a userid with two @": ("/rtc?userid=a@b@c", UPGRADE, 400),
    "a userid with a port": ("/rtc?userid=a@b:1", UPGRADE, 400),
    "a userid too long": (f"/rtc?userid={'a' * 300}@c", UPGRADE, 400),
    "another path": ("/other?userid=a@b", UPGRADE, 404),
    "the path with a slash": ("/rtc/?userid=a@b", UPGRADE, 404),
    "a plain GET": (GOOD, {}, 400),
    "a plain GET of another path": ("/", {}, 404),
    "a plain GET of the root of nothing": ("/favicon.ico", {}, 404),
    "no key": (GOOD, {**UPGRADE, "Sec-WebSocket-Key": ""}, 400),
    "an old version": (GOOD, {**UPGRADE, "Sec-WebSocket-Version": "7"}, 400),
    "another upgrade": (GOOD, {**UPGRADE, "Upgrade": "h2c"}, 400),
    "a page of another host": (GOOD, {**UPGRADE, "Origin": "https://evil.example"}, 403),
    "a page of a host that begins alike": (GOOD, {**UPGRADE, "Origin": "http://127.0.0.1.evil.example"}, 403),
    "a page of no host": (GOOD, {**UPGRADE, "Origin": "null"}, 403),
    "a page of a bad origin": (GOOD, {**UPGRADE, "Origin": "http://[::1"}, 403),
}


@pytest.mark.proves("C-2", "C-3", "C-4", "C-7", "C-11")
@pytest.mark.parametrize("case", REFUSED)
def test_refused(server: Node, case: str) -> None:
    """HTTP, a one-line reason, closed."""
    target, headers, status = REFUSED[case]
    raw = Raw(server)
    raw.ask(target, {"Host": f"127.0.0.1:{server.port}", **headers})
    head, _, body = raw.until_closed().partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), head
    assert body.endswith(b"\n")
    assert body.count(b"\n") == 1
    assert len(body) > 5


@pytest.mark.proves("C-3")
@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD", "OPTIONS"])
def test_other_methods(server: Node, method: str) -> None:
    """A 4xx."""
    raw = Raw(server)
    raw.ask(GOOD, {"Host": f"127.0.0.1:{server.port}", "Content-Length": "0"}, method)
    assert raw.until_closed().startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 405 "))


def test_garbage_in_place_of_http(server: Node) -> None:
    """Answered or just closed; never an exception."""
    for data in (b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"GET\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n"):
        raw = Raw(server)
        raw.socket.sendall(data)
        assert raw.until_closed()[:9] in (b"", b"HTTP/1.1 ")


@pytest.mark.proves("C-6")
def test_a_handshake_too_large(server: Node) -> None:
    """16 KiB are enough for anybody."""
    raw = Raw(server)
    raw.socket.sendall(b"GET /rtc?userid=a@b HTTP/1.1\r\n")
    try:
        for _ in range(40):
            raw.socket.sendall(b"X-Fill: " + b"x" * 1000 + b"\r\n")
        answer = raw.until_closed()
    except ConnectionError:  # closed while we were still sending
        return
    assert answer.startswith(b"HTTP/1.1 4") or answer == b""


@pytest.mark.proves("C-5")
@pytest.mark.parametrize("quick", ["handshake"], indirect=True)
def test_a_handshake_that_takes_too_long(quick: Wire) -> None:
    """The connection is dropped."""
    raw = Raw(quick.node)
    raw.socket.sendall(b"GET /rtc?userid=a@b HTTP/1.1\r\n")
    assert raw.until_closed()[:9] in (b"", b"HTTP/1.1 ")


@pytest.mark.proves("C-7", "C-8", "C-9")
@pytest.mark.parametrize("origin", ["http://127.0.0.1", "http://127.0.0.1:3000", "https://app.example.com"])
def test_a_page_of_our_own_host_may_connect(wire: Wire, origin: str) -> None:
    """And one of an origin of the settings."""
    wire.peer("page", origin=origin).fence()


@pytest.mark.proves("C-4")
def test_refusals_tell_why(server: Node) -> None:
    """The reason is the body of the HTTP answer."""
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{server.port}/rtc", proxy=None).__enter__()
    body = refused.value.response.body
    assert body is not None
    assert b"userid" in body


@pytest.mark.proves("C-10", "C-30")
def test_names(wire: Wire) -> None:
    """Percent-decoded once, the host in lower case, the user as it is, the prefix kept."""
    node, alice = wire.node, wire.peer("alice")
    for userid, uri in (
        ("Bob@GORTC.Test", "Bob@gortc.test"),
        ("sip%3Abob%2540x@gortc.test", "sip:bob%40x@gortc.test"),
        ("J%C3%B6rg@gortc.test", "J\u00f6rg@gortc.test"),
        ("plus+one@gortc.test", "plus+one@gortc.test"),
        ("[::1]", "[::1]"),
        ("x@gortc.test&device=1&other=2", "x@GORTC.TEST"),
    ):
        with connect(f"ws://127.0.0.1:{node.port}/rtc?userid={userid}", proxy=None, ping_interval=None) as bob:
            talk = alice.open("MESSAGE", uri if "@" in uri else "x", Request_URI=uri)
            got = json.loads(bob.recv(PATIENCE))
            assert got["Request-URI"] == uri
            bob.send(json.dumps({**got, "Type": "RESPONSE", "Code": 200}))
            talk.expect(200)
    alice.open("MESSAGE", "bob@gortc.test").expect(480)  # the user compares with case


@pytest.mark.proves("C-10", "C-22", "C-30", "C-90", "C-91", "C-92", "C-93")
def test_one_user_in_any_spelling(wire: Wire) -> None:
    """Each connection replaces the one before; it is reached and registers by every spelling, by no other name."""
    bob, peer = wire.peer("bob"), wire.peer("zo\u00eb")
    name = peer.name
    user, _, host = name.partition("@")
    spelled = [name, f"sip:{user}@{host.upper()}", f"SIPS:{user.replace('z', '%7A')}@{host}", f"{quote(user)}@{host}"]
    others = [f"pbx:{name}", f"{user.upper()}@{host}", f"{user}%00@{host}", f"{user}@{host}."]
    for userid in spelled:
        old, peer = peer, wire.peer(userid)
        assert old.closed() == (4001, "replaced")
        for uri in spelled:
            talk = bob.open("MESSAGE", name, Request_URI=f"{uri}:5060;transport=ws")
            peer.answering("MESSAGE").reply(200)
            talk.expect(200)
            peer.open("REGISTER", host, Request_URI=host, To=uri).expect(200)
        for uri in others:
            bob.open("MESSAGE", uri).expect(404 if uri.endswith(".") else 480)
            peer.open("REGISTER", host, Request_URI=host, To=uri).expect(403, Reason=f"you are {name}")
    peer.fence()


# frames


@pytest.mark.proves("C-15")
def test_ten_megabytes(wire: Wire) -> None:
    """1009, in one frame and in fragments; exactly 64 KiB are fine."""
    alice = wire.peer("alice")
    message = request("OPTIONS", alice.name, "x")
    message["Body"] = "x" * (65536 - len(json.dumps({**message, "Body": ""})))
    assert len(json.dumps(message)) == 65536
    alice.send(message)
    alice.expect(200)
    alice.send({**message, "Body": message["Body"] + "x"})
    assert alice.closed()[0] == 1009
    bob = wire.peer("bob")
    with suppress(ConnectionClosed):  # the server may have closed while we were still sending
        bob.socket.send(["x" * 30_000] * 3)
    assert bob.closed()[0] == 1009
    carol = Raw(wire.node)
    carol.open("wire-carol@gortc.test")
    size = 10_000_000
    carol.socket.sendall(b"\x81\xff" + size.to_bytes(8, "big") + bytes(4) + b"x" * 1000)
    opcode, payload = carol.frame()  # the header was enough
    assert (opcode, payload[:2]) == (8, (1009).to_bytes(2, "big"))
    with suppress(ConnectionError):
        carol.socket.sendall(b"x" * (size - 1000))
    carol.socket.close()
    dave = wire.peer("dave")  # and nobody else has felt it
    dave.send(request("OPTIONS", dave.name, "gortc.test"))
    dave.expect(200)


@pytest.mark.proves("C-13")
def test_binary(wire: Wire) -> None:
    """1003."""
    alice = wire.peer("alice")
    alice.send_raw(json.dumps(request("OPTIONS", "a", "b")).encode())
    assert alice.closed()[0] == 1003


@pytest.mark.proves("C-14")
@pytest.mark.parametrize("data", [b'"\xff"', b'"\xc3"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xc0\xaf"'])
def test_invalid_utf8(wire: Wire, data: bytes) -> None:
    """1007."""
    alice = wire.peer("alice")
    alice.socket.send(data, text=True)
    assert alice.closed()[0] == 1007


@pytest.mark.proves("C-12")
def test_fragments_and_compression(wire: Wire) -> None:
    """A message in fragments is a message; compression that is offered is not taken."""
    alice = wire.peer("alice")
    text = json.dumps(request("OPTIONS", "\u00e9", "b"), ensure_ascii=False)
    alice.socket.send([text[:5], text[5:9], text[9:]])
    alice.expect(200, From="\u00e9")
    assert alice.socket.response is not None
    assert "Sec-WebSocket-Extensions" not in alice.socket.response.headers
    assert alice.socket.ping().wait(PATIENCE)


@pytest.mark.proves("M-29")
def test_garbage(wire: Wire) -> None:
    """20 bad messages in 10 s: 1008. Those before it were answered or dropped, and good ones went on."""
    alice = wire.peer("alice")
    for _ in range(19):
        alice.send_raw("garbage")
    alice.fence()
    alice.send_raw("the straw")
    assert alice.closed()[0] == 1008


@pytest.mark.proves("M-30")
def test_what_is_not_garbage(wire: Wire) -> None:
    """Well-formed messages to nothing (481, 404, strays) are no garbage."""
    alice = wire.peer("alice")
    for _ in range(30):
        alice.send(request("ACK", "a", "b"))
        alice.send({**request("RESPONSE", "a", "b"), "Code": 200})
        alice.open("BYE", "x").expect(481)
        alice.open("MESSAGE", "x", Router="x;type=none").expect(404)
    alice.fence()


# rebinding


def talking(alice: Peer, bob: Peer) -> tuple[Any, Any]:
    """A call of two users."""
    call = alice.open("INVITE", bob.name)
    leg = bob.answering()
    leg.reply(200)
    call.expect(200)
    call.ack()
    leg.expect("ACK")
    return call, leg


@pytest.mark.proves("C-22", "C-23")
def test_a_reconnect_replaces_the_old_connection(wire: Wire) -> None:
    """4001 `replaced`, and a running call goes on over the new one, both ways."""
    alice, bob = wire.peers("alice", "bob")
    call, leg = talking(alice, bob)
    again = wire.peer(bob.name)
    assert bob.closed() == (4001, "replaced")
    info = call.send("INFO", Body="still there?")
    leg.peer = again
    leg.reply(200, leg.expect("INFO", Body="still there?"))
    call.expect(200, CSeq=info["CSeq"])
    bye = leg.send("BYE")
    leg.expect(200, CSeq=bye["CSeq"])
    call.reply(200, call.expect("BYE"))


@pytest.mark.proves("C-23")
def test_a_reconnect_while_it_rings(wire: Wire) -> None:
    """The transaction goes on over the new connection."""
    alice, bob = wire.peers("alice", "bob")
    call = alice.open("INVITE", bob.name)
    leg = bob.answering()
    leg.peer = wire.peer(bob.name)
    assert bob.closed() == (4001, "replaced")
    leg.reply(180)
    call.expect(180)
    again = wire.peer(alice.name)
    assert alice.closed() == (4001, "replaced")
    call.peer = again
    leg.reply(200)
    call.expect(200)
    call.ack()
    leg.expect("ACK")
    call.send("BYE")
    call.expect(200)
    leg.reply(200, leg.expect("BYE"))


@pytest.mark.proves("C-22")
def test_many_reconnects(wire: Wire) -> None:
    """Each one replaces the one before, and only that."""
    peers = [wire.peer("alice")]
    for _ in range(20):
        peers.append(wire.peer(peers[0].name))
        peers[-1].fence()
    for old in peers[:-1]:
        assert old.closed() == (4001, "replaced")
    peers[-1].fence()


@pytest.mark.proves("C-24")
def test_a_peer_that_closes_and_comes_back(wire: Wire) -> None:
    """Its dialogues wait for it."""
    alice, bob = wire.peers("alice", "bob")
    call, leg = talking(alice, bob)
    bob.leave()
    leg.peer = wire.peer(bob.name)
    info = leg.send("INFO", Body="back")
    call.reply(200, call.expect("INFO", Body="back"))
    leg.expect(200, CSeq=info["CSeq"])
    call.send("BYE")
    call.expect(200)
    leg.reply(200, leg.expect("BYE"))


@pytest.mark.proves("C-24")
def test_a_peer_that_vanishes_and_comes_back(wire: Wire) -> None:
    """The same where the TCP connection just broke, even before the server has noticed."""
    alice, bob = wire.peers("alice", "bob")
    call, leg = talking(alice, bob)
    bob.vanish()
    leg.peer = wire.peer(bob.name)
    info = leg.send("INFO", Body="back")
    call.reply(200, call.expect("INFO", Body="back"))
    leg.expect(200, CSeq=info["CSeq"])
    call.send("BYE")
    call.expect(200)
    leg.reply(200, leg.expect("BYE"))


@pytest.mark.proves("C-31")
def test_a_user_who_has_left_is_offline(wire: Wire) -> None:
    """A first request is never queued: 480."""
    alice, bob = wire.peers("alice", "bob")
    bob.leave()
    alice.open("MESSAGE", bob.name).expect(480)


@pytest.mark.proves("C-24", "C-34")
def test_requests_to_a_peer_who_is_away_wait(wire: Wire) -> None:
    """In their order; back again, the dialogue goes on."""
    alice, bob = wire.peers("alice", "bob")
    call, leg = talking(alice, bob)
    bob.leave()
    asked = [call.send("INFO", Body=number) for number in range(3)]
    leg.peer = wire.peer(bob.name)
    for number, info in enumerate(asked):
        leg.reply(200, leg.expect("INFO", Body=number))
        call.expect(200, CSeq=info["CSeq"])
    call.send("BYE")
    call.expect(200)
    leg.reply(200, leg.expect("BYE"))


# life and death


@pytest.mark.proves("C-17", "C-18")
@pytest.mark.parametrize("quick", ["dead"], indirect=True)
def test_only_what_arrives_proves_life(quick: Wire) -> None:
    """Neither answers a ping: who says nothing is dropped and offline, who goes on sending lives."""
    mute, talker = Raw(quick.node), Raw(quick.node)
    mute.open("mute@dead.test")
    talker.open("talker@dead.test")
    begin, answers = time.monotonic(), 0
    while time.monotonic() - begin < 2.5:  # longer than a silent peer may live
        opcode, payload = talker.frame()
        assert opcode in (1, 9)
        if opcode == 9:  # its pace, and no answer to it
            talker.send(request("OPTIONS", "talker@dead.test", "x"))
        else:
            answers += json.loads(payload)["Code"] == 200
    assert answers
    talker.socket.close()
    assert mute.frame() == (9, b"")
    everything = mute.until_closed()
    assert everything == b"\x89\x00" * (len(everything) // 2)  # pings, and no close frame
    quick.peer("alice").open("MESSAGE", "mute@dead.test").expect(480)
