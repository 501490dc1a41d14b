"""RFC 6455 frames, the short path and Autobahn's: the same, however the bytes are cut."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from attrs import evolve

from gortc.transport.channels import PeerChannel
from tests.transport.kit import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Hub, close, frame, handshake

EURO = "\u20ac\U0001f600"

STREAM = b"".join(
    (
        frame("one"),
        frame(""),
        frame(EURO),
        frame("x" * 130),
        frame("frag", fin=False),
        frame(b"ping!", PING),
        frame("men", CONTINUATION, fin=False),
        frame("ted", CONTINUATION),
        frame(b"", PONG),
        frame(EURO.encode()[:4], fin=False),
        frame(EURO.encode()[4:], CONTINUATION),
        frame("last", mask=bytes(4)),
    )
)
TOLD = [b"one", b"", EURO.encode(), b"x" * 130, b"fragmented", EURO.encode(), b"last"]


@pytest.mark.proves("C-12")
@pytest.mark.parametrize("size", range(1, 12))
def test_pieces_of_one_size(hub: Hub, size: int) -> None:
    """Byte by byte, in twos, in threes, ..."""
    wire = hub.connect()
    wire.send(STREAM, size)
    assert hub.stack.got == TOLD
    assert wire.take() == [(PONG, b"ping!")]


@pytest.mark.proves("C-12")
def test_cut_in_two_anywhere(hub: Hub) -> None:
    """Every place to cut the stream."""
    for cut in range(1, len(STREAM)):
        wire = hub.connect()
        hub.stack.got.clear()
        wire.send(STREAM[:cut])
        wire.send(STREAM[cut:])
        assert hub.stack.got == TOLD, cut
        assert wire.take() == [(PONG, b"ping!")], cut
        wire.lose()


@pytest.mark.proves("C-12")
def test_cut_at_random(hub: Hub) -> None:
    """Several cuts at a time."""
    dice = random.Random(6455)
    for _ in range(300):
        wire = hub.connect()
        hub.stack.got.clear()
        cuts = [0, *sorted(dice.sample(range(1, len(STREAM)), dice.randint(2, 20))), len(STREAM)]
        for begin, end in pairwise(cuts):
            wire.send(STREAM[begin:end])
        assert hub.stack.got == TOLD, cuts
        assert wire.take() == [(PONG, b"ping!")], cuts
        wire.lose()


@pytest.mark.proves("C-12")
def test_frames_that_come_with_the_handshake(hub: Hub) -> None:
    """They are not lost."""
    wire = hub.connect(None)
    wire.send(handshake() + STREAM)
    assert hub.stack.got == TOLD
    wire = hub.connect(None)
    wire.send(handshake("/rtc?userid=bob@x") + STREAM, 1)
    assert hub.stack.got == TOLD * 2


@pytest.mark.proves("C-12")
def test_several_in_one_read_are_one_write(hub: Hub) -> None:
    """What is answered while a read is taken goes out at once, in order."""
    wire = hub.connect()
    hub.stack.then = lambda channel, data: channel.send(data * 2)
    before = wire.transport.writes
    wire.send(frame("a") + frame("b") + frame("c"))
    assert wire.transport.writes == before + 1
    assert wire.take() == [(TEXT, b"aa"), (TEXT, b"bb"), (TEXT, b"cc")]


@pytest.mark.proves("C-12")
def test_the_order_of_answers_and_pongs(hub: Hub) -> None:
    """The long way overtakes nothing."""
    wire = hub.connect()
    hub.stack.then = lambda channel, data: channel.send(data)
    wire.send(frame("a") + frame(b"p", PING) + frame("b") + frame("c", fin=False) + frame("d", CONTINUATION))
    assert wire.take() == [(TEXT, b"a"), (PONG, b"p"), (TEXT, b"b"), (TEXT, b"cd")]


@pytest.mark.proves("C-15")
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536])
def test_lengths(hub: Hub, size: int) -> None:
    """Up to the largest that is taken, both ways."""
    for split in (0, 1000):
        wire = hub.connect()
        hub.stack.then = lambda channel, data: channel.send(data)
        wire.send(frame(b"x" * size), split)
        assert wire.take() == [(TEXT, b"x" * size)]


def test_every_mask(hub: Hub) -> None:
    """Each of its four bytes counts, and where in the payload it applies."""
    payload = bytes(range(1, 128)) * 3
    for mask in (b"\x00\x00\x00\x00", b"\x7f\x01\x02\x03", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80"):
        for size in (1, 2, 3, 4, 5, 7, 8, 200):
            wire = hub.connect()
            wire.send(frame(payload[:size], mask=mask))
            assert hub.stack.got[-1] == payload[:size]


VIOLATIONS = {
    "unmasked": (frame("x", mask=b""), 1002),
    "reserved bit 1, compression was not agreed on": (frame("x", reserved=4), 1002),
    "reserved bit 2": (frame("x", reserved=2), 1002),
    "reserved bit 3": (frame("x", reserved=1), 1002),
    "a control frame with a reserved bit": (frame("x", PING, reserved=1), 1002),
    **{f"reserved opcode {code}": (frame("x", code), 1002) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "a fragmented ping": (frame("x", PING, fin=False), 1002),
    "a ping of 126 bytes": (frame("x" * 126, PING), 1002),
    "a close of 1 byte": (frame(b"\x03", CLOSE), 1002),
    "a close with a code of nobody": (close(999), 1002),
    "a close with a code that is never sent": (close(1005), 1002),
    "a close whose reason is not UTF-8": (close(1000, b"\xff"), 1007),
    "a continuation of nothing": (frame("x", CONTINUATION), 1002),
    "a new message inside another": (frame("x", fin=False) + frame("y"), 1002),
    "16 bits for a length of 5": (b"\x81\xfe\x00\x05\x00\x00\x00\x00hello", 1002),
    "64 bits for a length of 5": (b"\x81\xff" + b"\x00" * 7 + b"\x05" + b"\x00" * 4 + b"hello", 1002),
    "a length with the highest bit": (b"\x81\xff\x80" + b"\x00" * 7 + b"\x00" * 4, 1002),
    "binary": (frame("x", BINARY), 1003),
    "empty binary": (frame("", BINARY), 1003),
    "invalid UTF-8": (frame(b"\xff"), 1007),
    "a surrogate": (frame(b"\xed\xa0\x80"), 1007),
    "overlong": (frame(b"\xc0\xaf"), 1007),
    "beyond Unicode": (frame(b"\xf4\x90\x80\x80"), 1007),
    "half a character": (frame("\u20ac".encode()[:2]), 1007),
    "invalid UTF-8 across fragments": (frame(b"\xe2\x82", fin=False) + frame(b"x", CONTINUATION), 1007),
    "half a character at the end of fragments": (frame(b"a", fin=False) + frame(b"\xe2", CONTINUATION), 1007),
    "one byte too many": (frame("x" * 65537), 1009),
    "too much in fragments": (frame("x" * 40000, fin=False) + frame("x" * 40000, CONTINUATION), 1009),
    "10 MB": (frame(b"x" * 10_000_000)[:100], 1009),
    "more than fits in memory": (b"\x81\xff\x7f" + b"\xff" * 7 + b"\x00" * 4, 1009),
}


@pytest.mark.proves("C-13", "C-14", "C-15", "C-16")
@pytest.mark.parametrize("split", [0, 1])
@pytest.mark.parametrize("case", VIOLATIONS)
def test_violations(hub: Hub, case: str, split: int) -> None:
    """Each has its close code, whether it comes at once or in pieces; what came before it was taken."""
    data, code = VIOLATIONS[case]
    if split and len(data) > 1000:
        split = 500
    wire = hub.connect()
    wire.send(frame("before") + data, split)
    assert hub.stack.got == [b"before"]
    wire.assert_closing(code)


@pytest.mark.proves("C-15")
def test_oversize_is_told_by_the_head(hub: Hub) -> None:
    """Nothing of a frame that is too large is kept."""
    wire = hub.connect()
    wire.send(frame(b"x" * 65537)[:14])
    wire.assert_closing(1009)


@pytest.mark.proves("C-15")
def test_a_smaller_limit() -> None:
    """`frame_max` of the settings."""
    hub = Hub(frame_max=100)
    wire = hub.connect()
    wire.send(frame("x" * 100) + frame("y" * 101))
    assert hub.stack.got == [b"x" * 100]
    wire.assert_closing(1009)


@pytest.mark.proves("C-15")
def test_a_limit_that_has_become_smaller() -> None:
    """It holds for connections that are there as well, whatever they were told by."""
    hub = Hub(frame_max=1000)
    wire, other = hub.connect(), hub.connect("bob@x")
    hub.channels.configure(evolve(hub.settings, frame_max=100))
    wire.send(frame("x" * 101))
    wire.assert_closing(1009)
    other.send(frame("x" * 60, fin=False) + frame("x" * 41, CONTINUATION))
    other.assert_closing(1009)
    assert hub.stack.got == []


# closing


def test_the_peer_closes(hub: Hub) -> None:
    """Its close frame is echoed, then the connection goes; later frames are ignored."""
    wire = hub.connect()
    wire.send(frame("a") + close(1000, b"bye") + frame("b"))
    assert hub.stack.got == [b"a"]
    ((opcode, payload),) = wire.take()
    assert (opcode, payload[:2]) == (CLOSE, b"\x03\xe8")
    assert not wire.transport.connected
    assert "alice@x" not in hub.channels.by_name


def test_the_peer_closes_without_a_code(hub: Hub) -> None:
    """An empty close frame is fine."""
    wire = hub.connect()
    wire.send(close(None))
    ((opcode, _),) = wire.take()
    assert opcode == CLOSE
    assert not wire.transport.connected


def test_we_close(hub: Hub) -> None:
    """A close frame with code and reason; the channel is free at once; the peer's answer ends the connection."""
    wire = hub.connect()
    channel = hub.channels.by_name["alice@x"]
    wire.protocol.close(1001, "going")
    assert wire.take() == [(CLOSE, b"\x03\xe9going")]
    assert channel.connection is None
    assert wire.protocol.send(b"x") is False
    wire.send(frame("late"))
    assert hub.stack.got == []
    wire.send(close(1001))
    assert not wire.transport.connected
    hub.rest()


