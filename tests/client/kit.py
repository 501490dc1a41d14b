"""What the tests of users share."""

from __future__ import annotations

from gortc.server import Server


def url_of(server: Server | None) -> str:
    """Where to connect; without a server, where nobody listens."""
    return server.urls()[0].partition("?")[0] if server is not None else "ws://127.0.0.1:9/rtc"
