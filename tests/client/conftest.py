"""A server on real sockets, for users of any kind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_twisted
from twisted.internet import reactor

from gortc.server import Server
from gortc.settings import Settings


@pytest_twisted.async_yield_fixture
async def server() -> AsyncIterator[Server]:
    """In this process; it turns nobody away because the machine is slow."""
    made = Server(Settings(rtc=("tcp:0:interface=127.0.0.1",), api="", load_high=9.0, lag_high=1e9), reactor)
    made.privilegedStartService()
    made.startService()
    yield made
    await made.stopService()
