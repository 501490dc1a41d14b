"""The cases of the Autobahn test suite that concern frames, by its sections, each at once and byte by byte.

Its sections 1 to 7: sizes, pings, reserved bits and opcodes (both in test_framing), fragments, UTF-8, closing.
"""

from __future__ import annotations

import pytest

from tests.transport.kit import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Hub, close, frame

PIECES = pytest.mark.parametrize("split", [0, 1, 997])


@PIECES
@pytest.mark.parametrize("size", [0, 125, 126, 127, 128, 65535, 65536])
def test_1_messages_of_any_size(hub: Hub, size: int, split: int) -> None:
    if size > 1000 and split == 1:
        split = 7
    wire = hub.connect()
    wire.send(frame("*" * size), split)
    assert hub.stack.got == [b"*" * size]


@PIECES
@pytest.mark.parametrize("payload", [b"", b"Hello", bytes(range(0xF0, 0x100)), b"\xfe" * 125])
def test_2_a_ping_is_answered_with_its_payload(hub: Hub, payload: bytes, split: int) -> None:
    wire = hub.connect()
    wire.send(frame(payload, PING) * 10, split)
    assert wire.take() == [(PONG, payload)] * 10
    wire.send(frame("still here"))
    assert hub.stack.got == [b"still here"]


@PIECES
@pytest.mark.parametrize("payload", [b"", b"unasked", b"x" * 125])
def test_2_a_pong_that_nobody_asked_for_is_ignored(hub: Hub, payload: bytes, split: int) -> None:
    wire = hub.connect()
    wire.send(frame(payload, PONG), split)
    wire.send(frame(payload, PONG) + frame("one") + frame(payload, PONG) + frame(payload, PING), split)
    assert wire.take() == [(PONG, payload)]
    assert hub.stack.got == [b"one"]


@PIECES
def test_5_fragments_with_control_frames_between(hub: Hub, split: int) -> None:
    wire = hub.connect()
    parts = [b"fragment1", b"", b"fragment2", b"fragment3"]
    data = frame(parts[0], fin=False)
    for part in parts[1:-1]:
        data += frame(b"a ping", PING) + frame(b"", PONG) + frame(part, CONTINUATION, fin=False)
    data += frame(b"last ping", PING) + frame(parts[-1], CONTINUATION) + frame("whole")
    wire.send(data, split)
    assert hub.stack.got == [b"".join(parts), b"whole"]
    assert wire.take() == [(PONG, b"a ping")] * 2 + [(PONG, b"last ping")]


@PIECES
@pytest.mark.parametrize(
    "data",
    [
        frame("text", CONTINUATION),
        frame("text", CONTINUATION, fin=False),
        frame("one", fin=False) + frame("two", TEXT),
        frame("one", fin=False) + frame("two", BINARY, fin=False),
        frame("one", fin=False) + frame("two", CONTINUATION) + frame("three", CONTINUATION),
        frame("x", PING, fin=False) + frame("x", CONTINUATION),
    ],
)
def test_5_fragments_of_nothing(hub: Hub, data: bytes, split: int) -> None:
    wire = hub.connect()
    wire.send(data, split)
    wire.assert_closing(1002)


VALID = [
    "κόσμε",
    "\0",
    "\u07ff",
    "\u0800",
    "\ud7ff",
    "\ue000",
    "\ufffd",
    "\uffff",
    "\U00010000",
    "\U0010ffff",
    "Hello-µ@ßöäüàá-UTF-8!!",
]
INVALID = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited", b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xff",
    b"\x80", b"\x80\xbf\x80\xbf", b"\xc0 ", b"\xe0 ", b"\xf0 ", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf",
    b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\x80\xed\xb0\x80", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x92",
]  # fmt: skip


@PIECES
@pytest.mark.parametrize("text", VALID)
def test_6_good_utf8_wherever_it_is_cut(hub: Hub, text: str, split: int) -> None:
    wire = hub.connect()
    data = text.encode()
    wire.send(frame(data), split)
    for at in range(len(data) + 1):
        wire.send(frame(data[:at], fin=False) + frame(data[at:], CONTINUATION), split)
    assert hub.stack.got == [data] * (len(data) + 2)


@PIECES
@pytest.mark.parametrize("data", INVALID)
def test_6_bad_utf8_wherever_it_is_cut(data: bytes, split: int) -> None:
    for at in range(len(data) + 1):
        hub = Hub()
        wire = hub.connect()
        wire.send(frame(data) if at == 0 else frame(data[:at], fin=False) + frame(data[at:], CONTINUATION), split)
        wire.assert_closing(1007)
        assert not hub.stack.got


@PIECES
@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
def test_7_codes_that_may_close(hub: Hub, code: int, split: int) -> None:
    wire = hub.connect()
    wire.send(frame("before") + close(code, b"x" * 123) + frame("behind"), split)
    assert hub.stack.got == [b"before"]
    (answer,) = wire.take()
    assert answer[0] == CLOSE
    assert not wire.transport.connected


@PIECES
@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535])
def test_7_codes_that_may_not(hub: Hub, code: int, split: int) -> None:
    wire = hub.connect()
    wire.send(close(code), split)
    wire.assert_closing(1002)


@PIECES
def test_7_a_reason_that_is_too_long(hub: Hub, split: int) -> None:
    wire = hub.connect()
    wire.send(close(1000, b"x" * 124), split)
    wire.assert_closing(1002)
