"""Signals: SIGTERM drains every server of the process, a second one stops them at once; SIGUSR2 takes it back.

Twisted's own handler, which ends the process, comes last. SIGINT is Twisted's alone: it stops at once.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from gortc.drain import GONE, Drain

_log = Logger(namespace="gortc.drain")


class Signals:
    """Those of one process. `drains` are of its servers."""

    def __init__(self) -> None:
        self.drains: list[Drain] = []
        self._stop: Callable[[int, Any], object] | None = None
        self._told = False

    def mind(self, drain: Drain, reactor: Any) -> None:
        """Let the signals mean this server, too. To be called when `reactor` runs and has set its own handlers.

        Where it has set none, whoever runs it minds the signals.
        """
        handler = signal.getsignal(signal.SIGTERM)
        if self._stop is None and callable(handler):
            self._stop = handler
            signal.signal(signal.SIGTERM, lambda *_: reactor.callFromThread(self.terminate))
            signal.signal(signal.SIGUSR2, lambda *_: reactor.callFromThread(self.take_back))
        self.drains.append(drain)
        drain.done.addCallback(self._gone)

    def terminate(self) -> None:
        """SIGTERM. Somebody else may have begun to drain before."""
        if self._told:
            _log.warn("told to stop again: stopping at once")
            self._end()
        self._told = True
        for drain in self.drains:
            drain.begin()

    def take_back(self) -> None:
        """SIGUSR2."""
        for drain in self.drains:
            if drain.cancel():
                self._told = False

    def _gone(self, _: None) -> None:
        if all(drain.state == GONE for drain in self.drains):
            self._end()

    def _end(self) -> None:
        """From now on signals are Twisted's."""
        if self._stop is not None:
            stop, self._stop = self._stop, None
            signal.signal(signal.SIGTERM, stop)
            stop(signal.SIGTERM, None)


signals = Signals()
"""The process's."""
