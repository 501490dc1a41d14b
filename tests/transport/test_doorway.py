"""Ports with a door, by sockets of loopback, and a reactor that turns when it is told to. docs/security.md."""

from __future__ import annotations

import os
import resource
import select
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from gortc.admission import Limits, Rate
from gortc.admission.door import Door
from gortc.jsip.layers import Journal
from gortc.jsip.timers import Timers
from gortc.settings import Settings
from gortc.transport.doorway import SIP, Doorway
from gortc.transport.listening import listening
from tests.certificates import issue

PATIENCE = 20.0
MOMENT = 1e-6


class Reading(Protocol):
    """What was made for a connection."""

    def __init__(self, made: list[Reading]) -> None:
        self.got = b""
        self.over = 0
        made.append(self)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """So far."""
        if data == b"raise":
            raise ValueError("this can't be read")
        self.got += data
        if data == b"refuse me":
            self.transport.write(b"no")  # type: ignore[union-attr]
            self.transport.loseConnection()  # type: ignore[union-attr]

    def connectionLost(self, reason: object = None) -> None:  # noqa: N802
        """Once."""
        self.over += 1


class Turning(MemoryReactorClock):
    """A reactor that serves the sockets that are ready when it is told to; `raised` is what their protocols have."""

    def __init__(self) -> None:
        super().__init__()
        self.raised: list[Exception] = []

    def callLater(self, delay: float, *args: Any, **kwargs: Any) -> Any:  # noqa: N802
        """What is to be called at once is called in the next turn."""
        return super().callLater(max(delay, MOMENT), *args, **kwargs)

    def turn(self) -> None:
        """Once."""
        self.advance(MOMENT)
        readers, writers, _ = select.select(self.getReaders(), self.getWriters(), [], 0)
        for one in readers:
            if one in self.getReaders():
                self._serve(one, one.doRead)
        for one in writers:
            if one in self.getWriters():
                self._serve(one, one.doWrite)

    def _serve(self, one: Any, serve: Callable[[], BaseException | None]) -> None:
        try:
            why = serve()
        except ValueError as raised:  # as any protocol's, it is the reactor's to log
            self.raised.append(raised)
            why = raised
        if why is not None:
            one.connectionLost(Failure(why))

    def until(self, done: Callable[[], object]) -> None:
        """Turn until it is so; sockets of loopback take a moment."""
        for _ in range(2000):
            self.turn()
            if done():
                return
            select.select([], [], [], 0.001)
        raise AssertionError("it did not come")


class Street:
    """A port with a door, and who comes to it."""

    def __init__(self, **limits: Any) -> None:
        self.reactor = Turning()
        self.made: list[Reading] = []
        self.failures = 0
        self.journal = Journal(failed=self.fail)
        self.settings = Settings(auth="none", proxies=(), handshake_seconds=10.0, limits=Limits(**limits))
        self.door = Door(self.settings, Timers(self.reactor, self.fail), self.journal)
        self.factory = Factory.forProtocol(lambda: Reading(self.made))
        self.factory.noisy = False
        self.listen("tcp:0:interface=127.0.0.1")
        self.clients: list[socket.socket] = []

    def listen(self, text: str) -> None:
        """There."""
        self.ports: list[Any] = []
        listening(self.reactor, text, self.door).listen(self.factory).addCallback(self.ports.append)
        (self.port,) = self.ports

    def proxies(self, *addresses: str) -> None:
        """Each connection of theirs is somebody else's."""
        self.door.configure(evolve(self.settings, proxies=addresses))

    def has_read(self, number: int) -> bool:
        """Whether it has read what so many say."""
        return [one.got for one in self.made] == [b"hello"] * number

    def fail(self) -> None:
        """Something has raised."""
        self.failures += 1

    def connect(self) -> socket.socket:
        """One more."""
        made = socket.create_connection(("127.0.0.1", self.port.getHost().port), PATIENCE)
        self.clients.append(made)
        return made

    def close(self) -> None:
        """All have gone."""
        self.door.shut()
        for client in self.clients:
            client.close()
        self.reactor.until(lambda: not [one for one in self.reactor.getReaders() if one is not self.port])
        self.port.stopListening()
        self.reactor.advance(MOMENT)


