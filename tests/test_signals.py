"""What the signals of a process do, without one."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from gortc import Times
from gortc.drain import DRAINING, GONE, LEAVING, SERVING
from gortc.settings import Settings
from gortc.signals import Signals


class Drain:
    """In place of one."""

    def __init__(self, state: str = SERVING) -> None:
        self.state = state
        self.done: Deferred[None] = Deferred()

    def begin(self) -> bool:
        """As the real one."""
        begun, self.state = self.state == SERVING, DRAINING
        return begun

    def cancel(self) -> bool:
        """As the real one."""
        if self.state == DRAINING:
            self.state = SERVING
            return True
        return False

    def finish(self) -> None:
        """It is gone."""
        self.state = GONE
        self.done.callback(None)


class Server:
    """In place of one."""

    def __init__(self, drain: Drain, settings: Settings | None = None) -> None:
        self.drain = drain
        self.settings = settings or Settings()
        self.hung_up = 0

    def hang_up_signal(self) -> None:
        """As the real one."""
        self.hung_up += 1


class Process:
    """Its handlers, and a reactor that does at once what it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, handler: Any) -> None:
        self.handlers: dict[int, Any] = {signal.SIGTERM: handler}
        self.ended: list[int] = []
        if handler is None:
            self.handlers[signal.SIGTERM] = lambda number, _: self.ended.append(number)
        monkeypatch.setattr(signal, "getsignal", self.handlers.get)
        monkeypatch.setattr(signal, "signal", self.handlers.__setitem__)
        self.signals = Signals()

    def callFromThread(self, call: Callable[[], object]) -> None:  # noqa: N802
        """At once."""
        call()

    def minding(self, *drains: Drain) -> None:
        """Mind them."""
        for drain in drains:
            self.signals.mind(Server(drain), self)  # type: ignore[arg-type]

    def send(self, number: int) -> None:
        """A signal."""
        self.handlers[number](number, None)


def test_all_servers_are_gone_before_the_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    process, one, other = Process(monkeypatch, None), Drain(), Drain()
    twisted = process.handlers[signal.SIGTERM]
    process.minding(one, other)
    process.send(signal.SIGTERM)
    one.finish()
    assert process.ended == []
    other.finish()
    assert process.ended == [signal.SIGTERM]
    assert process.handlers[signal.SIGTERM] is twisted


def test_the_second_time_is_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    process, one, other = Process(monkeypatch, None), Drain(), Drain()
    process.minding(one, other)
    process.send(signal.SIGTERM)
    process.send(signal.SIGTERM)
    assert process.ended == [signal.SIGTERM]
    one.finish()
    other.finish()
    assert process.ended == [signal.SIGTERM]


def test_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be; the next SIGTERM is a first one."""
    process, one, other = Process(monkeypatch, None), Drain(), Drain()
    process.minding(one, other)
    process.send(signal.SIGUSR2)
    process.send(signal.SIGTERM)
    other.state = LEAVING
    process.send(signal.SIGUSR2)
    assert [one.state, other.state] == [SERVING, LEAVING]
    process.send(signal.SIGTERM)
    assert process.ended == []


def test_begun_by_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first SIGTERM is no second one."""
    process, one = Process(monkeypatch, None), Drain()
    process.minding(one)
    one.begin()
    process.send(signal.SIGTERM)
    assert process.ended == []
    process.send(signal.SIGTERM)
    assert process.ended == [signal.SIGTERM]


def test_whoever_runs_the_reactor_minds_its_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    process, one = Process(monkeypatch, signal.SIG_DFL), Drain()
    process.minding(one)
    assert process.handlers == {signal.SIGTERM: signal.SIG_DFL}
    process.signals.terminate()
    one.finish()


def test_a_server_that_does_not_drain_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process(monkeypatch, None)
    server = Server(Drain(), Settings(times=Times(drain=0)))
    process.signals.mind(server, process)  # type: ignore[arg-type]
    process.send(signal.SIGTERM)
    assert process.ended == [signal.SIGTERM]


def test_hung_up_on_while_it_runs_and_not_after(monkeypatch: pytest.MonkeyPatch) -> None:
    process, server = Process(monkeypatch, None), Server(Drain())
    process.signals.mind(server, process)  # type: ignore[arg-type]
    process.send(signal.SIGHUP)
    process.signals.forget(server)  # type: ignore[arg-type]
    process.send(signal.SIGHUP)
    assert server.hung_up == 1
