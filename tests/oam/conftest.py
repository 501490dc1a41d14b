"""What tests of the management API share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.logger import LogEvent, globalLogPublisher


@pytest.fixture
def of_the_api() -> Iterator[list[LogEvent]]:
    """What is logged of the API."""
    seen: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_namespace") == "gortc.api":
            seen.append(event)

    observer: Any = observe
    globalLogPublisher.addObserver(observer)
    yield seen
    globalLogPublisher.removeObserver(observer)