@pytest.fixture
def street() -> Iterator[Street]:
    """One without a limit."""
    made = Street(accepts=None)
    yield made
    made.close()


def test_nothing_is_made_for_who_says_nothing(street: Street) -> None:
    for _ in range(10):
        street.connect()
    street.reactor.until(lambda: len(street.door) == 10)
    assert not street.made
    street.clients[3].sendall(b"hello")
    street.reactor.until(lambda: street.made and street.made[0].got)
    assert [one.got for one in street.made] == [b"hello"]
    street.clients[3].sendall(b" world")
    street.reactor.until(lambda: street.made[0].got == b"hello world")
    assert len(street.door) == 10


def test_who_goes_without_a_word_is_not_waited_for(street: Street) -> None:
    street.connect().close()
    client = street.connect()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    client.close()
    street.reactor.until(lambda: street.port.sessionno == 2 and not len(street.door))
    assert not street.made


@pytest.mark.proves("C-110")
def test_who_comes_too_often_is_reset() -> None:
    street = Street(accepts=Rate(1, 2))
    for _ in range(5):
        street.connect()
    street.reactor.until(lambda: street.journal.counts["connection reset"] == 3)
    assert len(street.door) == 2
    for client in street.clients[2:]:
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    street.reactor.advance(1)
    street.connect()
    street.reactor.until(lambda: len(street.door) == 3)
    street.close()


@pytest.mark.proves("C-5")
def test_the_time_at_the_door_is_one(street: Street) -> None:
    """Whatever was said in it."""
    street.connect()
    street.connect().sendall(b"hello")
    street.reactor.until(lambda: street.made and street.made[0].got and len(street.door) == 2)
    street.reactor.advance(9.9)
    street.reactor.turn()
    assert street.made[0].over == 0
    assert len(street.door) == 2
    street.reactor.advance(0.1)
    street.reactor.until(lambda: street.made[0].over)
    assert len(street.door) == 0
    for client in street.clients:
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_who_is_let_in_has_all_the_time(street: Street) -> None:
    """And is read as any other connection of Twisted's."""
    client = street.connect()
    client.sendall(b"hello")
    street.reactor.until(lambda: street.made and street.made[0].got)
    transport: Any = street.made[0].transport
    transport.let_in()
    transport.let_in()
    assert "doRead" not in transport.__dict__
    street.reactor.advance(100)
    client.sendall(b" again")
    street.reactor.until(lambda: street.made[0].got == b"hello again")
    client.close()
    street.reactor.until(lambda: street.made[0].over == 1)


@pytest.mark.proves("C-5")
def test_who_has_said_all_is_not_late(street: Street) -> None:
    """What it waits for is ours."""
    street.connect().sendall(b"hello")
    street.reactor.until(lambda: street.made and street.made[0].got)
    street.made[0].transport.whole()  # type: ignore[union-attr]
    street.reactor.advance(20)
    street.reactor.turn()
    assert street.made[0].over == 0
    assert len(street.door) + street.door.connections > 0
    street.close()


def test_little_is_read_at_a_time_at_the_door() -> None:
    """By TLS it may be in ever so many records. Whoever is in is read as any other."""
    street = Street(accepts=None, turn=1e-9)
    for _ in range(2):
        street.connect().sendall(b"hello")
    street.reactor.until(lambda: len(street.made) == 2 and all(one.got for one in street.made))
    for client in street.clients:
        client.sendall(b"x" * 10_000)
    first: Any = street.made[0]
    seen = set()
    while len(first.got) < 10_005:
        before = len(first.got)
        street.reactor.turn()
        seen.add(len(first.got) - before)
    assert max(seen) <= SIP
    first.transport.let_in()
    assert first.transport.bufferSize > SIP
    street.close()


def test_let_in_while_it_waits_for_its_turn() -> None:
    """An authenticator has taken its time, and the peer has said more meanwhile."""
    street = Street(accepts=None, turn=1e-9)
    for name in (b"one", b"two"):
        street.connect().sendall(name)
    street.reactor.until(lambda: len(street.made) == 2 and all(one.got for one in street.made))
    for client in street.clients:
        client.sendall(b", and more")
    street.reactor.until(lambda: street.door.waiting)
    for one in street.made:
        one.transport.let_in()  # type: ignore[union-attr]
    assert not street.door.waiting
    street.reactor.until(lambda: {one.got for one in street.made} == {b"one, and more", b"two, and more"})
    street.close()


