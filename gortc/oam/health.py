"""Whether it is well: for load balancers and for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gortc.drain import SERVING
from gortc.jsip.delays import BOUNDS, Delays
from gortc.oam.route import OPEN, PLAIN, READ, Answer, Query, Route, Text
from gortc.oam.survey import Survey, survey
from gortc.overload import SHEDDING

if TYPE_CHECKING:
    from gortc.server import Server

KIND = "text/plain; version=0.0.4; charset=utf-8"


def routes(server: Server, open_metrics: bool) -> list[Route]:
    """`open_metrics`: on loopback nobody is asked for a token."""
    figures = Figures(server)
    registry = CollectorRegistry()
    registry.register(figures)
    ProcessCollector(registry=registry)

    def alive(query: Query) -> Answer:
        return Text("alive\n")

    def ready(query: Query) -> Answer:
        state = server.drain.state
        return Text("ready\n") if state == SERVING else Text(f"{state}\n", status=503)

    async def metrics(query: Query) -> Answer:
        figures.survey = await survey(server)
        return Text(generate_latest(registry).decode(), KIND)

    return [
        Route("GET", "/healthz", OPEN, "Whether it is alive.", alive, kind=PLAIN, is_probed=True),
        Route("GET", "/readyz", OPEN, "Whether it takes new sessions: 200, or 503.", ready, kind=PLAIN, is_probed=True),
        Route(
            "GET",
            "/metrics",
            OPEN if open_metrics else READ,
            "Figures for Prometheus.",
            metrics,
            kind=PLAIN,
            is_probed=True,
        ),
    ]


class Figures(Collector):
    """Reads them when they are asked for, so that no call pays for them."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._node = server.node
        self.survey = Survey()
        """The latest one."""

    def collect(self) -> Iterator[Metric]:
        """As the interface has it."""
        yield from self._gauges()
        yield from self._services()
        yield from self._traffic()

    def _gauges(self) -> Iterator[Metric]:
        server, node = self._server, self._node
        channels = node.channels.by_name.values()
        waiting = sum(len(one.waiting or ()) for one in channels)
        unconfirmed = sum(len(one.window) for one in channels if one.window is not None)
        gauges = {
            "connections": ("Open connections.", len(server.connections)),
            "channels": ("Channels, connected or not.", len(channels)),
            "channels_connected": ("Channels with a connection.", sum(one.connection is not None for one in channels)),
            "hops": ("Channels to other nodes.", len(server.hops)),
            "waiting_messages": ("Messages for peers without a connection, or who do not read.", waiting),
            "unconfirmed_messages": ("Messages kept for peers to resume.", unconfirmed),
            "unsent_bytes": ("Bytes for peers who do not read.", sum(one.unsent for one in server.connections)),
            "held_bytes": ("Bytes held for users with limits.", node.channels.memory.held),
            "held_bytes_max": ("So many may be.", node.channels.memory.most),
            "sessions": ("Sessions that are not over.", node.sessions.count),
            "transactions": ("Open transactions.", self.survey.transactions),
            "timers": ("Running timers.", len(node.timers)),
            "traces": ("Traces that are written.", len(server.management.traces.by_name)),
            "load_ratio": ("The part of its time that the reactor works.", server.overload.load),
            "lag_seconds": ("By how much what is due comes late.", server.overload.lag),
            "shedding": ("Whether a part of new sessions is turned away.", float(server.overload.state == SHEDDING)),
            "draining": ("Whether the server drains.", float(server.drain.state != SERVING)),
            "calls_a_minute": ("Calls of the last minute.", server.management.pulse.a_minute),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"gortc_{name}", text, value)
        labels = ["service", "state", "direction"]
        by_state = GaugeMetricFamily("gortc_sessions_by_state", "Sessions that are not over.", labels=labels)
        for values, number in self.survey.sessions.items():
            by_state.add_metric(values, number)
        yield by_state

    def _services(self) -> Iterator[Metric]:
        instances = GaugeMetricFamily("gortc_instances", "Service instances.", labels=["service"])
        started = CounterMetricFamily("gortc_instances_started", "Service instances ever.", labels=["service"])
        failures = CounterMetricFamily("gortc_failures", "Service instances that failed.", labels=["service"])
        now, ever, failed = Counter[str](), Counter[str](), Counter[str]()
        for name, (total, broken) in self._node.services.past.items():
            now[name], ever[name], failed[name] = 0, total, broken
        for context in self._node.services:
            now[context.name] += len(context.tasks)
            ever[context.name] += context.total
            failed[context.name] += context.failures
        for family, counts in ((instances, now), (started, ever), (failures, failed)):
            for name, number in counts.items():
                family.add_metric([name], number)
            yield family

    def _traffic(self) -> Iterator[Metric]:
        node = self._node
        for way, counts in (("received", node.syntax.received), ("sent", node.syntax.sent)):
            text = f"Messages {way}: requests by their method, responses by their code."
            messages = CounterMetricFamily(f"gortc_messages_{way}", text, labels=["type", "code"])
            for method, number in counts.requests.items():
                messages.add_metric([method, ""], number)
            for code, number in enumerate(counts.responses):
                if number:
                    messages.add_metric(["RESPONSE", str(code)], number)
            yield messages
        yield CounterMetricFamily("gortc_sessions_opened", "Sessions ever.", node.sessions.opened)
        yield CounterMetricFamily("gortc_calls", "INVITEs that opened a dialogue.", node.transactions.calls)
        yield histogram("set_up", "From an INVITE until it is accepted.", node.transactions.set_up)
        yield histogram("post_dial_delay", "From an INVITE until it rings.", node.transactions.post_dial)
        events = CounterMetricFamily("gortc_events", "What was dropped, refused or lost, by reason.", labels=["reason"])
        for reason, number in node.journal.counts.items():
            events.add_metric([reason], number)
        yield events


def histogram(name: str, text: str, delays: Delays) -> Metric:
    """As Prometheus has it: each bucket has what is in those before it, too."""
    sums = accumulate(delays.buckets())
    buckets = [(str(bound), number) for bound, number in zip((*BOUNDS, "+Inf"), sums, strict=True)]
    return HistogramMetricFamily(f"gortc_{name}_seconds", text, buckets, delays.total)
