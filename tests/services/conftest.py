"""No test leaves a traceback in the log, or an error in a forgotten Deferred, that it did not ask for."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(ILogObserver)
class Observer:
    """Keeps the failures that are logged."""

    def __init__(self) -> None:
        self.found: list[Failure] = []

    def __call__(self, event: LogEvent) -> None:
        """Take an event."""
        if "log_failure" in event:
            self.found.append(event["log_failure"])


@pytest.fixture(autouse=True)
def tracebacks() -> Iterator[list[Failure]]:
    """The failures logged so far; a test that expects some looks at them and clears the list."""
    observer = Observer()
    globalLogPublisher.addObserver(observer)
    yield observer.found
    gc.collect()
    globalLogPublisher.removeObserver(observer)
    assert not observer.found, "".join(failure.getTraceback() for failure in observer.found)
