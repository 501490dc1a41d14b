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

from gortc.jsip.gate import NO_HOSTS
from gortc.jsip.layers import Channel, Owner
from gortc.jsip.timers import Timers
from gortc.printable import line
from gortc.transport.channels import Channels, Nowhere
from gortc.transport.dial import PublicReactor, is_host
from gortc.transport.hop import Hop
from gortc.transport.lookup import Lookups
from gortc.transport.onward import HopEndpoint, HopFactory, HopProtocol, reach
from gortc.transport.route import Route

if TYPE_CHECKING:
    from gortc.jsip.session import Session
    from gortc.jsip.uri import URI
    from gortc.settings import Settings

DONE = 1000
SAID_MAX = 200
"""Why there is no connection is what a stranger has said, perhaps: so many characters of it are told."""


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
        self._full = Nowhere(503)
        self._full.trouble = "too many hosts are dialled"
        self._spent = Nowhere(503)
        self._spent.trouble = "too many hosts are dialled for you"
        self._unusable = Nowhere(503)
        self._unusable.trouble = "no connection can be made to this host"
        self._gone = Nowhere(503)
        self._gone.trouble = "the route to this host has gone, and dialogues go on there"
        times = settings.times
        self._patience = timers.queue(times.connect, lose_patience)
        self._idle = timers.queue(times.idle, close_idle)
        self.attempts = timers.queue(times.connect, too_late)
        self.lookups = Lookups(reactor, settings.lookups_max, settings.hops_max, times.connect)
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Where hosts are from now on. Who has no route any more may open nothing here, and nobody there: it may be in
        a network of ours."""
        self.settings = settings
        self._hosts: dict[Route, frozenset[str]] = {}
        for host, route in settings.routes.items():
            self._hosts[route] = self._hosts.get(route, NO_HOSTS) | {host}
        self._places = {route.place: route for route in self._hosts if route.secure}
        for hop in list(self.hops.values()):
            hosts = self._hosts.get(hop.route, NO_HOSTS)
            hop.stand_for(hosts)
            if hosts and not hop.inward:
                hop.inward = True
                self._links[hop].lead(self.reactor)

    def route(self, uri: URI, owner: Owner | None = None) -> Channel | None:
        """The channel for a first request to a host that is not ours, of `owner`'s; None where there is no way to
        it."""
        route = self.settings.routes.get(uri.host) or self._dial(uri)
        if route is None:
            return None
        hop = self.hops.get(route)
        hosts = self._hosts.get(route, NO_HOSTS)
        if hop is not None:
            if hosts or not hop.inward:
                return hop
            if hop.sessions:
                return self._gone
            self.drop(hop, DONE, "its route has gone")
        payer = "" if hosts or owner is None else pays(owner.asker)
        if not hosts:
            if sum(hop.dialled for hop in self.hops.values()) >= self.settings.hops_max:
                return self._full
            if payer and self._has_spent(payer):
                self._hand_over(payer)
                if self._has_spent(payer):
                    return self._spent
        hop = Hop(self.channels, route, self, hosts, payer)
        try:
            link = Link(hop, self, self.reactor if hosts else PublicReactor(self.reactor, self.lookups, payer))
        except (OSError, ValueError) as error:  # certificates that can't be read, a name that is none (IDNA)
            self.channels.journal.note("next hop unusable", route.host, error)
            return self._unusable
        self.hops[route], self._links[hop] = hop, link
        self._idle.start(hop)
        return hop

    def _has_spent(self, payer: str) -> bool:
        """Whether no further host may be dialled for it."""
        paid = sum(hop.dialled and hop.payer == payer for hop in self.hops.values())
        return paid >= self.settings.limits.dials

    def _hand_over(self, payer: str) -> None:
        """Hosts that `payer` talks to no more are paid by others who do, as long as they may dial themselves: each
        has somebody who pays, and nobody pays for more than he may."""
        for hop in self.hops.values():
            if hop.dialled and hop.payer == payer:
                users = {pays(session.owner.asker) for session in hop.sessions.values() if session.owner is not None}
                if payer not in users:
                    hop.payer = next((user for user in users if not user or not self._has_spent(user)), payer)

    def _dial(self, uri: URI) -> Route | None:
        """The way to a host that no route names. Where one leads to the same place it is that one: whoever is there is
        the same for all, and has one connection."""
        if not self.settings.dial or not is_host(uri.host):
            return None
        port = f":{uri.port}" if uri.port else ""
        route = Route(f"wss://{uri.host}{port}{self.settings.path}")
        return self._places.get(route.place, route)

    def sessions(self) -> Iterator[Session]:
        """Every session of every hop."""
        for hop in (*self.hops.values(), self._full, self._spent, self._unusable, self._gone):
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
            if hop.trouble:
                self.give_up_soon(hop, self.settings.times.back_off_min)

    def give_up_soon(self, hop: Hop, seconds: float) -> None:
        """Somebody has chosen it, and it can't be reached: it is not tried again unless there is somebody who talks."""
        if hop.dialled:
            self.timers.start(seconds, give_up, hop)

    def give_up(self, hop: Hop) -> None:
        """Now."""
        if hop in self._links and hop.dialled and hop.trouble and not hop.sessions:
            self.drop(hop, DONE, "unreachable")

    def close_idle(self, hop: Hop) -> None:
        """It has not been used for a while."""
        if not hop.sessions:
            self.drop(hop, DONE, "idle")

    def drop(self, hop: Hop, code: int, reason: str) -> Deferred[Any]:
        """Close it and forget it. The Deferred fires when its connection is gone."""
        del self.hops[hop.route]
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


