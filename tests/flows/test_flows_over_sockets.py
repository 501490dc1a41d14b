"""Every flow of this folder over WebSockets; the time of the calls is virtual, the connections are real."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock

from gortc.client.player import Player
from gortc.client.scenario import Scenario
from gortc.client.venue import Arrived, Line, Net, NetLine
from gortc.jsip.message import Headers
from gortc.server import Server
from tests.flows.kit import SERVICES, check_node, flow, names, server_settings

PATIENCE = 10.0
"""How long the server may take to answer, in real seconds; only a flow that fails waits for it."""


class CallClock(Clock):
    """The time of the calls. What is due at once is done at the reactor's next turn, as with the reactor's own."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: Any, **kw: Any) -> Any:  # noqa: N802
        call = super().callLater(delay, callable, *args, **kw)
        if not delay:
            reactor.callLater(0, self.advance, 0)
        return call

    def next_due(self, end: float) -> float:
        """The time of the next call, `end` at the most."""
        return min((call.getTime() for call in self.getDelayedCalls()), default=end)


class Hall:
    """A venue: real connections to a server whose calls live in virtual time.

    Parties are heard in the order in which they speak: before one sends, what another has sent has been dealt with.
    """

    def __init__(self, net: Net, clock: CallClock) -> None:
        self.net = net
        self.clock = clock
        self.lines: list[TimedLine] = []
        self._posts: deque[tuple[NetLine, Callable[[], None]]] = deque()
        self._posting: Deferred[None] | None = None
        self._last: NetLine | None = None

    def now(self) -> float:
        """Virtual time."""
        return float(self.clock.seconds())

    async def connect(self, user: str, arrived: Arrived) -> Line:
        """Connect by WebSocket."""
        line = TimedLine(self, arrived)
        line.wire = await self.net.connect(user, line.hear)
        self.lines.append(line)
        return line

    def post(self, wire: NetLine, write: Callable[[], None]) -> None:
        """Send on `wire` when it is its turn."""
        self._posts.append((wire, write))
        if self._posting is None or self._posting.called:
            self._posting = ensureDeferred(self._post())

    async def _post(self) -> None:
        while self._posts:
            wire, write = self._posts.popleft()
            if self._last is not None and self._last is not wire:
                await self._last.settle()
            self._last = wire
            write()

    async def posted(self) -> None:
        """All has been sent."""
        if self._posting is not None:
            await self._posting

    async def settle(self) -> None:
        """What was sent has been dealt with, then what came of it has arrived."""
        await self.posted()
        for _ in range(2):
            for line in self.lines:
                await line.settle()

    async def pause(self, seconds: float) -> None:
        """Let virtual time pass, one timer after the other."""
        await self.settle()
        end = self.now() + seconds
        while (due := self.clock.next_due(end)) < end:
            self.clock.advance(due - self.now())
        self.clock.advance(end - self.now())
        await self.settle()


class TimedLine:
    """A connection over a socket on which waiting takes virtual time."""

    wire: NetLine

    def __init__(self, hall: Hall, arrived: Arrived) -> None:
        self._hall = hall
        self._arrived = arrived
        self._heard = 0

    def hear(self, message: Any) -> None:
        """A message has arrived."""
        self._heard += 1
        self._arrived(message)

    @property
    def closed(self) -> tuple[int, str] | None:
        """The code and the reason, once it is closed."""
        return self.wire.closed

    def send(self, message: Headers) -> None:
        """Write it."""
        self._hall.post(self.wire, lambda: self.wire.send(message))

    def send_text(self, text: str) -> None:
        """Write it."""
        self._hall.post(self.wire, lambda: self.wire.send_text(text))

    async def wait(self, seconds: float | None) -> bool:
        """Wait until something arrives or the connection closes; what is on its way takes no virtual time."""
        hall, heard = self._hall, self._heard
        end = hall.now() + (seconds or 0.0)
        while True:
            await hall.settle()
            if self._heard != heard:
                return True
            if self.closed is not None or hall.now() >= end:
                return False
            hall.clock.advance(min(hall.clock.next_due(end), end) - hall.now())

    async def settle(self) -> None:
        """What was sent has been dealt with."""
        await self._hall.posted()
        await self.wire.settle()

    async def close(self) -> None:
        """Close it."""
        await self._hall.posted()
        await self.wire.close()


class Servers:
    """The servers of this module: one for all flows that ask for the same services and settings."""

    def __init__(self) -> None:
        self._running: dict[bytes, tuple[Server, CallClock]] = {}

    def server(self, scenario: Scenario) -> tuple[Server, CallClock]:
        """A server for it, and the time of its calls."""
        key = orjson.dumps([scenario.services, scenario.settings])
        if key not in self._running:
            clock = CallClock()
            server = Server(server_settings(scenario, rtc=("tcp:0:interface=127.0.0.1",), api=""), reactor, clock=clock)
            server.privilegedStartService()
            server.node.load(SERVICES)
            self._running[key] = server, clock
        return self._running[key]

    def forget(self, scenario: Scenario) -> Server | None:
        """A flow has failed on it: the next one gets a fresh server."""
        found = self._running.pop(orjson.dumps([scenario.services, scenario.settings]), None)
        return found and found[0]

    async def stop(self) -> None:
        """Stop them all."""
        for server, _ in self._running.values():
            await server.stopService()


@pytest_twisted.async_yield_fixture(scope="module")
async def servers() -> AsyncIterator[Servers]:
    made = Servers()
    yield made
    await made.stop()


@pytest.mark.parametrize("name", names())
@pytest_twisted.ensureDeferred
async def test_flow(servers: Servers, name: str) -> None:
    scenario = flow(name)
    server, clock = servers.server(scenario)
    try:
        await play(scenario, server, clock)
    except BaseException:
        servers.forget(scenario)
        await server.stopService()
        raise


async def play(scenario: Scenario, server: Server, clock: CallClock) -> None:
    """Play a flow; nothing is left of it then, nor comes of it later."""
    node = server.node
    node.journal.counts.clear()
    hall = Hall(Net(reactor, server.urls()[0].partition("?")[0], PATIENCE), clock)
    outcome = await Player(scenario, hall, server.settings.realm).play()
    assert outcome.wrong is None, f"{scenario.title}: {outcome.wrong}\n{outcome.ladder.draw()}"
    assert not any(node.census().values()), f"{node.census()}\n{outcome.ladder.draw()}"
    while clock.getDelayedCalls():  # each queue's last wake-up, which finds nothing to do
        await hall.pause(clock.next_due(0) - hall.now())
    check_node(node, scenario)