def test_the_answer_to_who_is_refused_is_not_lost(street: Street) -> None:
    client = street.connect()
    client.sendall(b"refuse me")
    street.reactor.until(lambda: street.made and street.made[0].over)
    assert client.recv(10) == b"no"
    assert client.recv(10) == b""


def test_aborted_while_it_waits_for_its_turn() -> None:
    street = Street(accepts=None, turn=1e-9)
    for _ in range(3):
        street.connect().sendall(b"hello")
    street.reactor.until(lambda: street.door.waiting == 1)
    for one in list(street.door._beginners):
        one.abortConnection()
    assert not street.door.waiting
    street.reactor.turn()
    assert street.failures == 0
    street.close()


def test_they_go_while_it_changes_who_is_a_proxy() -> None:
    """Nothing is made for those who wait and have gone, and nothing is left of them."""
    street = Street(accepts=None, turn=1e-9)
    for _ in range(5):
        street.connect().sendall(b"hello")
    street.reactor.until(lambda: street.door.waiting == 3 and len(street.door) == 5)
    made = len(street.made)
    street.door.configure(evolve(street.settings, proxies=("127.0.0.0/8",)))
    for one in list(street.door._beginners):
        one.give_up()
    for _ in range(10):
        street.reactor.turn()
    assert len(street.made) == made
    assert not street.door.waiting
    assert (street.failures, street.reactor.raised) == (0, [])
    street.close()


def test_whoever_has_gone_has_no_turn() -> None:
    """Though it was at the door a moment ago."""
    street = Street(accepts=None, turn=1e-9)
    for _ in range(2):
        street.connect().sendall(b"hello")
    street.reactor.until(lambda: street.door.waiting == 1)
    made = len(street.made)
    (one,) = street.door._beginners
    one.give_up()
    one.take_turn()
    assert len(street.made) == made
    street.close()


def test_one_that_raises_is_dropped() -> None:
    """Whether it has waited for its turn or not; the others are read."""
    street = Street(accepts=None, turn=1e-9)
    for _ in range(3):
        street.connect().sendall(b"hello")
    street.reactor.until(lambda: [one.got for one in street.made] == [b"hello"] * 3)
    for client in street.clients[:2]:
        client.sendall(b"raise")
    street.clients[2].sendall(b" again")
    street.reactor.until(lambda: sorted(one.got for one in street.made) == [b"hello", b"hello", b"hello again"])
    street.reactor.until(lambda: sum(one.over for one in street.made) == 2)
    assert len(street.reactor.raised) + street.failures == 2
    street.close()


