"""What is alive in a server, for whoever connects: one line of JSON."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import orjson
from twisted.application.internet import StreamServerEndpointService
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol

from gortc.server import Server


def census(server: Server) -> dict[str, Any]:
    """The rows of its tables, its counters, and its memory."""
    channels = server.node.channels
    memory = Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]
    return {
        **server.node.census(),
        "channels": len(channels.by_name),
        "hops": len(getattr(channels.outbound, "hops", ())),
        "waiting": sum(len(channel.waiting or ()) for channel in channels.by_name.values()),
        "counts": dict(server.node.journal.counts),
        "rss_kb": int(memory),
        "objects": len(gc.get_objects()),
    }


class _Line(Protocol):
    def __init__(self, server: Server) -> None:
        self._server = server

    def connectionMade(self) -> None:  # noqa: N802
        assert self.transport is not None
        self.transport.write(orjson.dumps(census(self._server)) + b"\n")
        self.transport.loseConnection()


class Lines(Factory):
    """Tells everybody."""

    noisy = False

    def __init__(self, server: Server) -> None:
        self._server = server

    def buildProtocol(self, addr: object) -> _Line:  # noqa: N802
        """One more who asks."""
        return _Line(self._server)


def serve(server: Server, port: int, reactor: Any) -> StreamServerEndpointService:
    """A service that tells it on a port of loopback."""
    return StreamServerEndpointService(serverFromString(reactor, f"tcp:{port}:interface=127.0.0.1"), Lines(server))
