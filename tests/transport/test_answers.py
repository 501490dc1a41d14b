"""What next hops answer to the opening handshake: section 1 of docs/jsip.md, "Other domains"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import txaio.tx

from tests.transport.network import Cable
from tests.transport.test_outbound import Deaf, network

HEAD = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n"


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """Autobahn's timers are as they were."""
    before = txaio.tx.config.loop
    yield
    txaio.tx.config.loop = before


def told(answer: bytes, size: int = 0) -> str:
    """Why a call comes back whose next hop gives this `answer`, in pieces of `size` bytes."""
    net = network()
    net.silent = True
    call = net.labs["a"].user("anna").open("MESSAGE", "nobody@b.test")
    net.reactor.advance(0)
    factory: Any = net.reactor.tcpClients[0][2]
    cable = Cable(factory.buildProtocol(None), Deaf())
    size = size or len(answer)
    for at in range(0, len(answer), size):
        cable.near.hear(answer[at : at + size])
    assert cable.near.ended
    net.settle()
    reason = call.expect(503)["Reason"]
    name, _, why = str(reason).partition(": ")
    assert name == "127.0.0.1"
    return why


@pytest.mark.proves("C-52")
@pytest.mark.parametrize("size", [0, 7])
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 101 \xff\xfe\r\n\r\n", "its answer to the opening handshake is no text"),
        (b"HTTP/1.1 101 X\r\nUpgrade: \xffwebsocket\r\n\r\n", "its answer to the opening handshake is no text"),
        (b"\r\n\r\n", 'Bad HTTP response status line ""'),
        (b"HTTP/1.1 101\r\n\r\n", "HTTP Upgrade header missing"),
        (b"HTTP/1.1 " + b"1" * 9000 + b"\r\n\r\n", None),
        (b"HTTP/1.1 503 " + b"A" * 60_000 + b"\r\n\r\n", "its answer to the opening handshake is too large"),
        (b"HTTP/1.1 101 X\r\n" + b"a:b\r\n" * 4000 + b"\r\n", "its answer to the opening handshake is too large"),
        (HEAD + b"X: " + b"x" * 17_000 + b"\r\n\r\n", "its answer to the opening handshake is too large"),
        (HEAD + b"x:\r\n" * 98 + b"\r\n", "its answer to the opening handshake has too many parts"),
        (HEAD + b"x:\n" * 97 + b"x:\r\n\r\n", "its answer to the opening handshake has too many parts"),
        (HEAD + b"X: \xff\r\n\r\n", "its answer to the opening handshake is no text"),
    ],
)
def test_an_answer_that_can_not_be(answer: bytes, why: str | None, size: int) -> None:
    """In one read or in many it is the same; nothing is raised into the reactor, nor said of TLS."""
    said = told(answer, size)
    assert why is None or said == why
    assert "TLS" not in said


@pytest.mark.proves("C-52")
@pytest.mark.parametrize("size", [0, 7])
def test_what_a_stranger_says_is_one_short_line(size: int) -> None:
    said = told(b"HTTP/1.1 503 \x1b[31mred\x07 \xe2\x80\xae abc\x00" + b"\x01" * 9000 + b"\r\n\r\n", size)
    assert said.startswith(r"WebSocket connection upgrade failed [503]: \u001b[31mred\u0007 ")
    assert said.isprintable()
    assert len(said) <= 200


@pytest.mark.plain
def test_so_is_the_reason_of_its_close() -> None:
    net = network()
    alice = net.labs["a"].user("alice")
    net.labs["b"].node.channels.resume = lambda name, connection, *_: connection.close(1011, "\x1b[31mred\u202e")  # type: ignore
    call = alice.open("MESSAGE", "nobody@b.test")
    net.settle()
    assert call.expect(503)["Reason"] == r"127.0.0.1: \u001b[31mred\u202e"
