"""A server in memory, and one server process for the whole folder."""

from __future__ import annotations

import pytest
import txaio.tx

from tests.torture.lines import Exchange
from tests.wire.conftest import server as server


@pytest.fixture
def exchange(monkeypatch: pytest.MonkeyPatch) -> Exchange:
    """A server in memory, Autobahn's timers included."""
    made = Exchange(realm="gortc.test")
    monkeypatch.setattr(txaio.tx.config, "loop", made.clock)
    return made
