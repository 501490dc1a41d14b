"""Looking up hosts that are dialled: a few at a time, users in turn, and never for longer than it may take."""

from __future__ import annotations

import socket
from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.task import Clock

from gortc.transport.lookup import LookupResolver, Lookups, in_thread

HANGS = "hangs.example"
TABLE = {"b.example": ["192.0.2.1", "2001:db8::1"], "in.example": ["10.0.0.1"]}


class Turning(Clock):
    """Threads tell it at once."""

    def callFromThread(self, tell: Callable[..., None], *args: Any) -> None:  # noqa: N802
        """As IReactorFromThreads has it."""
        tell(*args)


class Desk:
    """Look-ups whose threads run when they are told to."""

    def __init__(self, most: int = 8, waiting_max: int = 100) -> None:
        self.clock = Turning()
        self.threads: list[Callable[[], None]] = []
        self.lookups = Lookups(self.clock, most, waiting_max, 3.0, self.threads.append)
        self.found: dict[str, list[str]] = {}

    def ask(self, payer: str, host: str) -> None:
        """For `payer`."""
        found = self.lookups.find(payer, host, 443)
        found.addCallback(lambda rows: self.found.__setitem__(host, [row[4][0] for row in rows]))


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The world has these."""

    def getaddrinfo(host: str, port: int, family: int = 0, type: int = 0) -> list[Any]:
        assert type == socket.SOCK_STREAM
        if host not in TABLE:
            raise UnicodeError(host) if "?" in host else OSError(host)
        kinds = [(socket.AF_INET6 if ":" in one else socket.AF_INET, one) for one in TABLE[host]]
        return [(kind, type, 6, "", (one, port)) for kind, one in kinds]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_what_is_found() -> None:
    desk = Desk()
    for host in ("b.example", "nowhere.example", "?"):
        desk.ask("alice", host)
    for thread in desk.threads:
        thread()
    assert desk.found == {"b.example": TABLE["b.example"], "nowhere.example": [], "?": []}
    assert not desk.clock.getDelayedCalls()


@pytest.mark.proves("C-116")
def test_one_user_does_not_have_all_threads() -> None:
    """Hers hang; his is looked up at once."""
    desk = Desk(most=8)
    for number in range(20):
        desk.ask("alice", f"{number}.{HANGS}")
    assert len(desk.threads) == 2
    desk.ask("bob", "b.example")
    assert len(desk.threads) == 3
    desk.threads[2]()
    assert desk.found == {"b.example": TABLE["b.example"]}


@pytest.mark.proves("C-116")
def test_all_of_them_are_bounded() -> None:
    """However many users there are, and though their threads hang for longer than anybody waits."""
    desk = Desk(most=8)
    for number in range(50):
        desk.ask(f"user{number}", f"{number}.{HANGS}")
    assert len(desk.threads) == 8
    desk.clock.advance(3.0)
    assert len(desk.found) == 50
    assert not any(desk.found.values())
    desk.ask("bob", "b.example")
    assert len(desk.threads) == 8
    desk.threads[0]()  # it hangs no more
    assert len(desk.threads) == 9
    desk.threads[8]()
    assert desk.found["b.example"] == TABLE["b.example"]
    assert not desk.clock.getDelayedCalls()


def test_nobody_waits_for_longer_than_it_may_take() -> None:
    """In the line or in a thread; and what is found then is for nobody."""
    desk = Desk(most=1)
    desk.ask("alice", "b.example")
    desk.ask("bob", "in.example")
    desk.clock.advance(2.9)
    assert desk.found == {}
    desk.clock.advance(0.1)
    assert desk.found == {"b.example": [], "in.example": []}
    desk.threads[0]()
    assert desk.found["b.example"] == []
    assert len(desk.threads) == 1  # he is not looked up any more


def test_too_many_wait() -> None:
    """Whose user has most who wait, finds nothing at once."""
    desk = Desk(most=1, waiting_max=3)
    for number in range(6):
        desk.ask("alice", f"{number}.example")
    assert desk.found == {"4.example": [], "5.example": []}
    desk.ask("bob", "b.example")
    assert desk.found.keys() == {"3.example", "4.example", "5.example"}


def test_no_thread_can_be_started() -> None:
    """It is as if nothing were found, and the next one is tried."""
    clock = Turning()
    started: list[Any] = []

    def start(run: Callable[[], None]) -> None:
        started.append(run)
        raise RuntimeError("can't start new thread")

    lookups = Lookups(clock, 1, 10, 3.0, start)
    found: list[Any] = []
    for _ in range(2):
        lookups.find("alice", "b.example", 443).addCallback(found.append)
    assert (found, len(started)) == ([[], []], 2)


class Receiver:
    """What a resolver has told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def resolutionBegan(self, resolution: Any) -> None:  # noqa: N802
        """First."""
        self.told.append(resolution.name)
        resolution.cancel()

    def addressResolved(self, address: Any) -> None:  # noqa: N802
        """Each."""
        self.told.append(address)

    def resolutionComplete(self) -> None:  # noqa: N802
        """Last."""
        self.told.append("all")


def test_a_resolver_tells_what_it_admits() -> None:
    desk = Desk()
    resolver = LookupResolver(desk.lookups, "alice", lambda address: not address.startswith("10."))
    receivers = []
    for host in ("b.example", "in.example"):
        receivers.append(Receiver())
        resolver.resolveHostName(receivers[-1], host, 8443)  # type: ignore[arg-type]
    for thread in desk.threads:
        thread()
    assert receivers[0].told == [
        "b.example", IPv4Address("TCP", "192.0.2.1", 8443), IPv6Address("TCP", "2001:db8::1", 8443), "all",
    ]  # fmt: skip
    assert receivers[1].told == ["in.example", "all"]


def test_nobody_waits_for_a_thread() -> None:
    """It ends with the process."""
    import threading

    going, over = Event(), Event()
    daemons: list[bool] = []

    def run() -> None:
        daemons.append(threading.current_thread().daemon)
        going.set()
        over.wait(20)

    in_thread(run)
    assert going.wait(20)
    over.set()
    assert daemons == [True]
