"""The hub of the transport's tests."""

from __future__ import annotations

import pytest
import txaio.tx

from tests.transport.kit import Hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub in virtual time, Autobahn's timers included."""
    made = Hub()
    monkeypatch.setattr(txaio.tx.config, "loop", made.clock)
    return made