def test_a_port_goes_on_whatever_comes(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails with one connection is logged, and is not the port's end."""

    def fail(address: str) -> bool:
        raise ValueError(address)

    monkeypatch.setattr(street.door, "admits", fail)
    street.connect()
    select.select([street.port], [], [], PATIENCE)
    assert street.port.doRead() is None
    monkeypatch.undo()
    street.connect()
    street.reactor.until(lambda: len(street.door) == 1)


@pytest.mark.proves("C-72")
def test_who_comes_waits_outside_where_all_wait_for_us() -> None:
    """Nobody is reset: the system keeps them, and each is accepted as another one leaves."""
    street = Street(accepts=None, handshaking=3)
    street.proxies("127.0.0.1")
    for _ in range(8):
        street.connect().sendall(b"hello")
    for left in (5, 4, 3, 2, 1, 0):
        there = 8 - left
        street.reactor.until(partial(street.has_read, there))
        for one in street.made:
            one.transport.whole()  # type: ignore[union-attr]
        for _ in range(10):
            street.reactor.advance(0.25)
            street.reactor.turn()
        assert (street.port.sessionno, len(street.door)) == (there, 3)
        street.made[5 - left].transport.let_in()  # type: ignore[union-attr]
    assert street.journal.counts["handshake flood"] == 0
    assert sum(one.over for one in street.made) == 0
    street.close()


@pytest.mark.proves("C-72")
def test_who_says_nothing_does_not_keep_others_outside() -> None:
    street = Street(accepts=None, handshaking=3)
    street.proxies("127.0.0.1")
    for _ in range(5):
        street.connect()
    street.reactor.until(lambda: street.port.sessionno == 5)
    street.connect().sendall(b"hello")
    street.reactor.until(lambda: street.made and street.made[0].got)
    assert street.journal.counts["handshake flood"] == 3
    for client in street.clients[:3]:
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    street.close()


def test_a_port_that_is_closed_is_not_opened_again() -> None:
    street = Street(accepts=None, handshaking=1)
    street.connect().sendall(b"hello")
    street.reactor.until(lambda: street.made and street.made[0].got)
    street.made[0].transport.whole()  # type: ignore[union-attr]
    street.connect()
    street.reactor.until(lambda: street.journal.counts["door full"])
    street.port.stopListening()
    street.made[0].transport.let_in()  # type: ignore[union-attr]
    street.reactor.turn()
    assert street.port not in street.reactor.getReaders()
    assert street.port.sessionno == 1
    for client in street.clients:
        client.close()
    street.reactor.until(lambda: not street.reactor.getReaders())


@contextmanager
def few_files(more: int) -> Iterator[int]:
    """No more than so many more may be open; how many may be in all."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull, "rb") as file:
        lowest = file.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + more, before[1]))
    try:
        yield lowest + more
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_no_more_files_may_be_open(street: Street) -> None:
    """It is told, and those who came meanwhile are closed, not left."""
    for _ in range(5):
        street.connect()
    with few_files(2):
        street.reactor.until(lambda: street.journal.counts["connection refused, no files"])
    assert street.journal.counts["connection refused, no files"] == 3
    assert street.journal.counts["no files"] == 1
    assert len(street.door) == 2


def test_who_comes_takes_the_place_of_who_is_at_the_door(street: Street) -> None:
    """Where files run out, before they have; and where nobody is at the door, it is not taken."""
    street.door.files = 2
    for _ in range(50):
        street.connect()
    street.reactor.until(lambda: street.port.sessionno == 50)
    street.reactor.until(lambda: street.door.connections == 2)
    assert street.journal.counts["handshake flood"] == 48
    street.door.shut()
    street.door.files = 0
    street.connect()
    street.reactor.until(lambda: street.journal.counts["no files"])
    assert len(street.door) == street.door.connections == 0


def test_by_tls(tmp_path: Path) -> None:
    """No TLS is made for who says nothing, either."""
    shown = issue(tmp_path, "localhost")
    street = Street(accepts=None)
    street.port.stopListening()
    street.reactor.advance(MOMENT)
    street.listen(f"tls:0:interface=127.0.0.1:certKey={shown.path}:privateKey={shown.key}")
    assert street.port._type == "TLS"
    street.connect()
    street.reactor.until(lambda: len(street.door) == 1)
    assert not street.made
    street.connect().sendall(b"this is no TLS")
    street.reactor.until(lambda: street.made and street.made[0].over)
    street.close()


GOODBYE = b"\x15\x03\x03\x00\x02\x01\x00"
"""TLS's alert close_notify (RFC 8446 section 6.1), in the clear."""


def hello() -> bytes:
    """A ClientHello."""
    out = ssl.MemoryBIO()
    client = ssl._create_unverified_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


@pytest.mark.parametrize(
    "parts", [[GOODBYE], [hello() + GOODBYE], [hello(), GOODBYE], [hello(), b"\x14\x03"], [hello(), b""]]
)
def test_tls_that_ends_in_its_handshake(tmp_path: Path, parts: list[bytes]) -> None:
    """It ends that connection; nothing raises."""
    shown = issue(tmp_path, "localhost")
    street = Street(accepts=None)
    street.port.stopListening()
    street.reactor.advance(MOMENT)
    street.listen(f"tls:0:interface=127.0.0.1:certKey={shown.path}:privateKey={shown.key}")
    client = street.connect()
    for part in parts:
        client.sendall(part)
        street.reactor.until(lambda: street.made)
        for _ in range(20):
            street.reactor.turn()
    client.shutdown(socket.SHUT_WR)
    street.reactor.until(lambda: street.made[0].over)
    assert (street.failures, street.reactor.raised) == (0, [])
    street.close()


def test_all_else_is_the_reactor_s_own() -> None:
    street = Street()
    assert Doorway(street.reactor, street.door).seconds() == street.reactor.seconds()
    street.close()
