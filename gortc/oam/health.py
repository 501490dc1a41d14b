"""Whether it is well: for load balancers and for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gortc.drain import SERVING
from gortc.oam.route import OPEN, READ, Answer, Query, Route, Text

if TYPE_CHECKING:
    from gortc.server import Server

KIND = "text/plain; version=0.0.4; charset=utf-8"


def routes(server: Server, open_metrics: bool) -> list[Route]:
    """`open_metrics`: on loopback nobody is asked for a token."""
    registry = CollectorRegistry()
    registry.register(Figures(server))
    ProcessCollector(registry=registry)

    def alive(query: Query) -> Answer:
        return Text("alive\n")

    def ready(query: Query) -> Answer:
        state = server.drain.state
        return Text("ready\n") if state == SERVING else Text(f"{state}\n", status=503)

    def metrics(query: Query) -> Answer:
        return Text(generate_latest(registry).decode(), KIND)

    return [
        Route("GET", "/healthz", OPEN, "Whether it is alive.", alive),
        Route("GET", "/readyz", OPEN, "Whether it takes new sessions: 200, or 503.", ready),
        Route("GET", "/metrics", OPEN if open_metrics else READ, "Figures for Prometheus.", metrics),
    ]


class Figures(Collector):
    """Reads them when they are asked for, so that no call pays for them."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def collect(self) -> Iterator[Metric]:
        """As the interface has it."""
        server, node = self._server, self._server.node
        channels = node.channels.by_name.values()
        gauges = {
            "connections": ("Open connections.", len(server.connections)),
            "channels": ("Channels, connected or not.", len(channels)),
            "channels_connected": ("Channels with a connection.", sum(one.connection is not None for one in channels)),
            "waiting_messages": (
                "Messages for peers without a connection.",
                sum(len(one.waiting or ()) for one in channels),
            ),
            "sessions": ("Sessions that are not over.", node.sessions.count),
            "transactions": ("Open transactions.", node.census()["transactions"]),
            "timers": ("Running timers.", len(node.timers)),
            "load_ratio": ("The part of its time that the reactor works.", server.overload.load),
            "lag_seconds": ("By how much what is due comes late.", server.overload.lag),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"gortc_{name}", text, value)
        instances = GaugeMetricFamily("gortc_instances", "Service instances.", labels=["service"])
        started = CounterMetricFamily("gortc_instances_started", "Service instances ever.", labels=["service"])
        failures = CounterMetricFamily("gortc_failures", "Service instances that failed.", labels=["service"])
        for context in node.services:
            instances.add_metric([context.name], len(context.tasks))
            started.add_metric([context.name], context.total)
            failures.add_metric([context.name], context.failures)
        yield from (instances, started, failures)
        yield CounterMetricFamily("gortc_sessions_opened", "Sessions ever.", node.sessions.opened)
        events = CounterMetricFamily("gortc_events", "What was dropped, refused or lost, by reason.", labels=["reason"])
        for reason, number in node.journal.counts.items():
            events.add_metric([reason], number)
        yield events
