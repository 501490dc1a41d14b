"""Nodes and the connections between them, in memory and in virtual time: what is on its way can be lost."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from gortc.client.ladder import Ladder
from gortc.jsip.timers import Timers
from gortc.testing import Lab, User
from gortc.transport.hop import Hop
from gortc.transport.outbound import Outbound
from gortc.transport.route import Route
from gortc.transport.websocket import RtcFactory
from slp_plugins.default import default


class End(StringTransport):
    """One end of a cable."""

    def __init__(self, cable: Cable, protocol: Any) -> None:
        super().__init__()
        self.cable = cable
        self.other: End
        self.protocol = protocol
        self.ended = False

    def write(self, data: bytes) -> None:
        """On its way."""
        if not self.disconnecting:
            super().write(data)

    def take(self, size: int | None = None) -> bytes:
        """What is on its way from here, at most `size` bytes of it."""
        data: bytes = self.value()
        self.clear()
        size = len(data) if size is None else size
        super().write(data[size:])
        return data[:size]

    def loseConnection(self) -> None:  # noqa: N802
        """Closed, once all that is on its way has come."""
        self.disconnecting = True

    def abortConnection(self) -> None:  # noqa: N802
        """Closed at once."""
        if self.cable.broken:  # the other end does not hear of it
            self.hear_end()
        else:
            self.cable.cut()

    def hear(self, data: bytes) -> None:
        """Something has come."""
        if data and not self.ended:
            self.protocol.dataReceived(data)

    def hear_end(self) -> None:
        """The connection has ended, as far as this end knows."""
        if not self.ended:
            self.ended = True
            self.protocol.connectionLost(Failure(ConnectionDone()))

    def unregisterProducer(self) -> None:  # noqa: N802
        """As TCP transports do, without a word where there is none."""

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802
        """As a TCP transport has it."""

    def setTcpKeepAlive(self, enabled: bool) -> None:  # noqa: N802
        """As a TCP transport has it."""


class Cable:
    """A connection: `near` is the end that has made it."""

    def __init__(self, near: Any, far: Any) -> None:
        self.broken = False
        self.near, self.far = End(self, near), End(self, far)
        self.near.other, self.far.other = self.far, self.near
        far.makeConnection(self.far)
        near.makeConnection(self.near)

    def pump(self, up: int | None = None, down: int | None = None) -> bool:
        """Let so many bytes arrive, all by default. Whether anything was on its way."""
        moved = False
        for end, size in ((self.near, up), (self.far, down)):
            data = end.take(size)
            if self.broken:
                if end.disconnecting:
                    end.hear_end()
                continue
            end.other.hear(data)
            moved = moved or bool(data)
            if end.disconnecting and not end.value() and not (end.ended and end.other.ended):
                end.hear_end()
                end.other.hear_end()
                moved = True
        return moved

    def cut(self, near: bool = True, far: bool = True) -> None:
        """It breaks; what is on its way is lost. Who does not hear of it goes on writing into nothing."""
        self.broken = True
        for end, hears in ((self.near, near), (self.far, far)):
            end.take()
            if hears:
                end.hear_end()


class Network:
    """Nodes a.test, b.test, ... that have routes to each other, and one clock.

    `down`: new connections are refused; `silent`: nothing comes of them. `cables` are those that were made, `tried`
    says when. `route` is what the routes say besides the URL; `each` has the settings of one node, by its name.
    """

    def __init__(
        self, *names: str, route: dict[str, Any] | None = None, each: dict[str, Any] | None = None, **settings: Any
    ) -> None:
        self.reactor = MemoryReactorClock()
        self.down = self.silent = False
        self.tried: list[float] = []
        self.cables: list[Cable] = []
        self.labs: dict[str, Lab] = {}
        self.outbound: dict[str, Outbound] = {}
        self._factories: dict[int, RtcFactory] = {}
        ladder = Ladder()
        for number, name in enumerate(names):
            routes = {
                f"{other}.test": Route(f"ws://127.0.0.1:{port}/rtc", **(route or {}))
                for port, other in enumerate(names, 1)
                if other != name
            }
            lab = Lab(
                default,
                clock=self.reactor,
                realm=f"{name}.test",
                routes=routes,
                **settings,
                **(each or {}).get(name, {}),
            )
            lab.ladder = ladder
            timers = Timers(self.reactor, self.fail)
            node = lab.node
            node.channels.outbound = self.outbound[name] = Outbound(node.channels, node.settings, timers, self.reactor)
            self._factories[number + 1] = RtcFactory(node.channels, node.settings, timers, self.reactor)
            self.labs[name] = lab

    def fail(self) -> None:
        """A timer has raised."""
        raise AssertionError("a timer has raised")

    def settle(self) -> None:
        """Connect whoever wants to, and let all arrive that is on its way."""
        moved = True
        while moved:
            self.reactor.advance(0)
            clients, self.reactor.tcpClients[:] = list(self.reactor.tcpClients), []
            factory: Any
            for _, port, factory, *_ in clients:
                self.tried.append(self.reactor.seconds())
                if self.silent:
                    continue
                if self.down:
                    factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
                else:
                    self.cables.append(Cable(factory.buildProtocol(None), self._factories[port].buildProtocol(None)))
            moved = bool(clients)
            for cable in self.cables:
                moved = cable.pump() or moved

    def users(self) -> tuple[User, User]:
        """Alice at a.test, and Bob at b.test."""
        return self.labs["a"].user("alice"), self.labs["b"].user("bob")

    @property
    def hop(self) -> Hop:
        """The one hop of a.test's."""
        (hop,) = self.outbound["a"].hops.values()
        return hop

    def advance(self, seconds: float, step: float = 0.05) -> None:
        """Let time pass, and all that is on its way arrive."""
        self.settle()
        for _ in range(round(seconds / step)):
            self.reactor.advance(step)
            self.settle()

    def check_empty(self) -> None:
        """No session, transaction or task is left anywhere."""
        for lab in self.labs.values():
            census = lab.node.census()
            del census["timers"]
            assert not any(census.values()), f"{census}\n{lab.ladder.draw()}"
