"""A turn of our reactor, with real sockets; that twistd runs on it is seen in what it logs."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python import log
from twisted.python.failure import Failure

from gortc import reactor as ours


class End:
    """One end of a pair of sockets, as a reactor sees it."""

    def __init__(self, sock: socket.socket, heard: list[Any], answer: Any = None) -> None:
        self.sock = sock
        self.heard = heard
        self.answer = answer
        self.lost: list[type[BaseException]] = []

    def fileno(self) -> int:
        return self.sock.fileno()

    def logPrefix(self) -> str:  # noqa: N802
        raise AssertionError("nobody asks")

    def doRead(self) -> Any:  # noqa: N802
        self.heard.append(self.sock.recv(100))
        return self.answer() if callable(self.answer) else self.answer

    def doWrite(self) -> Any:  # noqa: N802
        self.heard.append("writable")

    def connectionLost(self, why: Failure) -> None:  # noqa: N802
        assert why.type is not None
        self.lost.append(why.type)


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    made = [socket.socketpair() for _ in range(2)]
    yield made
    for pair in made:
        for sock in pair:
            sock.close()


@pytest.fixture
def turning(pairs: Any) -> Iterator[Any]:
    reactor = ours.Reactor()
    yield reactor
    reactor.removeAll()
    reactor._poller.close()


def test_what_is_ready_is_read_and_what_can_be_written_is_written(turning: Any, pairs: Any) -> None:
    heard: list[Any] = []
    end = End(pairs[0][0], heard)
    turning.addReader(end)
    turning.doIteration(0)
    assert heard == []
    pairs[0][1].send(b"one")
    turning.doIteration(None)
    turning.addWriter(end)
    turning.doIteration(0)
    assert heard == [b"one", "writable"]
    pairs[0][1].send(b"two")
    turning.doIteration(0)
    assert heard == [b"one", "writable", b"two", "writable"]


def test_a_reader_that_says_it_is_over_is_taken_away(turning: Any, pairs: Any) -> None:
    end = End(pairs[0][0], [], ConnectionDone())
    turning.addReader(end)
    pairs[0][1].send(b"x")
    turning.doIteration(0)
    assert end.lost == [ConnectionDone]
    assert end not in turning.getReaders()


def test_a_reader_that_raises_is_logged_and_taken_away(turning: Any, pairs: Any) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    events: list[log.EventDict] = []
    end = End(pairs[0][0], [], broken)
    turning.addReader(end)
    pairs[0][1].send(b"x")
    log.addObserver(events.append)
    turning.doIteration(0)
    log.removeObserver(events.append)
    assert end.lost == [ZeroDivisionError]
    assert [event["failure"].type for event in events] == [ZeroDivisionError]


def test_a_peer_that_hangs_up_ends_its_reader(turning: Any, pairs: Any) -> None:
    end = End(pairs[0][0], [])
    turning.addWriter(end)
    pairs[0][1].close()
    turning.doIteration(0)
    assert len(end.lost) == 1


def test_what_another_has_taken_away_in_this_turn_is_not_read(turning: Any, pairs: Any) -> None:
    heard: list[Any] = []
    ends = [End(pair[0], heard) for pair in pairs]
    for end, other in zip(ends, reversed(ends), strict=True):
        end.answer = lambda other=other: turning.removeReader(other)
        turning.addReader(end)
    for pair in pairs:
        pair[1].send(b"x")
    turning.doIteration(0)
    assert heard == [b"x"]


def test_it_is_installed_where_there_is_none_and_leaves_another_alone() -> None:
    code = (
        "import sys\n"
        "if sys.argv[1:]: from twisted.internet import selectreactor; selectreactor.install()\n"
        "from gortc import Settings\n"
        "from gortc.tap import make_service\n"
        "make_service(Settings())\n"
        "from twisted.internet import reactor\n"
        "print(type(reactor).__name__)\n"
    )
    for chosen, name in (([], "Reactor"), (["select"], "SelectReactor")):
        run = subprocess.run([sys.executable, "-c", code, *chosen], capture_output=True, text=True, check=True)
        assert run.stdout == f"{name}\n"
