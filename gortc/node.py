"""A node: wires the storeys. The only file that knows them all."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.logger import Logger

from gortc.admission.addresses import household
from gortc.dispatch import Dispatcher
from gortc.jsip.gate import Gate
from gortc.jsip.layers import Journal
from gortc.jsip.message import Headers
from gortc.jsip.sessions import Sessions
from gortc.jsip.syntax import Syntax, Trace
from gortc.jsip.tape import Tape
from gortc.jsip.timers import Clock, Timers
from gortc.jsip.transactions import Transactions
from gortc.jsip.uri import parse
from gortc.oam.lines import Whole
from gortc.oam.log import DropLog
from gortc.service.interfaces import IServiceLogic
from gortc.service.registry import Registry, plan
from gortc.settings import Settings
from gortc.transport.channels import Channels

_messages = Logger(namespace="gortc.trace")


def _trace(direction: str, channel: str, headers: Headers) -> None:
    text = "{direction} {channel} {headers}"
    _messages.info(text, direction=direction, channel=channel, headers=Whole(headers), log_whole=True)


class Node:
    """One server without its sockets: give it a clock and it runs, in a test as well.

    up:   channels -> syntax -> transactions -> sessions -> dispatch -> task
    down: task -> session -> transaction -> syntax -> channel
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.drops = drops = DropLog(clock, settings.drop_log_per_second, settings.drop_log_of_one)
        domains = settings.own_domains
        realm = parse(settings.realm).host
        self.settings = settings
        self.journal = Journal(drops.line, drops.failed)
        self.timers = Timers(clock, drops.failed)
        self.services = Registry(realm, settings.unread_max)
        self.tape = Tape(clock.seconds, settings.trace_bytes) if settings.trace_bytes else None
        self.syntax = Syntax(self.journal, self.tape, settings.frame_max)
        self.tracers: dict[Trace, None] = {}
        self.channels = Channels(self.timers, self.journal, self.syntax, settings)
        drops.source_of = self._source
        self.transactions = Transactions(self.timers, settings.times, self.journal, settings.requests_max)
        self.meters = Timers(clock, drops.failed)  # no call waits for one of these
        self.gate = Gate(self.meters, self.journal, self.syntax, settings.limits, settings.retry_after)
        self.sessions = Sessions(
            self.timers,
            settings.times,
            self.journal,
            self.syntax,
            self.channels.route,
            self.channels.besieged,
            settings.realm,
            self.gate,
        )
        self.dispatch = Dispatcher(self.services, realm, domains, settings.select_by_host, self.tape)
        self.services.dispatch = self.dispatch
        self.syntax.above = self.transactions
        self.transactions.below, self.transactions.above = self.syntax, self.sessions
        self.sessions.below, self.sessions.above = self.transactions, self.dispatch
        self.dispatch.below = self.sessions
        self.trace(_trace, settings.trace)

    def configure(self, settings: Settings) -> None:
        """Go on with other settings, as far as they can change while it runs (`gortc.reconfigure`)."""
        self.settings = settings
        self.drops.configure(settings)
        self.services.unread_max = settings.unread_max
        for context in self.services:
            context.unread_max = settings.unread_max
        self.trace(_trace, settings.trace)
        self.syntax.frame_max = settings.frame_max
        self.channels.configure(settings)
        self.transactions.requests_max = settings.requests_max
        self.gate.configure(settings.limits, settings.retry_after)
        self.dispatch.by_host = settings.select_by_host

    def trace(self, tracer: Trace, on: bool) -> None:
        """Whether each message is given to `tracer`: the direction, the channel's name, the headers."""
        if on:
            self.tracers[tracer] = None
        else:
            self.tracers.pop(tracer, None)
        self.syntax.trace = self._trace if self.tracers else None

    def _trace(self, direction: str, channel: str, headers: Headers) -> None:
        for tracer in list(self.tracers):
            tracer(direction, channel, headers)

    def _source(self, name: str) -> str:
        """Who makes noise as `name`, a channel's or an address: where nobody is asked who he is, an address has any
        number of names."""
        channel = self.channels.by_name.get(name)
        guest = channel.guest if channel is not None else None
        return household(name) if guest is None else guest.name if guest.asserted else guest.address or guest.name

    def load(self, found: Mapping[str, IServiceLogic]) -> None:
        """Load the services that were `found`, as the settings want them. Raises ServiceError."""
        for name, logic, config in plan(found, self.settings.services):
            self.services.load(logic, name, config)

    def stop(self) -> None:
        """End every instance: legs are hung up, requests answered 503."""
        self.services.unload_all()

    def census(self) -> dict[str, int]:
        """What is alive: sessions, transactions, tasks, timers. All 0 when nothing runs."""
        return {
            "sessions": self.sessions.count,
            "transactions": sum(len(session.transactions) for session in self.channels.sessions()),
            "tasks": sum(len(context.tasks) for context in self.services),
            "timers": len(self.timers),
        }