def give_up(hop: Hop) -> None:
    """A hop was left alone for as long as it would be before it is tried again."""
    hop.outbound.give_up(hop)


def too_late(link: Link) -> None:
    """`link` should have its connection."""
    link.too_late()


def pays(asker: Channel | None) -> str:
    """For whom a host is dialled: a user, or, where nobody knows who he is, an address; "" for who has no limits."""
    guest = None if asker is None else asker.guest
    if guest is None or not guest.limited:
        return ""
    return guest.name if guest.asserted else guest.address or guest.name


class Link:
    """What keeps a hop connected; `reactor` is what it connects by."""

    def __init__(self, hop: Hop, outbound: Outbound, reactor: Any) -> None:
        self.hop = hop
        self.outbound = outbound
        self.channels = outbound.channels
        self._failures = 0
        self._why = ""
        self._late = False
        self._opened: float | None = None
        self._pause = 0.0
        self._attempt: Deferred[Any] | HopProtocol | None = None
        factory = HopFactory(self, outbound.reactor)
        self._endpoint = HopEndpoint(self)
        self.lead(reactor)
        self._service = ClientService(self._endpoint, factory, self._delay, outbound.reactor)
        self._service.startService()

    def lead(self, reactor: Any) -> None:
        """From now on it is connected by `reactor`. Raises what `reach` raises."""
        self._endpoint.way = reach(self.hop.route, reactor, self.outbound.settings.times.connect)

    def stop(self) -> Deferred[Any]:
        """Connect no more, and close."""
        self._end_attempt()
        return self._service.stopService()

    # an attempt: all of it has one time, look-up, TCP, TLS, WebSocket and first frame

    def begin(self, attempt: Deferred[Any]) -> None:
        """It begins."""
        self._late = False
        if not attempt.called:
            self._attempt = attempt
        self.outbound.attempts.start(self)

    def made(self, connection: HopProtocol) -> None:
        """There is a TCP connection."""
        self._attempt = connection

    def too_late(self) -> None:
        """It has taken too long."""
        attempt, self._attempt = self._attempt, None
        self._late = True
        if isinstance(attempt, Deferred):
            attempt.cancel()
        elif attempt is not None:
            attempt.give_up()

    def opened(self) -> None:
        """The handshake is done, the first frame included."""
        self._end_attempt()
        self._opened = self.outbound.reactor.seconds()

    def failed(self, why: str, pause: float = 0.0) -> None:
        """There is no connection, or no longer, because of `why`; the next attempt waits for `pause` s at least."""
        self._end_attempt()
        why = f"no connection in {self.outbound.settings.times.connect:g} s" if self._late else why
        self._why = line(why, SAID_MAX)
        self._pause = pause

    def _end_attempt(self) -> None:
        self._attempt = None
        self.outbound.attempts.stop(self)

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
        pause = max(self._pause, uniform(times.back_off_min, most))
        if opened is None:
            self.outbound.give_up_soon(self.hop, pause)
        return pause
