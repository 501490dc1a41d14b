"""Outbound: the table of next hops, and what keeps them connected. docs/jsip.md section 1, "Other domains".

A hop is made for the first request that goes there, and kept connected (Twisted's ClientService) until nobody has used
it for a while.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import uniform
from typing import TYPE_CHECKING, Any

from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred

from gortc.jsip.layers import Channel
from gortc.jsip.timers import Timers
from gortc.transport.channels import Channels, Nowhere
from gortc.transport.dial import PublicReactor, is_host
from gortc.transport.hop import Hop
from gortc.transport.onward import HopEndpoint, HopFactory, reach
from gortc.transport.route import Route

if TYPE_CHECKING:
    from gortc.jsip.session import Session
    from gortc.jsip.uri import URI
    from gortc.settings import Settings

DONE = 1000


class Outbound:
    """The next hops by their routes, while they are used."""

    def __init__(self, channels: Channels, settings: Settings, timers: Timers, reactor: Any) -> None:
        """`timers` are those of the connections; no call waits for one of them."""
        self.channels = channels
        self.settings = settings
        self.timers = timers
        self.reactor = reactor
        self.hops: dict[Route, Hop] = {}
        self._links: dict[Hop, Link] = {}
        self._dialled = 0
        self._full = Nowhere(503)
        self._full.trouble = "too many hosts are dialled"
        self._unusable = Nowhere(503)
        self._unusable.trouble = "no connection can be made to this host"
        times = settings.times
        self._patience = timers.queue(times.connect, lose_patience)
        self._idle = timers.queue(times.idle, close_idle)

    def route(self, uri: URI) -> Channel | None:
        """The channel for a first request to a host that is not ours; None where there is no way to it."""
        route: Route | None = self.settings.routes.get(uri.host)
        dialled = route is None
        if route is None:
            if not self.settings.dial or not is_host(uri.host):
                return None
            port = f":{uri.port}" if uri.port else ""
            route = Route(f"wss://{uri.host}{port}{self.settings.path}")
        hop = self.hops.get(route)
        if hop is not None:
            return hop
        if dialled and self._dialled >= self.settings.hops_max:
            return self._full
        hop = Hop(self.channels, route, self)
        try:
            link = Link(hop, self, PublicReactor(self.reactor) if dialled else self.reactor)
        except (OSError, ValueError) as error:  # certificates that can't be read, a name that is none (IDNA)
            self.channels.journal.note("next hop unusable", route.host, error)
            return self._unusable
        hop.dialled = dialled
        self._dialled += dialled
        self.hops[route], self._links[hop] = hop, link
        self._idle.start(hop)
        return hop

    def sessions(self) -> Iterator[Session]:
        """Every session of every hop."""
        for hop in (*self.hops.values(), self._full, self._unusable):
            yield from hop.sessions.values()

    def hurry(self, hop: Hop) -> None:
        """Somebody waits for the connection, but not for long."""
        if hop not in self._patience:
            self._patience.start(hop)

    def lose_patience(self, hop: Hop) -> None:
        """It has taken too long."""
        if hop.connection is None:
            self._links[hop].fail(f"no connection in {self.settings.times.connect:g} s")

    def rest(self, hop: Hop) -> None:
        """It is not used any more."""
        if hop in self._links:
            self._idle.start(hop)

    def close_idle(self, hop: Hop) -> None:
        """It has not been used for a while."""
        if not hop.sessions:
            self.drop(hop, DONE, "idle")

    def drop(self, hop: Hop, code: int, reason: str) -> Deferred[Any]:
        """Close it and forget it. The Deferred fires when its connection is gone."""
        del self.hops[hop.route]
        self._dialled -= hop.dialled
        self._patience.stop(hop)
        self._idle.stop(hop)
        hop.window = None
        if hop.connection is not None:
            hop.connection.close(code, reason)
        self.channels.stay(hop)
        return self._links.pop(hop).stop()

    def stop(self, code: int, reason: str) -> list[Deferred[Any]]:
        """Close all."""
        return [self.drop(hop, code, reason) for hop in list(self.hops.values())]


def lose_patience(hop: Hop) -> None:
    """Somebody has waited for a connection for too long."""
    hop.outbound.lose_patience(hop)


def close_idle(hop: Hop) -> None:
    """A hop may not be used any more."""
    hop.outbound.close_idle(hop)


class Link:
    """What keeps a hop connected; `reactor` is what it connects by."""

    def __init__(self, hop: Hop, outbound: Outbound, reactor: Any) -> None:
        self.hop = hop
        self.outbound = outbound
        self.channels = outbound.channels
        self._failures = 0
        self._why = ""
        self._opened: float | None = None
        self._pause = 0.0
        factory = HopFactory(self, outbound.reactor)
        endpoint = HopEndpoint(self, reach(hop.route, reactor, outbound.settings.times.connect))
        self._service = ClientService(endpoint, factory, self._delay, outbound.reactor)
        self._service.startService()

    def stop(self) -> Deferred[Any]:
        """Connect no more, and close."""
        return self._service.stopService()

    def opened(self) -> None:
        """The handshake is done, the first frame included."""
        self._opened = self.outbound.reactor.seconds()

    def failed(self, why: str, pause: float = 0.0) -> None:
        """There is no connection, or no longer, because of `why`; the next attempt waits for `pause` s at least."""
        self._why = why
        self._pause = pause

    def fail(self, why: str) -> None:
        """Nobody shall wait for it any more."""
        self.channels.journal.note("next hop unreachable", self.hop.name, why)
        self.hop.fail(f"{self.hop.name}: {why}")

    def _delay(self, _: int) -> float:
        """Full jitter: as long as somebody may have chosen at random, so that all do not come back at once.

        What is counted are the attempts since a connection has lasted; ClientService knows of TCP only.
        """
        times = self.outbound.settings.times
        opened, self._opened = self._opened, None
        if opened is None:
            self.fail(self._why)
        elif self.outbound.reactor.seconds() - opened >= times.connect:
            self._failures = 0
        self._failures += 1
        most = min(times.back_off_max, times.back_off_min * 2 ** min(self._failures, 30))
        return max(self._pause, uniform(times.back_off_min, most))