def test_we_close_and_the_peer_does_not_answer(hub: Hub) -> None:
    """The connection is dropped a little later."""
    wire = hub.connect()
    wire.protocol.close(1001, "going")
    for _ in range(50):
        hub.clock.advance(0.1)
    assert not wire.transport.connected
    hub.rest()


def test_a_message_of_the_read_closes_the_connection(hub: Hub) -> None:
    """What was answered before goes first, what comes behind is ignored."""

    def then(channel: PeerChannel, data: bytes) -> None:
        channel.send(data)
        if data == b"b":
            assert channel.connection is not None
            channel.connection.close(1008, "enough")

    for split in (0, 1):
        wire = hub.connect()
        hub.stack.got.clear()
        hub.stack.then = then
        wire.send(frame("a") + frame("b") + frame("c") + frame("d", fin=False) + frame("e", CONTINUATION), split)
        assert hub.stack.got == [b"a", b"b"]
        assert wire.take() == [(TEXT, b"a"), (TEXT, b"b"), (CLOSE, b"\x03\xf0enough")]


# life


@pytest.mark.proves("C-17", "C-18", "X-12", "X-13")
def test_pings(hub: Hub) -> None:
    """Every 15 s, whatever the peer sends; dead when nothing arrived for 40 s."""
    wire = hub.connect()
    for _ in range(10):
        hub.clock.advance(15)
        assert [opcode for opcode, _ in wire.take()] == [PING]
        wire.send(frame("alive"))
    hub.clock.advance(15)
    hub.clock.advance(15)
    assert wire.transport.connected
    hub.clock.advance(9.9)
    assert wire.transport.connected
    hub.clock.advance(0.1)
    assert wire.transport.aborted
    assert hub.journal.counts["dead peer"] == 1
    assert not hub.channels.by_name
    hub.rest()


@pytest.mark.proves("C-18")
def test_anything_proves_life(hub: Hub) -> None:
    """A pong, one byte of a frame."""
    wire = hub.connect()
    data = frame("x" * 20)
    for at in range(20):
        hub.clock.advance(15)
        wire.send(data[at : at + 1])
    assert wire.transport.connected
    wire.send(data[20:])
    assert hub.stack.got == [b"x" * 20]
    for _ in range(5):
        hub.clock.advance(30)
        wire.send(frame(b"", PONG))
    assert wire.transport.connected


def test_a_lost_connection_leaves_nothing(hub: Hub) -> None:
    """No timer, no channel."""
    wire = hub.connect()
    wire.send(b"\x81")
    wire.lose()
    hub.rest()
    assert not hub.channels.by_name
    assert not hub.factory.connections
